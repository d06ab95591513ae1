"""The databases under test. Another one joins by a name in ``DATABASES`` and its ``Places``; see databases.py."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import databases
import pytest
from factories import NOW, server

from workflow_runtime.store.reads import Reader
from workflow_runtime.store.writes import Store
from workflow_runtime.testing.clock import FakeClock

OpenStore = Callable[..., Store]

DATABASES = ("sqlite", "postgresql", "mysql")


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database: with tables for tests that ask for ``store``, else empty."""
    wants_tables = "store" in request.fixturenames
    if request.param == "sqlite":
        if wants_tables:
            shutil.copy(request.getfixturevalue("upgraded_file"), tmp_path / "workflow.db")
        return f"sqlite:///{tmp_path / 'workflow.db'}"
    places: databases.Places = request.getfixturevalue(request.param)
    return places.wiped() if wants_tables else places.empty()


@pytest.fixture(scope="session")
def upgraded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with tables, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("upgraded") / "workflow.db"
    databases.upgraded(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql() -> Iterator[databases.Places]:
    places = databases.postgres()
    yield places
    places.close()


@pytest.fixture(scope="session")
def mysql() -> Iterator[databases.Places]:
    places = databases.mysql()
    yield places
    places.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def open_store(database: str, clock: FakeClock) -> Iterator[OpenStore]:
    """Opens the database under test as often as it is called."""
    opened: list[Store] = []
    tokens = random.SystemRandom()  # not seeded: locks under keys that are drawn here are seen by all tests that share a server

    def open_one(url: str = database, **options: object) -> Store:
        given = {"clock": clock.now, "new_token": lambda: tokens.getrandbits(48), "synchronous": "NORMAL", **options}
        opened.append(Store.open(url, **given))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    """With tables, and bound to the living incarnation ``me``."""
    store = open_store()
    store.register(server("me"))
    store.bind("me")
    return store


@pytest.fixture
def reader(store: Store) -> Reader:
    return Reader(store)
