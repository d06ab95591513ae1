from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from workflow_runtime.engine.clock import Clock, SystemClock
from workflow_runtime.testing.clock import FakeClock

START = datetime(2030, 1, 1, tzinfo=UTC)


def test_it_stands_still() -> None:
    clock = FakeClock()
    assert [clock.now(), clock.now()] == [START, START]
    assert [clock.monotonic(), clock.monotonic()] == [0.0, 0.0]


@pytest.mark.parametrize("span", [90, 90.0, timedelta(seconds=90)])
def test_time_passes_for_both_readings(span: timedelta | float) -> None:
    clock = FakeClock()
    clock.advance(span)
    assert clock.now() == START + timedelta(seconds=90)
    assert clock.monotonic() == 90.0


def test_it_starts_where_it_is_told_and_speaks_utc() -> None:
    clock = FakeClock(datetime(2031, 7, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == datetime(2031, 7, 1, 10, tzinfo=UTC)
    assert clock.now().tzinfo is UTC


def test_a_step_moves_the_wall_clock_alone() -> None:
    clock = FakeClock()
    clock.advance(10)
    clock.set(START - timedelta(hours=1))
    assert clock.now() == START - timedelta(hours=1)
    assert clock.monotonic() == 10.0
    clock.set(datetime(2032, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))))
    assert clock.now() == datetime(2032, 1, 1, tzinfo=UTC)
    assert clock.monotonic() == 10.0


def test_what_cannot_be() -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="use set"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="no time zone"):
        clock.set(datetime(2031, 1, 1))
    with pytest.raises(ValueError, match="no time zone"):
        FakeClock(datetime(2031, 1, 1))
    assert (clock.now(), clock.monotonic()) == (START, 0.0)


def test_listeners_hear_of_each_move_in_order_and_see_the_new_time() -> None:
    clock = FakeClock()
    heard: list[tuple[str, datetime]] = []
    clock.on_advance(lambda: heard.append(("first", clock.now())))
    clock.on_advance(lambda: heard.append(("second", clock.now())))
    clock.advance(1)
    clock.set(START)
    later = START + timedelta(seconds=1)
    assert heard == [("first", later), ("second", later), ("first", START), ("second", START)]


def test_a_listener_that_left_hears_nothing() -> None:
    clock = FakeClock()
    heard: list[str] = []
    leave = clock.on_advance(lambda: heard.append("left"))
    clock.on_advance(lambda: heard.append("stays"))
    leave()
    leave()
    clock.advance(1)
    assert heard == ["stays"]


def test_a_listener_may_move_the_clock_and_leave() -> None:
    clock = FakeClock()
    leavers: list[Callable[[], None]] = []

    def once_more() -> None:
        leavers.pop()()
        clock.advance(1)

    leavers.append(clock.on_advance(once_more))
    clock.advance(1)
    assert clock.monotonic() == 2.0


def test_many_threads_lose_no_second() -> None:
    clock = FakeClock()
    told = threading.Semaphore(0)
    clock.on_advance(told.release)

    def move() -> None:
        for _ in range(200):
            clock.advance(1)

    threads = [threading.Thread(target=move) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 800.0
    assert clock.now() == START + timedelta(seconds=800)
    assert sum(told.acquire(blocking=False) for _ in range(801)) == 800


def test_both_clocks_are_clocks() -> None:
    clocks: list[Clock] = [FakeClock(), SystemClock()]
    for clock in clocks:
        assert clock.now().tzinfo is UTC
        before = clock.monotonic()
        assert clock.monotonic() >= before


def test_the_system_clock_goes_with_the_machine() -> None:
    clock = SystemClock()
    assert datetime.now(UTC) <= clock.now() <= datetime.now(UTC)
