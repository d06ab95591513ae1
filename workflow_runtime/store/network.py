"""What databases on a server have in common: connections that may break off, and a clock of their own.

Law: a connection that broke off is thrown away with all that lie idle, since they most likely broke off too; one
that the server has closed while it lay idle is noticed before it is used. So after a restart of the database
every next call works, and only what was under way is reported. A program has no more than ``Bounds.connections`` in
its hands at once, however many threads call: what comes then waits, so that the beats of all servers, which travel on
connections of their own, find a place in the database.

A network that has fallen silent tells nobody. Each call is noted with the moment at which it began, and ``sever_hanging`` ends
what lasts longer than it may; in a program that is no server nobody asks for that.

=====================================  =========================================  ==============================
a call                                 may last                                   else
=====================================  =========================================  ==============================
that makes a connection                ``CONNECT_SECONDS``                        the driver gives it up
of a session, from its opening on      as long as who opened it has patience      ``sever_hanging`` ends it
any other, also one that listens       ``HANGING_SECONDS``                        ``sever_hanging`` ends it
=====================================  =========================================  ==============================
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import sqlalchemy as sa

from workflow_runtime.store import rows, sockets, trouble
from workflow_runtime.store.clock import NOW, Aged
from workflow_runtime.store.dialects import Dialect, Row, Transaction, Values
from workflow_runtime.store.sessions import Session, Statements, Words
from workflow_runtime.store.trouble import Trouble

MOST_IDLE = 16  #: connections that are kept in nobody's hand
CONNECT_SECONDS = 5
FREE_SECONDS = 5  #: how long one waits for a connection that others of this program have in hand
LOCK_SECONDS = 5
STATEMENT_SECONDS = 30
IDLE_SECONDS = 2.0  #: in a transaction, at most; see ``idle_seconds``
HANGING_SECONDS = LOCK_SECONDS + STATEMENT_SECONDS + 5  #: the database ends every statement before: who still waits then waits for a dead network
UPGRADE_SECONDS = 60  #: how long one server waits for another to finish an upgrade


class Bounds(NamedTuple):
    """What a program may take. ``lease`` (seconds): the locks of a server that has stopped are gone in less than half of it."""

    lease: float | None = None
    connections: int = 20  #: in use at once, besides that of the session and that of messages


USUAL = Bounds()


@dataclass(slots=True)
class _Held:
    """A connection in somebody's hand. The last call on it began at ``since`` (monotonic) and may last ``limit`` seconds."""

    driver: Any
    since: float
    limit: float
    age: int


_NOTHING: sa.Select[Any] = sa.select()


def idle_seconds(lease: float | None) -> float:
    """How long a transaction may lie idle: less than half a lease, so that a stopped server's locks go before its processes are taken over."""
    return IDLE_SECONDS if lease is None else min(IDLE_SECONDS, 0.45 * lease)


