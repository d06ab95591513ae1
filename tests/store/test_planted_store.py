"""What no other test would notice if it were broken; see tests/planted/planted_bugs.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from factories import arrival, decision, process, step, timer
from sqlalchemy import bindparam
from stored import ON_SERVERS, everything, put_running
from waiting import until

from workflow_runtime.core.process import ChangeKind
from workflow_runtime.store import tables
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]


def test_a_refused_change_leaves_nothing_behind(store: Store) -> None:
    """No row of any table hangs on anything but the guarded one."""
    running = put_running(store, process(), arm=(timer("c"),))
    full = arrival(
        replace(running, token=1), arm=(timer("a"), timer("b", keep=True)), journal=(step("w"),), decision=decision(running), drop=("c",), release=True
    )
    before = everything(store)
    assert store.apply(replace(full, kind=ChangeKind.VERDICT)).outcome is Outcome.LOST
    assert everything(store) == before


def test_who_has_beaten_since_is_not_declared_dead(store: Store) -> None:
    assert store.beat("me", lease=timedelta(seconds=5))
    assert not store.declare_dead("me", beat=0)
    assert [found.dead_at for found in store.servers()] == [None]
    assert store.declare_dead("me", beat=1)


def asked(store: Store, words: str) -> Any:
    with store.dialect.connected() as driver:
        cursor = driver.cursor()
        cursor.execute(words)
        return cursor.fetchone()[0]


#: the connection that holds the lock, and how many statements wait for it
WHO_LOCKS = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}
WHO_WAITS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE {} = ANY(pg_blocking_pids(pid))",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE id <> {} AND db = database() AND info LIKE 'UPDATE wf_server%'",
}


@ON_SERVERS
def test_the_time_of_a_write_is_that_behind_its_wait_for_the_lock(store: Store, open_store: OpenStore) -> None:
    """The begin of the transaction, or of the statement, would lie before the wait."""
    real, kind = open_store(monotonic=time.monotonic), store.dialect.engine.dialect.name
    with ThreadPoolExecutor(1) as pool:
        with store.dialect.write() as transaction:
            transaction.run(sa.update(tables.server).where(tables.server.c.id == "me").values(draining=bindparam("draining")), {"draining": 1})
            (found,) = transaction.rows_built(sa.text(WHO_LOCKS[kind]))
            beating = pool.submit(real.beat, "me", lease=timedelta(seconds=5))
            until(lambda: asked(real, WHO_WAITS[kind].format(found[0])))
            before = real.now()
        assert beating.result(30)
    (me,) = store.servers()
    assert me.last_beat_at >= before
