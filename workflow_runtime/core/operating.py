"""What an operator's verb makes of a process.

Law: a verb needs the process at rest or waiting, and leaves actor and reason in history in its first
transaction, whatever becomes of the walk that it begins. Only ``cancel`` may meet a Running process: then it
is a flag, honoured at the next step boundary.

=============  ==============================================================================
verb           what becomes true
=============  ==============================================================================
set_activity   a walk into that activity, with its actions; or only stand there
fire_timer     the walk of that timer, whenever it is due (as any other that is begun by a timer)
resume         the kept walk goes on at its first unfinished step, retry counts and deaths at 0
cancel         Terminated with the reason, the walk kept (rules.cancel)
delete         process, timers and journal go; history stays, with a last row that tells
set_parameter  the value, at once
set_timer      the row of that timer, due when the operator says
=============  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from workflow_runtime.core import entries, rules
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import Change, ChangeKind, EntryKind, Parameters, Process, Timer, TimerKind, Trigger, TriggerKind, Walk, evolve


class Order(NamedTuple):
    """Who wants it, and why; both are required."""

    verb: str
    actor: str
    reason: str

    @property
    def trigger(self) -> Trigger:
        return Trigger(TriggerKind.OPERATOR, self.verb)


def is_at_rest(process: Process) -> bool:
    """Whether an operator may act on it now: it is not executed by a server."""
    return process.owner is None


def walk_into(activity: str, order: Order, *, walk_id: str, temporary: Parameters, now: datetime) -> Walk:
    """The walk that enters an activity by order, without a transition."""
    return Walk(
        id=walk_id,
        activity=activity,
        trigger=order.trigger,
        run=order.trigger,
        started_at=now,
        temporary=temporary,
        actor=order.actor,
        reason=order.reason,
    )


def begin(process: Process, walk: Walk, order: Order, *, owner: str | None, now: datetime) -> Change:
    """The walk as ordered; deaths are counted anew.

    ``owner`` None (a client cannot execute): it stands with an empty owner and a due row, which any server takes.
    """
    begun = rules.begin(process, walk, owner=owner, now=now)
    assert begun.after is not None
    change = replace(begun, kind=ChangeKind.OPERATE, after=evolve(begun.after, deaths=0, deaths_step=""))
    if owner is None:
        row = Timer(name=TimerKind.START, kind=TimerKind.START, due=now)
        change = replace(change, arm=(row,), release=False)
    return told(change, order, server=owner, now=now)


def take_up(process: Process, *, owner: str, now: datetime) -> Change:
    """A waiting process becomes mine and its reserved row goes."""
    after = evolve(process, owner=owner, token=process.token + 1, waiting_until=None, updated_at=now)
    return Change(kind=ChangeKind.CLAIM, before=process, after=after, release=True)


def resume(process: Process, walk: Walk, order: Order, *, now: datetime) -> Walk:
    """The kept walk, as a person lets it go on."""
    return replace(walk, tries=0, actor=order.actor, reason=order.reason)


def settle(process: Process, order: Order, *, server: str | None, now: datetime) -> Change:
    """Resumed without a walk and without an automatic way out: it waits where it stands."""
    rested = rules.rest(process, now=now)
    assert rested.after is not None
    return told(replace(rested, kind=ChangeKind.OPERATE), order, server=server, now=now)


def delete(process: Process, order: Order, *, server: str | None, now: datetime) -> Change:
    entry = entries.note(process, EntryKind.DELETED, now=now, server=server, trigger=order.trigger, actor=order.actor, reason=order.reason)
    return Change(kind=ChangeKind.DELETE, before=process, after=None, entries=(entry,))


def set_parameters(process: Process, values: Mapping[str, Any], order: Order, *, server: str | None, now: datetime) -> Change:
    """None removes a value."""
    merged = {name: value for name, value in {**process.parameters, **values}.items() if value is not None}
    after = evolve(process, parameters=FrozenDict(merged), updated_at=now)
    return told(Change(kind=ChangeKind.OPERATE, before=process, after=after), order, server=server, now=now)


def set_timer(process: Process, name: str, due: datetime, order: Order, *, server: str | None, now: datetime) -> Change:
    spec = process.pinned.timer(name)
    row = Timer(name=name, due=due, value=spec.value if spec else "")
    change = Change(kind=ChangeKind.OPERATE, before=process, after=evolve(process, updated_at=now), arm=(row,))
    return told(change, order, server=server, now=now)


def told(change: Change, order: Order, *, server: str | None, now: datetime) -> Change:
    """The same change with a history row that names actor and reason."""
    assert change.after is not None
    entry = entries.note(change.after, EntryKind.OPERATED, now=now, server=server, trigger=order.trigger, actor=order.actor, reason=order.reason)
    return replace(change, after=evolve(change.after, last_seq=entry.seq), entries=(*change.entries, entry))
