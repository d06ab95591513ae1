"""How one ``Change`` becomes true: the write pattern, and the only way any code may change a process.

Law: the guarded statement comes first and everything else hangs on it. Zero rows: nothing was written.

=======================  ==========================================================================
the process was          guard
=======================  ==========================================================================
executed by me           id, owner, token, revision
at rest (no owner)       id, owner IS NULL, token, revision; my server row exists and is not dead
owned by another         id, its owner, token, revision; my server row exists and is not dead
=======================  ==========================================================================

A client has no server row and omits that part. An arrival, a failure or a verdict that brings an owned process to
rest also asks that nobody requested its cancellation (else FLAGGED). ``cancel_requested`` and ``children_open`` are written
by strangers: no guarded write sets them, except that coming to rest clears the request, and each reads them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.process import CancelRequest, Change, ChangeKind, Decision, ErrorInfo, ProcessStatus, Timer, TimerKind
from workflow_runtime.errors import ProcessAlreadyExists
from workflow_runtime.store import records, rows, tables
from workflow_runtime.store.dialects import Conflict, Dialect, Statement, Step, Transaction

_process, _timer = tables.process, tables.timer


class Outcome(StrEnum):
    APPLIED = "applied"
    LOST = "lost"  #: the guard failed: nothing was written
    FLAGGED = "flagged"  #: a cancel request stands against coming to rest: nothing was written


class Applied(NamedTuple):
    """What became of a change, and what strangers have written to the row (None, 0 when it was not applied)."""

    outcome: Outcome
    cancel_requested: CancelRequest | None = None
    children_open: int = 0


LOST, FLAGGED = Applied(Outcome.LOST), Applied(Outcome.FLAGGED)


#: Coming to rest in one of these ways, the process may have been cancelled meanwhile; who wrote the change knew of none.
_HEED_CANCEL = (ChangeKind.ARRIVE, ChangeKind.FAIL, ChangeKind.VERDICT)


class Shape(NamedTuple):
    """What decides the text of a guarded statement."""

    owned: bool  #: the row has an owner
    alive: bool  #: my server row must be alive
    unflagged: bool  #: nobody may have requested cancellation

    @classmethod
    def of(cls, change: Change, me: str | None) -> Shape:
        before, after = change.before, change.after
        assert before is not None
        comes_to_rest = before.owner is not None and after is not None and after.owner is None
        heeds = change.kind in _HEED_CANCEL and before.cancel_requested is None
        return cls(before.owner is not None, me is not None and before.owner != me, comes_to_rest and heeds)


def _guard(shape: Shape) -> sa.ColumnElement[bool]:
    c = _process.c
    owner = c.owner == bindparam("g_owner") if shape.owned else c.owner.is_(None)
    parts = [c.id == bindparam("g_id"), owner, c.token == bindparam("g_token"), c.revision == bindparam("g_revision")]
    if shape.alive:
        mine: sa.Select[Any] = sa.select(sa.literal_column("1")).where(tables.server.c.id == bindparam("g_me"), tables.server.c.dead_at.is_(None))
        parts.append(mine.exists())
    if shape.unflagged:
        parts.append(c.cancel_requested.is_(None))
    return sa.and_(*parts)


_UPDATED: dict[str, Any] = {name: bindparam(name) for name in rows.PROCESS_COLUMNS if name not in rows.NOT_UPDATED}
_UPDATED["revision"] = _process.c.revision + sa.literal_column("1")
_UPDATED["parameters"] = sa.func.coalesce(bindparam("parameters", type_=sa.Text()), _process.c.parameters)  # None: as they were


def _update(shape: Shape, moves: bool, rests: bool) -> Statement:
    """``status`` is named only when it changes: SQLite rewrites every index whose column is named."""
    values = dict(_UPDATED)
    if moves:
        values["status"] = bindparam("status")
    if rests:
        values["cancel_requested"] = sa.null()
    return sa.update(_process).where(_guard(shape)).values(values)


_SHAPES = [Shape(*parts) for parts in product((False, True), repeat=3)]
_UPDATES = {(shape, moves, rests): _update(shape, moves, rests) for shape in _SHAPES for moves in (False, True) for rests in (False, True)}
_DELETES: dict[Shape, Statement] = {shape: sa.delete(_process).where(_guard(shape)) for shape in _SHAPES}
_GUARDED: dict[Shape, Statement] = {shape: sa.select(_process.c.id).where(_guard(shape)) for shape in _SHAPES}


def _insert(table: sa.Table, *left_out: str) -> Statement:
    return sa.insert(table).values({column.name: bindparam(column.name) for column in table.c if column.name not in left_out})


_INSERT_PROCESS = _insert(_process)
_INSERT_HISTORY = _insert(tables.history, "id")
_INSERT_JOURNAL = _insert(tables.journal, "id")
_INSERT_DECISION = _insert(tables.decision, "id")
_APPENDED = frozenset({_INSERT_HISTORY, _INSERT_DECISION})  #: nothing else in a change depends on these rows
_OF_PROCESS = _timer.c.process_id == bindparam("process_id")
_IS_TIMER = _timer.c.kind == sa.literal_column(f"'{TimerKind.TIMER.value}'")
_DROP_NAMED = sa.delete(_timer).where(_OF_PROCESS, _IS_TIMER, _timer.c.name == bindparam("name"))
_DROP_TIMERS = sa.delete(_timer).where(_OF_PROCESS, _IS_TIMER)
_DROP_RESERVED = sa.delete(_timer).where(_OF_PROCESS, ~_IS_TIMER)
_DROP_ALL = sa.delete(_timer).where(_OF_PROCESS)


@cache
def _drop_others(size: int) -> Statement:
    """One statement per power of two, so that their number is bounded; spare places repeat a name."""
    return _DROP_TIMERS.where(*(_timer.c.name != bindparam(f"name{number}") for number in range(size)))


_HAD_LIFE = sa.select(tables.history.c.seq).where(tables.history.c.process_id == bindparam("process_id")).limit(sa.literal_column("1"))
_LANDED = sa.select(_process.c.token, _process.c.walk, _process.c.cancel_requested, _process.c.children_open).where(_process.c.id == bindparam("id"))


@dataclass(frozen=True, slots=True)
class Plan:
    """A change as statements with their values, made before the transaction begins: no lock is held while values are encoded."""

    change: Change
    statement: Statement
    values: rows.Values
    followers: Sequence[Step]
    shape: Shape | None = None  #: None: a creation, which has no guard


def plan(change: Change, me: str | None, dialect: Dialect) -> Plan:
    before, after = change.before, change.after
    if before is None:
        return Plan(change, _INSERT_PROCESS, rows.process_values(change.result), _followers(change, dialect))
    shape = Shape.of(change, me)
    values = {"g_id": str(before.id), "g_owner": before.owner, "g_token": before.token, "g_revision": before.revision, "g_me": me}
    if after is None:
        return Plan(change, _DELETES[shape], values, _followers(change, dialect), shape)
    values |= rows.updated_values(after)
    values["status"] = after.status.id
    values["parameters"] = None if after.parameters is before.parameters else rows.encode_parameters(after.parameters)
    statement = _UPDATES[shape, after.status is not before.status, after.status is not ProcessStatus.RUNNING]
    return Plan(change, statement, values, _followers(change, dialect), shape)


def run(transaction: Transaction, planned: Plan) -> Applied:
    """Make the change true within this transaction; see the law above. Conflict when a creation meets an existing row."""
    if planned.shape is None:
        return _create(transaction, planned)
    found = transaction.dialect.guarded(transaction, planned.statement, planned.values, planned.followers)
    if found is not None:
        return Applied(Outcome.APPLIED, _readable_cancel(found[0]), found[1])
    flagged = planned.shape.unflagged and transaction.row(_GUARDED[planned.shape._replace(unflagged=False)], planned.values)
    return FLAGGED if flagged else LOST


def run_all(transaction: Transaction, planned: Sequence[Plan]) -> list[Applied]:
    """Each row is guarded on its own. Rows that are only appended wait, so that those of all changes go in together."""
    appended: dict[Statement, list[Any]] = {}
    outcomes = []
    for plan in planned:
        outcomes.append(run(transaction, replace(plan, followers=[step for step in plan.followers if step[0] not in _APPENDED])))
        if outcomes[-1].outcome is Outcome.APPLIED:
            for statement, values in plan.followers:
                if statement in _APPENDED:
                    appended.setdefault(statement, []).extend(values)
    transaction.follow(appended.items())
    return outcomes


def _create(transaction: Transaction, planned: Plan) -> Applied:
    """Ids are not used again: history of an earlier life would be taken for that of this one."""
    process = planned.change.result
    if transaction.row(_HAD_LIFE, {"process_id": str(process.id)}):
        raise Conflict(f"history of a process {process.id} is there")
    transaction.run(planned.statement, planned.values)
    transaction.follow(planned.followers)
    return Applied(Outcome.APPLIED, process.cancel_requested, process.children_open)


def _readable_cancel(text: str | None) -> CancelRequest | None:
    """A request that cannot be read is still a request."""
    try:
        return rows.decode_cancel(text)
    except (ValueError, TypeError):
        return CancelRequest("unknown", "the stored cancel request cannot be read")


def _followers(change: Change, dialect: Dialect) -> list[Step]:
    """All that is written besides the process, in the order of writing."""
    subject = change.before or change.after
    assert subject is not None
    process_id = str(subject.id)
    steps: list[Step] = []
    if change.after is not None:  # a deleted process takes its timers and its journal with it
        steps.append((_INSERT_JOURNAL, [records.journal_values(process_id, entry) for entry in change.journal]))
        if change.before is not None:
            steps += _dropped_timers(process_id, change)
        steps += _armed_timers(process_id, change.arm, rows.micros(change.after.updated_at), dialect)
    steps.append((_INSERT_HISTORY, [records.history_values(entry) for entry in change.entries]))
    if change.decision is not None:
        steps.append((_INSERT_DECISION, [records.decision_values(change.decision)]))
    return [step for step in steps if step[1]]


def _dropped_timers(process_id: str, change: Change) -> list[Step]:
    """Runs before arming: a name may stand in both."""
    values = {"process_id": process_id}
    named = [timer.name for timer in change.arm if timer.kind is TimerKind.TIMER]
    if change.drop_others and change.release and not named:
        return [(_DROP_ALL, [values])]
    steps: list[Step] = [(_DROP_RESERVED, [values])] if change.release else []
    if change.drop_others:
        steps.append(_others_than(named, values))
    steps.append((_DROP_NAMED, [{**values, "name": name} for name in change.drop]))
    return steps


def _others_than(named: list[str], values: rows.Values) -> Step:
    if not named:
        return _DROP_TIMERS, [values]
    size = 1 << (len(named) - 1).bit_length()
    spared = {f"name{number}": named[min(number, len(named) - 1)] for number in range(size)}
    return _drop_others(size), [{**values, **spared}]


def _armed_timers(process_id: str, timers: Sequence[Timer], armed_at: int, dialect: Dialect) -> list[Step]:
    return [
        (statement, [rows.timer_values(process_id, timer, armed_at) for timer in timers if timer.keep is keep])
        for statement, keep in ((dialect.put_timer, False), (dialect.keep_timer, True))
    ]


def creation_landed(transaction: Transaction, change: Change) -> Applied:
    """An insert met an existing row: the same creation sent again, or another process with this id."""
    process = change.result
    found = transaction.row(_LANDED, {"id": str(process.id)})
    if found is None:
        raise ProcessAlreadyExists(f"process {process.id} was deleted and its history stays; choose another id", process_id=process.id)
    token, walk, cancel, children = found
    if token == process.token or (process.walk is not None and _walk_id(walk) == process.walk.id):
        return Applied(Outcome.APPLIED, _readable_cancel(cancel), children)
    raise ProcessAlreadyExists(f"a process {process.id} exists already; choose another id or let the runtime choose", process_id=process.id)


def _walk_id(text: Any) -> str | None:
    try:
        walk = rows.decode_walk(text)
    except Exception:  # an unreadable walk is not mine
        return None
    return walk.id if walk else None


_MARK = {
    shape: sa.update(_process)
    .where(_guard(shape))
    .values(
        status=sa.literal_column(str(ProcessStatus.ERROR.id)),
        owner=sa.null(),
        last_error=bindparam("last_error"),
        updated_at=bindparam("now"),
        status_since=bindparam("now"),
        revision=_process.c.revision + sa.literal_column("1"),
    )
    for shape in _SHAPES
    if not shape.unflagged
}


def mark_unreadable(transaction: Transaction, row: rows.UnreadableRow, me: str | None, error: ErrorInfo, decision: Decision | None, now: int) -> bool:
    """Error with the cause; the columns that cannot be read stay as they are, for the person who looks."""
    shape = Shape(row.owner is not None, me is not None and row.owner != me, False)
    guard = {"g_id": row.id, "g_owner": row.owner, "g_token": row.token, "g_revision": row.revision, "g_me": me}
    if not transaction.run(_MARK[shape], {**guard, "last_error": rows.encode_error(error), "now": now}):
        return False
    if decision is not None:
        transaction.run(_INSERT_DECISION, records.decision_values(decision))
    return True
