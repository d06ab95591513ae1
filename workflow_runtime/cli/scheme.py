"""``wfr scheme``: check and convert files, show and draw what is stored. Files need no database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from workflow_runtime.cli.naming import DONE, FAILED, noun
from workflow_runtime.cli.options import Call, verb
from workflow_runtime.cli.output import Table, printable, say, shown, write

if TYPE_CHECKING:
    from workflow_runtime.core.scheme import Scheme
    from workflow_runtime.errors import Problem

scheme = noun("scheme", "Check, convert, draw and list schemes.")

FORMATS = ["xml", "yaml", "json"]
DRAWINGS = ["mermaid", "dot", "text"]

_FOUND = Table(
    {"place": lambda p: f"{p.path}:{p.line}:{p.column}", "severity": lambda p: p.severity, "code": lambda p: p.code, "message": lambda p: _sentence(p)},
    id=lambda p: p.path,
    empty="no problems",
)


@verb(
    scheme, "check", "wfr scheme check schemes/order.yaml", "wfr scheme check schemes/*.yaml --strict", "wfr scheme check order.xml --app shop:runtime -o json"
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
def check(call: Call, files: tuple[str, ...], strict: bool) -> int:
    """Tell every problem of schemes, with its place.

    Names of actions, conditions and rules are checked when --app or --plugins says where they come from.
    Exit code 1 when there are errors.
    """
    found = [problem for file in files for problem in _problems(call, file)]
    _FOUND.show(found, call.output)
    errors = sum(problem.severity == "error" for problem in found)
    warnings = len(found) - errors
    say(f"{_count(len(files), 'file')}, {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    return FAILED if errors or (strict and warnings) else DONE


@verb(scheme, "convert", "wfr scheme convert order.xml --to yaml", "wfr scheme convert order.yaml --to xml -O order.xml")
@click.argument("file")
@click.option("--to", "form", type=click.Choice(FORMATS), required=True, help="The format to write.")
@click.option("-O", "--output-file", metavar="FILE", help="Where to; stdout by default.")
def convert(call: Call, file: str, form: str, output_file: str | None) -> None:
    """Write a scheme in another format. Its meaning stays, and so do drawing data and localization."""
    from workflow_runtime.core.reading import Format
    from workflow_runtime.core.reading import write as written

    _deliver(written(_read(file), Format(form)), output_file)


@verb(scheme, "show", "wfr scheme show Order", "wfr scheme get Order --to xml")
@click.argument("code")
@click.option("--version", help="A version, in full, instead of the current one.")
@click.option("--to", "form", type=click.Choice(FORMATS), default="yaml", help="The format; yaml by default.")
def show(call: Call, code: str, version: str | None, form: str) -> None:
    """Print a scheme that is stored in the database."""
    from workflow_runtime.core.reading import Format
    from workflow_runtime.core.reading import write as written

    with call.client() as runtime:
        write(written(runtime.get_scheme(code, version), Format(form)))


@verb(
    scheme, "diagram", "wfr scheme diagram Order", "wfr scheme diagram schemes/order.yaml --format dot | dot -Tsvg -O", "wfr scheme diagram Order --format text"
)
@click.argument("source", metavar="FILE|CODE")
@click.option("--format", "form", type=click.Choice(DRAWINGS), default="mermaid", help="The language; mermaid by default.")
@click.option("-O", "--output-file", metavar="FILE", help="Where to; stdout by default.")
def diagram(call: Call, source: str, form: str, output_file: str | None) -> None:
    """Draw a scheme: a file, else the stored one with this code."""
    from workflow_runtime.core.diagram import DiagramFormat, draw

    _deliver(draw(_of_file_or_store(call, source), DiagramFormat(form)), output_file)


@verb(scheme, "list", "wfr scheme list", "wfr scheme ls -o json")
def list_(call: Call) -> None:
    """List the schemes in the database, each with its current version."""
    with call.client() as runtime:
        _STORED.show([_stored(runtime.get_scheme(code)) for code in runtime.get_scheme_codes()], call.output)


class Stored(NamedTuple):
    code: str
    version: str
    activities: int
    commands: list[str]


_STORED = Table(
    {"code": lambda s: s.code, "version": lambda s: s.version[:12], "activities": lambda s: s.activities, "commands": lambda s: ", ".join(s.commands)},
    id=lambda s: s.code,
    empty="the database has no schemes; a server adds them: wfr server run --schemes FILE",
)


def _stored(scheme: Scheme) -> Stored:
    return Stored(scheme.code, scheme.key.version, len(scheme.activities), [command.name for command in scheme.commands])


# Files


def _problems(call: Call, file: str) -> list[Problem]:
    from workflow_runtime.core.reading import read
    from workflow_runtime.errors import SchemeError

    found: list[Problem] = []
    try:
        scheme = read(_bytes(file), path=file, code=Path(file).stem, report=found)
    except SchemeError as error:
        return [*error.problems, *found]
    return [*found, *call.runtime().check_scheme(scheme, names=call.has_names)]


def _read(file: str) -> Scheme:
    from workflow_runtime.core.reading import read

    return read(_bytes(file), path=file, code=Path(file).stem)


def _bytes(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise click.UsageError(f"the file {file!r} cannot be read: {error.strerror}") from error


def _of_file_or_store(call: Call, source: str) -> Scheme:
    if Path(source).is_file():
        return _read(source)
    with call.client() as runtime:
        return runtime.get_scheme(source)


def _deliver(text: str, file: str | None) -> None:
    if file is None:
        write(text)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"the file {file!r} cannot be written: {error.strerror}") from error
    say(f"written: {file}")


def _sentence(problem: Problem) -> str:
    hint = f" (did you mean {problem.suggestion!r}?)" if problem.suggestion else ""
    return printable(problem.message) + shown(hint)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
