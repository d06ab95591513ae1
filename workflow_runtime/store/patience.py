"""How long work in hand waits for a database that is away: for a restart, a failover, a full disk.

Law: only that is repeated of which it is known that nothing was stored, and only what passes by itself is waited
for (``PASSING``, see trouble.py). Pauses double from ``FIRST_PAUSE`` to ``LONGEST_PAUSE``, each shortened by chance,
so that the servers do not come back all at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store.trouble import PASSING, Trouble

T = TypeVar("T")

AWAY = Trouble.LOST.value  #: the ``reason`` of a StoreUnavailable of one who does not even ask
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  #: seconds


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


class Patience:
    """What one call may wait, from now on: ``seconds`` by ``monotonic``, or as much in pauses. For one thread.

    ``chance`` gives numbers from 0 to 1; ``pause`` waits that many seconds.
    """

    __slots__ = ("_began", "_chance", "_monotonic", "_next", "_pause", "_seconds", "_spent")

    def __init__(self, seconds: float, *, monotonic: Callable[[], float], chance: Callable[[], float], pause: Callable[[float], None] = _pause) -> None:
        self._seconds, self._monotonic, self._chance, self._pause = seconds, monotonic, chance, pause
        self._began, self._spent, self._next = monotonic(), 0.0, FIRST_PAUSE

    def wait(self) -> bool:
        """One pause, longer than the one before; False, at once, when the time is over."""
        left = self._seconds - max(self._spent, self._monotonic() - self._began)
        if left <= 0:
            return False
        length = min(left, self._next * (0.5 + self._chance() / 2))
        self._pause(length)
        self._spent, self._next = self._spent + length, min(LONGEST_PAUSE, 2 * self._next)
        return True

    def outlast(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, begun anew while nothing of it was stored because the database is away."""
        while True:
            try:
                return work()
            except StoreUnavailable as error:
                if not passes(error) or not self.wait():
                    raise


def passes(error: StoreUnavailable) -> bool:
    """Nothing was stored, and the same call may succeed a little later."""
    return error.nouns.get("outcome") == "known" and error.nouns.get("reason") in PASSING
