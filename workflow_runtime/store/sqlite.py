"""SQLite: one file, one server, many threads. See dialects.py for the questions that are answered here."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import bindparam, event
from sqlalchemy.dialects import sqlite

from workflow_runtime.core.values import encode
from workflow_runtime.store import crowds, rows, tables, trouble
from workflow_runtime.store.dialects import OWN, Alike, Bound, Row, Statement, Transaction, Values
from workflow_runtime.store.grouping import Line, busy
from workflow_runtime.store.portable import Portable
from workflow_runtime.store.trouble import Trouble

T = TypeVar("T")

BUSY_SECONDS = 5.0  #: how long SQLite waits for another process before one attempt is given up
BUSY_ATTEMPTS = 3
PATIENCE = BUSY_SECONDS * BUSY_ATTEMPTS  #: seconds for the turn, and as many in the line before it
WAL_PAUSE = 0.01  #: seconds between attempts to switch a new file to WAL, for which SQLite does not wait by itself

_insert_timer = sqlite.insert(tables.timer).values({column.name: bindparam(column.name) for column in tables.timer.c})

_each = sa.func.json_each(bindparam("given")).table_valued("key", "value")
_own = (sa.func.json_extract(_each.c.value, sa.literal_column(f"'$[{place}]'")).label(name) for place, name in enumerate(OWN))
_given = sa.select(_each.c.key.label("id"), *_own).subquery("given")
_DECIDED = crowds.update(_given).returning(tables.process.c.id)
_FOLLOWING = (crowds.drop(_given), crowds.tell(_given), crowds.decide(_given))

_master = sa.table("sqlite_master", sa.column("type"), sa.column("name"))
_HAS_TABLE = sa.select(_master.c.name).where(_master.c.type == sa.literal_column("'table'"), _master.c.name == bindparam("name"))


class Sqlite(Portable):
    path: Path
    takes_crowds = True
    put_timer = _insert_timer.on_conflict_do_update(
        index_elements=["process_id", "kind", "name"],
        set_={name: _insert_timer.excluded[name] for name in ("due", "value", "armed_at")},
    )
    keep_timer = _insert_timer.on_conflict_do_nothing()

    def __init__(self, path: Path, *, clock: Callable[[], datetime], synchronous: str) -> None:
        engine = sa.create_engine(
            sa.URL.create("sqlite+pysqlite", database=str(path)),
            connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
            poolclass=sa.NullPool,
            hide_parameters=True,
        )
        event.listen(engine, "connect", _pragmas(synchronous))
        super().__init__(engine)
        self.path = path
        self._clock = clock
        self._turn = threading.Lock()  # the writers of this process wait here in line instead of polling inside SQLite
        self._line = Line(self)  # of those who may be committed together
        self._idle: list[Any] = []  # connections in nobody's hand; never more than there were callers at once
        self._reading_back: dict[Statement, Statement] = {}

    def now(self) -> datetime:
        return self._clock()

    def given_now(self) -> int:
        return rows.micros(self._clock())

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            connection = self.engine.raw_connection()
            connection.detach()
            return connection.dbapi_connection

    def give_back(self, driver: Any, *, interrupted: bool = False) -> None:
        if interrupted:
            driver.close()
            return
        try:
            if driver.in_transaction:
                driver.rollback()
        except sqlite3.Error:  # of no use any more; what led here is being reported
            driver.close()
        else:
            self._idle.append(driver)

    def changed(self, work: Callable[[Transaction], T]) -> T:
        return self._line.run(work, PATIENCE)

    def begin_write(self, driver: Any) -> None:
        """Take the write lock at once: a transaction that begins by reading can fail later, and at once."""
        if not self._turn.acquire(timeout=PATIENCE):
            raise busy(self.place, PATIENCE)
        try:
            _begin_immediate(driver)
        except BaseException:
            self._turn.release()
            raise

    def end_write(self, driver: Any, commit: bool) -> None:
        """A commit that fails is rolled back before the next writer begins."""
        try:
            if commit:
                driver.commit()
        finally:
            try:
                driver.rollback()
            finally:
                self._turn.release()

    def facts(self, driver: Any) -> dict[str, str]:
        found = {name: str(driver.execute(f"PRAGMA {name}").fetchone()[0]).lower() for name in ("journal_mode", "synchronous", "foreign_keys")}
        return {"version": sqlite3.sqlite_version, **found}

    def begin_snapshot(self, driver: Any) -> None:
        driver.execute("BEGIN")

    @contextmanager
    def migration(self) -> Iterator[sa.Connection]:
        with self.translated(), self.engine.connect() as connection, connection.begin():  # begun for SQLAlchemy, else Alembic commits
            driver = connection.connection.dbapi_connection
            self.begin_write(driver)
            committed = False
            try:
                yield connection
                committed = True
            finally:
                self.end_write(driver, committed)

    def written(self, transaction: Transaction, statement: Statement, values: Values) -> Row | None:
        returning = self._reading_back.get(statement)
        if returning is None:
            returning = statement.returning(tables.process.c.cancel_requested, tables.process.c.children_open)  # type: ignore[attr-defined]
            self._reading_back[statement] = returning
        return transaction.row(returning, values)

    def alike(self, transaction: Transaction, verdict: Alike) -> set[str]:
        values = {**verdict.values, "given": rows.to_json(verdict.own)}
        written = {row[0] for row in transaction.rows(_DECIDED, values)}
        if len(written) < len(verdict.own):
            values["given"] = rows.to_json({process_id: own for process_id, own in verdict.own.items() if process_id in written})
        for statement in _FOLLOWING if written else ():
            transaction.run(statement, values)
        return written

    def fetch(self, driver: Any, sql: str, values: Bound) -> list[Row]:
        try:
            found: list[Row] = self.cursor(driver).execute(sql, values).fetchall()
            return found
        except sqlite3.OperationalError as error:
            if "Could not decode" not in str(error):
                raise
            return self._fetch_damaged(driver, sql, values)

    def _fetch_damaged(self, driver: Any, sql: str, values: Bound) -> list[Row]:
        """A text that is no UTF-8 comes as bytes, so that its row is found unreadable and the others are read."""
        driver.text_factory = _text_or_bytes
        try:
            return super().fetch(driver, sql, values)
        finally:
            driver.text_factory = str

    def has_parameter(self, name: str, value: Any) -> sa.ColumnElement[bool]:
        each = self._each_parameter()
        wanted = encode(value)
        equal = each.c.type == sa.func.json_type(wanted)
        if value is not None:  # NULL equals nothing
            equal = sa.and_(equal, each.c.value == sa.func.json_extract(wanted, "$"))
        return sa.select(sa.literal_column("1")).select_from(each).where(each.c.key == name, equal).exists()

    def has_parameter_like(self, name: str, pattern: str) -> sa.ColumnElement[bool]:
        """Of the object and no text that looks like one. The function behind REGEXP comes with SQLAlchemy."""
        each = self._each_parameter()
        like = sa.and_(each.c.type == "object", each.c.value.regexp_match(pattern))
        return sa.select(sa.literal_column("1")).select_from(each).where(each.c.key == name, like).exists()

    def _each_parameter(self) -> sa.TableValuedAlias:
        """By json_each, because older versions look up a path without undoing escapes; a row without JSON has no parameters."""
        stored = sa.case((sa.func.json_valid(tables.process.c.parameters) == 1, tables.process.c.parameters), else_=rows.NO_PARAMETERS)
        tagged = sa.func.json_type(stored, '$."$"').is_not(None)  # a parameter named $ makes all of them a tagged dict, see core.values
        return sa.func.json_each(stored, sa.case((tagged, '$."$"[1]'), else_="$")).table_valued("key", "type", "value")

    def has_table(self, transaction: Transaction, name: str) -> bool:
        return transaction.row(_HAS_TABLE, {"name": name}) is not None

    def meaning(self, error: Exception, *, committing: bool = False) -> Exception:
        cause = getattr(error, "orig", None) or error
        return trouble.meaning(_trouble(cause), str(cause), self.place)


def _trouble(cause: Exception) -> Trouble:
    """A commit of SQLite that fails is rolled back: its outcome is always known."""
    if isinstance(cause, UnicodeEncodeError):
        return Trouble.CHARACTER
    if isinstance(cause, sqlite3.IntegrityError):
        return Trouble.DUPLICATE
    if "no such table" in str(cause) or "no such column" in str(cause):
        return Trouble.NO_TABLES
    return _BY_CODE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF, Trouble.OTHER)


_BY_CODE = {
    sqlite3.SQLITE_CANTOPEN: Trouble.CANNOT_OPEN,
    sqlite3.SQLITE_NOTADB: Trouble.NO_DATABASE,
    sqlite3.SQLITE_CORRUPT: Trouble.NO_DATABASE,
    sqlite3.SQLITE_FULL: Trouble.DISK_FULL,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_BUSY: Trouble.TIMEOUT,
    sqlite3.SQLITE_LOCKED: Trouble.TIMEOUT,
}


def _begin_immediate(driver: Any) -> None:
    for attempt in range(1, BUSY_ATTEMPTS + 1):
        try:
            driver.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if attempt == BUSY_ATTEMPTS or not _is_busy(error):
                raise


def _pragmas(synchronous: str) -> Callable[[Any, Any], None]:
    def connected(driver: Any, _record: Any) -> None:
        driver.isolation_level = None  # the driver begins nothing by itself
        driver.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
        _use_wal(driver)
        driver.execute(f"PRAGMA synchronous={synchronous}")
        driver.execute("PRAGMA foreign_keys=ON")

    return connected


def _use_wal(driver: Any) -> None:
    """Switching needs the file for itself for a moment; while another connection does the same, SQLite refuses without waiting."""
    for attempt in range(1, int(BUSY_SECONDS / WAL_PAUSE) + 1):
        try:
            driver.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or attempt * WAL_PAUSE >= BUSY_SECONDS:
                raise
            threading.Event().wait(WAL_PAUSE)


def _is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _text_or_bytes(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
