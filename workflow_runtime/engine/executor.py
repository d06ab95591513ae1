"""Begins runs: a creation, a command, a due timer, a walk that waits. All of them end in ``Run.drive``.

A claim from rest that finds another revision is a lost race: load again, decide once more, then ProcessBusy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from workflow_runtime.core import arming, handling, operating, parameters, rules, settling, timing, waiting
from workflow_runtime.core.answers import AvailableCommand, CommandResult
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.frozen import EMPTY
from workflow_runtime.core.keys import Key
from workflow_runtime.core.nearness import did_you_mean, nearest
from workflow_runtime.core.process import (
    Change,
    ChangeKind,
    EntryKind,
    JournalEntry,
    Parameters,
    Process,
    ProcessStatus,
    Timer,
    TimerKind,
    Trigger,
    TriggerKind,
    Walk,
)
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Command, Transition
from workflow_runtime.core.scheme_words import LocalizeType, TriggerType
from workflow_runtime.engine import acting
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.failures import error_info
from workflow_runtime.engine.inhand import KeyTaken, LostRace
from workflow_runtime.engine.judging import Asker, Judge
from workflow_runtime.engine.run import Run
from workflow_runtime.errors import (
    CommandNotAllowed,
    CommandNotFound,
    ConditionFailed,
    NotResumable,
    ProcessBusy,
    StaleRevision,
    StatusNotAllowed,
)
from workflow_runtime.store.writes import Outcome

T = TypeVar("T")
Load = Callable[[UUID], Process]

_TYPE_OF = {TriggerKind.COMMAND: TriggerType.COMMAND, TriggerKind.TIMER: TriggerType.TIMER}


class Executor:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    # ------------------------------------------------------------------ create

    def create(
        self,
        scheme: Scheme,
        *,
        process_id: UUID,
        given: Mapping[str, Any],
        asker: Asker,
        tenant_id: str | None,
        key: Key | None = None,
    ) -> Process:
        """A new process, driven to rest. ProcessAlreadyExists, ParameterError, ActionFailed (the process stays). KeyTaken."""
        engine = self.engine
        persistent, temporary = parameters.at_creation(scheme, given, engine.limits)
        change = rules.create(
            scheme,
            process_id=process_id,
            token=engine.new_token(),
            owner=engine.me,
            walk_id=engine.new_id(),
            now=engine.now(),
            persistent=persistent,
            temporary=temporary,
            identity=asker.identity,
            impersonated_identity=asker.impersonated_identity,
            tenant_id=tenant_id,
            key=key,
        )
        assert change.after is not None
        engine.require_bound(change.after)
        with engine.live.hold(process_id):
            return Run(engine, change.after, begun=change).drive()

    # ------------------------------------------------------------------ commands

    def command(
        self,
        process_id: UUID,
        name: str,
        *,
        asker: Asker,
        given: Mapping[str, Any],
        check_restrictions: bool = False,
        expected_revision: int | None = None,
        key: Key | None = None,
    ) -> CommandResult:
        """One command, driven to rest. Nothing is written where it is not executed. KeyTaken."""

        def decide(process: Process) -> CommandResult:
            declared = self._admitted(process, name, expected_revision)
            inputs, temporary = parameters.of_command(process.pinned, declared, given, self.engine.limits, present=process.parameters)
            walk = self._prototype(Trigger(TriggerKind.COMMAND, name), inputs=inputs, temporary=temporary, asker=asker)
            walk = evolve(walk, key=key) if key else walk
            moved = self._take(process, walk, asker if check_restrictions else None)
            if moved is None:
                return CommandResult(was_executed=False, process=process, reason=_why_not(process, name))
            return CommandResult(was_executed=True, process=moved, waiting_until=moved.waiting_until)

        return self.decide(process_id, decide)

    def available(self, process: Process, asker: Asker | None, *, check_conditions: bool, culture: str | None) -> list[AvailableCommand]:
        """The commands that lead out of where the process stands; rights are looked at only with an ``asker``."""
        if not process.status.accepts_commands:
            return []
        judge = Judge(self.engine, self.engine.compiled(process), process, None)
        found: dict[str, list[Transition]] = {}
        for transition in process.pinned.leaving(process.activity):
            if transition.trigger.type is TriggerType.COMMAND and (asker is None or judge.allows(transition, asker)):
                found.setdefault(transition.trigger.name, []).append(transition)
        if check_conditions:
            found = {name: taken for name, taken in found.items() if self._judge_of(process, name, asker).choose(TriggerType.COMMAND, name, asker)}
        return [_available(process.pinned, name, transitions, culture) for name, transitions in found.items()]

    def _judge_of(self, process: Process, command: str, asker: Asker | None) -> Judge:
        """Conditions see the command and the people as they will when it is given."""
        return Judge(self.engine, self.engine.compiled(process), process, self._prototype(Trigger(TriggerKind.COMMAND, command), asker=asker))

    def _admitted(self, process: Process, name: str, expected_revision: int | None) -> Command:
        """The declared command, if the process takes commands at all now."""
        declared = process.pinned.command(name)
        if declared is None:
            raise _unknown_command(process, name)
        require_revision(process, expected_revision)
        require_status(process)
        self.engine.require_bound(process)
        return declared

    # ------------------------------------------------------------------ timers and waiting walks

    def fire(self, process_id: UUID, timer: Timer, *, order: operating.Order | None = None) -> Process | None:
        """A due row: take its transition, or say in history why not. None: not now, or no longer due.

        With an ``order`` an operator fires it, whenever it is due. The row is looked at again once the process is loaded: since
        it was found it may have been fired or armed anew. What happens after that look loses the race for the revision.
        """
        if timer.kind is not TimerKind.TIMER:
            return self.decide(process_id, partial(self._take_up, timer))

        def decide(process: Process) -> Process | None:
            walk = self.walk_of(timer, order)
            try:
                change = self.answer(process, timer, self.engine.store.timers(process.id), walk, order)
            except ConditionFailed as error:
                return self.break_off(process, walk, error)
            if change is None:
                return None
            return Run(self.engine, process, begun=change).drive() if change.kind is ChangeKind.CLAIM else self.commit(change)

        try:
            with self.engine.live.hold(process_id):
                return decide(self.engine.load(process_id))
        except LostRace:  # mostly to a server that has fired it: one look at the row tells, and no more is spent on it
            return self.decide(process_id, decide) if _stands(timer, self.engine.store.timers(process_id), order) else None

    def walk_of(self, timer: Timer, order: operating.Order | None = None) -> Walk:
        """What a due timer wants to begin: its transition is not chosen yet."""
        walk = evolve(self._prototype(Trigger(TriggerKind.TIMER, timer.name)), due=timer.due)
        return evolve(walk, actor=order.actor, reason=order.reason) if order else walk

    def answer(self, process: Process, timer: Timer, rows: Sequence[Timer], walk: Walk, order: operating.Order | None = None) -> Change | None:
        """What becomes of a due timer: the claim of a run, or a refusal. None: not now, or no longer due. Nothing is written. ConditionFailed.

        ``rows`` are the timers of the process, read behind it: what is written between the two raises its revision.
        """
        if not process.status.accepts_commands or not _stands(timer, rows, order):
            return None
        self.engine.require_bound(process)
        spec = process.pinned.timer(timer.name)
        if order is None and spec is not None and timing.is_too_late(spec, timer.due, self.engine.now()):
            return self._refusal(process, timer, rows, EntryKind.TIMER_SKIPPED, order)
        if timer.name == arming.IDLE_TIMEOUT and (target := _after_idling(process)):
            return self._claim(process, evolve(walk, activity=target), order)
        chosen = self._chosen(process, walk)
        return self._claim(process, chosen, order) if chosen else self._refusal(process, timer, rows, EntryKind.NOT_APPLICABLE, order)

    def _refusal(self, process: Process, timer: Timer, rows: Sequence[Timer], kind: EntryKind, order: operating.Order | None) -> Change:
        engine, now = self.engine, self.engine.now()
        names = {row.name for row in rows if row.kind is TimerKind.TIMER}
        due_of = engine.due_of(process, None, now=now, quiet=True)
        actor, reason = (order.actor, order.reason) if order else (None, None)
        return rules.refuse_timer(process, timer, names, due_of, kind=kind, server=engine.me, now=now, actor=actor, reason=reason)

    def _take_up(self, row: Timer, process: Process) -> Process | None:
        """Since the row was found the process may have been taken up, and may wait again, for a later moment."""
        if not process.is_waiting or (process.waiting_until is not None and process.waiting_until > row.due):
            return None
        self.engine.require_bound(process)
        if process.walk is None:
            return self.look_on(process, None)
        if row.kind is TimerKind.START:
            try:
                acting.require_resumable(self.engine, process)
            except NotResumable as error:  # a client has left it here, and knew less of its actions
                return self._refuse_resume(process, error)
        return self.go_on(process, waiting.take_up(process, owner=self.engine.me, now=self.engine.now()))

    def _refuse_resume(self, process: Process, error: NotResumable) -> Process:
        """Nobody waits for the answer: the cause is the process's last error, and its status what the status rule says."""
        now = self.engine.now()
        rows = {row.name for row in self.engine.store.timers(process.id) if row.kind is TimerKind.TIMER}
        due_of = self.engine.due_of(process, process.walk, now=now, quiet=True)
        return self.commit(rules.fail(process, error_info(error), rows, due_of, server=self.engine.me, now=now))

    def look_on(self, process: Process, order: operating.Order | None) -> Process:
        """Resumed without a walk: an automatic transition is taken, else it rests where it stands. ``order`` None: a client has told of it."""
        now, server = self.engine.now(), self.engine.presence.incarnation
        asked = order or operating.Order(settling.RESUME, "", "")
        walk = operating.walk_into(process.activity, asked, walk_id=self.engine.new_id(), temporary=EMPTY, now=now)
        try:
            transition = Judge(self.engine, self.engine.compiled(process), process, walk).choose_automatic()
        except ConditionFailed as error:
            return self.break_off(process, walk, error)
        if transition is None:
            return self.commit(operating.settle(process, order, server=server, now=now))
        following = rules.next_walk(walk, transition, EMPTY, walk_id=walk.id, now=now)
        return self.go_on(process, operating.begin(process, evolve(following, actor=walk.actor, reason=walk.reason), order, owner=server, now=now))

    def go_on(self, process: Process, begun: Change | None = None) -> Process:
        """The walk of a process goes on at its first unfinished step; finished ones are not repeated."""
        walk = begun.after.walk if begun and begun.after else process.walk
        finished = self._journal(process, walk, held=begun is None) if walk else ()
        return Run(self.engine, process, begun=begun, finished=finished).drive()

    def _journal(self, process: Process, walk: Walk, *, held: bool) -> tuple[JournalEntry, ...]:
        """Work in hand waits for a database that is away."""
        read = partial(self.engine.store.journal, process.id, walk.id)
        return self.engine.patiently(read) if held else read()

    # ------------------------------------------------------------------ common to all

    def commit(self, change: Change) -> Process:
        """A change from rest that begins no run; the process as it stands then, a deleted one as it was. LostRace."""
        outcome, _ = self.engine.apply(change)
        if outcome is not Outcome.APPLIED:
            raise LostRace()
        self.engine.tell(change)
        return change.before if change.after is None and change.before is not None else change.result

    def decide(self, process_id: UUID, decide: Callable[[Process], T], *, load: Load | None = None) -> T:
        """Loads and decides; a lost race is decided once more, on what is there then.

        ``load``: ``engine.look`` for what needs no scheme, by default ``engine.load``.
        """
        load = load or self.engine.load
        with self.engine.live.hold(process_id):
            try:
                return decide(load(process_id))
            except KeyTaken:
                raise
            except LostRace:
                pass
            try:
                return decide(load(process_id))
            except LostRace:
                raise ProcessBusy(f"process {process_id} is being moved by others; repeat the call", process_id=process_id) from None

    def _take(self, process: Process, prototype: Walk, rights: Asker | None) -> Process | None:
        """Takes the first transition of the walk's trigger, and drives; None where none can be taken.

        A condition that raises breaks the process off before the error reaches the caller.
        """
        try:
            walk = self._chosen(process, prototype, rights)
        except ConditionFailed as error:
            return self.break_off(process, prototype, error)
        return None if walk is None else Run(self.engine, process, begun=self._claim(process, walk)).drive()

    def _chosen(self, process: Process, prototype: Walk, rights: Asker | None = None) -> Walk | None:
        """The walk along the first transition of its trigger that can be taken; ConditionFailed."""
        judge = Judge(self.engine, self.engine.compiled(process), process, prototype)
        name = prototype.trigger.name
        if rights is not None:
            _require_rights(judge, process, name, rights)
        transition = judge.choose(_TYPE_OF[prototype.trigger.kind], name, rights)
        return evolve(prototype, transition=transition.name, activity=transition.target) if transition else None

    def _claim(self, process: Process, walk: Walk, order: operating.Order | None = None) -> Change:
        """An ``order`` stands in history."""
        begun = rules.begin(process, walk, owner=self.engine.me, now=walk.started_at)
        return operating.told(begun, order, server=self.engine.me, now=walk.started_at) if order else begun

    def break_off(self, process: Process, attempted: Walk, error: ConditionFailed) -> Process:
        """A condition raised before the walk could begin: that is committed, then raised again unless a listener knows better."""
        run = Run(self.engine, process, attempted=attempted)
        if not run.broken(error):
            raise error
        return run.drive()

    def _prototype(self, trigger: Trigger, *, inputs: Parameters = EMPTY, temporary: Parameters = EMPTY, asker: Asker | None = None) -> Walk:
        """A walk whose transition is not chosen yet: conditions see its inputs."""
        return Walk(
            id=self.engine.new_id(),
            activity="",
            trigger=trigger,
            run=trigger,
            started_at=self.engine.now(),
            identity=asker.identity if asker else None,
            impersonated_identity=asker.impersonated_identity if asker else None,
            inputs=inputs,
            temporary=temporary,
        )


