"""Many processes at once. Nothing is executed here, so a client can do it as well as a server.

Law: one transaction per batch, all of it or nothing, and no more than one batch in memory.

==================================  ===================================================================================
a new process that                  is stored
==================================  ===================================================================================
comes to rest without an action     at rest, by one change: exactly what ``Executor.create`` would have committed
... whatever its values are         as the first of the call, with what is its own: nothing is asked, so nothing differs
acts, or fails in whatever way      as Running and nobody's, with a row ``start`` that is due: a server takes it up
==================================  ===================================================================================

What cannot be created takes its batch with it and ends the whole: the error names the item, and how many stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from workflow_runtime.core import parameters, rules, waiting
from workflow_runtime.core.process import Change, Parameters, Process
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.judging import Asker
from workflow_runtime.engine.sketching import sketch
from workflow_runtime.errors import ProcessAlreadyExists, WorkflowError

_FOR_A_SKETCH = "sketch"  #: owns what a client sketches: it is never stored, for at rest nobody owns it

HEARD = ("process_status_changed", "process_activity_changed")  #: what listeners hear of a creation

Born = tuple[Process, Change]  #: as it will stand, and what makes it so


class Item(NamedTuple):
    """What one process is made of; it is read when its turn comes, so that what is wrong with it has a number."""

    given: Mapping[str, Any]
    process_id: UUID


class Stored(NamedTuple):
    """A batch after its commit."""

    ids: list[UUID]
    queued: int  #: left to any server


class Creator:
    """For one call: all are pinned to one version."""

    def __init__(self, engine: Engine, scheme: Scheme, *, asker: Asker, tenant_id: str | None) -> None:
        self.engine, self.scheme, self._asker, self._tenant_id = engine, scheme, asker, tenant_id
        self._are_alike = rules.rests_whatever(scheme)
        self._pattern: Change | None = None  #: the first, where they are

    def create(self, items: Iterable[Item], size: int) -> Iterator[Stored]:
        """Each batch once it is stored. Every error of ours has ``created``, and ``index`` where one item is to blame."""
        left, created = iter(items), 0
        while batch := self._batch(islice(left, size), created):
            stored = Stored([process.id for process, _ in batch], sum(process.is_waiting for process, _ in batch))
            self._write(stored.ids, [change for _, change in batch], created)
            self._tell([change for _, change in batch])
            created += len(batch)
            yield stored

    def _batch(self, items: Iterable[Item], created: int) -> list[Born]:
        born: list[Born] = []
        try:
            born.extend(map(self._born, items))
        except WorkflowError as error:
            raise _ended(error, created, created + len(born)) from error
        return born

    def _born(self, item: Item) -> Born:
        engine = self.engine
        persistent, temporary = parameters.at_creation(self.scheme, item.given, engine.limits)
        own: dict[str, Any] = {
            "process_id": item.process_id,
            "token": engine.new_token(),
            "walk_id": engine.new_id(),
            "now": engine.now(),
            "persistent": persistent,
        }
        change = rules.alike(self._pattern, **own) if self._pattern else self._sketched(temporary, own)
        assert change.after is not None
        if self._are_alike and not change.after.is_waiting:
            self._pattern = change
        return change.after, change

    def _sketched(self, temporary: Parameters, own: dict[str, Any]) -> Change:
        born = rules.create(
            self.scheme,
            owner=self.engine.presence.incarnation or _FOR_A_SKETCH,
            temporary=temporary,
            identity=self._asker.identity,
            impersonated_identity=self._asker.impersonated_identity,
            tenant_id=self._tenant_id,
            **own,
        )
        assert born.after is not None
        return sketch(self.engine, born.after, born) or waiting.queue(born)

    def _write(self, ids: list[UUID], changes: list[Change], created: int) -> None:
        """The first stands for all as work in hand: a server that shuts down waits for the commit, and begins no other."""
        try:
            with self.engine.live.hold(ids[0]):
                self.engine.store.apply_all(changes, patience=self.engine.patience())
        except ProcessAlreadyExists as error:
            place = max(place for place, process_id in enumerate(ids) if process_id == error.process_id)
            raise _ended(error, created, created + place) from error
        except WorkflowError as error:
            raise _ended(error, created, created, len(ids)) from error

    def _tell(self, changes: list[Change]) -> None:
        for change in changes if any(map(self.engine.hears, HEARD)) else ():
            self.engine.announce(change)
        if any(change.arm for change in changes):
            self.engine.nudge()  # once for all


def _ended(error: WorkflowError, created: int, first: int, number: int = 1) -> WorkflowError:
    """The same error, with what stays and the places of those that are to blame, counted from 0."""
    where = f"item {first}" if number == 1 else f"one of the items {first} to {first + number - 1}"
    nouns = error.nouns | {"created": created} | ({"index": first} if number == 1 else {})
    return type(error)(f"{where}: {error.message}; {created} created before stay", **nouns)
