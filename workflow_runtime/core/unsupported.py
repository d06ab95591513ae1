"""What this release reads, keeps and writes, and does not execute yet.

Law: a scheme is never run with a part of it left out. What would change a run and is not executed is an
error here, by name and place; the release that executes it deletes its row from ``NOT_EXECUTED``.

No obstacles, because no run depends on them: actions of a dry run, IsFork="false", drawing data, unknown
Designer attributes, provenance, DisablePersist*, log_enabled, tags, comments, localization, sources of code actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from workflow_runtime.core.finding import Finding, Names, placed
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, Element, TimerSpec
from workflow_runtime.core.scheme_words import TimerType
from workflow_runtime.core.timing import parse_interval
from workflow_runtime.core.values import quoted
from workflow_runtime.errors import Problem, TimerValueError

__all__ = ["NOT_EXECUTED", "NOT_SUPPORTED", "NotExecuted", "unsupported"]

NOT_SUPPORTED = "not_supported"


def unsupported(scheme: Scheme, names: Names | None = None) -> tuple[Problem, ...]:
    """One error ``not_supported`` per element that a later release executes; empty: the scheme may be started.

    Custom activities are executed by plugins; without ``names`` no type is registered.
    """
    return placed(scheme, (finding for row in NOT_EXECUTED for finding in _findings(row, scheme, names or Names())))


class NotExecuted(NamedTuple):
    what: str
    where: Callable[[Scheme, Names], Iterable[Element]]
    hint: str  #: what to do until then


def _findings(row: NotExecuted, scheme: Scheme, names: Names) -> Iterator[Finding]:
    for element in row.where(scheme, names):
        custom = element.custom_type if isinstance(element, Activity) else ""
        message = f"{row.what}{_owner(scheme, element)} can be read, but this release does not execute it; {row.hint}"
        yield Finding(element, NOT_SUPPORTED, message, name=custom, known=names.activities)


def _owner(scheme: Scheme, element: Element) -> str:
    """`` of activity 'Charge'``."""
    name = scheme.code if element is scheme else getattr(element, "name", "")
    return f" of {type(element).__name__.removesuffix('Spec').lower()} {quoted(name)}"


def _custom(scheme: Scheme, names: Names) -> Iterator[Activity]:
    return (activity for activity in scheme.activities if activity.custom_type and activity.custom_type not in names.activities)


def _is_working(timer: TimerSpec) -> bool:
    try:
        if timer.type is TimerType.INTERVAL:
            parse_interval(timer.value)
    except TimerValueError as error:
        return error.code == NOT_SUPPORTED
    return False


_Row = NotExecuted

NOT_EXECUTED: tuple[NotExecuted, ...] = (
    _Row("a fork", lambda s, _: (t for t in s.transitions if t.fork), "let one process take the branches one after the other"),
    _Row("inlining", lambda s, _: (a for a in s.activities if a.inline), "copy the activities of that scheme to this place"),
    _Row("InlinedFinalActivityName", lambda s, _: (t for t in s.transitions if t.inlined_final_activity), "let the transition start at an ordinary activity"),
    _Row("the custom type without a plugin", _custom, "install the plugin for this type, or use actions"),
    _Row("an interval in working time", lambda s, _: (t for t in s.timers if _is_working(t)), "write it in plain units: d, h, m, s"),
    _Row("the working calendar", lambda s, _: (s,) if s.calendar else (), "remove it"),
)
