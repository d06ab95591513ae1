"""The habits of the house, as tests: types, style, and what no file of the package may contain.

The tools run as subprocesses on the whole repository, one after the other and early (tests/conftest.py).
Import contracts are in test_contracts.py, the pages in test_docs.py.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST_FILE = 400
LONGEST_FUNCTION = 45
#: who may ask the machine for the time: the clock, and the command line, which stands above all that is handed one
CLOCKS = ("workflow_runtime/engine/clock.py", "workflow_runtime/cli/")

TIME_OF_THE_MACHINE = {
    *(("datetime", name) for name in ("now", "utcnow", "today")),
    ("date", "today"),
    *(("time", name) for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")),
}
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill"}
UNSAFE_YAML = {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"}
SQL_TEXTS = {"text", "exec_driver_sql"}


def sources() -> list[Path]:
    found = [path for folder in ("workflow_runtime", "plugins") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if "migrations" not in path.parts]


# ------------------------------------------------------------------ tools


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280)


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("mypy", "--strict"), "mypy finds types that do not fit; see the lines above"),
        (("ruff", "check"), "ruff finds faults; `ruff check --fix` mends most of them"),
        (("ruff", "format", "--check"), "files are not formatted; `ruff format` does it"),
    ],
    ids=["mypy", "ruff check", "ruff format"],
)
def test_the_tools_find_nothing(arguments: tuple[str, ...], remedy: str) -> None:
    result = run(*arguments)
    assert result.returncode == 0, f"{result.stdout}{result.stderr}\n{remedy}"


# ------------------------------------------------------------------ what no file contains


def offences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and kind of everything that is forbidden everywhere, or everywhere but in the clock."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name) if (owner, name) in TIME_OF_THE_MACHINE:
                yield node.lineno, "time"
            case ast.Attribute(value=ast.Name(id="time"), attr="sleep"):
                yield node.lineno, "sleep"
            case ast.Attribute(value=ast.Name(id="yaml"), attr=name) if name in UNSAFE_YAML:
                yield node.lineno, "yaml"
            case ast.Import(names=names) if any(alias.name.split(".")[0] in UNSAFE_MODULES for alias in names):
                yield node.lineno, "pickle"
            case ast.ImportFrom(module=str(module)):
                yield from ((node.lineno, kind) for kind in _imported(module, {alias.name for alias in node.names}))
            case ast.Call(func=ast.Name(id="eval" | "exec" | "compile")):
                yield node.lineno, "eval"
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.JoinedStr() | ast.BinOp(), *_]) if name in SQL_TEXTS:
                yield node.lineno, "sql"


def _imported(module: str, names: set[str]) -> Iterator[str]:
    if module.split(".")[0] in UNSAFE_MODULES:
        yield "pickle"
    if module == "yaml" and names & UNSAFE_YAML:
        yield "yaml"
    if module == "time" and "sleep" in names:
        yield "sleep"
    if module == "time" and names & {name for owner, name in TIME_OF_THE_MACHINE if owner == "time"}:
        yield "time"


REMEDIES = {
    "time": "asks the machine for the time; take it as an argument; below the command line only engine/clock.py may",
    "sleep": "sleeps; wait for an event with a timeout",
    "yaml": "reads YAML with a loader that can build anything; core/reading/yaml_text.py has ours",
    "pickle": "imports a module that runs what it reads",
    "eval": "runs text as code",
    "sql": "builds SQL from strings; use bound parameters",
}


@pytest.mark.parametrize("kind", REMEDIES)
def test_no_file_does_what_is_forbidden(kind: str) -> None:
    found = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        if not (kind == "time" and name.startswith(CLOCKS)):
            found += [f"{name}:{line} {REMEDIES[kind]}" for line, what in offences(ast.parse(path.read_text())) if what == kind]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("datetime.now(UTC)", "time"),
        ("datetime.datetime.utcnow()", "time"),
        ("date.today()", "time"),
        ("started = time.monotonic", "time"),
        ("from time import monotonic", "time"),
        ("time.sleep(0.1)", "sleep"),
        ("from time import sleep", "sleep"),
        ("yaml.load(text, Loader=Loader)", "yaml"),
        ("from yaml import unsafe_load", "yaml"),
        ("import pickle", "pickle"),
        ("from pickle import loads", "pickle"),
        ("eval(text)", "eval"),
        ("exec(compile(text, 'x', 'exec'))", "eval"),
        ("connection.execute(text(f'DELETE FROM {table}'))", "sql"),
        ("connection.execute(sa.text('DELETE FROM ' + table))", "sql"),
        ("connection.exec_driver_sql(f'PRAGMA {name}')", "sql"),
    ],
)
def test_what_is_forbidden_is_found(code: str, kind: str) -> None:
    assert {what for _, what in offences(ast.parse(code))} == {kind}


@pytest.mark.parametrize(
    "code", ["clock.now()", "clock.monotonic()", "re.compile(text)", "json.load(file)", "text('SELECT 1')", "import time", "event.wait(1)"]
)
def test_what_is_allowed_is_not_found(code: str) -> None:
    assert list(offences(ast.parse(code))) == []


# ------------------------------------------------------------------ sizes


def test_files_can_be_read_in_one_sitting() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in sources()}
    too_long = {name: length for name, length in lengths.items() if length > LONGEST_FILE}
    assert not too_long, f"files of more than {LONGEST_FILE} lines: {too_long}; split them by subject"


def test_functions_fit_on_a_screen() -> None:
    too_long = {
        f"{path.relative_to(ROOT).as_posix()}:{node.lineno} {node.name}": length
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (length := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert not too_long, f"functions of more than {LONGEST_FUNCTION} lines: {too_long}; give their parts names"


def test_every_file_begins_with_what_it_is_for() -> None:
    silent = [path.relative_to(ROOT).as_posix() for path in sources() if (code := path.read_text().strip()) and not ast.get_docstring(ast.parse(code))]
    assert not silent, f"files without a docstring: {silent}"


def test_nothing_is_called_utils() -> None:
    names = {"utils", "util", "helpers", "common", "misc"}
    found = [path.relative_to(ROOT).as_posix() for path in sources() if names & {path.stem, *path.parts}]
    assert not found, f"these names say nothing: {found}"
