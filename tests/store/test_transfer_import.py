"""What an import changes on purpose, what it finds in its way, and what becomes of it when the database fails."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from factories import claim, deletion, entry, process, server, timer
from proxy import Proxy, Side, target_of, through
from stored import ON_SERVERS, ONLY_SQLITE, broken, damage, everything, execute, put, put_running, rows_of
from transferred import ORDER, exported, ignored, imported, populate, schemes, stored

from workflow_runtime.core.process import Change, ChangeKind, Process, ProcessStatus
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.core.values import LIMITS
from workflow_runtime.errors import StoreUnavailable, TransferError
from workflow_runtime.store import tables, transfer
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]


@pytest.fixture
def source(open_store: OpenStore, upgraded_file: Path, tmp_path: Path) -> Store:
    shutil.copy(upgraded_file, tmp_path / "source.db")
    source = open_store(f"sqlite:///{tmp_path / 'source.db'}")
    source.register(server("me"))
    source.bind("me")
    return source


def some(source: Store, number: int = 3) -> list[Process]:
    """At rest, by ascending id as they stand in the file."""
    schemes(source)
    made = [process(last_seq=1) for _ in range(number)]
    return sorted((put(source, each, entries=(entry(replace(each, last_seq=0)),)) for each in made), key=lambda each: str(each.id))


# -- what is changed on purpose ---------------------------------------------------------------------------


def test_nobody_of_the_old_life_has_or_can_write_what_comes(source: Store, store: Store) -> None:
    """Not with the change that it has in hand, though it is the same database of servers now."""
    schemes(source)
    rest, running = put(source, process()), put_running(source, process())
    imported(store, exported(source)[0])
    found = [stored(store, each) for each in (rest, running)]
    assert [each.owner for each in found] == [None, None]
    assert all(new.token not in (old.token, old.token + 1) for new, old in zip(found, (rest, running), strict=True))
    assert [each.revision for each in found] == [rest.revision, running.revision]
    late = Change(kind=ChangeKind.FAIL, before=running, after=replace(running, status=ProcessStatus.ERROR, owner=None))
    before = everything(store)
    assert [store.apply(change).outcome for change in (claim(rest), late, deletion(rest))] == [Outcome.LOST] * 3
    assert everything(store) == before


def test_tokens_are_those_that_were_drawn(source: Store, store: Store) -> None:
    subjects = some(source)
    imported(store, exported(source)[0], new_token=iter(range(100, 200)).__next__)
    assert [stored(store, each).token for each in subjects] == [100, 101, 102]


def test_what_was_executed_is_an_orphan_and_what_waits_is_not(source: Store, store: Store) -> None:
    made = populate(source)
    imported(store, exported(source)[0])
    without = [each.id for each in made if each.status is ProcessStatus.RUNNING and not any(t.kind != "timer" for t in source.timers(each.id))]
    orphans = store.orphans(me="me")
    assert {each.id for each in orphans} == set(without)
    assert {(each.owner, each.adoptions, each.deaths) for each in orphans if isinstance(each, Process)} == {(None, 0, 0)}


def test_servers_and_recoveries_stay_behind(source: Store, store: Store) -> None:
    populate(source)
    imported(store, exported(source)[0])
    assert ([each.id for each in store.servers()], list(Reader(store).recoveries())) == (["me"], [])


# -- schemes ----------------------------------------------------------------------------------------------


def test_a_code_that_is_known_keeps_its_current_version_and_its_texts(source: Store, store: Store) -> None:
    mine = SchemeKey("order", "a" * 64)
    store.add_scheme(ORDER, "the same, written otherwise", "yaml")
    store.add_scheme(mine, "mine", "yaml")
    populate(source)
    assert imported(store, exported(source)[0]).schemes == 1
    assert store.current_version("order") == mine.version
    assert len(store.scheme_versions("order")) == 3
    assert store.scheme_text(ORDER) == ("the same, written otherwise", "yaml")


# -- what is in the way -----------------------------------------------------------------------------------


def test_ids_that_are_in_use_are_refused_by_name_and_the_others_come(source: Store, store: Store) -> None:
    first, second, third = some(source)
    schemes(store)
    mine = put(store, process(id=first.id, activity="mine"))
    gone = put(store, process(id=second.id, last_seq=1), entries=(entry(process(id=second.id)),))
    store.apply(deletion(gone))
    report = imported(store, exported(source)[0])
    assert (report.processes, report.skipped) == (1, 0)
    assert report.failed == {
        str(first.id): f"ProcessAlreadyExists: a process {first.id} exists already",
        str(second.id): f"ProcessAlreadyExists: a process {second.id} was deleted and its history stays",
    }
    assert (stored(store, mine).activity, store.load(second.id), stored(store, third).activity) == ("mine", None, "A")


def test_they_may_be_skipped_so_that_an_import_can_be_repeated(source: Store, store: Store) -> None:
    subjects = some(source)
    data, report = exported(source)
    assert imported(store, data).digest == report.digest
    before = everything(store)
    again = imported(store, data, skip_existing=True)
    assert (again.processes, again.skipped, again.failed) == (0, len(subjects), {})
    assert everything(store) == before


def test_a_dry_run_tells_the_same_and_stores_nothing(source: Store, store: Store) -> None:
    first, *_ = some(source)
    put(store, process(id=first.id))
    data, before = exported(source)[0], everything(store)
    planned = imported(store, data, dry_run=True)
    assert everything(store) == before
    done = imported(store, data)
    assert (planned.dry_run, planned.failed.keys()) == (True, {str(first.id)})
    assert replace(planned, dry_run=False) == done


def test_progress_counts_what_was_checked_then_what_was_done(source: Store, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "BATCH", 2)
    some(source)
    seen: list[tuple[str, int, int]] = []
    imported(store, exported(source)[0], progress=lambda *told: seen.append(told))
    assert seen == [("checked", 1, 0), ("checked", 2, 0), ("checked", 3, 0), ("imported", 2, 3), ("imported", 3, 3)]


# -- what fails -------------------------------------------------------------------------------------------


def test_a_row_that_is_refused_takes_nothing_from_the_other_processes(source: Store, store: Store) -> None:
    """The one with a timer fails as a whole, the two without come."""
    first, second, third = some(source)
    source.apply(Change(kind=ChangeKind.OPERATE, before=second, after=second, arm=(timer(),)))
    with broken(store, "wf_timer"):
        report = imported(store, exported(source)[0])
    assert (report.processes, report.failed.keys()) == (2, {str(second.id)})
    assert [store.load(each.id) is not None for each in (first, second, third)] == [True, False, True]
    assert rows_of(store, tables.history, second.id) == []


@ONLY_SQLITE
def test_what_the_database_stores_otherwise_is_taken_back(source: Store, store: Store) -> None:
    """A trigger changes what is stored, as a column of a wrong type would: found before the commit."""
    subjects = some(source)
    execute(
        store,
        f"CREATE TRIGGER bends AFTER INSERT ON wf_process WHEN NEW.id = '{subjects[1].id}' "
        "BEGIN UPDATE wf_process SET revision = revision + 1, state = 'bent' WHERE id = NEW.id; END",
    )
    report = imported(store, exported(source)[0])
    assert (report.processes, list(report.failed)) == (2, [str(subjects[1].id)])
    assert report.failed[str(subjects[1].id)].endswith("would not be the same in this database: its state, revision differ")
    assert store.load(subjects[1].id) is None


def test_what_cannot_be_read_is_named_and_left_out_of_an_export(source: Store, store: Store) -> None:
    good, torn, lost = some(source)
    damage(source, torn.id, parameters="{")
    damage(source, lost.id, scheme_version="f" * 64)
    data, report = exported(source)
    assert (report.processes, report.failed.keys()) == (1, {str(torn.id), str(lost.id)})
    assert "cannot be read" in report.failed[str(torn.id)]
    assert report.failed[str(lost.id)] == "the database has no scheme 'order' in version ffffffffffff"
    assert imported(store, data).processes == 1
    assert stored(store, good) == replace(good, token=stored(store, good).token)


@ONLY_SQLITE
@pytest.mark.parametrize("columns", [{"deaths": 2**40}, {"activity": "x" * 300}, {"last_seq": 0}, {"state": "a\0b"}], ids=lambda columns: next(iter(columns)))
def test_what_another_database_would_refuse_is_left_out_too(source: Store, store: Store, columns: dict[str, Any]) -> None:
    """SQLite stores what others do not; then the file as a whole can still be imported."""
    first, *rest = some(source)
    damage(source, first.id, **columns)
    data, report = exported(source)
    assert report.failed.keys() == {str(first.id)}
    assert imported(store, data).processes == len(rest)


def test_a_file_that_is_another_one_at_the_second_reading_is_told(source: Store, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "BATCH", 1)
    first, *_ = some(source)
    data = exported(source)[0]
    place = data.rindex(b'"created_at":') + len(b'"created_at":') + 6

    class Changing(io.BytesIO):
        passes = 0

        def seek(self, offset: int, whence: int = 0, /) -> int:
            self.passes += 1
            if self.passes == 2:
                self.getbuffer()[place] = ord("1") if data[place : place + 1] != b"1" else ord("2")
            return super().seek(offset, whence)

    with pytest.raises(TransferError, match="was changed while it was imported") as caught:
        transfer.Import(
            store.dialect,
            new_token=iter(range(1, 10_000)).__next__,
            check_scheme=lambda *_: None,
            limits=LIMITS,
            skip_existing=False,
            dry_run=False,
            progress=ignored,
        ).read(Changing(data))
    assert caught.value.imported == Reader(store).count() == 3
    assert stored(store, first).id == first.id


# -- commits that were not answered -----------------------------------------------------------------------


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    with Proxy(target_of(sa.make_url(database))) as made:
        yield made


@ON_SERVERS
@pytest.mark.parametrize("nth", [1, 2], ids=["schemes", "processes"])
@pytest.mark.parametrize("how", [{"forward": True}, {"forward": False}, {"forward": True, "wait": False}], ids=["lost answer", "lost request", "cut behind"])
def test_a_batch_whose_commit_was_not_answered_is_stored_once(
    source: Store, store: Store, open_store: OpenStore, database: str, proxy: Proxy, how: dict[str, bool], nth: int
) -> None:
    subjects = some(source)
    data, report = exported(source)
    far = open_store(through(database, proxy))
    far.servers()
    proxy.cut_after(b"COMMIT", nth=nth, side=Side.REQUEST, **how)
    done = imported(far, data)
    assert (proxy.cuts, done.processes, done.failed, done.digest) == (1, 3, {}, report.digest)
    assert [len(rows_of(store, tables.history, each.id)) for each in subjects] == [1, 1, 1]


@ON_SERVERS
def test_a_database_that_stays_away_ends_the_import_with_what_was_done(
    source: Store, store: Store, open_store: OpenStore, database: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "BATCH", 1)
    subjects = some(source)
    data = exported(source)[0]
    far = open_store(through(database, proxy))

    def fall(what: str, done: int, _of: int) -> None:
        if (what, done) == ("imported", 2):
            proxy.close()

    with pytest.raises(StoreUnavailable, match="2 processes were imported before: import the same file again and skip those that exist") as caught:
        imported(far, data, progress=fall)
    assert caught.value.imported == Reader(store).count() == 2
    again = imported(store, data, skip_existing=True)
    assert (again.processes, again.skipped, Reader(store).count()) == (1, 2, len(subjects))
