"""What a change costs on MariaDB and MySQL, counted by the server itself, and that rows are counted as matched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import NOW, arrival, claim, creation, deletion, entry, process, step, timer, walk
from stored import ONLY_MYSQL, put, put_running

from workflow_runtime.core.keys import Answer, Key
from workflow_runtime.core.process import CancelRequest, Change, ChangeKind
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.writes import Store

pytestmark = ONLY_MYSQL


def questions(store: Store) -> int:
    """Statements of this connection so far; asking is one of them."""
    with store.dialect.connected() as driver, driver.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Questions'")
        return int(cursor.fetchone()[1])


def _claim(store: Store) -> Callable[[], Any]:
    rest = put(store, process())
    return lambda: store.apply(claim(rest))


def _lost(store: Store) -> Callable[[], Any]:
    rest = put(store, process())
    return lambda: store.apply(claim(replace(rest, token=1), entries=(entry(rest),)))


def _arrival(store: Store) -> Callable[[], Any]:
    running = put_running(store, process())
    return lambda: store.apply(arrival(running))


def _journal(store: Store) -> Callable[[], Any]:
    running = put_running(store, process())
    steps = tuple(step("w", occurrence=number) for number in range(5))
    return lambda: store.apply(Change(kind=ChangeKind.JOURNAL, before=running, after=running, journal=steps))


def _creation(store: Store) -> Callable[[], Any]:
    subject = process(last_seq=1)
    return lambda: store.apply(creation(subject, entries=(entry(subject, seq=1),), arm=(timer("a"), timer("b"))))


def _creations(store: Store) -> Callable[[], Any]:
    batch = []
    for subject in (process(last_seq=1) for _ in range(100)):
        batch.append(creation(subject, entries=(entry(subject, seq=1),), arm=(timer("a"), timer("b"))))
    return lambda: store.apply_all(batch)


def _deletion(store: Store) -> Callable[[], Any]:
    rest = put(store, process(), arm=(timer(),))
    return lambda: store.apply(deletion(rest))


def _load(store: Store) -> Callable[[], Any]:
    rest = put(store, process())
    return lambda: store.load(rest.id)


def _cancel(store: Store) -> Callable[[], Any]:
    running = put_running(store, process())
    return lambda: store.request_cancel(running.id, CancelRequest("alice", "wrong order"))


def _keyed(store: Store) -> Callable[[], Any]:
    rest, key = put(store, process()), Key("s", "k", "d")
    return lambda: store.apply(claim(rest, opens=key))


def _refused(store: Store) -> Callable[[], Any]:
    return lambda: store.refuse(Key("s", "k", "d"), Answer())


def _settled(store: Store) -> Callable[[], Any]:
    key = Key("s", "k", "d")
    claimed = claim(put(store, process()), opens=key)
    assert claimed.after is not None
    claimed = replace(claimed, after=replace(claimed.after, walk=walk(key=key)))
    store.apply(claimed)
    return lambda: store.apply(arrival(claimed.result))


BRACKETS = 2  #: BEGIN and COMMIT


@pytest.mark.parametrize(
    ("prepare", "statements"),
    [
        (_claim, BRACKETS + 1),  # UPDATE; to what is at rest strangers write nothing
        (_lost, BRACKETS + 1),  # UPDATE
        (_arrival, BRACKETS + 4),  # UPDATE, SELECT of what strangers wrote, DELETE of timers, INSERT of history
        (_journal, BRACKETS + 3),  # five rows are one INSERT
        (_creation, BRACKETS + 4),  # SELECT of an earlier life, process, timers, history
        (_creations, BRACKETS + 4),  # the same for a hundred
        (_deletion, BRACKETS + 2),  # SELECT FOR UPDATE, DELETE
        (_keyed, BRACKETS + 2),  # and INSERT of the key
        (_settled, BRACKETS + 5),  # and UPDATE of the key
        (_refused, 1),
        (_load, 1),
        (_cancel, 1),
        (lambda store: lambda: store.beat("me", lease=timedelta(seconds=5)), 1),
        (lambda store: lambda: store.due(NOW, 10), 1),
        (lambda store: lambda: store.orphans(me="me"), 1),
    ],
    ids=["claim", "lost", "arrival", "journal", "creation", "creations", "deletion", "keyed", "settled", "refused", "load", "cancel", "beat", "due", "orphans"],
)
def test_a_change_is_one_transaction_of_so_many_statements(store: Store, prepare: Callable[[Store], Callable[[], Any]], statements: int) -> None:
    act = prepare(store)
    before = questions(store)
    act()
    assert questions(store) - before - 1 == statements


def test_a_write_that_changes_nothing_has_matched_its_row_all_the_same(store: Store) -> None:
    running = put_running(store, process())
    request = CancelRequest("alice", "wrong order")
    assert [store.request_cancel(running.id, request) for _ in range(2)] == [True, True]


def test_a_deletion_reads_back_what_strangers_wrote(store: Store) -> None:
    running = put_running(store, process(children_open=2))
    store.request_cancel(running.id, CancelRequest("alice", "wrong order"))
    applied = store.apply(deletion(running))
    assert (applied.outcome, applied.cancel_requested, applied.children_open) == (Outcome.APPLIED, CancelRequest("alice", "wrong order"), 2)
    assert store.apply(deletion(running)).outcome is Outcome.LOST
