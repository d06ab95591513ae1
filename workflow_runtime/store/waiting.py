"""What waits to be taken up: orphans of dead servers, and timers that fall due.

Law of orphans: a process is one if it is Running and

* its owner has no server row, or one with ``dead_at``; or
* it has no owner, and no retry or start row that will bring it back; or
* its owner is me: the caller knows which of those it really works on.

Law of due rows: a scheme timer counts while its process is Idled or in Error; a retry or start row always. Rows of
scheme versions that the caller cannot execute are left out here, so that they do not stand before those it can fire.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.process import ProcessStatus, Timer, TimerKind
from workflow_runtime.store import rows, tables
from workflow_runtime.store.dialects import Row, Statement, Transaction, Values

_process, _timer, _server = tables.process, tables.timer, tables.server
_ALL = [_process.c[name] for name in rows.PROCESS_COLUMNS]
_TIMER = [_timer.c[name] for name in rows.TIMER_COLUMNS]


def _number(status: ProcessStatus) -> sa.ColumnElement[int]:
    return sa.literal_column(str(status.id))


_IS_TIMER = _timer.c.kind == sa.literal_column(f"'{TimerKind.TIMER.value}'")
_IS_RESERVED = _timer.c.kind.in_([sa.literal_column(f"'{kind.value}'") for kind in (TimerKind.RETRY, TimerKind.START)])
_OWNER_LIVES = sa.select(sa.literal_column("1")).where(_server.c.id == _process.c.owner, _server.c.dead_at.is_(None)).exists()
_A_ROW: sa.Select[Any] = sa.select(sa.literal_column("1")).where(_timer.c.process_id == _process.c.id, _IS_RESERVED).limit(sa.literal_column("1"))
_COMES_BACK = _A_ROW.scalar_subquery().is_not(None)  # not EXISTS, for which PostgreSQL may read all rows of the table into a hash
_ANY_ROW: sa.Select[Any] = sa.select(sa.literal_column("1")).where(_timer.c.process_id == _process.c.id).limit(sa.literal_column("1"))
_WAITS: sa.Select[Any] = sa.select(sa.literal_column("1")).where(_timer.c.process_id == bindparam("process_id"), _IS_RESERVED).limit(sa.literal_column("1"))
_IS_ORPHAN = sa.and_(
    _process.c.status == tables.RUNNING,
    sa.or_(
        sa.and_(_process.c.owner.is_not(None), sa.or_(~_OWNER_LIVES, bindparam("nobody_lives", type_=sa.Boolean()))),
        sa.and_(_process.c.owner.is_(None), ~_COMES_BACK),
        _process.c.owner == bindparam("me"),
    ),
)
_LATER = sa.or_(
    _process.c.created_at > bindparam("created_at"),
    sa.and_(_process.c.created_at == bindparam("created_at"), _process.c.id > bindparam("id")),
)
_ORPHANS = (
    sa.select(*_ALL)
    .where(_IS_ORPHAN, _process.c.created_at >= bindparam("created_at"), _LATER)
    .order_by(_process.c.created_at, _process.c.id)
    .limit(bindparam("limit", type_=sa.Integer()))
)
_ORPHANS_AND_TIMERS = _ORPHANS.add_columns(_ANY_ROW.scalar_subquery())


def _of_process(column: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    """Not a join: the rows are to be read in the order of their index whatever the database knows of the tables."""
    return sa.select(column).where(_process.c.id == _timer.c.process_id).scalar_subquery()


_IS_AWAITED = _of_process(_process.c.status).in_([_number(status) for status in ProcessStatus if status.accepts_commands])
_COUNTS = sa.or_(_IS_RESERVED, sa.and_(_IS_TIMER, _IS_AWAITED))
_DUE = (
    sa.select(_timer.c.process_id, _of_process(_process.c.scheme_version), _of_process(_process.c.deaths), *_TIMER)
    .where(_timer.c.due <= bindparam("now"), _COUNTS)
    .order_by(_timer.c.due, _timer.c.process_id)
    .limit(bindparam("limit", type_=sa.Integer()))
)
_NEXT_DUE = sa.select(_timer.c.due).where(_timer.c.due > bindparam("after"), _COUNTS).order_by(_timer.c.due, _timer.c.process_id).limit(sa.literal_column("1"))


@cache
def _without(statement: sa.Select[Any], size: int) -> Statement:
    """One statement per power of two, so that their number is bounded; spare places repeat a version."""
    return statement.where(*(_of_process(_process.c.scheme_version) != bindparam(f"version{number}") for number in range(size)))


_TIMERS = sa.select(*_TIMER).where(_timer.c.process_id == bindparam("process_id")).order_by(_timer.c.due, _timer.c.name)

FIRST = (-(2**63), "")  #: a cursor before every row


class DueRow(NamedTuple):
    """What falls due, and what must be known of its process before it is loaded."""

    process_id: UUID
    timer: Timer
    version: str  #: of its scheme
    deaths: int


def orphans(
    transaction: Transaction, me: str | None, after: tuple[int, str] | None, limit: int, nobody_lives: bool = False, *, timers: bool = False
) -> list[Row]:
    """Rows of orphans behind the cursor, the oldest first: in an order that does not change while they move.

    With ``timers`` each ends with whether it has any row there, readable or not.
    """
    created_at, process_id = after or FIRST
    values = {"me": me, "created_at": created_at, "id": process_id, "limit": limit, "nobody_lives": nobody_lives}
    return list(transaction.rows(_ORPHANS_AND_TIMERS if timers else _ORPHANS, values))


def due(transaction: Transaction, now: int, limit: int, without: Collection[str]) -> list[DueRow]:
    statement, versions = _excluding(_DUE, without)
    return [_due_row(row) for row in transaction.rows(statement, {"now": now, "limit": limit, **versions})]


def next_due(transaction: Transaction, after: int, without: Collection[str]) -> int | None:
    statement, versions = _excluding(_NEXT_DUE, without)
    found = transaction.row(statement, {"after": after, **versions})
    return None if found is None else int(found[0])


def _excluding(statement: sa.Select[Any], without: Collection[str]) -> tuple[Statement, Values]:
    versions = list(without)
    if not versions:
        return statement, {}
    size = 1 << (len(versions) - 1).bit_length()
    return _without(statement, size), {f"version{number}": versions[min(number, len(versions) - 1)] for number in range(size)}


def _due_row(row: Row) -> DueRow:
    """A count of deaths that is no number is told when the process is loaded."""
    process_id, version, deaths, *timer = row
    return DueRow(UUID(process_id), rows.read_timer(timer), version, deaths if isinstance(deaths, int) else 0)


def waits(transaction: Transaction, process_id: UUID) -> bool:
    return transaction.row(_WAITS, {"process_id": str(process_id)}) is not None


def timers(transaction: Transaction, process_id: UUID) -> tuple[Timer, ...]:
    return tuple(map(rows.read_timer, transaction.rows(_TIMERS, {"process_id": str(process_id)})))


def processes(transaction: Transaction, ids: list[UUID]) -> list[Row]:
    """In no order."""
    if not ids:
        return []
    return transaction.rows(*_among(_PROCESSES, _process.c.id, list(map(str, ids))))


def timers_of(transaction: Transaction, ids: list[UUID]) -> dict[UUID, tuple[Timer, ...]]:
    """Every id is a key, also one without timers."""
    found: dict[UUID, list[Timer]] = {process_id: [] for process_id in ids}
    if not ids:
        return {}
    for process_id, *timer in transaction.rows(*_among(_TIMERS_OF, _timer.c.process_id, list(map(str, ids)))):
        found[UUID(process_id)].append(rows.read_timer(timer))
    return {process_id: tuple(timers) for process_id, timers in found.items()}


_PROCESSES = sa.select(*_ALL)
_TIMERS_OF = sa.select(_timer.c.process_id, *_TIMER).order_by(_timer.c.due, _timer.c.name)


def _among(statement: sa.Select[Any], column: sa.Column[Any], ids: Sequence[str]) -> tuple[Statement, Values]:
    size = 1 << (len(ids) - 1).bit_length()
    return _of_ids(statement, column, size), {f"id{number}": ids[min(number, len(ids) - 1)] for number in range(size)}


@cache
def _of_ids(statement: sa.Select[Any], column: sa.Column[Any], size: int) -> Statement:
    """As in ``_without``."""
    return statement.where(column.in_([bindparam(f"id{number}") for number in range(size)]))
