"""The database and the program that forks servers, one of each per test process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "store"))

import databases
from beginning import Begin
from programs import Nursery
from supervisor import Supervisor


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def places() -> Iterator[dict[str, databases.Places]]:
    """Those that were asked for, by the name of their database."""
    opened: dict[str, databases.Places] = {}
    yield opened
    for each in opened.values():
        each.close()


@pytest.fixture
def place(request: pytest.FixtureRequest, places: dict[str, databases.Places]) -> databases.Places:
    """On PostgreSQL, unless a test says where; see beginning.py."""
    name = getattr(request, "param", "postgresql")
    if name not in places:
        places[name] = databases.postgres() if name == "postgresql" else databases.mysql()
    return places[name]


@pytest.fixture
def begin(nursery: Nursery, place: databases.Places, tmp_path: Path) -> Iterator[Begin]:
    """Begins a run over an empty place."""
    with ExitStack() as ended:

        def begin_one(url: str | None = None, **options: Any) -> Supervisor:
            return ended.enter_context(Supervisor(databases.upgraded(url or place.empty()), tmp_path, nursery, **options))

        yield begin_one
