"""MariaDB (10.6 and later) and MySQL 8, by PyMySQL. See dialects.py for the questions that are answered here.

Law: UPDATE has no RETURNING here, so what strangers wrote is read in the same transaction, under the lock that
the UPDATE took. A lock wait that is given up ends only its statement: every error is followed by a ROLLBACK.

===================================  ================================================================
set on every connection              because
===================================  ================================================================
READ COMMITTED                       the default reads a snapshot, while FOR UPDATE reads the newest row
strict sql_mode                      else texts that are too long are cut, and stored
time zone UTC                        SYSDATE(6) shows the time of the session
utf8mb4_bin for literals             else 'A' equals 'a'; columns have their own, see columns.py
lock wait 5 s, statement 30 s        a lock that stays must not hold up a server
idle_transaction_timeout             a stopped server's locks go before its lease is over: less than half of
                                     a lease in whole seconds, 1 or 2; MariaDB only
===================================  ================================================================

Rows are counted as matched, not as changed (SQLAlchemy asks for it when it connects). DDL commits by itself:
migrations hold a named lock, which belongs to their connection, and may be taken again; see migrations/steps.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pymysql  # type: ignore[import-untyped]
import sqlalchemy as sa
from pymysql.constants import SERVER_STATUS  # type: ignore[import-untyped]
from sqlalchemy import bindparam, event
from sqlalchemy.dialects import mysql

from workflow_runtime.core.values import encode
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store import network, tables, trouble
from workflow_runtime.store.dialects import Block, Bound, Guarded, Row, Statement, Transaction, Values, begin_nothing, end_nothing
from workflow_runtime.store.network import Bounds, Networked
from workflow_runtime.store.portable import Portable
from workflow_runtime.store.sessions import KEY, SEEN_KEY, Words
from workflow_runtime.store.trouble import Trouble

_CONNECT = {
    "charset": "utf8mb4",
    **dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), network.CONNECT_SECONDS),  # the latter two while it connects
    "program_name": "workflow_runtime",
}
_SESSION = (
    f"collation_connection='utf8mb4_bin', sql_mode='TRADITIONAL,NO_ENGINE_SUBSTITUTION', time_zone='+00:00', innodb_lock_wait_timeout={network.LOCK_SECONDS}"
)
_ANSWER = dict.fromkeys(("read_timeout", "write_timeout"), network.STATEMENT_SECONDS + network.LOCK_SECONDS)
_ONLY_MARIADB = f"max_statement_time={network.STATEMENT_SECONDS}, idle_transaction_timeout={{}}"
_ONLY_MYSQL = f"max_execution_time={network.STATEMENT_SECONDS * 1000}"

_FACTS = (
    "SHOW SESSION VARIABLES WHERE variable_name IN ('version', 'innodb_flush_log_at_trx_commit', 'sync_binlog', 'sql_mode', "
    "'log_bin', 'tx_isolation', 'transaction_isolation', 'read_only')"
)
_process = tables.process
_insert_timer = mysql.insert(tables.timer).values({column.name: bindparam(column.name) for column in tables.timer.c})
_STRANGERS: sa.Select[Any] = sa.select(_process.c.cancel_requested, _process.c.children_open)
_READ_BACK = _STRANGERS.where(_process.c.id == bindparam("g_id"))
_UNLOCKED = sa.select(_process.c.id).where(_process.c.id == bindparam("id")).with_for_update(skip_locked=True)
_WORDS = Words(
    take=sa.select(sa.func.get_lock(KEY, sa.literal_column("0"))),
    is_mine=sa.func.coalesce(sa.func.is_used_lock(KEY), sa.literal_column("0")) == sa.func.connection_id(),
    is_free=sa.func.is_free_lock(SEEN_KEY),
)
_schema = sa.table("tables", sa.column("table_schema"), sa.column("table_name"), schema="information_schema")
_HAS_TABLE = sa.select(_schema.c.table_name).where(_schema.c.table_schema == sa.func.database(), _schema.c.table_name == bindparam("name"))


class MariaDb(Networked, Portable):
    put_timer = _insert_timer.on_duplicate_key_update({name: _insert_timer.inserted[name] for name in ("due", "value", "armed_at")})
    keep_timer = _insert_timer.on_duplicate_key_update({"name": tables.timer.c.name})

    def __init__(self, url: sa.URL, *, clock: Callable[[], datetime], monotonic: Callable[[], float] | None, bounds: Bounds) -> None:
        connect = {name: value for name, value in _CONNECT.items() if name not in url.query}
        engine = sa.create_engine(url, connect_args=connect, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool, hide_parameters=True)
        patience = {name: seconds for name, seconds in _ANSWER.items() if name not in url.query}
        event.listen(engine, "connect", _session_setter(max(1, int(network.idle_seconds(bounds.lease))), patience))
        super().__init__(engine, clock=clock, monotonic=monotonic, connections=bounds.connections)
        self._locking: dict[Statement, sa.Select[Any]] = {}

    # -- connections and transactions --

    def socket(self, driver: Any) -> int | None:
        return driver._sock.fileno() if driver.open else None

    def rest(self, driver: Any) -> bool:
        if driver.open and driver.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
            driver.rollback()
        return bool(driver.open)

    def change(self) -> Block:
        return self.write()

    def single(self) -> Block:
        return Block(self, begin_nothing, end_nothing, commits=True)

    def begin_write(self, driver: Any) -> None:
        driver.begin()

    def end_write(self, driver: Any, commit: bool) -> None:
        if commit:
            driver.commit()
        else:
            driver.rollback()

    def begin_snapshot(self, driver: Any) -> None:
        with driver.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    @contextmanager
    def migration(self) -> Iterator[sa.Connection]:
        with self.translated(), self.engine.connect() as connection:
            name = "wf_upgrade_" + hashlib.sha256(str(self.engine.url.database).encode()).hexdigest()[:32]
            if connection.execute(sa.select(sa.func.get_lock(name, network.UPGRADE_SECONDS))).scalar() != 1:
                raise StoreUnavailable(f"another server has been upgrading {self.place} for {network.UPGRADE_SECONDS} s; repeat the call when it is done")
            try:
                yield connection
            finally:
                connection.execute(sa.select(sa.func.release_lock(name)))

    def facts(self, driver: Any) -> dict[str, str]:
        with driver.cursor() as cursor:
            cursor.execute(_FACTS)
            found = {str(name): str(value).lower() for name, value in cursor.fetchall()}
        return found if found.get("log_bin") == "on" else {name: value for name, value in found.items() if name != "sync_binlog"}

    # -- sessions --

    def words(self) -> Words:
        return _WORDS

    def bound(self, driver: Any, seconds: float) -> None:
        driver._read_timeout = driver._write_timeout = seconds

    # -- statements --

    def fetch(self, driver: Any, sql: str, values: Bound) -> list[Row]:
        return list(super().fetch(driver, sql, values))  # PyMySQL gives a tuple

    def written(self, transaction: Transaction, statement: Statement, values: Values) -> Row | None:
        """Of a row that goes there is nothing to read back afterwards: it is locked and read before."""
        if isinstance(statement, sa.Delete):
            found = transaction.row(self._lock(statement), values)
            return found if found is not None and transaction.run(statement, values) else None
        return transaction.row(_READ_BACK, values) if transaction.run(statement, values) else None

    def is_free(self, transaction: Transaction, change: Guarded) -> bool:
        return transaction.row(_UNLOCKED, {"id": change.followers.process_id}) is not None

    def _lock(self, statement: sa.Delete) -> sa.Select[Any]:
        if statement not in self._locking:
            self._locking[statement] = _STRANGERS.where(*statement._where_criteria).with_for_update()
        return self._locking[statement]

    def has_parameter(self, name: str, value: Any) -> sa.ColumnElement[bool]:
        """Compared as the text of the JSON: as a value 1 would equal 1.0."""
        return _as_bytes(_parameter(name)) == _as_bytes(sa.func.json_extract(f"[{encode(value)}]", "$[0]"))

    def has_parameter_like(self, name: str, pattern: str) -> sa.ColumnElement[bool]:
        return sa.cast(_parameter(name), mysql.CHAR()).regexp_match(pattern)

    def has_table(self, transaction: Transaction, name: str) -> bool:
        return transaction.row(_HAS_TABLE, {"name": name}) is not None

    # -- errors --

    def trouble_of(self, cause: Any) -> Trouble:
        if isinstance(cause, pymysql.Error):
            return trouble.of_number(cause.args[0] if cause.args else None)
        return Trouble.OTHER

    def words_of(self, cause: Exception) -> str:
        """PyMySQL's own text is the repr of a pair."""
        text = cause.args[1] if isinstance(cause, pymysql.Error) and len(cause.args) > 1 else None
        return str(text) if text else super().words_of(cause)


