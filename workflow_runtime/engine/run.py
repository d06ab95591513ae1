"""One run in hand: the walks from one trigger until rest. There is no second way to move a process.

Order, for every walk: commit the claim (Running, walk) -> act, one journal row per action -> arrive -> decide
what is next -> commit. Arrivals at activities without actions are collected in ``pending`` and committed
together with the next thing that must be. No transaction is open while user code runs.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from workflow_runtime.core import arming, keys, parameters, rules
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.process import (
    CancelRequest,
    Change,
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
from workflow_runtime.core.stepping import Journal
from workflow_runtime.engine import acting
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.failures import error_info, origin_of
from workflow_runtime.engine.inhand import Cancelled, LostRace
from workflow_runtime.engine.judging import Judge
from workflow_runtime.engine.trying import Trying
from workflow_runtime.errors import ExecutionError, LoopLimitExceeded, ProcessAlreadyExists, StoreError

log = logging.getLogger("workflow_runtime.engine")


class Run(Trying):
    """Drives one process to rest. Use from one thread, while its id is registered as live work."""

    def __init__(
        self, engine: Engine, process: Process, *, begun: Change | None = None, finished: Sequence[JournalEntry] = (), attempted: Walk | None = None
    ) -> None:
        """Either ``begun`` is a first change that is not committed yet, or ``process`` is mine with a walk to go on with.

        Or it is at rest and ``attempted`` is what could not begin: then ``broken`` is to be called with the cause.
        """
        super().__init__(engine, process, held=begun is None and attempted is None, finished=finished)
        self.compiled = engine.compiled(process)
        self._last = attempted  #: the walk in hand, or the one before it
        self._temporary: Parameters = attempted.temporary if attempted else EMPTY  #: the run's values
        self._fired = (attempted.trigger.name,) if attempted and attempted.trigger.kind is TriggerKind.TIMER else ()
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

    # ------------------------------------------------------------------ one walk

    def _walk(self, walk: Walk) -> None:
        self._last, self._temporary, self._fired = walk, walk.temporary, ()
        activity = self.process.pinned.activity(walk.activity)
        assert activity is not None, walk.activity
        if walk.step < len(activity.implementation):
            if not self._is_ready():
                return
            if walk.step == 0 and walk.tries == 0 and not walk.attempts:
                self.engine.notify("before_activity_execution", process=self.process, activity=activity.name)
            for index in range(walk.step, len(activity.implementation)):
                if not (self._is_ready() and self._act(activity.implementation[index], index)):
                    return
        self._arrive()
        self._go_on(walk)

    def _act(self, action: ActionRef, index: int) -> bool:
        """Its journal row stays pending, to be committed before the next action or with the arrival. False: it waits, and nobody holds it."""
        changes = self._outcome(action, index)
        if changes is None:
            return False
        journaled = acting.is_journaled(self.engine, action)
        self.journal.changes = FrozenDict({**self.journal.changes, **changes})
        self.unjournaled = EMPTY if journaled else changes
        if journaled:
            now, walk = self._now(), self._current_walk
            entry = JournalEntry(walk_id=walk.id, activity=walk.activity, action=action.name, index=index, changes=changes, at=now)
            self._add(rules.journal(self.process, entry, now=now))
        return True

    # ------------------------------------------------------------------ arrival and what follows

    def _arrive(self) -> None:
        walk, now = self._current_walk, self._now()
        lasting, self._temporary = parameters.at_arrival(self.process, walk, self.journal.changes)
        armed = self._armed(evolve(self.process, parameters=lasting), walk, now) if arming.has_timers(self.process.pinned, walk.activity) else ()
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
        now = self._now()
        walk = rules.next_walk(done, transition, self._temporary, walk_id=self.engine.new_id(), now=now)
        if walk.automatic > self.engine.settings.max_automatic_steps:
            raise self._loop_limit(walk)
        self._add(rules.begin(self.process, walk, owner=self.process.owner, now=now))

    def _next_transition(self, done: Walk) -> Transition | None:
        if not arming.leads_on(self.process):  # the usual arrival: nobody has to be asked
            return None
        is_as_it_was = not done.inputs and done.temporary is self._temporary
        context = done if is_as_it_was else evolve(done, inputs=EMPTY, temporary=self._temporary)
        return Judge(self.engine, self.compiled, self.process, context).choose_automatic()

    def _rest(self) -> None:
        self._come_to_rest(rules.rest(self.process, now=self._now()))

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
        self._add(rules.cancel(self.process, request, server=self._server, now=self._now()))
        self._commit()

    def broken(self, error: BaseException) -> bool:
        """Commits what becomes of a failure; True where the caller is not to hear of it."""
        target, named = acting.way_out(self.process, error)
        if target and self._divert(error, target, named):
            return True
        decision = self.engine.ask_error(self.process, origin_of(error)) if isinstance(error, Exception) else None
        if decision is not None and decision.activity is not None and self._divert(error, decision.activity, "workflow_error"):
            return True
        suppressed = decision is not None and decision.suppress
        self._fail(error, suppressed=suppressed)
        return suppressed

    def _divert(self, error: BaseException, activity: str, by: str) -> bool:
        """The run goes on in another activity; not where there is none of that name, and not round and round."""
        process, now = self.process, self._now()
        given_up = evolve(self._last, temporary=self._temporary) if self._last else None
        walk = rules.walk_after(given_up, activity, Trigger(TriggerKind.AUTO), walk_id=self.engine.new_id(), now=now, reason=by)
        if process.pinned.activity(activity) is None or walk.automatic > self.engine.settings.max_automatic_steps or self._server is None:
            log.error("process %s: %s chose the activity %r, which cannot be entered", process.id, by, activity)
            return False
        self._add(rules.divert(process, error_info(error), walk, server=self._server, now=now, failed_walk=self._last, fired=self._fired))
        self.journal, self.unjournaled = Journal(), EMPTY
        return True

    def _fail(self, error: BaseException, *, suppressed: bool) -> None:
        """Commits the failure: the collected arrivals, the status rule, the cause. The walk in hand is kept."""
        now = self._now()
        due_of = self.engine.due_of(self.process, self._last, now=now, quiet=True)
        timers, cause = self._timer_rows(), error_info(error)
        change = rules.fail(self.process, cause, timers, due_of, server=self._server, now=now, failed_walk=self._last, fired=self._fired)
        self._add(change if suppressed else replace(change, failure=keys.failed(error)))
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
        rows = self._patiently(partial(self.engine.store.timers, self.process.id))
        stored = {timer.name for timer in rows if timer.kind is TimerKind.TIMER}
        return (stored - set(pending.drop) | armed) if pending else stored
