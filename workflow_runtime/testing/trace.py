"""The history of a process in a form a person can read, without what differs from run to run.

=======  ==========================================================================
column   what it shows
=======  ==========================================================================
1        the row's number
2        the time since the first row
3        what set it going, for whom (``for`` whom it was done in their name), and by whose order
4        from where to where, the state in brackets, and the status after it
=======  ==========================================================================

Rows that moved nothing say what happened and where the process stands. The last line tells where it ended, with its
values. Ids, servers, walks and absolute times are left out, so that equal runs have equal traces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from workflow_runtime.core.pages import Page
from workflow_runtime.core.process import EntryKind, HistoryEntry, Process, TriggerKind

__all__ = ["trace", "trace_lines"]

_SET_GOING = {
    TriggerKind.CREATE: "created",
    TriggerKind.COMMAND: "command",
    TriggerKind.TIMER: "timer",
    TriggerKind.AUTO: "automatic",
    TriggerKind.OPERATOR: "operator",
    TriggerKind.RECOVERY: "recovery",
}


class Told(Protocol):
    """A started runtime, as far as it is needed here."""

    def get_process(self, process_id: UUID | str) -> Process: ...

    def get_history(self, process_id: UUID | str, *, after: int = 0, limit: int = 200) -> Page[HistoryEntry]: ...


def trace(runtime: Told, process_id: UUID | str) -> str:
    """The whole history and the end, one line each. ProcessNotFound."""
    process = runtime.get_process(process_id)
    entries = list(_all(runtime, process_id))
    ended = f"ends {process.status} at {process.activity}{_values(process.parameters)}"
    return "\n".join([process.scheme_code, *trace_lines(entries), ended, ""])


def trace_lines(entries: Iterable[HistoryEntry]) -> list[str]:
    """One line for each row, a second one under those that carry an error."""
    lines: list[str] = []
    first: HistoryEntry | None = None
    for entry in entries:
        first = first or entry
        lines.append(f"{entry.seq:>4}  {_span(entry.at - first.at):<12}  {_cause(entry):<34}  {_move(entry)}")
        if entry.error is not None:
            lines.append(f"      {entry.error.type}: {entry.error.message}")
    return lines


def _all(runtime: Told, process_id: UUID | str) -> Iterable[HistoryEntry]:
    after = 0
    while page := runtime.get_history(process_id, after=after):
        yield from page
        after = page[-1].id


def _cause(entry: HistoryEntry) -> str:
    words = [_SET_GOING[entry.trigger.kind], entry.trigger.name]
    if entry.identity is not None:
        words += ["by", entry.identity]
    if entry.impersonated_identity is not None:
        words += ["for", entry.impersonated_identity]
    if entry.actor is not None:
        words += ["ordered by", f"{entry.actor}:"]
    if entry.reason is not None:
        words.append(entry.reason)
    return " ".join(word for word in words if word)


def _move(entry: HistoryEntry) -> str:
    if entry.kind is EntryKind.MOVED:
        left = f"{entry.from_activity} -> " if entry.from_activity else "-> "
        return f"{left}{entry.to_activity}{_state(entry)}  {entry.status}"
    return f"{entry.kind.replace('_', ' ')} at {entry.to_activity or 'no activity'}  {entry.status}"


def _state(entry: HistoryEntry) -> str:
    return f" [{entry.to_state}]" if entry.to_state else ""


def _values(parameters: Mapping[str, Any]) -> str:
    return "".join(f"\n      {name} = {parameters[name]!r}" for name in sorted(parameters))


def _span(span: timedelta) -> str:
    """``2d 03:00:00`` or ``00:15:00``, with a fraction where there is one."""
    days, rest = divmod(span, timedelta(days=1))
    clock = str(rest).rjust(8, "0") if not rest.microseconds else str(rest).rjust(15, "0")
    return f"{days}d {clock}" if days else clock
