"""Many due rows and few workers: nothing that cannot be fired stands before what can, and no wake-up is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, engine_of
from orphanage import PAYING, START, Orphanage
from timed import HOUR, text
from waiting import until

from workflow_runtime import ProcessStatus, WorkflowRuntime
from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.process import Timer, TimerKind
from workflow_runtime.engine.timers import ROWS_PER_WORKER, TimerLoop
from workflow_runtime.engine.workers import Workers

MANY = "\n".join(f"  t{number}: {{interval: 1m}}" for number in range(12))
WAYS = [f"{{from: A, to: B, on: {{timer: t{number}}}}}" for number in range(12)]


def with_many_timers(code: str, b: str = "{}") -> str:
    """Twelve timers lead out of A."""
    scheme = text("{interval: 1m}", "{from: A, to: B, on: {timer: t}}", *WAYS, b=b)
    return scheme.replace("timers:\n", f"timers:\n{MANY}\n").replace("scheme: S", f"scheme: {code}")


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "cannot be fired here" in record.getMessage()]


# ------------------------------------------------------------------ what this server cannot fire


def test_many_rows_of_what_cannot_be_fired_here_stand_before_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Their scheme names an action that this server lacks. Each poll once read as many rows as there were processes."""
    rare = bench(with_many_timers("Rare", "{actions: [Rare]}"), actions={"Rare": lambda ctx, parameter: None})
    for _ in range(5):
        rare.create_instance("Rare")
    rare.shutdown()
    server = bench(text("{interval: 1h}"), workers=1)
    common = server.create_instance("S")
    bench.clock.advance(HOUR)
    assert server.get_process(common.id).activity == "B"
    assert 1 <= len(refusals(caplog)) <= ROWS_PER_WORKER
    caplog.clear()
    for _ in range(3):
        bench.clock.advance(HOUR)
    assert refusals(caplog) == [], "it is known by now"


def test_many_rows_of_a_process_that_cannot_be_read_stand_before_nothing(bench: Bench) -> None:
    runtime = bench(with_many_timers("Bad"), text("{interval: 1h}"), workers=1)
    bad, good = runtime.create_instance("Bad"), runtime.create_instance("S")
    with engine_of(runtime).store.dialect.write() as transaction:
        transaction.driver.execute("UPDATE wf_process SET parameters = '{' WHERE id = ?", (str(bad.id),))
    bench.clock.advance(HOUR)
    assert runtime.get_process(good.id).activity == "B"