def _stands(timer: Timer, rows: Sequence[Timer], order: operating.Order | None) -> bool:
    return any(row.name == timer.name and (order is not None or row.due == timer.due) for row in rows)


def _after_idling(process: Process) -> str:
    """Where the idle timeout of the activity leads; empty: nowhere."""
    activity = process.pinned.activity(process.activity)
    timeout = activity.idle_timeout if activity else None
    return handling.target_of(process.pinned, timeout.type, timeout.target) if timeout else ""


def require_revision(process: Process, expected: int | None) -> None:
    """StaleRevision when the process has changed since the caller read it."""
    if expected is not None and process.revision != expected:
        text = f"process {process.id} has revision {process.revision}, not {expected}; read it again and decide once more"
        raise StaleRevision(text, process_id=process.id, revision=process.revision, expected_revision=expected)


def require_status(process: Process) -> None:
    """Commands and timers move Idled and Error processes: ProcessBusy, StatusNotAllowed."""
    if process.status is ProcessStatus.RUNNING:
        raise ProcessBusy(f"process {process.id} is Running; repeat the call when it has come to rest", process_id=process.id)
    if not process.status.accepts_commands:
        raise StatusNotAllowed(
            f"process {process.id} is {process.status} and takes no commands; set_activity, set_state or resume_process can move it on",
            process_id=process.id,
            status=process.status,
        )


