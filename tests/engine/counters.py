"""What a piece of work costs, told by the database itself: commits, statements, round trips. And what was compiled for it.

==============  ===============================================  =====================================================
database        who counts                                       ``journeys``
==============  ===============================================  =====================================================
sqlite          the trace of the connection                      there are none: 0
postgresql      libpq's trace of the connection; the tags of     answers of the server that were awaited
                what it executed
mysql           the session's own status                         statements, BEGIN and COMMIT, each awaited
==============  ===============================================  =====================================================

All for the calling thread alone: a runtime with a fake clock has no other.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
import pytest

from workflow_runtime.store.dialects import Dialect, Prepared
from workflow_runtime.store.writes import Store


class Cost(NamedTuple):
    """``commits`` of transactions that write, ``statements`` without BEGIN and COMMIT."""

    commits: int
    statements: int
    journeys: int

    def minus(self, other: Cost) -> Cost:
        return Cost(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


def cost(store: Store, act: Callable[[], Any]) -> Cost:
    counting = {"sqlite": _on_sqlite, "postgresql": _on_postgres, "mysql": _on_mysql, "mariadb": _on_mysql}
    return counting[store.dialect.engine.dialect.name](store.dialect, act)


def _on_sqlite(dialect: Dialect, act: Callable[[], Any]) -> Cost:
    words: Counter[str] = Counter()
    with dialect.connected() as driver:
        driver.set_trace_callback(lambda text: words.update([text.split()[0]]))
    try:
        act()
    finally:
        with dialect.connected() as driver:
            driver.set_trace_callback(None)
    brackets = words["BEGIN"] + words["COMMIT"] + words["ROLLBACK"]
    return Cost(words["COMMIT"], words.total() - brackets, 0)


def _on_postgres(dialect: Any, act: Callable[[], Any]) -> Cost:
    alone = [0]  # writes that are a transaction by themselves

    class Noting(psycopg.RawCursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            is_alone = self.connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
            alone[0] += is_alone and not query.lstrip().startswith("SELECT")
            return super().execute(query, params, **options)

    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as noting:
        with dialect.connected() as driver:
            driver.pgconn.trace(file.fileno())
        noting.setattr(psycopg, "RawCursor", Noting)
        try:
            act()
        finally:
            with dialect.connected() as driver:
                driver.pgconn.untrace()
        file.seek(0)
        messages = [line.split(b"\t") for line in file.read().splitlines()]
    kinds = Counter((parts[1], parts[3].split()[0]) for parts in messages if len(parts) > 3)
    tags = Counter(parts[4].strip(b' "').split()[0] for parts in messages if len(parts) > 4 and parts[3] == b"CommandComplete")
    executed = kinds[b"F", b"Execute"] + kinds[b"F", b"Query"]
    return Cost(alone[0] + tags[b"COMMIT"], executed - tags[b"BEGIN"] - tags[b"COMMIT"], kinds[b"B", b"ReadyForQuery"])


def _on_mysql(dialect: Dialect, act: Callable[[], Any]) -> Cost:
    """Of writes, only those in a block of their own are counted as commits: nothing here writes outside of one."""
    before = _status(dialect)
    act()
    after = _status(dialect)
    more = {name: after[name] - before[name] for name in after}
    questions = more["Questions"] - 1  # asking is one of them
    return Cost(more["Com_commit"], questions - more["Com_begin"] - more["Com_commit"], questions)


def _status(dialect: Dialect) -> dict[str, int]:
    with dialect.connected() as driver, driver.cursor() as cursor:
        cursor.execute("SHOW SESSION STATUS WHERE Variable_name IN ('Questions', 'Com_begin', 'Com_commit')")
        return {name: int(value) for name, value in cursor.fetchall()}


@dataclass
class Compiled:
    texts: list[str] = field(default_factory=list)


@contextmanager
def compiling() -> Iterator[Compiled]:
    """The statements that are compiled within it."""
    found, compile_one = Compiled(), Prepared.__init__

    def noting(self: Prepared, *given: Any) -> None:
        compile_one(self, *given)
        found.texts.append(self.sql)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Prepared, "__init__", noting)
        yield found
