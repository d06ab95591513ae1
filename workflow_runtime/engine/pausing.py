"""The short waits of one runtime: those that a worker spends itself. Whoever cancels or shuts down ends them at once."""

from __future__ import annotations

import threading
from uuid import UUID

from workflow_runtime.engine.clock import Clock


class Pauses:
    """Thread-safe. A clock that a test moves (it has ``on_advance``) does not go on by itself: there, short waits take no time."""

    def __init__(self, clock: Clock) -> None:
        self._stands_still = hasattr(clock, "on_advance")
        self._changed = threading.Condition()
        self._waiting: set[UUID] = set()
        self._closed = False

    def wait(self, process_id: UUID, seconds: float) -> None:
        """At most so many seconds."""
        if self._stands_still:
            return
        with self._changed:
            self._waiting.add(process_id)
            self._changed.wait_for(lambda: self._closed or process_id not in self._waiting, seconds)
            self._waiting.discard(process_id)

    def end(self, process_id: UUID) -> None:
        """That of this process, if it has one."""
        with self._changed:
            self._waiting.discard(process_id)
            self._changed.notify_all()

    def close(self) -> None:
        """All of them, and those that would follow."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
