"""What databases on a server have in common: connections that may break off, and a clock of their own.

Law: a connection that broke off is thrown away with all that lie idle, since they most likely broke off too; one
that the server has closed while it lay idle is noticed before it is used. So after a restart of the database
every next call works, and only what was under way is reported.
"""

from __future__ import annotations

import select
from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from workflow_runtime.store import rows, trouble
from workflow_runtime.store.clock import NOW, Aged
from workflow_runtime.store.dialects import Dialect, Row, Transaction, Values
from workflow_runtime.store.trouble import Trouble

MOST_IDLE = 16  #: connections that are kept in nobody's hand
CONNECT_SECONDS = 5
LOCK_SECONDS = 5
STATEMENT_SECONDS = 30
IDLE_SECONDS = 2  #: in a transaction: less than half a lease, so that a stopped server's locks are gone before its processes are taken over
UPGRADE_SECONDS = 60  #: how long one server waits for another to finish an upgrade

_NOTHING: sa.Select[Any] = sa.select()


class Networked(Dialect):
    def __init__(self, engine: sa.Engine, *, clock: Callable[[], datetime], monotonic: Callable[[], float] | None) -> None:
        """``monotonic`` None: ``clock`` takes the place of the database's own."""
        super().__init__(engine)
        self._clock = clock
        self._aged = None if monotonic is None else Aged(monotonic)
        self._idle: list[Any] = []
        self._timed: dict[Any, sa.Select[Any]] = {}

    # -- connections --

    @abstractmethod
    def rest(self, driver: Any) -> bool:
        """End what was begun and not committed; False when the connection is of no more use."""

    @abstractmethod
    def socket(self, driver: Any) -> int | None:
        """The file number of an open connection."""

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def take(self) -> Any:
        while self._idle:
            driver = self._idle.pop()
            if self._is_open(driver):
                return driver
            _close(driver)
        connection = self.engine.raw_connection()
        connection.detach()
        return connection.dbapi_connection

    def give_back(self, driver: Any) -> None:
        try:
            usable = self.rest(driver)
        except Exception:  # what led here is being reported
            usable = False
        if usable and len(self._idle) < MOST_IDLE:
            self._idle.append(driver)
        else:
            _close(driver)

    def _is_open(self, driver: Any) -> bool:
        """A server says nothing on an idle connection, unless it closes it."""
        number = self.socket(driver)
        if number is None:
            return False
        return not _has_input(number)

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
        if found is Trouble.LOST:
            self.close()
        return trouble.meaning(found, self.words_of(cause), self.place, committing=committing)

    def words_of(self, cause: Exception) -> str:
        """One line for messages, without values of the row."""
        return (str(cause).splitlines() or [type(cause).__name__])[0]


def _has_input(number: int) -> bool:
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()  # for any number; ``select`` ends at 1,023
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


def _close(driver: Any) -> None:
    try:
        driver.close()
    except Exception:  # it is broken, which is why it is closed
        return
