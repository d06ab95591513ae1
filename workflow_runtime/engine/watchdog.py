"""The thread that ends what hangs. A call to a database whose network has fallen silent does not end by itself.

Law: it never talks to the database, and waits for nobody who does. So it cannot hang in what it is there to end.
How long a call may last is said where calls are made; see store/network.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)

LAST_WORDS = 1.0  #: seconds that the end waits for this thread


class Watchdog:
    """Calls ``sever`` every ``every`` seconds (real ones) until ``stop``; it says how many calls it has ended.

    Started once. A daemon, which does not keep the host from leaving; a forked child has none.
    """

    def __init__(self, sever: Callable[[], int], *, every: float) -> None:
        self._sever, self._every = sever, every
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="workflow-runtime-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """At once, wherever it is called; nothing happens a second time."""
        self._ending.set()
        if self._thread is not threading.current_thread():
            self._thread.join(LAST_WORDS)

    def _serve(self) -> None:
        while not self._ending.wait(self._every):
            try:
                ended = self._sever()
            except Exception:
                _log.exception("calls that hang could not be ended; the next look comes in %s s", self._every)
                continue
            if ended:
                _log.warning("the database did not answer; calls that were ended: %s", ended)
