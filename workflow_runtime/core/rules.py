"""How a live process moves: create, begin, journal, arrive, rest, fail, refuse. How it waits: waiting.py.

Law: a rule is a function from values to one ``Change``; it reads no clock, asks no plugin, touches no store.
The commit point of a walk A -> B lies after B's last action: until then the row says A.

==========  =============================  ==========================================================
rule        when                           what becomes true
==========  =============================  ==========================================================
create      a process is born              Running, the walk "enter the initial activity"
alike       another is born with it        the same, where no action, condition or timer
                                           stands before its rest
begin       a trigger takes a transition   Running, mine, token + 1 from rest; the walk; its timer row gone
journal     an action has returned         its row, walk.step + 1
arrive      B's last action is done        activity, state, parameters, timers of A dropped and of B armed
rest        nothing leads on by itself     Idled or Finalized, nobody's
fail        something raised               the status rule; the walk is kept; missing timers armed again
divert      ... and a listener names an    the cause in history, a new walk into that activity
            activity
cancel      a person asked for it          Terminated with actor and reason; the walk is kept
refuse      a due timer leads nowhere      a history row; the timer armed again, or Terminated
==========  =============================  ==========================================================

The status rule: Error if a command transition leads out of the last committed activity or a timer row for a
transition out of it will exist afterwards; else Terminated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from workflow_runtime.core import entries, timing
from workflow_runtime.core.arming import DueOf, has_timers, rearm, type_of
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.frozen import EMPTY
from workflow_runtime.core.keys import Key
from workflow_runtime.core.process import (
    CancelRequest,
    Change,
    ChangeKind,
    EntryKind,
    ErrorInfo,
    JournalEntry,
    Parameters,
    Process,
    ProcessStatus,
    Timer,
    Trigger,
    TriggerKind,
    Walk,
)
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Transition
from workflow_runtime.core.scheme_words import Classifier, TriggerType

_BORN = Trigger(TriggerKind.CREATE)

# ------------------------------------------------------------------ birth and begin


def create(
    scheme: Scheme,
    *,
    process_id: UUID,
    token: int,
    owner: str | None,
    walk_id: str,
    now: datetime,
    persistent: Parameters = EMPTY,
    temporary: Parameters = EMPTY,
    identity: str | None = None,
    impersonated_identity: str | None = None,
    tenant_id: str | None = None,
    key: Key | None = None,
) -> Change:
    """A process about to enter its initial activity; ``owner`` None leaves it to any server."""
    walk = Walk(
        id=walk_id,
        activity=scheme.initial_activity,
        trigger=_BORN,
        run=_BORN,
        started_at=now,
        identity=identity,
        impersonated_identity=impersonated_identity,
        temporary=temporary,
        key=key,
    )
    process = Process(
        id=process_id,
        scheme_code=scheme.code,
        scheme_version=scheme.version,
        status=ProcessStatus.RUNNING,
        parameters=persistent,
        root_id=process_id,
        tenant_id=tenant_id,
        created_at=now,
        updated_at=now,
        status_since=now,
        activity_since=now,
        owner=owner,
        token=token,
        walk=walk,
        scheme=scheme,
    )
    return Change(kind=ChangeKind.CREATE, before=None, after=process, opens=key)


def rests_whatever(scheme: Scheme) -> bool:
    """Whether each new process comes to rest in its initial activity, whatever its values are, and nothing is asked or set."""
    initial = scheme.activity(scheme.initial_activity)
    return initial is not None and not (initial.implementation or scheme.leads_on(initial.name) or has_timers(scheme, initial.name))


def alike(pattern: Change, *, process_id: UUID, token: int, walk_id: str, now: datetime, persistent: Parameters) -> Change:
    """The creation of one more process of a scheme that ``rests_whatever``; ``pattern`` is that of another, to its rest."""
    assert pattern.after is not None
    dates = dict.fromkeys(("created_at", "updated_at", "status_since", "activity_since"), now)
    after = evolve(pattern.after, id=process_id, root_id=process_id, token=token, parameters=persistent, **dates)
    entries = tuple(evolve(entry, process_id=process_id, walk_id=walk_id, at=now, started_at=now) for entry in pattern.entries)
    return Change(kind=pattern.kind, before=None, after=after, entries=entries, drop_others=pattern.drop_others)


def begin(process: Process, walk: Walk, *, owner: str | None, now: datetime) -> Change:
    """The process is Running with this walk: a claim from rest, or the next walk of a run in hand."""
    claims = process.owner is None
    held = process.walk.key if process.walk else None
    after = evolve(
        process,
        status=ProcessStatus.RUNNING,
        status_since=process.status_since if process.status is ProcessStatus.RUNNING else now,
        owner=owner,
        token=process.token + 1 if claims else process.token,
        walk=walk,
        waiting_until=None,
        updated_at=now,
    )
    drop = (walk.trigger.name,) if walk.trigger.kind is TriggerKind.TIMER else ()
    kind = ChangeKind.CLAIM if claims else ChangeKind.ARRIVE
    opens = walk.key if claims and walk.key != held else None
    return Change(kind=kind, before=process, after=after, drop=drop, release=claims and process.status is ProcessStatus.RUNNING, opens=opens)


def walk_after(old: Walk | None, activity: str, trigger: Trigger, *, walk_id: str, now: datetime, reason: str | None = None) -> Walk:
    """New work in place of a walk that is given up: for the same people, with the values of its run, with new effect keys."""
    return Walk(
        id=walk_id,
        activity=activity,
        trigger=trigger,
        run=old.run if old else trigger,
        started_at=now,
        identity=old.identity if old else None,
        impersonated_identity=old.impersonated_identity if old else None,
        temporary=old.temporary if old else EMPTY,
        automatic=old.automatic + 1 if old else 0,
        reason=reason,
        key=old.key if old else None,
    )


def next_walk(done: Walk, transition: Transition, temporary: Parameters, *, walk_id: str, now: datetime) -> Walk:
    """The automatic walk that follows ``done`` in the same run; a timer of value "0" counts as automatic."""
    timer = transition.trigger.type is TriggerType.TIMER
    trigger = Trigger(TriggerKind.TIMER, transition.trigger.name) if timer else Trigger(TriggerKind.AUTO)
    return Walk(
        id=walk_id,
        transition=transition.name,
        activity=transition.target,
        trigger=trigger,
        run=done.run,
        started_at=now,
        identity=done.identity,
        impersonated_identity=done.impersonated_identity,
        temporary=temporary,
        automatic=done.automatic + 1,
        due=done.due,
        key=done.key,
    )


# ------------------------------------------------------------------ a walk under way


def journal(process: Process, entry: JournalEntry, *, now: datetime) -> Change:
    """An action's outcome is durable; the walk stands at the next one."""
    walk = _walk(process)
    survived = process.deaths_step == step_name(entry.activity, entry.index)
    after = evolve(
        process,
        walk=evolve(walk, step=entry.index + 1, tries=0, attempts=(), in_doubt=False),
        deaths=0 if survived else process.deaths,
        deaths_step="" if survived else process.deaths_step,
        updated_at=now,
    )
    return Change(kind=ChangeKind.JOURNAL, before=process, after=after, journal=(entry,))


