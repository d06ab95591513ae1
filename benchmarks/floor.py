"""The floor: what a piece of work costs the bare driver, with the statements that a careful person would write by hand.

Another database is one more module with these two classes, and a line in ``floors.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa

Values = Mapping[str, Any]


class Kind(StrEnum):
    """What differs in targets."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class Hand(Protocol):
    """One process that is moved by hand, over a connection of its own."""

    def create(self) -> None:
        """One commit: INSERT of a process, INSERT of its history; the other calls are about the newest."""

    def read(self) -> None:
        """One SELECT of its row."""

    def transition(self) -> None:
        """One commit: guarded UPDATE of the process, INSERT of history."""

    def close(self) -> None: ...


class Floor(Protocol):
    """One kind of database, with the durability that the runtime has by default."""

    kind: Kind
    name: str  #: with its version and durability
    server: str  #: URL of the place in which all of this lies

    def url(self, name: str) -> str:
        """Of a database for the runtime; a new name is an empty one."""

    def copy(self, name: str, new: str) -> str:
        """The URL of a copy of a database that nobody has open."""

    def place(self, name: str) -> tuple[str, str]:
        """Of an empty database for another engine: its URL, and the name of its schema ('' where there are none)."""

    def hand(self) -> Hand: ...

    def fill(self, name: str, table: sa.Table, rows: Iterable[Values]) -> None:
        """Many rows at once, past the runtime and without its durability."""

    def settle(self, name: str) -> None:
        """After many rows came in: what the database does by itself a while later, so that it knows its tables."""

    def reset_running(self, name: str) -> int:
        """One UPDATE that makes every Running row Error and nobody's, with one history row for each; how many there were."""

    def close(self) -> None: ...
