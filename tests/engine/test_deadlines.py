"""Calls that must end in time: that they have ended or were given up is decided once, and who is left behind is counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
from waiting import until

from workflow_runtime.engine.clock import SystemClock
from workflow_runtime.engine.deadlines import Call, DeadlinePassed, Deadlines
from workflow_runtime.testing.clock import FakeClock

ASKED: ContextVar[str] = ContextVar("asked", default="")


def never(stack: str) -> None:
    raise AssertionError("given up")


def held(let_go: threading.Event) -> Callable[[Call[int]], int]:
    def work(call: Call[int]) -> int:
        assert let_go.wait(20)
        return 1

    return work


def raises(call: Call[int]) -> int:
    raise LookupError("of its own")


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock()], ids=["the machine's clock", "a clock that is moved"])
def test_what_ends_in_time_returns_or_raises(clock: Any) -> None:
    deadlines = Deadlines(clock, 1)
    assert deadlines.call("a", lambda call: 5, 60, give_up=never) == 5
    with pytest.raises(LookupError, match="of its own"):
        deadlines.call("a", raises, 60, give_up=never)
    with pytest.raises(SystemExit):
        deadlines.call("a", lambda call: exec_exit(), 60, give_up=never)
    assert (deadlines.left_behind, deadlines.are_full) == (0, False)


def exec_exit() -> int:
    raise SystemExit(3)


def test_it_runs_in_a_thread_of_its_own_with_the_context_of_its_caller() -> None:
    ASKED.set("here")
    seen = Deadlines(SystemClock(), 1).call("a", lambda call: (ASKED.get(), threading.current_thread() is threading.main_thread()), 60, give_up=never)
    assert seen == ("here", False)


def test_with_the_clock_of_the_machine_it_is_given_up_by_who_waits() -> None:
    deadlines, let_go, stacks = Deadlines(SystemClock(), 1), threading.Event(), list[str]()
    with pytest.raises(DeadlinePassed):
        deadlines.call("a", held(let_go), 0.01, give_up=stacks.append)
    assert (deadlines.left_behind, deadlines.are_full) == (1, True)
    assert len(stacks) == 1
    let_go.set()
    until(lambda: deadlines.left_behind == 0)
    assert not deadlines.are_full


def test_a_wait_that_is_longer_than_a_thread_may_sleep_is_slept_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "TIMEOUT_MAX", 0.001)
    deadlines, let_go = Deadlines(SystemClock(), 1), threading.Event()
    timer = threading.Timer(0.02, let_go.set)
    timer.start()
    assert deadlines.call("a", held(let_go), 60, give_up=never) == 1
    timer.join()


def test_when_advance_has_returned_it_is_given_up() -> None:
    clock, let_go, gone, stacks = FakeClock(), threading.Event(), list[int](), list[str]()
    deadlines = Deadlines(clock, 5)
    begun = threading.Barrier(4)

    def work(call: Call[int]) -> int:
        begun.wait(20)
        return held(let_go)(call)

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(deadlines.call, "a", work, seconds, give_up=stacks.append) for seconds in (10, 20, 30)]
        begun.wait(20)
        until(lambda: len(clock._listeners) == 3)
        for seconds in (9, 1, 10):
            clock.advance(seconds)
            gone.append(deadlines.left_behind)
        let_go.set()
        outcomes = [type(future.exception(20)) for future in futures]
    assert (gone, outcomes) == ([0, 1, 2], [DeadlinePassed, DeadlinePassed, type(None)])
    assert len(stacks) == 2
    until(lambda: deadlines.left_behind == 0)
    assert clock._listeners == []


def test_a_clock_that_was_moved_before_it_was_listened_to_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, let_go = FakeClock(), threading.Event()
    deadlines = Deadlines(clock, 5)
    subscribe = clock.on_advance

    def late(callback: Callable[[], object]) -> Callable[[], None]:
        clock.advance(10)
        return subscribe(callback)

    monkeypatch.setattr(deadlines, "_on_advance", late)
    with pytest.raises(DeadlinePassed):
        deadlines.call("a", held(let_go), 10, give_up=lambda stack: None)
    let_go.set()


def test_it_is_decided_once() -> None:
    first, second, noted = Call[int](), Call[int](), list[str]()
    assert first.end(1)
    first.give_up(lambda: noted.append("first"))
    assert (first.given_up, first.result()) == (False, 1)
    second.give_up(lambda: noted.append("second"))
    second.give_up(lambda: noted.append("again"))
    assert not second.end(1)
    with pytest.raises(DeadlinePassed):
        second.result()
    assert (second.given_up, noted) == (True, ["second"])


def test_who_wants_to_know_is_told_once_whenever_he_asks() -> None:
    call, told = Call[int](), list[str]()
    call.on_give_up(lambda: told.append("before"))
    call.give_up()
    call.give_up()
    call.on_give_up(lambda: told.append("after"))
    assert told == ["before", "after"]


def test_whoever_waits_may_be_interrupted_and_what_is_done_then_cannot_hide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines, let_go, told = Deadlines(SystemClock(), 1), threading.Event(), list[str]()

    def interrupted(call: Any, due: float) -> None:
        raise KeyboardInterrupt

    def give_up(stack: str) -> None:
        told.append(stack)
        raise ValueError("hidden")

    monkeypatch.setattr(deadlines, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        deadlines.call("a", held(let_go), 60, give_up=give_up)
    assert (len(told), deadlines.left_behind) == (1, 1)
    let_go.set()
    until(lambda: deadlines.left_behind == 0)
