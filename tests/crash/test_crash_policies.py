"""Every decision about a process that was killed in the middle: what it finds, and what becomes of it."""

from __future__ import annotations

import signal
from pathlib import Path
from uuid import UUID

import pytest
from crash_checks import Finished, expected_status
from crash_scheme import RESTORERS, Crash

from workflow_runtime.core.process import ProcessStatus

#: point of the script ``life`` -> (committed activity, where the walk leads, actions of it that are finished)
MIDDLES = {
    "create.after:1": ("", "Open", 0),
    "journal.after:1": ("", "Open", 1),
    "claim.after:1": ("Open", "Packing", 0),
    "journal.after:4": ("Open", "Packing", 1),
    "effect.after:16": ("Open", "Packing", 1),
    "journal.after:5": ("Open", "Packing", 2),
    "arrive.after:4": ("Checked", "Labelled", 0),
    "claim.after:2": ("Waiting", "Reminded", 0),
}
FEW = ("create.after:1", "journal.after:4", "claim.after:2")
POLICIES = ["none", *RESTORERS]


@pytest.mark.parametrize("point", MIDDLES)
def test_what_a_kill_leaves_and_what_the_status_rule_makes_of_it(crash: Crash, folder: Path, point: str) -> None:
    activity, target, step = MIDDLES[point]
    assert crash(folder, "life", point=point) == -signal.SIGKILL
    finished = Finished(folder, "none").run()
    [found] = finished.found.values()
    assert found.walk is not None
    assert (found.status, found.activity, found.walk.activity, found.walk.step) == (ProcessStatus.RUNNING, activity, target, step)
    assert finished.decided[found.id].status is expected_status(found)
    assert finished.decided[found.id].activity == activity
    assert finished.decided[found.id].walk == found.walk
    assert finished.timers[found.id] == []  # claimed and removed in one transaction
    assert finished.armed[found.id] == (["remind"] if activity == "Waiting" else [])


@pytest.mark.parametrize("point", FEW)
@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy(crash: Crash, folder: Path, policy: str, point: str) -> None:
    check_policy(crash, folder, policy, point)


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", [*MIDDLES, *(f"{kind}.{moment}:{nth}" for kind in ("step", "journal") for moment in ("before", "after") for nth in range(1, 8))]
)
@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy_everywhere(crash: Crash, folder: Path, policy: str, point: str) -> None:
    check_policy(crash, folder, policy, point)


def check_policy(crash: Crash, folder: Path, policy: str, point: str) -> None:
    assert crash(folder, "life", point=point) == -signal.SIGKILL
    finished = Finished(folder, policy).run()
    [found] = finished.found.values()
    assert finished.report is not None
    [made] = finished.report.by_decision
    if policy == "delete":
        assert (made, finished.decided) == ("delete", {})
        return
    stands = finished.decided[found.id]
    if policy == "none":
        assert (made, stands.status) == ("default", expected_status(found))
    elif policy == "jump":
        assert (made, stands.activity, stands.status) == ("run_from_new_activity", "Ready", ProcessStatus.IDLED)
    elif policy == "rerun":
        rests = {"": "Open", "Checked": "Waiting"}.get(found.activity, found.activity)  # Checked leads on by itself
        assert (made, stands.activity) == ("run_from_current_activity", rests)
        assert stands.status is ProcessStatus.IDLED
    else:
        assert found.walk is not None
        assert made == "resume"
        assert stands.activity == {"Open": "Open", "Packing": "Waiting", "Labelled": "Waiting", "Reminded": "Ready"}[found.walk.activity]
        assert stands.status is ProcessStatus.IDLED


def test_rerun_and_jump_are_new_work_with_new_keys(crash: Crash, folder: Path) -> None:
    crash(folder, "life", point="journal.after:1")
    finished = Finished(folder, "rerun").run()
    keys = [line.split('"')[7] for line in (folder / "effects.jsonl").read_text().splitlines() if '"Reserve"' in line and str(UUID(int=1)) in line]
    assert finished.found.keys() == {UUID(int=1)}
    assert len(keys) == len(set(keys)) == 4  # Reserve: its step and itself, before the crash and again
