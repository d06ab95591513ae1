"""Pages for people: processes, history, recoveries, timers, counts.

Law: a page has at most 1,000 rows and goes on by key, never by offset: behind (created_at, id) for
processes, newest first. Neither of the two changes, so while processes are created and move no page
repeats or skips one. Nothing here takes the write lock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.answers import DueTimer, Match
from workflow_runtime.core.filters import EVERYTHING, ProcessFilter
from workflow_runtime.core.pages import MOST_ROWS, Page
from workflow_runtime.core.process import Decision, HistoryEntry, Process, ProcessStatus
from workflow_runtime.core.restoring import RecoveryReport
from workflow_runtime.core.values import quoted
from workflow_runtime.errors import FilterError
from workflow_runtime.store import records, rows, tables
from workflow_runtime.store.dialects import Row, Transaction
from workflow_runtime.store.filtering import conditions
from workflow_runtime.store.writes import Store

T = TypeVar("T")

SHORTEST_PREFIX = 6
MOST_DECISIONS = 1_000  #: listed with one recovery; ``decisions_of`` has them all

_process, _history, _timer, _recovery, _decision = tables.process, tables.history, tables.timer, tables.recovery, tables.decision
_PROCESS = [_process.c[name] for name in rows.PROCESS_COLUMNS]
_MATCH = [_process.c.id, _process.c.created_at, _process.c.revision, _process.c.owner]
_DECISION = [_decision.c[name] for name in records.DECISION_COLUMNS]
_LIMIT = bindparam("limit", type_=sa.Integer())

_HISTORY_PAGE = sa.select(_history).where(_history.c.process_id == bindparam("id"), _history.c.seq > bindparam("after")).order_by(_history.c.seq).limit(_LIMIT)
_RECOVERY_PAGE = (
    sa.select(_recovery.c.number, *(_recovery.c[name] for name in records.RECOVERY_COLUMNS))
    .where(_recovery.c.number < bindparam("before"))
    .order_by(_recovery.c.number.desc())
    .limit(_LIMIT)
)
_DECISIONS_OF_RECOVERY = (
    sa.select(_decision.c.id, *_DECISION)
    .where(_decision.c.recovery_id == bindparam("recovery_id"), _decision.c.id > bindparam("after"))
    .order_by(_decision.c.id)
    .limit(_LIMIT)
)
_DECISIONS = sa.select(*_DECISION).where(_decision.c.process_id == bindparam("id")).order_by(_decision.c.id)
_IDS = (
    sa.select(_process.c.id)
    .where(_process.c.id >= bindparam("first"), _process.c.id < bindparam("beyond"))
    .order_by(_process.c.id)
    .limit(sa.literal_column(str(MOST_ROWS)))
)
_TIMER_PAGE = (
    sa.select(_timer.c.process_id, *(_timer.c[name] for name in rows.TIMER_COLUMNS))
    .where(_timer.c.due <= bindparam("until"))
    .order_by(_timer.c.due, _timer.c.process_id)
    .limit(_LIMIT)
)
# An expression instead of the column: SQLite would follow the index of scheme codes, and look up each row for its status.
_CODE = _process.c.scheme_code.concat(sa.literal_column("''"))
_COUNTS = sa.select(_CODE, _process.c.status, sa.func.count()).group_by(_CODE, _process.c.status)

END_OF_TIME = 2**63 - 1


class Reader:
    """Reads what people ask for from one store."""

    def __init__(self, store: Store) -> None:
        self._dialect = store.dialect

    def find(self, filter: ProcessFilter = EVERYTHING, *, limit: int = 100, after: str | None = None) -> Page[Process]:
        """Newest first. ``after`` is the ``next`` of the page before."""
        return _process_page(self._newest(_PROCESS, filter, limit, after), limit)

    def matches(self, filter: ProcessFilter = EVERYTHING, *, limit: int = MOST_ROWS, after: str | None = None) -> Page[Match]:
        """The same processes in the same order, and none of their values."""
        found = self._newest(_MATCH, filter, limit, after)
        return Page([_match(row) for row in found[:limit]], f"{found[limit - 1][1]}.{found[limit - 1][0]}" if len(found) > limit else None)

    def _newest(self, columns: Sequence[sa.Column[Any]], filter: ProcessFilter, limit: int, after: str | None) -> Sequence[Row]:
        """One more than ``limit``, if there is one."""
        statement = sa.select(*columns).where(*conditions(filter, self._dialect))
        if after is not None:
            statement = statement.where(_older_than(*_process_cursor(after)))
        statement = statement.order_by(_process.c.created_at.desc(), _process.c.id.desc()).limit(_checked(limit) + 1)
        with self._dialect.read() as transaction:
            return transaction.rows_built(statement)

    def count(self, filter: ProcessFilter = EVERYTHING) -> int:
        statement = sa.select(sa.func.count()).select_from(_process).where(*conditions(filter, self._dialect))
        with self._dialect.read() as transaction:
            return int(transaction.rows_built(statement)[0][0])

    def counts(self) -> dict[tuple[str, ProcessStatus], int]:
        """By scheme and status, from one index."""
        with self._dialect.read() as transaction:
            return {(code, ProcessStatus.of(status)): number for code, status, number in transaction.rows(_COUNTS, {})}

    def ids_by_prefix(self, prefix: str) -> list[UUID]:
        """Processes whose id begins so, in order; at least 6 characters."""
        first = prefix.lower()
        if len(first) < SHORTEST_PREFIX or not re.fullmatch(r"[0-9a-f-]{1,36}", first, re.ASCII):
            raise FilterError(f"{quoted(prefix)} is not the beginning of an id; give {SHORTEST_PREFIX} or more of its hexadecimal characters", code="bad_id")
        with self._dialect.read() as transaction:
            return [UUID(found) for (found,) in transaction.rows(_IDS, {"first": first, "beyond": f"{first}g"})]

    def history(self, process_id: UUID, *, after: int | str = 0, limit: int = 200) -> Page[HistoryEntry]:
        """Oldest first, behind the row with seq ``after``."""
        with self._dialect.read() as transaction:
            found = transaction.rows(_HISTORY_PAGE, {"id": str(process_id), "after": _number(after), "limit": _checked(limit) + 1})
        entries = [rows.readable(process_id, records.read_history, row) for row in found[:limit]]
        return Page(entries, str(entries[-1].seq) if len(found) > limit else None)

    def recoveries(self, *, limit: int = 100, after: str | None = None) -> Page[RecoveryReport]:
        """Newest first, each with its first 1,000 decisions."""
        before = END_OF_TIME if after is None else _number(after)
        with self._dialect.snapshot() as transaction:
            found = transaction.rows(_RECOVERY_PAGE, {"before": before, "limit": _checked(limit) + 1})
            reports = [self._report(transaction, row) for row in found[:limit]]
        return Page(reports, str(found[limit - 1][0]) if len(found) > limit else None)

    def _report(self, transaction: Transaction, row: Row) -> RecoveryReport:
        listed = transaction.rows(_DECISIONS_OF_RECOVERY, {"recovery_id": row[1], "after": 0, "limit": MOST_DECISIONS})
        return records.read_recovery(row[1:], tuple(records.read_decision(decision[1:]) for decision in listed))

    def decisions_of(self, recovery_id: str, *, after: int | str = 0, limit: int = 200) -> Page[Decision]:
        """All that one recovery pass decided, in the order of deciding."""
        with self._dialect.read() as transaction:
            found = transaction.rows(_DECISIONS_OF_RECOVERY, {"recovery_id": recovery_id, "after": _number(after), "limit": _checked(limit) + 1})
        return Page([records.read_decision(row[1:]) for row in found[:limit]], str(found[limit - 1][0]) if len(found) > limit else None)

    def decisions(self, process_id: UUID) -> tuple[Decision, ...]:
        """What recovery decided about one process, the oldest first; also after it was deleted."""
        with self._dialect.read() as transaction:
            found = transaction.rows(_DECISIONS, {"id": str(process_id)})
        return tuple(map(records.read_decision, found))

    def due_timers(self, *, limit: int = 100, overdue_only: bool = False, now: datetime) -> list[DueTimer]:
        """All timer rows, whatever the status of their process, the earliest first."""
        until = rows.micros(now) if overdue_only else END_OF_TIME
        with self._dialect.read() as transaction:
            found = transaction.rows(_TIMER_PAGE, {"until": until, "limit": _checked(limit)})
        return [DueTimer(UUID(process_id), rows.read_timer(timer)) for process_id, *timer in found]


def _older_than(created_at: int, process_id: str) -> sa.ColumnElement[bool]:
    """The first part is implied by the second and lets every database begin in the index."""
    same = sa.and_(_process.c.created_at == created_at, _process.c.id < process_id)
    return sa.and_(_process.c.created_at <= created_at, sa.or_(_process.c.created_at < created_at, same))


_ID, _CREATED_AT = rows.PROCESS_COLUMNS.index("id"), rows.PROCESS_COLUMNS.index("created_at")


def _process_page(found: Sequence[Row], limit: int) -> Page[Process]:
    last = found[limit - 1] if len(found) > limit else None
    read = [rows.read_or_note(row) for row in found[:limit]]
    return Page(
        [process for process in read if isinstance(process, Process)],
        None if last is None else f"{last[_CREATED_AT]}.{last[_ID]}",
        tuple(str(row.id) for row in read if not isinstance(row, Process)),
    )


def _match(row: Row) -> Match:
    """Whatever stands there: it is somebody's who wants to put it right."""
    id_text, _, revision, owner = row
    process_id: Any = id_text
    with suppress(ValueError, TypeError, AttributeError):
        process_id = UUID(id_text)
    return Match(process_id if isinstance(process_id, UUID) else str(id_text), revision if type(revision) is int and owner is None else None)


def _process_cursor(cursor: str) -> tuple[int, str]:
    return _cursor(cursor, lambda: (int(cursor.partition(".")[0]), str(UUID(cursor.partition(".")[2]))))


def _number(cursor: int | str) -> int:
    number = _cursor(cursor, lambda: int(cursor))
    if not 0 <= number <= END_OF_TIME:
        raise _bad_page(f"{quoted(cursor)} is no place in a list")
    return number


def _cursor(cursor: object, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValueError, TypeError, AttributeError) as error:
        raise _bad_page(f"{quoted(cursor)} is not the next of a page") from error


def _checked(limit: int) -> int:
    if not isinstance(limit, int) or not 1 <= limit <= MOST_ROWS:
        raise _bad_page(f"a page has 1 to {MOST_ROWS} rows, not {quoted(limit)}")
    return limit


def _bad_page(message: str) -> FilterError:
    return FilterError(message, code="bad_page")
