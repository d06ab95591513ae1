"""Tells those who wait for an answer that it is there, within one runtime. Others find it when they look."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from workflow_runtime.core.keys import Key


class Bell:
    """Thread-safe. A ring between two looks is not missed: the event stays set until it was waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Key, list[threading.Event]] = {}

    @contextmanager
    def awaiting(self, key: Key) -> Iterator[threading.Event]:
        """An event that is set whenever the run of this key has ended here."""
        event = threading.Event()
        with self._lock:
            self._waiting.setdefault(key, []).append(event)
        try:
            yield event
        finally:
            with self._lock:
                self._waiting[key].remove(event)
                if not self._waiting[key]:
                    del self._waiting[key]

    def ring(self, key: Key) -> None:
        """Call it after the commit that settles the key."""
        with self._lock:
            for event in self._waiting.get(key, ()):
                event.set()
