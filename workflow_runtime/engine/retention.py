"""What is kept for a time only: the answers to idempotency keys. Open keys always stay."""

from __future__ import annotations

import math

from workflow_runtime.engine.engine import Engine

EVERY = 3_600.0  #: seconds between two looks for what is old
BATCH = 500  #: rows that go in one transaction: others must not wait long for their locks


class Retention:
    """For the sweep: mostly does nothing, sometimes clears one batch away. What is left then goes with the next sweeps."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._next = -math.inf

    def clear(self) -> int:
        """How many answers were cleared away now. StoreUnavailable."""
        now = self._engine.clock.monotonic()
        if now < self._next:
            return 0
        gone = self._engine.store.forget_keys(kept=self._engine.settings.idempotency_retention, limit=BATCH)
        self._next = now if gone >= BATCH else now + EVERY
        return gone
