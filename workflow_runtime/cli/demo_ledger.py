"""The payment provider of the demo: a ledger in a file of its own, which is no part of any workflow database.

Law: every request is written down before anything else happens, and a key is booked at most once. The
provider is slow today: while it is *held*, it answers the first requests, books the next ones without
answering, and keeps the rest unbooked. So whoever dies now leaves payments of every kind of doubt.

=================  ==============================================================
request            what the one who asked knows if it dies now
=================  ==============================================================
answered           that the payment is made
booked             nothing: it is made, and asking again with another key pays twice
received           nothing: it is not made, and not asking again loses the payment
=================  ==============================================================
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Counts", "Ledger"]

MOMENT = 0.1  #: seconds that a payment takes, before it is booked and again before it is answered
LOOK = 0.1  #: seconds between two looks at whether the provider is still held
PATIENCE = 60.0  #: seconds after which a held request is given up

_NEVER = threading.Event()  #: a provider takes its time, and nothing here can hurry it

_TABLES = """
CREATE TABLE request (number INTEGER PRIMARY KEY, key TEXT NOT NULL, purpose TEXT NOT NULL, amount INTEGER NOT NULL, answered INTEGER NOT NULL DEFAULT 0);
CREATE TABLE booking (key TEXT PRIMARY KEY, purpose TEXT NOT NULL, amount INTEGER NOT NULL);
CREATE TABLE held (after_answers INTEGER NOT NULL, after_bookings INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    requests: int
    booked: int
    answered: int


class Ledger:
    """Each call opens the file anew: parent and workers, also killed ones, share nothing but the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        with self._open() as ledger:
            ledger.execute("PRAGMA journal_mode=WAL")
            ledger.executescript(_TABLES)

    def hold(self, *, after_answers: int, after_bookings: int) -> None:
        """From now on only the first requests are answered, and some more are booked."""
        with self._open() as ledger:
            ledger.execute("INSERT INTO held VALUES (?, ?)", (after_answers, after_bookings))

    def release(self) -> None:
        with self._open() as ledger:
            ledger.execute("DELETE FROM held")

    def pay(self, key: str, purpose: str, amount: int) -> str:
        """Asks for a payment; returns when it is made. Repeating it with the same key pays nothing more."""
        number = self._receive(key, purpose, amount)
        _NEVER.wait(MOMENT)
        self._wait(number, "after_bookings")
        self._book(key, purpose, amount)
        _NEVER.wait(MOMENT)
        self._wait(number, "after_answers")
        with self._open() as ledger:
            ledger.execute("UPDATE request SET answered = 1 WHERE number = ?", (number,))
        return f"receipt {key[:8]}"

    def counts(self) -> Counts:
        with self._open() as ledger:
            requests, answered = ledger.execute("SELECT count(*), coalesce(sum(answered), 0) FROM request").fetchone()
            (booked,) = ledger.execute("SELECT count(*) FROM booking").fetchone()
        return Counts(requests=requests, booked=booked, answered=answered)

    def bookings(self) -> dict[str, int]:
        """How often each purpose was paid."""
        with self._open() as ledger:
            return dict(ledger.execute("SELECT purpose, count(*) FROM booking GROUP BY purpose").fetchall())

    def _receive(self, key: str, purpose: str, amount: int) -> int:
        with self._open() as ledger:
            return int(ledger.execute("INSERT INTO request (key, purpose, amount) VALUES (?, ?, ?)", (key, purpose, amount)).lastrowid or 0)

    def _book(self, key: str, purpose: str, amount: int) -> None:
        with self._open() as ledger:
            ledger.execute("INSERT INTO booking VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (key, purpose, amount))

    def _wait(self, number: int, what: str) -> None:
        """Until this request, in the order of their arrival, is not held any more."""
        deadline = time.monotonic() + PATIENCE
        while self._is_held(number, what):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the provider did not answer within {PATIENCE:.0f} s")
            _NEVER.wait(LOOK)

    def _is_held(self, number: int, what: str) -> bool:
        with self._open() as ledger:
            row = ledger.execute("SELECT after_answers, after_bookings FROM held").fetchone()
        return row is not None and number > row[0 if what == "after_answers" else 1]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=NORMAL")
            yield connection
        finally:
            connection.close()
