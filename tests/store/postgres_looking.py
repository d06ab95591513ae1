"""What went over the wire to PostgreSQL, and how it would be executed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from workflow_runtime.store.writes import Store


class Wire:
    """``journeys``: how often the server was asked and its answer awaited. ``statements``: how many it executed."""

    journeys = 0
    statements = 0


@contextmanager
def wire(store: Store) -> Iterator[Wire]:
    """For one thread: its next transactions run on the connection that is listened to here, by libpq itself."""
    found = Wire()
    with tempfile.TemporaryFile() as file:
        with store.dialect.connected() as driver:
            driver.pgconn.trace(file.fileno())
        try:
            yield found
        finally:
            with store.dialect.connected() as driver:
                driver.pgconn.untrace()
        file.seek(0)
        messages = [line.split(b"\t") for line in file.read().splitlines()]
    kinds = [(parts[1], parts[3].split()[0]) for parts in messages if len(parts) > 3]
    found.journeys = kinds.count((b"B", b"ReadyForQuery"))
    found.statements = kinds.count((b"F", b"Execute")) + kinds.count((b"F", b"Query"))


def plans(store: Store, act: Callable[[], Any], monkeypatch: Any) -> list[tuple[str, list[str]]]:
    """Each statement that ``act`` sends, with the lines of its plan."""
    sent: list[tuple[str, Any]] = []

    class Noting(psycopg.RawCursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            sent.append((query, params))
            return super().execute(query, params, **options)

        def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
            sent.extend((query, params) for params in params_seq)
            super().executemany(query, params_seq, **options)

    with monkeypatch.context() as noting:
        noting.setattr(store.dialect, "cursor", Noting)
        act()
    assert sent
    with store.dialect.connected() as driver:
        return [(text, [line for (line,) in psycopg.RawCursor(driver).execute(f"EXPLAIN {text}", params)]) for text, params in sent]
