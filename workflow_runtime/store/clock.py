"""The time of the database.

Law: whether a timer is due and a lease is over is decided by the clock of the database, which all servers
share. A clock that is handed in takes its place: always on SQLite, whose one server shares the machine's
clock with it, and in tests.

==============================  ===============================================================
asked for                       on a server that keeps its own time
==============================  ===============================================================
in a statement (``NOW``)        what its clock shows then: after a wait for a lock it has moved on
by ``now()``                    the last reading, aged by the machine's monotonic time
==============================  ===============================================================

A reading is at most as late as its journey was long, and never early: what it says is past is past.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam
from sqlalchemy.ext.compiler import compiles

FRESH = 10.0  #: seconds for which a reading is aged: two clocks differ by a few milliseconds then


class _Now(ColumnElement[int]):
    """Microseconds since the epoch: the value ``now`` where one is bound (not None), else the clock of the database."""

    inherit_cache = True
    type = BigInteger()


NOW = _Now()
_GIVEN = bindparam("now", type_=BigInteger())


@compiles(_Now)
def _given(_element: _Now, compiler: Any, **kw: Any) -> str:
    return str(compiler.process(_GIVEN, **kw))


@compiles(_Now, "postgresql")
def _postgresql(_element: _Now, compiler: Any, **kw: Any) -> str:
    """``now()`` would be the begin of the transaction."""
    return f"coalesce({compiler.process(_GIVEN, **kw)}, CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint))"


@compiles(_Now, "mysql", "mariadb")
def _mysql(_element: _Now, compiler: Any, **kw: Any) -> str:
    """``NOW(6)`` would be the begin of the statement. The session's time zone is UTC; see mariadb.py."""
    return f"coalesce({compiler.process(_GIVEN, **kw)}, timestampdiff(MICROSECOND, '1970-01-01', sysdate(6)))"


class Aged:
    """The clock of a database as far as it is known without asking. ``monotonic`` gives seconds."""

    __slots__ = ("_reading", "monotonic")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self._reading: tuple[int, float] | None = None  # microseconds, and when they arrived

    def note(self, micros: int, sent: float) -> None:
        """A reading that was asked for at ``sent``. What is known already stays if both can be right, so that time seldom steps back."""
        arrived = self.monotonic()
        known = self._at(arrived)
        both = known is not None and micros <= known <= micros + round((arrived - sent) * 1_000_000)
        self._reading = (known if both and known else micros, arrived)

    def now(self) -> int | None:
        """None: ask the database."""
        return self._at(self.monotonic())

    def _at(self, moment: float) -> int | None:
        reading = self._reading
        if reading is None or moment - reading[1] > FRESH:
            return None
        return reading[0] + round((moment - reading[1]) * 1_000_000)