class Networked(Dialect):
    def __init__(self, engine: sa.Engine, *, clock: Callable[[], datetime], monotonic: Callable[[], float] | None, connections: int) -> None:
        """``monotonic`` None: ``clock`` takes the place of the database's own, and no call is too old for ``sever_hanging``."""
        super().__init__(engine)
        self._clock = clock
        self._most, self._places = connections, SimpleQueue[None]()  #: of ``queue``, since a semaphore of ``threading`` takes ten times as long
        for _ in range(connections):
            self._places.put(None)
        self._aged = None if monotonic is None else Aged(monotonic)
        self._monotonic = monotonic or (lambda: 0.0)
        self._idle: list[tuple[Any, int]] = []  #: connections in nobody's hand, each with its age
        self._out: dict[int, _Held] = {}
        self._age = 0  #: connections of an earlier one are not used again
        self._timed: dict[Any, sa.Select[Any]] = {}
        self._sessions: Statements | None = None

    # -- connections --

    @abstractmethod
    def rest(self, driver: Any) -> bool:
        """End what was begun and not committed; False when the connection is of no more use."""

    @abstractmethod
    def socket(self, driver: Any) -> int | None:
        """The file number of an open connection."""

    def close(self) -> None:
        self._age += 1  # what is in a hand now is closed when it comes back
        while (idle := self._an_idle()) is not None:
            sockets.close(idle[0])

    def renew(self) -> None:
        """From now on only connections are used that are made from now on."""
        self.close()

    def take(self) -> Any:
        try:
            self._places.get(timeout=FREE_SECONDS)
        except Empty:
            cause = f"all {self._most} connections of this program have been in use for {FREE_SECONDS} s"
            raise trouble.meaning(Trouble.CROWDED, cause, self.place) from None
        try:
            driver, age = self._open_one()
        except BaseException:
            self._places.put(None)
            raise
        self._out[id(driver)] = _Held(driver, self._monotonic(), HANGING_SECONDS, age)
        return driver

    def _open_one(self) -> tuple[Any, int]:
        """With its age, which changes in other threads: one that was laid down or made meanwhile may be of the earlier one."""
        while (idle := self._an_idle()) is not None:
            driver, age = idle
            if age == self._age and self._is_open(driver):
                return idle
            sockets.close(driver)
        age = self._age
        return self._connect(), age

    def _an_idle(self) -> tuple[Any, int] | None:
        try:
            return self._idle.pop()
        except IndexError:  # another thread may have had the last one
            return None

    def cursor(self, driver: Any) -> Any:
        self._touch(driver)
        return super().cursor(driver)

    def _touch(self, driver: Any) -> None:
        """A call begins on it. A transaction of many calls may be older than any of them: what hangs is one call."""
        held = self._out.get(id(driver))
        if held is not None:
            held.since = self._monotonic()

    @contextmanager
    def watched(self, driver: Any, seconds: float) -> Iterator[None]:
        """Calls on a connection that nobody took from here: each may last so long. Errors come out as ours."""
        self._out[id(driver)] = _Held(driver, self._monotonic(), seconds, self._age)
        try:
            with self.translated():
                yield
        finally:
            del self._out[id(driver)]

    def sever_hanging(self) -> int:
        now = self._monotonic()
        hanging = [held.driver for held in list(self._out.values()) if now - held.since > held.limit]
        for driver in hanging:
            with suppress(Exception):  # it was given back or closed just now
                sockets.sever(self.socket(driver))
        return len(hanging)

    def _connect(self) -> Any:
        connection = self.engine.raw_connection()
        connection.detach()
        return connection.dbapi_connection

    def give_back(self, driver: Any, *, interrupted: bool = False) -> None:
        """Watched for as long as what was begun on it is undone."""
        usable = not interrupted and self._rests(driver)
        held = self._out.pop(id(driver))
        if usable and held.age == self._age and len(self._idle) < MOST_IDLE:
            self._idle.append((driver, held.age))
        else:
            sockets.close(driver)
        self._places.put(None)

    def _rests(self, driver: Any) -> bool:
        try:
            return self.rest(driver)
        except Exception:  # what led here is being reported
            return False

    def _is_open(self, driver: Any) -> bool:
        """A server says nothing on an idle connection, unless it closes it."""
        number = self.socket(driver)
        if number is None:
            return False
        return not sockets.has_input(number)

    # -- sessions --

    @abstractmethod
    def words(self) -> Words:
        """How this database says what a session says."""

    @abstractmethod
    def bound(self, driver: Any, seconds: float) -> None:
        """No call on this connection shall take longer."""

    def new_key(self, number: int) -> str:
        """The key of a session's lock, from a random number."""
        return f"wf-{number:012x}"

    def open_session(self, patience: float, new_token: Callable[[], int]) -> Session:
        if self._sessions is None:
            self._sessions = Statements(self.words())
        with self.translated():
            driver = self._connect()
        try:
            with self.watched(driver, patience):
                self.bound(driver, patience)
            return Session(self, self._sessions, driver, lambda: self.new_key(new_token()), lambda: self.watched(driver, patience))
        except BaseException:
            sockets.close(driver)
            raise

    # -- time --

    def now(self) -> datetime:
        if self._aged is None:
            return self._clock()
        known = self._aged.now()
        if known is None:
            with self.read() as transaction:
                self.timed(transaction, _NOTHING, {})
            known = self._aged.now()
        assert known is not None, "a reading was just taken"
        return rows.moment(known)

    def given_now(self) -> int | None:
        return rows.micros(self._clock()) if self._aged is None else None

    def timed(self, transaction: Transaction, statement: sa.Select[Any], values: Values) -> Row | None:
        if self._aged is None:
            return transaction.row(statement, values)
        sent = self._aged.monotonic()
        found = transaction.row(self._with_time(statement), {**values, "now": None})
        if found is None:
            return None
        self._aged.note(int(found[-1]), sent)
        return found[:-1]

    def _with_time(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        timed = self._timed.get(statement)
        if timed is None:
            timed = self._timed[statement] = statement.add_columns(NOW)
        return timed

    # -- errors --

    @abstractmethod
    def trouble_of(self, cause: Any) -> Trouble:
        """The trouble that an error of the driver is."""

    def meaning(self, error: Exception, *, committing: bool = False) -> Exception:
        cause = getattr(error, "orig", None) or error
        found = Trouble.CHARACTER if isinstance(cause, UnicodeEncodeError) else self.trouble_of(cause)
        if found in (Trouble.LOST, Trouble.READ_ONLY):
            self.close()
        return trouble.meaning(found, self.words_of(cause), self.place, committing=committing)

    def words_of(self, cause: Exception) -> str:
        """One line for messages, without values of the row."""
        return (str(cause).splitlines() or [type(cause).__name__])[0]
