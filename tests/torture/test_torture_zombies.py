"""Servers that are stopped beyond their lease and wake at the moment when their processes are taken over."""

from __future__ import annotations

import pytest
from beginning import EVERYWHERE, Begin
from counts import Counts, count, late_writes, takeovers
from held import closing, held_in_flight
from invariants import check
from waiting import until


@EVERYWHERE
@pytest.mark.parametrize("number", [pytest.param(24, id="24"), pytest.param(60, id="60", marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_zombie_writes_nothing_more(begin: Begin, number: int) -> None:
    """Its answers have come while it was stopped, so it goes on with all its processes at once when it wakes."""
    run = begin(threads=number + 4)
    [zombie] = run.start_all(1)
    held_in_flight(run, [zombie], ["resume"] * number)
    run.start_all(2)
    [(owner,)] = run.rows("SELECT DISTINCT owner FROM wf_process")
    zombie.stop()
    run.tell_receiver("release")
    until(lambda: run.taken(owner) > number // 2, 60)
    zombie.wake()
    found = run.settle(lambda: closing(run))
    assert check(found) == []
    assert late_writes(found, zombie.name) == []
    counts = count(found)
    assert counts.lacking(Counts(in_flight=number // 2, recovered=number // 2, refused=1)) == []
    lost = {one.process for one in takeovers(found)}
    refused = {one.process for one in found.refusals if one.server == zombie.name and one.layer == "guard"}
    assert refused <= lost, "the guard refused a write to a process that nobody had taken"


def test_a_zombie_becomes_a_new_server(begin: Begin) -> None:
    """After it was declared dead it registers anew, and works on under its new incarnation."""
    run = begin()
    [zombie] = run.start_all(1)
    held_in_flight(run, [zombie], ["resume"] * 4)
    run.start_all(1)
    zombie.stop()
    run.tell_receiver("release")
    until(lambda: run.count("SELECT count(*) FROM wf_server WHERE dead_at IS NOT NULL") == 1, 60)
    zombie.wake()
    until(lambda: run.count("SELECT count(*) FROM wf_server WHERE dead_at IS NULL AND pid = :pid", pid=zombie.pid) == 1, 60)
    until(lambda: run.acknowledge(5, run.create(zombie, 5).result(60)), 60)  # the row shows a moment before the server knows it
    found = run.settle(lambda: closing(run))
    assert check(found) == []
    # who declared it dead ended its connections, perhaps the one over which it registered anew: then it did so twice
    assert len({write.id for write in found.servers if write.pid == zombie.pid}) in (2, 3)
    assert late_writes(found, zombie.name) == []
