"""Other processes hold the lock of the SQLite file: how long is waited, and what is said then."""

from __future__ import annotations

import sqlite3
from threading import Event, Thread

import pytest
from factories import claim, process
from stored import ONLY_SQLITE, put

from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store import sqlite
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.writes import Store

pytestmark = ONLY_SQLITE


def test_a_writer_waits_for_a_foreign_lock_beyond_one_busy_timeout(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds the write lock; SQLite gives up, we begin again."""
    rest, tried = put(store, process()), Event()
    with store.dialect.connected() as driver:
        driver.execute("PRAGMA busy_timeout=0")
    foreign = sqlite3.connect(store.path or "", isolation_level=None, check_same_thread=False)
    foreign.execute("BEGIN IMMEDIATE")
    is_busy = sqlite._is_busy

    def let_go_when_tried_twice(error: sqlite3.Error) -> bool:
        if tried.is_set():
            foreign.execute("ROLLBACK")
        tried.set()
        return is_busy(error)

    monkeypatch.setattr(sqlite, "_is_busy", let_go_when_tried_twice)
    assert store.apply(claim(rest)).outcome is Outcome.APPLIED
    foreign.close()


def test_a_lock_that_stays_is_unavailable_and_the_next_call_works(store: Store) -> None:
    rest = put(store, process())
    with store.dialect.connected() as driver:
        driver.execute("PRAGMA busy_timeout=0")
    foreign = sqlite3.connect(store.path or "", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.apply(claim(rest))
    assert store.load(rest.id) == rest
    foreign.execute("ROLLBACK")
    foreign.close()
    assert store.apply(claim(rest)).outcome is Outcome.APPLIED


def test_a_thread_that_cannot_get_its_turn_is_told_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.0)
    rest, outcome = put(store, process()), []

    def write() -> None:
        with pytest.raises(StoreUnavailable, match="has been busy") as caught:
            store.apply(claim(rest))
        outcome.append(caught.value)

    with store.dialect.write():
        writer = Thread(target=write)
        writer.start()
        writer.join()
    assert len(outcome) == 1
