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

Timers behind which nothing is executed are begun in batches, one worker for each; see firing.py. There are so many only where a
server is behind, and the others may be too: it looks far ahead for what it stands first for before it takes what is theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import partial
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from uuid import UUID

from workflow_runtime.core.process import Process, TimerKind
from workflow_runtime.core.recovering import SUSPECT_DEATHS
from workflow_runtime.engine.desk import damaged
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.executor import Executor
from workflow_runtime.engine.failures import error_info
from workflow_runtime.engine.firing import FEWEST, MOST, Batch
from workflow_runtime.engine.workers import Workers
from workflow_runtime.errors import ExecutionError, Fenced, ProcessBusy, ProcessNotFound, RowUnreadable, SchemeError, SchemeNotFound, StoreUnavailable
from workflow_runtime.store.writes import DueRow

log = logging.getLogger("workflow_runtime.engine")

ROWS_PER_WORKER = 2  #: of every living server, read at first; rows that nobody has time for are read again by the next poll
Turn = tuple[int, DueRow]  #: how many servers stand before this one for it
Key = tuple[UUID, str]  #: of a timer
AT_ONCE = 2  #: batches: one is decided while the other is committed; with more, commands wait for the processor
YIELD = timedelta(milliseconds=50)  #: enough to claim what falls due now, and too short to be missed


