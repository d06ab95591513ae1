"""Timers that fall due together and run nothing: fired as one transaction instead of one each.

Law: a batch is as if each of its timers had been fired alone. The answer to each is that of the executor, its run that of
``sketch``, and each change is guarded on its own; listeners are told after the commit, the earliest timer first. What is not
ordinary is left, untouched, to who fires one by one. The caller keeps all of them registered as work in hand meanwhile.

=============================================  =====================================================
a timer of the batch                           what is done
=============================================  =====================================================
leads to rest without an action                its change goes with the others
is too late, or none of its ways can be taken  the same: its refusal is a change too
is not due any more                            nothing
of a process that is gone or cannot be read    left
its run acts, or anything raises               left
its turn comes after ``LONGEST`` seconds       left: conditions are users' code and may be slow
its guard fails                                left: another was first
=============================================  =====================================================

A change that the database refuses, or a row that somebody keeps locked, takes the whole transaction with it: then all are left. Where the
database is away, or this server may not write, nobody is: StoreUnavailable, Fenced. Rows are locked in the order of their ids, so two servers never
wait for each other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from workflow_runtime.core.process import Change, Process, Timer
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.executor import Executor
from workflow_runtime.engine.sketching import sketch
from workflow_runtime.errors import Fenced, StoreUnavailable
from workflow_runtime.store.trouble import Trouble
from workflow_runtime.store.writes import DueRow, Outcome

log = logging.getLogger("workflow_runtime.engine")

FEWEST, MOST = 4, 50  #: timers of a batch
OF_ONE_ROW = (Trouble.CONTENDED, Trouble.TIMEOUT)  #: the others may have no part in it
LONGEST = 0.25  #: seconds, after which no more timers are decided


class Batch:
    """Use once, from one thread: ``fire``, then ``tell``."""

    def __init__(self, engine: Engine, executor: Executor) -> None:
        self.engine, self.executor = engine, executor
        self.left: set[UUID] = set()  #: to be fired one by one
        self._changes: dict[UUID, Change] = {}  #: what is to become true
        self._applied: list[Change] = []

    def fire(self, due: Sequence[DueRow]) -> None:
        """Timers of different processes, in one transaction. StoreUnavailable, Fenced: nothing was written, or it is not known."""
        try:
            self._decide(due)
            self._commit()
        except Fenced:
            raise
        except Exception as error:
            if isinstance(error, StoreUnavailable) and error.nouns.get("reason") not in OF_ONE_ROW:
                raise
            log.info("%d timers are fired one by one: %s", len(due), error)
            self.left = {row.process_id for row in due}

    def tell(self) -> None:
        """Listeners hear of it. Whatever one raises, they hear of the others."""
        while self._applied:
            try:
                self.engine.tell(self._applied.pop(0))
            except BaseException:
                self.tell()
                raise

    def _decide(self, due: Sequence[DueRow]) -> None:
        """Timers are read behind their processes, as the executor does: what is written between the two fails the guard."""
        ends = self.engine.clock.monotonic() + LONGEST
        found = self.engine.store.load_all([row.process_id for row in due])
        timers = self.engine.store.timers_of(list(found))
        for row in due:
            process = found.get(row.process_id)
            if process is None or self.engine.clock.monotonic() > ends or not self._is_decided(process, row.timer, timers[process.id]):
                self.left.add(row.process_id)

    def _is_decided(self, process: Process, timer: Timer, rows: Sequence[Timer]) -> bool:
        try:
            process, walk = self.engine.attach(process), self.executor.walk_of(timer)
            begun = self.executor.answer(process, timer, rows, walk)
            change = sketch(self.engine, process, begun) if begun else None
        except (StoreUnavailable, Fenced):
            raise
        except BaseException as error:  # also one that ends threads: it must not keep the others from being fired
            log.debug("timer %r of process %s is fired by itself: %r", timer.name, process.id, error)
            return False
        if change is not None:
            self._changes[process.id] = change
        return change is not None or begun is None

    def _commit(self) -> None:
        ids = sorted(self._changes)
        outcomes = dict(zip(ids, self.engine.apply_all([self._changes[each] for each in ids]), strict=True)) if ids else {}
        self._applied = [change for each, change in self._changes.items() if outcomes[each] is Outcome.APPLIED]
        self.left |= {each for each, outcome in outcomes.items() if outcome is not Outcome.APPLIED}
