"""PostgreSQL, by psycopg 3. See dialects.py for the questions that are answered here.

Law: a connection commits each statement by itself (autocommit), so a change, which is one statement, is one
journey. Several statements of one transaction stand between BEGIN and COMMIT.

===================================  ================================================================
set on every connection              because
===================================  ================================================================
READ COMMITTED                       a guard that waited for a lock must see what is there then
lock_timeout 5 s, statement 30 s     a lock that stays must not hold up a server
idle_in_transaction                  a stopped server's locks go before its lease is over: less than half
                                     of a lease, at most 2 s
several hosts: read-write            the one that takes writes is the right one, also after a failover
the name of the server               what it left can be ended when it was declared dead
enable_seqscan, jit off              a plan made while a table was small is kept when it has grown
enable_bitmapscan off                pages are read in the order of an index, and end early
keepalives, tcp_user_timeout         a dead network is noticed within a lease
===================================  ================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import bindparam, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from workflow_runtime.core.values import encode
from workflow_runtime.store import network, one_statement, sockets, tables, trouble
from workflow_runtime.store.dialects import Alike, Block, Guarded, Prepared, Row, Transaction, begin_nothing, end_nothing
from workflow_runtime.store.network import Bounds, Networked
from workflow_runtime.store.nudges import Listener
from workflow_runtime.store.one_statement import Parts
from workflow_runtime.store.sessions import KEY, SEEN_KEY, Words
from workflow_runtime.store.trouble import Conflict, Trouble

_OPTIONS = {
    "default_transaction_isolation": r"read\ committed",
    "lock_timeout": f"{network.LOCK_SECONDS}s",
    "statement_timeout": f"{network.STATEMENT_SECONDS}s",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
}
_IDLE = "idle_in_transaction_session_timeout"
_CONNECT = {
    "application_name": "workflow_runtime",
    "client_encoding": "utf8",
    "connect_timeout": network.CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
}

_locks = sa.table("pg_locks", *map(sa.column, ("locktype", "database", "classid", "objid", "objsubid", "pid", "granted")))
_key = sa.cast(KEY, sa.BigInteger)
_number = sa.cast(_locks.c.classid, sa.BigInteger).bitwise_lshift(sa.literal_column("32")).bitwise_or(sa.cast(_locks.c.objid, sa.BigInteger))
_WORDS = Words(
    take=sa.select(sa.func.pg_try_advisory_lock(_key)),
    is_mine=sa.select(sa.literal_column("1"))
    .where(_locks.c.locktype == sa.literal_column("'advisory'"), _locks.c.pid == sa.func.pg_backend_pid(), _locks.c.granted, _number == _key)
    .exists(),
    is_free=sa.func.pg_try_advisory_xact_lock_shared(sa.cast(SEEN_KEY, sa.BigInteger)),  # two that look at once do not disturb each other
)

_TIMERS = sa.cast(sa.func.to_regclass(sa.literal_column(f"'{tables.timer.name}'")), postgresql.OID)
_CHANNEL = sa.func.concat(sa.literal_column("'wf_due_'"), _TIMERS)  # of these tables: other schemas of the database have others
_WHICH_CHANNEL = sa.select(_CHANNEL)

_UPGRADE_LOCK = 0x7766_7570_6772_6164  #: any number that no other program takes
_activity = sa.table("pg_stat_activity", *map(sa.column, ("pid", "application_name", "datname")))
_is_theirs = sa.func.split_part(_activity.c.application_name, sa.literal_column("' '"), sa.literal_column("1")) == bindparam("name", type_=sa.Text())
_TERMINATE = sa.select(sa.func.pg_terminate_backend(_activity.c.pid)).where(
    _is_theirs, _activity.c.datname == sa.func.current_database(), _activity.c.pid != sa.func.pg_backend_pid()
)
_SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "transaction_isolation",
    "default_transaction_read_only",
)
_settings = sa.table("pg_settings", sa.column("name"), sa.column("setting"))
_IN_RECOVERY = sa.case((sa.func.pg_is_in_recovery(), "on"), else_="off")
_FACTS = sa.union_all(
    sa.select(_settings.c.name, _settings.c.setting).where(_settings.c.name == sa.any_(bindparam("names", type_=postgresql.ARRAY(sa.Text())))),
    sa.select(sa.literal("pg_is_in_recovery"), _IN_RECOVERY),
)
_LOCK_UPGRADE = sa.select(sa.func.pg_advisory_xact_lock(sa.literal_column(str(_UPGRADE_LOCK))))
_HAS_TABLE = sa.select(sa.func.to_regclass(bindparam("name", type_=sa.Text())).is_not(None))


class Postgres(Networked):
    takes_crowds = True
    telling = sa.select(sa.func.pg_notify(_CHANNEL, sa.cast(bindparam("due", type_=sa.BigInteger()), sa.Text)))

    def __init__(self, url: sa.URL, *, clock: Callable[[], datetime], monotonic: Callable[[], float] | None, bounds: Bounds) -> None:
        """What the URL says wins, except for the isolation."""
        given = dict(url.query)
        ours = " ".join(f"-c {name}={value}" for name, value in {**_OPTIONS, _IDLE: f"{round(network.idle_seconds(bounds.lease) * 1000)}ms"}.items())
        options = f"{ours} {given.pop('options', '')} -c default_transaction_isolation={_OPTIONS['default_transaction_isolation']}"
        connect = {name: value for name, value in (_CONNECT | _several(url)).items() if name not in given}
        engine = sa.create_engine(
            url.set(query=given),
            connect_args={**connect, "options": options},
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
            hide_parameters=True,
            use_native_hstore=False,
        )
        self._given_name = str(given.get("application_name", ""))
        self._name = ""
        event.listen(engine, "do_connect", self._bear_name)
        event.listen(engine, "connect", _whole_numbers)
        super().__init__(engine, clock=clock, monotonic=monotonic, connections=bounds.connections)
        self.compiling = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # $1, as the server takes it: nothing is left to rewrite per call
        self._whole: dict[Parts, Prepared] = {}

    # -- connections and transactions --

    def _bear_name(self, _dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        if self._name:
            options["application_name"] = f"{self._name} {self._given_name}".strip()

    def name_connections(self, incarnation: str | None) -> None:
        """The name that the URL gives stands behind it."""
        self._name = _name_of(incarnation) if incarnation else ""
        self.renew()

    def terminate_connections(self, incarnation: str) -> int:
        with self.single() as transaction:
            return sum(bool(ended) for (ended,) in transaction.rows(_TERMINATE, {"name": _name_of(incarnation)}))

    def socket(self, driver: Any) -> int | None:
        return None if driver.closed else driver.fileno()

    def rest(self, driver: Any) -> bool:
        if driver.pgconn.transaction_status != TransactionStatus.IDLE:
            driver.rollback()
        return not driver.closed

    def cursor(self, driver: Any) -> Any:
        self._touch(driver)
        return psycopg.RawCursor(driver)

    def change(self) -> Block:
        return Block(self, begin_nothing, end_nothing, commits=True)

    single = change

    def begin_write(self, driver: Any) -> None:
        driver.execute("BEGIN")

    def end_write(self, driver: Any, commit: bool) -> None:
        if commit:
            driver.commit()
        else:
            driver.rollback()

    def begin_snapshot(self, driver: Any) -> None:
        driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    @contextmanager
    def migration(self) -> Iterator[sa.Connection]:
        with self.translated(), self.engine.connect() as connection, connection.begin():  # begun for SQLAlchemy, else Alembic commits
            driver: Any = connection.connection.dbapi_connection
            self.begin_write(driver)
            committed = False
            try:
                driver.execute(f"SET LOCAL lock_timeout = '{network.UPGRADE_SECONDS}s'")
                driver.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{network.UPGRADE_SECONDS}s'")
                driver.execute("SET LOCAL statement_timeout = 0")
                Transaction(driver, self).row(_LOCK_UPGRADE, {})
                yield connection
                committed = True
            finally:
                self.end_write(driver, committed)

    def facts(self, driver: Any) -> dict[str, str]:
        found = Transaction(driver, self).rows(_FACTS, {"names": list(_SETTINGS)})
        return {name: str(value).lower() for name, value in found}

    # -- sessions --

    def words(self) -> Words:
        return _WORDS

    def bound(self, driver: Any, seconds: float) -> None:
        driver.execute(sql.SQL("SET statement_timeout = {}").format(sql.Literal(max(1, round(seconds * 1000)))))

    def new_key(self, number: int) -> str:
        """An advisory lock is a number."""
        return str(number)

    # -- messages --

    def listen(self) -> Listener:
        with self.translated():
            driver = self._connect()
        try:
            with self.watched(driver, network.HANGING_SECONDS):
                ((channel,),) = Transaction(driver, self).rows(_WHICH_CHANNEL, {})
                driver.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            return Listener(driver, self.translated)
        except BaseException:
            sockets.close(driver)
            raise

    # -- statements --

    def created(self, transaction: Transaction, creations: Sequence[Guarded]) -> None:
        found = self.guarded_all(transaction, creations) if len(creations) > 1 else [self.guarded(transaction, creations[0])]
        for creation, row in zip(creations, found, strict=True):
            if row is None:
                raise Conflict(f"history of a process {creation.followers.process_id} is there")

    def guarded(self, transaction: Transaction, change: Guarded) -> Row | None:
        prepared = self._prepared_whole(change)
        found = self.fetch(transaction.driver, prepared.sql, prepared.bind(one_statement.values(change)))
        return found[0] if found else None

    def guarded_all(self, transaction: Transaction, changes: Sequence[Guarded]) -> list[Row | None]:
        """Those of the same text travel together: none waits for the answer to another. Each is still guarded by itself."""
        laid_out = [(prepared := self._prepared_whole(change), prepared.bind(one_statement.values(change))) for change in changes]
        found: list[Row | None] = []
        for prepared, group in groupby(laid_out, itemgetter(0)):
            found += self._sent_together(transaction, prepared, [bound for _, bound in group])
        return found

    def _sent_together(self, transaction: Transaction, prepared: Prepared, bounds: list[Any]) -> list[Row | None]:
        cursor = self.cursor(transaction.driver)
        cursor.executemany(prepared.sql, bounds, returning=True)
        found = [cursor.fetchone()]
        while cursor.nextset():
            found.append(cursor.fetchone())
        return found

    def _prepared_whole(self, change: Guarded) -> Prepared:
        parts = Parts.of(change)
        prepared = self._whole.get(parts)
        if prepared is None:
            prepared = self._whole[parts] = Prepared(one_statement.statement(parts), self.compiling)
        return prepared

    def alike(self, transaction: Transaction, verdict: Alike) -> set[str]:
        return {row[0] for row in transaction.rows(one_statement.ALIKE, one_statement.values_of_all(verdict))}

    def has_parameter(self, name: str, value: Any) -> sa.ColumnElement[bool]:
        """Compared as the text that PostgreSQL makes of JSON: as a value 1 would equal 1.0."""
        stored = sa.func.wf_parameter(tables.process.c.parameters, name, type_=sa.Text())
        return stored == sa.cast(sa.cast(encode(value), JSONB), sa.Text)

    def has_parameter_like(self, name: str, pattern: str) -> sa.ColumnElement[bool]:
        return sa.func.wf_parameter(tables.process.c.parameters, name, type_=sa.Text()).regexp_match(pattern)

    def has_table(self, transaction: Transaction, name: str) -> bool:
        found = transaction.row(_HAS_TABLE, {"name": name})
        return bool(found and found[0])

    # -- errors --

    def trouble_of(self, cause: Any) -> Trouble:
        if isinstance(cause, psycopg.DataError) and cause.sqlstate is None:  # refused by the driver: U+0000
            return Trouble.CHARACTER
        if isinstance(cause, psycopg.Error) and (cause.sqlstate is not None or isinstance(cause, psycopg.OperationalError)):
            return trouble.of_sqlstate(cause.sqlstate)
        return Trouble.OTHER

    def words_of(self, cause: Exception) -> str:
        primary = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
        return primary or super().words_of(cause)


def _several(url: sa.URL) -> dict[str, str]:
    """Of several hosts the one that takes writes: after a failover that is another."""
    hosts = url.normalized_query.get("host", ())
    return {"target_session_attrs": "read-write"} if len(",".join(hosts).split(",")) > 1 else {}


def _name_of(incarnation: str) -> str:
    return f"wf-{incarnation}"


def _whole_numbers(driver: Any, _record: Any) -> None:
    """Every int goes as a bigint: else each size would make another prepared statement of the same text."""
    driver.adapters.register_dumper(int, Int8Dumper)
