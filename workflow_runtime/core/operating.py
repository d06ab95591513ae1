"""What an operator's verb makes of a process.

Law: a verb needs the process at rest or waiting, and leaves actor and reason in history in its first
transaction, whatever becomes of the walk that it begins. Only ``cancel`` may meet a Running process: then it
is a flag, honoured at the next step boundary.

=============  ==============================================================================
verb           what becomes true
=============  ==============================================================================
set_activity   a walk into that activity, with its actions; or only stand there
fire_timer     the walk of that timer, whenever it is due (as any other that is begun by a timer)
resume         the kept walk goes on at its first unfinished step, retry counts and deaths at 0, its deadline anew
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

from workflow_runtime.core import entries, rules, settling
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import (
    Change,
    ChangeKind,
    EntryKind,
    Parameters,
    Process,
    ProcessStatus,
    Timer,
    TimerKind,
    Trigger,
    TriggerKind,
    Walk,
)


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


def begin(process: Process, walk: Walk, order: Order | None, *, owner: str | None, now: datetime) -> Change:
    """The walk as ordered; deaths are counted anew.

    ``owner`` None (a client cannot execute): it stands with an empty owner and a due row, which any server takes.
    ``order`` None: history knows it from the client that left it.
    """
    begun = rules.begin(process, walk, owner=owner, now=now)
    assert begun.after is not None
    change = replace(begun, kind=ChangeKind.OPERATE, after=evolve(begun.after, deaths=0, deaths_step=""))
    if owner is None:
        row = Timer(name=TimerKind.START, kind=TimerKind.START, due=now)
        change = replace(change, arm=(row,), release=False)
    return told(change, order, server=owner, now=now) if order else change


def resume(process: Process, walk: Walk, order: Order, *, now: datetime) -> Walk:
    """The kept walk, as a person lets it go on."""
    in_doubt = walk.in_doubt or not process.is_waiting  # what waits had not begun another attempt
    return evolve(walk, tries=0, attempts=(), in_doubt=in_doubt, deadline=None, timeouts=0, actor=order.actor, reason=order.reason)


def settle(process: Process, order: Order | None, *, server: str | None, now: datetime) -> Change:
    """Resumed without a walk and without an automatic way out: it waits where it stands. ``order`` None: it was told when a client left it."""
    rested = replace(rules.rest(process, now=now), kind=ChangeKind.OPERATE, release=True)
    return told(rested, order, server=server, now=now) if order else rested


def left(process: Process, order: Order, *, now: datetime) -> Change:
    """Resumed without a walk by a client, which knows no conditions: any server looks for an automatic way on, see ``begin``."""
    after = evolve(rules.at_rest(process, ProcessStatus.RUNNING, now), token=process.token + 1)
    row = Timer(name=TimerKind.START, kind=TimerKind.START, due=now)
    return told(Change(kind=ChangeKind.OPERATE, before=process, after=after, arm=(row,)), order, server=None, now=now)


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
    """The same change with a history row that names actor and reason, and the key of a request whose run it ends."""
    assert change.after is not None
    entry = entries.note(change.after, EntryKind.OPERATED, now=now, server=server, trigger=order.trigger, actor=order.actor, reason=order.reason)
    if (ended := settling.settles(change)) is not None:
        entry = evolve(entry, idempotency_key=ended.name)
    return replace(change, after=evolve(change.after, last_seq=entry.seq), entries=(*change.entries, entry))
