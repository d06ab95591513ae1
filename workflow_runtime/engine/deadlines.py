"""Calls that must end in time: each runs in a thread of its own, and who made it waits no longer than to its deadline.

Law: a call has ended or was given up, whichever comes first, and that is decided once, under one lock. What a call
comes to after it was given up is dropped. No thread can be made to stop; so those that are left behind are counted,
and where there are too many no further call should be begun that may have to be given up (``are_full``).

================  ========================================================================================
the clock         gives up
================  ========================================================================================
of the machine    the thread that waits, which sleeps until the deadline or the end of the call
moved by a test   whoever moves it: when ``advance`` has returned, all that was too late is given up
================  ========================================================================================

Time is monotonic here: to set a clock gives nothing up.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Generic, TypeVar, cast

from workflow_runtime.engine.calling import hold_up
from workflow_runtime.engine.clock import Clock

log = logging.getLogger("workflow_runtime.engine")

T = TypeVar("T")


class DeadlinePassed(Exception):
    """A call has not ended in time and was given up. Inside the engine only."""


class Call(Generic[T]):
    """One call, as it is seen from inside and by who waits for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._outcome: tuple[T | None, BaseException | None] | None = None
        self._stops: list[Callable[[], object]] = []
        self.given_up = False

    @property
    def is_open(self) -> bool:
        return self._outcome is None and not self.given_up

    def on_give_up(self, stop: Callable[[], object]) -> None:
        """Called when it is given up; at once, where it was."""
        with self._changed:
            self._stops.append(stop)
            late = self.given_up
        if late:
            stop()

    def end(self, value: T | None, error: BaseException | None = None) -> bool:
        """False: it was given up, and nobody hears of it."""
        with self._changed:
            if self.is_open:
                self._outcome = value, error
            self._changed.notify_all()
            return not self.given_up

    def give_up(self, note: Callable[[], None] = lambda: None) -> None:
        """Unless it has ended, or was given up before. ``note()`` where this decides it, before anybody can find it given up."""
        with self._changed:
            if not self.is_open:
                return
            note()
            self.given_up = True
            self._changed.notify_all()
        for stop in self._stops:
            stop()

    def wait(self, seconds: float | None) -> None:
        """Until it has ended or was given up, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self.is_open, seconds)

    def result(self) -> T:
        """What it has returned; what it has raised is raised. DeadlinePassed."""
        if self._outcome is None:
            raise DeadlinePassed()
        value, error = self._outcome
        if error is not None:
            raise error
        return cast(T, value)


class Deadlines:
    """One per runtime. Thread-safe. ``most``: how many calls that were given up may still run before they are too many."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock, self._most = clock, most
        self._on_advance: Callable[[Callable[[], object]], Callable[[], None]] | None = getattr(clock, "on_advance", None)
        self._lock = threading.Lock()
        self.left_behind = 0  #: calls that were given up and still run

    @property
    def are_full(self) -> bool:
        return self.left_behind >= self._most

    def call(self, name: str, work: Callable[[Call[T]], T], seconds: float, *, give_up: Callable[[str], None]) -> T:
        """What ``work`` returns or raises, if that is within so many seconds; else ``give_up`` is told where it stood, and then DeadlinePassed.

        Interrupted while it waits (KeyboardInterrupt), it gives up as well, whatever ``give_up`` raises. ``name`` is for the log.
        """
        call, due, context = Call[T](), self._clock.monotonic() + seconds, copy_context()
        context.run(hold_up)
        thread = threading.Thread(target=context.run, args=(self._run, name, work, call), name="workflow-runtime-action", daemon=True)
        thread.start()
        try:
            self._wait(call, due)
        except BaseException:
            self._leave(call)
            if call.given_up:
                with suppress(Exception):
                    give_up(_stack_of(thread))
            raise
        if call.given_up:
            give_up(_stack_of(thread))
        return call.result()

    def _wait(self, call: Call[Any], due: float) -> None:
        """When this returns, it has ended or was given up."""
        if self._on_advance is not None:
            self._wait_by_hand(call, due, self._on_advance)
            return
        while call.is_open and (left := due - self._clock.monotonic()) > 0:
            call.wait(min(left, threading.TIMEOUT_MAX))
        self._leave(call)

    def _wait_by_hand(self, call: Call[Any], due: float, on_advance: Callable[[Callable[[], object]], Callable[[], None]]) -> None:
        def look() -> None:
            if self._clock.monotonic() >= due:
                self._leave(call)

        forget = on_advance(look)
        try:
            look()  # the clock may have been moved before it was listened to
            call.wait(None)
        finally:
            forget()

    def _leave(self, call: Call[Any]) -> None:
        """Gives it up, unless it has ended."""
        call.give_up(lambda: self._count(1))

    def _run(self, name: str, work: Callable[[Call[T]], T], call: Call[T]) -> None:
        try:
            in_time = call.end(work(call))
        except BaseException as error:
            in_time = call.end(None, error)
        if not in_time:
            self._count(-1)
            log.info("%s, was given up and has ended now; what came of it is dropped (%d such actions still run)", name, self.left_behind)

    def _count(self, more: int) -> None:
        with self._lock:
            self.left_behind += more


def _stack_of(thread: threading.Thread) -> str:
    """Where it is now; empty: it has ended."""
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame else ""
