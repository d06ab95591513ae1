"""Between each server and the database stands a proxy that loses answers and requests, stalls and tears connections down."""

from __future__ import annotations

import random

import pytest
from beginning import EVERYWHERE, Begin
from clients import Clients
from counts import Counts, count
from invariants import check
from proxy import Mode
from waiting import until

_FINISHED = "SELECT count(*) FROM wf_process WHERE status = 3"
_DEAD = "SELECT count(*) FROM wf_server WHERE dead_at IS NOT NULL AND pid = :pid"


CALM = 30.0  #: a lease that nobody outlives by being slow


@EVERYWHERE
@pytest.mark.parametrize("rounds", [pytest.param(2, id="twice"), pytest.param(30, id="often", marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_writes_whose_answer_is_lost_and_writes_that_never_arrive(begin: Begin, rounds: int) -> None:
    """What became of each is looked up, so the work goes on where it is: nothing is left to recovery."""
    run = begin(proxied=True, lease=CALM)
    servers = run.start_all(3)
    clients = Clients(run, random.Random(3), {"resume": 1}, most=24, total=100_000).start()
    for _ in range(rounds):
        for server in servers:
            assert run.cut(server, landed=True)
            assert run.cut(server, landed=False)
    clients.finish()
    found = run.settle(clients.turn)
    assert check(found) == []
    assert count(found).lacking(Counts(landed=3 * rounds, missed=3 * rounds, created=20)) == []
    assert not [write for write in found.servers if write.died]
    assert [(one.process, one.reason) for one in found.decisions] == []


@pytest.mark.parametrize("rounds", [pytest.param(2, id="twice"), pytest.param(30, id="often", marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_all_connections_of_a_server_are_torn_down_at_once(begin: Begin, rounds: int) -> None:
    """Its lock goes with them: where it is slow to take another one, it counts as dead, and comes again."""
    run = begin(proxied=True)
    servers = run.start_all(3)
    clients = Clients(run, random.Random(4), {"resume": 1}, most=24, total=100_000).start()
    for _ in range(rounds):
        for server in servers:
            finished = run.count(_FINISHED)
            run.network(server, Mode.RESET)
            run.network(server, Mode.PASS)
            until(lambda finished=finished: run.count(_FINISHED) > finished + 3, 60)  # type: ignore[misc]
    clients.finish()
    found = run.settle(clients.turn)
    assert check(found) == []
    assert sum(proxy.resets for proxy in run.proxies) >= 3 * rounds


def test_a_server_whose_network_stalls_beyond_its_lease(begin: Begin) -> None:
    """The others notice by the lease alone: its connection, and so its lock, is still there. What it has sent may arrive late, and is refused."""
    run = begin(proxied=True)
    servers = run.start_all(3)
    clients = Clients(run, random.Random(4), {"resume": 1}, most=24, total=100_000).start()
    cut_off = servers[0]
    until(lambda: run.count("SELECT count(*) FROM wf_process") > 20, 30)
    run.network(cut_off, Mode.STALL)
    until(lambda: run.count(_DEAD, pid=cut_off.pid), 60)
    run.network(cut_off, Mode.PASS)
    until(lambda: run.count("SELECT count(*) FROM wf_server WHERE dead_at IS NULL AND pid = :pid", pid=cut_off.pid), 60)
    clients.finish()
    found = run.settle(clients.turn)
    assert check(found) == []
    assert count(found).lacking(Counts(recovered=1, created=20)) == []
