"""The threads that execute what no caller waits for: due timers, recovered work, queued starts.

They are daemons: an action that never returns must not keep the host from leaving. Whoever has work reserves a
place first, so that nothing is claimed that nobody has time for. Suspects (processes that servers died with) go
through a lane of one, so that a poison process does not take its neighbours with it. One that has got past the step
that they died with is ``cleared``: it goes on in the place of an ordinary worker, if one is free, and the next suspect
begins. A lane is a number of places; all threads take from one queue, and there are as many of them as places.

Law of sharing: neither a storm of recovered work nor one of due timers takes all workers for ever.

==============  ============================================================================================
who             gets a worker
==============  ============================================================================================
recovery        waits for one (``share``) and so has the first that comes free, as long as it holds less than
                its share; what it holds counts only while somebody else was refused a worker
timers          ask and are refused (``offer``), and are told of each one that comes free; a quarter of the
                workers, at least one, is theirs while they want it; where there is one worker it is recovery's first
==============  ============================================================================================
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextvars import ContextVar

log = logging.getLogger("workflow_runtime.engine")

Work = Callable[[], object]


class _Lane:
    """So many places."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._share = max(1, count - max(1, count // 4))  #: what may be held by those who wait while others are refused
        self._shared = 0  #: what they hold
        self._refused = False  #: whether the last who did not wait got none
        self._closing = False
        self._changed = threading.Condition()

    def take(self, *, wait: bool, share: bool) -> bool:
        """False where no place is free, or once the lane is closing."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._closing or self._is_open_to(share))
            taken = not self._closing and self._is_open_to(share)
            self._free -= taken
            self._shared += taken and share
            self._refused = self._refused if wait or share else not taken
            self._changed.notify_all()  # one who was refused and is served now holds nobody back any more
            return taken

    def give_back(self, *, share: bool) -> None:
        with self._changed:
            self._free += 1
            self._shared -= share
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _is_open_to(self, share: bool) -> bool:
        return self._free > 0 and not (share and self._refused and self._shared >= self._share)


class Place:
    """A worker that is kept free for somebody: either it takes what it is given, or the place is to be left, once."""

    def __init__(self, workers: Workers, lane: _Lane, share: bool) -> None:
        self.workers, self.lane, self.share = workers, lane, share

    def give(self, work: Work) -> bool:
        """False, and nothing was taken, where the workers' end has come."""
        return self.workers._put(work, self)

    def leave(self) -> None:
        self.workers._left(self)


#: whose work this is. A context variable, because what an ``async`` action awaits runs in other threads, and the worker waits for it
_at_work: ContextVar[Place | None] = ContextVar("at_work", default=None)


class Workers:
    def __init__(self, count: int, *, on_free: Callable[[], None] = lambda: None) -> None:
        self._on_free = on_free
        self._many, self._suspects = _Lane(count), _Lane(1)
        self._given: queue.SimpleQueue[tuple[Work, Place] | None] = queue.SimpleQueue()
        names = (f"workflow-runtime-worker-{number}" for number in range(count + 1))
        self._threads = [threading.Thread(target=self._serve, name=name, daemon=True) for name in names]
        self._idle = threading.Condition()
        self._open = 0  #: places that are reserved or at work
        self._closing = False
        self._ended = False  #: closed, and the grace has passed

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def reserve(self, *, suspect: bool = False, wait: bool = True, share: bool = False) -> Place | None:
        """A free worker, for a suspect the one that suspects have; None once the workers are closing, or if none is free and ``wait`` is False.

        ``share``: for recovery, which leaves some to others who want them; see the head of this file.
        """
        lane = self._suspects if suspect else self._many
        if not lane.take(wait=wait, share=share):
            return None
        with self._idle:
            if not self._closing:
                self._open += 1
                return Place(self, lane, share)
        lane.give_back(share=share)
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
        mine = _at_work.get()
        return mine is not None and mine.workers is self

    def clear(self) -> None:
        """The caller's work is suspected no more: the lane of suspects is free again, as soon as an ordinary place is."""
        mine = _at_work.get()
        if mine is None or mine.lane is not self._suspects or not self._many.take(wait=False, share=True):
            return
        self._suspects.give_back(share=mine.share)
        mine.lane, mine.share = self._many, True
        self._on_free()

    def _serve(self) -> None:
        while (given := self._given.get()) is not None:
            work, place = given
            _at_work.set(place)
            try:
                work()
            except Exception:
                log.exception("a piece of background work failed")
            except BaseException as error:  # SystemExit of an action: this worker goes on, the host decides about itself
                log.critical("an action raised %r in a worker", error)
            finally:
                self._left(place)

    def _put(self, work: Work, place: Place) -> bool:
        with self._idle:
            if not self._ended:
                self._given.put((work, place))
            return not self._ended

    def _left(self, place: Place) -> None:
        place.lane.give_back(share=place.share)
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
            lane.close()
        finished = self.wait_until_idle(grace)
        with self._idle:  # behind the last work that was taken
            self._ended = True
            self._idle.notify_all()
            for _ in self._threads:
                self._given.put(None)
        return finished


def _given(place: Place | None, work: Work) -> bool:
    if place is None:
        return False
    taken = place.give(work)
    if not taken:
        place.leave()
    return taken
