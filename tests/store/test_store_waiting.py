"""Which processes are orphans and which rows are due: the truth tables, the order and the pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from factories import NOW, process, retry, server, timer
from stored import put

from workflow_runtime.core.process import Process, ProcessStatus, TimerKind
from workflow_runtime.store.rows import UnreadableRow
from workflow_runtime.store.waiting import FIRST
from workflow_runtime.store.writes import Store, orphan_cursor

S = ProcessStatus
START = retry(kind=TimerKind.START)


@pytest.fixture(autouse=True)
def _servers(store: Store) -> None:
    """``me`` and ``other`` live, ``dead`` is declared dead, ``gone`` has no row."""
    store.register(server("other"))
    store.register(server("dead", beat=4))
    assert store.declare_dead("dead", beat=4)


@pytest.mark.parametrize(
    ("status", "owner", "timers", "is_orphan"),
    [
        (S.RUNNING, "gone", (), True),
        (S.RUNNING, "dead", (), True),
        (S.RUNNING, "other", (), False),
        (S.RUNNING, "me", (), True),
        (S.RUNNING, None, (), True),
        (S.RUNNING, None, (retry(),), False),
        (S.RUNNING, None, (START,), False),
        (S.RUNNING, None, (timer(),), True),  # a scheme timer brings nothing back that is Running
        (S.RUNNING, "dead", (retry(),), True),
        (S.RUNNING, "me", (retry(),), True),
        (S.INITIALIZED, None, (), False),
        (S.IDLED, None, (), False),
        (S.ERROR, None, (), False),
        (S.FINALIZED, None, (), False),
        (S.TERMINATED, None, (), False),
    ],
)
def test_what_is_an_orphan(store: Store, status: S, owner: str | None, timers: tuple[Any, ...], is_orphan: bool) -> None:
    subject = put(store, process(status=status, owner=owner), arm=timers)
    assert store.orphans(me="me") == ([subject] if is_orphan else [])


def test_without_an_incarnation_nothing_is_mine(store: Store) -> None:
    put(store, process(status=S.RUNNING, owner="me"))
    assert store.orphans(me=None) == []


def test_when_nobody_lives_every_owner_is_gone(store: Store) -> None:
    """A client that holds the lock of the file knows more than the server rows say."""
    theirs = put(store, process(status=S.RUNNING, owner="other"))
    put(store, process(status=S.RUNNING), arm=(retry(),))
    put(store, process())
    assert store.orphans(me=None, nobody_lives=True) == [theirs]


def test_orphans_come_oldest_first_and_page_by_page(store: Store) -> None:
    moments = [3, 1, 2, 1, 1]
    subjects = [put(store, process(status=S.RUNNING, owner="gone", created_at=NOW + timedelta(seconds=s))) for s in moments]
    expected = sorted(subjects, key=lambda subject: (subject.created_at, str(subject.id)))
    found: list[Process | UnreadableRow] = []
    cursor: tuple[int, str] | None = None
    while page := store.orphans(me="me", after=cursor, limit=2):
        found += page
        cursor = orphan_cursor(page[-1])
    assert found == expected
    assert store.orphans(me="me", after=FIRST, limit=1) == expected[:1]


@pytest.mark.parametrize(
    ("status", "row", "is_due"),
    [
        (S.IDLED, timer(), True),
        (S.ERROR, timer(), True),
        (S.RUNNING, timer(), False),
        (S.INITIALIZED, timer(), False),
        (S.FINALIZED, timer(), False),
        (S.TERMINATED, timer(), False),
        (S.RUNNING, retry(), True),
        (S.INITIALIZED, START, True),
        (S.IDLED, retry(), True),
    ],
)
def test_what_is_due(store: Store, status: S, row: Any, is_due: bool) -> None:
    subject = put(store, process(status=status), arm=(row,))
    assert [(found.process_id, found.timer) for found in store.due(NOW, 10)] == ([(subject.id, row)] if is_due else [])
    assert store.next_due(after=NOW - timedelta(microseconds=1)) == (NOW if is_due else None)


def test_a_row_is_due_from_its_very_microsecond_on(store: Store) -> None:
    put(store, process(), arm=(timer(),))
    assert store.due(NOW - timedelta(microseconds=1), 10) == []
    assert len(store.due(NOW, 10)) == 1


def test_due_rows_come_earliest_first_and_no_more_than_asked(store: Store) -> None:
    for seconds in (3, 1, 2):
        put(store, process(), arm=(timer(due=NOW + timedelta(seconds=seconds)),))
    late = NOW + timedelta(minutes=1)
    assert [row.timer.due.second - NOW.second for row in store.due(late, 10)] == [1, 2, 3]
    assert [row.timer.due.second - NOW.second for row in store.due(late, 2)] == [1, 2]


def test_the_next_due_row_leaves_out_what_does_not_count(store: Store) -> None:
    put(store, process(status=S.TERMINATED), arm=(timer(due=NOW),))
    put(store, process(), arm=(timer(due=NOW + timedelta(days=1)),))
    assert store.next_due(after=NOW - timedelta(days=1)) == NOW + timedelta(days=1)
    assert store.next_due(after=NOW + timedelta(days=1)) is None  # that one is due already


def test_what_is_due_tells_the_version_and_the_deaths_of_its_process(store: Store) -> None:
    put(store, process(scheme_version="v", deaths=3), arm=(timer(),))
    assert [(row.version, row.deaths) for row in store.due(NOW, 10)] == [("v", 3)]


@pytest.mark.parametrize(("without", "left"), [((), "abc"), (("a",), "bc"), (("a", "c"), "b"), (("c", "b", "x"), "a"), (("a", "b", "c"), "")])
def test_versions_that_the_caller_leaves_out_do_not_stand_before_the_others(store: Store, without: tuple[str, ...], left: str) -> None:
    for second, version in enumerate("abc"):
        put(store, process(scheme_version=version), arm=(timer(due=NOW + timedelta(seconds=second)),))
        put(store, process(scheme_version=version, status=S.RUNNING), arm=(retry(due=NOW + timedelta(seconds=second)),))
    found = store.due(NOW + timedelta(seconds=9), 1, without)
    assert [row.version for row in found] == list(left[:1])
    assert "".join(sorted({row.version for row in store.due(NOW + timedelta(seconds=9), 9, without)})) == left
    first = NOW + timedelta(seconds="abc".index(left[0])) if left else None
    assert store.next_due(after=NOW - timedelta(seconds=1), without=without) == first
