"""Which processes: one value for Python, the command line and every other surface.

Law: a filter is a conjunction of known fields with values of their type; whatever else is written is a
FilterError, and nothing that a person writes becomes part of a statement.

==================  =======================================================================
field               holds for a process
==================  =======================================================================
scheme_code         of this scheme
status              of this status, or one of several: ``status=Idled,Error``
activity, state     that stands in this activity or state
identity            in whose history this identity acted, for itself or for another
tenant_id           of this tenant
parent_id           that is a child of this process
updated_before      not touched since: a time (``2031-12-24T08:00:00Z``) or an age (``1h``, ``2d 12h``)
parameters.NAME     whose parameter has exactly this value: JSON, or a text where it is no JSON;
                    numbers are one kind: 8 also finds 8.0 and the decimal 8.00
text                in whose scheme, activity, state, parameters or last error this text occurs
==================  =======================================================================

The grammar is ``field=value`` separated by blanks. A value with blanks stands in double quotes, in which ``\\"`` and
``\\\\`` are a quote and a backslash; so does the name of a parameter: ``parameters."Due date"="2031-12-24"``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NoReturn
from uuid import UUID

from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.process import Parameters, ProcessStatus
from workflow_runtime.core.timing import seconds
from workflow_runtime.core.values import check_parameters, in_utc, plain_json, quoted
from workflow_runtime.errors import FilterError, ParameterError, WorkflowError

__all__ = ["EVERYTHING", "LONGEST_FILTER", "LONGEST_TEXT", "MOST_TERMS", "ProcessFilter", "parse_filter"]

LONGEST_FILTER = 10_000  #: characters of a written filter
MOST_TERMS = 32
LONGEST_TEXT = 200  #: characters of one value


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFilter:
    """None, or an empty mapping, leaves a field open. ``status`` takes one status or several; names of them are taken too."""

    scheme_code: str | None = None
    status: ProcessStatus | tuple[ProcessStatus, ...] | None = None
    activity: str | None = None
    state: str | None = None
    identity: str | None = None
    tenant_id: str | None = None
    parent_id: UUID | None = None
    updated_before: datetime | None = None
    parameters: Parameters = EMPTY
    text: str | None = None

    def __post_init__(self) -> None:
        for name in _TEXTS:
            _check_text(name, getattr(self, name))
        object.__setattr__(self, "status", _status(self.status))
        object.__setattr__(self, "parent_id", _uuid(self.parent_id))
        object.__setattr__(self, "parameters", _parameters(self.parameters))
        if self.updated_before is not None and (not isinstance(self.updated_before, datetime) or self.updated_before.utcoffset() is None):
            _refuse("updated_before", f"expects a datetime with a time zone, not {quoted(self.updated_before)}")

    @property
    def statuses(self) -> tuple[ProcessStatus, ...]:
        """Empty: of any status."""
        return (self.status,) if isinstance(self.status, ProcessStatus) else self.status or ()


_TEXTS = ("scheme_code", "activity", "state", "identity", "tenant_id", "text")
_PARAMETER = "parameters."
_FIELDS = tuple(field.name for field in fields(ProcessFilter) if field.name != "parameters")

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TERM = re.compile(rf'\s*(parameters\.{_QUOTED}|[^\s="]+)=({_QUOTED}|[^\s"]*)(?=\s|$)', re.ASCII | re.DOTALL)


def parse_filter(text: str, *, now: datetime) -> ProcessFilter:
    """The filter that a person wrote; FilterError names the field and, where one is near, the field that was meant."""
    if len(text) > LONGEST_FILTER:
        raise FilterError(f"the filter has {len(text)} characters and {LONGEST_FILTER} are allowed", code="too_many", limit=LONGEST_FILTER)
    written: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    for field, value in _terms(text):
        if field.startswith(_PARAMETER) and len(field) > len(_PARAMETER):
            _put(parameters, _unquoted(field.removeprefix(_PARAMETER)), _json_or_text(value), field)
        elif field in _FIELDS:
            _put(written, field, _moment(value, now) if field == "updated_before" else value, field)
        else:
            _unknown(field)
    return ProcessFilter(**written, parameters=FrozenDict(parameters))


def _terms(text: str) -> Iterable[tuple[str, str]]:
    position, count, end = 0, 0, len(text.rstrip())
    while position < end:
        match = _TERM.match(text, position)
        if match is None:
            _not_a_term(text[position:].strip())
        count += 1
        if count > MOST_TERMS:
            raise FilterError(f"the filter has more than {MOST_TERMS} conditions", code="too_many", limit=MOST_TERMS)
        yield match[1], _unquoted(match[2])
        position = match.end()


def _not_a_term(rest: str) -> NoReturn:
    """A field that nobody knows is the better complaint than a form that does not fit."""
    field = rest.partition("=")[0].split()[0] if rest.partition("=")[0].split() else rest
    if "=" in rest and field not in _FIELDS and not field.startswith(_PARAMETER):
        _unknown(rest.partition("=")[0])
    raise FilterError(f"{quoted(rest)} is not of the form field=value; put a value with blanks in double quotes", code="bad_filter", field=field[:LONGEST_TEXT])


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL) if value.startswith('"') else value


def _put(target: dict[str, Any], name: str, value: Any, field: str) -> None:
    if name in target:
        _refuse(field, "stands twice; one process has one value (several statuses: status=Idled,Error)")
    target[name] = value


def _unknown(field: str) -> NoReturn:
    near = get_close_matches(field[:LONGEST_TEXT], [*_FIELDS, "parameters."], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_FIELDS)} and parameters.NAME"
    raise FilterError(f"unknown field {quoted(field)}; {hint}", code="unknown_field", field=field[:LONGEST_TEXT], suggestion=near[0] if near else "")


def _refuse(field: str, message: str, cause: Exception | None = None, **nouns: Any) -> NoReturn:
    raise FilterError(f"the field {field!r} {message}", code=nouns.pop("code", "bad_value"), field=field, **nouns) from cause


def _check_text(field: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        _refuse(field, f"expects a text, not {quoted(value)}")
    if len(value) > LONGEST_TEXT:
        _refuse(field, f"has a value of {len(value)} characters and {LONGEST_TEXT} are allowed", code="too_many", limit=LONGEST_TEXT)
    if "\0" in value or (not value.isprintable() and any("\ud800" <= character <= "\udfff" for character in value)):
        _refuse(field, "has a character that no database stores")


def _status(given: Any) -> ProcessStatus | tuple[ProcessStatus, ...] | None:
    if given is None or isinstance(given, ProcessStatus):
        return given
    names = given.split(",") if isinstance(given, str) else given
    try:
        statuses = tuple(dict.fromkeys(ProcessStatus(name) for name in names))
    except (ValueError, TypeError) as error:
        known = [status.value for status in ProcessStatus]
        wrong = next((name for name in names if name not in known), given) if isinstance(names, list | tuple) else given
        near = get_close_matches(str(wrong).capitalize(), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        _refuse("status", f"has the unknown value {quoted(wrong)}; {hint}", error)
    return statuses[0] if len(statuses) == 1 else statuses


def _uuid(given: Any) -> UUID | None:
    if given is None or isinstance(given, UUID):
        return given
    try:
        return UUID(given)
    except (ValueError, TypeError, AttributeError) as error:
        _refuse("parent_id", f"expects a UUID, not {quoted(given)}", error)


def _parameters(given: Any) -> Parameters:
    if not isinstance(given, Mapping):
        _refuse("parameters", f"expects a mapping of names to values, not {quoted(given)}")
    if len(given) > MOST_TERMS:
        _refuse("parameters", f"has more than {MOST_TERMS} names", code="too_many", limit=MOST_TERMS)
    try:
        return FrozenDict(check_parameters(given)) if given else EMPTY
    except ParameterError as error:
        _refuse("parameters", f"cannot be compared: {error}", error)


def _json_or_text(value: str) -> Any:
    try:
        found = plain_json(value)
        return Decimal(value) if isinstance(found, float) else found  # with all its digits
    except ParameterError:
        return value


def _moment(value: str, now: datetime) -> datetime:
    """An age counts back from now."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return _ago(value, now)
    if moment.utcoffset() is None:
        _refuse("updated_before", f"is {quoted(value)}, which has no time zone; add one, for instance {value}Z")
    try:
        return in_utc(moment)
    except ParameterError as error:
        _refuse("updated_before", f"is {quoted(value)}, which no calendar has; expected one such as 2031-12-24T08:00:00Z", error)


def _ago(value: str, now: datetime) -> datetime:
    try:
        return now - timedelta(seconds=seconds(value))
    except (WorkflowError, OverflowError) as error:
        _refuse("updated_before", f"expects a time such as 2031-12-24T08:00:00Z or an age such as 1h, not {quoted(value)}", error)


EVERYTHING = ProcessFilter()
