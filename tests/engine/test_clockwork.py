"""The clockwork with a clock that a test moves: everything runs in the thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from clockworks import PATIENCE, Make, Works, once, stopped_works

from workflow_runtime.engine.clockwork import Job
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.testing.clock import FakeClock


@pytest.fixture
def make() -> Iterator[Make]:
    with stopped_works() as make:
        yield make


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def by_hand(clock: FakeClock, make: Make) -> Works:
    works = make(clock)
    works.clockwork.start()
    assert works.said() == ["poll"]
    return works


def test_there_are_no_threads(clock: FakeClock, make: Make) -> None:
    before = threading.active_count()
    make(clock).clockwork.start()
    assert threading.active_count() == before


def test_each_move_of_the_clock_polls(clock: FakeClock, by_hand: Works) -> None:
    clock.advance(0.001)
    clock.set(clock.now() - timedelta(hours=1))
    assert by_hand.said() == ["poll", "poll"]


def test_a_wake_up_polls_when_it_is_due(clock: FakeClock, by_hand: Works) -> None:
    by_hand.clockwork.wake_at(clock.now() + timedelta(seconds=1))
    assert by_hand.said() == []
    by_hand.clockwork.wake_at(clock.now())
    by_hand.clockwork.nudge()
    assert by_hand.said() == ["poll", "poll"]


def test_beat_and_sweep_run_when_told(by_hand: Works) -> None:
    by_hand.clockwork.run_once()
    by_hand.clockwork.run_once(Job.SWEEP, Job.POLL)
    by_hand.clockwork.sweep_now()
    assert by_hand.said() == ["beat", "sweep", "sweep", "poll", "sweep"]


def test_it_polls_until_the_next_time_lies_ahead(clock: FakeClock, by_hand: Works) -> None:
    answers = [clock.now(), clock.now() - timedelta(days=1), clock.now() + timedelta(microseconds=1)]
    by_hand.act["poll"] = lambda: answers.pop(0)
    by_hand.clockwork.nudge()
    assert by_hand.said() == ["poll", "poll", "poll"]


def test_a_nudge_inside_a_poll_makes_it_go_round_again(by_hand: Works) -> None:
    by_hand.act["poll"] = once(by_hand.clockwork.nudge)
    by_hand.clockwork.nudge()
    assert by_hand.said() == ["poll", "poll"]


def test_moving_the_clock_inside_a_poll_makes_it_go_round_again(clock: FakeClock, by_hand: Works) -> None:
    by_hand.act["poll"] = once(lambda: clock.advance(60))
    by_hand.clockwork.nudge()
    assert by_hand.said() == ["poll", "poll"]


def test_a_sweep_that_asks_for_a_sweep_goes_round_again(by_hand: Works) -> None:
    by_hand.act["sweep"] = once(by_hand.clockwork.sweep_now)
    by_hand.clockwork.sweep_now()
    assert by_hand.said() == ["sweep", "sweep"]


def test_another_thread_leaves_the_work_to_the_one_that_polls(by_hand: Works) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def stays() -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    by_hand.act["poll"] = once(stays)
    poller = threading.Thread(target=by_hand.clockwork.nudge)
    poller.start()
    assert inside.wait(PATIENCE)
    by_hand.clockwork.nudge()  # returns at once
    assert by_hand.said() == ["poll"]
    go_on.set()
    poller.join(PATIENCE)
    assert by_hand.said() == ["poll"]


def test_a_job_that_raises_is_told_and_runs_again(clock: FakeClock, by_hand: Works, caplog: pytest.LogCaptureFixture) -> None:
    error = RuntimeError("the database is away")

    def breaks() -> None:
        raise error

    by_hand.act |= {"poll": once(breaks), "sweep": once(breaks), "trouble": breaks}
    clock.advance(1)
    by_hand.clockwork.run_once()
    assert [by_hand.troubles.get_nowait() for _ in range(2)] == [("poll", error), ("sweep", error)]
    assert "the poll failed and will be tried again: the database is away" in caplog.text
    assert "telling of the failed poll failed too" in caplog.text
    clock.advance(1)
    by_hand.clockwork.run_once()
    assert by_hand.said() == ["poll", "beat", "sweep", "poll", "beat", "sweep"]


def test_a_database_that_is_away_is_told_of_once_until_it_is_back(clock: FakeClock, by_hand: Works, caplog: pytest.LogCaptureFixture) -> None:
    def away() -> None:
        raise StoreUnavailable("the server does not answer")

    def told() -> int:
        return caplog.text.count("the beat failed and is tried again until the database is back")

    by_hand.act["beat"] = away
    for _ in range(5):
        by_hand.clockwork.run_once(Job.BEAT)
    assert told() == 1
    assert "Traceback" not in caplog.text
    by_hand.act["beat"] = lambda: None
    by_hand.clockwork.run_once(Job.BEAT)
    by_hand.act["beat"] = away
    by_hand.clockwork.run_once(Job.BEAT)
    assert told() == 2


def test_a_keyboard_interrupt_is_not_swallowed(clock: FakeClock, by_hand: Works) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    by_hand.act["poll"] = once(interrupted)
    with pytest.raises(KeyboardInterrupt):
        clock.advance(1)
    clock.advance(1)
    assert by_hand.said() == ["poll", "poll"]


def test_nothing_runs_after_the_end_and_all_after_a_new_start(clock: FakeClock, by_hand: Works) -> None:
    by_hand.clockwork.stop()
    by_hand.clockwork.stop(wait=False)
    clock.advance(1)
    by_hand.clockwork.nudge()
    by_hand.clockwork.sweep_now()
    by_hand.clockwork.wake_at(clock.now())
    by_hand.clockwork.run_once()
    assert by_hand.said() == []
    by_hand.clockwork.start()
    by_hand.clockwork.start()
    clock.advance(1)
    assert by_hand.said() == ["poll", "poll"]
