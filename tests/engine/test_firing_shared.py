"""Batches of one server among several: what is another's turn, and two who fire the same at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from belfry import watched
from bench import Bench, engine_of
from test_timers_crowds import loop_of
from test_timers_shared import among, created, stand
from timed import HOUR, text

from workflow_runtime import WorkflowRuntime
from workflow_runtime.core.process import TimerKind
from workflow_runtime.engine.firing import FEWEST, MOST, Batch
from workflow_runtime.engine.presence import Presence
from workflow_runtime.engine.timers import ROWS_PER_WORKER, YIELD
from workflow_runtime.engine.workers import Workers
from workflow_runtime.store.writes import DueRow

PATIENCE = 20.0


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    living: list[str] = []
    monkeypatch.setattr(Presence, "peers", property(lambda presence: tuple(living)))
    return living


@pytest.fixture
def sizes() -> Iterator[list[int]]:
    with watched() as found:
        yield found


def test_what_is_anothers_turn_is_left_to_it_for_one_yield_and_then_goes_together(bench: Bench, peers: list[str], sizes: list[int]) -> None:
    runtime = among(bench, peers)
    mine = [created(runtime, peers, mine=True) for _ in range(FEWEST)]
    theirs = [created(runtime, peers, mine=False) for _ in range(FEWEST)]
    bench.clock.advance(HOUR)
    assert stand(runtime, *mine, *theirs) == ["B"] * FEWEST + ["A"] * FEWEST
    bench.clock.advance(YIELD)
    assert stand(runtime, *theirs) == ["B"] * FEWEST
    assert sizes == [FEWEST, FEWEST]


def test_it_looks_far_ahead_for_its_own_before_it_takes_what_is_others(bench: Bench, peers: list[str], sizes: list[int]) -> None:
    """All are overdue, and the other server is as far behind: of what is read at first all is its own."""
    runtime = among(bench, peers, workers=1)
    theirs = [created(runtime, peers, mine=False) for _ in range(3 * ROWS_PER_WORKER)]
    bench.clock.advance(1)
    mine = [created(runtime, peers, mine=True) for _ in range(FEWEST)]
    with loop_of(runtime, Workers) as (loop, _):
        bench.clock.advance(2 * HOUR)
        while "A" in stand(runtime, *mine, *theirs):
            loop.poll()
            assert loop.workers.wait_until_idle(PATIENCE)
    assert sizes == [len(mine), len(theirs)]
    assert {runtime.get_process(each).revision for each in (*mine, *theirs)} == {2}


# ------------------------------------------------------------------ two real ones


SCHEME = text("{interval: 1h}")


def rows_for(ids: list[UUID], runtime: WorkflowRuntime) -> list[DueRow]:
    rows = []
    for each in ids:
        (timer,) = engine_of(runtime).store.timers(each)
        assert timer.kind is TimerKind.TIMER
        rows.append(DueRow(each, timer, runtime.get_process(each).scheme_version, 0))
    return rows


def test_two_servers_that_fire_the_same_batch_fire_each_timer_once(shared_database: str) -> None:
    """At the same moment, and in opposite orders: neither waits for the other for ever."""

    def server(name: str) -> WorkflowRuntime:
        return WorkflowRuntime(shared_database).with_schemes(SCHEME).with_settings(poll=3_600).as_multi_server(name)

    with server("one") as one, server("other") as other:
        for _ in range(5):
            ids = [one.create_instance("S").id for _ in range(MOST)]
            rows, barrier, left = rows_for(ids, one), threading.Barrier(2), dict[str, set[UUID]]()

            def fire(runtime: WorkflowRuntime, name: str, order: list[DueRow], meet: Any = barrier, found: Any = left) -> None:
                batch = Batch(engine_of(runtime), runtime._parts.executor)
                meet.wait(PATIENCE)
                batch.fire(order)
                found[name] = batch.left

            threads = [threading.Thread(target=fire, args=given) for given in ((one, "one", rows), (other, "other", rows[::-1]))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            assert left["one"].isdisjoint(left["other"])
            for each in ids:
                assert [entry.to_activity for entry in one.get_history(each)] == ["A", "B"]
