"""What becomes of a process that a server left in Running.

Law: a recovered process is adopted first, with a new token; its decision, the reason and the evidence are
rows of the same transaction as its new status.

=======================  ==================================================================================
situation                what becomes true
=======================  ==================================================================================
cancel was requested     Terminated with the reason of the request; nobody is asked
poison                   more than ``max_recovery_attempts`` deaths in a row at one step: Terminated
adopted too often        more than 5 adoptions without a decision: the status rule
a restorer decides       what it decided, if the scheme and the walk allow it, else the status rule
the scheme declares      the nearest of action, activity, process
nobody                   the status rule
=======================  ==================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from workflow_runtime.core import entries, expiring, rules
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import (
    Change,
    ChangeKind,
    Decision,
    EntryKind,
    HistoryEntry,
    Parameters,
    Process,
    ProcessStatus,
    Timer,
    Trigger,
    TriggerKind,
    Walk,
)
from workflow_runtime.core.restoring import DecisionKind, Interruption, RestoreDecision
from workflow_runtime.core.scheme_elements import ActionRef, Recovery
from workflow_runtime.core.scheme_words import RecoveryKind

CANCEL = "cancel"  #: who decides where a person had asked for the end
MOST_ADOPTIONS = 5  #: without a decision between them
SUSPECT_DEATHS = 2  #: from here on a server executes one such process at a time, until it got past that step

DECLARED = {
    RecoveryKind.ERROR: DecisionKind.DEFAULT,
    RecoveryKind.TERMINATED: DecisionKind.DEFAULT,
    RecoveryKind.RESUME: DecisionKind.RESUME,
    RecoveryKind.RERUN: DecisionKind.RERUN,
    RecoveryKind.DELETE: DecisionKind.DELETE,
    RecoveryKind.ACTIVITY: DecisionKind.JUMP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A decision ready to be carried out; ``status`` is where it comes to rest, None where it goes on or goes away."""

    decision: RestoreDecision
    decided_by: str
    status: ProcessStatus | None = None
    error: str = ""  #: why another answer was not taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that the rules need to know about one orphan."""

    process: Process
    owner: str | None  #: who had it when it was found
    timers: frozenset[str]  #: names of its timer rows
    armed: tuple[Timer, ...]  #: rows that a verdict would add
    nobody_died: bool = False  #: its server lives (it is this one), was shutting down or had taken leave: no death is counted

    @property
    def preliminary_status(self) -> ProcessStatus:
        names = {*self.timers, *(timer.name for timer in self.armed)}
        return rules.broken_status(self.process.pinned, self.process.activity, names)

    @property
    def interruption(self) -> Interruption | None:
        walk = self.process.walk
        if walk is None:
            return None
        action = action_in_flight(self.process)
        return Interruption(walk.transition, walk.activity, action.name if action else "", walk.step)

    @property
    def deaths(self) -> int:
        """Deaths in a row at the step in flight, this one included."""
        earlier = self.process.deaths if self.process.deaths_step == self.step else 0
        return earlier if self.nobody_died else earlier + 1

    @property
    def step(self) -> str:
        walk = self.process.walk
        return rules.step_name(walk.activity, walk.step) if walk else ""


def clears(change: Change) -> bool:
    """Whether a process that servers died with has got past the step that they died with."""
    return change.before is not None and change.before.deaths >= SUSPECT_DEATHS and change.after is not None and change.result.deaths == 0


def action_in_flight(process: Process) -> ActionRef | None:
    """The first action of the walk that has no journal row."""
    walk = process.walk
    activity = process.pinned.activity(walk.activity) if walk else None
    if walk is None or activity is None or walk.step >= len(activity.implementation):
        return None
    return activity.implementation[walk.step]


def declared(process: Process) -> Recovery | None:
    """The scheme's own policy for this walk: the nearest of action, activity, process."""
    action = action_in_flight(process)
    activity = process.pinned.activity(process.walk.activity) if process.walk else None
    near = (action.recovery if action else None, activity.recovery if activity else None, process.pinned.recovery)
    return next((policy for policy in near if policy is not None), None)


