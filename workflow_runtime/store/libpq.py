"""One statement on a connection of psycopg, by the calls of libpq itself.

Law: values, rows and errors are those of psycopg: its ``Transformer`` writes and reads them, ``error_from_result`` says what was
wrong. Left out are its generators, by which one thread may wait for many connections: here the thread that asks has nothing else
to do, and libpq waits for it without the interpreter's lock. That takes a third off a journey (docs/why.md).

=======================================  ============================================================
the text                                 is
=======================================  ============================================================
has been met on the connection less      executed as it is: those that are written for one call are
than ``AFTER`` times                     not met again
is met once more                         prepared there, for the types of its values
... and ``MOST`` others are              executed as it is
=======================================  ============================================================

A call of libpq is not interrupted by a signal before it has its answer; every one is bounded (postgres.py, network.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, Format

AFTER = 5
MOST = 300  #: of what is remembered of one connection

KNOWN = "workflow_runtime_known"  #: attribute of a connection
_DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


Text = tuple[str, tuple[int, ...]]  #: with the types of its values


class Known(NamedTuple):
    """The texts of one connection."""

    names: dict[Text, bytes]  #: of those that are prepared
    met: dict[Text, int]  #: how often, of others


class Cursor:
    """``execute``, then ``rowcount`` and ``fetchall``; as ``psycopg.RawCursor``, whose texts have $1, $2 ..."""

    __slots__ = ("_adapter", "_driver", "_result")

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._adapter: Any = None
        self._result: Any = None

    def execute(self, text: str, values: Sequence[Any] = ()) -> Self:
        """The errors of psycopg."""
        adapter = Transformer.from_context(self._driver)
        given = adapter.dump_sequence(values, [PyFormat.AUTO] * len(values))
        self._adapter, self._result = adapter, self._sent(text, given, adapter)
        self._check(self._result)
        return self

    @property
    def rowcount(self) -> int:
        return self._result.command_tuples or 0

    def fetchall(self) -> list[tuple[Any, ...]]:
        self._adapter.set_pgresult(self._result)
        rows: list[tuple[Any, ...]] = self._adapter.load_rows(0, self._result.ntuples, tuple)
        return rows

    def _sent(self, text: str, given: Sequence[Any], adapter: Any) -> Any:
        libpq, types, formats = self._driver.pgconn, adapter.types or (), adapter.formats or ()
        name = self._name(text, types)
        if name is None:
            return libpq.exec_params(text.encode(), given, types, formats, Format.TEXT)
        return libpq.exec_prepared(name, given, formats, Format.TEXT)

    def _name(self, text: str, types: tuple[int, ...]) -> bytes | None:
        """None: it is not prepared."""
        known: Known = self._driver.__dict__.setdefault(KNOWN, Known({}, {}))
        this = text, types
        name = known.names.get(this)
        if name is None and known.met.get(this, 0) >= AFTER and len(known.names) < MOST:
            name = known.names[this] = self._prepared(b"wf_%d" % len(known.names), *this)
        elif name is None:
            if len(known.met) >= MOST:
                known.met.clear()
            known.met[this] = known.met.get(this, 0) + 1
        return name

    def _prepared(self, name: bytes, text: str, types: tuple[int, ...]) -> bytes:
        self._check(self._driver.pgconn.prepare(name, text.encode(), types))
        return name

    def _check(self, result: Any) -> None:
        if result.status in _DONE:
            return
        error = psycopg.errors.error_from_result(result, self._driver.info.encoding)
        if error.sqlstate is None:  # nobody on the other side has said this: the connection is gone
            raise psycopg.OperationalError(str(error))
        raise error
