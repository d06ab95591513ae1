"""When a server among several counts as dead. The evidence is the observer's own; what a row says about itself proves nothing.

Law: a death needs a change that the observer saw with its own eyes, over a connection that did not break meanwhile.
So a restart of the database, a step of its clock or a pause of the observer kills nobody: each begins the watch anew.

========  ==========================================================================================================
evidence  what must all be true
========  ==========================================================================================================
lock      in one unbroken session of mine I saw *this* key held; it is free now; the last beat is older than 1.2 of
          *its* beats by the database's clock; it did not say that its lock was lost (behind a pooler)
lease     ``lease_until`` has passed by the database's clock, and I have read the same beat number for a whole lease
          of *its* row, by my own monotonic clock, while my own beats kept committing
start     a single server starts: behind the file lock at once, else when no beat came for a whole lease
restore   nobody died: the database was renewed after a restore, and whoever it shows is of an old life
========  ==========================================================================================================

=============================================  =====================================================================
what happens to the observer                   what it forgets
=============================================  =====================================================================
its session broke and a new one began          which locks it saw held, and since when it read which beat
two of its own beats did not arrive            since when it read which beat
the row of another shows a new key             that it saw that one's lock held
the row of another shows a new beat            since when it read the one before
=============================================  =====================================================================

A free lock is not enough by itself, for a server whose connection broke connects again at its next beat.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from workflow_runtime.core.restoring import Server

OVERDUE = 1.2  #: beats after the last one: the next should have come
GAP = 2  #: of my own beats: then I cannot say that I have watched


class Evidence(StrEnum):
    """How a death was noticed."""

    LOCK = "lock"
    LEASE = "lease"
    START = "start"
    RESTORE = "restore"


class Sighting(NamedTuple):
    """One server that is not dead, as it stood at one moment ``now`` of the database's clock.

    ``lock_free``: it has a lock key, said at its last beat that the lock is good, and nobody holds that lock now.
    """

    server: Server
    lock_free: bool
    now: datetime

    @property
    def lock_held(self) -> bool:
        return bool(self.server.lock_key) and self.server.lock_ok and not self.lock_free

    @property
    def silence(self) -> timedelta:
        """Since its last beat, by the database's clock."""
        return self.now - self.server.last_beat_at


class Finding(NamedTuple):
    """Who counts as dead from now on, as its row was seen, and why."""

    server: Server
    evidence: Evidence


class Judgement(NamedTuple):
    """What one look came to."""

    deaths: tuple[Finding, ...]
    peers: tuple[str, ...]  #: the ids of those who live and take new work, sorted, the observer among them
    again: float | None  #: look again after so many seconds: a lock is free, and its last beat is not old enough yet


class Watch:
    """What one observer has seen of the others. ``beat_every``: of its own beats, in seconds. Moments are seconds of its monotonic clock.

    Not thread-safe. A watch begins with its first session: it has seen nothing.
    """

    def __init__(self, beat_every: float) -> None:
        self._beat_every = beat_every
        self._held: dict[str, str] = {}  #: server -> the key that I saw held
        self._still: dict[str, tuple[int, float]] = {}  #: server -> its beat number, and since when I have read it
        self._beaten: float | None = None  #: my last beat that arrived

    def began(self) -> None:
        """A new session of mine: what was seen over the one before counts no more."""
        self._held.clear()
        self._still.clear()

    def beaten(self, at: float) -> None:
        """A beat of mine was committed."""
        self._mind_gap(at)
        self._beaten = at

    def judge(self, sightings: Iterable[Sighting], *, me: str, at: float) -> Judgement:
        """All rows that are not dead, as they were read at ``at``: it may be any moment after the read and before the next."""
        seen = list(sightings)
        self._mind_gap(at)
        self._remember([one for one in seen if one.server.id != me], at)
        deaths, waits = [], []
        for one in seen:
            if one.server.id == me:
                continue
            if self._has_let_go(one):
                waits.append(self._missing(one, at))
            if (evidence := self._evidence(one, at)) is not None:
                deaths.append(Finding(one.server, evidence))
        dead = {death.server.id for death in deaths}
        peers = sorted(one.server.id for one in seen if _works(one) and one.server.id not in dead)
        return Judgement(tuple(deaths), tuple(peers), min((wait for wait in waits if wait > 0), default=None))

    def _mind_gap(self, at: float) -> None:
        if self._beaten is None or at - self._beaten > GAP * self._beat_every:
            self._still.clear()

    def _remember(self, others: list[Sighting], at: float) -> None:
        """Of those who are still there."""
        self._held = {one.server.id: key for one in others if (key := self._key_held(one)) is not None}
        self._still = {one.server.id: self._reading(one.server, at) for one in others}

    def _key_held(self, one: Sighting) -> str | None:
        if one.lock_held:
            return one.server.lock_key
        before = self._held.get(one.server.id)
        return before if before == one.server.lock_key else None

    def _reading(self, server: Server, at: float) -> tuple[int, float]:
        before = self._still.get(server.id)
        return before if before is not None and before[0] == server.beat else (server.beat, at)

    def _evidence(self, one: Sighting, at: float) -> Evidence | None:
        if self._has_let_go(one) and self._missing(one, at) <= 0:
            return Evidence.LOCK
        if _is_expired(one) and at - self._still[one.server.id][1] >= _lease(one.server):
            return Evidence.LEASE
        return None

    def _has_let_go(self, one: Sighting) -> bool:
        """Only keys that are still theirs are remembered."""
        return one.lock_free and one.server.id in self._held

    def _missing(self, one: Sighting, at: float) -> float:
        """Seconds until its last beat is old enough, by whichever clock says so first: I have read it no earlier than it came."""
        old = max(one.silence.total_seconds(), at - self._still[one.server.id][1])
        return OVERDUE * (one.server.beat_every.total_seconds() or self._beat_every) - old


def _lease(server: Server) -> float:
    return (server.lease_until - server.last_beat_at).total_seconds()


def _is_expired(one: Sighting) -> bool:
    """A beat that is still to come means that the clock was set back: then its lease says nothing, and my own watch decides."""
    return not one.server.last_beat_at <= one.now < one.server.lease_until


def _works(one: Sighting) -> bool:
    return not one.server.draining and not _is_expired(one)
