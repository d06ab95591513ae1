"""What an import brings along, seen in a fresh interpreter: a host that only names our types pays for nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"alembic", "apscheduler", "click", "pluggy", "pydantic", "rich", "sqlalchemy", "transitions", "yaml"}


def brought_in(statement: str) -> set[str]:
    """The modules that the statement adds to those of an empty program."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before), file=sys.stderr)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stderr.split())


def packages(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


def test_importing_the_package_imports_two_modules_of_it() -> None:
    modules = brought_in("import workflow_runtime")
    assert {module for module in modules if module.startswith("workflow_runtime")} == {
        "workflow_runtime",
        "workflow_runtime.errors",
        "workflow_runtime.version",
    }
    assert packages(modules) - sys.stdlib_module_names == {"workflow_runtime"}
    assert not packages(modules) & {"asyncio", "email", "http", "logging", "socket", "sqlite3", "ssl", "unittest"}


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("from workflow_runtime import ProcessBusy, WorkflowError", set()),
        ("from workflow_runtime import IProcessRestorer, ProcessStatus, RestoreDecision", set()),
        ("from workflow_runtime import Registry", set()),
        ("from workflow_runtime import ErrorDecision, hookimpl", {"pluggy"}),
        ("from workflow_runtime import ProcessFilter", set()),
        ("import workflow_runtime.core.reading", set()),
    ],
)
def test_parts_cost_what_they_use(statement: str, allowed: set[str]) -> None:
    assert packages(brought_in(statement)) & HEAVY == allowed


def test_the_version_of_the_command_line_opens_no_database() -> None:
    assert packages(brought_in("from workflow_runtime.cli.running import run; run(['--version'])")) & HEAVY == {"click"}


def test_json_costs_no_yaml() -> None:
    read = "from workflow_runtime.core import reading; reading.read({!r}, code='Empty')"
    assert "yaml" not in packages(brought_in(read.format('{"activities": {"A": {"initial": true}}}')))
    assert "yaml" in packages(brought_in(read.format("activities: {A: {initial: true}}")))