def journal_step(process: Process, entry: JournalEntry, *, now: datetime) -> Change:
    """The result of a ``ctx.step`` inside an action, or the intent to start it, is durable; the walk stands where it stood."""
    kind = ChangeKind.INTENT if entry.intent else ChangeKind.STEP
    return Change(kind=kind, before=process, after=evolve(process, updated_at=now), journal=(entry,))


def arrive(process: Process, parameters: Parameters, armed: Iterable[Timer], *, server: str | None, now: datetime) -> Change:
    """The walk has led to its activity. The process stays Running until ``rest`` or the next ``begin``."""
    walk, scheme = _walk(process), process.pinned
    activity = scheme.activity(walk.activity)
    assert activity is not None, walk.activity
    transition = scheme.transition(walk.transition)
    after = evolve(
        process,
        activity=activity.name,
        state=activity.state or process.state,
        previous_activity=process.activity,
        previous_state=process.state,
        **_remembered(process, transition),
        parameters=parameters,
        activity_since=now,
        updated_at=now,
        last_error=None,
        last_seq=process.last_seq + 1,
        walk=None,
    )
    entry = entries.moved(process, after, walk, transition, activity, server, now)
    return Change(kind=ChangeKind.ARRIVE, before=process, after=after, entries=(entry,), arm=tuple(armed), drop_others=True)


def rest(process: Process, *, now: datetime) -> Change:
    """Nothing leads on by itself: the process waits for a command or a timer, or has ended."""
    activity = process.pinned.activity(process.activity)
    final = activity is not None and activity.is_final
    status = ProcessStatus.FINALIZED if final else ProcessStatus.IDLED
    return Change(kind=ChangeKind.ARRIVE, before=process, after=at_rest(process, status, now))


def divert(
    process: Process, error: ErrorInfo, walk: Walk, *, server: str | None, now: datetime, failed_walk: Walk | None = None, fired: tuple[str, ...] = ()
) -> Change:
    """A failure that a listener answered with an activity: the cause in history, and a new walk into it.

    ``failed_walk`` and ``fired`` as for ``fail``.
    """
    after = evolve(process, last_error=error, updated_at=now)
    entry = entries.failed(after, error, failed_walk, server, now)
    failed = Change(kind=ChangeKind.FAIL, before=process, after=evolve(after, last_seq=entry.seq), entries=(entry,), drop=fired)
    assert failed.after is not None
    return failed.then(begin(failed.after, walk, owner=server, now=now))


