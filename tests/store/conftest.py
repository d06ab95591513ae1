"""The databases under test. Another one joins by a parameter of ``database`` and its way to make an empty URL."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories import NOW, server

from workflow_runtime.store.reads import Reader
from workflow_runtime.store.writes import Store
from workflow_runtime.testing.clock import FakeClock

OpenStore = Callable[..., Store]


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    return {"sqlite": f"sqlite:///{tmp_path / 'workflow.db'}"}[request.param]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def open_store(database: str, clock: FakeClock) -> Iterator[OpenStore]:
    """Opens the database under test as often as it is called."""
    opened: list[Store] = []
    tokens = random.Random(7)

    def open_one(url: str = database) -> Store:
        opened.append(Store.open(url, clock=clock.now, new_token=lambda: tokens.getrandbits(48), synchronous="NORMAL"))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture(scope="session")
def upgraded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with tables, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("upgraded") / "workflow.db"
    store = Store.open(f"sqlite:///{path}", clock=lambda: NOW, new_token=lambda: 1)
    store.upgrade()
    store.close()
    return path


@pytest.fixture
def store(open_store: OpenStore, upgraded_file: Path) -> Store:
    """With tables, and bound to the living incarnation ``me``."""
    store = open_store()
    if store.path is not None:
        shutil.copy(upgraded_file, store.path)
    store.upgrade()
    store.register(server("me"))
    store.bind("me")
    return store


@pytest.fixture
def reader(store: Store) -> Reader:
    return Reader(store)
