"""I10: what clients were told about one process, at which moments, fits one order of events.

Law: an answer holds at some moment between its call and its return. The revision of a process only grows, and says
which of two standings came first, so an order exists exactly where real time and revisions agree: who was called after
another had its answer is told of no older revision, and one revision is one standing. A lost answer binds nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evidence import Call, Told

Flaw = tuple[str, str]  #: process, and what does not fit


def flaws(calls: Iterable[Call], finals: frozenset[str]) -> Iterator[Flaw]:
    """Of all processes; ``finals`` are the activities from which no command leads on."""
    mine: dict[str, list[tuple[Call, Told]]] = {}
    for call in calls:
        if call.told is not None and call.told.revision:
            mine.setdefault(call.process, []).append((call, call.told))
    for process, answered in mine.items():
        for flaw in (*_one_standing(answered), *_in_order(answered), *_ended_once(answered, finals)):
            yield process, flaw


def _one_standing(answered: list[tuple[Call, Told]]) -> Iterator[str]:
    seen: dict[int, tuple[str, str]] = {}
    for _, told in answered:
        standing = (told.status, told.activity)
        if seen.setdefault(told.revision, standing) != standing:
            yield f"revision {told.revision} was {seen[told.revision]} and {standing}"


def _in_order(answered: list[tuple[Call, Told]]) -> Iterator[str]:
    """One sweep over the moments: at each call, the newest revision of those that had returned."""
    returned = sorted(((told.at, told.revision) for _, told in answered))
    newest, place = 0, 0
    for call, told in sorted(answered, key=lambda pair: pair[0].called):
        while place < len(returned) and returned[place][0] < call.called:
            newest = max(newest, returned[place][1])
            place += 1
        if told.revision < newest:
            yield f"{call.verb} was told of revision {told.revision} after somebody was told of {newest}"


def _ended_once(answered: list[tuple[Call, Told]], finals: frozenset[str]) -> Iterator[str]:
    """A command is not executed after its process was seen at its end; a replay is no execution."""
    ended = min((told.at for _, told in answered if told.activity in finals), default=None)
    for call, told in answered:
        if ended is not None and call.verb == "command" and told.executed and not told.replayed and call.called > ended:
            yield f"the command with the key {call.key!r} was executed after the end"