# ------------------------------------------------------------------ rulings


def unasked(case: Case, *, max_attempts: int) -> Ruling | None:
    """What is decided before anybody is asked; None: ask."""
    process = case.process
    if cancelled := by_request(case):
        return cancelled
    if case.deaths > max_attempts:
        text = f"poison: {case.deaths} servers in a row died with {case.step or 'it'} in flight"
        return Ruling(decision=RestoreDecision.default().because(text), decided_by="poison", status=ProcessStatus.TERMINATED)
    if process.adoptions > MOST_ADOPTIONS:
        text = f"adopted {process.adoptions} times without a decision"
        return Ruling(decision=RestoreDecision.default().because(text), decided_by="status rule", status=case.preliminary_status)
    return None


def by_request(case: Case) -> Ruling | None:
    """Somebody has asked for its end while it was Running."""
    request = case.process.cancel_requested
    if request is None:
        return None
    return Ruling(decision=RestoreDecision.default().because(request.reason), decided_by=CANCEL, status=ProcessStatus.TERMINATED)


def by_damage(cause: str) -> Ruling:
    """What it has done so far cannot be read: a person must look at it."""
    decision = RestoreDecision.default().because("what its walk has finished cannot be read")
    return Ruling(decision=decision, decided_by="unreadable", status=ProcessStatus.ERROR, error=cause)


def by_rule(case: Case, *, error: str = "") -> Ruling:
    """Nobody decided: the status rule."""
    status = case.preliminary_status
    why = "a command or a timer leads out" if status is ProcessStatus.ERROR else "no command or timer leads out"
    decision = RestoreDecision.default().because(f"{why} of {case.process.activity or 'no activity'}")
    return Ruling(decision=decision, decided_by="status rule", status=status, error=error)


def by_scheme(case: Case, policy: Recovery, *, error: str = "") -> Ruling:
    """The scheme declares what becomes of a walk in flight here."""
    decision = RestoreDecision(DECLARED[policy.kind], policy.activity, reason=f"declared: recovery {policy}")
    status = {RecoveryKind.ERROR: ProcessStatus.ERROR, RecoveryKind.TERMINATED: ProcessStatus.TERMINATED}.get(policy.kind)
    return Ruling(decision=decision, decided_by="declared", status=status, error=error)


def by_restorer(case: Case, decision: RestoreDecision, name: str, *, error: str = "") -> Ruling:
    """A restorer has answered; Default means the status rule."""
    status = case.preliminary_status if decision.kind is DecisionKind.DEFAULT else None
    return Ruling(decision=decision, decided_by=name, status=status, error=error)


def not_resumable(process: Process, action: ActionRef, *, at_most_once: bool) -> str:
    """Why its walk must not go on with this action, as an operator would want to read it."""
    where = f"process {process.id}: action {action.name!r} of activity {process.walk.activity!r}" if process.walk else f"process {process.id}"
    if at_most_once:
        return f"{where} is to be done at most once and may have been started: outcome unknown"
    return f"{where} is not resumable; it may have been started and its outcome is not known"


def objection(case: Case, decision: RestoreDecision, *, obstacle: str) -> str:
    """Why a decision cannot be carried out, as an operator would want to read it; empty: it can. ``obstacle``: what stands against a resume."""
    process = case.process
    if decision.kind is DecisionKind.JUMP and process.pinned.activity(decision.activity) is None:
        return f"the scheme {process.scheme_code!r} has no activity {decision.activity!r}"
    if decision.kind is DecisionKind.RESUME and process.walk is None:
        return f"process {process.id} has no interrupted walk to resume"
    return obstacle if decision.kind is DecisionKind.RESUME else ""


# ------------------------------------------------------------------ changes


def adopt(process: Process, *, owner: str, now: datetime) -> Change:
    """Mine, with a new token. Lost when the old owner or token no longer stands: another server was first."""
    after = evolve(process, owner=owner, token=process.token + 1, adoptions=process.adoptions + 1, updated_at=now)
    return Change(kind=ChangeKind.ADOPT, before=process, after=after)


