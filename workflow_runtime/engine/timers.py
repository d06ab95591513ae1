"""Fires due rows: reads them oldest first, hands each to a free worker, and says when the next is due.

A timer's truth is its row. What cannot be fired now never stands before what can:

==========================================  ====================================================================
due, and                                    what is done
==========================================  ====================================================================
the version needs names that are not here   left to other servers: not read any more
in hand here                                passed over; when that work ends the loop is nudged
no worker is free                           passed over; when one comes free the loop is nudged
it waits, and row or scheme are unreadable  Error with the cause: nothing else would ever end that wait
it cannot be fired for any other reason     set aside for one ``poll``: the process, or all timers of a version nobody can read
==========================================  ====================================================================

Several servers read the same rows, and the guard lets one of them have each. So that they seldom meet, each process
has an order of servers (``turn``), which all work out alike from who lives:

==========================================  ====================================================================
due, and this server stands                 it is begun
==========================================  ====================================================================
first for it                                at once, before all others
second, third ... for it                    one ``YIELD``, two ... after it was due, if a worker is free then
somewhere, and for a whole ``poll`` there   in one round by age alone: who stands first may live and have no
was more than workers had time for          worker free, and what is left to it must not wait for ever
==========================================  ====================================================================

In each group the oldest goes first.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import blake2b
from operator import itemgetter
from uuid import UUID

from workflow_runtime.core.process import Process, TimerKind
from workflow_runtime.core.recovering import SUSPECT_DEATHS
from workflow_runtime.engine.desk import damaged
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.executor import Executor
from workflow_runtime.engine.failures import error_info
from workflow_runtime.engine.workers import Workers
from workflow_runtime.errors import ExecutionError, Fenced, ProcessBusy, ProcessNotFound, RowUnreadable, SchemeError, SchemeNotFound, StoreUnavailable
from workflow_runtime.store.writes import DueRow

log = logging.getLogger("workflow_runtime.engine")

ROWS_PER_WORKER = 2  #: of every living server, read at first; rows that nobody has time for are read again by the next poll
YIELD = timedelta(milliseconds=50)  #: enough to claim what falls due now, and too short to be missed


class TimerLoop:
    """``wait``: each poll ends only when what it began has ended; that is how a fake clock wants it.

    A worker that polls (its work has nudged the loop) never waits: it would wait for itself.
    """

    def __init__(self, engine: Engine, executor: Executor, workers: Workers, *, wait: bool) -> None:
        self.engine, self.executor, self.workers, self.wait = engine, executor, workers, wait
        self._set_aside: dict[UUID | str, datetime] = {}  #: processes, and versions that cannot be read; until when
        self._passed_over: set[UUID] = set()  #: due, and in hand here when it was looked at
        self._more = False  #: more was due than there were workers
        self._busy_since: datetime | None = None  #: since when there always was more, or a round went by age
        self._yielded: datetime | None = None  #: when the first of the rows that were left to others is ours too
        engine.live.on_free = self._came_free

    def poll(self) -> datetime | None:
        """Begins what is due; the due time of the next row to come, on the database's clock."""
        self.engine.progress.look()  # of what is in hand while the server shuts down too
        if self.engine.draining:
            return None
        now, wait = self.engine.now(), self.wait and not self.workers.am_one
        for held in [held for held, until in list(self._set_aside.items()) if until <= now]:
            del self._set_aside[held]
        while self._fire_due(now, wait) and wait:
            self.workers.wait_until_idle()
        next_due = self.engine.store.next_due(after=now, without=self.engine.foreign)
        return min([*filter(None, [next_due, self._yielded]), *list(self._set_aside.values())], default=None)

    def freed(self) -> None:
        """A worker has become free."""
        if self._more and not self.engine.draining:
            self.engine.nudge()

    def _came_free(self, process_id: UUID) -> None:
        """Work on a process has ended that was due meanwhile."""
        if process_id in self._passed_over:
            self._passed_over.discard(process_id)
            self.engine.nudge()

    def _fire_due(self, now: datetime, wait: bool) -> bool:
        """Whether anything was begun. Reads on until no worker is free or no row is left."""
        peers = () if self._goes_by_age(now) else self.engine.presence.peers
        self._more, begun, limit = False, False, ROWS_PER_WORKER * self.engine.settings.workers * max(1, len(peers))
        while True:
            rows = self.engine.store.due(now, limit, self.engine.foreign)
            for row in self._in_turn(rows, now, peers):
                if self._may_fire(row):
                    taken = self._begin(row, wait)
                    begun = begun or taken
                    if not (taken or _is_suspect(row)):
                        return begun
            if len(rows) < limit:
                return begun
            limit *= 2

    def _goes_by_age(self, now: datetime) -> bool:
        since = self._busy_since if self._more and self._busy_since else now
        by_age = now - since >= timedelta(seconds=self.engine.settings.poll)
        self._busy_since = now if by_age else since
        return by_age

    def _in_turn(self, rows: list[DueRow], now: datetime, peers: Collection[str]) -> list[DueRow]:
        """This server's rows before those of others; without those that are still left to them."""
        self._yielded = None
        if len(peers) < 2:
            return rows
        me, ours = self.engine.me, list[tuple[int, DueRow]]()
        for row in rows:
            place = turn(row.process_id, me, peers)
            begins = row.timer.due + place * YIELD
            if begins <= now:
                ours.append((place, row))
            else:
                self._yielded = min(begins, self._yielded or begins)
        return [row for _, row in sorted(ours, key=itemgetter(0))]

    def _may_fire(self, row: DueRow) -> bool:
        """Of two rows of one process the earlier goes first: the other is looked at when it has ended."""
        if row.process_id in self._set_aside or (row.version in self._set_aside and row.timer.kind is TimerKind.TIMER):
            return False
        if row.process_id not in self.engine.live:
            return True
        self._passed_over.add(row.process_id)  # noted first and looked at again: what ends between the two is not missed
        return row.process_id not in self.engine.live

    def _begin(self, row: DueRow, wait: bool) -> bool:
        self.engine.live.take(row.process_id)
        taken = self._place(row, wait)
        if not taken:
            self._more = True  # as above: a worker that came free before this was noted has nudged nobody
            taken = self._place(row, wait)
        if not taken:
            self.engine.live.drop(row.process_id)
        return taken

    def _place(self, row: DueRow, wait: bool) -> bool:
        hand = self.workers.submit if wait else self.workers.offer
        return hand(lambda: self._fire(row), suspect=_is_suspect(row))

    def _fire(self, row: DueRow) -> None:
        try:
            self._attempt(row)
        except (ProcessNotFound, ProcessBusy) as error:
            log.debug("timer %r of process %s: %s", row.timer.name, row.process_id, error)
        except ExecutionError as error:
            log.warning("timer %r of process %s: %s", row.timer.name, row.process_id, error)
        except Exception as error:  # the row stays due: it must not be tried again at once, nor stop the others
            passes = isinstance(error, StoreUnavailable | Fenced)
            log.log(logging.INFO if passes else logging.ERROR, "timer %r of process %s cannot be fired here: %s", row.timer.name, row.process_id, error)
            held = row.version if isinstance(error, (SchemeNotFound, SchemeError)) else row.process_id
            self._set_aside[held] = self.engine.now() + timedelta(seconds=self.engine.settings.poll)
        finally:
            self.engine.live.drop(row.process_id)

    def _attempt(self, row: DueRow) -> None:
        try:
            self.executor.fire(row.process_id, row.timer)
        except (RowUnreadable, SchemeNotFound, SchemeError) as error:
            if row.timer.kind is TimerKind.TIMER or not self._break_off(row.process_id, error.message):
                raise
            log.error("process %s waited and cannot be read; it is in Error now: %s", row.process_id, error)

    def _break_off(self, process_id: UUID, cause: str) -> bool:
        """False where it is in somebody's hands by now, or gone, or was broken off before: rows are read once for many processes, and may be old."""
        found = self.engine.store.load_or_note(process_id)
        if found is None or found.owner is not None or not self.engine.store.waits(process_id):
            return False
        row = damaged(found, f"process {process_id} cannot be read: {cause}") if isinstance(found, Process) else found
        marked = self.engine.store.mark_unreadable(row, error_info(row.cause))
        if marked:
            self.engine.tell_of_damage(process_id)
        return marked


def turn(process_id: UUID, me: str, peers: Collection[str]) -> int:
    """How many of the living stand before me. When one of them goes, nothing changes but that its rows fall to their next."""
    mine = _weight(process_id, me)
    return sum(_weight(process_id, peer) > mine for peer in peers if peer != me)


def _weight(process_id: UUID, server: str) -> bytes:
    return blake2b(process_id.bytes + server.encode(), digest_size=8).digest()


def _is_suspect(row: DueRow) -> bool:
    """What waits after servers have died with it goes one at a time; a timer is new work."""
    return row.timer.kind is not TimerKind.TIMER and row.deaths >= SUSPECT_DEATHS