def _require_rights(judge: Judge, process: Process, name: str, asker: Asker) -> None:
    candidates = [t for t in process.pinned.leaving(process.activity) if t.trigger.type is TriggerType.COMMAND and t.trigger.name == name]
    if candidates and not any(judge.allows(transition, asker) for transition in candidates):
        raise CommandNotAllowed(
            f"{asker.acting!r} may not give the command {name!r} to process {process.id} at {process.activity!r}",
            process_id=process.id,
            command=name,
            identity=asker.acting,
        )


def _unknown_command(process: Process, name: str) -> CommandNotFound:
    known = [command.name for command in process.pinned.commands]
    return CommandNotFound(
        f"the scheme {process.scheme_code!r} declares no command {name!r}{did_you_mean(name, known)}",
        process_id=process.id,
        command=name,
        suggestion=nearest(name, known),
    )


def _why_not(process: Process, name: str) -> str:
    transitions = process.pinned.leaving(process.activity)
    if any(t.trigger.type is TriggerType.COMMAND and t.trigger.name == name for t in transitions):
        return f"no transition of the command {name!r} from activity {process.activity!r} has conditions that hold"
    return f"no transition of the command {name!r} leads out of activity {process.activity!r}"


def _available(scheme: Scheme, name: str, transitions: list[Transition], culture: str | None) -> AvailableCommand:
    declared = scheme.command(name)
    return AvailableCommand(
        name=name,
        localized_name=scheme.localized(LocalizeType.COMMAND, name, culture),
        parameters=declared.inputs if declared else (),
        classifiers=tuple(dict.fromkeys(str(transition.classifier) for transition in transitions)),
    )
