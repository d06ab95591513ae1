"""How one ``Change`` becomes true: the write pattern, and the only way any code may change a process.

Law: the guarded statement comes first and everything else hangs on it. Zero rows: nothing was written.

=======================  ==========================================================================
the process was          guard
=======================  ==========================================================================
executed by me           id, owner, token, revision
at rest (no owner)       id, owner IS NULL, token, revision; my server row exists and is not dead
owned by another         id, its owner, token, revision; my server row exists and is not dead
not there yet            none but that its id is new: what a server creates that was declared dead
                         is an orphan, as all that it owns
=======================  ==========================================================================

A request with an idempotency key inserts its row with the first change: where one stands, nothing is written (TAKEN).

What is taken over from another is not waited for: where somebody has locked the row, the guard has failed, and who
takes over comes back later. A client has no server row and omits that part. An arrival, a failure, a wait or a verdict that brings an owned process to
rest also asks that nobody requested its cancellation (else FLAGGED). ``cancel_requested`` and ``children_open`` are written
by strangers to what is Running: no guarded write sets them, except that coming to rest clears the request, and each write about a
process that was Running reads them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core import entries
from workflow_runtime.core.process import CancelRequest, Change, ChangeKind, Decision, ErrorInfo, ProcessStatus
from workflow_runtime.store import followers, keys, records, rows, tables
from workflow_runtime.store.dialects import Guarded, Row, Statement, Transaction
from workflow_runtime.store.followers import insert

_process = tables.process

LARGEST = 2**63 - 1  #: number of a history row


class Outcome(StrEnum):
    APPLIED = "applied"
    LOST = "lost"  #: the guard failed: nothing was written
    FLAGGED = "flagged"  #: a cancel request stands against coming to rest: nothing was written
    TAKEN = "taken"  #: the idempotency key has a row, that of an equal request or another: nothing was written


class Applied(NamedTuple):
    """What became of a change, and what strangers have written to the row (None, 0 when it was not applied, or was about one at rest)."""

    outcome: Outcome
    cancel_requested: CancelRequest | None = None
    children_open: int = 0


LOST, FLAGGED, TAKEN = Applied(Outcome.LOST), Applied(Outcome.FLAGGED), Applied(Outcome.TAKEN)


#: Coming to rest in one of these ways, the process may have been cancelled meanwhile; who wrote the change knew of none.
_HEED_CANCEL = (ChangeKind.ARRIVE, ChangeKind.FAIL, ChangeKind.WAIT, ChangeKind.VERDICT)


class Shape(NamedTuple):
    """What decides the text of a guarded statement."""

    owned: bool  #: the row has an owner
    alive: bool  #: my server row must be alive
    unflagged: bool  #: nobody may have requested cancellation

    @property
    def takes_over(self) -> bool:
        """From another server, which may have stopped with the row locked: there are others to take over, and this one later."""
        return self.owned and self.alive

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
_GUARDED = {shape: sa.select(_process.c.id).where(_guard(shape)) for shape in _SHAPES}
_FREE: dict[Shape, Statement] = {shape: guarded.with_for_update(skip_locked=True) for shape, guarded in _GUARDED.items()}


_INSERT_PROCESS = insert(_process)


@dataclass(frozen=True, slots=True)
class Plan:
    """A change as a statement with its values, made before the transaction begins: no lock is held while values are encoded."""

    change: Change
    guarded: Guarded
    shape: Shape | None = None  #: None: a creation, which has no guard


def plan(change: Change, me: str | None) -> Plan:
    before, after, follow = change.before, change.after, followers.of(change)
    if before is None:
        return Plan(change, Guarded(_INSERT_PROCESS, rows.process_values(change.result), follow))
    shape = Shape.of(change, me)
    guard = {"g_id": follow.process_id, "g_owner": before.owner, "g_token": before.token, "g_revision": before.revision, "g_me": me}
    if after is None:
        return Plan(change, Guarded(_DELETES[shape], guard, follow, shape.takes_over), shape)
    parameters = None if after.parameters is before.parameters else rows.encode_parameters(after.parameters)
    values = {**rows.updated_values(after), **guard, "status": after.status.id, "parameters": parameters}
    statement = _UPDATES[shape, after.status is not before.status, after.status is not ProcessStatus.RUNNING]
    return Plan(change, Guarded(statement, values, follow, shape.takes_over, before.status is ProcessStatus.RUNNING), shape)


def run(transaction: Transaction, planned: Plan) -> Applied:
    """Make the change true within this transaction; see the law above. Conflict when a creation, or a new key, meets an existing row."""
    if planned.shape is None:
        return _create(transaction, [planned])[0]
    return _outcome(transaction, planned, transaction.dialect.guarded(transaction, planned.guarded))


def run_all(transaction: Transaction, planned: Sequence[Plan]) -> list[Applied]:
    """Each row is guarded on its own. What is created comes first: it depends on nothing else."""
    born = [(number, plan) for number, plan in enumerate(planned) if plan.shape is None]
    outcomes = dict(zip((number for number, _ in born), _create(transaction, [plan for _, plan in born]), strict=True))
    guarded = [(number, plan) for number, plan in enumerate(planned) if plan.shape is not None]
    found = transaction.dialect.guarded_all(transaction, [plan.guarded for _, plan in guarded])
    for (number, plan), row in zip(guarded, found, strict=True):
        outcomes[number] = _outcome(transaction, plan, row)
    return [outcomes[number] for number in range(len(planned))]


def _outcome(transaction: Transaction, planned: Plan, found: Row | None) -> Applied:
    if found is not None:
        return Applied(Outcome.APPLIED, readable_cancel(found[0]), found[1])
    flagged = planned.shape and planned.shape.unflagged and transaction.row(_GUARDED[planned.shape._replace(unflagged=False)], planned.guarded.values)
    return FLAGGED if flagged else LOST


def _create(transaction: Transaction, planned: Sequence[Plan]) -> list[Applied]:
    """All of them or none. Ids are not used again: history of an earlier life would be taken for that of this one."""
    if planned:
        transaction.dialect.created(transaction, [plan.guarded for plan in planned])
    born = (plan.change.after for plan in planned)
    return [Applied(Outcome.APPLIED, process.cancel_requested, process.children_open) for process in born if process is not None]


def readable_cancel(text: str | None) -> CancelRequest | None:
    """A request that cannot be read is still a request."""
    try:
        return rows.decode_cancel(text)
    except (ValueError, TypeError):
        return CancelRequest("unknown", "the stored cancel request cannot be read")


_REQUEST_CANCEL = (
    sa.update(_process)
    .where(_process.c.id == bindparam("this"), _process.c.status == tables.RUNNING, _process.c.owner.is_not(None))
    .values(cancel_requested=bindparam("request"))
)


def request_cancel(transaction: Transaction, process_id: UUID, request: CancelRequest) -> bool:
    """By a stranger: outside the guard."""
    return transaction.run(_REQUEST_CANCEL, {"this": str(process_id), "request": rows.encode_cancel(request)}) == 1


_MARK = {
    shape: sa.update(_process)
    .where(_guard(shape))
    .values(
        status=sa.literal_column(str(ProcessStatus.ERROR.id)),
        owner=sa.null(),
        last_error=bindparam("last_error"),
        updated_at=bindparam("now"),
        status_since=bindparam("now"),
        last_seq=sa.func.coalesce(bindparam("last_seq", type_=sa.BigInteger()), _process.c.last_seq),
        revision=_process.c.revision + sa.literal_column("1"),
    )
    for shape in _SHAPES
    if not shape.unflagged
}


_LAST_TOLD = sa.select(sa.func.max(tables.history.c.seq)).where(tables.history.c.process_id == bindparam("process_id"))


def mark_unreadable(transaction: Transaction, row: rows.UnreadableRow, me: str | None, error: ErrorInfo, decision: Decision | None, now: int) -> bool:
    """Error with the cause, and nothing brings it back by itself; the columns that cannot be read stay as they are, for the person who looks."""
    shape = Shape(row.owner is not None, me is not None and row.owner != me, False)
    guard = {"g_id": row.id, "g_owner": row.owner, "g_token": row.token, "g_revision": row.revision, "g_me": me}
    if shape.takes_over and transaction.row(_FREE[shape], guard) is None:
        return False
    seq = _next_seq(transaction, row)
    if not transaction.run(_MARK[shape], {**guard, "last_error": rows.encode_error(error), "last_seq": seq, "now": now}):
        return False
    transaction.run(followers.DROP_RESERVED, {"process_id": row.id})
    keys.settle_unreadable(transaction, row, _uuid(row.id), now)
    if seq is not None:
        entry = entries.unreadable(UUID(row.id), seq, row.activity, row.state, error, key=row.key, server=me, now=rows.moment(now))
        transaction.run(followers.INSERT_HISTORY, records.history_values(entry))
    if decision is not None:
        transaction.run(followers.INSERT_DECISION, records.decision_values(decision))
    return True


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except (ValueError, TypeError, AttributeError):
        return None


def _next_seq(transaction: Transaction, row: rows.UnreadableRow) -> int | None:
    """The number of its next history row; None where that cannot be known. Who writes one before the guard is asked raises the revision."""
    try:
        found = transaction.row(_LAST_TOLD, {"process_id": str(UUID(row.id))})
    except (ValueError, TypeError, AttributeError):
        return None
    last_told: Any = (found and found[0]) or 0
    if row.last_seq is None or type(last_told) is not int or max(row.last_seq, last_told) >= LARGEST:
        return None
    return max(row.last_seq, last_told) + 1
