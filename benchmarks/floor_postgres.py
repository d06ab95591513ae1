"""The floor on PostgreSQL: psycopg 3, autocommit, prepared statements as fixed texts, one statement per commit.

Each name is a schema of its own, and all of them go at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from itertools import count
from typing import Any
from uuid import uuid4

import psycopg
import sqlalchemy as sa
from psycopg import sql

from benchmarks.floor import Kind, Values
from workflow_runtime import WorkflowRuntime
from workflow_runtime.runtime.places import own_schema
from workflow_runtime.store import tables

_SCHEMA = """
CREATE TABLE process (
    id TEXT PRIMARY KEY, activity TEXT NOT NULL, state TEXT NOT NULL, status SMALLINT NOT NULL, owner TEXT,
    token BIGINT NOT NULL, revision BIGINT NOT NULL, updated_at BIGINT NOT NULL, parameters TEXT NOT NULL, walk TEXT
);
CREATE TABLE history (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, process_id TEXT NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL,
    from_activity TEXT NOT NULL, to_activity TEXT NOT NULL, status SMALLINT NOT NULL, trigger TEXT NOT NULL, walk_id TEXT NOT NULL,
    UNIQUE (process_id, seq)
);
"""
_SELECT = "SELECT id, activity, state, status, owner, token, revision, updated_at, parameters, walk FROM process WHERE id = %s"
_CREATE = """
WITH guarded AS (INSERT INTO process VALUES (%(id)s, %(to)s, '', 2, NULL, 1, 1, %(at)s, '{}', NULL) RETURNING id)
INSERT INTO history (process_id, seq, at, from_activity, to_activity, status, trigger, walk_id)
SELECT id, 1, %(at)s, '', %(to)s, 2, 'go', 'walk' FROM guarded
"""
_MOVE = """
WITH guarded AS (
    UPDATE process SET activity = %(to)s, status = 2, updated_at = %(at)s, revision = revision + 1
    WHERE id = %(id)s AND owner IS NULL AND token = 1 AND revision = %(revision)s RETURNING id
)
INSERT INTO history (process_id, seq, at, from_activity, to_activity, status, trigger, walk_id)
SELECT id, %(revision)s + 1, %(at)s, %(from)s, %(to)s, 2, 'go', 'walk' FROM guarded
"""
_RESET_RUNNING = """
WITH guarded AS (
    UPDATE wf_process SET status = 5, owner = NULL, token = token + 1, revision = revision + 1, last_seq = last_seq + 1
    WHERE status = 1 RETURNING *
)
INSERT INTO wf_history (process_id, seq, kind, at, from_activity, to_activity, from_state, to_state, status, trigger_kind, trigger_name,
    transition, classifier, walk_id, is_final)
SELECT id, last_seq, 'recovered', updated_at, activity, activity, state, state, 5, 'Recovery', 'default', '', '', '', 0 FROM guarded
"""
_NUMBERED = ("wf_history", "wf_journal", "wf_decision", "wf_recovery")  #: their first column counts by itself


class PostgresHand:
    def __init__(self, url: str) -> None:
        self._driver = _connected(url)
        self._driver.prepare_threshold = 0
        self._now = count(1)
        self.create()

    def create(self) -> None:
        self._id, self._revision, self._at = str(uuid4()), 1, "Rest"
        self._write(_CREATE, {"id": self._id, "to": self._at, "at": next(self._now)})

    def read(self) -> None:
        row = self._driver.execute(_SELECT, (self._id,)).fetchone()
        assert row is not None
        assert row[6] == self._revision

    def transition(self) -> None:
        left, self._at = self._at, "Other" if self._at == "Rest" else "Rest"
        self._write(_MOVE, {"id": self._id, "revision": self._revision, "from": left, "to": self._at, "at": next(self._now)})
        self._revision += 1

    def _write(self, statement: str, values: Mapping[str, Any]) -> None:
        assert self._driver.execute(statement, values).rowcount == 1, "nobody else moves this process"

    def close(self) -> None:
        self._driver.close()


class PostgresFloor:
    kind = Kind.POSTGRESQL

    def __init__(self, url: str) -> None:
        self.server = url
        self._stack = ExitStack()
        self._urls: dict[str, str] = {}
        with _connected(self.url("by_hand")) as driver:
            driver.execute(_SCHEMA)
            shown = {name: _shown(driver, name) for name in ("server_version", "fsync", "synchronous_commit")}
        self.name = f"PostgreSQL {shown['server_version'].split()[0]}, fsync={shown['fsync']}, synchronous_commit={shown['synchronous_commit']}"

    def url(self, name: str) -> str:
        if name not in self._urls:
            self._urls[name] = self._stack.enter_context(own_schema(self.server, "wf_benchmark")).url
        return self._urls[name]

    def copy(self, name: str, new: str) -> str:
        self._urls.pop(new, None)  # its schema goes with the others
        WorkflowRuntime(self.url(new)).as_client().upgrade_database()
        with _connected(self.url(new)) as driver:
            for table in tables.metadata.sorted_tables:
                columns = [column.name for column in table.c][table.name in _NUMBERED :]
                names = sql.SQL(", ").join(map(sql.Identifier, columns))
                old, here = sql.Identifier(_schema_of(self.url(name)), table.name), sql.Identifier(table.name)
                driver.execute(sql.SQL("TRUNCATE {} CASCADE").format(here))
                driver.execute(sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(here, names, names, old))
            driver.execute("ANALYZE")
        return self.url(new)

    def place(self, name: str) -> tuple[str, str]:
        return self.url(name), _schema_of(self.url(name))

    def hand(self) -> PostgresHand:
        return PostgresHand(self.url("by_hand"))

    def fill(self, name: str, table: sa.Table, rows: Iterable[Values]) -> None:
        columns = [column.name for column in table.c if not (table.name in _NUMBERED and column.primary_key)]
        target, names = sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
        with _connected(self.url(name)) as driver:
            with driver.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(target, names)) as copy:
                for row in rows:
                    copy.write_row([row.get(column, _default(table, column)) for column in columns])
            driver.execute(sql.SQL("ANALYZE {}").format(target))

    def settle(self, name: str) -> None:
        with _connected(self.url(name)) as driver:
            for table in (tables.process, tables.timer, tables.history):
                driver.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table.name)))

    def reset_running(self, name: str) -> int:
        with _connected(self.url(name)) as driver:
            return driver.execute(_RESET_RUNNING).rowcount

    def close(self) -> None:
        self._stack.close()


def _default(table: sa.Table, column: str) -> Any:
    default = table.c[column].server_default
    return default.arg if isinstance(default, sa.DefaultClause) else None


def _schema_of(url: str) -> str:
    return str(sa.make_url(url).query["options"]).rpartition("=")[2]


def _shown(driver: psycopg.Connection[Any], name: str) -> str:
    row = driver.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
    assert row is not None
    return str(row[0])


def _connected(url: str) -> psycopg.Connection[Any]:
    """Autocommit: each statement is a commit."""
    return psycopg.connect(sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True)
