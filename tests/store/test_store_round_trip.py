"""What was stored comes back equal, field by field and type by type."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

from factories import entry, process, retry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import examples, put
from strategies import PROCESSES, STEPS, WALKS, entries

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import Change, ChangeKind, HistoryEntry, JournalEntry, Process, ProcessStatus, Walk
from workflow_runtime.store import records, rows
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.tables import history, journal, server
from workflow_runtime.store.writes import Store


def test_a_process(store: Store) -> None:
    @examples(store, 60)
    @given(subject=PROCESSES)
    def comes_back(subject: Process) -> None:
        stored = put(store, replace(subject, id=uuid4()))  # examples repeat, and share one database
        assert store.load(stored.id) == stored

    comes_back()


def test_an_update_sets_all_that_may_change(store: Store) -> None:
    @examples(store, 60)
    @given(first=PROCESSES, second=PROCESSES)
    def becomes(first: Process, second: Process) -> None:
        _is_updated(store, first, second)

    becomes()


def _is_updated(store: Store, first: Process, second: Process) -> None:
    rest = put(store, replace(first, id=uuid4(), status=ProcessStatus.IDLED, owner=None, cancel_requested=None))
    kept = {name: getattr(rest, name) for name in ("id", "scheme_code", "parent_id", "root_id", "tenant_id", "created_at", "children_open")}
    status = rest.status if second.status is ProcessStatus.INITIALIZED else second.status
    after = replace(second, **kept, status=status, cancel_requested=None)
    change = Change(kind=ChangeKind.OPERATE, before=rest, after=after)
    assert store.apply(change).outcome is Outcome.APPLIED
    assert store.load(rest.id) == change.result


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(walk=WALKS)
def test_a_walk(walk: Walk) -> None:
    assert rows.decode_walk(rows.encode_walk(walk)) == walk


def test_history(store: Store, reader: Reader) -> None:
    @examples(store, 60)
    @given(data=st.data())
    def comes_back(data: st.DataObject) -> None:
        subject = process()
        written: list[HistoryEntry] = data.draw(st.lists(entries(subject.id), unique_by=lambda row: row.seq, max_size=3))
        put(store, subject, entries=tuple(written))
        page = reader.history(subject.id)
        assert [replace(row, id=0) for row in page] == sorted(written, key=lambda row: row.seq)

    comes_back()


def test_journal(store: Store) -> None:
    @examples(store, 60)
    @given(written=st.lists(STEPS, unique_by=lambda row: (row.activity, row.index, row.step, row.occurrence, row.intent), max_size=3))
    def comes_back(written: list[JournalEntry]) -> None:
        subject = put(store, process(), journal=tuple(written))
        assert list(store.journal(subject.id, "w")) == written

    comes_back()


def test_history_ids_only_grow_also_over_processes(store: Store, reader: Reader) -> None:
    subjects = [put(store, subject, entries=(entry(subject, seq=1),)) for subject in (process(last_seq=1), process(last_seq=1))]
    ids = [reader.history(subject.id)[0].id for subject in subjects]
    assert ids == sorted(set(ids))
    assert min(ids) > 0


def test_types_of_parameters_come_back(store: Store) -> None:
    values: dict[str, Any] = {"money": Decimal("1.50"), "whole": 1, "real": 1.0, "yes": True, "tiny": math.ulp(0.0)}
    subject = put(store, process(parameters=FrozenDict(values), status=ProcessStatus.RUNNING), arm=(retry(),))
    found = store.load(subject.id)
    assert found is not None
    assert {name: (type(value), str(value)) for name, value in found.parameters.items()} == {n: (type(v), str(v)) for n, v in values.items()}


def test_every_field_has_its_column() -> None:
    """A field that is added to a type and forgotten here would be lost without an error."""
    assert {field.name for field in fields(Process)} - {"scheme"} == set(rows.PROCESS_COLUMNS)
    assert {field.name for field in fields(HistoryEntry)} - {"trigger"} | {"trigger_kind", "trigger_name"} == set(history.c.keys())
    assert {field.name for field in fields(JournalEntry)} - {"index", "intent"} | {"action_index", "id", "process_id"} == set(journal.c.keys())
    assert set(records.SERVER_COLUMNS) == set(server.c.keys())
