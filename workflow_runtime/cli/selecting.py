"""Which processes a command means, and the values that are handed to them.

Law: what people type is resolved to ids first, and what was listed is what is acted upon: a filter is never
asked again between the question and the deed. Of many only ids and revisions are kept.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from workflow_runtime.cli.output import json_text

if TYPE_CHECKING:
    from workflow_runtime.core.answers import Match
    from workflow_runtime.core.filters import ProcessFilter
    from workflow_runtime.core.process import Process
    from workflow_runtime.runtime import WorkflowRuntime

STDIN = "-"
PAGE = 500
_AT_ONCE = re.compile(r"now|0+(ms|[smhd])?")


def resolve(runtime: WorkflowRuntime, text: str) -> UUID:
    """An id, or the 6 or more characters it alone begins with. ProcessNotFound."""
    from workflow_runtime.errors import FilterError, ProcessNotFound

    try:
        return UUID(text)
    except ValueError:
        pass
    try:
        found = runtime.find_ids(text)
    except FilterError as error:
        raise click.UsageError(f"{error.message}; wfr process list shows the ids") from error
    if not found:
        raise ProcessNotFound(f"no process has an id that begins with {text!r}; it may have been deleted", process_id=text)
    if len(found) > 1:
        raise click.UsageError(f"{len(found)} ids begin with {text!r}, {found[0]} and {found[1]} for instance; give more characters")
    return found[0]


def selected(runtime: WorkflowRuntime, ids: Sequence[str], where: str | None) -> list[Match]:
    """The processes of an operator's verb: ids, ``-`` for ids on stdin, or a filter. Each once, in order.

    Whoever names a process means it as it stands then; what a filter has found is meant as it was found.
    """
    from workflow_runtime.core.answers import Match

    if bool(ids) == (where is not None):
        raise click.UsageError("name processes by id, by - for ids on stdin, or by --where FILTER (one of them)")
    if where is not None:
        return list(_matches(runtime, parsed(where)))
    return [Match(one, None) for one in dict.fromkeys(resolve(runtime, text) for text in _texts(ids))]


def _texts(ids: Iterable[str]) -> Iterator[str]:
    """The first word of each line of stdin, so that a table or a list may be piped in."""
    for text in ids:
        if text == STDIN:
            yield from (line.split()[0] for line in sys.stdin if line.strip())
        else:
            yield text


def parsed(where: str | None) -> ProcessFilter:
    """No ``--where`` means all; an empty one is refused, because a variable that was not set must not mean all."""
    from workflow_runtime.core.filters import parse_filter

    if where is not None and not where.strip():
        raise click.UsageError("the filter of --where is empty; write field=value, for instance --where 'status=Error', or leave out --where")
    return parse_filter(where or "", now=datetime.now(UTC))


def _matches(runtime: WorkflowRuntime, filter: ProcessFilter) -> Iterator[Match]:
    """Also of rows that cannot be read."""
    cursor: str | None = None
    while True:
        page = runtime.find_matches(filter, after=cursor)
        yield from page
        if (cursor := page.next) is None:
            return


def every(runtime: WorkflowRuntime, filter: ProcessFilter) -> Iterator[Process]:
    """All processes of a filter, read page by page."""
    cursor: str | None = None
    while True:
        page = runtime.find_processes(filter, limit=PAGE, after=cursor)
        yield from page
        if (cursor := page.next) is None:
            return


def parameters(pairs: Sequence[str], file: str | None) -> dict[str, Any]:
    """``-p name=value`` (JSON, else a text) over the JSON object of ``--params FILE|-``."""
    values = _from_file(file) if file else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{pair!r} is no parameter; expected name=value, for instance -p Amount=100")
        values[name] = _json_or_text(value)
    return values


def _json_or_text(value: str) -> Any:
    from workflow_runtime.errors import ParameterError

    try:
        return exact_json(value)
    except ParameterError:
        return value


def _from_file(file: str) -> dict[str, Any]:
    from workflow_runtime.errors import ParameterError

    try:
        values = exact_json(sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ParameterError) as error:
        raise click.UsageError(f"the parameters in {file!r} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise click.UsageError(f"the parameters in {file!r} are no JSON object; expected {json_text({'Amount': 100}, indent=None)} or the like")
    return values


def exact_json(text: str) -> Any:
    """``plain_json`` says what may be read; the second reading keeps the digits that a float would lose."""
    from workflow_runtime.core.values import plain_json

    plain_json(text)
    return json.loads(text, parse_float=_exact)


def _exact(written: str) -> float | Decimal:
    """A float where it is the same number, else a Decimal."""
    near = float(written)
    try:
        exact = Decimal(written)
    except ArithmeticError:  # an exponent that no Decimal has
        return near
    return near if Decimal(repr(near)) == exact else exact


def when(text: str) -> datetime | Any:
    """A time with its zone, an interval from now such as ``1h``, or ``now``."""
    from datetime import timedelta

    from workflow_runtime.core.timing import seconds
    from workflow_runtime.errors import TimerValueError

    if _AT_ONCE.fullmatch(text.strip()):
        return timedelta(0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return timedelta(seconds=seconds(text))
        except (TimerValueError, OverflowError) as error:
            raise click.UsageError(f"{text!r} is no time; expected 2031-12-24T08:00:00Z, an interval from now such as 1h, or now") from error
    if moment.utcoffset() is None:
        raise click.UsageError(f"{text!r} has no time zone; add one, for instance {text}Z")
    return moment
