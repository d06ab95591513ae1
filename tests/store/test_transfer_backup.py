"""A copy of a SQLite database: one moment, one file, checked; never over what may be the last good one."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from factories import entry, process
from stored import ONLY_SQLITE, everything, put
from transferred import ignored, populate

from workflow_runtime.errors import StoreError, StoreUnavailable
from workflow_runtime.store import backup as backups
from workflow_runtime.store.backup import backup
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]
pytestmark = ONLY_SQLITE


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder / "copy.db"


def copied(store: Store, target: Path, *, force: bool = False) -> int:
    return backup(store.dialect, target, force=force, progress=ignored)


def test_a_copy_holds_everything_in_one_file(store: Store, target: Path, open_store: OpenStore) -> None:
    populate(store)
    before = everything(store)
    assert copied(store, target) == target.stat().st_size
    assert [each.name for each in target.parent.iterdir()] == ["copy.db"]  # no log beside it
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    again = open_store(f"sqlite:///{target}")
    again.check()
    assert everything(again) == before
    put(again, process())  # and it can be used


def test_it_is_one_moment_though_somebody_writes_all_the_time(store: Store, target: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process and its row of history are stored together; between two pages another one is."""
    monkeypatch.setattr(backups, "PAGES", 1)
    for _ in range(20):
        _one_more(store)
    other, counts = open_store(), []

    def write(_what: str, done: int, _of: int) -> None:
        _one_more(other)
        counts.append(done)
        assert len(counts) < 1_000, "it begins anew with each write, and would never end"

    backup(store.dialect, target, force=False, progress=write)
    assert counts == sorted(counts)  # it was not begun anew
    assert len(counts) > 20
    copy = open_store(f"sqlite:///{target}")
    assert Reader(copy).count() == 20
    assert {len(Reader(copy).history(each.id)) for each in Reader(copy).find()} == {1}
    assert Reader(store).count() == 20 + len(counts)


def _one_more(store: Store) -> None:
    subject = process(last_seq=1)
    put(store, subject, entries=(entry(subject, seq=1),))


def test_a_writer_in_another_thread_is_not_held_up(store: Store, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "PAGES", 1)
    written = threading.Event()
    threads: list[threading.Thread] = []

    def write(_what: str, _done: int, _of: int) -> None:
        if not threads:
            threads.append(threading.Thread(target=lambda: (put(store, process()), written.set())))
            threads[0].start()
            assert written.wait(10)

    backup(store.dialect, target, force=False, progress=write)
    threads[0].join(10)
    assert Reader(store).count() == 1


def test_progress_ends_with_all_pages(store: Store, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "PAGES", 10)
    seen: list[tuple[str, int, int]] = []
    backup(store.dialect, target, force=False, progress=lambda *told: seen.append(told))
    assert seen[-1] == ("copied", seen[-1][2], seen[-1][2])
    assert len(seen) > 2


def test_a_file_that_is_there_stays_unless_it_may_go(store: Store, target: Path) -> None:
    target.write_text("the last good copy")
    with pytest.raises(StoreError, match="is there; name another file, or allow to overwrite it"):
        copied(store, target)
    assert target.read_text() == "the last good copy"
    copied(store, target, force=True)
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("link", ["same", "symbolic", "hard"])
def test_the_database_itself_is_refused_under_every_name(store: Store, target: Path, link: str) -> None:
    assert store.path is not None
    if link == "symbolic":
        target.symlink_to(store.path)
    elif link == "hard":
        os.link(store.path, target)
    before = everything(store)
    with pytest.raises(StoreError, match="is the database itself"):
        copied(store, store.path if link == "same" else target, force=True)
    assert everything(store) == before


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_file_whose_log_lies_beside_it_is_refused_even_by_force(store: Store, target: Path, ending: str) -> None:
    """SQLite would play the log into the copy."""
    target.with_name(target.name + ending).write_bytes(b"")
    with pytest.raises(StoreError, match="in use, or was not closed"):
        copied(store, target, force=True)
    assert not target.exists()


def test_another_database_that_is_in_use_is_not_replaced(store: Store, target: Path, open_store: OpenStore) -> None:
    other = open_store(f"sqlite:///{target}")
    other.upgrade()
    put(other, process())
    with pytest.raises(StoreError, match="in use"):
        copied(store, target, force=True)
    other.close()
    copied(store, target, force=True)


def test_a_damaged_database_makes_no_copy(store: Store, target: Path, open_store: OpenStore) -> None:
    for _ in range(200):
        _one_more(store)
    path = store.path
    assert path is not None
    store.close()
    with path.open("r+b") as file:
        for place in range(60, 90):  # pages behind those that are read to open it
            file.seek(place * 4096)
            file.write(b"\x55" * 2000)
    with pytest.raises(StoreError, match=r"the copy is damaged, and so is|could not be made"):
        copied(open_store(f"sqlite:///{path}"), target)
    assert list(target.parent.iterdir()) == []


def test_a_full_disk_leaves_nothing(store: Store, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is a file that may not grow."""
    connect = sqlite3.connect

    def small(*given: Any, **more: Any) -> sqlite3.Connection:
        copy = connect(*given, **more)
        copy.execute("PRAGMA max_page_count=3")
        return copy

    populate(store)
    monkeypatch.setattr(backups.sqlite3, "connect", small)
    with pytest.raises(StoreError, match="could not be made: database or disk is full"):
        copied(store, target)
    assert list(target.parent.iterdir()) == []


def test_there_must_be_a_database_with_our_tables(open_store: OpenStore, tmp_path: Path, target: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no database"):
        copied(open_store(f"sqlite:///{tmp_path / 'nowhere.db'}"), target)
    assert not (tmp_path / "nowhere.db").exists()
    sqlite3.connect(tmp_path / "other.db").executescript("CREATE TABLE mine (a)").close()
    with pytest.raises(StoreUnavailable, match="has no tables of workflow_runtime"):
        copied(open_store(f"sqlite:///{tmp_path / 'other.db'}"), target)
    assert list(target.parent.iterdir()) == []


def test_a_folder_that_is_not_there_is_not_made(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        copied(store, tmp_path / "nowhere" / "copy.db")


def test_the_copy_may_be_read_by_whom_the_database_may_be(store: Store, target: Path) -> None:
    assert store.path is not None
    store.path.chmod(0o640)
    copied(store, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
