"""What was exported from one database and imported into another is the same there, in every table, on every page."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import databases
import pytest
from factories import NOW, deletion, process, server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import put, rows_of
from strategies import PROCESSES
from transferred import DAMAGE, ORDER, TYPES, executed, exported, imported, populate, schemes, stored

from workflow_runtime.core.filters import EVERYTHING, ProcessFilter
from workflow_runtime.core.process import HistoryEntry, Process, ProcessStatus
from workflow_runtime.core.values import LIMITS
from workflow_runtime.store import rows, tables, transfer
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.transfer import Export
from workflow_runtime.store.transfer_forms import ROW, check_process
from workflow_runtime.store.transfer_lines import ProcessLine, Reading, Writer
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]


@pytest.fixture
def source(open_store: OpenStore, upgraded_file: Path, tmp_path: Path) -> Store:
    """A SQLite database with a living server and a process of each kind."""
    shutil.copy(upgraded_file, tmp_path / "source.db")
    source = open_store(f"sqlite:///{tmp_path / 'source.db'}")
    source.register(server("me"))
    source.bind("me")
    return source


@pytest.fixture
def back(open_store: OpenStore, upgraded_file: Path, tmp_path: Path) -> Store:
    shutil.copy(upgraded_file, tmp_path / "back.db")
    return open_store(f"sqlite:///{tmp_path / 'back.db'}")


def pages(store: Store) -> Iterator[Any]:
    """Every answer of a reader about processes, but for owner, token and the running numbers of history rows."""
    reader = Reader(store)
    found: list[Process] = []
    cursor: str | None = None
    while True:
        page = reader.find(limit=3, after=cursor)
        found += [replace(each, owner=None, token=0) for each in page]
        if (cursor := page.next) is None:
            break
    yield found
    yield reader.counts()
    for status in ProcessStatus:
        yield reader.count(ProcessFilter(status=status)), [each.id for each in reader.find(ProcessFilter(status=status))]
    for filter in (
        ProcessFilter(parameters={"money": TYPES["money"]}),
        ProcessFilter(text="☃"),
        ProcessFilter(identity="anna"),
        ProcessFilter(tenant_id="nord"),
    ):
        yield [each.id for each in reader.find(filter)]
    for each in found:
        yield told(reader, each), reader.decisions(each.id), store.timers(each.id), reader.ids_by_prefix(str(each.id)[:8])
        yield store.journal(each.id, each.walk.id) if each.walk else ()
    yield reader.due_timers(now=NOW), reader.due_timers(now=NOW, overdue_only=True)
    yield store.scheme_codes(), store.scheme_versions("order"), store.current_version("order"), store.scheme_text(ORDER)


def told(reader: Reader, process: Process) -> list[HistoryEntry]:
    return [replace(row, id=0) for row in reader.history(process.id)]


def test_both_sides_answer_everything_equally(source: Store, store: Store, back: Store) -> None:
    """SQLite to each database, and from there to SQLite."""
    populate(source)
    data, first = exported(source)
    assert imported(store, data) == replace(first, verb="import")
    assert list(pages(store)) == list(pages(source))
    data, second = exported(store)
    assert second == first
    assert imported(back, data) == replace(first, verb="import")
    assert list(pages(back)) == list(pages(source))


def test_once_round_all_databases_is_equal_by_digest(
    source: Store, back: Store, open_store: OpenStore, postgresql: databases.Places, mysql: databases.Places
) -> None:
    populate(source)
    data, first = exported(source)
    for next_one in (open_store(postgresql.wiped()), open_store(mysql.wiped()), back):
        imported(next_one, data)
        data, report = exported(next_one)
        assert report.digest == first.digest
    assert first.processes == 8


def test_every_row_is_the_same_but_for_owner_token_and_running_numbers(source: Store, store: Store) -> None:
    processes = populate(source)
    imported(store, exported(source)[0])
    given_by_the_database = {"wf_history": 1, "wf_journal": 1, "wf_decision": 1}
    for each in processes:
        for table in (tables.timer, tables.history, tables.decision):
            first = given_by_the_database.get(table.name, 0)
            rows_here, rows_there = ([tuple(row)[first:] for row in rows_of(where, table, each.id)] for where in (store, source))
            assert sorted(rows_here) == sorted(rows_there), table.name
        assert replace(stored(store, each), token=0) == replace(each, token=0, owner=None)


def test_only_the_journal_of_the_present_walk_comes_along(source: Store, store: Store) -> None:
    schemes(source)
    subject = executed(source)
    assert subject.walk is not None
    imported(store, exported(source)[0])
    assert store.journal(subject.id, subject.walk.id) == source.journal(subject.id, subject.walk.id)
    assert (len(rows_of(source, tables.journal, subject.id)), len(rows_of(store, tables.journal, subject.id))) == (3, 2)


def test_types_and_odd_characters_come_through(source: Store, store: Store) -> None:
    populate(source)
    imported(store, exported(source)[0])
    (rich,) = Reader(store).find(ProcessFilter(tenant_id="nord"))
    assert {name: (type(value), value) for name, value in rich.parameters.items()} == {name: (type(value), value) for name, value in TYPES.items()}
    (failed,) = Reader(store).find(ProcessFilter(status=ProcessStatus.ERROR))
    assert failed.last_error == DAMAGE


def test_a_filter_takes_its_processes_and_their_schemes_and_no_others(store: Store) -> None:
    populate(store)
    data, report = exported(store, ProcessFilter(status=ProcessStatus.INITIALIZED))
    lines = [json.loads(line) for line in data.splitlines()]
    assert [line["kind"] for line in lines] == ["header", "scheme", "scheme", "current", "process", "end"]  # the pinned version and the current one
    assert (report.schemes, report.processes, lines[0]["epoch"], lines[0]["program"], lines[0]["schema"]) == (2, 1, store.epoch(), "1.2.3", "0006")


def test_an_empty_database_is_an_export_too(store: Store, back: Store) -> None:
    data, report = exported(store)
    assert (report.schemes, report.processes, len(data.splitlines())) == (0, 0, 2)
    assert imported(back, data) == replace(report, verb="import")


def test_an_export_is_ascii_without_owner_and_token(store: Store) -> None:
    populate(store)
    data, _ = exported(store)
    assert data.isascii()
    rows_found = [json.loads(line)["row"] for line in data.splitlines() if b'"kind":"process"' in line]
    assert {"owner", "token"} & {name for row in rows_found for name in row} == set()


def test_an_export_is_one_moment(store: Store, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored and changed while it is written is not in it, though its page is yet to be read."""
    monkeypatch.setattr(transfer, "PAGE", 2)
    populate(store)
    other, before = open_store(), exported(store)
    late = put(other, process(id=UUID("ffffffff-ffff-4fff-bfff-fffffffffff0")))

    def disturb(_what: str, done: int, _of: int) -> None:
        if done == 1:
            put(other, process(id=UUID("ffffffff-ffff-4fff-bfff-ffffffffffff")))
            assert other.apply(deletion(late)).outcome is Outcome.APPLIED

    out = io.BytesIO()
    report = Export(store.dialect, filter=EVERYTHING, progress=disturb).write(out, program="1")
    assert (before[1].processes, report.processes) == (8, 9)
    assert (str(late.id).encode() in out.getvalue(), b"ffffffff-ffff-4fff-bfff-ffffffffffff" in out.getvalue()) == (True, False)
    assert store.load(late.id) is None


def test_pages_neither_repeat_nor_skip(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    populate(store)
    whole = exported(store)[1]
    for size in (1, 3, 8, 9):
        monkeypatch.setattr(transfer, "PAGE", size)
        assert exported(store)[1] == whole


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(subject=PROCESSES, data=st.data())
def test_any_process_passes_a_line(subject: Process, data: st.DataObject) -> None:
    """Without a database: written, read and checked it is what it was."""
    row = {name: value for name, value in rows.process_values(subject).items() if name in ROW.columns}
    form: dict[str, Any] = {ROW.name: row, "timers": [], "history": [], "journal": [], "decisions": [], "keys": []}
    assert check_process(form) == replace(subject, owner=None, token=0)
    out = io.BytesIO()
    writer = Writer(out)
    writer.header(program="1", schema="1", epoch="1", at=1)
    key = {"code": subject.scheme_code, "version": subject.scheme_version}
    writer.scheme({**key, "text": "x", "format": "xml", "added_at": 1})
    writer.process(form)
    writer.end()
    (line,) = [line for line in Reading(out, check_scheme=lambda *_: None, limits=LIMITS).lines() if isinstance(line, ProcessLine)]
    assert line.process == replace(subject, owner=None, token=0)
    assert line.form == form
