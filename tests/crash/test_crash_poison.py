"""A process that kills every server that executes it: it is parked, and does not take its neighbours with it."""

from __future__ import annotations

import signal
from pathlib import Path
from uuid import UUID

from crash_scheme import Crash, Trade

from workflow_runtime.core.process import ProcessStatus

POISON, NEIGHBOURS = UUID(int=1), [UUID(int=2), UUID(int=3)]
CAP = 5  #: max_recovery_attempts


def test_poison_is_parked_after_the_cap_and_the_neighbours_finish(crash: Crash, folder: Path) -> None:
    assert crash(folder, "poisoned") == -signal.SIGKILL
    ends = [-signal.SIGKILL]
    while ends[-1] == -signal.SIGKILL and len(ends) < 3 * CAP:
        ends.append(crash(folder, "recovery", policy="resume", phase=f"server {len(ends)}"))
    assert ends == [-signal.SIGKILL] * (1 + CAP) + [0]
    with Trade(folder, "last") as server:
        poison = server.runtime.get_process(POISON)
        decisions = [decision for report in server.runtime.get_recoveries() for decision in report.decisions]
        last = next(decision for decision in decisions if decision.process_id == POISON and decision.decided_by == "poison")
        assert (poison.status, poison.activity) == (ProcessStatus.TERMINATED, "Open")
        assert last.reason == f"poison: {CAP + 1} servers in a row died with Packing#1 in flight"
        assert sum(decision.decision == "resume" for decision in decisions if decision.process_id == POISON) == CAP
        assert [server.runtime.get_process(one).activity for one in NEIGHBOURS] == ["Waiting", "Waiting"]
        assert {decision.decision for decision in decisions if decision.process_id in NEIGHBOURS} == {"resume"}
        sent = [effect for effect in server.ledger.effects() if effect["process"] == str(NEIGHBOURS[0]) and effect["action"] == "Pick"]
        assert len(sent) == 2  # the step and the action, by the first server and by no other
