"""A process in hand: how it will stand, what of that is not committed yet, and the one way to commit it.

Law: changes are collected in ``pending`` and become true together, in one guarded transaction; only then are listeners
told. Zero rows: somebody else has the process, and nothing more is written. A request to cancel is met by a commit.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

from workflow_runtime.core.process import CancelRequest, Change, Process, ProcessStatus, Walk
from workflow_runtime.engine.engine import Engine
from workflow_runtime.errors import Fenced, StoreUnavailable
from workflow_runtime.store.writes import Outcome

T = TypeVar("T")


class LostRace(Exception):
    """The claim from rest found another revision; nothing was done. Inside the engine only."""


class KeyTaken(LostRace):
    """The idempotency key of the request has a row already; nothing was done. Inside the engine only."""


class Cancelled(Exception):
    """A person asked for it; noticed at a step boundary. Inside the engine only."""

    def __init__(self, request: CancelRequest) -> None:
        super().__init__()
        self.request = request


class InHand:
    """Use from one thread, while the id is registered as live work."""

    def __init__(self, engine: Engine, process: Process, *, held: bool) -> None:
        """``held``: this server has it, by what is committed; else it is about to take it."""
        self.engine = engine
        self.process = process  #: as it will stand once ``pending`` is committed
        self.pending: Change | None = None
        self._held = held

    @property
    def _in_hand(self) -> bool:
        """False once the commit that brought it to rest is known: what is raised after it, by a listener, is no failure of the process."""
        return self.pending is not None or self.process.owner is not None

    @property
    def _current_walk(self) -> Walk:
        assert self.process.walk is not None
        return self.process.walk

    @property
    def _server(self) -> str | None:
        return self.engine.presence.incarnation

    # ------------------------------------------------------------------ changes

    def _add(self, change: Change) -> None:
        self._replace(change if self.pending is None else self.pending.then(change))

    def _replace(self, pending: Change) -> None:
        assert pending.after is not None
        self.pending, self.process = pending, pending.after

    def _come_to_rest(self, change: Change) -> None:
        """To rest, or to wait."""
        arrived, standing = self.pending, self.process
        self._add(change)
        try:
            self._commit()
        except Cancelled:
            self.pending, self.process = arrived, standing  # nothing was written: the flag came first
            raise

    def _commit(self, *, heed_cancel: bool = True) -> None:
        """One transaction for all that is pending; then, and only then, listeners are told."""
        change = self.pending
        if change is None:
            return
        outcome, cancel = self.engine.apply(change, executing=True)
        if outcome is Outcome.LOST:
            raise self._lost(change)
        if outcome is Outcome.TAKEN:
            raise KeyTaken()
        if outcome is Outcome.FLAGGED:
            raise Cancelled(self._requested())
        self.pending, self.process, self._held = None, change.result, True
        self.engine.tell(change)
        if cancel is not None and heed_cancel and self.process.status is ProcessStatus.RUNNING:
            raise Cancelled(cancel)

    def _lost(self, change: Change) -> Exception:
        if change.before is not None and change.before.owner is None:
            return LostRace()
        return Fenced(process_id=self.process.id)

    # ------------------------------------------------------------------ what strangers may have asked for

    def _requested(self) -> CancelRequest:
        """The request that stood against coming to rest. It is cleared at rest only, so whoever cleared it has taken over."""
        stored = self._patiently(partial(self.engine.store.load, self.process.id))
        if stored is None or stored.cancel_requested is None:
            raise Fenced(process_id=self.process.id)
        return stored.cancel_requested

    def _heed_cancel(self) -> None:
        """Before another attempt, which is none of the commits that bring a request to light."""
        stored = self._patiently(partial(self.engine.store.load, self.process.id))
        if stored is not None and stored.cancel_requested is not None:
            raise Cancelled(stored.cancel_requested)

    # ------------------------------------------------------------------ time

    def _now(self) -> datetime:
        """The database's clock, which may have to be asked."""
        try:
            return self.engine.now()
        except StoreUnavailable:
            if not self._held:
                raise
            return self.engine.patiently(self.engine.now)

    def _patiently(self, read: Callable[[], T]) -> T:
        """Waits for a database that is away once the process is held: who only tries to take it is told at once."""
        return self.engine.patiently(read) if self._held else read()
