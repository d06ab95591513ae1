"""The reference page is made from the commands, and the examples in their help are command lines that parse.

``WF_REWRITE=1 pytest tests/cli/test_cli_reference.py`` writes docs/reference/cli.md anew.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from inspect import cleandoc
from pathlib import Path

import click
import pytest

from workflow_runtime.cli.commands import wfr
from workflow_runtime.cli.options import Call
from workflow_runtime.core.filters import ProcessFilter, parse_filter

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"

HEAD = """# The command line

`wfr` and `python -m workflow_runtime` are the same. This page is made from the commands themselves.

Exit codes: 0 done · 1 failed · 2 usage, or a confirmation that nobody could give · 4 not found · 6 some of many failed. A closed
pipe ends quietly with 0, Ctrl-C by the signal. With `-o json` an error is an object on stderr whose `code` is the error's name.
"""


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that lead to it."""
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from leaves(command.commands[name], (*path, name))
    else:
        yield path, command


LEAVES = dict(leaves(wfr))
COMMON = [parameter for parameter in LEAVES["db", "check"].params if parameter.name in ("url", "app", "schemes", "plugins", "output", "debug")]
each_leaf = pytest.mark.parametrize(("path", "command"), LEAVES.items(), ids=map(" ".join, LEAVES))


def examples_of(command: click.Command) -> list[str]:
    lines = (command.epilog or "").splitlines()
    return [line.strip() for line in lines[lines.index("Examples:") + 1 :]]


def page() -> str:
    """Made from the commands, not from the help that click prints, which differs between its versions."""
    common = "\n".join(["Every command but `demo` takes:", "", *map(described, COMMON)])
    return "\n".join([HEAD, common, "", *(section(path, command) for path, command in LEAVES.items())])


def section(path: tuple[str, ...], command: click.Command) -> str:
    arguments = [parameter.metavar or str(parameter.name).upper() for parameter in command.params if isinstance(parameter, click.Argument)]
    own = [described(parameter) for parameter in command.params if isinstance(parameter, click.Option) and parameter not in COMMON]
    usage = [f"`{' '.join(['wfr', *path, *arguments])}`", ""] if arguments else []
    options = ["", *own] if own else []
    return "\n".join([f"## wfr {' '.join(path)}", "", *usage, prose(command), *options, "", "```sh", *examples_of(command), "```", ""])


def prose(command: click.Command) -> str:
    """Without the sign by which click leaves lines as they are."""
    return cleandoc(command.help or "").replace("\b\n", "")


def described(option: click.Parameter) -> str:
    assert isinstance(option, click.Option)
    names = ", ".join(option.opts + option.secondary_opts)
    value = "|".join(option.type.choices) if isinstance(option.type, click.Choice) else option.metavar or option.type.name.split()[0].upper()
    takes = "" if option.is_flag else f" {value}"
    return f"- `{names}{takes}`{' (required)' if option.required else ''}: {option.help}"


def test_the_page_tells_what_the_commands_say() -> None:
    if os.environ.get("WF_REWRITE"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/reference/cli.md is old: run this test with WF_REWRITE=1"


@each_leaf
def test_help_ends_with_two_or_three_examples(path: tuple[str, ...], command: click.Command) -> None:
    assert 2 <= len(examples_of(command)) <= 3
    assert command.help
    assert all(re.search(rf"\bwfr {re.escape(path[0])}\b|\bwfr \w+ \w+", example) for example in examples_of(command))


def calls(example: str) -> Iterator[list[str]]:
    """The calls of ``wfr`` in one line of shell."""
    for part in re.split(r" (?:\||&&) ", example):
        words = shlex.split(part)
        if words[0] == "wfr":
            yield words[1:]


@each_leaf
def test_examples_parse(path: tuple[str, ...], command: click.Command) -> None:
    for example in examples_of(command):
        assert [parsed(words) for words in calls(example)], example


def parsed(words: list[str]) -> click.Command:
    """Down the tree as click goes, without doing anything; UsageError where a line does not fit."""
    context, command = click.Context(wfr, obj=Call()), wfr
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found  # type: ignore[assignment]
        context = click.Context(command, parent=context)
    command.make_context(command.name, list(words), parent=context)
    return command


@each_leaf
def test_every_command_takes_the_common_options(path: tuple[str, ...], command: click.Command) -> None:
    names = {option for parameter in command.params for option in parameter.opts}
    assert path == ("demo",) or {"--url", "--app", "--schemes", "--plugins", "--output", "--debug"} <= names


def test_the_commands_are_those_that_were_promised() -> None:
    promised = {
        "demo": "",
        "scheme": "check convert show diagram list",
        "process": "create list show history commands execute set-state set-activity resume cancel delete",
        "recovery": "plan run report",
        "timer": "list fire set",
        "server": "list run",
        "db": "upgrade check backup renew",
        "export": "",
        "import": "",
        "plugins": "list",
    }
    assert set(LEAVES) == {(noun, *([verb] if verb else [])) for noun, verbs in promised.items() for verb in (verbs.split() or [""])}


def test_the_help_of_list_names_every_field_of_a_filter_with_a_value_that_fits() -> None:
    described = re.findall(r"^ *- ([a-z_]+)(\.\w+)?=(\".*?\"|\S+)", LEAVES["process", "list"].help or "", re.MULTILINE)
    assert {name for name, _, _ in described} == {field.name for field in fields(ProcessFilter)}
    assert parse_filter(" ".join(f"{name}{parameter}={value}" for name, parameter, value in described), now=datetime.now(UTC))


def test_operator_verbs_take_actor_reason_yes_and_dry_run() -> None:
    for name in ("set-state", "set-activity", "resume", "cancel", "delete"):
        names = {option for parameter in LEAVES["process", name].params for option in parameter.opts}
        assert {"--actor", "--reason", "--yes", "--dry-run", "--where"} <= names
