"""The clockwork with the machine's clock and its threads. What happens is waited for; nothing is slept over."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import apscheduler.schedulers.base
import pytest
from clockworks import PATIENCE, Make, Works, once, stopped_works
from waiting import until

import workflow_runtime.engine.clock
from workflow_runtime.engine.clock import SystemClock
from workflow_runtime.engine.clockwork import Job

FAR = 3_600.0  #: an interval that does not come round within a test


@pytest.fixture
def make() -> Iterator[Make]:
    with stopped_works() as make:
        yield make


def test_each_job_runs_at_the_start_and_again(make: Make) -> None:
    works = make(beat=0.01, lease=1, sweep=0.01, poll=0.01)
    works.clockwork.start()
    for _ in range(5):
        works.wait_for("beat", "sweep", "poll")


def test_the_intervals_may_be_given(make: Make) -> None:
    works = make(beat=FAR / 4, lease=FAR, sweep=FAR, poll=FAR, beat_every=0.01, sweep_every=0.02)
    works.clockwork.start()
    works.wait_for("beat", "beat", "beat", "sweep", "sweep", "poll")
    assert "poll" not in works.said()


def test_a_beat_goes_on_while_poll_and_sweep_hang(make: Make) -> None:
    works = make(beat=0.01, lease=1, sweep=0.01, poll=0.01)
    go_on = threading.Event()
    works.act["sweep"] = lambda: go_on.wait(PATIENCE)
    works.act["poll"] = lambda: go_on.wait(PATIENCE) and None  # no wish
    works.clockwork.start()
    works.wait_for("poll", "sweep", *["beat"] * 20)
    assert set(works.said()) <= {"beat"}
    go_on.set()


def still(make: Make, **settings: Any) -> Works:
    """Works that have run, also because of the nudge at the start, and will not come round by themselves."""
    works = make(**{"beat": FAR / 4, "lease": FAR, "sweep": FAR, "poll": FAR, **settings})
    works.clockwork.start()
    works.wait_for("beat", "sweep", "poll")
    assert works.clockwork._drive is not None
    poll = works.clockwork._drive.alarms[Job.POLL]
    until(lambda: not poll._busy and poll._next > SystemClock().monotonic() + FAR / 2)
    works.said()
    return works


def test_a_poll_comes_when_the_last_one_said(make: Make) -> None:
    works = make(beat=FAR / 4, lease=FAR, sweep=FAR, poll=FAR)
    clock, fired, polls = SystemClock(), threading.Event(), itertools.count(1)
    due = clock.now() + timedelta(milliseconds=150)

    def poll() -> datetime | None:
        next(polls)
        if clock.now() < due:
            return due
        fired.set()
        return None

    works.act["poll"] = poll
    works.clockwork.start()
    assert fired.wait(PATIENCE)
    works.clockwork.stop()
    assert next(polls) <= 5  # it slept until then


def test_a_wake_up_comes_in_time(make: Make) -> None:
    works, clock = still(make), SystemClock()
    due = clock.now() + timedelta(milliseconds=100)
    works.act["poll"] = lambda: due if clock.now() < due else None
    works.clockwork.wake_at(clock.now() + timedelta(hours=1))
    works.clockwork.wake_at(due)
    works.wait_for("poll")


def test_a_nudge_and_a_wanted_sweep_come_at_once(make: Make) -> None:
    works = still(make)
    works.clockwork.nudge()
    works.wait_for("poll")
    works.clockwork.sweep_now()
    works.wait_for("sweep")


@pytest.mark.parametrize(
    "wish", [lambda works: works.clockwork.nudge(), lambda works: works.clockwork.wake_at(SystemClock().now() + timedelta(milliseconds=50))]
)
def test_a_wish_during_a_poll_is_not_lost(make: Make, wish: Callable[[Works], None]) -> None:
    works = still(make)
    inside, go_on = threading.Event(), threading.Event()

    def stays() -> None:
        inside.set()
        assert go_on.wait(PATIENCE)

    works.act["poll"] = once(stays)
    works.clockwork.nudge()
    assert inside.wait(PATIENCE)
    wish(works)
    works.said()
    go_on.set()
    works.wait_for("poll")


def test_many_threads_arming_at_once_lose_nothing(make: Make) -> None:
    works, clock = still(make), SystemClock()
    lock, armed, fired = threading.Lock(), list[datetime](), threading.Semaphore(0)

    def poll() -> datetime | None:
        with lock:
            for due in [due for due in armed if due <= clock.now()]:
                armed.remove(due)
                fired.release()
            return min(armed, default=None)

    def arm(thread: int) -> None:
        for number in range(25):
            due = clock.now() + timedelta(milliseconds=(number * 37) % 100, microseconds=thread)
            with lock:
                armed.append(due)
            works.clockwork.wake_at(due)

    works.act["poll"] = poll
    threads = [threading.Thread(target=arm, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for _ in range(100):
        assert fired.acquire(timeout=PATIENCE)


def test_a_job_that_raises_runs_again(make: Make) -> None:
    works = make(beat=0.01, lease=1, sweep=0.01, poll=0.01)

    def breaks() -> None:
        raise RuntimeError("the database is away")

    works.act |= {"beat": breaks, "sweep": breaks, "poll": breaks}
    works.clockwork.start()
    works.wait_for(*["beat", "sweep", "poll"] * 3)
    told = {works.troubles.get(timeout=PATIENCE)[0] for _ in range(9)}
    assert told <= {"beat", "sweep", "poll"}


def test_a_running_clockwork_does_not_chatter(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    works = make(beat=0.01, lease=1, sweep=0.01, poll=0.01)
    works.clockwork.start()
    works.wait_for(*["beat", "sweep", "poll"] * 3)
    works.clockwork.stop()
    assert caplog.records == []


def test_the_end_waits_for_what_runs(make: Make) -> None:
    works = still(make)
    inside, left = threading.Event(), threading.Event()

    def takes_a_while() -> None:
        inside.set()
        works.clockwork.nudge()  # must not wait for the scheduler that is being shut down
        left.wait(0.05)
        left.set()

    works.act["poll"] = once(takes_a_while)
    works.clockwork.nudge()
    assert inside.wait(PATIENCE)
    works.clockwork.stop()
    assert left.is_set()


def test_a_poll_that_outlives_the_end_arms_nothing(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    works = still(make)
    inside, go_on = threading.Event(), threading.Event()
    lanes: list[threading.Thread] = []

    def outlives() -> datetime:
        lanes.append(threading.current_thread())
        inside.set()
        assert go_on.wait(PATIENCE)
        return SystemClock().now() + timedelta(milliseconds=1)

    works.act["poll"] = outlives
    works.clockwork.nudge()
    assert inside.wait(PATIENCE)
    works.clockwork.stop(wait=False)
    go_on.set()
    lanes[0].join(PATIENCE)
    assert not lanes[0].is_alive()
    assert works.said() == ["poll"]
    assert caplog.records == []


@pytest.mark.parametrize("wait", [True, False])
def test_the_end_does_not_wait_for_ever(make: Make, wait: bool) -> None:
    works = still(make, shutdown_grace=0.05)
    inside, go_on = threading.Event(), threading.Event()

    def hangs() -> None:
        inside.set()
        go_on.wait(PATIENCE)

    works.act["poll"] = once(hangs)
    works.clockwork.nudge()
    assert inside.wait(PATIENCE)
    works.clockwork.stop(wait)
    assert not go_on.is_set()
    works.said()
    works.clockwork.start()  # beside the one that hangs
    works.wait_for("beat", "sweep", "poll")
    go_on.set()


@pytest.mark.parametrize("job", ["beat", "sweep", "poll"])
def test_a_job_may_end_it_all(make: Make, job: str) -> None:
    works = make(beat=FAR / 4, lease=FAR, sweep=FAR, poll=FAR)
    ended = threading.Event()

    def ends() -> None:
        works.clockwork.stop()
        ended.set()

    works.act[job] = ends
    works.clockwork.start()
    assert ended.wait(PATIENCE)


def test_no_thread_is_left_behind(make: Make) -> None:
    before = threading.active_count()
    works = make()
    for _ in range(3):
        works.clockwork.start()
        works.wait_for("beat", "sweep", "poll")
        works.clockwork.stop()
    assert threading.active_count() == before


def test_a_clock_that_is_set_does_not_stop_the_beat(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    step = timedelta(0)

    class Stepped(datetime):
        """What the machine says while somebody sets its clock."""

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + step

    for module in (apscheduler.schedulers.base, workflow_runtime.engine.clock):
        monkeypatch.setattr(module, "datetime", Stepped)
    works = make(beat=0.05, lease=1, sweep=0.05, poll=FAR)
    works.clockwork.start()
    works.wait_for("beat", "sweep", "poll")
    for years in (-1, 50, -10):
        step = timedelta(days=365 * years)
        works.wait_for(*["beat"] * 5, *["sweep"] * 5)


class Elsewhen(SystemClock):
    """Time as the host wants it, years from what the machine says."""

    def __init__(self, years: int) -> None:
        self.ahead = timedelta(days=365 * years)

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_of_the_hosts_own_drives_as_well_as_that_of_the_machine(make: Make, years: int) -> None:
    clock = Elsewhen(years)
    works = make(clock, beat=0.05, lease=1, sweep=0.05, poll=FAR)
    works.clockwork.start()
    works.wait_for(*["beat"] * 3, *["sweep"] * 3, "poll")
    due = clock.now() + timedelta(milliseconds=100)
    works.act["poll"] = lambda: woken.append(clock.now())
    woken: list[datetime] = []
    works.clockwork.wake_at(due)
    works.wait_for("poll")
    works.clockwork.stop()
    assert woken
    assert due <= woken[0] < due + timedelta(seconds=PATIENCE)
