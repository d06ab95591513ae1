"""A clock that stands still until a test moves it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["FakeClock"]


class FakeClock:
    """Time as a test tells it; give it to ``WorkflowRuntime(clock=...)``.

    ``advance`` lets time pass: both readings move. ``set`` puts the clock to another instant, forward or
    back, as a person or a time server does: ``now`` steps and ``monotonic`` stays. After either, each
    listener is called once, in the calling thread and in the order of registration. Thread-safe.
    """

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._lock = threading.Lock()
        self._now = _in_utc(start)
        self._passed = timedelta(0)
        self._listeners: list[Callable[[], object]] = []

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Seconds that have passed by ``advance``."""
        with self._lock:
            return self._passed.total_seconds()

    def advance(self, span: timedelta | float) -> None:
        """Let a timedelta or a number of seconds pass; ValueError if it is negative."""
        span = span if isinstance(span, timedelta) else timedelta(seconds=span)
        if span < timedelta(0):
            raise ValueError(f"time does not pass backwards ({span}); to step the clock back, use set()")
        with self._lock:
            self._now += span
            self._passed += span
        self._tell()

    def set(self, moment: datetime) -> None:
        """Step to this instant; ValueError if it has no time zone."""
        with self._lock:
            self._now = _in_utc(moment)
        self._tell()

    def on_advance(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call this whenever the clock has moved, until the function that is returned is called."""
        with self._lock:
            self._listeners.append(callback)
        return lambda: self._forget(callback)

    def _forget(self, callback: Callable[[], object]) -> None:
        with self._lock:
            if callback in self._listeners:
                self._listeners.remove(callback)

    def _tell(self) -> None:
        with self._lock:  # called outside of it: a listener may read the clock, or move it again
            listeners = tuple(self._listeners)
        for callback in listeners:
            callback()


def _in_utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} has no time zone; add one, for instance tzinfo=timezone.utc")
    return moment.astimezone(UTC)
