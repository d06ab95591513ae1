"""A scheme whose activity Work must end in time, an action that does not, and threads that make calls behind a test's back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Any

from bench import NOW, Bench
from waiting import until

from workflow_runtime import Process, WorkflowRuntime

PATIENCE = 20  #: seconds that a test waits for another thread before it fails


def text(reaction: str = "set_activity: Late", *, after: str = "30s", actions: str = "Call", more: str = "") -> str:
    """The command go leads to Work, which has the action Call and the execution timeout, and on to Next."""
    return f"""
scheme: S
commands: {{go: {{}}, out: {{}}}}
activities:
  Rest: {{initial: true}}
  Work: {{actions: [{actions}], execution_timeout: {{after: {after}, {reaction}}}{more}}}
  Next: {{}}
  Late: {{state: Overdue, actions: [Note]}}
  End: {{final: true}}
transitions:
  - {{from: Rest, to: Work, on: {{command: go}}}}
  - {{from: Work, to: Next}}
  - {{from: Next, to: End, on: {{command: out}}}}
  - {{from: Late, to: End, on: {{command: out}}}}
"""


def later(seconds: float) -> datetime:
    """Than the tests begin."""
    return NOW + timedelta(seconds=seconds)


class Hanging:
    """An action that does not return for so many calls, until it is let go; then it does ``at_last``."""

    def __init__(self, times: int = 99, at_last: Callable[[Any], object] = lambda ctx: None) -> None:
        self.times, self.at_last = times, at_last
        self.attempts, self.keys, self.deadlines = list[int](), list[str](), list[Any]()
        self.endings = SimpleQueue[object]()  #: what ``at_last`` returned or raised, of each call that hung
        self._begun, self._let_go = SimpleQueue[Any](), threading.Event()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        self.attempts.append(ctx.attempt)
        self.keys.append(ctx.idempotency_key)
        self.deadlines.append(ctx.deadline)
        if len(self.attempts) > self.times:
            return
        self._begun.put(ctx)
        assert self._let_go.wait(PATIENCE)
        try:
            self.endings.put(self.at_last(ctx))
        except BaseException as error:
            self.endings.put(error)
            raise

    def has_begun(self) -> Any:
        """The context of the next call that hangs; waits for it."""
        return self._begun.get(timeout=PATIENCE)

    def let_go(self) -> None:
        self._let_go.set()

    def ending(self) -> object:
        return self.endings.get(timeout=PATIENCE)


@contextmanager
def behind(*hanging: Hanging) -> Iterator[Callable[..., Future[Any]]]:
    """Calls in threads of their own; whatever becomes of the test, nothing goes on hanging behind it."""
    with ThreadPoolExecutor(8) as pool:
        try:
            yield pool.submit
        finally:
            for each in hanging:
                each.let_go()


def overdue(bench: Bench, runtime: WorkflowRuntime, process: Process, hanging: Hanging, *, times: int = 1, seconds: float = 30) -> Any:
    """What the command go comes to, where the action hangs and time passes so often."""
    with behind() as call:
        future = call(runtime.execute_command, process.id, "go")
        for _ in range(times):
            hanging.has_begun()
            bench.clock.advance(seconds)
        return future.result(PATIENCE)


def none_left(runtime: WorkflowRuntime) -> None:
    """Waits until no action runs any more that was given up."""
    until(lambda: runtime._parts.engine.deadlines.left_behind == 0)