class TimerLoop:
    """``wait``: each poll ends only when what it began has ended; that is how a fake clock wants it.

    A worker that polls (its work has nudged the loop) never waits: it would wait for itself.
    """

    def __init__(self, engine: Engine, executor: Executor, workers: Workers, *, wait: bool) -> None:
        self.engine, self.executor, self.workers, self.wait = engine, executor, workers, wait
        self._set_aside: dict[UUID | str, datetime] = {}  #: processes, and versions that cannot be read; until when
        self._passed_over: set[UUID] = set()  #: due, and in hand here when it was looked at
        self._more = False  #: more was due than there were workers, or may go together at once
        self._busy_since: datetime | None = None  #: since when there always was more, or a round went by age
        self._together: list[frozenset[Key]] = []  #: batches that are not committed yet
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
        """A worker has become free, or a batch is committed."""
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
        self._more, begun = False, False
        limit, far = self._sight(len(peers))
        while True:
            rows = self.engine.store.due(now, limit, self.engine.foreign)
            may_be_more = len(rows) == limit
            batches = self._batches(self._in_turn(rows, now, peers), wants_more=may_be_more and limit < far)
            for batch in batches:
                taken = self._begin(batch, wait)
                begun = begun or taken
                may_be_more = may_be_more and (taken or len(batch) == 1)
                if not (taken or len(batch) > 1 or _is_suspect(batch[0])):
                    return begun
            if not may_be_more:
                return begun
            limit *= 2

    def _sight(self, peers: int) -> tuple[int, int]:
        """How many rows are read at first, and how many show enough for all workers. What is in hand stands before the rest until it is committed."""
        workers, in_hand = self.engine.settings.workers * max(1, peers), len(self.engine.live)
        return ROWS_PER_WORKER * workers + in_hand + min(in_hand, MOST), MOST * workers

    def _batches(self, turns: list[Turn], *, wants_more: bool) -> list[list[DueRow]]:
        """What may be fired, a batch where the first of its rows stands. ``wants_more``: of what is due only the first rows were read,
        and they may be too few: then a batch that is all there is has to grow first, and what is others' is left to them."""
        quiet = self.engine.schemes.quiet_timers({row.version for _, row in turns})
        batches, met = list[list[DueRow]](), set[UUID]()
        for place, group in groupby(turns, itemgetter(0)):
            together: list[DueRow] = []
            for _, row in group:
                is_quiet = row.timer.kind is TimerKind.TIMER and (row.version, row.timer.name) in quiet
                if (is_quiet and place and wants_more) or not self._may_fire(row, met):
                    continue
                met.add(row.process_id)
                if is_quiet and len(together) % MOST:
                    together.append(row)
                    continue
                batches.append([row])
                together = batches[-1] if is_quiet else together
        if wants_more and len(batches) == 1 and (batches[0][0].version, batches[0][0].timer.name) in quiet and len(batches[0]) < MOST:
            return []
        return [part for batch in batches for part in (([row] for row in batch) if len(batch) < FEWEST else (batch,))]

    def _goes_by_age(self, now: datetime) -> bool:
        since = self._busy_since if self._more and self._busy_since else now
        by_age = now - since >= timedelta(seconds=self.engine.settings.poll)
        self._busy_since = now if by_age else since
        return by_age

    def _in_turn(self, rows: list[DueRow], now: datetime, peers: Collection[str]) -> list[Turn]:
        """This server's rows before those of others; without those that are still left to them."""
        self._yielded = None
        if len(peers) < 2:
            return [(0, row) for row in rows]
        me, ours = self.engine.me, list[Turn]()
        for row in rows:
            place = turn(row.process_id, me, peers)
            begins = row.timer.due + place * YIELD
            if begins <= now:
                ours.append((place, row))
            else:
                self._yielded = min(begins, self._yielded or begins)
        return sorted(ours, key=itemgetter(0))

    def _may_fire(self, row: DueRow, met: Collection[UUID]) -> bool:
        """Of two rows of one process the earlier, whose process was ``met``, goes first: the other is looked at when it has ended."""
        if row.process_id in self._set_aside or (row.version in self._set_aside and row.timer.kind is TimerKind.TIMER):
            return False
        if any(_key_of(row) in batch for batch in list(self._together)):  # it goes with the commit, or is seen to
            return False
        if row.process_id not in met and row.process_id not in self.engine.live:
            return True
        self._passed_over.add(row.process_id)  # noted first and looked at again: what ends between the two is not missed
        return row.process_id not in met and row.process_id not in self.engine.live

    def _begin(self, batch: list[DueRow], wait: bool) -> bool:
        for row in batch:
            self.engine.live.take(row.process_id)
        taken = self._place(batch, wait)
        if not taken:
            self._more = True  # as above: a worker that came free before this was noted has nudged nobody
            taken = self._place(batch, wait)
        if not taken:
            self._drop(batch)
        return taken

    def _place(self, batch: list[DueRow], wait: bool) -> bool:
        hand = self.workers.submit if wait else self.workers.offer
        if len(batch) == 1:
            return hand(partial(self._fire, batch[0]), suspect=_is_suspect(batch[0]))
        if len(self._together) >= AT_ONCE:
            return False
        keys = frozenset(map(_key_of, batch))
        self._together.append(keys)
        taken = hand(partial(self._fire_together, batch, keys))
        if not taken:
            self._together.remove(keys)
        return taken

    def _drop(self, rows: list[DueRow]) -> None:
        for row in rows:
            self.engine.live.drop(row.process_id)

    def _fire_together(self, batch: list[DueRow], keys: frozenset[Key]) -> None:
        left: Collection[UUID] = ()
        try:
            left = self._committed(batch, keys)
        finally:
            self._drop([row for row in batch if row.process_id not in left])
        self._fire_each([row for row in batch if row.process_id in left])

    def _committed(self, batch: list[DueRow], keys: frozenset[Key]) -> Collection[UUID]:
        """Fires them and tells of them; those that are left. Another batch begins while listeners take their time."""
        together = Batch(self.engine, self.executor)
        try:
            together.fire(batch)
        except (StoreUnavailable, Fenced) as error:
            log.info("%d timers cannot be fired here: %s", len(batch), error)
            self._put_aside([row.process_id for row in batch])
        finally:
            self._together.remove(keys)
            self.freed()
        together.tell()
        return together.left

    def _fire_each(self, left: list[DueRow]) -> None:
        """By whom there is: they may act, and wait for each other no longer than they must. Whatever one raises, each has its turn."""
        if not left:
            return
        try:
            if not self._place(left[:1], False):
                self._fire(left[0])
        finally:
            self._fire_each(left[1:])

    def _put_aside(self, held: Iterable[UUID | str]) -> None:
        self._set_aside.update(dict.fromkeys(held, self.engine.now() + timedelta(seconds=self.engine.settings.poll)))

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
            self._put_aside([row.version if isinstance(error, (SchemeNotFound, SchemeError)) else row.process_id])
        except BaseException:  # of a condition: the worker tells of it
            self._put_aside([row.process_id])
            raise
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


def _key_of(row: DueRow) -> Key:
    return row.process_id, row.timer.name


def _is_suspect(row: DueRow) -> bool:
    """What waits after servers have died with it goes one at a time; a timer is new work."""
    return row.timer.kind is not TimerKind.TIMER and row.deaths >= SUSPECT_DEATHS
