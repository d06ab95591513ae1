"""The pages say what is true: links lead somewhere, programs run and print what is shown, lists agree with the code.

A program of a page is a block whose first line is ``# name.py``; the ``text`` blocks of the page are what the programs
that print leave, in order. ``WF_REWRITE=1`` writes the list of errors anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import click
import pytest
from pydantic import BaseModel

from workflow_runtime import errors
from workflow_runtime.cli.commands import wfr
from workflow_runtime.core import reading
from workflow_runtime.core.expression_functions import FUNCTIONS
from workflow_runtime.core.parameters import SYSTEM
from workflow_runtime.core.reading import document
from workflow_runtime.core.unsupported import NOT_EXECUTED

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "schemes" / "README.md"])
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
PROGRAM = re.compile(r"# (\S+\.(?:py|yaml))\n")
CRASHES = {"crash.py"}  #: programs that are meant to die, with exit code 1


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(page.read_text()) if found == language]


# ------------------------------------------------------------------ links


def anchors(page: Path) -> set[str]:
    """The anchors of headings, as they are made from their texts."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[tuple[str, str]]:
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield path, anchor


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page_id(page)} links to {path}, which is not there"
        assert not anchor or anchor in anchors(target), f"{page_id(page)} links to {path}#{anchor}; there is no such heading"


def test_every_page_is_reached_from_the_index() -> None:
    index = DOCS / "README.md"
    reached = {(index.parent / path).resolve() for path, _ in links(index)} | {index}
    assert sorted(page_id(page) for page in DOCS.rglob("*.md") if page not in reached) == []


# ------------------------------------------------------------------ programs


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=page_id)
def test_python_compiles(page: Path) -> None:
    for number, block in enumerate(blocks(page, "python"), 1):
        compile(block, f"{page_id(page)} block {number}", "exec")


def run_programs(page: Path, folder: Path) -> str:
    """Writes the programs of a page into a folder, runs those that are not imported by others, and returns what they print."""
    programs = {PROGRAM.match(block)[1]: block for _, block in BLOCK.findall(page.read_text()) if PROGRAM.match(block)}  # type: ignore[index]
    for name, block in programs.items():
        (folder / name).write_text(block)
    modules = {name for name in programs if any(re.search(rf"(from|import) {Path(name).stem}\b", block) for block in programs.values())}
    printed = ""
    for name in programs:
        if name.endswith(".py") and name not in modules and name != "urls.py":
            result = subprocess.run([sys.executable, name], cwd=folder, capture_output=True, text=True, timeout=60)
            assert result.returncode == (1 if name in CRASHES else 0), f"{page_id(page)}: {name}\n{result.stdout}{result.stderr}"
            printed += result.stdout
    return printed


@pytest.mark.parametrize(
    ("page", "needs"),
    [
        ("tutorial.md", ()),
        ("howto/schedule-timers.md", ()),
        ("howto/retry-calls.md", ()),
        ("howto/limit-time.md", ()),
        ("howto/send-once.md", ()),
        ("howto/call-once.md", ()),
        ("howto/create-many.md", ()),
        ("howto/embed-in-a-script.md", ()),
        ("howto/embed-in-flask.md", ("flask",)),
        ("howto/embed-in-django.md", ("django",)),
        ("howto/embed-in-fastapi.md", ("fastapi", "httpx")),
    ],
)
def test_a_page_prints_what_it_shows(page: str, needs: tuple[str, ...], tmp_path: Path) -> None:
    missing = [name for name in needs if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: the programs of this page are compiled and not run")
    shutil.copytree(ROOT / "schemes", tmp_path / "schemes")
    assert run_programs(DOCS / page, tmp_path) == "".join(blocks(DOCS / page, "text"))


def test_the_readme_has_a_small_program_that_works(tmp_path: Path) -> None:
    (program,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in program.splitlines() if line]) <= 30
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"charging 42 with key [0-9a-f]{8}\.\.\.\nFinalized\n", result.stdout)


def test_the_readme_has_the_two_commands_of_which_one_is_that_of_the_build_server() -> None:
    demo, tests = (block.strip() for block in blocks(ROOT / "README.md", "sh"))
    assert demo == "python3 -m venv .venv && .venv/bin/pip install -q -e . && .venv/bin/wfr demo"
    assert tests == "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest"
    assert "install -q -e '.[dev]'" in (ROOT / ".ci" / "run").read_text()


