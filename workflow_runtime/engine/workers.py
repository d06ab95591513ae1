"""The threads that execute what no caller waits for: due timers, recovered work, queued starts.

They are daemons: an action that never returns must not keep the host from leaving. ``submit`` waits for a free
worker, so that nothing is claimed that nobody has time for. Suspects (processes that servers died with) go
through a lane of one, so that a poison process does not take its neighbours with it.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger("workflow_runtime.engine")

Work = Callable[[], object]


class Workers:
    def __init__(self, count: int, *, on_free: Callable[[], None] = lambda: None) -> None:
        self._count, self._on_free = count, on_free
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._suspects: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._slots = threading.Semaphore(count)
        self._threads: list[threading.Thread] = []
        self._idle = threading.Condition()
        self._open = 0  #: pieces of work taken and not finished
        self._closing = False

    def start(self) -> None:
        lanes = [self._queue] * self._count + [self._suspects]
        for number, lane in enumerate(lanes):
            thread = threading.Thread(target=self._serve, args=(lane,), name=f"workflow-runtime-worker-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def submit(self, work: Work) -> bool:
        """Waits for a free worker and hands it the work; False once the workers are closing."""
        self._slots.acquire()
        return self._put(self._queue, work, slot=True)

    def offer(self, work: Work) -> bool:
        """As ``submit``, but False at once where no worker is free."""
        return self._slots.acquire(blocking=False) and self._put(self._queue, work, slot=True)

    def submit_suspect(self, work: Work) -> bool:
        """For one at a time; does not wait."""
        return self._put(self._suspects, work, slot=False)

    def _put(self, lane: queue.SimpleQueue[Work | None], work: Work, *, slot: bool) -> bool:
        with self._idle:
            if self._closing:
                if slot:
                    self._slots.release()
                return False
            self._open += 1
        lane.put(work if not slot else lambda: self._in_slot(work))
        return True

    def _in_slot(self, work: Work) -> None:
        try:
            work()
        finally:
            self._slots.release()

    def _serve(self, lane: queue.SimpleQueue[Work | None]) -> None:
        while (work := lane.get()) is not None:
            try:
                work()
            except Exception:
                log.exception("a piece of background work failed")
            except BaseException as error:  # SystemExit of an action: this worker goes on, the host decides about itself
                log.critical("an action raised %r in a worker", error)
            finally:
                with self._idle:
                    self._open -= 1
                    self._idle.notify_all()
                self._on_free()

    def wait_until_idle(self, timeout: float | None = None) -> bool:
        """True when all work taken so far is finished."""
        with self._idle:
            return self._idle.wait_for(lambda: self._open == 0, timeout)

    def close(self, grace: float) -> bool:
        """Takes nothing more and waits ``grace`` seconds for what is in hand; False where something still runs."""
        with self._idle:
            self._closing = True
        finished = self.wait_until_idle(grace)
        for _ in range(self._count):
            self._slots.release()  # wakes a submit that waits; it sees that the workers are closing
            self._queue.put(None)
        self._suspects.put(None)
        return finished
