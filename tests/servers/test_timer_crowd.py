"""Three servers in processes of their own and very many timers, one of the servers killed on the way.

What became of it is read from the database: one history row of the timer for each process, none before its due time by
the database's clock, all servers had their part, and a receiver that the engine knows nothing of has each key once.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import databases
import pytest
import sqlalchemy as sa
from crowd_worker import LOUD, SCHEME, calls, effects
from waiting import until

from workflow_runtime.core import rules
from workflow_runtime.core.process import Change, ProcessStatus, Timer
from workflow_runtime.core.reading import Format
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.runtime.sources import TEXTS
from workflow_runtime.store import rows, tables
from workflow_runtime.store.writes import Store

WORKER = Path(__file__).with_name("crowd_worker.py")
NAMES = ("one", "two", "three")
WORKERS = 4  #: of each server
BATCH = 500  #: timers that are created in one transaction
LEAST = 0.15  #: of all timers, by each server
SELDOM = 0.15  #: claims that were lost to another server, for each timer
LOUD_ONES = 5  #: one in so many has an action


class Crowd:
    """The database as the test sees it: timers are put there, and what became of them is read."""

    def __init__(self, url: str, effects_url: str) -> None:
        self.url, self.effects_url = url, effects_url
        self.store = Store.open(url, clock=_no_clock, new_token=lambda: random.getrandbits(48), monotonic=time.monotonic)
        self.schemes = [TEXTS.read(text, Format.YAML) for text in (SCHEME, LOUD)]
        for scheme, text in zip(self.schemes, (SCHEME, LOUD), strict=True):
            self.store.add_scheme(scheme.key, text, Format.YAML)
        self.receiver = sa.create_engine(effects_url, poolclass=sa.NullPool)
        calls.metadata.create_all(self.receiver)
        self.dues: dict[UUID, datetime] = {}
        self.names: dict[str, str] = {}  #: of incarnations

    def create(self, count: int, ahead: timedelta) -> None:
        """A third of them overdue, by up to an hour; the others fall due from now on until ``ahead``."""
        rng, begin = random.Random(count), self.store.now()
        for first in range(0, count, BATCH):
            batch = [self._born(number, begin, ahead, rng) for number in range(first, min(first + BATCH, count))]
            self.store.apply_all(batch)
            self.store.tell_due(begin)

    def _born(self, number: int, begin: datetime, ahead: timedelta, rng: random.Random) -> Change:
        due = begin + (ahead * rng.random() if number % 3 else -timedelta(hours=1) * rng.random())
        process_id = uuid4()
        self.dues[process_id] = due
        return resting(self.schemes[number % LOUD_ONES == 0], process_id, Timer(name="t", due=due), self.store.now())

    def done(self) -> int:
        """Processes that have ended. Whoever asks learns the names of servers by the way."""
        self.names |= {server.id: server.name for server in self.store.servers()}
        return self._number(sa.select(sa.func.count()).where(tables.process.c.status == ProcessStatus.FINALIZED.id))

    def _number(self, statement: sa.Select[Any]) -> int:
        return int(self.rows(statement)[0][0])

    def rows(self, statement: sa.Select[Any]) -> list[Any]:
        with self.store.dialect.read() as transaction:
            return transaction.rows_built(statement)

    def received(self, table: sa.Table) -> list[Any]:
        with self.receiver.connect() as connection:
            return list(connection.execute(sa.select(table)))


def resting(scheme: Scheme, process_id: UUID, timer: Timer, now: datetime) -> Change:
    """A creation that has come to rest in the initial activity with this timer, as a client would have written it."""
    born = rules.create(scheme, process_id=process_id, token=random.getrandbits(48), owner=None, walk_id=uuid4().hex, now=now)
    arrived = born.then(rules.arrive(born.result, born.result.parameters, (timer,), server=None, now=now))
    return arrived.then(rules.rest(arrived.result, now=now))


def _no_clock() -> datetime:
    raise AssertionError("the database's clock counts")


class Servers:
    """The processes. Each line they write to standard error is shown when a test fails."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self.running: dict[str, subprocess.Popen[str]] = {}

    def begin(self, *names: str) -> None:
        """Returns when they are ready."""
        for name in names:
            self._begin(name)
        for name in names:
            stdout = self.running[name].stdout
            assert stdout is not None
            assert stdout.readline() == "ready\n", name

    def _begin(self, name: str) -> None:
        arguments = [sys.executable, str(WORKER), name, self._crowd.url, self._crowd.effects_url, str(WORKERS)]
        self.running[name] = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.communicate()

    def end(self) -> list[str]:
        """The last words of each. Nothing happens a second time."""
        ending, self.running = list(self.running.values()), {}
        return [_last_words(process) for process in ending]


def _last_words(process: subprocess.Popen[str]) -> str:
    try:
        said, _ = process.communicate("", timeout=20)
        return said
    finally:
        process.kill()


@contextmanager
def crowd_of(places: databases.Places, url: str) -> Iterator[tuple[Crowd, Servers]]:
    crowd = Crowd(url, places.empty())
    servers = Servers(crowd)
    with ExitStack() as ended:
        ended.callback(crowd.store.close)
        ended.callback(crowd.receiver.dispose)
        ended.callback(servers.end)
        yield crowd, servers


@pytest.mark.parametrize(
    ("count", "ahead", "patience"),
    [pytest.param(600, 5, 60, id="600"), pytest.param(20_000, 20, 240, id="20000", marks=[pytest.mark.slow, pytest.mark.timeout(360)])],
)
def test_each_timer_of_a_crowd_fires_once_never_early_and_wherever_there_is_time(
    places: databases.Places, url: str, count: int, ahead: float, patience: float
) -> None:
    with crowd_of(places, url) as (crowd, servers):
        first = count * 3 // 5
        servers.begin(*NAMES)
        crowd.create(first, timedelta(seconds=ahead))
        until(lambda: crowd.done() >= first // 2, patience)
        servers.kill("two")
        at_kill = crowd.done()
        servers.begin("two")
        crowd.create(count - first, timedelta(seconds=ahead))
        until(lambda: crowd.done() == count, patience)

        fired = crowd.rows(sa.select(tables.history.c.process_id, tables.history.c.at, tables.history.c.server).where(tables.history.c.trigger_name == "t"))
        assert at_kill < first, "it was killed in the middle"
        assert Counter(UUID(row[0]) for row in fired) == Counter(list(crowd.dues)), "one history row for each timer"
        assert crowd.rows(sa.select(tables.timer.c.process_id)) == [], "and no timer is left"
        early = [row for row in fired if rows.moment(row[1]) < crowd.dues[UUID(row[0])]]
        assert early == []
        share = Counter(crowd.names[row[2]] for row in fired)
        assert set(share) == set(NAMES)
        assert min(share.values()) >= LEAST * count, share

        loud = {str(process_id) for (process_id,) in crowd.rows(sa.select(tables.process.c.id).where(tables.process.c.scheme_code == "Loud"))}
        received, called = crowd.received(effects), crowd.received(calls)
        assert len(loud) == -(-count // LOUD_ONES)
        assert Counter(row.process for row in received) == Counter(loud), "one key for each, whoever sent it"
        assert len(called) - len(received) <= WORKERS, "only what was in flight at the kill was sent twice"

        lost = [int(words) for words in servers.end()]
        assert sum(lost) <= SELDOM * count, lost
