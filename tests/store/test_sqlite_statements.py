"""What a change costs on SQLite, and what is said when its file fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from factories import arrival, claim, creation, deletion, entry, process, step, timer
from stored import ONLY_SQLITE, Counted, counting, everything, put, put_running

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import CancelRequest, Change, ChangeKind
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.writes import Store

pytestmark = ONLY_SQLITE


def test_a_full_disk_is_unavailable_and_nothing_is_half_written(store: Store) -> None:
    rest = put(store, process())
    with store.dialect.write() as transaction:
        pages = transaction.driver.execute("PRAGMA page_count").fetchone()[0]
    with store.dialect.connected() as driver:
        driver.execute(f"PRAGMA max_page_count={pages + 3}")
    before = everything(store)
    large = replace(rest, parameters=FrozenDict({"text": "x" * 100_000}))
    with pytest.raises(StoreUnavailable, match="full") as caught:
        store.apply(Change(kind=ChangeKind.OPERATE, before=rest, after=large, entries=(entry(rest),)))
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert everything(store) == before
    assert store.apply(claim(rest)).outcome is Outcome.APPLIED  # small things still fit


def test_a_read_only_database_is_unavailable(store: Store) -> None:
    rest = put(store, process())
    with store.dialect.connected() as driver:
        driver.execute("PRAGMA query_only=ON")
    with pytest.raises(StoreUnavailable, match="readonly"):
        store.apply(claim(rest))
    assert store.load(rest.id) == rest


# -- statements -------------------------------------------------------------------------------------------


def _cancel(store: Store) -> Callable[[], Any]:
    running = put_running(store, process())
    return lambda: store.request_cancel(running.id, CancelRequest("alice", "wrong order"))


def _plain_arrival(store: Store) -> Callable[[], Any]:
    running = put_running(store, process())
    return lambda: store.apply(arrival(running))


def _claim(store: Store) -> Callable[[], Any]:
    rest = put(store, process())
    return lambda: store.apply(claim(rest))


def _journal(store: Store) -> Callable[[], Any]:
    running = put_running(store, process())
    return lambda: store.apply(Change(kind=ChangeKind.JOURNAL, before=running, after=running, journal=(step("w"),)))


def _creation(store: Store) -> Callable[[], Any]:
    subject = process(last_seq=1)
    return lambda: store.apply(creation(subject, entries=(entry(subject, seq=1),), arm=(timer("a"), timer("b"))))


def _deletion(store: Store) -> Callable[[], Any]:
    rest = put(store, process(), arm=(timer(),))
    return lambda: store.apply(deletion(rest))


def _lost(store: Store) -> Callable[[], Any]:
    rest = put(store, process())
    return lambda: store.apply(claim(replace(rest, token=1), entries=(entry(rest),)))


@pytest.mark.parametrize(
    ("prepare", "statements"),
    [
        (_claim, {"UPDATE": 1}),
        (_plain_arrival, {"UPDATE": 1, "DELETE": 1, "INSERT": 1}),
        (_journal, {"UPDATE": 1, "INSERT": 1}),
        (_creation, {"SELECT": 1, "INSERT": 4}),
        (_deletion, {"DELETE": 1}),
        (_cancel, {"UPDATE": 1}),
    ],
    ids=["claim", "arrival", "journal", "creation", "deletion", "cancel"],
)
def test_a_change_is_one_transaction_of_so_many_statements(store: Store, prepare: Callable[[Store], Callable[[], Any]], statements: dict[str, int]) -> None:
    act = prepare(store)
    with counting(store) as counted:
        act()
    assert counted == Counted.of({"BEGIN": 1, "COMMIT": 1, **statements})
    assert counted.texts[0] == "BEGIN IMMEDIATE"


def test_a_lost_change_is_one_statement_and_no_write(store: Store) -> None:
    act = _lost(store)
    with counting(store) as counted:
        assert act().outcome is Outcome.LOST
    assert counted == Counted.of({"BEGIN": 1, "UPDATE": 1, "COMMIT": 1})


def test_loading_is_one_statement_without_a_transaction(store: Store) -> None:
    rest = put(store, process())
    with counting(store) as counted:
        store.load(rest.id)
    assert counted == Counted.of({"SELECT": 1})


def test_a_batch_is_one_transaction(store: Store) -> None:
    batch = [claim(put(store, process())) for _ in range(20)]
    with counting(store) as counted:
        store.apply_all(batch)
    assert (counted["BEGIN"], counted["COMMIT"]) == (1, 1)


def test_creations_of_a_batch_are_looked_for_together(store: Store) -> None:
    """SQLite takes one row after the other; what is asked does not grow with them."""
    batch = [creation(subject := process(last_seq=1), entries=(entry(subject, seq=1),)) for _ in range(20)]
    with counting(store) as counted:
        store.apply_all(batch)
    assert (counted["BEGIN"], counted["SELECT"], counted["COMMIT"]) == (1, 1, 1)


@pytest.mark.parametrize(
    "ask", [lambda store: store.due(process().created_at, 10), lambda store: store.next_due(after=process().created_at), lambda store: store.orphans(me="me")]
)
def test_each_look_at_what_waits_is_one_query(store: Store, ask: Callable[[Store], Any]) -> None:
    with counting(store) as counted:
        ask(store)
    assert counted == Counted.of({"SELECT": 1})
