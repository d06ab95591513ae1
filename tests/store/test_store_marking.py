"""What stays of a process that cannot be read: Error, its cause, and a history row where one can be numbered."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from factories import NOW, entry, process, retry
from stored import ON_SERVERS, ONLY_SQLITE, damage, put_running, rows_of

from workflow_runtime.core.process import EntryKind, ErrorInfo, Process, ProcessStatus, Trigger, TriggerKind
from workflow_runtime.store import tables
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.rows import PROCESS_COLUMNS, UnreadableRow
from workflow_runtime.store.writes import Store

ERROR = ErrorInfo(type="RowUnreadable", message="the row cannot be read", traceback="in full")


def mark(store: Store) -> bool:
    """The only orphan."""
    [row] = store.orphans(me="me")
    assert isinstance(row, UnreadableRow)
    return store.mark_unreadable(row, ERROR)


def told_twice(store: Store, **fields: Any) -> Process:
    """An orphan that has a history of two rows."""
    subject = process(last_seq=2)
    return put_running(store, subject, owner="gone", entries=tuple(entry(subject, seq=seq) for seq in (1, 2)), **fields)


def stored(store: Store, subject: Process, column: str) -> Any:
    return rows_of(store, tables.process, subject.id)[0][PROCESS_COLUMNS.index(column)]


def test_history_tells_of_it_and_goes_on_behind(store: Store, reader: Reader) -> None:
    bad = told_twice(store)
    damage(store, bad.id, walk="{")
    assert mark(store)
    *_, last = reader.history(bad.id)
    assert (last.seq, last.kind, last.status, last.at) == (3, EntryKind.RECOVERED, ProcessStatus.ERROR, NOW)
    assert (last.from_activity, last.to_activity, last.from_state, last.to_state) == ("A", "A", "Open", "Open")
    assert (last.trigger, last.server, last.error) == (Trigger(TriggerKind.RECOVERY, "default"), "me", ERROR)
    assert stored(store, bad, "last_seq") == 3


@ON_SERVERS
def test_a_row_that_somebody_has_locked_is_left_for_later(store: Store, database: str) -> None:
    """Else one such row would hold up the pass, and with it all that others have left."""
    bad = told_twice(store)
    damage(store, bad.id, walk="{")
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    with engine.begin() as stranger:
        stranger.execute(sa.select(tables.process.c.id).where(tables.process.c.id == str(bad.id)).with_for_update())
        assert not mark(store)
    assert mark(store)


@ONLY_SQLITE  # others have no such values in such columns
@pytest.mark.parametrize("column", ["activity", "state"])
def test_where_it_stood_is_left_out_if_that_is_what_cannot_be_read(store: Store, reader: Reader, column: str) -> None:
    bad = told_twice(store)
    damage(store, bad.id, **{column: b"\xff"})
    assert mark(store)
    last = list(reader.history(bad.id))[-1]
    assert (last.seq, last.to_activity, last.to_state) == (3, "" if column == "activity" else "A", "" if column == "state" else "Open")


def test_a_number_that_is_taken_is_not_given_again(store: Store, reader: Reader) -> None:
    bad = told_twice(store)
    damage(store, bad.id, walk="{", last_seq=1)
    assert mark(store)
    assert [row.seq for row in reader.history(bad.id)] == [1, 2, 3]
    assert stored(store, bad, "last_seq") == 3


def test_without_a_number_it_is_marked_all_the_same(store: Store, reader: Reader) -> None:
    marked_without_a_number(store, reader, 2**63 - 1)


@ONLY_SQLITE
def test_a_number_that_cannot_be_read_stays_as_it_is(store: Store, reader: Reader) -> None:
    marked_without_a_number(store, reader, "many")


def marked_without_a_number(store: Store, reader: Reader, garbage: Any) -> None:
    bad = told_twice(store)
    damage(store, bad.id, walk="{", last_seq=garbage)
    assert mark(store)
    assert [row.seq for row in reader.history(bad.id)] == [1, 2]
    assert (stored(store, bad, "last_seq"), stored(store, bad, "status")) == (garbage, ProcessStatus.ERROR.id)


@ONLY_SQLITE
def test_damaged_history_does_not_hinder_it(store: Store) -> None:
    bad = told_twice(store)
    damage(store, bad.id, walk="{")
    with store.dialect.write() as transaction:
        transaction.run(sa.update(tables.history).values(seq=sa.literal("x", sa.types.NullType())).where(tables.history.c.seq == 2), {})
    assert mark(store)
    assert (stored(store, bad, "last_seq"), stored(store, bad, "status")) == (2, ProcessStatus.ERROR.id)


def test_nothing_brings_it_back_by_itself(store: Store) -> None:
    bad = told_twice(store, arm=(retry(),))
    damage(store, bad.id, walk="{")
    assert mark(store)
    assert store.timers(bad.id) == ()


def test_nothing_is_told_where_another_was_first(store: Store, reader: Reader) -> None:
    bad = told_twice(store)
    damage(store, bad.id, walk="{")
    [row] = store.orphans(me="me")
    assert isinstance(row, UnreadableRow)
    assert [store.mark_unreadable(row, ERROR) for _ in range(2)] == [True, False]
    assert [each.seq for each in reader.history(bad.id)] == [1, 2, 3]
