"""What SQLite is opened with, and which files are refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import NOW

from workflow_runtime.errors import SettingsError, StoreUnavailable
from workflow_runtime.store.writes import Store

Open = Callable[..., Store]


@pytest.fixture
def opened() -> Open:
    def open_url(url: str, **settings: Any) -> Store:
        return Store.open(url, clock=lambda: NOW, new_token=lambda: 1, **settings)

    return open_url


def pragma(store: Store, name: str) -> object:
    with store.dialect.connected() as driver:
        return driver.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(("setting", "level"), [({}, 2), ({"synchronous": "FULL"}, 2), ({"synchronous": "normal"}, 1), ({"synchronous": "EXTRA"}, 3)])
def test_every_connection_is_safe_by_default(opened: Open, tmp_path: Path, setting: dict[str, str], level: int) -> None:
    store = opened(f"sqlite:///{tmp_path}/a.db", **setting)
    with store.dialect.connected():  # so that the next is another connection
        found = [pragma(store, name) for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")]
    assert found == ["wal", level, 1, 5000]
    store.close()


def test_unsafe_or_unknown_levels_are_refused(opened: Open, tmp_path: Path) -> None:
    for level in ("OFF", "FULL; DROP TABLE x", ""):
        with pytest.raises(SettingsError, match="sqlite_synchronous"):
            opened(f"sqlite:///{tmp_path}/a.db", synchronous=level)


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "sqlite:///a.db?mode=ro", "sqlite://host/a.db"]
)
def test_what_is_no_plain_file_is_refused(opened: Open, url: str) -> None:
    with pytest.raises(SettingsError, match="sqlite:///"):
        opened(url)


@pytest.mark.parametrize("url", ["oracle://u:secret@h/db", "sqlite+aiosqlite:///a.db", "nonsense", "", "mongodb://x"])
def test_other_databases_are_refused_without_showing_a_password(opened: Open, url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        opened(url)
    assert "secret" not in str(caught.value)


def test_a_symbolic_link_is_the_file_it_leads_to(opened: Open, tmp_path: Path) -> None:
    real, link = tmp_path / "real.db", tmp_path / "link.db"
    link.symlink_to(real)
    store = opened(f"sqlite:///{link}")
    store.upgrade()
    assert store.path == real.resolve()
    assert real.exists()
    store.close()


def test_a_second_hard_link_is_refused(opened: Open, tmp_path: Path) -> None:
    store = opened(f"sqlite:///{tmp_path}/a.db")
    store.upgrade()
    store.close()
    os.link(tmp_path / "a.db", tmp_path / "b.db")
    with pytest.raises(SettingsError, match="2 hard links"):
        opened(f"sqlite:///{tmp_path}/b.db")


def test_a_relative_path_means_the_folder_at_opening(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = opened("sqlite:///a.db")
    monkeypatch.chdir("/")
    assert store.path == (tmp_path / "a.db").resolve()


@pytest.mark.parametrize("content", [b"not a database, but long enough to look at" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_file_that_is_no_database_is_unavailable(opened: Open, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.db").write_bytes(content)
    store = opened(f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(StoreUnavailable, match="is no SQLite database or is damaged: name another") as raised:
        store.upgrade()
    assert f"the file {tmp_path / 'a.db'} " in raised.value.message
    assert "repeat the call" not in raised.value.message
    assert (tmp_path / "a.db").read_bytes() == content
    store.close()


def test_a_folder_that_is_missing_is_unavailable(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open") as raised:
        opened(f"sqlite:///{tmp_path}/nowhere/a.db").upgrade()
    assert f"see to it that the folder {tmp_path / 'nowhere'} exists" in raised.value.message
    assert "repeat the call" not in raised.value.message


def test_a_closed_store_opens_again_with_the_next_call(opened: Open, tmp_path: Path) -> None:
    store = opened(f"sqlite:///{tmp_path}/a.db")
    store.upgrade()
    store.close()
    assert store.servers() == []
    store.close()


def test_the_clock_is_the_one_that_was_given(opened: Open, tmp_path: Path) -> None:
    assert opened(f"sqlite:///{tmp_path}/a.db").now() == NOW
