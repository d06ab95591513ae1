"""Fixtures of the engine's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench, workshop

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
