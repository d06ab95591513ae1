"""The time of the machine. Nothing else in the package may ask for it: time is an argument everywhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two readings that must not be mixed: ``now`` names an instant, ``monotonic`` measures how long something takes."""

    def now(self) -> datetime:
        """Aware, in UTC. It may step in either direction when the machine's clock is set."""

    def monotonic(self) -> float:
        """Seconds from an unnamed start; never goes back, and no setting of the clock moves it."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
