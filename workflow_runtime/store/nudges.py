"""What servers tell each other of due rows, where the database carries messages (PostgreSQL: LISTEN and NOTIFY).

Law: a message is a courtesy. That a row is due is told by the row, and every server looks at its rows each
``poll``; a message that is lost, late, forged or said twice costs a look and nothing else.

==========  ===================================================================================
channel     one for each set of tables: it is named after the number of the table of timers
message     the due time in microseconds since the epoch
sent        behind the commit that it speaks of: inside it, commits would have to queue up
==========  ===================================================================================

Behind a pooler that hands one connection to many (PgBouncer by transaction) nothing is heard.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import Any

from workflow_runtime.store import rows, sockets


class Listener:
    """A connection of its own, of psycopg, that has said LISTEN. ``wait`` is called by one thread; ``close`` by any."""

    def __init__(self, driver: Any, translated: Callable[[], AbstractContextManager[None]]) -> None:
        """``translated``: a block out of which errors of the driver come as ours."""
        self._driver, self._translated = driver, translated
        self._gate = threading.Lock()  # held while one waits: a connection must not be closed under its feet
        self._closed = False
        self._bell, self._rope = socket.socketpair()

    def wait(self, timeout: float) -> list[datetime]:
        """The due times that were told, as soon as there is one; none after ``timeout`` seconds or ``close``, perhaps none before.

        StoreUnavailable: the connection is of no more use; close this and open another.
        """
        with self._gate, self._translated():
            if self._closed:
                return []
            return self._said() or (self._said() if self._has_come(timeout) else [])

    def close(self) -> None:
        """Ends a wait in another thread. Nothing happens a second time."""
        if self._closed:
            return
        self._closed = True
        with suppress(OSError):  # two that close at once
            self._rope.send(b".")
        with self._gate:
            sockets.close(self._driver)
            self._bell.close()
            self._rope.close()

    def _has_come(self, timeout: float) -> bool:
        with selectors.DefaultSelector() as both:
            both.register(self._bell, selectors.EVENT_READ)
            both.register(self._driver.pgconn.socket, selectors.EVENT_READ)
            both.select(timeout)
        if not self._closed:
            self._driver.pgconn.consume_input()
        return not self._closed

    def _said(self) -> list[datetime]:
        return [due for message in self._messages() if (due := _moment(message)) is not None]

    def _messages(self) -> Iterator[bytes]:
        while (notify := self._driver.pgconn.notifies()) is not None:
            yield notify.extra


def _moment(message: bytes) -> datetime | None:
    """None for what no server of ours has said: everybody who may connect may send."""
    try:
        return rows.moment(int(message))
    except (ValueError, OverflowError):
        return None