def _parameter(name: str) -> sa.ColumnElement[Any]:
    """The JSON of one parameter. A row without JSON has no parameters."""
    stored = sa.case((sa.func.json_valid(_process.c.parameters) == 1, _process.c.parameters), else_="{}")
    tagged = sa.func.json_extract(stored, '$."$"').is_not(None)  # a parameter named $ makes all of them a tagged dict, see core.values
    key = json.dumps(name, ensure_ascii=False)
    return sa.case((tagged, sa.func.json_extract(stored, f'$."$"[1].{key}')), else_=sa.func.json_extract(stored, f"$.{key}"))


def _as_bytes(element: Any) -> sa.ColumnElement[bytes]:
    return sa.cast(element, mysql.BINARY())


def _session_setter(idle: int, patience: Mapping[str, int]) -> Callable[[Any, Any], None]:
    """``idle``: seconds that a transaction may lie idle; ``patience``: for one call, by the name of the option."""

    def set_session(driver: Any, _record: Any) -> None:
        is_mariadb = "MariaDB" in driver.get_server_info()
        with driver.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute(f"SET SESSION {_SESSION}, {_ONLY_MARIADB.format(idle) if is_mariadb else _ONLY_MYSQL}")
        for name, seconds in patience.items():
            setattr(driver, f"_{name}", seconds)

    return set_session
