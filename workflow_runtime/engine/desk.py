"""Where the cases of a recovery pass, or of its dry run, are prepared and decided. Nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial

from workflow_runtime.core import recovering, rules
from workflow_runtime.core.process import Decision, Process, ProcessStatus, Timer, TimerKind
from workflow_runtime.core.recovering import Case, Ruling
from workflow_runtime.core.restoring import DecisionKind, FinishedStep, InterruptedProcess, PlannedDecision, Server
from workflow_runtime.engine.asking import Panel
from workflow_runtime.engine.bystander import Bystander
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.steps import Journal
from workflow_runtime.errors import RowUnreadable, SchemeError, SchemeNotFound
from workflow_runtime.store.writes import UnreadableRow, orphan_cursor

PAGE = 500  #: orphans read, and default verdicts written, at once


class Desk:
    """Where cases are prepared and decided, for one pass or one plan."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.panel = Panel(engine.catalogue.restorers, timeout=engine.settings.restorer_timeout)
        self.servers: dict[str, Server] = {server.id: server for server in engine.store.servers()}

    def pages(self) -> Iterator[list[Process | UnreadableRow]]:
        """Orphans, oldest first, without what is in hand here and what this server cannot execute."""
        engine, after = self.engine, None
        nobody_lives = isinstance(engine.presence, Bystander) and engine.presence.nobody_lives()
        while rows := engine.store.orphans(me=engine.presence.incarnation, nobody_lives=nobody_lives, after=after, limit=PAGE):
            after = orphan_cursor(rows[-1])
            if page := [row for row in rows if row.id not in engine.live]:
                yield page
            if len(rows) < PAGE:
                return

    def cases(self, page: list[Process | UnreadableRow], unreadable: Callable[[UnreadableRow], None]) -> Iterator[Case]:
        """What of a page can be decided here; rows that cannot be read are handed to ``unreadable``."""
        readable = [row for row in page if not isinstance(row, UnreadableRow)]
        timers = self.engine.store.timers_of([process.id for process in readable])
        for row in page:
            if isinstance(row, UnreadableRow):
                unreadable(row)
            elif (process := self._attached(row, unreadable)) and not self.engine.unbound(process.key):
                yield self._case(process, timers[process.id])

    def _attached(self, process: Process, unreadable: Callable[[UnreadableRow], None]) -> Process | None:
        try:
            return self.engine.attach(process)
        except (SchemeNotFound, SchemeError) as error:
            cause = RowUnreadable(f"the scheme of process {process.id} cannot be read: {error}", process_id=process.id)
            updated_at, text_id = orphan_cursor(process)
            unreadable(UnreadableRow(text_id, process.owner, process.token, process.revision, updated_at, cause))
            return None

    def _case(self, process: Process, rows: tuple[Timer, ...]) -> Case:
        now = self.engine.now()
        names = frozenset(timer.name for timer in rows if timer.kind is TimerKind.TIMER)
        due_of = self.engine.due_of(process, process.walk, now=now, quiet=True)
        armed = rules.rearm(process, names, due_of, now)
        server = self.servers.get(process.owner or "")
        return Case(process=process, owner=process.owner, timers=names, armed=armed, drained=server is not None and server.draining)

    def settled(self, case: Case) -> Ruling | None:
        """What can be decided without asking; None: adopt first, then ``ask``."""
        ruling = recovering.unasked(case, max_attempts=self.engine.settings.max_recovery_attempts)
        if ruling is not None:
            return ruling
        if recovering.declared(case.process) is not None or self.panel.wanted_by(case):
            return None
        return recovering.by_rule(case, error=self.panel.trouble(case))

    def ask(self, case: Case) -> Ruling:
        """The restorer that wants it, else the scheme, else the rule; what cannot be carried out becomes the rule."""
        ruling = self._answer(case)
        if ruling.status is not None:
            return ruling
        if objection := recovering.objection(case, ruling.decision, resumable=self._resumable(case)):
            return replace(recovering.by_rule(case, error=objection), decided_by=f"{ruling.decided_by}, then status rule")
        return ruling

    def _answer(self, case: Case) -> Ruling:
        evidence = partial(self._evidence, case)
        if (restorer := self.panel.wanted_by(case)) is not None:
            decision, trouble = self.panel.decision(restorer, evidence)
            if trouble:
                return replace(recovering.by_rule(case, error=trouble), decided_by=f"{restorer.name}, then status rule")
            return recovering.by_restorer(case, decision, restorer.name)
        policy = recovering.declared(case.process)
        trouble = self.panel.trouble(case)
        return recovering.by_scheme(case, policy, error=trouble) if policy else recovering.by_rule(case, error=trouble)

    def _resumable(self, case: Case) -> bool:
        """Whether the action in flight may be started again by a resume: the scheme's word, else the registration's."""
        action = recovering.action_in_flight(case.process)
        if action is None or action.resumable is not None:
            return action is None or bool(action.resumable)
        spec = self.engine.catalogue.actions.get(action.name)
        return spec is None or spec.resumable

    def _evidence(self, case: Case) -> InterruptedProcess:
        process, walk = case.process, case.process.walk
        entries = self.engine.store.journal(process.id, walk.id) if walk else ()
        return InterruptedProcess.of(
            process,
            preliminary_status=case.preliminary_status,
            interrupted=case.interruption,
            finished_steps=tuple(FinishedStep(entry.activity, entry.action, entry.step, entry.at) for entry in entries),
            pending_parameters=Journal(entries).changes,
            server=self.servers.get(case.owner or ""),
        )

    # ------------------------------------------------------------------ records

    def record(self, case: Case, ruling: Ruling, recovery_id: str, now: datetime) -> Decision:
        """The decision row: what was decided, by whom, why, on what evidence."""
        process, interruption, decision = case.process, case.interruption, ruling.decision
        return Decision(
            recovery_id=recovery_id,
            process_id=process.id,
            scheme_code=process.scheme_code,
            decision=decision.kind,
            decided_by=ruling.decided_by,
            reason=decision.reason or f"{ruling.decided_by} gave no reason",
            activity=interruption.activity if interruption else process.activity,
            step=interruption.action if interruption else "",
            status_before=process.status,
            status_after=_status_after(ruling),
            evidence=decision.evidence,
            error=ruling.error,
            server=case.owner,
            at=now,
        )

    def planned(self, case: Case, ruling: Ruling) -> PlannedDecision:
        record = self.record(case, ruling, "", self.engine.now())
        return PlannedDecision(
            process_id=record.process_id,
            scheme_code=record.scheme_code,
            activity=record.activity,
            step=record.step,
            preliminary_status=case.preliminary_status,
            decision=ruling.decision.kind,
            target=ruling.decision.activity,
            decided_by=record.decided_by,
            reason=record.reason,
            status_after=record.status_after,
            error=record.error,
        )


def _status_after(ruling: Ruling) -> ProcessStatus | None:
    if ruling.decision.kind is DecisionKind.DELETE:
        return None
    return ruling.status or ProcessStatus.RUNNING
