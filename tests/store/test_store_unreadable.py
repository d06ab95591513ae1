"""Rows that somebody has damaged: found, named, and no burden to the others."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from factories import NOW, claim, decision, entry, process, step, timer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import ONLY_SQLITE, damage, put, put_running, rows_of

from workflow_runtime.core.process import CancelRequest, ErrorInfo, Process, ProcessStatus
from workflow_runtime.errors import RowUnreadable
from workflow_runtime.store import tables
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.rows import PROCESS_COLUMNS, UnreadableRow
from workflow_runtime.store.writes import Store, orphan_cursor

JSON_COLUMNS = ("parameters", "walk", "last_error", "cancel_requested")
DAMAGES: list[tuple[str, Any]] = [
    *((column, garbage) for column in JSON_COLUMNS for garbage in ("", "{", "[]", "7", "null", '{"x":1}' if column != "parameters" else '"x"')),
    ("parameters", '{"a":{"$":["class","os.system"]}}'),
    ("parameters", "[" * 100_000),
    ("walk", '{"id":"w","activity":"B","trigger":["Nobody","go"],"run":["Command","go"],"started_at":0}'),
    ("walk", '{"id":"w","activity":"B","trigger":["Command"],"run":["Command","go"],"started_at":0}'),
    ("walk", '{"id":"w","activity":"B","trigger":["Command","go"],"run":["Command","go"],"started_at":"now"}'),
    ("walk", '{"id":"w","activity":"B","trigger":["Command","go"],"run":["Command","go"],"started_at":99999999999999999999}'),
    ("walk", '{"id":1,"activity":"B","trigger":["Command","go"],"run":["Command","go"],"started_at":0}'),
    ("status", 6),
    ("status", -1),
    ("root_id", "not an id"),
    ("parent_id", "' OR 1=1--"),
    ("created_at", 2**62),
    ("waiting_until", -(2**62)),
]
#: What only SQLite would store: it keeps any type in any column.
NO_UTF8 = sa.cast(sa.literal(b"\xff\xfe"), sa.Text)
OF_ANY_TYPE: list[tuple[str, Any]] = [
    *((column, b"\xff") for column in JSON_COLUMNS),
    *((column, NO_UTF8) for column in (*JSON_COLUMNS, "activity", "state")),
    ("status", "Idled"),
    ("updated_at", "yesterday"),
    ("created_at", "yesterday"),
    ("revision", 1.5),
    ("token", "x"),
    ("activity", b"A"),
    ("owner", b"me"),
]


@ONLY_SQLITE
@pytest.mark.parametrize(("column", "garbage"), OF_ANY_TYPE)
def test_a_value_of_another_type_is_row_unreadable_too(store: Store, column: str, garbage: Any) -> None:
    test_garbage_in_a_column_is_row_unreadable_and_nothing_else(store, column, garbage)


@pytest.mark.parametrize(("column", "garbage"), DAMAGES)
def test_garbage_in_a_column_is_row_unreadable_and_nothing_else(store: Store, column: str, garbage: Any) -> None:
    subject = put(store, process())
    damage(store, subject.id, **{column: garbage})
    with pytest.raises(RowUnreadable) as caught:
        store.load(subject.id)
    assert caught.value.process_id == subject.id
    assert len(caught.value.cause) <= 200
    assert caught.value.__cause__ is not None


@ONLY_SQLITE
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(column=st.sampled_from([name for name in PROCESS_COLUMNS if name != "id"]), garbage=st.one_of(st.text(st.characters(codec="utf-8")), st.binary()))
def test_whatever_stands_in_a_column_the_row_is_read_or_refused(store: Store, column: str, garbage: Any) -> None:
    subject = put(store, process())
    damage(store, subject.id, **{column: garbage})
    try:
        found = store.load(subject.id)
    except RowUnreadable as error:
        named = error.process_id
    else:
        assert isinstance(found, Process)
        named = found.id
    assert named == subject.id


@ONLY_SQLITE
def test_the_database_reads_sound_texts_again_after_a_damaged_one(store: Store) -> None:
    bad, good = put(store, process()), put(store, process(activity="ä"))
    damage(store, bad.id, activity=NO_UTF8)
    with pytest.raises(RowUnreadable):
        store.load(bad.id)
    assert store.load(good.id) == good


@ONLY_SQLITE
@pytest.mark.parametrize("garbage", [b"\xff", NO_UTF8], ids=["bytes", "no utf-8"])
def test_an_orphan_of_another_type_hides_no_other_either(store: Store, garbage: Any) -> None:
    _hides_no_other(store, garbage)


def test_an_unreadable_orphan_hides_no_other(store: Store) -> None:
    _hides_no_other(store, "{")


def _hides_no_other(store: Store, garbage: Any) -> None:
    bad, good = (put_running(store, process(), owner="gone") for _ in range(2))
    damage(store, bad.id, walk=garbage)
    found = store.orphans(me="me")
    assert [row for row in found if isinstance(row, Process)] == [good]
    (row,) = (row for row in found if isinstance(row, UnreadableRow))
    assert (row.id, row.owner, row.token, row.revision) == (str(bad.id), "gone", bad.token, bad.revision)
    assert orphan_cursor(row)[1] == str(bad.id)


def test_an_unreadable_row_is_marked_once_with_cause_and_decision(store: Store, reader: Reader) -> None:
    bad = put_running(store, process(), owner="gone")
    damage(store, bad.id, parameters="{")
    (row,) = store.orphans(me="me")
    assert isinstance(row, UnreadableRow)
    error, verdict = ErrorInfo(type="RowUnreadable", message=str(row.cause)), decision(bad)
    assert [store.mark_unreadable(row, error, verdict), store.mark_unreadable(row, error, verdict)] == [True, False]
    assert store.orphans(me="me") == []
    stored = dict(zip(PROCESS_COLUMNS, rows_of(store, tables.process, bad.id)[0], strict=True))
    assert (stored["status"], stored["owner"], stored["revision"], stored["parameters"]) == (ProcessStatus.ERROR.id, None, bad.revision + 1, "{")
    assert reader.decisions(bad.id) == (verdict,)


def test_without_a_living_server_row_nothing_is_marked(store: Store) -> None:
    bad = put_running(store, process(), owner="gone")
    damage(store, bad.id, parameters="{")
    (row,) = store.orphans(me="me")
    store.retire("me")
    assert isinstance(row, UnreadableRow)
    assert not store.mark_unreadable(row, ErrorInfo(type="E", message="m"))


def test_a_page_names_its_unreadable_rows(store: Store, reader: Reader) -> None:
    good, bad = put(store, process()), put(store, process())
    damage(store, bad.id, walk="{")
    page = reader.find()
    assert (list(page), page.unreadable) == ([good], (str(bad.id),))


@pytest.mark.parametrize(("column", "garbage"), [("kind", "nonsense"), ("error", "{"), ("status", 9), ("at", 2**62), ("trigger_kind", "")])
def test_damaged_history_is_row_unreadable(store: Store, reader: Reader, column: str, garbage: Any) -> None:
    subject = process(last_seq=1)
    put(store, subject, entries=(entry(subject, seq=1),))
    with store.dialect.write() as transaction:
        transaction.run(sa.update(tables.history).values({column: sa.literal(garbage, sa.types.NullType())}), {})
    with pytest.raises(RowUnreadable) as caught:
        reader.history(subject.id)
    assert caught.value.process_id == subject.id


@pytest.mark.parametrize(("column", "garbage"), [("changes", "{"), ("at", -(2**62))])
def test_a_damaged_journal_is_row_unreadable(store: Store, column: str, garbage: Any) -> None:
    subject = put(store, process(), journal=(step("w"),))
    with store.dialect.write() as transaction:
        transaction.run(sa.update(tables.journal).values({column: garbage}), {})
    with pytest.raises(RowUnreadable):
        store.journal(subject.id, "w")


def test_a_cancel_request_that_cannot_be_read_is_still_a_request(store: Store) -> None:
    running = put_running(store, process())
    damage(store, running.id, cancel_requested="{")
    applied = store.apply(claim(running))
    assert isinstance(applied.cancel_requested, CancelRequest)


def test_a_timer_that_cannot_be_read_hides_no_other(store: Store) -> None:
    bad, good = put(store, process(), arm=(timer("bad"),)), put(store, process(), arm=(timer("good"),))
    with store.dialect.write() as transaction:
        transaction.run(sa.update(tables.timer).where(tables.timer.c.process_id == str(bad.id)).values(kind="nonsense"), {})
    assert [row.process_id for row in store.due(NOW, 10)] == [good.id]
