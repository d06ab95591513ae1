"""Fires due rows: reads them oldest first, hands each to a free worker, and says when the next is due.

A timer's truth is its row. A row whose process is in hand here is left alone; when that work ends the loop is
nudged, so nothing that fell due meanwhile waits for the next poll.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from workflow_runtime.core.process import DueTimer
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.executor import Executor
from workflow_runtime.engine.workers import Work, Workers
from workflow_runtime.errors import ExecutionError, ProcessBusy, ProcessNotFound

log = logging.getLogger("workflow_runtime.engine")

ROWS_PER_WORKER = 2  #: read at once; rows that nobody has time for are read again by the next poll, so more would be waste

Place = Callable[[Work], bool]  #: hands work to a worker; False where it was not taken


class TimerLoop:
    """``wait``: each poll ends only when what it began has ended; that is how a fake clock wants it.

    A worker that polls (its work has nudged the loop) never waits: it would wait for itself.
    """

    def __init__(self, engine: Engine, executor: Executor, workers: Workers, *, wait: bool) -> None:
        self.engine, self.executor, self.workers, self.wait = engine, executor, workers, wait
        self._set_aside: dict[UUID, datetime] = {}  #: cannot be fired here now; until when
        self._passed_over: set[UUID] = set()  #: due, and in hand here when it was looked at
        self._more = False  #: more was due than there were workers
        engine.live.on_free = self._came_free

    def poll(self) -> datetime | None:
        """Begins what is due; the due time of the next row to come, on the database's clock."""
        if self.engine.draining:
            return None
        now, wait = self.engine.now(), self.wait and not self.workers.am_one
        for process_id in [process_id for process_id, until in list(self._set_aside.items()) if until <= now]:
            del self._set_aside[process_id]
        while self._fire_due(now, self.workers.submit if wait else self.workers.offer) and wait:
            self.workers.wait_until_idle()
        next_due = self.engine.store.next_due(after=now)
        return min([*filter(None, [next_due]), *list(self._set_aside.values())], default=None)

    def freed(self) -> None:
        """A worker has become free."""
        if self._more:
            self.engine.nudge()

    def _came_free(self, process_id: UUID) -> None:
        """Work on a process has ended that was due meanwhile."""
        if process_id in self._passed_over:
            self._passed_over.discard(process_id)
            self.engine.nudge()

    def _fire_due(self, now: datetime, place: Place) -> bool:
        """Whether anything was begun. Of two rows of one process the earlier goes first: the other is looked at when it has ended."""
        limit = ROWS_PER_WORKER * self.engine.settings.workers + len(self._set_aside)
        rows = self.engine.store.due(now, limit)
        taken = [self._begin(row, place) for row in rows if row.process_id not in self._set_aside and self._is_free(row.process_id)]
        self._more = not all(taken) or len(rows) >= limit
        return any(taken)

    def _is_free(self, process_id: UUID) -> bool:
        if process_id not in self.engine.live:
            return True
        self._passed_over.add(process_id)  # noted first and looked at again: what ends between the two is not missed
        return process_id not in self.engine.live

    def _begin(self, row: DueTimer, place: Place) -> bool:
        self.engine.live.take(row.process_id)
        taken = place(lambda: self._fire(row))
        if not taken:
            self.engine.live.drop(row.process_id)
        return taken

    def _fire(self, row: DueTimer) -> None:
        try:
            self.executor.fire(row.process_id, row.timer)
        except (ProcessNotFound, ProcessBusy) as error:
            log.debug("timer %r of process %s: %s", row.timer.name, row.process_id, error)
        except ExecutionError as error:
            log.warning("timer %r of process %s: %s", row.timer.name, row.process_id, error)
        except Exception as error:  # the row stays due: it must not be tried again at once, nor stop the others
            log.error("timer %r of process %s cannot be fired here: %s", row.timer.name, row.process_id, error)
            self._set_aside[row.process_id] = self.engine.now() + timedelta(seconds=self.engine.settings.poll)
        finally:
            self.engine.live.drop(row.process_id)
