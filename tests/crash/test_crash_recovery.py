"""Killed while it recovers what another left: the next server decides each process once, and finishes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from uuid import UUID

import pytest
from crash_checks import Finished
from crash_scheme import Crash, Trade

from workflow_runtime.core.process import ProcessStatus

KINDS = {"resume": ("adopt", "verdict", "journal", "step", "arrive"), "rerun": ("adopt", "verdict"), "delete": ("adopt", "delete"), "none": ("verdict",)}
CASES = [
    (policy, f"{kind}.{moment}:{nth}")
    for policy, kinds in KINDS.items()
    for kind in kinds
    for moment in ("before", "after")
    for nth in ((1, 2, 3) if policy in ("resume", "none") else (1, 3))
]


@pytest.mark.parametrize(("policy", "count"), [("resume", {"adopt": 3, "verdict": 3}), ("delete", {"adopt": 3, "delete": 3}), ("none", {"verdict": 3})])
def test_the_points_that_a_recovery_passes(crash: Crash, folder: Path, policy: str, count: dict[str, int]) -> None:
    assert crash(folder, "left_behind") == -signal.SIGKILL
    assert crash(folder, "recovery", policy=policy, phase="second") == 0
    passed = json.loads((folder / "passed.json").read_text())
    for kind in ("adopt", "verdict", "delete"):
        assert passed.get(f"{kind}.before", 0) == passed.get(f"{kind}.after", 0) == count.get(kind, 0)


@pytest.mark.parametrize(("policy", "point"), CASES)
def test_killed_while_it_recovers(crash: Crash, folder: Path, policy: str, point: str) -> None:
    assert crash(folder, "left_behind") == -signal.SIGKILL
    assert crash(folder, "recovery", policy=policy, point=point, phase="second") == -signal.SIGKILL
    Finished(folder, policy).run()


@pytest.mark.parametrize("point", ["verdict.before:1", "verdict.before:3"])
def test_default_verdicts_stand_together_or_not_at_all(crash: Crash, folder: Path, point: str) -> None:
    crash(folder, "left_behind")
    assert crash(folder, "recovery", point=point, phase="second") == -signal.SIGKILL
    with Trade(folder, "last") as server:
        assert {process.status for process in server.runtime.find_processes()} == {ProcessStatus.RUNNING}
        assert server.runtime.recover().by_decision == {"default": 3}


def test_adopted_again_and_again_without_a_decision(crash: Crash, folder: Path) -> None:
    """A server that dies each time between adoption and decision: after five the status rule, nobody is asked."""
    crash(folder, "left_alone")
    ends = [crash(folder, "recovery", policy="resume", point="adopt.after:1", phase=f"again {number}") for number in range(7)]
    assert ends == [-signal.SIGKILL] * 6 + [0]
    with Trade(folder, "last") as server:
        [decision] = [decision for report in server.runtime.get_recoveries() for decision in report.decisions]
        assert (decision.decided_by, decision.reason) == ("status rule", "adopted 6 times without a decision")
        assert server.runtime.get_process(UUID(int=1)).status is ProcessStatus.ERROR
