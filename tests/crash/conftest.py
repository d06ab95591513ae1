"""The program that dies, started once per test process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "store"))

import databases
from crash_programs import Die, Program
from crash_scheme import Crash

from workflow_runtime.runtime import WorkflowRuntime
from workflow_runtime.testing.clock import FakeClock


@pytest.fixture(scope="session")
def told() -> Iterator[Callable[[dict[str, Any]], int]]:
    """Hands the program that forks one job; how that ended."""
    worker = Path(__file__).with_name("crash_worker.py")
    with subprocess.Popen([sys.executable, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None

        def run(job: dict[str, Any]) -> int:
            assert program.stdin is not None
            assert program.stdout is not None
            program.stdin.write(json.dumps(job) + "\n")
            program.stdin.flush()
            status: int = json.loads(program.stdout.readline())["status"]
            return status

        yield run
        program.stdin.close()


@pytest.fixture(scope="session")
def crash(told: Callable[[dict[str, Any]], int]) -> Crash:
    def run(folder: Path, script: str, *, point: str = "", policy: str = "none", phase: str = "first") -> int:
        return told({"folder": str(folder), "script": script, "point": point, "policy": policy, "phase": phase})

    return run


@pytest.fixture(scope="session")
def die(told: Callable[[dict[str, Any]], int]) -> Die:
    def run(folder: Path, program: Program, url: str, *, point: str = "", phase: str = "first") -> int:
        return told({"folder": str(folder), "program": program, "url": url, "point": point, "phase": phase})

    return run


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of this version, to copy: making one takes longer than the tests."""
    path = tmp_path_factory.mktemp("migrated") / "workflow.db"
    with WorkflowRuntime(f"sqlite:///{path}", clock=FakeClock()):
        pass
    return path


@pytest.fixture
def folder(tmp_path: Path, migrated: Path) -> Path:
    """Where the database, the ledger and the acknowledgements of one test lie."""
    shutil.copy(migrated, tmp_path / "workflow.db")
    return tmp_path


@pytest.fixture(scope="session")
def shared_places() -> Iterator[Callable[[str], databases.Places]]:
    """Of PostgreSQL and MariaDB, made when first asked for."""
    with databases.shared() as places:
        yield places


@pytest.fixture(params=["postgresql", "mysql"])
def shared_database(request: pytest.FixtureRequest, shared_places: Callable[[str], databases.Places]) -> str:
    """The URL of a database that several servers can share, with empty tables."""
    return shared_places(request.param).wiped()
