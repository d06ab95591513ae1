"""What a clockwork drives, for the tests of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from workflow_runtime.engine.clock import Clock, SystemClock
from workflow_runtime.engine.clockwork import Clockwork
from workflow_runtime.settings import Settings

PATIENCE = 30.0  #: seconds until a thing that should have happened counts as missing


class Works:
    """What a clockwork drives: each call is noted, and does what was put down for it."""

    def __init__(self, clock: Clock, **settings: Any) -> None:
        self.calls: SimpleQueue[str] = SimpleQueue()
        self.troubles: SimpleQueue[tuple[str, BaseException]] = SimpleQueue()
        self.act: dict[str, Callable[[], Any]] = {}
        intervals = {name: settings.pop(name) for name in ("beat_every", "sweep_every") if name in settings}
        self.clockwork = Clockwork(
            beat=lambda: self._do("beat"),
            sweep=lambda: self._do("sweep"),
            poll=lambda: self._do("poll"),
            settings=Settings(**settings),
            clock=clock,
            now=clock.now,
            on_trouble=self._trouble,
            **intervals,
        )

    def _do(self, job: str) -> Any:
        self.calls.put(job)
        return self.act[job]() if job in self.act else None

    def _trouble(self, job: str, error: BaseException) -> None:
        self.troubles.put((job, error))
        if "trouble" in self.act:
            self.act["trouble"]()

    def said(self) -> list[str]:
        """Every call since the last question."""
        calls: list[str] = []
        while True:
            try:
                calls.append(self.calls.get_nowait())
            except Empty:
                return calls

    def wait_for(self, *jobs: str) -> None:
        """Until each has been called once more."""
        missing = list(jobs)
        while missing:
            job = self.calls.get(timeout=PATIENCE)
            if job in missing:
                missing.remove(job)


Make = Callable[..., Works]


@contextmanager
def stopped_works() -> Iterator[Make]:
    """Makes works and stops them at the end."""
    made: list[Works] = []

    def works(clock: Clock | None = None, **settings: Any) -> Works:
        made.append(Works(clock or SystemClock(), **settings))
        return made[-1]

    yield works
    for work in made:
        work.clockwork.stop()


def once(action: Callable[[], Any], then: Any = None) -> Callable[[], Any]:
    """Acts at the first call only."""
    actions = [action]
    return lambda: actions.pop()() if actions else then
