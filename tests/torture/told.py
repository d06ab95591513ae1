"""I7 and I10: what clients were told, held against the rows of keys and against history."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from evidence import Call, KeyRow, Run
from linearizing import flaws
from violations import Violation

MOVED = "moved"
REQUESTS = ("Initializing", "Command")
#: what a client is told that says nothing about its request: it may be sent again with the same key
PASSING = frozenset(
    {"ProcessBusy", "StaleRevision", "StatusNotAllowed", "StoreUnavailable", "CommandInProgress", "Fenced", "RuntimeNotStarted", "ServerAlreadyRunning"}
)
#: an answer about the process as it stands now, whatever became of the request
GONE = "ProcessNotFound"
#: errors of what was refused before it began
REFUSED = frozenset({"ParameterError", "CommandNotAllowed"})


# ------------------------------------------------------------------ I7


def once_per_key(run: Run) -> Iterator[Violation]:
    sent: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in run.calls:
        if call.key:
            sent[call.scope, call.key].append(call)
    stored = {(row.scope, row.key): row for row in run.keys}
    for place, times in Counter((row.scope, row.key) for row in run.keys).items():
        if times > 1:
            yield Violation("I7", place[0], f"the key {place[1]!r} has {times} rows")
    for place in sorted(stored.keys() - sent.keys()):
        yield Violation("I7", place[0], f"there is a key {place[1]!r} that nobody sent")
    for place, calls in sent.items():
        yield from _told_alike(calls, stored.get(place))
    for row in run.keys:
        yield from _had_one_effect(run, row)
    told = {(row.process if row.trigger[0] == "Command" else "", row.key) for row in run.history if row.key and row.trigger[0] in REQUESTS}
    for scope, key in sorted(told - stored.keys()):
        yield Violation("I7", scope, f"history names the key {key!r}, which has no row")


def _told_alike(calls: list[Call], stored: KeyRow | None) -> Iterator[Violation]:
    final = {(told.executed, told.error) for call in calls if (told := call.told) is not None and told.error not in PASSING | {GONE}}
    process, key = calls[0].process, calls[0].key
    if len(final) > 1:
        yield Violation("I7", process, f"the senders of the key {key!r} were told {sorted(final)}")
    if final and stored is None:
        yield Violation("I7", process, f"a sender of the key {key!r} was told {sorted(final)}, and it has no row")
    if stored is not None and stored.is_settled and final - {_answer_of(calls[0], stored)}:
        yield Violation("I7", process, f"a sender of the key {key!r} was told {sorted(final)}, stored is {_answer_of(calls[0], stored)}")
    if sum(call.told is not None and call.told.executed and not call.told.replayed for call in calls if call.verb == "command") > 1:
        yield Violation("I7", process, f"the key {key!r} was executed for several of its senders")


def _answer_of(call: Call, stored: KeyRow) -> tuple[bool, str]:
    """As a sender is told it: an error is all there is to it."""
    return (stored.executed and not stored.error, stored.error)


def _had_one_effect(run: Run, row: KeyRow) -> Iterator[Violation]:
    if not row.is_settled:
        yield Violation("I7", row.process or "", f"the answer to the key {row.key!r} is still open")
    named = [entry for entry in run.history if entry.process == row.process and entry.key == row.key]
    kind = "Command" if row.scope == row.process else "Initializing"
    edges = sum(entry.kind == MOVED and entry.trigger[0] == kind for entry in named)
    if edges > 1:
        yield Violation("I7", row.process or "", f"the key {row.key!r} took its transition {edges} times")
    began = row.executed or (bool(row.error) and row.error not in REFUSED)
    if began and row.is_settled and not named:
        yield Violation("I7", row.process or "", f"the key {row.key!r} was executed, and no row of history names it")
    if not began and row.is_settled and named:
        yield Violation("I7", row.process or "", f"the key {row.key!r} was refused, and history names it")


# ------------------------------------------------------------------ I10


def in_one_order(run: Run) -> Iterator[Violation]:
    for process, text in flaws(run.calls, run.plan.finals):
        yield Violation("I10", process, text)
