"""The databases that have a floor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from benchmarks import postgres
from benchmarks.floor import Floor, Kind
from benchmarks.floor_postgres import PostgresFloor
from benchmarks.floor_sqlite import SqliteFloor


@contextmanager
def opened(kind: Kind, folder: Path, url: str | None) -> Iterator[Floor]:
    """SQLite in the folder; PostgreSQL at ``url``, else on a server of its own. Nothing of it is left behind."""
    with ExitStack() as stack:
        if kind is Kind.SQLITE:
            yield stack.enter_context(closing(SqliteFloor(folder)))
        else:
            yield stack.enter_context(closing(PostgresFloor(stack.enter_context(postgres.database(url)))))
