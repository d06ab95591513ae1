"""A database that is away, hangs, or is another one than before; and what a server leaves in it when it stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import databases
import pytest
import sqlalchemy as sa
from factories import arrival, claim, process, server
from proxy import Mode, Proxy, target_of, through
from stored import ON_SERVERS, ONLY_MYSQL, ONLY_POSTGRES, execute, put, put_running
from test_store_connections import BLOCKED, asked, may_lie_idle, not_on_mysql, number_of
from waiting import until

from workflow_runtime.core.process import Change, ChangeKind, Process
from workflow_runtime.errors import SettingsError, StoreUnavailable
from workflow_runtime.store import health, tables
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.network import Bounds
from workflow_runtime.store.patience import FIRST_PAUSE, LONGEST_PAUSE, Patience
from workflow_runtime.store.trouble import PASSING, Trouble
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    with Proxy(target_of(sa.make_url(database))) as made:
        yield made


def _patience(pause: Callable[[float], None], *, seconds: float = 3600.0, chance: float = 1.0) -> Patience:
    return Patience(seconds, monotonic=lambda: 0.0, chance=lambda: chance, pause=pause)


# -- patience ---------------------------------------------------------------------------------------------


class Away:
    """Fails so often with this error, then works."""

    def __init__(self, times: int, **nouns: Any) -> None:
        self.times, self.nouns, self.calls = times, {"outcome": "known", "reason": "lost", **nouns}, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise StoreUnavailable("away", **self.nouns)
        return "done"


def test_pauses_double_up_to_a_second_and_are_shortened_by_chance() -> None:
    pauses = list[float]()
    assert _patience(pauses.append).outlast(Away(7)) == "done"
    assert pauses == [FIRST_PAUSE, 0.1, 0.2, 0.4, 0.8, LONGEST_PAUSE, LONGEST_PAUSE]
    pauses.clear()
    assert _patience(pauses.append, chance=0.0).outlast(Away(2)) == "done"
    assert pauses == [FIRST_PAUSE / 2, FIRST_PAUSE]


@pytest.mark.parametrize("reason", sorted(PASSING))
def test_what_passes_is_waited_for(reason: Trouble) -> None:
    assert _patience(lambda _: None).outlast(Away(3, reason=reason.value)) == "done"


@pytest.mark.parametrize("nouns", [{"outcome": "unknown"}, *({"reason": trouble.value} for trouble in Trouble if trouble not in PASSING)], ids=str)
def test_what_is_not_known_or_does_not_pass_is_told_at_once(nouns: dict[str, Any]) -> None:
    work = Away(1, **nouns)
    with pytest.raises(StoreUnavailable):
        _patience(lambda _: None).outlast(work)
    assert work.calls == 1


def test_it_ends_when_so_much_was_waited_also_if_the_clock_stands_still() -> None:
    pauses = list[float]()
    with pytest.raises(StoreUnavailable):
        _patience(pauses.append, seconds=1.0).outlast(Away(99))
    assert sum(pauses) == pytest.approx(1.0)


def test_it_ends_when_the_calls_took_that_long() -> None:
    ticks, work = iter(range(0, 99, 4)), Away(99)
    with pytest.raises(StoreUnavailable):
        Patience(10.0, monotonic=lambda: float(next(ticks)), chance=lambda: 1.0, pause=lambda _: None).outlast(work)
    assert work.calls == 3


def test_no_patience_is_one_call() -> None:
    work = Away(99)
    with pytest.raises(StoreUnavailable):
        _patience(lambda _: None, seconds=0.0).outlast(work)
    assert work.calls == 1


@ON_SERVERS
def test_a_change_outlasts_a_database_that_is_away(store: Store, open_store: OpenStore, database: str, proxy: Proxy) -> None:
    far, rest = open_store(through(database, proxy)), put(store, process())
    far.bind("me")
    proxy.mode, pauses = Mode.RESET, list[float]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        proxy.mode = Mode.RESET if len(pauses) < 5 else Mode.PASS

    assert _patience(pause).outlast(lambda: far.apply(claim(rest))).outcome is Outcome.APPLIED
    assert len(pauses) == 5


# -- what a stopped server leaves -------------------------------------------------------------------------


def _adoption(theirs: Process) -> Change:
    return Change(kind=ChangeKind.ADOPT, before=theirs, after=replace(theirs, owner="me", token=theirs.token + 1))


@ON_SERVERS
@pytest.mark.parametrize("batch", [False, True])
def test_a_row_that_a_stopped_server_holds_is_left_for_the_next_sweep(store: Store, open_store: OpenStore, batch: bool) -> None:
    theirs, other = put_running(store, process(), owner="gone"), open_store()
    execute(store, {"postgresql": "SET lock_timeout = '50ms'", "mysql": "SET innodb_lock_wait_timeout = 1"}[store.dialect.engine.dialect.name])
    may_lie_idle(other)
    take = (lambda: store.apply_all([_adoption(theirs)])[0]) if batch else (lambda: store.apply(_adoption(theirs)))
    with other.dialect.write() as transaction:
        transaction.rows_built(sa.select(tables.process.c.id).where(tables.process.c.id == str(theirs.id)).with_for_update())
        assert take().outcome is Outcome.LOST
    assert take().outcome is Outcome.APPLIED


@ON_SERVERS
def test_the_holder_itself_waits_for_its_row(store: Store, open_store: OpenStore) -> None:
    """A stranger that asks for its cancellation must not fence it."""
    mine, other = put_running(store, process()), open_store()
    with store.dialect.connected() as driver:
        number = number_of(driver)
    outcomes = list[Outcome]()
    may_lie_idle(other)
    writer = threading.Thread(target=lambda: outcomes.append(store.apply(arrival(mine)).outcome))
    with other.dialect.write() as transaction:
        transaction.rows_built(sa.select(tables.process.c.id).where(tables.process.c.id == str(mine.id)).with_for_update())
        writer.start()
        until(lambda: asked(other, BLOCKED[store.dialect.engine.dialect.name].format(number)))
    writer.join(10)
    assert outcomes == [Outcome.APPLIED]


IDLE = {"postgresql": "SHOW idle_in_transaction_session_timeout", "mysql": "SELECT @@idle_transaction_timeout"}


@ON_SERVERS
@pytest.mark.parametrize(("lease", "exact", "whole"), [(None, "2s", 2), (60.0, "2s", 2), (5.0, "2s", 2), (2.0, "900ms", 1), (0.4, "180ms", 1)])
def test_a_transaction_lies_idle_for_less_than_half_a_lease(store: Store, open_store: OpenStore, lease: float | None, exact: str, whole: int) -> None:
    not_on_mysql(store)
    kind = store.dialect.engine.dialect.name
    assert asked(open_store(bounds=Bounds(lease=lease)), IDLE[kind]) == {"postgresql": exact, "mysql": whole}[kind]


@ONLY_POSTGRES
def test_what_a_dead_server_has_open_is_ended_and_nothing_else(store: Store, open_store: OpenStore) -> None:
    dead, living, theirs = open_store(), open_store(), put_running(store, process(), owner="gone")
    dead.bind("gone")
    living.bind("gone2")
    may_lie_idle(dead)

    def stopped() -> None:
        with dead.dialect.write() as transaction:
            transaction.rows_built(sa.select(tables.process.c.id).where(tables.process.c.id == str(theirs.id)).with_for_update())
            assert store.apply(_adoption(theirs)).outcome is Outcome.LOST
            assert living.terminate_connections("gone") == 1
            until(lambda: store.apply(_adoption(theirs)).outcome is Outcome.APPLIED)

    with pytest.raises(StoreUnavailable):
        stopped()
    with living.dialect.connected() as kept:
        number = number_of(kept)
    assert store.terminate_connections("gone") == 0
    with living.dialect.connected() as kept:
        assert number_of(kept) == number


@ONLY_MYSQL
def test_where_no_connection_shows_whose_it_is_none_is_ended(store: Store) -> None:
    assert store.terminate_connections("gone") == 0


@ONLY_POSTGRES
def test_connections_of_an_earlier_incarnation_are_not_used_again(store: Store) -> None:
    name = "SELECT current_setting('application_name')"
    with store.dialect.connected():
        store.bind("me-again")
    assert asked(store, name) == "wf-me-again"
    store.bind(None)
    assert asked(store, name) == "workflow_runtime"


@ONLY_POSTGRES
def test_the_name_that_the_url_gives_stays_visible(database: str, open_store: OpenStore) -> None:
    named = open_store(f"{database}&application_name=shop")
    assert asked(named, "SHOW application_name") == "shop"
    named.bind("me")
    assert asked(named, "SHOW application_name") == "wf-me shop"


# -- several hosts ----------------------------------------------------------------------------------------


@pytest.fixture
def second(postgresql: databases.Places) -> Iterator[databases.OwnPostgres]:
    """Another server, with the same user and database as the first."""
    own = databases.OwnPostgres()
    if postgresql.url.username != own.url.username:
        own._run(sa.text(f'CREATE ROLE "{postgresql.url.username or "nobody"}" SUPERUSER LOGIN'))
    if postgresql.url.database != own.url.database:
        own._run(sa.text(f'CREATE DATABASE "{postgresql.url.database}"'))
    yield own
    own.close()


def _both(database: str, *proxies: Proxy) -> str:
    url = sa.make_url(database)
    query = {**{name: value for name, value in url.query.items() if name != "host"}, "host": tuple(f"127.0.0.1:{proxy.port}" for proxy in proxies)}
    return url.set(host=None, port=None, query=query).render_as_string(hide_password=False)


@ONLY_POSTGRES
def test_of_several_hosts_one_that_is_down_is_passed_over(store: Store, open_store: OpenStore, database: str, proxy: Proxy) -> None:
    with Proxy(("127.0.0.1", 1)) as dead:
        both = open_store(_both(database, dead, proxy))
        assert both.servers() == store.servers()
        assert (dead.connections, proxy.connections) == (1, 1)


@ONLY_POSTGRES
def test_of_several_hosts_the_one_that_takes_writes_is_found_again_when_they_change_roles(
    store: Store, open_store: OpenStore, database: str, proxy: Proxy, second: databases.OwnPostgres
) -> None:
    """The first, with which there is a connection, is demoted: its read-only answer sends the next call to the other."""
    far = sa.make_url(database).set(host=None, port=None).update_query_dict({"host": str(second.url.query["host"])})
    schema = str(far.query["options"]).split("search_path=")[1].split()[0]
    with sa.create_engine(far, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    demoted = open_store(databases.upgraded(far.render_as_string(hide_password=False)))
    with Proxy(target_of(far)) as first:
        both = open_store(_both(database, first, proxy))
        both.register(server("before"))
        assert ([row.id for row in demoted.servers()], proxy.connections) == (["before"], 0)
        second._run(sa.text("ALTER SYSTEM SET default_transaction_read_only = on"))
        second._run(sa.text("SELECT pg_reload_conf()"))
        until(lambda: asked(both, "SHOW default_transaction_read_only") == "on")
        failures = list[StoreUnavailable]()

        def register() -> None:
            try:
                both.register(server("behind"))
            except StoreUnavailable as error:
                failures.append(error)
                raise

        _patience(lambda _: None).outlast(register)
        assert [error.reason for error in failures] == ["read_only"]
        assert [row.id for row in store.servers()] == ["behind", "me"]
        assert [row.id for row in demoted.servers()] == ["before"]


# -- start-up ---------------------------------------------------------------------------------------------

SOUND = {
    "sqlite": {"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1"},
    "postgresql": {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "transaction_isolation": "read committed"}
    | {"default_transaction_read_only": "off", "pg_is_in_recovery": "off"},
    "mysql": {
        "innodb_flush_log_at_trx_commit": "1",
        "sync_binlog": "1",
        "sql_mode": "strict_trans_tables",
        "tx_isolation": "read-committed",
        "read_only": "off",
    },
}
WEAK = {
    ("fsync", "off"): "acknowledged may be lost",
    ("synchronous_commit", "off"): "acknowledged may be lost",
    ("synchronous_commit", "local"): "after a failover",
    ("full_page_writes", "off"): "damage",
    ("innodb_flush_log_at_trx_commit", "0"): "acknowledged may be lost",
    ("innodb_flush_log_at_trx_commit", "2"): "acknowledged may be lost",
    ("sync_binlog", "0"): "replicas",
    ("journal_mode", "delete"): "network file system",
}


def test_a_sound_database_is_told_of_nothing() -> None:
    assert [health.check(facts, "here") for facts in SOUND.values()] == [(), (), ()]


@pytest.mark.parametrize(("setting", "words"), WEAK.items(), ids=str)
def test_what_weakens_a_promise_is_told(setting: tuple[str, str], words: str) -> None:
    (told,) = health.check({setting[0]: setting[1]}, "here")
    assert words in told
    assert f"{setting[0]} = {setting[1]}" in told


@pytest.mark.parametrize(("name", "value"), [("pg_is_in_recovery", "on"), ("default_transaction_read_only", "on"), ("read_only", "on")])
def test_a_standby_is_refused(name: str, value: str) -> None:
    with pytest.raises(StoreUnavailable, match="name the server that takes writes") as caught:
        health.check({name: value}, "here")
    assert caught.value.reason == "read_only"


@pytest.mark.parametrize(
    ("name", "value"), [("transaction_isolation", "repeatable read"), ("tx_isolation", "serializable"), ("sql_mode", "ansi"), ("foreign_keys", "0")]
)
def test_what_breaks_promises_silently_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="correct"):
        health.check({name: value}, "here")


def test_the_facts_of_a_database_are_those_that_are_judged(store: Store) -> None:
    kind = store.dialect.engine.dialect.name
    with store.dialect.connected() as driver:
        facts = store.dialect.facts(driver)
    optional = {"sync_binlog"}  # told only where there is a binary log
    assert set(SOUND[kind]) - optional <= set(facts)
    changed = {"synchronous_commit", "innodb_flush_log_at_trx_commit", "fsync", "full_page_writes", *optional}
    assert {name: facts[name] for name in set(SOUND[kind]) - changed if name != "sql_mode"} == {
        name: value for name, value in SOUND[kind].items() if name not in changed and name != "sql_mode"
    }
    assert all("synchronous_commit = off" in told for told in store.health() if kind == "postgresql" and "synchronous_commit" in told)


@ONLY_POSTGRES
def test_a_database_that_takes_no_writes_is_refused_at_the_start(store: Store) -> None:
    execute(store, "SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable, match="it takes no writes"):
        store.health()


@ONLY_POSTGRES
def test_commits_that_do_not_wait_for_the_disk_are_told(store: Store) -> None:
    """As the tests themselves have set it."""
    assert any("synchronous_commit = off" in told for told in store.health())
