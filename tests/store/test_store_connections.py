"""Databases on a server: what is set on a connection, and what happens when it breaks off, waits or is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Barrier, Thread
from typing import Any

import pytest
import sqlalchemy as sa
from factories import NOW, claim, entry, process
from stored import ON_SERVERS, ONLY_MYSQL, ONLY_POSTGRES, everything, execute, put
from waiting import until

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.errors import ParameterError, SettingsError, StoreUnavailable
from workflow_runtime.store import changes, network, tables
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.network import Bounds
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]
KILL = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}
BLOCKED = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND wait_event_type = 'Lock'",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = {} AND trx_state = 'LOCK WAIT'",
}
THERE = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE pid = {}",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE id = {}",
}
TOUCH = sa.update(tables.process).where(tables.process.c.id == sa.bindparam("this")).values(children_open=tables.process.c.children_open + 1)


def number_of(driver: Any) -> int:
    return int(driver.info.backend_pid if hasattr(driver, "info") else driver.thread_id())


def asked(store: Store, words: str) -> Any:
    with store.dialect.connected() as driver:
        cursor = driver.cursor()
        cursor.execute(words)
        found = cursor.fetchone()
    return found[0] if found else None


def kind(store: Store) -> str:
    return store.dialect.engine.dialect.name


def execute_on(driver: Any, words: str) -> None:
    driver.cursor().execute(words)


def may_lie_idle(store: Store) -> None:
    """Its next transaction, for as long as the test needs: else a slow machine lets its locks go too early."""
    server = "SET idle_transaction_timeout = 0" if "MariaDB" in asked(store, "SELECT version()") else "DO 0"
    execute(store, {"postgresql": "SET idle_in_transaction_session_timeout = 0", "mysql": server}[kind(store)])


def not_on_mysql(store: Store) -> None:
    """What MariaDB has and MySQL has not."""
    if kind(store) == "mysql" and "MariaDB" not in asked(store, "SELECT version()"):
        pytest.skip("only MariaDB has such a timeout")


# -- what is set ------------------------------------------------------------------------------------------


@ONLY_POSTGRES
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("transaction_isolation", "read committed"),
        ("lock_timeout", "5s"),
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "2s"),
        ("application_name", "wf-me"),
        ("client_encoding", "UTF8"),
    ],
)
def test_every_connection_of_postgresql_is_set(store: Store, name: str, value: str) -> None:
    with store.dialect.connected():  # so that the next is another connection
        assert asked(store, f"SHOW {name}") == value


@ONLY_POSTGRES
def test_the_url_wins_except_for_the_isolation(database: str, open_store: OpenStore) -> None:
    store = open_store(f"{database}%20-clock_timeout=7s%20-cdefault_transaction_isolation=serializable&application_name=mine")
    assert [asked(store, f"SHOW {name}") for name in ("lock_timeout", "application_name", "transaction_isolation")] == ["7s", "mine", "read committed"]


@ONLY_MYSQL
@pytest.mark.parametrize(
    ("name", "value"),
    [("time_zone", "+00:00"), ("innodb_lock_wait_timeout", 5), ("character_set_connection", "utf8mb4"), ("collation_connection", "utf8mb4_bin")],
)
def test_every_connection_of_mariadb_is_set(store: Store, name: str, value: object) -> None:
    with store.dialect.connected():
        assert asked(store, f"SELECT @@{name}") == value
        assert "STRICT_TRANS_TABLES" in asked(store, "SELECT @@sql_mode")
        assert asked(store, "SHOW VARIABLES WHERE variable_name IN ('tx_isolation', 'transaction_isolation') AND value = 'READ-COMMITTED'")


@pytest.mark.parametrize("url", ["postgresql+psycopg://root:secret@127.0.0.1", "mysql+pymysql://root:secret@127.0.0.1/"])
def test_a_url_without_a_database_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="names no database") as caught:
        Store.open(url, clock=lambda: NOW, new_token=lambda: 1)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://root:secret@127.0.0.1:1/x", "mysql://root:secret@127.0.0.1:1/x", "mariadb://root:secret@127.0.0.1:1/x"])
def test_a_server_that_is_not_there_is_unavailable_and_the_password_is_not_told(url: str) -> None:
    store = Store.open(url, clock=lambda: NOW, new_token=lambda: 1)
    with pytest.raises(StoreUnavailable, match="repeat the call") as caught:
        store.servers()
    assert "secret" not in str(caught.value)
    assert (caught.value.outcome, caught.value.reason) == ("known", "lost")


# -- connections that break off ---------------------------------------------------------------------------


@ON_SERVERS
def test_connections_that_the_server_closed_meanwhile_are_not_used(store: Store, open_store: OpenStore) -> None:
    rest, other = put(store, process()), open_store()
    with store.dialect.connected() as one, store.dialect.connected() as two:
        numbers = [number_of(driver) for driver in (one, two)]
    for number in numbers:
        execute(other, KILL[kind(store)].format(number))
        until(partial(is_gone, other, number))
    with store.dialect.connected() as fresh:
        assert number_of(fresh) not in numbers
    assert store.apply(claim(rest)).outcome is Outcome.APPLIED


def is_gone(store: Store, number: int) -> bool:
    return bool(asked(store, THERE[kind(store)].format(number)) == 0)


def _kill_while_it_waits(store: Store, other: Store, act: Callable[[], Any], row: Any) -> StoreUnavailable:
    """``act`` waits for the lock of the row, then its connection is cut."""
    with store.dialect.connected() as driver:
        number = number_of(driver)
    failed: list[StoreUnavailable] = []
    may_lie_idle(other)

    def waits() -> None:
        with pytest.raises(StoreUnavailable) as caught:
            act()
        failed.append(caught.value)

    with other.dialect.write() as transaction:
        transaction.run(TOUCH, {"this": str(row.id)})
        waiter = Thread(target=waits)
        waiter.start()
        until(lambda: asked(other, BLOCKED[kind(store)].format(number)))
        execute(other, KILL[kind(store)].format(number))
        waiter.join()
    return failed[0]


@ON_SERVERS
def test_a_write_whose_connection_is_cut_says_what_is_known_of_it(store: Store, open_store: OpenStore) -> None:
    """On PostgreSQL the statement is the commit; elsewhere the commit had not been sent."""
    rest = put(store, process())

    def send() -> None:
        with store.dialect.change() as transaction:
            changes.run(transaction, changes.plan(claim(rest), "me"))

    error = _kill_while_it_waits(store, open_store(), send, rest)
    assert (error.outcome, error.reason) == ({"postgresql": "unknown", "mysql": "known"}[kind(store)], "lost")
    assert store.load(rest.id) == replace(rest, children_open=1)
    assert store.apply(claim(rest)).outcome is Outcome.APPLIED


@ON_SERVERS
def test_a_connection_that_is_cut_before_its_commit_has_an_unknown_outcome(store: Store, open_store: OpenStore) -> None:
    rest, other = put(store, process()), open_store()

    def cut() -> None:
        with store.dialect.write() as transaction:
            transaction.run(TOUCH, {"this": str(rest.id)})
            execute(other, KILL[kind(store)].format(number_of(transaction.driver)))

    with pytest.raises(StoreUnavailable, match="not known") as caught:
        cut()
    assert caught.value.outcome == "unknown"
    assert store.load(rest.id) == rest


@ON_SERVERS
def test_a_reader_whose_connection_is_cut_knows_that_it_wrote_nothing(store: Store, open_store: OpenStore) -> None:
    other = open_store()

    def cut() -> None:
        with store.dialect.read() as transaction:
            execute(other, KILL[kind(store)].format(number_of(transaction.driver)))
            transaction.rows_built(sa.select(tables.process.c.id))

    with pytest.raises(StoreUnavailable) as caught:
        cut()
    assert caught.value.outcome == "known"
    assert store.servers()


def test_a_connection_that_was_interrupted_is_not_used_again(store: Store) -> None:
    """Something of a statement may be left on it."""
    block = store.dialect.write()
    interrupted = block.__enter__().driver
    block.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with store.dialect.read() as transaction:
        assert transaction.driver is not interrupted
        assert transaction.row(sa.select(sa.literal_column("1")), {}) is not None


# -- what is refused --------------------------------------------------------------------------------------


@ON_SERVERS
def test_a_name_that_is_too_long_is_refused_not_cut(store: Store) -> None:
    rest = put(store, process())
    before = everything(store)
    to_a_long_name = replace(claim(rest), after=replace(claim(rest).result, activity="é" * 201))
    for change in (to_a_long_name, claim(rest, entries=(entry(rest, to_activity="x" * 201),))):
        with pytest.raises(ParameterError) as caught:
            store.apply(change)
        assert caught.value.code == "too_large"
    assert everything(store) == before


@ONLY_POSTGRES
@pytest.mark.parametrize("fields", [{"activity": "a\0b"}, {"state": "\0"}])
def test_u0000_is_refused_by_postgresql_wherever_it_stands(store: Store, fields: dict[str, Any]) -> None:
    rest = put(store, process())
    before = everything(store)
    begun = claim(rest)
    for change in (replace(begun, after=replace(begun.result, **fields)), claim(rest, entries=(entry(rest, reason="\0"),))):
        with pytest.raises(ParameterError) as caught:
            store.apply(change)
        assert caught.value.code == "bad_character"
    assert everything(store) == before


@ON_SERVERS
def test_a_database_that_takes_no_writes_is_unavailable(store: Store) -> None:
    rest = put(store, process())
    execute(store, {"postgresql": "SET default_transaction_read_only = on", "mysql": "SET SESSION TRANSACTION READ ONLY"}[kind(store)])
    with pytest.raises(StoreUnavailable) as caught:
        store.apply(claim(rest))
    assert (caught.value.outcome, caught.value.reason) == ("known", "read_only")
    assert store.load(rest.id) == rest


@ON_SERVERS
def test_large_values_come_back(store: Store) -> None:
    large = FrozenDict({"text": "ä\"\\'\n" * 100_000, "bytes": bytes(range(256)) * 400})
    rest = put(store, process(parameters=large))
    assert store.load(rest.id) == rest


@ON_SERVERS
def test_two_servers_that_add_the_same_scheme_at_once_both_succeed(store: Store, open_store: OpenStore) -> None:
    together, stores = Barrier(4), [open_store() for _ in range(4)]

    def add(adder: Store) -> bool:
        together.wait()
        return adder.add_scheme(SchemeKey("order", "1" * 64), "<one/>", "xml")

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(add, stores)) == [False, False, False, True]
    assert store.current_version("order") == "1" * 64


@ON_SERVERS
def test_many_threads_share_the_connections_there_are(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """More callers than connections: each gets its turn, and the database never sees more than there may be."""
    store = open_store(bounds=Bounds(connections=3))
    dialect: Any = store.dialect
    made: list[Any] = []
    connect = dialect._connect
    monkeypatch.setattr(dialect, "_connect", lambda: made.append(connect()) or made[-1])
    with ThreadPoolExecutor(24) as pool:
        assert len(list(pool.map(lambda _: asked(store, "SELECT 1"), range(96)))) == 96
    assert len(made) <= 3
    assert len(dialect._idle) == len(made)
    store.close()
    assert dialect._idle == []


@ON_SERVERS
def test_who_finds_no_connection_free_is_told_and_holds_none(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "FREE_SECONDS", 0.01)
    store = open_store(bounds=Bounds(connections=1))
    with store.dialect.connected(), pytest.raises(StoreUnavailable, match="all 1 connections of this program") as caught:
        asked(store, "SELECT 1")
    assert (caught.value.reason, caught.value.outcome) == ("crowded", "known")
    assert asked(store, "SELECT 1"), "the one that was in use is free again"


@ON_SERVERS
def test_a_connection_that_cannot_be_made_takes_nobodys_place(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(bounds=Bounds(connections=1))
    dialect: Any = store.dialect
    with monkeypatch.context() as broken:
        broken.setattr(dialect, "_connect", lambda: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError), dialect.connected():
                raise AssertionError("nothing was connected")
    assert asked(store, "SELECT 1")


@ON_SERVERS
def test_one_that_lay_idle_since_before_a_renewal_is_not_used(store: Store) -> None:
    """Whoever comes between the renewal and the closing of the idle ones must not get one that bears the old name."""
    dialect: Any = store.dialect
    with dialect.connected() as earlier:
        pass
    dialect._age += 1
    with dialect.connected() as now:
        assert now is not earlier
    assert [driver for driver, _ in dialect._idle] == [now]
