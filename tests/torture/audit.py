"""What the triggers and the tables say after a run, as evidence; triggers.py says what is written down.

One table takes every insert, update and delete of processes, history, journal, timers, decisions and of the lives of
servers, in the order of one counter.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from evidence import (
    DecisionWrite,
    HistoryWrite,
    JournalWrite,
    KeyRow,
    Pass,
    Place,
    ProcessWrite,
    Run,
    ServerWrite,
    Standing,
    Stored,
    TimerWrite,
)

T = TypeVar("T")
Row = dict[str, Any]


def read(engine: sa.Engine, run: Run) -> None:
    """Fills in what the database knows."""
    with engine.connect() as connection:
        rows = [_read(row._mapping) for row in connection.execute(_AUDIT)]
        run.processes = _those(rows, "wf_process", _process_write)
        run.history = _those(rows, "wf_history", _history_write)
        run.journal = _those(rows, "wf_journal", _journal_write)
        run.timers = _those(rows, "wf_timer", _timer_write)
        run.decisions = _those(rows, "wf_decision", _decision_write)
        run.servers = _those(rows, "wf_server", _server_write)
        run.stored = list(_stored(connection))
        run.keys = [_key(row._mapping) for row in connection.execute(_KEYS)]
        run.passes = [Pass(row.id, row.owned, row.decided, row.skipped, row.ended_at is not None) for row in connection.execute(_PASSES)]


def _read(row: Mapping[Any, Any]) -> Row:
    old, new = (json.loads(row[side]) if row[side] else None for side in ("old_row", "new_row"))
    return {**row, "before": old, "after": new, "writer": _program(row["writer"] or "")}


def _program(name: str) -> str:
    """A server puts its incarnation before the name that it was given."""
    return (name.split() or [""])[-1]


_AUDIT = sa.text("SELECT * FROM audit ORDER BY seq")
_PASSES = sa.text("SELECT id, owned, decided, skipped, ended_at FROM wf_recovery ORDER BY number")
_KEYS = sa.text("SELECT scope, wf_idempotency.key, process_id, settled, answer FROM wf_idempotency ORDER BY scope, wf_idempotency.key")
_STORED = sa.text("SELECT id, status, activity, owner FROM wf_process ORDER BY id")
_TIMERS = sa.text("SELECT process_id, kind, name, due < :now AS overdue FROM wf_timer")


def _stored(connection: sa.Connection) -> Iterator[Stored]:
    timers: dict[str, dict[str, bool]] = {}
    for row in connection.execute(_TIMERS, {"now": time.time_ns() // 1000}):
        timers.setdefault(row.process_id, {})[row.name if row.kind == "timer" else f"({row.kind})"] = row.overdue
    for row in connection.execute(_STORED):
        mine = timers.get(row.id, {})
        yield Stored(row.id, row.status, row.activity, row.owner, frozenset(mine), frozenset(name for name, overdue in mine.items() if overdue))


def _key(row: Mapping[Any, Any]) -> KeyRow:
    answer = json.loads(row["answer"] or "{}")
    return KeyRow(row["scope"], row["key"], row["process_id"], row["settled"] is not None, answer.get("executed", False), answer.get("error", ""))


def _those(rows: list[Row], source: str, make: Callable[[Row, Row], T]) -> list[T]:
    return [make(row, row["after"] or row["before"]) for row in rows if row["source"] == source]


def _standing(row: Row | None) -> Standing | None:
    if row is None:
        return None
    walk = json.loads(row["walk"]) if row["walk"] else {}
    kind, name = walk.get("trigger", ("", ""))
    owner, token, revision, status, activity, deaths = (row[each] for each in ("owner", "token", "revision", "status", "activity", "deaths"))
    return Standing(owner, token, revision, status, activity, deaths, walk.get("id", ""), (kind, name), walk.get("step", 0))


def _process_write(row: Row, one: Row) -> ProcessWrite:
    before, after = _standing(row["before"]), _standing(row["after"])
    return ProcessWrite(row["seq"], one["id"], row["operation"], before, after, row["writer"], row["transaction"], row["begun"], row["at"])


def _history_write(row: Row, one: Row) -> HistoryWrite:
    return HistoryWrite(
        row["seq"],
        one["process_id"],
        row["operation"],
        one["seq"],
        one["kind"],
        one["from_activity"],
        one["to_activity"],
        one["transition"],
        (one["trigger_kind"], one["trigger_name"]),
        one["status"],
        one["walk_id"],
        one["server"],
        row["owner"],
        row["token"],
        row["writer"],
        row["transaction"],
        one["at"],
        row["at"],
        one["idempotency_key"],
    )


def _journal_write(row: Row, one: Row) -> JournalWrite:
    place = Place(one["walk_id"], one["activity"], one["action"], one["step"], one["occurrence"])
    return JournalWrite(
        row["seq"],
        one["process_id"],
        row["operation"],
        place,
        one["action_index"],
        row["owner"],
        row["token"],
        row["writer"],
        row["transaction"],
        row["at"],
    )


def _timer_write(row: Row, one: Row) -> TimerWrite:
    before, after = ((row[side] or {}).get("due") for side in ("before", "after"))
    return TimerWrite(row["seq"], one["process_id"], row["operation"], one["kind"], one["name"], before, after, row["writer"], row["transaction"], row["at"])


def _decision_write(row: Row, one: Row) -> DecisionWrite:
    return DecisionWrite(
        row["seq"],
        one["process_id"],
        one["recovery_id"],
        one["decision"],
        one["decided_by"],
        one["reason"],
        one["status_after"],
        one["error"],
        one["server"],
        row["writer"],
        row["transaction"],
        row["at"],
    )


def _server_write(row: Row, one: Row) -> ServerWrite:
    died = row["operation"] == "UPDATE" and row["after"]["dead_at"] is not None and row["before"]["dead_at"] is None
    return ServerWrite(row["seq"], row["operation"], one["id"], one["pid"], died, row["writer"], row["at"])