def test_the_readme_and_the_guarantees_do_not_differ() -> None:
    assert "orders 12 · finished 12 · lost 0 · paid twice 0" in blocks(ROOT / "README.md", "text")[0]
    promised = (DOCS / "reference" / "guarantees.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [row for row in rows[2:] if row not in promised and row != "decision of recovery"] == []


def test_commands_of_the_pages_exist() -> None:
    said = {
        (page_id(page), words) for page in PAGES for words in re.findall(r"(?:^|`|\| )wfr ([a-z]+(?: [a-z]+(?:-[a-z]+)*)?)", page.read_text(), re.MULTILINE)
    }
    assert len(said) > 10
    assert sorted((page, words) for page, words in said if not is_command(words.split())) == []


def is_command(words: list[str]) -> bool:
    """Whether the words lead to a command; what stands behind a command is an argument."""
    found: click.Command | None = wfr
    for word in words:
        if not isinstance(found, click.Group):
            return True
        found = found.get_command(click.Context(found), word)
        if found is None:
            return False
    return True


# ------------------------------------------------------------------ lists that agree with the code


def schemes_of(page: Path) -> list[str]:
    return [block for block in blocks(page, "yaml") if "scheme:" in block]


@pytest.mark.parametrize("page", [page for page in PAGES if schemes_of(page)], ids=page_id)
def test_schemes_of_pages_can_be_read(page: Path) -> None:
    for block in schemes_of(page):
        assert reading.read(block, code="Page").activities


def test_every_key_of_a_scheme_is_described() -> None:
    text = (DOCS / "reference" / "schemes.md").read_text() + (DOCS / "howto" / "schedule-timers.md").read_text()
    described = set(re.findall(r"`([a-z_]+)`|`([a-z_]+): ", text))
    words = {word for pair in described for word in pair} | set(re.findall(r"\b([a-z_]+):", text))
    documents = (document.SchemeDoc, document.ActivityDoc, document.TransitionDoc, document.ActionDoc, document.TimerDoc, document.ParameterDoc)
    for model in (*documents, document.CommandDoc, document.InputDoc, document.ActorDoc, document.TriggerDoc, document.ConditionDoc):
        assert keys(model) - words == set(), f"docs/reference/schemes.md does not describe these keys of {model.__name__}"


def keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_what_is_not_executed_is_listed() -> None:
    text = (DOCS / "reference" / "schemes.md").read_text()
    assert re.findall(r"^\| (.+) \| (.+) \|$", text.partition("| found |")[2], re.MULTILINE) == [(row.what, row.hint) for row in NOT_EXECUTED]


def test_system_parameters_and_functions_are_listed() -> None:
    schemes, expressions = ((DOCS / "reference" / name).read_text() for name in ("schemes.md", "expressions.md"))
    assert [name for name in SYSTEM if f"`{name}`" not in schemes] == []
    assert [function.name for function in FUNCTIONS.values() if not re.search(rf"`{function.name}[`(]", expressions)] == []


def test_promises_name_their_tests() -> None:
    rows = re.findall(r"^\| .+ \| `(tests/\S+)` \|$", (DOCS / "reference" / "guarantees.md").read_text(), re.MULTILINE)
    assert len(rows) >= 10
    assert [path for path in rows if not (ROOT / path).is_file()] == []


def test_files_of_the_tour_exist() -> None:
    files: dict[str, list[str]] = {}
    for section in re.split(r"^## ", (DOCS / "internals.md").read_text(), flags=re.MULTILINE):
        room = section.split(":")[0]
        if (ROOT / "workflow_runtime" / room).is_dir():
            files[room] = re.findall(r"`([a-z_]+\.py|[a-z_]+/)`", section)
    assert set(files) == {"core", "store", "engine"}
    assert [f"{room}/{name}" for room, names in files.items() for name in names if not (ROOT / "workflow_runtime" / room / name).exists()] == []


# ------------------------------------------------------------------ the list of errors


def error_list() -> str:
    lines = ["", "| error | default message |", "|---|---|"]
    for depth, kind in _tree(errors.WorkflowError, 0):
        message = (kind.__doc__ or "").splitlines()[0].replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| {'&emsp;' * depth}`{kind.__name__}` | {message} |")
    return "\n".join([*lines, "", ""])


def _tree(kind: type[errors.WorkflowError], depth: int) -> Iterator[tuple[int, type[errors.WorkflowError]]]:
    yield depth, kind
    for name in vars(errors):
        child = getattr(errors, name)
        if isinstance(child, type) and child.__base__ is kind:
            yield from _tree(child, depth + 1)


def test_the_list_of_errors_is_that_of_the_code() -> None:
    page = DOCS / "reference" / "errors.md"
    before, _, rest = page.read_text().partition("<!-- errors -->")
    listed, _, after = rest.partition("<!-- end -->")
    if os.environ.get("WF_REWRITE"):
        page.write_text(f"{before}<!-- errors -->{error_list()}<!-- end -->{after}")
        return
    assert listed == error_list(), "the page differs from errors.py; WF_REWRITE=1 pytest tests/test_docs.py writes it anew"


def test_the_rewritten_page_names_every_error() -> None:
    module: ModuleType = errors
    text = (DOCS / "reference" / "errors.md").read_text()
    assert [name for name in module.__all__ if name != "Problem" and f"`{name}`" not in text] == []
