"""The import contracts of setup.cfg hold, and each of them notices what it is there for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("workflow_runtime", "plugins")
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120)


def broken(output: str) -> list[str]:
    """The names of the contracts that do not hold."""
    verdicts = " ".join(output.split("dependencies.")[-1].split("Contracts:")[0].split()).lstrip("- ")
    return [name for name, verdict in re.findall(r"(.+?) (KEPT|BROKEN)(?: \(\d+ ignored imports?\))?\s*", verdicts) if verdict == "BROKEN"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the contracts look at."""
    copy = tmp_path_factory.mktemp("house")
    for part in PARTS:
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", copy)
    return copy


@pytest.fixture(scope="module")
def broken_before(house: Path) -> list[str]:
    """Normally none; one that is broken for another reason must not hide what these tests are about."""
    return broken(lint(house).stdout)


@pytest.fixture
def plant(house: Path) -> Iterator[list[tuple[Path, str]]]:
    """What was planted is taken out again."""
    planted: list[tuple[Path, str]] = []
    yield planted
    for path, before in planted:
        path.write_text(before)


def test_the_contracts_hold() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, f"{result.stdout}{result.stderr}\nmove the import, or the code that needs it, to the room where it belongs"


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("workflow_runtime/core/frozen.py", "from workflow_runtime.store import tables", "Floors"),
        ("workflow_runtime/store/rows.py", "from workflow_runtime import hooks", "Floors"),
        ("workflow_runtime/runtime/given.py", "from workflow_runtime.testing import clock", "Floors"),
        ("workflow_runtime/core/scheme.py", "from workflow_runtime.core import rules", "No import circles"),
        ("workflow_runtime/core/timing.py", "import time", "core decides"),
        ("workflow_runtime/core/rules.py", "import logging", "core decides"),
        ("workflow_runtime/store/writes.py", "from workflow_runtime.core import rules", "store remembers"),
        ("workflow_runtime/store/rows.py", "from workflow_runtime import registry", "store remembers"),
        ("workflow_runtime/catalogue.py", "from workflow_runtime.store import writes", "Names and plugins"),
        ("workflow_runtime/cli/__init__.py", "from workflow_runtime.core import rules", "The command line"),
        ("plugins/restorers.py", "from workflow_runtime.engine import executor", "The plugins"),
        ("workflow_runtime/engine/run.py", "import sqlalchemy", "SQLAlchemy and Alembic"),
        ("workflow_runtime/engine/timers.py", "import apscheduler", "APScheduler"),
        ("workflow_runtime/catalogue.py", "import pluggy", "pluggy"),
        ("workflow_runtime/core/rules.py", "import transitions", "transitions"),
        ("workflow_runtime/core/scheme.py", "import pydantic", "pydantic and PyYAML"),
        ("workflow_runtime/runtime/sources.py", "import yaml", "pydantic and PyYAML"),
        ("workflow_runtime/engine/recovery.py", "import click", "click and rich"),
    ],
)
def test_a_wrong_import_breaks_exactly_one_contract(
    house: Path, broken_before: list[str], plant: list[tuple[Path, str]], file: str, line: str, contract: str
) -> None:
    path = house / file
    before = path.read_text()
    plant.append((path, before))
    path.write_text(f"{before}\n{line}\n")
    found = [name for name in broken(lint(house).stdout) if name not in broken_before or name.startswith(contract)]
    assert len(found) == 1, found
    assert found[0].startswith(contract)


def test_a_module_without_a_floor_is_noticed(house: Path, broken_before: list[str]) -> None:
    stray = house / "workflow_runtime" / "stray.py"
    stray.touch()
    try:
        assert [name.split(":")[0] for name in broken(lint(house).stdout) if name not in broken_before] == ["Floors"]
    finally:
        stray.unlink()
