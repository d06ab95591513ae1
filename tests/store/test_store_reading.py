"""Pages for people: order, cursors, limits, and no gaps while the table moves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from factories import NOW, claim, entry, process, retry, timer
from stored import put

from workflow_runtime.core.pages import MOST_ROWS
from workflow_runtime.core.process import Process, ProcessStatus
from workflow_runtime.errors import FilterError
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.writes import Store


def test_processes_come_newest_first(store: Store, reader: Reader) -> None:
    subjects = [put(store, process(created_at=NOW + timedelta(seconds=second))) for second in (1, 3, 2)]
    assert [found.id for found in reader.find()] == [subjects[number].id for number in (1, 2, 0)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_paging_neither_repeats_nor_skips_while_processes_come_and_move(store: Store, reader: Reader, limit: int) -> None:
    old = [put(store, process(created_at=NOW + timedelta(seconds=number // 3))) for number in range(7)]
    found: list[Process] = []
    cursor: str | None = None
    while True:
        page = reader.find(limit=limit, after=cursor)
        assert len(page) <= limit
        found += page
        if page.next is None:
            break
        cursor = page.next
        put(store, process(created_at=NOW + timedelta(days=1)))
        moving = store.load(page[-1].id)
        assert moving is not None
        store.apply(claim(moving))  # changes status and updated_at of what was just shown
    shown = [row.id for row in found]
    assert sorted(shown) == sorted(row.id for row in old)
    assert len(set(shown)) == len(shown)


def test_the_last_page_has_no_next_and_an_empty_list_is_a_page(store: Store, reader: Reader) -> None:
    assert (list(reader.find()), reader.find().next) == ([], None)
    put(store, process())
    assert reader.find(limit=1).next is None


@pytest.mark.parametrize("limit", [0, -1, MOST_ROWS + 1, 10**9, 1.5, "1", None])
def test_a_page_has_1_to_1000_rows(reader: Reader, limit: Any) -> None:
    for ask in (reader.find, reader.recoveries, lambda limit: reader.history(UUID(int=1), limit=limit)):
        with pytest.raises(FilterError) as caught:
            ask(limit=limit)
        assert caught.value.code == "bad_page"


@pytest.mark.parametrize("cursor", ["", "x", "1", "1.x", "' OR 1=1--", "-1", -1, 10**30, "9" * 5000])
def test_a_cursor_of_another_make_is_refused(reader: Reader, cursor: Any) -> None:
    for ask in (lambda: reader.find(after=str(cursor)), lambda: reader.history(UUID(int=1), after=cursor), lambda: reader.recoveries(after=str(cursor))):
        if cursor == "1" and ask.__code__.co_names[:1] != ("find",):
            continue  # a number is a place in history
        with pytest.raises(FilterError) as caught:
            ask()
        assert caught.value.code == "bad_page"


def test_history_pages_by_seq(store: Store, reader: Reader) -> None:
    subject = process(last_seq=5)
    put(store, subject, entries=tuple(entry(subject, seq=seq) for seq in range(1, 6)))
    first = reader.history(subject.id, limit=2)
    rest = reader.history(subject.id, limit=200, after=first.next or 0)
    assert [row.seq for row in first] + [row.seq for row in rest] == [1, 2, 3, 4, 5]
    assert [row.seq for row in reader.history(subject.id, after=4)] == [5]
    assert (rest.next, list(reader.history(UUID(int=1)))) == (None, [])


def test_ids_by_prefix(store: Store, reader: Reader) -> None:
    ids = [UUID(f"abcdef{number:02x}-0000-4000-8000-000000000000") for number in (0, 1, 0xFF)]
    for process_id in ids:
        put(store, process(id=process_id))
    put(store, process(id=UUID("abcdf000-0000-4000-8000-000000000000")))
    assert reader.ids_by_prefix("ABCDEF") == ids
    assert reader.ids_by_prefix("abcdef01") == [ids[1]]
    assert reader.ids_by_prefix(str(ids[2])) == [ids[2]]
    assert reader.ids_by_prefix("abcdee") == []


@pytest.mark.parametrize("prefix", ["", "abcde", "abcdeg", "abcde%", "' OR 1=1--", "a" * 37])
def test_what_begins_no_id_is_refused(reader: Reader, prefix: str) -> None:
    with pytest.raises(FilterError) as caught:
        reader.ids_by_prefix(prefix)
    assert caught.value.code == "bad_id"


def test_counts_by_scheme_and_status(store: Store, reader: Reader) -> None:
    assert reader.counts() == {}
    for code, status in [("a", ProcessStatus.IDLED), ("a", ProcessStatus.IDLED), ("b", ProcessStatus.IDLED), ("a", ProcessStatus.ERROR)]:
        put(store, process(scheme_code=code, status=status))
    assert reader.counts() == {("a", ProcessStatus.IDLED): 2, ("b", ProcessStatus.IDLED): 1, ("a", ProcessStatus.ERROR): 1}


def test_timers_of_all_processes(store: Store, reader: Reader) -> None:
    late, early = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
    first = put(store, process(), arm=(timer("late", late), timer("now", NOW)))
    second = put(store, process(status=ProcessStatus.RUNNING), arm=(retry(early),))
    shown = [(row.process_id, row.timer.name) for row in reader.due_timers(now=NOW)]
    assert shown == [(second.id, "retry"), (first.id, "now"), (first.id, "late")]
    assert [row.timer.name for row in reader.due_timers(now=NOW, overdue_only=True)] == ["retry", "now"]
    assert len(reader.due_timers(now=NOW, limit=1)) == 1
