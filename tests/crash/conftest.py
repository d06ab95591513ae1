"""The program that dies, started once per test process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash_scheme import Crash

from workflow_runtime.runtime import WorkflowRuntime
from workflow_runtime.testing.clock import FakeClock


@pytest.fixture(scope="session")
def crash() -> Iterator[Crash]:
    worker = Path(__file__).with_name("crash_worker.py")
    with subprocess.Popen([sys.executable, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None

        def run(folder: Path, script: str, *, point: str = "", policy: str = "none", phase: str = "first") -> int:
            assert program.stdin is not None
            assert program.stdout is not None
            job = {"folder": str(folder), "script": script, "point": point, "policy": policy, "phase": phase}
            program.stdin.write(json.dumps(job) + "\n")
            program.stdin.flush()
            status: int = json.loads(program.stdout.readline())["status"]
            return status

        yield run
        program.stdin.close()


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
