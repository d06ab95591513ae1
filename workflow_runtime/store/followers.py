"""What is written besides the process: its rows, and the statements that write them one after the other.

Law: timers are dropped before others are armed, so a name may stand in both, and is armed then. Since the two
may also happen at once (postgres.py), a row that is dropped and armed is written over instead, even with ``keep``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.arming import has_timers
from workflow_runtime.core.process import Change, Process, Timer, TimerKind
from workflow_runtime.store import keys, records, rows, tables
from workflow_runtime.store.dialects import Drop, Followers, Statement, Step, Values

_timer = tables.timer

OF_PROCESS = _timer.c.process_id == bindparam("process_id")
IS_TIMER = _timer.c.kind == sa.literal_column(f"'{TimerKind.TIMER.value}'")


def insert(table: sa.Table, *left_out: str) -> Statement:
    return sa.insert(table).values({column.name: bindparam(column.name) for column in table.c if column.name not in left_out})


INSERT_HISTORY = insert(tables.history, "id")
INSERT_JOURNAL = insert(tables.journal, "id")
INSERT_DECISION = insert(tables.decision, "id")
_DROP_NAMED = sa.delete(_timer).where(OF_PROCESS, IS_TIMER, _timer.c.name == bindparam("name"))
_DROP_TIMERS = sa.delete(_timer).where(OF_PROCESS, IS_TIMER)
DROP_RESERVED = sa.delete(_timer).where(OF_PROCESS, ~IS_TIMER)
_DROP_ALL = sa.delete(_timer).where(OF_PROCESS)


@cache
def _drop_others(size: int) -> Statement:
    """One statement per power of two, so that their number is bounded; spare places repeat a name."""
    return _DROP_TIMERS.where(*(_timer.c.name != bindparam(f"name{number}") for number in range(size)))


def of(change: Change) -> Followers:
    """A deleted process takes its timers and its journal with it."""
    subject = change.before or change.after
    assert subject is not None
    process_id = str(subject.id)
    history = [records.history_values(entry) for entry in change.entries]
    decision = [records.decision_values(change.decision)] if change.decision else []
    if change.after is None:
        return Followers(process_id, (), None, (), (), history, decision, *keys.of(change))
    armed_at = rows.micros(change.after.updated_at)
    arms: dict[bool, list[Values]] = {False: [], True: []}
    for timer in change.arm:
        arms[timer.keep and not _is_dropped(change, timer)].append(rows.timer_values(process_id, timer, armed_at))
    journal = [records.journal_values(process_id, entry) for entry in change.journal]
    return Followers(process_id, journal, _drop(change), arms[False], arms[True], history, decision, *keys.of(change))


def _is_dropped(change: Change, timer: Timer) -> bool:
    return timer.name in change.drop if timer.kind is TimerKind.TIMER else change.release


def _drop(change: Change) -> Drop | None:
    if change.before is None or not (change.release or change.drop or (change.drop_others and _may_have_timers(change.before))):
        return None
    armed = [timer.name for timer in change.arm if timer.kind is TimerKind.TIMER]
    named = [] if change.drop_others else [name for name in change.drop if name not in armed]
    return Drop(change.release, armed if change.drop_others else None, named)


def _may_have_timers(process: Process) -> bool:
    """The rows of a process are those of the activity where it was committed."""
    return process.scheme is None or has_timers(process.scheme, process.activity)


def steps(followers: Followers, put_timer: Statement, keep_timer: Statement) -> list[Step]:
    """One statement after the other, in the order of writing."""
    found: list[Step] = [(keys.OPEN, [followers.opened])] if followers.opened else []
    found += [(keys.SETTLE, [followers.settled])] if followers.settled else []
    found += [(INSERT_JOURNAL, followers.journal)]
    if followers.drop is not None:
        found += _dropped({"process_id": followers.process_id}, followers.drop)
    found += [(put_timer, followers.put), (keep_timer, followers.keep), (INSERT_HISTORY, followers.history), (INSERT_DECISION, followers.decision)]
    return [step for step in found if step[1]]


def _dropped(values: dict[str, Any], drop: Drop) -> list[Step]:
    if drop.reserved and drop.others is not None and not drop.others:
        return [(_DROP_ALL, [values])]
    found: list[Step] = [(DROP_RESERVED, [values])] if drop.reserved else []
    if drop.others is not None:
        found.append(_others_than(drop.others, values))
    return [*found, (_DROP_NAMED, [{**values, "name": name} for name in drop.named])]


def _others_than(named: Any, values: dict[str, Any]) -> Step:
    if not named:
        return _DROP_TIMERS, [values]
    size = 1 << (len(named) - 1).bit_length()
    spared = {f"name{number}": named[min(number, len(named) - 1)] for number in range(size)}
    return _drop_others(size), [{**values, **spared}]
