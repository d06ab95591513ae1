"""Where the cases of a recovery pass, or of its dry run, are prepared and decided. Nothing is written here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from workflow_runtime.core import arming, recovering
from workflow_runtime.core.process import Decision, Process, ProcessStatus, Timer, TimerKind
from workflow_runtime.core.recovering import Case, Ruling
from workflow_runtime.core.restoring import Death, DecisionKind, FinishedStep, InterruptedProcess, PlannedDecision, Server
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.core.stepping import Journal
from workflow_runtime.core.watching import Evidence
from workflow_runtime.engine import acting
from workflow_runtime.engine.asking import Panel, message_of, storable
from workflow_runtime.engine.bystander import Bystander
from workflow_runtime.engine.engine import Engine
from workflow_runtime.errors import RowUnreadable, SchemeError, SchemeNotFound, StoreUnavailable
from workflow_runtime.store.crowds import Crowd
from workflow_runtime.store.writes import UnreadableRow, orphan_cursor

PAGE = 500  #: orphans read, and default verdicts written one by one, in one transaction
CROWD_PAGE = 2_000  #: orphans read, and written where they are alike, in one transaction: some 50 ms in which a writer may have to wait


@dataclass(frozen=True, slots=True)
class Verdict:
    """About a crowd: the case of the first and the ruling that holds for all."""

    case: Case
    ruling: Ruling
    crowd: Crowd

    @property
    def owner(self) -> str | None:
        return self.case.owner


Item = Case | UnreadableRow | Verdict


class Desk:
    """Where cases are prepared and decided, for one pass or one plan."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.panel = Panel(engine.catalogue.restorers, timeout=engine.settings.restorer_timeout, limits=engine.limits)
        self._servers: dict[str, Server] = {}  #: of those who owned what was read
        self.set_aside: Counter[SchemeKey] = Counter()  #: orphans of versions that cannot be executed here

    def _know(self, owners: set[str]) -> None:
        """Their rows. Read with the first orphan, and again where a page shows an owner who died since."""
        if not all((known := self._servers.get(owner)) and known.dead_at for owner in owners):
            self._servers = {server.id: server for server in self.engine.store.servers()}

    def deaths_of(self, owners: set[str]) -> tuple[Death, ...]:
        """The dead among the owners that were met, the first to die first."""
        known = [Death.of(server) for owner in owners if (server := self._servers.get(owner)) is not None]
        return tuple(sorted((death for death in known if death is not None), key=lambda death: (death.declared_at, death.server)))

    def pages(self, *, crowds: bool = False) -> Iterator[list[Item]]:
        """Pages of orphans; with ``crowds`` those that are alike and need no asking come as one verdict."""
        if crowds:
            yield from self._pages_of_crowds()
        else:
            for page in self.cases():
                yield [*page]

    def cases(self) -> Iterator[list[Case | UnreadableRow]]:
        """Orphans, the oldest first, without what is in hand here and what this server cannot execute."""
        engine, after = self.engine, None
        nobody_lives = isinstance(engine.presence, Bystander) and engine.presence.nobody_lives()
        while rows := engine.store.orphans(me=engine.presence.incarnation, nobody_lives=nobody_lives, after=after, limit=PAGE):
            after = orphan_cursor(rows[-1])
            orphans = [row for row in rows if self._is_orphan(row)]
            self._know({row.owner for row in orphans if row.owner is not None})
            if page := list(self._prepared(orphans)):
                yield page
            if len(rows) < PAGE:
                return

    def _pages_of_crowds(self) -> Iterator[list[Item]]:
        engine, after = self.engine, None
        while True:
            found, after = engine.store.orphan_crowds(me=engine.presence.incarnation, after=after, limit=CROWD_PAGE)
            crowds = [row for row in found if isinstance(row, Crowd)]
            singles = [row for row in found if not isinstance(row, Crowd)]
            self._know({row.owner for row in singles if row.owner is not None} | {crowd.first.owner or "" for crowd in crowds})
            verdicts, others = self._of_crowds(crowds)
            if verdicts:
                yield [*verdicts]
            singles = sorted(filter(self._is_orphan, singles + others), key=_age)
            for start in range(0, len(singles), PAGE):
                if page := list(self._prepared(singles[start : start + PAGE])):
                    yield [*page]
            if after is None:
                return

    def _of_crowds(self, crowds: list[Crowd]) -> tuple[list[Verdict], list[Process | UnreadableRow]]:
        """Verdicts, and what must be looked at one by one after all."""
        verdicts: list[Verdict] = []
        others: list[Process | UnreadableRow] = []
        in_hand = self.engine.live.texts()
        for crowd in crowds:
            rest = crowd.without(in_hand & crowd.rows.keys())
            verdict = self._verdict(rest) if rest else None
            if verdict is not None:
                verdicts.append(verdict)
            elif rest:
                others += rest.spelled()
        return verdicts, others

    def _verdict(self, crowd: Crowd) -> Verdict | None:
        """None: somebody is asked, or the verdict hangs on what is each one's own."""
        if crowd.first.owner == self.engine.presence.incarnation:
            return None
        try:
            process = self.engine.attach(crowd.first)
            if self.engine.unbound(process.key) or arming.has_timers(process.pinned, process.activity):
                return None
            case = self._case(process, ())
            ruling = self.settled(case)
        except StoreUnavailable:
            raise
        except Exception:  # what it is will be told of each
            return None
        return Verdict(case, ruling, crowd) if ruling is not None else None

    def _is_orphan(self, row: Process | UnreadableRow) -> bool:
        """Of mine those that nobody works on. Since the page was read its work may have ended: then there is a newer revision."""
        if row.id in self.engine.live:
            return False
        if isinstance(row, UnreadableRow) or row.owner is None or row.owner != self.engine.presence.incarnation:
            return True
        with suppress(RowUnreadable):
            now = self.engine.store.load(row.id)
            return now is not None and now.revision == row.revision
        return False

    def _prepared(self, rows: list[Process | UnreadableRow]) -> Iterator[Case | UnreadableRow]:
        timers = self._timers([row.id for row in rows if not isinstance(row, UnreadableRow)])
        for row in rows:
            if isinstance(row, UnreadableRow):
                yield row
            elif (item := self._item(row, timers)) is not None:
                yield item

    def _timers(self, ids: list[UUID]) -> dict[UUID, tuple[Timer, ...]]:
        """Without those of a process that has a row which cannot be read."""
        try:
            return self.engine.store.timers_of(ids)
        except StoreUnavailable:
            raise
        except Exception:
            return {one: found for one in ids if len(ids) > 1 and (found := self._timers([one]).get(one)) is not None}

    def _item(self, process: Process, timers: Mapping[UUID, tuple[Timer, ...]]) -> Case | UnreadableRow | None:
        """One that cannot be prepared must not hide the others."""
        try:
            process = self.engine.attach(process)
            return None if self._is_foreign(process) else self._case(process, timers[process.id])
        except StoreUnavailable:
            raise
        except Exception as error:
            what = "timers" if isinstance(error, KeyError) else "scheme" if isinstance(error, (SchemeNotFound, SchemeError)) else "row"
            return damaged(process, f"the {what} of process {process.id} cannot be read: {message_of(error)}")

    def _is_foreign(self, process: Process) -> bool:
        """Whether this server lacks what the version needs: then it leaves it to others. A client only tells."""
        if missing := bool(self.engine.unbound(process.key)):
            self.set_aside[process.key] += 1
        return missing and not isinstance(self.engine.presence, Bystander)

    def notes(self) -> tuple[str, ...]:
        """One for each version that was met and cannot be executed here."""
        return tuple(self.note(key) for key in self.set_aside)

    def note(self, key: SchemeKey) -> str:
        names, number = ", ".join(map(repr, self.engine.unbound(key))), self.set_aside[key]
        left = "1 process is" if number == 1 else f"{number} processes are"
        return f"this program has no {names}, which scheme {key.code!r} needs: {left} left to a server that has"

    def _case(self, process: Process, rows: tuple[Timer, ...]) -> Case:
        names = frozenset(timer.name for timer in rows if timer.kind is TimerKind.TIMER)
        armed, nobody_died = self._armed(process, names), self._nobody_died(process.owner)
        return Case(process=process, owner=process.owner, timers=names, armed=armed, nobody_died=nobody_died)

    def _nobody_died(self, owner: str | None) -> bool:
        """An orphan of mine was lost, with a connection or by an error, while I live."""
        server = None if owner == self.engine.presence.incarnation else self._servers.get(owner or "")
        if server is None:
            return True  # without a row: it has taken leave, for the row of a dead one stays while it owns anything
        return server.draining or server.death == Evidence.RESTORE

    def _armed(self, process: Process, timers: frozenset[str]) -> tuple[Timer, ...]:
        now = self.engine.now()
        return arming.rearm(process, timers, self.engine.due_of(process, process.walk, now=now, quiet=True), now, process.walk)

    def adopted(self, case: Case, process: Process) -> Case:
        """The same case once the process is mine: some time may have passed."""
        return replace(case, process=process, armed=self._armed(process, case.timers))

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
        try:
            ruling = self._answer(case, self._evidence(case))
        except RowUnreadable as error:
            return recovering.by_damage(error.message)
        if ruling.status is not None:
            return ruling
        if objection := recovering.objection(case, ruling.decision, obstacle=acting.obstacle(self.engine, case.process).reason):
            return replace(recovering.by_rule(case, error=objection), decided_by=f"{ruling.decided_by}, then status rule")
        return ruling

    def _answer(self, case: Case, evidence: InterruptedProcess) -> Ruling:
        trouble = self.panel.trouble(case)
        if (restorer := self.panel.wanted_by(case)) is not None:
            decision, nonsense = self.panel.decision(restorer, evidence)
            if nonsense:
                return replace(recovering.by_rule(case, error=nonsense), decided_by=f"{restorer.name}, then status rule")
            return recovering.by_restorer(case, decision, restorer.name, error=trouble)
        policy = recovering.declared(case.process)
        return recovering.by_scheme(case, policy, error=trouble) if policy else recovering.by_rule(case, error=trouble)

    def _evidence(self, case: Case) -> InterruptedProcess:
        process, walk = case.process, case.process.walk
        entries = self.engine.store.journal(process.id, walk.id) if walk else ()
        return InterruptedProcess.of(
            process,
            preliminary_status=case.preliminary_status,
            interrupted=case.interruption,
            finished_steps=tuple(FinishedStep(entry.activity, entry.action, entry.step, entry.at) for entry in entries if not entry.intent),
            pending_parameters=Journal(entries).changes,
            server=self._servers.get(case.owner or ""),
        )

    # ------------------------------------------------------------------ records

    def record(self, case: Case, ruling: Ruling, recovery_id: str, now: datetime) -> Decision:
        """The decision row: what was decided, by whom, why, on what evidence."""
        process, interruption, decision = case.process, case.interruption, ruling.decision
        return Decision(
            recovery_id=recovery_id,
            process_id=process.id,
            scheme_code=process.scheme_code,
            decision=recovering.CANCEL if ruling.decided_by == recovering.CANCEL else decision.kind.value,
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

    def record_of_damage(self, row: UnreadableRow, process_id: UUID, recovery_id: str, now: datetime) -> Decision:
        """A row or scheme that cannot be read: Error with the cause, nobody is asked."""
        return Decision(
            recovery_id=recovery_id,
            process_id=process_id,
            scheme_code="",
            decision=DecisionKind.DEFAULT.value,
            decided_by="unreadable",
            reason=storable(row.cause.message),
            activity="",
            step="",
            status_before=ProcessStatus.RUNNING,
            status_after=ProcessStatus.ERROR,
            server=row.owner,
            at=now,
        )

    def planned(self, item: Case | UnreadableRow) -> PlannedDecision | None:
        """What would be decided now; None where not even the id can be read."""
        if isinstance(item, Case):
            return self._planned(item, self.settled(item) or self.ask(item))
        process_id, now = id_of(item), self.engine.now()
        return planned_of(self.record_of_damage(item, process_id, "", now)) if process_id else None

    def _planned(self, case: Case, ruling: Ruling) -> PlannedDecision:
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


def planned_of(record: Decision) -> PlannedDecision:
    """The plan for a row that cannot be read."""
    assert record.status_after is not None
    return PlannedDecision(
        process_id=record.process_id,
        scheme_code=record.scheme_code,
        activity=record.activity,
        step=record.step,
        preliminary_status=record.status_after,
        decision=DecisionKind(record.decision),
        decided_by=record.decided_by,
        reason=record.reason,
        status_after=record.status_after,
    )


def damaged(process: Process, cause: str) -> UnreadableRow:
    """A row that can be read and not be worked with."""
    created_at, text_id = orphan_cursor(process)
    unreadable = RowUnreadable(storable(cause), process_id=process.id)
    key = process.walk.key if process.walk else None
    place = (process.last_seq, process.activity, process.state, key)
    return UnreadableRow(text_id, process.owner, process.token, process.revision, created_at, unreadable, *place)


def _age(row: Process | UnreadableRow) -> tuple[bool, int, str]:
    """The oldest first; what has no moment that can be read goes last."""
    created_at, process_id = orphan_cursor(row)
    return (False, created_at, process_id) if type(created_at) is int else (True, 0, process_id)


def id_of(row: UnreadableRow) -> UUID | None:
    try:
        return UUID(row.id)
    except (ValueError, TypeError, AttributeError):
        return None


def _status_after(ruling: Ruling) -> ProcessStatus | None:
    if ruling.decision.kind is DecisionKind.DELETE:
        return None
    return ruling.status or ProcessStatus.RUNNING
