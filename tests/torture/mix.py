"""A whole run: three servers, clients and a nemesis, all from one seed; then peace, and the evidence is checked."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients import Clients
from counts import Counts, count, late_sends
from evidence import Run
from invariants import Violation, check
from nemesis import SERVERS, Nemesis
from own_postgres import RestartingPostgres
from supervisor import Supervisor

WITNESSES = 20  #: violations that the report shows
POLICIES = {"resume": 65, "delete": 5, "rerun": 5, "jump": 5, "default": 5, "raise": 5, "hang": 5, "garbage": 5}
#: shares of the answers of the receiver
LOST, LATE = 0.02, 0.05


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run came to; it counts only where nothing is lacking."""

    seed: int
    seconds: float
    counts: Counts
    violations: list[Violation] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    run: Run

    @property
    def passed(self) -> bool:
        return not self.violations and not self.lacking

    def report(self) -> dict[str, Any]:
        faults = [event.kind for event in self.run.events]
        return {
            "seed": self.seed,
            "seconds": self.seconds,
            "passed": self.passed,
            "counts": self.counts.to_dict(),
            "events": {kind: faults.count(kind) for kind in sorted(set(faults))},
            "violations": len(self.violations),
            "witnesses": [str(violation) for violation in self.violations[:WITNESSES]],
            "lacking": self.lacking,
            "late sends": list(late_sends(self.run))[:WITNESSES],
            "replay": f"python tests/torture/run.py --seed {self.seed} --seconds {self.seconds:g}",
        }


def least(seconds: float) -> Counts:
    """What must have happened in a run of this length. Every restorer is asked for only in a run that is long enough."""
    times = max(1, int(seconds / 30))
    policies = dict.fromkeys(POLICIES, 1) if seconds >= 120 else {"resume": 1}
    return Counts(created=20 * times, killed=times, recovered=5 * times, late=times, landed=times, missed=times, fired=10 * times, policies=policies)


def torture(supervisor: Supervisor, *, seed: int, seconds: float, postgres: RestartingPostgres | None = None) -> Outcome:
    """``supervisor`` has proxies. Its servers are started here, and have left at the end."""
    chance = random.Random(seed)
    supervisor.tell_receiver("chaos", seed=seed, lost=LOST, late=LATE)
    supervisor.start_all(SERVERS)
    clients = Clients(supervisor, random.Random(chance.random()), POLICIES, most=30, total=100_000).start()
    Nemesis(supervisor, random.Random(chance.random()), postgres=postgres).run(seconds, least(seconds))
    clients.finish()
    supervisor.quiesce()
    run = supervisor.settle(clients.turn)
    counts = count(run)
    return Outcome(seed=seed, seconds=seconds, counts=counts, violations=check(run), lacking=counts.lacking(least(seconds)), run=run)


def write_report(outcome: Outcome, folder: Path) -> Path:
    path = folder / "report.json"
    path.write_text(json.dumps(outcome.report(), indent=2) + "\n")
    return path
