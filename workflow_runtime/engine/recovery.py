"""The pass: orphans -> adopt -> ask -> restore -> the same executor. And the plan: the same without a write.

Law: one process that cannot be decided never stops the others. Where nobody wants to decide, adoption and
verdict are one guarded write, many in one transaction; where somebody is asked, one process per transaction
and none open while a restorer thinks. Work that follows waits for a free worker.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from workflow_runtime.core import recovering
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import Change, Decision, Process, ProcessStatus
from workflow_runtime.core.recovering import Case, Ruling
from workflow_runtime.core.restoring import (
    PlannedDecision,
    RecoveryPlan,
    RecoveryReport,
)
from workflow_runtime.engine.desk import Desk
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.executor import Executor
from workflow_runtime.engine.run import error_info
from workflow_runtime.engine.workers import Workers
from workflow_runtime.errors import ExecutionError, Fenced
from workflow_runtime.store.writes import Outcome, UnreadableRow

log = logging.getLogger("workflow_runtime.recovery")

PAGE = 500  #: orphans read, and default verdicts written, at once


@dataclass(slots=True, kw_only=True)
class Tally:
    """The counts of one pass; becomes its report."""

    report: RecoveryReport
    owned: int = 0
    skipped: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    adopted_at: datetime | None = None
    first_progress_at: datetime | None = None

    def decided(self, decision: str, now: datetime) -> None:
        self.decisions[decision] += 1
        self.first_progress_at = self.first_progress_at or now

    def result(self, ended_at: datetime | None) -> RecoveryReport:
        return replace(
            self.report,
            owned=self.owned,
            decided=self.decisions.total(),
            skipped=self.skipped,
            by_decision=FrozenDict(self.decisions),
            adopted_at=self.adopted_at,
            first_progress_at=self.first_progress_at,
            ended_at=ended_at,
        )


class Recovery:
    """One per started runtime. Passes never overlap: ``run`` joins the one that is under way."""

    def __init__(self, engine: Engine, executor: Executor, workers: Workers) -> None:
        self.engine, self.executor, self.workers = engine, executor, workers
        self._pass = threading.Lock()

    # ------------------------------------------------------------------ the pass

    def run(self, cause: str) -> RecoveryReport | None:
        """Decides every orphan there is; None where there was none. Returns when all are decided."""
        with self._pass:
            desk = Desk(self.engine)
            tally: Tally | None = None
            for page in desk.pages():
                tally = tally or self._open(cause, desk)
                self._decide(page, desk, tally)
            return self._close(tally) if tally else None

    def _open(self, cause: str, desk: Desk) -> Tally:
        report = RecoveryReport(
            id=self.engine.new_id(),
            cause=cause,
            server=self.engine.me,
            dead_servers=FrozenDict({server.id: server.last_beat_at for server in desk.servers.values() if server.dead_at is not None}),
            noticed_at=self.engine.now(),
        )
        self.engine.store.open_recovery(report)
        return Tally(report=report)

    def _close(self, tally: Tally) -> RecoveryReport:
        report = tally.result(self.engine.now())
        self.engine.store.update_recovery(report)
        log.info("recovery %s: %d owned, %d decided %s", report.id[:8], report.owned, report.decided, dict(report.by_decision))
        return report

    def _decide(self, page: list[Process | UnreadableRow], desk: Desk, tally: Tally) -> None:
        tally.owned += len(page)
        asked: list[Case] = []
        settled: list[tuple[Change, Decision]] = []
        for case in desk.cases(page, partial(self._unreadable, tally)):
            ruling = desk.settled(case)
            if ruling is None:
                asked.append(case)
            else:
                settled.append(self._verdict(case, ruling, desk, tally))
        self._write(settled, tally)
        for case in asked:
            self._ask(case, desk, tally)

    def _verdict(self, case: Case, ruling: Ruling, desk: Desk, tally: Tally) -> tuple[Change, Decision]:
        now = self.engine.now()
        record = desk.record(case, ruling, tally.report.id, now)
        return recovering.carry_out(case, ruling, record, walk_id=self.engine.new_id(), owner=self.engine.me, now=now), record

    def _write(self, settled: list[tuple[Change, Decision]], tally: Tally) -> None:
        """Verdicts that nobody was asked about: one transaction, each row guarded."""
        if not settled:
            return
        outcomes = self.engine.store.apply_all([change for change, _ in settled])
        tally.adopted_at = tally.adopted_at or self.engine.now()
        for (change, record), applied in zip(settled, outcomes, strict=True):
            if applied.outcome is Outcome.APPLIED:
                self._tell(change, record, tally)
            else:
                tally.skipped += 1

    def _ask(self, case: Case, desk: Desk, tally: Tally) -> None:
        """Adopts one process, has it decided, and hands what goes on to a worker. Registered before it is mine."""
        engine, process = self.engine, case.process
        engine.live.take(process.id)
        handed_over = False
        try:
            adoption = recovering.adopt(process, owner=engine.me, now=engine.now())
            if engine.store.apply(adoption).outcome is not Outcome.APPLIED:
                tally.skipped += 1
                return
            tally.adopted_at = tally.adopted_at or engine.now()
            case = replace(case, process=adoption.result)
            change, record = self._verdict(case, desk.ask(case), desk, tally)
            if engine.store.apply(change).outcome is not Outcome.APPLIED:
                tally.skipped += 1
                return
            self._tell(change, record, tally)
            handed_over = change.after is not None and change.after.owner is not None and self._hand_over(change.result)
        except Exception as error:  # one process never stops the others; its row is mine and found again
            log.exception("process %s could not be decided: %s", process.id, error)
        finally:
            if not handed_over:
                engine.live.drop(process.id)

    def _hand_over(self, process: Process) -> bool:
        work = partial(self._go_on, process)
        suspect = process.deaths >= recovering.SUSPECT_DEATHS
        return self.workers.submit_suspect(work) if suspect else self.workers.submit(work)

    def _go_on(self, process: Process) -> None:
        try:
            self.executor.go_on(process)
        except (ExecutionError, Fenced) as error:
            log.warning("recovered process %s: %s", process.id, error)
        finally:
            self.engine.live.drop(process.id)

    def _tell(self, change: Change, record: Decision, tally: Tally) -> None:
        tally.decided(record.decision, record.at)
        self.engine.tell(change)
        process = change.result if change.after is not None else change.before
        self.engine.notify("process_recovered", process=process, decision=record)

    def _unreadable(self, tally: Tally, row: UnreadableRow) -> None:
        """A row or scheme that cannot be read: Error with the cause, nobody is asked."""
        now = self.engine.now()
        record = Decision(
            recovery_id=tally.report.id,
            process_id=UUID(row.id),
            scheme_code="",
            decision="default",
            decided_by="unreadable",
            reason=str(row.cause),
            activity="",
            step="",
            status_before=ProcessStatus.RUNNING,
            status_after=ProcessStatus.ERROR,
            server=row.owner,
            at=now,
        )
        if self.engine.store.mark_unreadable(row, error_info(row.cause), record):
            tally.decided(record.decision, now)
        else:
            tally.skipped += 1

    # ------------------------------------------------------------------ the plan

    def plan(self) -> RecoveryPlan:
        """What ``run`` would do now and why; asks restorers, changes nothing."""
        return plan(self.engine)


def plan(engine: Engine) -> RecoveryPlan:
    """The dry run, also for a client: it asks the restorers it has, and says so when it has none."""
    desk = Desk(engine)
    planned: list[PlannedDecision] = []
    notes = [] if engine.catalogue.restorers else ["this program has no restorers of its own: a server with plugins may decide otherwise"]
    for page in desk.pages():
        for case in desk.cases(page, lambda row: notes.append(str(row.cause))):
            planned.append(desk.planned(case, desk.settled(case) or desk.ask(case)))
    return RecoveryPlan(decisions=tuple(planned), notes=tuple(notes))
