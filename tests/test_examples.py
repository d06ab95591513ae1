"""The examples run as they are written, from a folder like the repository's."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

EXPECTED = {
    "vacation.py": ["['StartSigning']", "mail to manager about 3 days"],
    "crash_and_resume.py": [
        "order 4711 is charged",
        "the first server died with exit code 9",
        "order 4711 is packed",
        "recovery: resume by Resume(Shipment), status after: Running",
        "the process is Finalized at Done; charges in the ledger: 1",
    ],
}


def test_every_example_is_run() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_prints_what_it_promises(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copytree(ROOT / "schemes", tmp_path / "schemes")
    result = subprocess.run([sys.executable, f"examples/{name}"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == EXPECTED[name]


def test_the_vacation_example_stands_in_the_reference() -> None:
    program = (ROOT / "examples" / "vacation.py").read_text()
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "reference" / "api.md").read_text(), re.DOTALL)
    assert program in blocks
