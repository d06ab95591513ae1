"""The floor on SQLite: the ``sqlite3`` of the standard library, WAL, synchronous=FULL, statements as fixed texts."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from benchmarks.floor import Kind, Values

_BUSY_SECONDS = 30.0

_SCHEMA = """
CREATE TABLE process (
    id TEXT PRIMARY KEY, activity TEXT NOT NULL, state TEXT NOT NULL, status INTEGER NOT NULL, owner TEXT,
    token INTEGER NOT NULL, revision INTEGER NOT NULL, updated_at INTEGER NOT NULL, parameters TEXT NOT NULL, walk TEXT
);
CREATE TABLE history (
    id INTEGER PRIMARY KEY, process_id TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, from_activity TEXT NOT NULL,
    to_activity TEXT NOT NULL, status INTEGER NOT NULL, trigger TEXT NOT NULL, walk_id TEXT NOT NULL, UNIQUE (process_id, seq)
);
"""
_SELECT = "SELECT id, activity, state, status, owner, token, revision, updated_at, parameters, walk FROM process WHERE id = ?"
_INSERT = "INSERT INTO process VALUES (?, ?, '', 2, NULL, 1, 1, ?, '{}', NULL)"
_UPDATE = """
UPDATE process SET activity = ?, status = 2, updated_at = ?, revision = revision + 1 WHERE id = ? AND owner IS NULL AND token = 1 AND revision = ?
"""
_TELL = "INSERT INTO history (process_id, seq, at, from_activity, to_activity, status, trigger, walk_id) VALUES (?, ?, ?, ?, ?, 2, 'go', ?)"

_TELL_OF_RUNNING = """
INSERT INTO wf_history (process_id, seq, kind, at, from_activity, to_activity, from_state, to_state, status, trigger_kind, trigger_name,
    transition, classifier, walk_id, is_final)
SELECT id, last_seq + 1, 'recovered', updated_at, activity, activity, state, state, 5, 'Recovery', 'default', '', '', '', 0 FROM wf_process WHERE status = 1
"""
_RESET_RUNNING = "UPDATE wf_process SET status = 5, owner = NULL, token = token + 1, revision = revision + 1, last_seq = last_seq + 1 WHERE status = 1"


class SqliteHand:
    def __init__(self, path: Path) -> None:
        self._driver = _connected(path)
        self._now = count(1)
        self.create()

    def create(self) -> None:
        self._id, self._revision, self._at = str(uuid4()), 1, "Rest"
        self._driver.execute("BEGIN IMMEDIATE")
        self._driver.execute(_INSERT, (self._id, self._at, next(self._now)))
        self._driver.execute(_TELL, (self._id, 1, next(self._now), "", self._at, "walk"))
        self._driver.execute("COMMIT")

    def read(self) -> None:
        assert self._driver.execute(_SELECT, (self._id,)).fetchone()[6] == self._revision

    def transition(self) -> None:
        left, self._at = self._at, "Other" if self._at == "Rest" else "Rest"
        self._driver.execute("BEGIN IMMEDIATE")
        cursor = self._driver.execute(_UPDATE, (self._at, next(self._now), self._id, self._revision))
        assert cursor.rowcount == 1, "nobody else moves this process"
        self._revision += 1
        self._driver.execute(_TELL, (self._id, self._revision, next(self._now), left, self._at, "walk"))
        self._driver.execute("COMMIT")

    def close(self) -> None:
        self._driver.close()


class SqliteFloor:
    kind = Kind.SQLITE

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = f"sqlite:///{folder}"
        self.name = f"SQLite {sqlite3.sqlite_version}, WAL, synchronous=FULL"
        self._by_hand = folder / "by_hand.db"
        driver = _connected(self._by_hand)
        driver.executescript(_SCHEMA)
        driver.close()

    def url(self, name: str) -> str:
        return f"sqlite:///{self._path(name)}"

    def copy(self, name: str, new: str) -> str:
        shutil.copyfile(self._path(name), self._path(new))
        for left in (f"{new}.db-wal", f"{new}.db-shm"):
            (self._folder / left).unlink(missing_ok=True)
        return self.url(new)

    def place(self, name: str) -> tuple[str, str]:
        return self.url(name), ""

    def hand(self) -> SqliteHand:
        return SqliteHand(self._by_hand)

    def fill(self, name: str, table: sa.Table, rows: Iterable[Values]) -> None:
        insert = str(sa.insert(table).compile(dialect=sqlite.dialect(paramstyle="named")))
        driver = _connected(self._path(name))
        driver.execute("PRAGMA synchronous=OFF")
        driver.execute("BEGIN")
        driver.executemany(insert, rows)
        driver.execute("COMMIT")
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        driver.close()

    def settle(self, name: str) -> None:
        driver = _connected(self._path(name))
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        driver.close()

    def reset_running(self, name: str) -> int:
        driver = _connected(self._path(name))
        driver.execute("BEGIN IMMEDIATE")
        driver.execute(_TELL_OF_RUNNING)
        number = driver.execute(_RESET_RUNNING).rowcount
        driver.execute("COMMIT")
        driver.close()
        return number

    def close(self) -> None:
        """The folder is not ours."""

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.db"


def _connected(path: Path) -> sqlite3.Connection:
    driver = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    driver.execute("PRAGMA journal_mode=WAL")
    driver.execute("PRAGMA synchronous=FULL")
    return driver
