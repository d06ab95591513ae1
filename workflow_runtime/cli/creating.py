"""``wfr process create --count`` and ``--from``: many processes by one command. Nothing is executed here: what acts is queued."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from workflow_runtime.cli.naming import DONE
from workflow_runtime.cli.options import Call, Output
from workflow_runtime.cli.output import card, json_text, say, write
from workflow_runtime.cli.selecting import STDIN, exact_json
from workflow_runtime.cli.transfer import progress_bar
from workflow_runtime.core.plain import plain

if TYPE_CHECKING:
    from uuid import UUID

    from workflow_runtime.core.answers import CreationReport


def create_many(call: Call, scheme: str, given: Mapping[str, Any], *, count: int | None, source: str | None, identity: str | None) -> int:
    """``given`` are parameters of all; what a line of ``source`` says goes before them."""
    with call.client() as runtime, _lines(source) as lines, progress_bar() as progress:
        instances = ({**given, **each} for each in _objects(lines, source or "")) if lines else [given] * (count or 0)
        report = runtime.create_instances(scheme, instances, identity=identity, on_created=_print_ids if call.output is Output.IDS else None, progress=progress)
    if call.output is not Output.IDS:
        card(report, plain(report), call.output, id="")
    say(f"create: {report.created} created{_queued(report)}")
    return DONE


def _queued(report: CreationReport) -> str:
    return f", {report.queued} of them left to the servers, because they act or fail before they rest" if report.queued else ""


def _print_ids(ids: Sequence[UUID]) -> None:
    """As they are stored: a pipe need not wait for the last."""
    write("\n".join(map(str, ids)))


def _lines(source: str | None) -> AbstractContextManager[TextIO | None]:
    """UsageError where the file cannot be opened."""
    if source is None or source == STDIN:
        return nullcontext(sys.stdin if source else None)
    try:
        return Path(source).open(encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{source!r} cannot be read: {error.strerror}") from error


def _objects(lines: TextIO, source: str) -> Iterator[Mapping[str, Any]]:
    """One JSON object per line, read as it is needed; empty lines are passed over. ParameterError names the line."""
    from workflow_runtime.errors import ParameterError

    number = 0
    try:
        for line in lines:
            number += 1
            if line.strip():
                yield _object(line)
    except (ParameterError, UnicodeDecodeError) as error:
        raise ParameterError(f"line {number} of {source!r}: {error}", code="bad_line", line=number) from error


def _object(line: str) -> Mapping[str, Any]:
    from workflow_runtime.errors import ParameterError

    value = exact_json(line)
    if not isinstance(value, dict):
        raise ParameterError(f"no JSON object; expected {json_text({'Amount': 100}, indent=None)} or the like")
    return value
