"""The registry of live work: which processes this incarnation has in hand.

An id is registered *before* its claim is sent and until the outcome of its last write is known. A row that
is mine and not in here is an orphan of mine: an exception escaped, and recovery takes it up. Once it is closed no
call begins anything new: what began behind the last look would be left in the name of a server that is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import UUID

from workflow_runtime.errors import RuntimeNotStarted


class LiveWork:
    def __init__(self) -> None:
        self._lock = threading.Condition()  # of an RLock: a handler of a signal may shut down while this thread is in here
        self._holders: dict[UUID, int] = {}
        self._closed = False
        self.on_free: Callable[[UUID], None] = lambda process_id: None  #: told, outside the lock, that nobody here holds it any more

    def hold(self, process_id: UUID) -> _Hold:
        """Registered while the block runs; several threads may hold one id, of which the store lets one go on. RuntimeNotStarted once closed."""
        return _Hold(self, process_id)

    def take_new(self, process_id: UUID) -> None:
        """As ``take``; RuntimeNotStarted once closed."""
        with self._lock:
            if self._closed:
                raise RuntimeNotStarted("this runtime is shutting down and takes nothing new; nothing was done, give the call to another server")
            self._holders[process_id] = self._holders.get(process_id, 0) + 1

    def take(self, process_id: UUID) -> None:
        with self._lock:
            self._holders[process_id] = self._holders.get(process_id, 0) + 1

    def drop(self, process_id: UUID) -> None:
        with self._lock:
            others = self._holders.pop(process_id) - 1
            if others:
                self._holders[process_id] = others
            elif not self._holders:
                self._lock.notify_all()
        if not others:
            self.on_free(process_id)

    def __contains__(self, process_id: object) -> bool:
        with self._lock:
            return process_id in self._holders

    def texts(self) -> set[str]:
        """The ids as texts."""
        with self._lock:
            return {str(process_id) for process_id in self._holders}

    def __len__(self) -> int:
        with self._lock:
            return len(self._holders)

    def close(self, timeout: float) -> bool:
        """Waits until nothing is in hand, and lets nothing begin from that moment on; False, and closed too, when ``timeout`` seconds passed before."""
        with self._lock:
            empty = self._lock.wait_for(lambda: not self._holders, timeout)
            self._closed = True
            return empty


class _Hold:
    """A class, because every call passes through it and generators cost more."""

    __slots__ = ("_live", "_process_id")

    def __init__(self, live: LiveWork, process_id: UUID) -> None:
        self._live, self._process_id = live, process_id

    def __enter__(self) -> None:
        self._live.take_new(self._process_id)

    def __exit__(self, *error: object) -> None:
        self._live.drop(self._process_id)