def test_a_scheme_that_cannot_be_read_is_told_once_a_poll_and_not_for_each_process(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    runtime = bench(text("{interval: 1m}").replace("scheme: S", "scheme: Lost"), text("{interval: 1h}"), workers=1)
    for _ in range(10):
        runtime.create_instance("Lost")
    good = runtime.create_instance("S")
    with engine_of(runtime).store.dialect.write() as transaction:
        transaction.driver.execute("UPDATE wf_scheme SET text = 'scheme: [' WHERE code = 'Lost'")
    engine_of(runtime).schemes._kept.clear()
    bench.clock.advance(HOUR)
    assert runtime.get_process(good.id).activity == "B"
    assert 1 <= len(refusals(caplog)) <= ROWS_PER_WORKER


# ------------------------------------------------------------------ more than there are workers


class LateRefusal(Workers):
    """The work in hand ends between the refusal and whatever is made of it."""

    release = threading.Event()

    def offer(self, work: Callable[[], object], *, suspect: bool = False) -> bool:
        taken = super().offer(work, suspect=suspect)
        if not taken:
            self.release.set()
            assert self.wait_until_idle(20)
        return taken


class Quick(Workers):
    """Whatever is taken has ended before the next is offered."""

    def offer(self, work: Callable[[], object], *, suspect: bool = False) -> bool:
        taken = super().offer(work, suspect=suspect)
        assert self.wait_until_idle(20)
        return taken


@contextmanager
def loop_of(runtime: WorkflowRuntime, kind: type[Workers], count: int = 1) -> Iterator[tuple[TimerLoop, list[bool]]]:
    """A timer loop that does not wait, as with the clock of the machine, instead of the runtime's own; and its nudges."""
    parts, nudges = runtime._parts, list[bool]()
    assert parts.clockwork is not None
    parts.clockwork.stop()
    parts.engine.nudge = lambda: nudges.append(True)
    workers = kind(count, on_free=lambda: loop.freed())
    loop = TimerLoop(parts.engine, parts.executor, workers, wait=False)
    workers.start()
    yield loop, nudges
    workers.close(20)


def at_b(runtime: WorkflowRuntime) -> int:
    return runtime.count_processes(ProcessFilter(activity="B"))


@pytest.mark.parametrize("kind", [LateRefusal, Quick])
def test_what_no_worker_had_time_for_is_begun_or_asked_for_as_soon_as_one_has(bench: Bench, kind: type[Workers]) -> None:
    def hold(ctx: Any, parameter: str | None) -> None:
        assert kind is Quick or LateRefusal.release.wait(20)

    runtime = bench(text("{interval: 1h}", b="{actions: [Hold]}"), actions={"Hold": hold})
    number = 3 * ROWS_PER_WORKER
    for _ in range(number):
        runtime.create_instance("S")
    with loop_of(runtime, kind) as (loop, nudges):
        bench.clock.advance(HOUR)
        loop.poll()
        until(lambda: at_b(runtime) == number or nudges, 5)


def test_a_free_worker_that_nothing_waits_for_nudges_nobody(bench: Bench) -> None:
    runtime = bench(text("{interval: 1h}", "{from: A, to: End, on: {timer: t}}"))
    runtime.create_instance("S")
    with loop_of(runtime, Workers) as (loop, nudges):
        bench.clock.advance(HOUR)
        loop.poll()
        assert loop.workers.wait_until_idle(20)
        assert nudges == []


# ------------------------------------------------------------------ suspects


RETRY = Timer(name="retry", kind=TimerKind.RETRY, due=START)


class Together:
    """An action of which two at a time would meet."""

    def __init__(self) -> None:
        self._lock, self._inside, self.most = threading.Lock(), 0, 0
        self._met = threading.Event()

    def __call__(self, ctx: object) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
            if self.most > 1:
                self._met.set()
        self._met.wait(0.3)  # the time in which the other would come
        with self._lock:
            self._inside -= 1


@pytest.mark.parametrize(("deaths", "at_once"), [(1, 2), (2, 1)])
@pytest.mark.parametrize("kind", [TimerKind.RETRY, TimerKind.START])
def test_of_those_that_servers_died_with_one_at_a_time_is_taken_up(tmp_path: Path, deaths: int, at_once: int, kind: TimerKind) -> None:
    row = Timer(name=kind, kind=kind, due=START)
    with Orphanage(tmp_path, workers=4) as home:
        home.act["Charge"] = together = Together()
        handed_back = [home.orphan(PAYING, owner=None, arm=(row,), deaths=deaths, deaths_step="Paid#0") for _ in range(2)]
        home.clock.advance(1)
        assert [home.stands(one) for one in handed_back] == [(ProcessStatus.IDLED, "Waiting")] * 2
        assert together.most == at_once


def test_suspects_that_wait_for_their_turn_stand_before_nothing(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home, loop_of(home.runtime, Workers) as (loop, nudges):
        go_on = threading.Event()
        held: list[object] = []

        def hold(ctx: Any) -> None:
            if ctx.process.deaths:
                held.append(ctx.process.id)
                assert go_on.wait(20)

        home.act["Charge"] = hold
        suspects = [home.orphan(PAYING, owner=None, arm=(RETRY,), deaths=2, deaths_step="Paid#0") for _ in range(3 * ROWS_PER_WORKER)]
        later = Timer(name="retry", kind=TimerKind.RETRY, due=START + timedelta(seconds=1))
        other = home.orphan(PAYING, owner=None, arm=(later,))
        home.clock.advance(2)
        loop.poll()
        until(lambda: home.stands(other) == (ProcessStatus.IDLED, "Waiting") and held)
        assert len(held) == 1
        until(lambda: nudges)  # the worker of the other is free again, and suspects wait
        go_on.set()
        for _ in suspects:
            assert loop.workers.wait_until_idle(20)
            loop.poll()
        assert {home.status(one) for one in suspects} == {ProcessStatus.IDLED}