def cancel(process: Process, request: CancelRequest, *, server: str | None, now: datetime) -> Change:
    """Broken off on request, at a step boundary or at rest; the walk is kept, so that it can be resumed."""
    after = at_rest(process, ProcessStatus.TERMINATED, now)
    trigger = Trigger(TriggerKind.OPERATOR, "cancel")
    entry = entries.note(after, EntryKind.CANCELLED, server=server, now=now, trigger=trigger, walk=process.walk, actor=request.actor, reason=request.reason)
    after = evolve(after, last_seq=entry.seq)
    return Change(kind=ChangeKind.CANCEL, before=process, after=after, entries=(entry,), release=True)


def at_rest(process: Process, status: ProcessStatus, now: datetime) -> Process:
    """Nobody's, with its counters of mishaps back at zero; the walk is kept where the status is a broken one, without its key."""
    return evolve(
        process,
        walk=evolve(process.walk, key=None) if process.walk and process.walk.key else process.walk,
        status=status,
        status_since=process.status_since if process.status is status else now,
        owner=None,
        deaths=0,
        deaths_step="",
        adoptions=0,
        cancel_requested=None,
        waiting_until=None,
        updated_at=now,
    )


# ------------------------------------------------------------------ a walk that ends without arrival


def fail(
    process: Process,
    error: ErrorInfo,
    timers: Collection[str],
    due_of: DueOf,
    *,
    server: str | None,
    now: datetime,
    failed_walk: Walk | None = None,
    fired: tuple[str, ...] = (),
) -> Change:
    """Broken off: the status rule, the walk kept, the cause in history. ``timers`` are the names of its rows.

    ``failed_walk`` is what history tells of where the process itself has no walk: one that has just arrived, or could not
    begin; ``due_of`` knows it too. ``fired`` is the timer that would have begun it: it has had its turn and is armed again like any other.
    """
    left = {*timers} - {*fired}
    armed = rearm(process, left, due_of, now, failed_walk or process.walk)
    status = broken_status(process.pinned, process.activity, {*left, *(timer.name for timer in armed)})
    after = evolve(at_rest(process, status, now), last_error=error)
    entry = entries.failed(after, error, failed_walk or process.walk, server, now)
    after = evolve(after, last_seq=entry.seq)
    opens = failed_walk.key if failed_walk and process.owner is None else None  # what could not even begin
    return Change(kind=ChangeKind.FAIL, before=process, after=after, entries=(entry,), drop=fired, arm=armed, release=True, opens=opens)


def refuse_timer(
    process: Process,
    timer: Timer,
    timers: Collection[str],
    due_of: DueOf,
    *,
    kind: EntryKind,
    server: str | None,
    now: datetime,
    actor: str | None = None,
    reason: str | None = None,
) -> Change:
    """A due timer that cannot or must not be taken: it is armed again, or dropped if it was for one moment only.

    If that leaves no exit by command or timer, the process is Terminated with the reason "timer missed". ``actor`` and
    ``reason`` are those of an operator who fired it.
    """
    others = {*timers} - {timer.name}
    armed = tuple(t for t in rearm(process, others, due_of, now) if t.name != timer.name or timing.rearms(type_of(process, timer)))
    left = others | {t.name for t in armed}
    stuck = broken_status(process.pinned, process.activity, left) is ProcessStatus.TERMINATED
    status, kind = (ProcessStatus.TERMINATED, EntryKind.TIMER_MISSED) if stuck else (process.status, kind)
    after = at_rest(process, status, now)
    trigger = Trigger(TriggerKind.TIMER, timer.name)
    entry = entries.note(after, kind, server=server, now=now, trigger=trigger, actor=actor, reason="timer missed" if stuck else reason)
    after = evolve(after, last_seq=entry.seq)
    return Change(kind=ChangeKind.REFUSE, before=process, after=after, entries=(entry,), drop=(timer.name,), arm=armed)


def broken_status(scheme: Scheme, activity: str, timers: Collection[str]) -> ProcessStatus:
    """The status rule; ``timers`` are the timer rows that will exist."""
    for transition in scheme.leaving(activity):
        trigger = transition.trigger
        if trigger.type is TriggerType.COMMAND or (trigger.type is TriggerType.TIMER and trigger.name in timers):
            return ProcessStatus.ERROR
    return ProcessStatus.TERMINATED


def _remembered(before: Process, transition: Transition | None) -> dict[str, str]:
    """Direct and Reverse transitions also keep where they came from on their own side."""
    classifier = transition.classifier if transition else Classifier.NOT_SPECIFIED
    if classifier is Classifier.DIRECT:
        return {"previous_activity_for_direct": before.activity, "previous_state_for_direct": before.state}
    if classifier is Classifier.REVERSE:
        return {"previous_activity_for_reverse": before.activity, "previous_state_for_reverse": before.state}
    return {}


def step_name(activity: str, index: int) -> str:
    """How a step is named where deaths are counted."""
    return f"{activity}#{index}"


def _walk(process: Process) -> Walk:
    assert process.walk is not None, f"process {process.id} has no walk"
    return process.walk
