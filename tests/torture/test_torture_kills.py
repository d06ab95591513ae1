"""Servers that die by SIGKILL with work in hand; whoever recovers it may die too."""

from __future__ import annotations

import pytest
from beginning import EVERYWHERE, Begin
from counts import Counts, count, takeovers
from held import closing, held_in_flight
from invariants import check
from nemesis import RECOVERING
from waiting import until


@EVERYWHERE
@pytest.mark.parametrize("number", [pytest.param(60, id="60"), pytest.param(200, id="200", marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_one_of_three_dies_with_many_processes_in_flight(begin: Begin, number: int) -> None:
    run = begin(threads=number // 3 + 10, workers=32)
    servers = run.start_all(3)
    others = ["delete", "rerun", "jump", "default", "raise", "hang", "garbage"]
    held_in_flight(run, servers, [others[n // 3 % 7] if n % 12 < 3 else "resume" for n in range(number)])
    servers[0].kill()
    run.tell_receiver("release")
    found = run.settle(lambda: closing(run))
    assert check(found) == []
    assert count(found).lacking(Counts(in_flight=number // 3, killed=1, recovered=number // 3, policies={"resume": number // 6})) == []
    assert {one.writer for one in takeovers(found)} == {servers[1].name, servers[2].name}


@EVERYWHERE
@pytest.mark.parametrize(
    "point",
    ["adopt.after:2", "verdict.before:2", *(pytest.param(f"{point}:{nth}", marks=pytest.mark.slow) for point in RECOVERING for nth in (3, 5))],
)
def test_whoever_recovers_dies_too(begin: Begin, point: str) -> None:
    """Both survivors are killed while they recover; a third comes, finds the work of three, and finishes it."""
    run = begin(threads=24)
    [first] = run.start_all(1)
    held_in_flight(run, [first], ["resume"] * 10 + ["rerun"] * 2)
    heirs = run.start_all(2, point=point)
    first.kill()
    until(lambda: not any(heir.alive for heir in heirs), 30)
    run.tell_receiver("release")
    run.start().wait_until_ready()
    found = run.settle(lambda: closing(run))
    assert check(found) == []
    assert count(found).lacking(Counts(in_flight=12, killed=1, recovered=12)) == []
    assert len({one.owner for one in takeovers(found)}) > 1, "nobody took over from a recoverer"


def test_poison_kills_the_servers_that_execute_it_and_no_neighbour_suffers(begin: Begin) -> None:
    run = begin(max_recovery_attempts=1)
    servers = run.start_all(2)
    held_in_flight(run, servers, ["resume"] * 6)
    run.create(servers[0], 7, "poison")
    until(lambda: not servers[0].alive)
    until(lambda: not servers[1].alive, 30)
    run.tell_receiver("release")
    run.start().wait_until_ready()
    found = run.settle(lambda: closing(run))
    assert check(found) == []
    assert count(found).lacking(Counts(recovered=7, policies={"poison": 2, "resume": 6})) == []
