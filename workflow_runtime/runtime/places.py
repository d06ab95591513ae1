"""A place for something that comes and goes: a schema of its own in somebody's PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from workflow_runtime.engine.clock import SystemClock
from workflow_runtime.store import places


@dataclass(frozen=True, slots=True)
class Schema:
    """``url`` speaks to this schema and to nothing else of its database; it may hold a password."""

    name: str
    url: str


@contextmanager
def own_schema(url: str, prefix: str, *, keep: bool = False) -> Iterator[Schema]:
    """A new schema under a random name, dropped at the end unless it is to be kept. SettingsError, StoreUnavailable."""
    name = f"{prefix}_{uuid4().hex[:12]}"
    with places.own_schema(url, name, keep=keep, clock=SystemClock().now) as place:
        yield Schema(name, place)