def carry_out(case: Case, ruling: Ruling, record: Decision, *, walk_id: str, owner: str, now: datetime) -> Change:
    """The ruling as a Change of ``case.process`` (adopted, or an orphan whose adoption and verdict are one write)."""
    kind = ruling.decision.kind
    if ruling.status is not None:
        return _broken_off(case, ruling, record, owner, now)
    if kind is DecisionKind.DELETE:
        return _deleted(case, record, owner, now)
    walk = _resumed(case, ruling) if kind is DecisionKind.RESUME else _anew(case, ruling, walk_id, now)
    after = evolve(
        case.process,
        walk=expiring.with_deadline(walk, case.process.pinned, now),
        parameters=_with(case.process.parameters, ruling.decision.persistent),
        deaths=case.deaths,
        deaths_step=case.step,
        adoptions=0,
        updated_at=now,
    )
    entry = _entry(after, record, owner, now)
    return _verdict(case, evolve(after, last_seq=entry.seq), entry, record)


def _broken_off(case: Case, ruling: Ruling, record: Decision, owner: str, now: datetime) -> Change:
    assert ruling.status is not None
    process = case.process
    cancelled = process.cancel_requested
    after = rules.at_rest(process, ruling.status, now)
    after = evolve(after, token=process.token + 1, parameters=_with(process.parameters, ruling.decision.persistent))
    kind = EntryKind.CANCELLED if cancelled else EntryKind.RECOVERED
    entry = _entry(after, record, owner, now, kind=kind, actor=cancelled.actor if cancelled else None, walk=process.walk)
    return replace(_verdict(case, evolve(after, last_seq=entry.seq), entry, record), arm=case.armed, release=True)


def _deleted(case: Case, record: Decision, owner: str, now: datetime) -> Change:
    entry = _entry(case.process, record, owner, now, kind=EntryKind.DELETED)
    return Change(kind=ChangeKind.DELETE, before=case.process, after=None, entries=(entry,), decision=record)


def _verdict(case: Case, after: Process, entry: HistoryEntry, record: Decision) -> Change:
    return Change(kind=ChangeKind.VERDICT, before=case.process, after=after, entries=(entry,), decision=record)


def _resumed(case: Case, ruling: Ruling) -> Walk:
    walk = case.process.walk
    assert walk is not None
    return evolve(walk, tries=walk.tries + 1, in_doubt=True, temporary=_with(walk.temporary, ruling.decision.temporary))


def _anew(case: Case, ruling: Ruling, walk_id: str, now: datetime) -> Walk:
    """New work with new effect keys, for the same people and the same run."""
    process, old, decision = case.process, case.process.walk, ruling.decision
    target = decision.activity if decision.kind is DecisionKind.JUMP else process.activity or process.pinned.initial_activity
    trigger = Trigger(TriggerKind.RECOVERY, decision.kind)
    walk = rules.walk_after(old, target, trigger, walk_id=walk_id, now=now, reason=decision.reason or None)
    return evolve(walk, automatic=0, temporary=_with(walk.temporary, decision.temporary))


def _entry(
    after: Process,
    record: Decision,
    owner: str,
    now: datetime,
    *,
    kind: EntryKind = EntryKind.RECOVERED,
    actor: str | None = None,
    walk: Walk | None = None,
) -> HistoryEntry:
    """As in the row of a failure, the operator who set the walk going stands in that of its recovery. ``walk``: as it was, with its key."""
    trigger, reason = Trigger(TriggerKind.RECOVERY, record.decision), record.reason
    if kind is EntryKind.RECOVERED and after.walk is not None:
        actor, reason = actor or after.walk.actor, reason or after.walk.reason or ""
    return entries.note(after, kind, now=now, server=owner, trigger=trigger, actor=actor, reason=reason, walk=walk)


def _with(values: Parameters, more: Parameters) -> Parameters:
    """None removes a value."""
    return FrozenDict({name: value for name, value in {**values, **more}.items() if value is not None}) if more else values
