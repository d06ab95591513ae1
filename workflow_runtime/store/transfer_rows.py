"""What a process is made of, as rows: read for its line in an export, and written from one.

Law: a process is read with all that belongs to it, in one moment, and written with all that belongs to it, in one
transaction. Both go by the columns of ``transfer_forms``, so what is read back after writing can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from workflow_runtime.core.process import Process
from workflow_runtime.store import followers, keys, rows, tables
from workflow_runtime.store.dialects import Row, Statement, Transaction
from workflow_runtime.store.rows import Values
from workflow_runtime.store.transfer_forms import DECISIONS, HISTORY, JOURNAL, KEYS, LOOSE_KEY, PARTS, ROW, TIMERS, Part
from workflow_runtime.store.transfer_lines import ProcessLine

_process, _timer, _history, _journal, _decision, _key = tables.process, tables.timer, tables.history, tables.journal, tables.decision, tables.idempotency

COLUMNS = [_process.c[name] for name in rows.PROCESS_COLUMNS]
_ORDER: dict[str, tuple[sa.Column[Any], ...]] = {
    TIMERS.name: (_timer.c.kind, _timer.c.name),
    HISTORY.name: (_history.c.seq,),
    JOURNAL.name: (_journal.c.id,),
    DECISIONS.name: (_decision.c.id,),
    KEYS.name: (_key.c.scope, _key.c.key),
}
_INSERT_PROCESS = followers.insert(_process)
_INSERTS: dict[str, Statement] = {
    TIMERS.name: followers.insert(_timer),
    HISTORY.name: followers.INSERT_HISTORY,
    JOURNAL.name: followers.INSERT_JOURNAL,
    DECISIONS.name: followers.INSERT_DECISION,
    KEYS.name: keys.OPEN,
}
_LOOSE = [_key.c[name] for name in LOOSE_KEY.columns]
_HAS_PROCESS = sa.select(sa.literal_column("1")).where(_process.c.id == _key.c.process_id).exists()
_ONE_KEY = sa.select(*_LOOSE).where(_key.c.scope == sa.bindparam("of_scope"), _key.c.key == sa.bindparam("of_key"))


def forms(transaction: Transaction, found: Sequence[tuple[Row, Process]]) -> list[Values]:
    """The forms of these rows, each with the process that it was read as, in their order."""
    listed = [(dict(zip(rows.PROCESS_COLUMNS, row, strict=True)), process) for row, process in found]
    made: dict[str, Values] = {row["id"]: {ROW.name: {name: row[name] for name in ROW.columns}} for row, _ in listed}
    for form in made.values():
        form |= {part.name: [] for part in PARTS}
    walks = [process.walk.id for _, process in listed if process.walk is not None]
    for part in PARTS:
        if part is not JOURNAL or walks:
            for process_id, *values in transaction.rows_built(_of_processes(part, list(made), walks)):
                made[process_id][part.name].append(dict(zip(part.columns, values, strict=True)))
    return list(made.values())


def _of_processes(part: Part, ids: list[str], walks: list[str]) -> Statement:
    c = part.table.c
    statement = sa.select(c.process_id, *(c[name] for name in part.columns)).where(c.process_id.in_(ids))
    if part is JOURNAL:
        statement = statement.where(c.walk_id.in_(walks))
    return statement.order_by(c.process_id, *_ORDER[part.name])


def stored(transaction: Transaction, lines: Iterable[ProcessLine]) -> list[Values]:
    """What stands in the database now of these processes: their forms, in the order of their ids."""
    processes = {str(line.process.id): line.process for line in lines}
    statement = sa.select(*COLUMNS).where(_process.c.id.in_(list(processes))).order_by(_process.c.id)
    return forms(transaction, [(row, processes[row[_ID]]) for row in transaction.rows_built(statement)])


_ID = rows.PROCESS_COLUMNS.index("id")


def taken(transaction: Transaction, ids: list[str]) -> dict[str, int | None]:
    """Which of the ids are in use: with the token of the process, or None where only its history is left."""
    told = transaction.rows_built(sa.select(_history.c.process_id).where(_history.c.process_id.in_(ids)).distinct())
    there = transaction.rows_built(sa.select(_process.c.id, _process.c.token).where(_process.c.id.in_(ids)))
    found: dict[str, int | None] = {process_id: None for (process_id,) in told}
    return found | {row[0]: row[1] for row in there}


def insert(transaction: Transaction, lines: Sequence[tuple[ProcessLine, int]]) -> None:
    """Each without an owner and with the token beside it. Conflict where an id is in use."""
    transaction.run_many(_INSERT_PROCESS, [{**line.form[ROW.name], "owner": None, "token": token} for line, token in lines])
    for part in PARTS:
        transaction.run_many(_INSERTS[part.name], [values for line, _ in lines for values in _rows_of(line, part)])


def _rows_of(line: ProcessLine, part: Part) -> list[Values]:
    said: Values = {"process_id": str(line.process.id)}
    if part is JOURNAL and line.process.walk is not None:
        said["walk_id"] = line.process.walk.id
    return [{**row, **said} for row in line.form[part.name]]


# -- keys -------------------------------------------------------------------------------------------------


def loose_keys(transaction: Transaction, page: int) -> Iterator[Values]:
    """The keys of no process that is there, by scope and key."""
    statement = sa.select(*_LOOSE).where(~_HAS_PROCESS).order_by(_key.c.scope, _key.c.key).limit(page)
    found = transaction.rows_built(statement)
    while found:
        last = dict(zip(LOOSE_KEY.columns, found[-1], strict=True))
        yield from (dict(zip(LOOSE_KEY.columns, row, strict=True)) for row in found)
        behind = sa.or_(_key.c.scope > last["scope"], sa.and_(_key.c.scope == last["scope"], _key.c.key > last["key"]))
        found = transaction.rows_built(statement.where(behind)) if len(found) == page else []


def stored_key(transaction: Transaction, row: Values) -> Values | None:
    """What stands in the database under this scope and key."""
    found = transaction.row(_ONE_KEY, {"of_scope": row["scope"], "of_key": row["key"]})
    return None if found is None else dict(zip(LOOSE_KEY.columns, found, strict=True))


def insert_key(transaction: Transaction, row: Values) -> None:
    transaction.run(keys.OPEN, row)
