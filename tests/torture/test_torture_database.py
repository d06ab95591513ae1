"""The database is stopped at once, as at a power cut, and started again while three servers work: nobody dies of it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from beginning import Begin
from clients import Clients
from counts import Counts, count
from invariants import check
from own_postgres import RestartingPostgres
from waiting import until

CALM = 30.0  #: a lease that nobody outlives by being slow: whoever is declared dead here was alive


@pytest.fixture
def own_postgres() -> Iterator[RestartingPostgres]:
    server = RestartingPostgres()
    yield server
    server.close()


@pytest.mark.parametrize("restarts", [pytest.param(2, id="2"), pytest.param(30, id="30", marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_the_database_is_restarted_under_load(begin: Begin, own_postgres: RestartingPostgres, restarts: int) -> None:
    run = begin(own_postgres.url, lease=CALM)
    run.start_all(3)
    clients = Clients(run, random.Random(5), {"resume": 1}, most=24, total=100_000).start()
    for _ in range(restarts):
        finished = run.count("SELECT count(*) FROM wf_process WHERE status = 3")
        until(lambda finished=finished: run.count("SELECT count(*) FROM wf_process WHERE status = 3") > finished + 10, 60)  # type: ignore[misc]
        own_postgres.restart()
        run.events.note("database restarted")
    clients.finish()
    found = run.settle(clients.turn)
    assert check(found) == []
    assert count(found).lacking(Counts(created=10 * restarts)) == []
    assert not [write for write in found.servers if write.died], "a restart of the database was taken for a death"
    assert not found.decisions, "work in hand was not kept over the restart"
