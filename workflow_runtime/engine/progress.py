"""What runs now, and how long ago it reached a durable point: a call that takes very long is told of, and never dropped in silence.

A durable point is the beginning of an action, behind a commit, and each ``ctx.step`` that was journaled.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID

log = logging.getLogger("workflow_runtime.engine")


class _Stretch:
    """Of one action that runs: since when nothing of it became durable, and whether that was told. Entered while it runs."""

    __slots__ = ("_all", "_process_id", "action", "activity", "since", "told")

    def __init__(self, all_: Progress, process_id: UUID, activity: str, action: str, since: float) -> None:
        self._all, self._process_id = all_, process_id
        self.activity, self.action, self.since, self.told = activity, action, since, False

    def __enter__(self) -> None:
        self._all.began(self._process_id, self)

    def __exit__(self, *error: object) -> None:
        self._all.ended(self._process_id, self)


class Progress:
    """One per runtime; ``limit`` and ``monotonic`` are seconds. Thread-safe."""

    def __init__(self, *, limit: float, monotonic: Callable[[], float]) -> None:
        self._limit, self._monotonic, self._lock = limit, monotonic, threading.Lock()
        self._running: dict[UUID, _Stretch] = {}

    def of(self, process_id: UUID, activity: str, action: str) -> AbstractContextManager[None]:
        """While this action runs."""
        return _Stretch(self, process_id, activity, action, self._monotonic())

    def began(self, process_id: UUID, stretch: _Stretch) -> None:
        with self._lock:
            self._running[process_id] = stretch

    def ended(self, process_id: UUID, stretch: _Stretch) -> None:
        with self._lock:
            if self._running.get(process_id) is stretch:  # one that was given up may end while the next one runs
                del self._running[process_id]

    def given_up(self, process_id: UUID) -> None:
        """Its action is left behind, and that was told: whatever it still does is no progress of the process."""
        with self._lock:
            self._running.pop(process_id, None)

    def made(self, process_id: UUID) -> None:
        """A step of it is durable."""
        with self._lock:
            if (stretch := self._running.get(process_id)) is not None:
                stretch.since, stretch.told = self._monotonic(), False

    def look(self) -> None:
        """Warns of each stretch that is longer than the limit, once."""
        now, text = self._monotonic(), "process %s: action %r of activity %r has run for %.0f s without a durable point; it is left to run"
        with self._lock:
            late = [(one, stretch) for one, stretch in self._running.items() if not stretch.told and now - stretch.since >= self._limit]
            for _, stretch in late:
                stretch.told = True
        for process_id, stretch in late:
            log.warning(text, process_id, stretch.action, stretch.activity, now - stretch.since)
