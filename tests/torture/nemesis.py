"""Faults at random, all from one seed: what is done next, to whom and for how long.

===========  ======================================================================================  =======
fault        what it does                                                                            weight
===========  ======================================================================================  =======
kill         SIGKILL; another server takes its place, now and then with a crash point of its own          35
stop         SIGSTOP while it has work in hand; woken when that is taken over, or after a while           20
point        a server that stops itself at a random crash point, woken at the same moment                 15
cut          the next write is lost, or only its answer                                                   10
network      its connections are torn down, stall, or are slow                                            10
backends     half of all connections are ended by the database                                             6
restart      the database is stopped at once and started again (only one of the test's own)                3
swizzle      all servers stall one by one, and go on in another order                                      3
leave        SIGTERM; another takes its place                                                              3
leases       every lease is set back by an hour                                                            2
recoverer    a server that dies while it recovers, and a kill that makes it                                2
===========  ======================================================================================  =======
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from counts import Counts
from own_postgres import RestartingPostgres
from programs import Server
from proxy import Mode
from supervisor import LOOK, Supervisor

T = TypeVar("T")

SERVERS = 3
MORE = 20  #: faults at most, besides those that fit into the time
_IN_HAND = """
SELECT count(*) FROM wf_process WHERE status = 1 AND owner IN (SELECT id FROM wf_server WHERE pid = :pid AND dead_at IS NULL)
"""
_TAKEN = """
SELECT count(*) FROM audit JOIN wf_server ON had = id
WHERE source = 'wf_process' AND pid = :pid AND dead_at IS NOT NULL AND audit.owner IS DISTINCT FROM id AND seq > :seq
"""
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%torture-%'"
_SET_BACK = "UPDATE wf_server SET lease_until = lease_until - 3600000000 WHERE dead_at IS NULL"
#: where a server under torture stops or dies by itself
POINTS = ("claim.after", "step.before", "step.after", "journal.before", "journal.after", "arrive.before", "arrive.after", "effect.after")
RECOVERING = ("adopt.before", "adopt.after", "verdict.before", "verdict.after")


class Nemesis:
    """Runs in the thread that calls ``run``. ``postgres``: the server, where it may be restarted."""

    def __init__(self, supervisor: Supervisor, chance: random.Random, *, postgres: RestartingPostgres | None = None) -> None:
        self._supervisor, self._chance, self._postgres = supervisor, chance, postgres
        self._pause = threading.Event()
        self._wakes: dict[Server, Callable[[], bool]] = {}  #: stopped servers, and whether it is time
        self._faults: dict[Callable[[], None], int] = {
            self.kill: 35,
            self.stop: 20,
            self.point: 15,
            self.cut: 10,
            self.network: 10,
            self.backends: 6,
            self.swizzle: 3,
            self.leave: 3,
            self.leases: 2,
            self.recoverer: 2,
        }
        if postgres is not None:
            self._faults[self.restart] = 3

    def run(self, seconds: float, least: Counts) -> None:
        """One fault after the other, the frequent ones first, however long they take; then every stopped server is woken.

        Where the machine was so slow that too little came of it, some follow; see ``MORE``.
        """
        deadline = time.monotonic() + seconds
        first = [self.kill, self.stop, self.cut, self.network, self.cut]
        while first or time.monotonic() < deadline:
            fault = first.pop(0) if first else self._chance.choices(list(self._faults), list(self._faults.values()))[0]
            self._guarded(fault)
            self._rest(self._chance.uniform(0.2, 1.0))
        for _ in range(MORE):
            self._wake_all()
            missing = [fault for fault, is_missing in self._missing(least).items() if is_missing]
            if not missing:
                break
            self._guarded(missing[0])
        self._wake_all()

    def _wake_all(self) -> None:
        while self._wakes:
            self._rest(LOOK)

    def _missing(self, least: Counts) -> dict[Callable[[], None], bool]:
        events, refused = self._supervisor.events.all, self._supervisor.refusals()
        cut = Counter(event.facts["outcome"] for event in events if event.kind == "cut")
        return {self.cut: cut["landed"] < least.landed or cut["missed"] < least.missed, self.stop: len(refused) < least.late}

    def _guarded(self, fault: Callable[[], None]) -> None:
        try:
            self._fill_up()
            fault()
        except sa.exc.DBAPIError as error:  # the database is away, or has ended the supervisor's connection too
            self._supervisor.events.note("nothing came of it", fault=fault.__name__, error=type(error).__name__)

    def _rest(self, seconds: float) -> None:
        """Meanwhile whoever is stopped is woken when its time has come."""
        until = time.monotonic() + seconds
        while True:
            for server in [server for server in self._supervisor.servers if server.alive and server.is_stopped and server not in self._wakes]:
                self._wake_when_taken(server)  # it has stopped itself
            for server, is_time in list(self._wakes.items()):
                try:
                    if not server.alive or is_time():
                        del self._wakes[server]
                        server.wake()
                except sa.exc.DBAPIError:
                    continue
            if time.monotonic() >= until:
                return
            self._pause.wait(LOOK)

    # ------------------------------------------------------------------ whom

    def _fill_up(self, point: str = "") -> None:
        """So that there are always as many servers as there should be, stopped ones included."""
        living = [server for server in self._supervisor.servers if server.alive]
        for _ in range(SERVERS - len(living)):
            self._supervisor.start(point=point)

    def _victim(self) -> Server | None:
        serving = [server for server in self._supervisor.serving() if server not in self._wakes]
        return self._chance.choice(serving) if len(serving) > 1 else None

    def _sometimes(self, probability: float, value: T, otherwise: T) -> T:
        return value if self._chance.random() < probability else otherwise

    # ------------------------------------------------------------------ faults

    def kill(self) -> None:
        victim = self._victim()
        if victim is not None:
            victim.kill()
            self._fill_up(self._sometimes(0.25, f"{self._chance.choice(POINTS)}:{self._chance.randint(5, 60)}:kill", ""))

    def stop(self) -> None:
        """One that turns out to have nothing in hand goes on at once: nothing could be learned from it."""
        for victim in [self._victim() for _ in range(3)]:
            if victim is None or victim in self._wakes:
                continue
            victim.stop()
            if self._supervisor.count(_IN_HAND, pid=victim.pid):
                self._wake_when_taken(victim)
                return
            victim.wake()

    def _wake_when_taken(self, server: Server) -> None:
        """Most are woken when what they had is taken over, some before that."""
        beyond = time.monotonic() + self._supervisor.settings["lease"] * self._sometimes(0.25, self._chance.uniform(0.3, 1.0), 6.0)
        seq = self._supervisor.count("SELECT coalesce(max(seq), 0) FROM audit")
        self._wakes[server] = lambda: self._supervisor.count(_TAKEN, pid=server.pid, seq=seq) > 0 or time.monotonic() > beyond

    def point(self) -> None:
        victim = self._victim()
        if victim is not None:
            victim.kill()
            self._fill_up(f"{self._chance.choice(POINTS)}:{self._chance.randint(5, 40)}:stop")

    def cut(self) -> None:
        """Of each outcome one, by whoever writes first."""
        for landed in self._chance.sample([True, False], 2):
            for victim in [self._victim() for _ in range(4)]:
                if victim is not None and victim.proxy is not None and self._supervisor.cut(victim, landed=landed, seconds=2.0):
                    break

    def network(self) -> None:
        victim = self._victim()
        if victim is None or victim.proxy is None:
            return
        mode = self._chance.choice([Mode.RESET, Mode.STALL, Mode.DELAY])
        self._supervisor.network(victim, mode)
        self._rest(self._chance.uniform(0.1, 1.5) * self._supervisor.settings["lease"])
        self._supervisor.network(victim, Mode.PASS)

    def backends(self) -> None:
        for (pid,) in self._supervisor.rows(_BACKENDS):
            if self._chance.random() < 0.5:
                self._supervisor.rows("SELECT pg_terminate_backend(:pid)", pid=pid)
        self._supervisor.events.note("backends ended")

    def restart(self) -> None:
        assert self._postgres is not None
        self._supervisor.events.note("database restarted")
        self._postgres.restart()

    def swizzle(self) -> None:
        stalled = [server for server in self._supervisor.serving() if server.proxy is not None]
        for server in stalled:
            self._supervisor.network(server, Mode.STALL)
            self._rest(self._chance.uniform(0.05, 0.3))
        self._chance.shuffle(stalled)
        for server in stalled:
            self._supervisor.network(server, Mode.PASS)
            self._rest(self._chance.uniform(0.05, 0.3))

    def leave(self) -> None:
        victim = self._victim()
        if victim is not None:
            victim.terminate()
            self._fill_up()

    def leases(self) -> None:
        with self._supervisor.database.connect() as connection:
            connection.execute(sa.text(_SET_BACK))
        self._supervisor.events.note("leases set back")

    def recoverer(self) -> None:
        victim = self._victim()
        if victim is not None:
            heir = self._supervisor.start(point=f"{self._chance.choice(RECOVERING)}:{self._chance.randint(1, 3)}:kill")
            self._rest(0.5)
            if heir.serves:
                victim.kill()
