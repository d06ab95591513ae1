"""Killed at every commit, before and after it, and after every effect: another server finishes, nothing is lost or doubled.

The interrupted processes are resumed here; see test_crash_policies.py for the other decisions.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from crash_checks import Finished
from crash_scheme import Crash

from workflow_runtime.testing.crash import POINTS

#: how often each script passes each kind of commit; a script that changes changes this table
LIFE = {"create": 3, "claim": 3, "journal": 7, "intent": 1, "step": 15, "arrive": 10, "refuse": 3}
VERBS = {"cancel": 3, "delete": 3, "operate": 5, "fail": 3, "wait": 2, "release": 1}
DEADLINES = {"abandon": 4, "wait": 2, "fail": 1}
RECOVERY = {"adopt": 3, "verdict": 3}
NTH = 3
SCRIPTS = [("life", LIFE), ("verbs", VERBS), ("deadlines", DEADLINES)]

CASES = [
    (script, f"{kind}.{moment}:{nth}")
    for script, kinds in SCRIPTS
    for kind, count in kinds.items()
    for moment in ("before", "after")
    for nth in range(1, min(count, NTH) + 1)
] + [("life", f"effect.{moment}:{nth}") for moment in ("before", "after") for nth in range(1, 5)]


def test_every_point_is_in_the_matrix() -> None:
    tested = {point.partition(":")[0] for _, point in CASES} | {f"{kind}.{moment}" for kind in RECOVERY for moment in ("before", "after")}
    assert tested == set(POINTS)


@pytest.mark.parametrize(("script", "kinds"), SCRIPTS)
def test_the_scripts_pass_what_the_matrix_says(crash: Crash, folder: Path, script: str, kinds: dict[str, int]) -> None:
    assert crash(folder, script) == 0
    passed = json.loads((folder / "passed.json").read_text())
    assert {kind: passed[f"{kind}.before"] for kind in kinds} == {kind: passed[f"{kind}.after"] for kind in kinds} == kinds
    Finished(folder, "none").run()


@pytest.mark.parametrize(("script", "point"), CASES)
def test_killed_and_resumed(crash: Crash, folder: Path, script: str, point: str) -> None:
    assert crash(folder, script, point=point) == -signal.SIGKILL
    Finished(folder, "resume").run()
