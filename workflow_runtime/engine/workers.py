"""The threads that execute what no caller waits for: due timers, recovered work, queued starts.

They are daemons: an action that never returns must not keep the host from leaving. Whoever has work reserves a
place first, so that nothing is claimed that nobody has time for. Suspects (processes that servers died with) go
through a lane of one, so that a poison process does not take its neighbours with it.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextvars import ContextVar

log = logging.getLogger("workflow_runtime.engine")

Work = Callable[[], object]

#: whose work this is. A context variable, because what an ``async`` action awaits runs in other threads, and the worker waits for it
_at_work: ContextVar[Workers | None] = ContextVar("at_work", default=None)


class _Lane:
    """Some threads that take their work from one queue; ``free`` counts those that are not spoken for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self.free = threading.Semaphore(count)


class Place:
    """A worker that is kept free for somebody: either it takes what it is given, or the place is to be left, once."""

    def __init__(self, workers: Workers, lane: _Lane) -> None:
        self._workers, self._lane = workers, lane

    def give(self, work: Work) -> bool:
        """False, and nothing was taken, where the workers' end has come."""
        return self._workers._put(self._lane, work)

    def leave(self) -> None:
        self._workers._left(self._lane)


class Workers:
    def __init__(self, count: int, *, on_free: Callable[[], None] = lambda: None) -> None:
        self._on_free = on_free
        self._many, self._suspects = _Lane(count), _Lane(1)
        self._threads: list[threading.Thread] = []
        self._idle = threading.Condition()
        self._open = 0  #: places that are reserved or at work
        self._closing = False
        self._ended = False  #: closed, and the grace has passed

    def start(self) -> None:
        for lane in (self._many, self._suspects):
            for _ in range(lane.count):
                name = f"workflow-runtime-worker-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._serve, args=(lane,), name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def reserve(self, *, suspect: bool = False, wait: bool = True) -> Place | None:
        """A free worker, for a suspect the one that suspects have; None once the workers are closing, or if none is free and ``wait`` is False."""
        lane = self._suspects if suspect else self._many
        if not lane.free.acquire(blocking=wait):
            return None
        with self._idle:
            if not self._closing:
                self._open += 1
                return Place(self, lane)
        lane.free.release()  # whoever else waits shall see it too
        return None

    def submit(self, work: Work, *, suspect: bool = False) -> bool:
        """Waits for a free worker and hands it the work; False once the workers are closing."""
        return _given(self.reserve(suspect=suspect), work)

    def offer(self, work: Work, *, suspect: bool = False) -> bool:
        """As ``submit``, but False at once where no worker is free."""
        return _given(self.reserve(suspect=suspect, wait=False), work)

    @property
    def am_one(self) -> bool:
        """Whether the caller is work of theirs, or awaited by it, and must not wait for the others."""
        return _at_work.get() is self

    def _serve(self, lane: _Lane) -> None:
        _at_work.set(self)
        while (work := lane.queue.get()) is not None:
            try:
                work()
            except Exception:
                log.exception("a piece of background work failed")
            except BaseException as error:  # SystemExit of an action: this worker goes on, the host decides about itself
                log.critical("an action raised %r in a worker", error)
            finally:
                self._left(lane)

    def _put(self, lane: _Lane, work: Work) -> bool:
        with self._idle:
            if not self._ended:
                lane.queue.put(work)
            return not self._ended

    def _left(self, lane: _Lane) -> None:
        lane.free.release()
        with self._idle:
            self._open -= 1
            self._idle.notify_all()
        self._on_free()

    def wait_until_idle(self, timeout: float | None = None) -> bool:
        """True when all places are free again."""
        return self.wait_until(lambda: self._open == 0, timeout)

    def wait_until(self, done: Callable[[], bool], timeout: float | None = None) -> bool:
        """Looks whenever a place is free again; False after ``timeout`` seconds, or where the workers' end has come before."""
        with self._idle:
            self._idle.wait_for(lambda: done() or self._ended, timeout)
            return done()

    def close(self, grace: float) -> bool:
        """Takes nothing more and waits ``grace`` seconds for what is in hand; False where something still runs."""
        with self._idle:
            self._closing = True
        for lane in (self._many, self._suspects):
            lane.free.release()  # wakes who waits for a place; it sees that the workers are closing
        finished = self.wait_until_idle(grace)
        with self._idle:  # behind the last work that was taken
            self._ended = True
            self._idle.notify_all()
            for lane in (self._many, self._suspects):
                for _ in range(lane.count):
                    lane.queue.put(None)
        return finished


def _given(place: Place | None, work: Work) -> bool:
    if place is None:
        return False
    taken = place.give(work)
    if not taken:
        place.leave()
    return taken
