"""One run in hand: the walks from one trigger until rest. There is no second way to move a process.

Order, for every walk: commit the claim (Running, walk) -> act, one journal row per action -> arrive -> decide
what is next -> commit. Arrivals at activities without actions are collected in ``pending`` and committed
together with the next thing that must be. No transaction is open while user code runs.
"""

from __future__ import annotations

import copy
import logging
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from workflow_runtime.core import arming, parameters, rules
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.process import (
    CancelRequest,
    Change,
    ErrorInfo,
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
from workflow_runtime.core.scheme_elements import ActionRef, Transition
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.judging import Judge
from workflow_runtime.engine.steps import ActionContext, Journal
from workflow_runtime.errors import (
    ActionFailed,
    ExecutionError,
    Fenced,
    JournalMismatch,
    LoopLimitExceeded,
    ProcessAlreadyExists,
    StoreError,
)
from workflow_runtime.store.writes import Outcome

log = logging.getLogger("workflow_runtime.engine")

LONGEST_TRACEBACK = 20_000  #: characters kept in history
LONGEST_MESSAGE = 2_000


class LostRace(Exception):
    """The claim from rest found another revision; nothing was done. Inside the engine only."""


class Cancelled(Exception):
    """A person asked for it; noticed at a step boundary. Inside the engine only."""

    def __init__(self, request: CancelRequest) -> None:
        super().__init__()
        self.request = request


class Run:
    """Drives one process to rest. Use from one thread, while its id is registered as live work."""

    def __init__(
        self, engine: Engine, process: Process, *, begun: Change | None = None, finished: Sequence[JournalEntry] = (), attempted: Walk | None = None
    ) -> None:
        """Either ``begun`` is a first change that is not committed yet, or ``process`` is mine with a walk to go on with.

        Or it is at rest and ``attempted`` is what could not begin: then ``broken`` is to be called with the cause.
        """
        self.engine = engine
        self.compiled = engine.compiled(process)
        self.process = process  #: as it will stand once ``pending`` is committed
        self.pending: Change | None = None
        self.journal = Journal(finished)
        self._last = attempted  #: the walk in hand, or the one before it
        self._temporary: Parameters = attempted.temporary if attempted else EMPTY  #: the run's values
        self._fired = (attempted.trigger.name,) if attempted and attempted.trigger.kind is TriggerKind.TIMER else ()
        self.unjournaled: Parameters = EMPTY  #: changes of actions declared journal=False since the last journal row
        if begun is not None:
            self._add(begun)

    def drive(self) -> Process:
        """Until rest. Errors: ActionFailed, ConditionFailed, LoopLimitExceeded ... after the failure was committed;
        LostRace, Fenced, StoreUnavailable with nothing more written."""
        while self.process.status is ProcessStatus.RUNNING and self.process.owner is not None:
            try:
                self._walk(self._current_walk)
            except Cancelled as cancelled:
                self._cancel(cancelled.request)
            except (StoreError, LostRace, ProcessAlreadyExists):
                raise
            except Exception as error:
                if not self.broken(error):
                    raise
            except BaseException as error:  # KeyboardInterrupt, SystemExit: they reach the host whatever becomes of the process
                if self._in_hand:
                    with suppress(Exception):
                        self.broken(error)
                raise
        return self.process

    @property
    def _in_hand(self) -> bool:
        """False once the commit that brought it to rest is known: what is raised after it, by a listener, is no failure of the process."""
        return self.pending is not None or self.process.owner is not None

    # ------------------------------------------------------------------ one walk

    def _walk(self, walk: Walk) -> None:
        self._last, self._temporary, self._fired = walk, walk.temporary, ()
        activity = self.process.pinned.activity(walk.activity)
        assert activity is not None, walk.activity
        if walk.step < len(activity.implementation):
            self._commit()
            if walk.step == 0 and walk.tries == 0 and not self.engine.draining:
                self.engine.notify("before_activity_execution", process=self.process, activity=activity.name)
            for index in range(walk.step, len(activity.implementation)):
                self._commit()
                if self.engine.draining:
                    self._add(rules.release(self.process, now=self.engine.now()))
                    self._commit(heed_cancel=False)
                    return
                self._act(activity.implementation[index], index)
        self._arrive()
        self._go_on(walk)

    def _act(self, action: ActionRef, index: int) -> None:
        """Runs one action; its journal row stays pending, to be committed before the next or with the arrival."""
        changes = FrozenDict({**self.unjournaled, **self._changes_of(action, index)})
        spec = self.engine.catalogue.actions.get(action.name)
        journaled = action.journal if action.journal is not None else (spec is None or spec.journal)
        self.journal.changes = FrozenDict({**self.journal.changes, **changes})
        self.unjournaled = EMPTY if journaled else changes
        if journaled:
            now, walk = self.engine.now(), self._current_walk
            entry = JournalEntry(walk_id=walk.id, activity=walk.activity, action=action.name, index=index, changes=changes, at=now)
            self._add(rules.journal(self.process, entry, now=now))

    def _changes_of(self, action: ActionRef, index: int) -> Parameters:
        walk = self._current_walk
        judge = Judge(self.engine, self.compiled, self.process, walk, self.journal.changes)
        function = self.engine.action(action.name)
        before = judge.view.plain()
        draft = parameters.Draft(copy.deepcopy(before))
        context = ActionContext(self.process, walk, draft, action, index, journal=self.journal, record=self._record_step, now=self.engine.now)
        try:
            self.engine.caller.call(function, context, judge.text(action.parameter))
            changes = parameters.changed(before, context.parameters, self.process.pinned, self.engine.settings.limits)
        except Exception as error:
            if context.lost is None and not _is_mismatch(error, self.process):
                raise self._action_failed(action, error) from error
            if context.lost is None:
                raise
        finally:
            context.end()
        if context.lost is not None:  # even if the action has swallowed it: nothing more may be written
            raise context.lost
        return changes

    def _record_step(self, entry: JournalEntry) -> None:
        """Commits the row of a ``ctx.step``; a request to cancel waits for the end of the action."""
        self._add(rules.journal_step(self.process, entry, now=entry.at))
        self._commit(heed_cancel=False)

    def _action_failed(self, action: ActionRef, error: Exception) -> ActionFailed:
        process, activity = self.process, self._current_walk.activity
        return ActionFailed(
            f"process {process.id} ({process.scheme_code}): action {action.name!r} of activity {activity!r} raised {type(error).__name__}: {_text(error)}",
            process_id=process.id,
            scheme_code=process.scheme_code,
            activity=activity,
            action=action.name,
        )

    # ------------------------------------------------------------------ arrival and what follows

    def _arrive(self) -> None:
        walk, now = self._current_walk, self.engine.now()
        lasting, self._temporary = parameters.at_arrival(self.process, walk, self.journal.changes)
        entered = replace(self.process, parameters=lasting)
        armed = self._armed(entered, walk, now)
        self._add(rules.arrive(self.process, lasting, armed, server=self._server, now=now))
        self.journal, self.unjournaled = Journal(), EMPTY

    def _armed(self, entered: Process, walk: Walk, now: datetime) -> tuple[Timer, ...]:
        try:
            return arming.arm(entered.pinned, walk.activity, entered.parameters, self.engine.due_of(entered, walk, now=now))
        except Exception as error:  # translators of timer values and external parameters are users' code
            text = f"process {entered.id} ({entered.scheme_code}): a timer of activity {walk.activity!r} cannot be set: {error}"
            raise ExecutionError(text, process_id=entered.id, scheme_code=entered.scheme_code, activity=walk.activity) from error

    def _go_on(self, done: Walk) -> None:
        """The next automatic walk, written with the arrival; or rest."""
        transition = self._next_transition(done)
        if transition is None:
            self._rest()
            return
        now = self.engine.now()
        walk = rules.next_walk(done, transition, self._temporary, walk_id=self.engine.new_id(), now=now)
        if walk.automatic > self.engine.settings.max_automatic_steps:
            raise self._loop_limit(walk)
        self._add(rules.begin(self.process, walk, owner=self.process.owner, now=now))

    def _next_transition(self, done: Walk) -> Transition | None:
        context = replace(done, inputs=EMPTY, temporary=self._temporary)
        return Judge(self.engine, self.compiled, self.process, context).choose_automatic()

    def _rest(self) -> None:
        arrived, standing = self.pending, self.process
        self._add(rules.rest(self.process, now=self.engine.now()))
        try:
            self._commit()
        except Cancelled:
            self.pending, self.process = arrived, standing  # nothing was written: the flag came first
            raise

    def _loop_limit(self, walk: Walk) -> LoopLimitExceeded:
        limit, process = self.engine.settings.max_automatic_steps, self.process
        return LoopLimitExceeded(
            f"process {process.id} ({process.scheme_code}) took {limit} automatic transitions without rest and stands at {process.activity!r}; "
            f"give the circle through {walk.activity!r} a condition, a timer or a command",
            process_id=process.id,
            scheme_code=process.scheme_code,
            activity=process.activity,
            limit=limit,
        )

    # ------------------------------------------------------------------ breaking off

    def _cancel(self, request: CancelRequest) -> None:
        self._add(rules.cancel(self.process, request, server=self._server, now=self.engine.now()))
        self._commit()

    def broken(self, error: BaseException) -> bool:
        """Commits what becomes of a failure; True where the caller is not to hear of it."""
        decision = self.engine.ask_error(self.process, _origin(error)) if isinstance(error, Exception) else None
        if decision is not None and decision.activity is not None and self._divert(error, decision.activity):
            return True
        self._fail(error)
        return decision is not None and decision.suppress

    def _divert(self, error: BaseException, activity: str) -> bool:
        """The run goes on in another activity; not where there is none of that name, and not round and round."""
        process, now = self.process, self.engine.now()
        given_up = replace(self._last, temporary=self._temporary) if self._last else None
        walk = rules.walk_after(given_up, activity, Trigger(TriggerKind.AUTO), walk_id=self.engine.new_id(), now=now, reason="workflow_error")
        if process.pinned.activity(activity) is None or walk.automatic > self.engine.settings.max_automatic_steps or self._server is None:
            log.error("process %s: workflow_error chose the activity %r, which cannot be entered", process.id, activity)
            return False
        self._add(rules.divert(process, error_info(error), walk, server=self._server, now=now, failed_walk=self._last, fired=self._fired))
        self.journal, self.unjournaled = Journal(), EMPTY
        return True

    def _fail(self, error: BaseException) -> None:
        """Commits the failure: the collected arrivals, the status rule, the cause. The walk in hand is kept."""
        now = self.engine.now()
        due_of = self.engine.due_of(self.process, self._last, now=now, quiet=True)
        timers, cause = self._timer_rows(), error_info(error)
        self._add(rules.fail(self.process, cause, timers, due_of, server=self._server, now=now, failed_walk=self._last, fired=self._fired))
        try:
            self._commit(heed_cancel=False)
        except Cancelled as cancelled:  # nothing was written: the failure goes with the cancellation
            self._cancel(cancelled.request)

    def _timer_rows(self) -> set[str]:
        """Names of the timer rows that will exist once ``pending`` is committed."""
        pending = self.pending
        armed = {timer.name for timer in pending.arm} if pending else set()
        if pending and (pending.drop_others or pending.before is None):
            return armed
        stored = {timer.name for timer in self.engine.store.timers(self.process.id) if timer.kind is TimerKind.TIMER}
        return (stored - set(pending.drop) | armed) if pending else stored

    # ------------------------------------------------------------------ commits

    def _add(self, change: Change) -> None:
        self.pending = change if self.pending is None else self.pending.then(change)
        assert change.after is not None
        self.process = change.after

    def _commit(self, *, heed_cancel: bool = True) -> None:
        """One transaction for all that is pending; then, and only then, listeners are told."""
        change = self.pending
        if change is None:
            return
        outcome, cancel = self.engine.apply(change)
        if outcome is Outcome.LOST:
            raise self._lost(change)
        if outcome is Outcome.FLAGGED:
            raise Cancelled(self._requested())
        self.pending, self.process = None, change.result
        self.engine.tell(change)
        if cancel is not None and heed_cancel and self.process.status is ProcessStatus.RUNNING:
            raise Cancelled(cancel)

    def _requested(self) -> CancelRequest:
        """The request that stood against coming to rest. It is cleared at rest only, so whoever cleared it has taken over."""
        stored = self.engine.store.load(self.process.id)
        if stored is None or stored.cancel_requested is None:
            raise Fenced(process_id=self.process.id)
        return stored.cancel_requested

    def _lost(self, change: Change) -> Exception:
        if change.before is not None and change.before.owner is None:
            return LostRace()
        return Fenced(process_id=self.process.id)

    @property
    def _current_walk(self) -> Walk:
        assert self.process.walk is not None
        return self.process.walk

    @property
    def _server(self) -> str | None:
        return self.engine.presence.incarnation


def _is_mismatch(error: Exception, process: Process) -> bool:
    """A JournalMismatch of this process, and not of another that the action has moved."""
    return isinstance(error, JournalMismatch) and error.nouns.get("process_id") == process.id


def error_info(error: BaseException) -> ErrorInfo:
    """What history and ``last_error`` keep: of an error that wraps another, the one that the user's code raised."""
    origin = _origin(error)
    return ErrorInfo(
        type=f"{type(origin).__module__}.{type(origin).__qualname__}".removeprefix("builtins."),
        message=_text(origin)[:LONGEST_MESSAGE],
        traceback="".join(traceback.format_exception(origin))[-LONGEST_TRACEBACK:],
        activity=str(getattr(error, "activity", "")),
        action=str(getattr(error, "action", "")),
    )


def _origin(error: BaseException) -> BaseException:
    return error.__cause__ if isinstance(error, ExecutionError) and error.__cause__ is not None else error


def _text(error: BaseException) -> str:
    """What it says; a foreign ``__str__`` must not hide the error that is being reported."""
    try:
        return str(error)
    except Exception:
        return f"<{type(error).__name__} that cannot be shown>"
