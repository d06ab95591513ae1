"""Killed while the reaction to an execution timeout was not committed yet: the token is raised, and whoever goes on takes the reaction."""

from __future__ import annotations

import signal
from pathlib import Path
from uuid import UUID

import pytest
from crash_checks import Finished
from crash_scheme import Crash

from workflow_runtime.core.process import EntryKind, HistoryEntry, ProcessStatus
from workflow_runtime.runtime import WorkflowRuntime

#: point of the script ``deadlines`` -> (the process, where its walk leads, deadlines that had passed and were reacted to, given up)
POINTS = {
    "abandon.before:1": (1, "Sealed", 0, False),
    "abandon.after:1": (1, "Sealed", 0, True),
    "wait.after:1": (1, "Sealed", 1, False),
    "abandon.after:3": (2, "Sealed", 1, True),
    "abandon.before:4": (3, "Stamped", 0, False),
    "abandon.after:4": (3, "Stamped", 0, True),
}


@pytest.mark.parametrize("point", POINTS)
def test_what_is_found(crash: Crash, folder: Path, point: str) -> None:
    number, target, timeouts, given_up = POINTS[point]
    assert crash(folder, "deadlines", point=point) == -signal.SIGKILL
    finished = Finished(folder, "none").run()
    [found] = finished.found.values()
    assert found.walk is not None
    assert (found.id, found.activity, found.walk.activity, found.walk.timeouts) == (UUID(int=number), "Open", target, timeouts)
    assert found.walk.deadline is not None
    assert (found.last_error is not None) is (given_up or timeouts > 0)
    assert finished.decided[found.id].status is ProcessStatus.ERROR, "the status rule takes no reaction"


@pytest.mark.parametrize("point", POINTS)
def test_who_resumes_it_takes_the_reaction_and_begins_nothing_that_is_too_late(crash: Crash, folder: Path, point: str) -> None:
    number, target, timeouts, _ = POINTS[point]
    assert crash(folder, "deadlines", point=point) == -signal.SIGKILL
    finished = Finished(folder, "resume").run()
    stands = finished.decided[UUID(int=number)]
    entries = after_recovery(folder, stands.id)
    if timeouts == 1:  # it had been repeated once, and that was all
        assert (stands.status, stands.activity, entries[1].kind) == (ProcessStatus.ERROR, "Open", EntryKind.FAILED)
    elif target == "Sealed":
        assert (stands.status, stands.activity, entries[1].kind) == (ProcessStatus.IDLED, "Ready", EntryKind.RETRY)
        assert entries[1].reason == "the execution timeout repeats it, 1 of 1"
    else:
        assert (stands.status, stands.activity, entries[1].kind) == (ProcessStatus.IDLED, "Ready", EntryKind.FAILED)
        assert entries[2].reason == "the execution timeout"


def after_recovery(folder: Path, process_id: UUID) -> list[HistoryEntry]:
    """The history from the decision of recovery on."""
    with WorkflowRuntime(f"sqlite:///{folder}/workflow.db").as_client() as client:
        entries = list(client.get_history(process_id, limit=1000))
    decided = next(number for number, entry in enumerate(entries) if entry.kind is EntryKind.RECOVERED)
    return entries[decided:]
