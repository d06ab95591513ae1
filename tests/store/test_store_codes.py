"""Codes that a database really gives, each by its own cause: what is said of them. More of them in test_store_connections.py."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Barrier

import pytest
import sqlalchemy as sa
from factories import process
from stored import ON_SERVERS, ONLY_POSTGRES, execute, put
from test_store_connections import TOUCH, execute_on, is_gone, kind, not_on_mysql, number_of
from waiting import until

from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store import tables
from workflow_runtime.store.patience import passes
from workflow_runtime.store.trouble import again
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]
SLOW = {"postgresql": ("SET statement_timeout = '20ms'", "SELECT pg_sleep(5)"), "mysql": ("SET max_statement_time = 0.02", "SELECT SLEEP(5)")}
IDLE = {"postgresql": "SET idle_in_transaction_session_timeout = '20ms'", "mysql": "SET idle_transaction_timeout = 1"}


def _failed(act: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(StoreUnavailable) as caught:
        act()
    return str(caught.value.outcome), str(caught.value.reason)


@ON_SERVERS
def test_a_statement_that_takes_too_long_is_ended_and_nothing_is_stored(store: Store) -> None:
    not_on_mysql(store)
    limit, slow = SLOW[kind(store)]
    execute(store, limit)

    def run() -> None:
        with store.dialect.write() as transaction:
            execute_on(transaction.driver, slow)

    assert _failed(run) == ("known", "timeout")


@ON_SERVERS
def test_a_transaction_that_lies_idle_is_ended_with_its_locks(store: Store, open_store: OpenStore) -> None:
    """PostgreSQL says so, and that nothing was stored; MariaDB hangs up, and what became of the commit is to be looked up."""
    rest, other = put(store, process()), open_store()
    not_on_mysql(store)
    execute(store, IDLE[kind(store)])

    def stopped() -> None:
        with store.dialect.write() as transaction:
            number = number_of(transaction.driver)
            transaction.run(TOUCH, {"this": str(rest.id)})
            until(partial(is_gone, other, number))

    assert _failed(stopped) == {"postgresql": ("known", "timeout"), "mysql": ("unknown", "lost")}[kind(store)]
    assert store.load(rest.id) == rest


@ONLY_POSTGRES
def test_a_serialization_failure_is_begun_anew(store: Store) -> None:
    """Of two that read before either writes, one is ended; at the isolation that the store itself does not use."""
    rest, met, attempts = put(store, process()), Barrier(2), list[int]()

    def touch() -> None:
        attempts.append(1)
        with store.dialect.write() as transaction:
            execute_on(transaction.driver, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            transaction.rows_built(sa.select(tables.process.c.id))
            if len(attempts) <= 2:
                met.wait(timeout=5)
            transaction.run(TOUCH, {"this": str(rest.id)})

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(again, touch, lambda: 0.5) for _ in range(2)]:
            done.result(timeout=30)
    assert len(attempts) == 3
    assert store.load(rest.id) == replace(rest, children_open=2)


@ONLY_POSTGRES
def test_a_server_that_has_no_connection_free_is_away(store: Store, open_store: OpenStore, database: str) -> None:
    """The driver tells no code of a connection that was refused."""
    role = f"wf_crowded_{process().id.hex[:12]}"
    execute(store, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
    try:
        crowded = open_store(sa.make_url(database).set(username=role).render_as_string(hide_password=False))
        with pytest.raises(StoreUnavailable, match="too many connections") as caught:
            crowded.servers()
        assert passes(caught.value)
    finally:
        execute(store, f"DROP ROLE {role}")
