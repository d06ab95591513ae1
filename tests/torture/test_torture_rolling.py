"""All servers are replaced one after the other, by SIGTERM, under load: work is handed over and nothing counts as a death."""

from __future__ import annotations

import random

import pytest
from beginning import EVERYWHERE, Begin
from clients import Clients
from counts import Counts, count
from invariants import check
from waiting import until

CALM = 30.0  #: a lease that nobody outlives by being slow: whoever is declared dead here was alive


@EVERYWHERE
@pytest.mark.parametrize("rounds", [pytest.param(1, id="once"), pytest.param(10, id="often", marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_rolling_restart(begin: Begin, rounds: int) -> None:
    run = begin(lease=CALM)
    run.start_all(3)
    clients = Clients(run, random.Random(6), {"resume": 1}, most=24, total=100_000).start()
    for _ in range(rounds):
        for leaving in run.serving():
            created = run.count("SELECT count(*) FROM wf_process")
            until(lambda created=created: run.count("SELECT count(*) FROM wf_process") > created + 5, 60)  # type: ignore[misc]
            assert leaving.terminate() == 0
            run.start().wait_until_ready()
    clients.finish()
    found = run.settle(clients.turn)
    assert check(found) == []
    assert count(found).lacking(Counts(created=15 * rounds, fired=15 * rounds)) == []
    assert not [write for write in found.servers if write.died], "a server that took leave was declared dead"
    assert not found.decisions, "work was not handed back but left to recovery"
    assert run.count("SELECT count(*) FROM wf_server") == 0
