"""Fixtures of the engine's tests."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "store"))

import databases
from bench import Bench, workshop
from overdue import Hanging

from workflow_runtime import WorkflowRuntime


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables and nothing in them: to copy it is much faster than to make it."""
    path = tmp_path_factory.mktemp("empty") / "workflow.db"
    WorkflowRuntime(f"sqlite:///{path}").upgrade_database()
    return path


@pytest.fixture
def bench(tmp_path: Path, empty_database: Path) -> Iterator[Bench]:
    shutil.copy(empty_database, tmp_path / "workflow.db")
    with workshop(tmp_path) as made:
        yield made


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Let go at the end, whatever becomes of the test."""
    made = Hanging()
    yield made
    made.let_go()


@pytest.fixture(scope="session")
def shared_places() -> Iterator[Callable[[str], databases.Places]]:
    """Of PostgreSQL and MariaDB, made when first asked for."""
    with databases.shared() as places:
        yield places


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Of ``any_database``."""
    return str(request.param)


@pytest.fixture
def any_database(kind: str, tmp_path: Path, empty_database: Path, shared_places: Callable[[str], databases.Places]) -> str:
    """The URL of a database with empty tables, on each kind in turn."""
    if kind != "sqlite":
        return shared_places(kind).wiped()
    shutil.copy(empty_database, tmp_path / "workflow.db")
    return f"sqlite:///{tmp_path / 'workflow.db'}"


@pytest.fixture(params=["postgresql", "mysql"])
def shared_database(request: pytest.FixtureRequest, shared_places: Callable[[str], databases.Places]) -> str:
    """The URL of a database that several servers can share, with empty tables."""
    return shared_places(request.param).wiped()
