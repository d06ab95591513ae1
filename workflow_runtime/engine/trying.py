"""The attempts at one action: until it is done, waits, or has failed for good.

=========================================  ===================================================================
an attempt                                 what follows
=========================================  ===================================================================
returned                                   its changes
raised                                     the retry policy, then the exception handlers of the activity; where
                                           neither repeats or ignores it, the failure
has not ended at the deadline of the walk  the token + 1 is committed, then the reaction that the execution timeout
                                           of the activity declares (core/expiring.py)
=========================================  ===================================================================

An action with a deadline runs in a thread of its own. Between it and this one stands ``_gate``: a step is either stored
before the action is given up, or its token is out of date and it is refused. One that is to be done at most once is never
begun again by a deadline: what its check knows counts, else its outcome is unknown.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from workflow_runtime.core import expiring, retrying, rules, waiting
from workflow_runtime.core.attempts import Attempts, counted
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.process import JournalEntry, Parameters, Process
from workflow_runtime.core.retrying import Wait
from workflow_runtime.core.scheme_elements import ActionRef
from workflow_runtime.core.scheme_words import ReactionType
from workflow_runtime.core.stepping import Journal
from workflow_runtime.engine import acting
from workflow_runtime.engine.deadlines import Call, DeadlinePassed
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.failures import error_info, given_up, timed_out
from workflow_runtime.engine.inhand import InHand
from workflow_runtime.errors import ActionFailed, ActionTimedOut, OutcomeUnknown

log = logging.getLogger("workflow_runtime.engine")


class Trying(InHand):
    """A process in hand whose actions can be called."""

    def __init__(self, engine: Engine, process: Process, *, held: bool, finished: Sequence[JournalEntry] = ()) -> None:
        super().__init__(engine, process, held=held)
        self.journal = Journal(finished)
        self.unjournaled: Parameters = EMPTY  #: changes of actions declared journal=False since the last journal row
        self._gate = threading.Lock()
        self._ends: tuple[datetime, float] | None = None  #: a deadline, and the same as a monotonic moment

    # ------------------------------------------------------------------ before

    def _is_ready(self) -> bool:
        """What stands before the next attempt is durable, its deadline too. False: the process was handed back."""
        is_bounded = expiring.limit_of(self.process) is not None
        if is_bounded and self.pending is not None and self._current_walk.deadline is None:
            self._replace(expiring.bounded(self.pending, self._now()))
        self._commit()
        if self.engine.draining:
            self._add(waiting.release(self.process, now=self._now()))
            self._commit(heed_cancel=False)
            return False
        if is_bounded and self.engine.deadlines.are_full:
            self._postpone()
            return False
        return True

    def _postpone(self) -> None:
        """This server has left so many threads behind that it takes no more of this kind: another one may, or this one later."""
        log.warning("process %s waits: %d actions that were given up still run here", self.process.id, self.engine.deadlines.left_behind)
        now = self._now()
        self._come_to_rest(waiting.postpone(self.process, now + timedelta(seconds=self.engine.settings.poll), now=now))

    # ------------------------------------------------------------------ one attempt

    def _attempt(self, action: ActionRef, index: int) -> Parameters:
        changes = None
        if self._current_walk.in_doubt and acting.is_at_most_once(self.engine, action):
            changes = self._checked(action, index)
        if changes is None:
            changes = self._performed(action, index)
        return FrozenDict({**self.unjournaled, **changes})

    def _checked(self, action: ActionRef, index: int) -> Parameters | None:
        return acting.outcome(self.engine, self.process, action, index, **self._surroundings)

    def _performed(self, action: ActionRef, index: int) -> Parameters:
        """What it changes. ActionTimedOut: its time was over before it could begin, or it still runs and was given up."""
        left = self._seconds_left()
        if left is None:
            return acting.perform(self.engine, self.process, action, index, **self._surroundings)
        if left <= 0:
            raise timed_out(self.process, action.name, begun=False)
        work = partial(_perform, self.engine, self.process, action, index, self._surroundings)
        late = timed_out(self.process, action.name, begun=True)
        try:
            return self.engine.deadlines.call(late.message, work, left, give_up=partial(self._give_up, action, late))
        except DeadlinePassed:
            return self._left_behind(action, index, late)

    @property
    def _surroundings(self) -> dict[str, Any]:
        return {"journal": self.journal, "record": partial(self._record_step, self.process.token), "now": self._now}

    def _record_step(self, token: int, entry: JournalEntry) -> None:
        """Commits a row of a ``ctx.step`` of an attempt with this token; a request to cancel waits for the end of the action."""
        with self._gate:
            if self.process.token != token:
                raise given_up(self.process, entry.activity, entry.action)
            self._add(rules.journal_step(self.process, entry, now=entry.at))
            self._commit(heed_cancel=False)
            self.journal.add(entry)
        self.engine.progress.made(self.process.id)

    # ------------------------------------------------------------------ until it is done

    def _outcome(self, action: ActionRef, index: int) -> Parameters | None:
        """Its changes, none where its failure is ignored; None: it waits. ActionFailed where neither policy nor handler knows better."""
        retried = Counter[int]()
        while True:
            try:
                return self._attempt(action, index)
            except ActionTimedOut as error:
                if not expiring.repeats(self.process):
                    raise
                self._add(expiring.once_more(self.process, error_info(error), server=self._server, now=self._now()))
                if not self._is_ready():
                    return None
            except ActionFailed as error:
                now = self._now()
                attempts, failed = counted(self._current_walk.attempts, index, now)
                following = acting.what_follows(self.engine, self.process, action, failed, error, now)
                if isinstance(following, Wait):
                    if not self._try_again(attempts, failed.failed, error, following, now):
                        return None
                    continue
                log.info("process %s: action %r has no further attempt by a retry policy: %s", self.process.id, action.name, following.reason)
                if not self._repeats(attempts, failed.failed, error, None if acting.unrepeatable(self.engine, action, error) else retried, now):
                    return self.unjournaled

    def _repeats(self, attempts: tuple[Attempts, ...], failed: int, error: ActionFailed, retried: Counter[int] | None, now: datetime) -> bool:
        """What an exception handler does here and now: call again (never without ``retried``), or (False) ignore it. ``error`` where the walk ends."""
        handler = acting.handler_of(self.process, error, retried)
        if handler is None or handler.type not in (ReactionType.RETRY, ReactionType.IGNORE):
            raise error
        named, cause = f"exception handler {handler.order}", error_info(error)
        if handler.type is ReactionType.IGNORE:
            self._add(waiting.ignored(self.process, cause, f"{named} ignores it", server=self._server, now=now))
            return False
        assert retried is not None
        retried[handler.order] += 1
        reason = f"attempt {failed} failed; {named} repeats it at once"
        self._add(waiting.attempted(self.process, attempts, cause, reason, server=self._server, now=now))
        self._heed_cancel()
        return True

    def _try_again(self, attempts: tuple[Attempts, ...], failed: int, error: ActionFailed, following: Wait, now: datetime) -> bool:
        """Whether the next attempt is now; False: it is written, to be made by any server. No wait goes beyond the deadline."""
        deadline, next_at = self._current_walk.deadline, retrying.due(now, following)
        reason = f"attempt {failed} failed; the next follows at {next_at.isoformat()}"
        is_cut = deadline is not None and deadline < next_at
        if deadline is not None and is_cut:
            next_at, following = deadline, Wait(max(0.0, (deadline - now).total_seconds()))
            reason = f"attempt {failed} failed; the deadline comes before the next, at {deadline.isoformat()}"
        self._add(waiting.attempted(self.process, attempts, error_info(error), reason, server=self._server, now=now))
        if not following.is_written and not self.engine.draining:
            self.engine.pauses.wait(self.process.id, following.seconds)
            self._heed_cancel()
        if not following.is_written and not self.engine.draining:
            self._ends = (deadline, self.engine.clock.monotonic()) if deadline and is_cut else self._ends
            return True
        self._come_to_rest(waiting.wait(self.process, next_at, now=now))
        return False

    # ------------------------------------------------------------------ deadlines

    def _seconds_left(self) -> float | None:
        """Until the deadline of the walk in hand, None where it has none. Aged by monotonic time: what is known need not be asked again."""
        deadline, monotonic = self._current_walk.deadline, self.engine.clock.monotonic
        if deadline is None:
            return None
        if self._ends is None or self._ends[0] != deadline:
            left = (deadline - self._now()).total_seconds()
            self._ends = deadline, monotonic() + left
        return self._ends[1] - monotonic()

    def _give_up(self, action: ActionRef, late: ActionTimedOut, stack: str) -> None:
        """The token first: from here on nothing of the attempt is stored. It waits for a step that is being committed."""
        late.add_note(f"It stood here:\n{stack or 'nowhere: it has just ended'}")
        now, in_doubt = self._now(), acting.is_at_most_once(self.engine, action)
        with self._gate:
            self._add(expiring.give_up(self.process, error_info(late), in_doubt=in_doubt, now=now))
        log.warning("%s, and is given up (%d such actions still run)", late.message, self.engine.deadlines.left_behind)
        self.engine.progress.given_up(self.process.id)
        self._commit()

    def _left_behind(self, action: ActionRef, index: int, late: ActionTimedOut) -> Parameters:
        """What comes of an action that was given up: ``late``; of one that is to be done at most once what its check knows. OutcomeUnknown."""
        if not acting.is_at_most_once(self.engine, action):
            raise late
        leads_on = bool(expiring.target_of(self.process))
        try:
            changes = self._checked(action, index)
        except OutcomeUnknown:
            if leads_on:
                raise late from None
            raise
        if changes is not None:
            return changes
        raise late if leads_on else acting.unknown(self.process, action)  # it may still be done: never a second time


def _perform(engine: Engine, process: Process, action: ActionRef, index: int, surroundings: dict[str, Any], call: Call[Parameters]) -> Parameters:
    return acting.perform(engine, process, action, index, call=call, **surroundings)
