"""An empty place on PostgreSQL for each test of several servers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "store"))

import databases


@pytest.fixture(scope="session")
def places() -> Iterator[databases.Places]:
    places = databases.postgres()
    yield places
    places.close()


@pytest.fixture
def url(places: databases.Places) -> str:
    """With tables and nothing in them."""
    return databases.upgraded(places.empty())
