"""Short cuts of the store's tests: put something there, look at rows, damage a column, count statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from factories import claim, creation
from hypothesis import HealthCheck, settings

from workflow_runtime.core.process import Process
from workflow_runtime.store import sockets, tables
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.network import Networked
from workflow_runtime.store.sessions import Session
from workflow_runtime.store.writes import Store

ONLY_SQLITE, ONLY_POSTGRES, ONLY_MYSQL = (pytest.mark.parametrize("database", [name], indirect=True) for name in ("sqlite", "postgresql", "mysql"))
ON_SERVERS = pytest.mark.parametrize("database", ["postgresql", "mysql"], indirect=True)


def examples(store: Store, most: int) -> settings:
    """Of a property over a database; a server gets a quarter, since each takes longer there."""
    return settings(max_examples=most if store.path else most // 4, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def put(store: Store, process: Process, **fields: Any) -> Process:
    """Created as it stands; returns it as stored."""
    change = creation(process, **fields)
    assert store.apply(change).outcome is Outcome.APPLIED
    return change.result


def put_running(store: Store, process: Process, owner: str = "me", **fields: Any) -> Process:
    """Created at rest and claimed."""
    change = claim(put(store, process, **fields))
    change = replace(change, after=replace(change.after, owner=owner))  # type: ignore[type-var]
    assert store.apply(change).outcome is Outcome.APPLIED
    return change.result


def rows_of(store: Store, table: sa.Table, process_id: UUID) -> list[Any]:
    column = table.c.id if table is tables.process else table.c.process_id
    with store.dialect.read() as transaction:
        return transaction.rows_built(sa.select(table).where(column == str(process_id)))


def everything(store: Store) -> dict[str, list[Any]]:
    """All rows of all tables, to compare before and after."""
    with store.dialect.snapshot() as transaction:
        return {name: sorted(map(repr, transaction.rows_built(sa.select(table)))) for name, table in tables.metadata.tables.items()}


def damage(store: Store, process_id: UUID, **columns: Any) -> None:
    """Overwrite columns of the process row, as no verb would."""
    with store.dialect.write() as transaction:
        values = {name: value if isinstance(value, sa.ClauseElement) else sa.literal(value, sa.types.NullType()) for name, value in columns.items()}
        statement = sa.update(tables.process).where(tables.process.c.id == str(process_id)).values(values)
        assert transaction.run(statement, {}) == 1


_BROKEN = {
    "sqlite": ("CREATE TRIGGER broken BEFORE INSERT ON {} BEGIN SELECT RAISE(ABORT, 'broken'); END", "DROP TRIGGER broken"),
    "postgresql": ("ALTER TABLE {} ADD CONSTRAINT broken CHECK (false) NOT VALID", "ALTER TABLE {} DROP CONSTRAINT broken"),
    "mysql": ("CREATE TRIGGER broken BEFORE INSERT ON {} FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'broken'", "DROP TRIGGER broken"),
}


@contextmanager
def broken(store: Store, table: str) -> Iterator[None]:
    """Within it no row can be inserted into this table."""
    begin, end = (text.format(table) for text in _BROKEN[store.dialect.engine.dialect.name])
    execute(store, begin)
    try:
        yield
    finally:
        execute(store, end)


def execute(store: Store, text: str) -> None:
    """Words of the database itself, on a connection of the store."""
    with store.dialect.connected() as driver:
        driver.cursor().execute(text)


class Counted(Counter[str]):
    """Statements by their first word, as the database has seen them; ``texts`` in order."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    @classmethod
    def of(cls, numbers: dict[str, int]) -> Counted:
        expected = cls()
        expected.update(numbers)
        return expected

    def note(self, text: str) -> None:
        if self.texts[-1:] != [text]:  # what a foreign key does by itself is reported under the text of its cause
            self[text.split()[0]] += 1
            self.texts.append(text)


@contextmanager
def counting(store: Store) -> Iterator[Counted]:
    """On SQLite, for one thread: its next transactions run on the connection that is counted here."""
    counted = Counted()
    with store.dialect.connected() as driver:
        driver.set_trace_callback(counted.note)
    try:
        yield counted
    finally:
        with store.dialect.connected() as driver:
            driver.set_trace_callback(None)


def break_off(store: Store, session: Session) -> None:
    """Its connection is gone; it does not know yet."""
    dialect = store.dialect
    assert isinstance(dialect, Networked)
    sockets.sever(dialect.socket(session._driver))
