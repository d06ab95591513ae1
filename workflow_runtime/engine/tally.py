"""What one pass of recovery has found and done so far, and the report that becomes of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import Change, Decision
from workflow_runtime.core.recovering import Case
from workflow_runtime.core.restoring import RecoveryReport
from workflow_runtime.engine.desk import Desk, Item, Verdict
from workflow_runtime.store.writes import Outcome

Settled = tuple[Change, Decision]


@dataclass(slots=True, kw_only=True)
class Tally:
    """The counts of one pass; becomes its report."""

    report: RecoveryReport
    desk: Desk
    asked: list[Case] = field(default_factory=list)
    untold: list[Settled] = field(default_factory=list)  #: written, and no listener has heard of it
    damaged: list[Decision] = field(default_factory=list)  #: the same of what cannot be read
    is_heard: bool = True  #: anybody listens; else memory would hold every verdict of a pass for nobody
    nudges: bool = False  #: something was written of which the alarm clock has not heard
    owners: set[str] = field(default_factory=set)
    owned: int = 0
    skipped: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    adopted_at: datetime | None = None
    first_progress_at: datetime | None = None

    def found(self, page: list[Item]) -> None:
        self.owned += sum(len(item.crowd.rows) if isinstance(item, Verdict) else 1 for item in page)
        self.owners.update(owner for item in page if (owner := item.owner) is not None)

    def decided(self, decision: str, now: datetime, number: int = 1) -> None:
        self.decisions[decision] += number
        self.first_progress_at = self.first_progress_at or now

    def written(self, record: Decision, outcome: Outcome) -> bool:
        """Whether the verdict is; else another server was first."""
        if outcome is Outcome.APPLIED:
            self.decided(record.decision, record.at)
        else:
            self.skipped += 1
        return outcome is Outcome.APPLIED

    def result(self, ended_at: datetime | None) -> RecoveryReport:
        deaths = self.desk.deaths_of(self.owners)
        noticed = [moment for moment in (self.report.noticed_at, *(death.declared_at for death in deaths)) if moment is not None]
        return replace(
            self.report,
            deaths=deaths,
            noticed_at=min(noticed, default=None),
            owned=self.owned + self.desk.set_aside.total(),
            decided=self.decisions.total(),
            skipped=self.skipped + self.desk.set_aside.total(),
            by_decision=FrozenDict(self.decisions),
            adopted_at=self.adopted_at,
            first_progress_at=self.first_progress_at,
            ended_at=ended_at,
            notes=self.desk.notes(),
        )
