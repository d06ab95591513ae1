"""Processes that wait for timers, many of them due at once, and what has become of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from bench import engine_of
from timed import HOUR

from workflow_runtime import Process, WorkflowRuntime, hookimpl
from workflow_runtime.engine.firing import Batch
from workflow_runtime.store.writes import DueRow


class Ear:
    """What listeners hear of moves: the process, where it was and where it is; ``on_move`` is called with the process."""

    def __init__(self, on_move: Callable[[Process], object] = lambda process: None) -> None:
        self.on_move = on_move
        self.heard: list[tuple[UUID, str, str]] = []

    @hookimpl
    def process_activity_changed(self, process: Process, previous: str, current: str) -> None:
        if previous:
            self.heard.append((process.id, previous, current))
            self.on_move(process)


def number(one: int) -> UUID:
    return UUID(int=one + 1, version=4)


def crowd(runtime: WorkflowRuntime, count: int, scheme: str = "S") -> list[UUID]:
    """Each with a timer that is due in an hour."""
    return [runtime.create_instance(scheme, process_id=number(one)).id for one in range(count)]


def due(runtime: WorkflowRuntime, limit: int = 1_000) -> list[DueRow]:
    store = engine_of(runtime).store
    return store.due(store.now() + HOUR, limit)


def batch_of(runtime: WorkflowRuntime) -> Batch:
    return Batch(engine_of(runtime), runtime._parts.executor)


@contextmanager
def watched() -> Iterator[list[int]]:
    """How many rows each batch had."""
    sizes: list[int] = []
    fire = Batch.fire

    def noting(self: Batch, rows: Any) -> None:
        sizes.append(len(rows))
        fire(self, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "fire", noting)
        yield sizes


@contextmanager
def one_by_one() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workflow_runtime.engine.timers.FEWEST", 10**6)
        yield
