"""What makes the engine act by itself: the beat, the sweep and one alarm for the next due timer.

Law: a wake-up is never lost. Whatever asks for a job while that job runs makes it go round once more, and
"nothing left to do" and "free again" become true under one lock. That a timer is due is told by its row;
all this does is to look in time.

=====  =============================================  ==================================================
job    every                                          and besides
=====  =============================================  ==================================================
beat   ``beat_every``
sweep  ``sweep_every``, with up to a quarter more     ``sweep_now``, ``sweep_in``
poll   ``settings.poll``                              ``nudge``, ``wake_at``, and when it said last
=====  =============================================  ==================================================

How long to wait is measured on the clock of this machine by monotonic time alone; what time it is says the
clock by which rows are due, the database's. So a machine whose clock is hours off wakes no sooner and no later.

Each has a thread of its own, so that a slow poll or sweep cannot hold up the beat, and runs once at the
start. With a clock that a test moves (it has ``on_advance``) there are no threads: poll runs in the thread
that starts, advances, nudges or wakes; beat and sweep run when ``run_once`` says so.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import random
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import Any

from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from workflow_runtime.engine.clock import Clock, SystemClock
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.settings import Settings

_log = logging.getLogger(__name__)
_scheduler_log = _log.getChild("scheduler")  # it tells of every run at INFO, several times a second
_scheduler_log.setLevel(logging.ERROR)
_machine = SystemClock()


class Job(StrEnum):
    BEAT = "beat"
    SWEEP = "sweep"
    POLL = "poll"


class Clockwork:
    """Runs three callables in time; they are ordinary calls that may raise.

    ``poll`` fires what is due and returns when it wants to be called next, or None. Such times are those of
    ``now``, the clock of the database; ``clock`` gives monotonic time only. A job that raises is logged, told to
    ``on_trouble(job, error)``, and runs again next time. Intervals are seconds.
    """

    def __init__(
        self,
        *,
        beat: Callable[[], None],
        sweep: Callable[[], None],
        poll: Callable[[], datetime | None],
        settings: Settings,
        clock: Clock,
        now: Callable[[], datetime],
        on_trouble: Callable[[str, BaseException], None],
        beat_every: float | None = None,
        sweep_every: float | None = None,
    ) -> None:
        self._work: Mapping[Job, Callable[[], datetime | None]] = {Job.BEAT: _without_wish(beat), Job.SWEEP: _without_wish(sweep), Job.POLL: poll}
        self._every = {Job.BEAT: beat_every or settings.beat, Job.SWEEP: sweep_every or settings.sweep, Job.POLL: settings.poll}
        self._grace, self._clock, self._now, self._on_trouble = settings.shutdown_grace, clock, now, on_trouble
        self._gate = threading.Lock()
        self._pid = 0
        self._drive: _ByHand | _InThreads | None = None
        self._away: set[Job] = set()  #: jobs that have said that they do not reach the database

    def start(self) -> None:
        """Begin; nothing happens if it has begun already. In a forked child it begins anew."""
        if self._pid != os.getpid():
            self._gate, self._drive, self._pid = threading.Lock(), None, os.getpid()
        with self._gate:
            if self._drive is not None:
                return
            drive = _ByHand(self._alarm, self._clock) if hasattr(self._clock, "on_advance") else _InThreads(self._alarm, self._clock)
            self._drive = drive  # before it begins: its first poll may ask for a wake-up
            drive.begin()
            atexit.register(self.stop)
        self.nudge()

    def stop(self, wait: bool = True) -> None:
        """No job begins after this; waits for those that run, at most ``shutdown_grace`` and never for the calling thread."""
        if self._pid != os.getpid():  # the threads stayed in the parent, and its locks may be held for ever here
            return
        with self._gate:
            drive, self._drive = self._drive, None
            atexit.unregister(self.stop)
        if drive is not None:
            drive.end(self._grace if wait else 0)

    def wake_at(self, when: datetime) -> bool:
        """A timer was armed that is due then. Call it after the commit; cheap unless it is the earliest that is known.

        True if it is: the alarm is set earlier than it was, and goes before the next regular look.
        """
        return self._wake(Job.POLL, self._moment(when))

    def nudge(self) -> None:
        """Poll as soon as possible."""
        self._wake(Job.POLL, self._clock.monotonic())

    def sweep_now(self) -> None:
        """Sweep as soon as possible."""
        self.sweep_in(0)

    def sweep_in(self, seconds: float) -> None:
        """Sweep so many seconds from now, if not before."""
        self._wake(Job.SWEEP, self._clock.monotonic() + seconds)

    def run_once(self, *jobs: Job) -> None:
        """Run these jobs (none named: beat, sweep) in the calling thread; one that runs elsewhere goes round again there."""
        if (drive := self._drive) is not None:
            for job in jobs or (Job.BEAT, Job.SWEEP):
                drive.alarms[job].run()

    def _wake(self, job: Job, moment: float) -> bool:
        return (drive := self._drive) is not None and drive.alarms[job].wake(moment)

    def _moment(self, when: datetime) -> float:
        """The same instant on the monotonic scale. Read in this order it errs, if at all, by being late: an early poll would be in vain."""
        ahead = when - self._now()
        return self._clock.monotonic() + ahead.total_seconds()

    def _alarm(self, job: Job, ring: Callable[[float], None] | None) -> Alarm:
        return Alarm(lambda: self._attempt(job), every=self._every[job], ring=ring, monotonic=self._clock.monotonic)

    def _attempt(self, job: Job) -> float | None:
        try:
            when = self._work[job]()
            self._away.discard(job)
            return None if when is None else self._moment(when)
        except Exception as error:
            self._tell(job, error)
            return None

    def _tell(self, job: Job, error: Exception) -> None:
        """A database that is away is told of once, however often the job meets it."""
        if not isinstance(error, StoreUnavailable):
            _log.error("the %s failed and will be tried again: %s", job, error, exc_info=error)
        elif job not in self._away:
            self._away.add(job)
            _log.warning("the %s failed and is tried again until the database is back: %s", job, error)
        try:
            self._on_trouble(job, error)
        except Exception:
            _log.exception("telling of the failed %s failed too", job)


def _without_wish(work: Callable[[], None]) -> Callable[[], None]:
    """Whatever it returns means nothing."""

    def run() -> None:
        work()

    return run


class Alarm:
    """One job that is wanted at certain moments (monotonic seconds) and runs in one thread at a time.

    ``work`` returns when it wants to run next, or None. ``ring(moment)`` sees to it that ``run`` is called
    then, and something calls it every ``every`` seconds besides. Without ``ring``, ``wake`` itself runs what is due.
    """

    def __init__(self, work: Callable[[], float | None], *, every: float, ring: Callable[[float], None] | None, monotonic: Callable[[], float]) -> None:
        self._work, self.every, self._ring, self._monotonic = work, every, ring, monotonic
        self._lock = threading.Lock()
        self._open, self._busy = True, False
        self._want: float | None = None  # asked for while busy
        self._next = monotonic()  # the next run comes then, if not before

    def close(self) -> None:
        """No run begins and nothing rings after this has returned."""
        with self._lock:
            self._open = False

    def wake(self, moment: float) -> bool:
        """Run at this moment, if not before; True if that is before any other that is known."""
        if self._ring is None and moment <= self._monotonic():
            self.run()
            return True
        with self._lock:
            if self._busy:
                return self._wish(moment)
            return self._arm(moment)

    def rearm(self) -> None:
        """Ring now, whatever was known of the next run."""
        with self._lock:
            self._next = math.inf
            self._arm(self._monotonic())

    def run(self) -> None:
        """Work until nothing is left to do now; if another thread does so, leave it to that one."""
        if not self._begin():
            return
        try:
            while not self._rests(self._work()):
                pass
        except BaseException:
            self._busy = False
            raise

    def _begin(self) -> bool:
        with self._lock:
            if self._busy:
                self._want = self._monotonic()
                return False
            self._busy, self._want = self._open, None
            return self._busy

    def _rests(self, wanted: float | None) -> bool:
        """Whether nothing is left to do now; then the alarm is set and the job is free, both under the lock."""
        with self._lock:
            wanted, self._want = _sooner(wanted, self._want), None
            now = self._monotonic()
            if self._open and wanted is not None and wanted <= now:
                return False
            self._busy = False
            self._next = now + self.every
            if wanted is not None:
                self._arm(wanted)
            return True

    def _wish(self, moment: float) -> bool:
        """While it runs. The run behind this one is not known yet, but comes in ``every`` seconds at the latest."""
        known, self._want = self._want, _sooner(moment, self._want)
        return self._open and moment < min(self._monotonic() + self.every, math.inf if known is None else known)

    def _arm(self, moment: float) -> bool:
        if not self._open or moment >= self._next:
            return False
        self._next = moment
        if self._ring is not None:
            self._ring(moment)
        return True


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


Forge = Callable[[Job, Callable[[float], None] | None], Alarm]


class _ByHand:
    """No threads: whoever moves the clock polls."""

    def __init__(self, alarm: Forge, clock: Any) -> None:
        self.alarms = {job: alarm(job, None) for job in Job}
        self._clock = clock

    def begin(self) -> None:
        self._unsubscribe = self._clock.on_advance(self.alarms[Job.POLL].run)

    def end(self, grace: float) -> None:
        self._unsubscribe()
        for alarm in self.alarms.values():
            alarm.close()


class _InThreads:
    """A scheduler with three jobs in memory, each in a lane of its own.

    It goes by the clock of the machine, whatever the runtime was given: only how long to wait is told by the latter.
    """

    def __init__(self, alarm: Forge, clock: Clock) -> None:
        self._clock = clock
        self._scheduler = BackgroundScheduler(timezone=UTC, logger=_scheduler_log)
        self.alarms = {job: alarm(job, self._ringer(job)) for job in Job}
        self._lanes = {job: _Lane(silence=2 * self.alarms[job].every, on_silence=self._rearm) for job in Job}
        for job in Job:
            self._add(job)

    def begin(self) -> None:
        self._scheduler.start()

    def end(self, grace: float) -> None:
        for alarm in self.alarms.values():  # first: a scheduler that was shut down has no jobs to ring for
            alarm.close()
        self._scheduler.shutdown(wait=False)
        deadline = self._clock.monotonic() + grace
        for lane in self._lanes.values():
            lane.join(max(0.0, deadline - self._clock.monotonic()))

    def _add(self, job: Job) -> None:
        alarm = self.alarms[job]
        self._scheduler.add_executor(self._lanes[job], job.value)
        self._scheduler.add_job(
            alarm.run,
            _Every(alarm.every, jitter=alarm.every / 4 if job is Job.SWEEP else 0),
            id=job.value,
            executor=job.value,
            next_run_time=_machine.now(),
            misfire_grace_time=None,  # no run is dropped for being late
            max_instances=2,  # a second may stand in the lane while the first is still being booked as done
        )

    def _ringer(self, job: Job) -> Callable[[float], None]:
        def ring(moment: float) -> None:
            wait = timedelta(seconds=moment - self._clock.monotonic())  # read first, as in Clockwork._moment
            self._scheduler.modify_job(job.value, next_run_time=_machine.now() + wait)

        return ring

    def _rearm(self) -> None:
        for alarm in self.alarms.values():
            alarm.rearm()


class _Every(BaseTrigger):  # type: ignore[misc]
    """Every so many seconds, counted from the last run as it was and not as it was planned.

    The interval trigger of the library walks through every run that was missed: after a clock that was
    wrong by years is set right, for hours.
    """

    def __init__(self, seconds: float, *, jitter: float) -> None:
        self._seconds, self._jitter = seconds, jitter

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        return now + timedelta(seconds=self._seconds + random.uniform(0, self._jitter))


class _Lane(BaseExecutor):  # type: ignore[misc]
    """One thread that does the runs of one job in turn.

    A daemon: a run that hangs must not keep the interpreter from ending. And not a pool of
    ``concurrent.futures``: those refuse work as soon as the main thread has ended, although others go on and
    need the beat. The scheduler goes by the machine's clock, so after that was set back by an hour it would
    sleep for an hour: a lane that hears nothing for ``silence`` seconds calls ``on_silence``.
    """

    def __init__(self, *, silence: float, on_silence: Callable[[], None]) -> None:
        super().__init__()
        self._silence, self._on_silence = silence, on_silence
        self._queue: SimpleQueue[tuple[Any, list[datetime]] | None] = SimpleQueue()

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self._thread = threading.Thread(target=self._serve, name=f"workflow_runtime {alias}", daemon=True)
        self._thread.start()

    def shutdown(self, wait: bool = True) -> None:
        self._queue.put(None)

    def join(self, timeout: float) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self._queue.put((job, run_times))

    def _serve(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=self._silence)
            except Empty:
                self._on_silence()
                continue
            if item is None:
                return
            job, run_times = item
            self._run_job_success(job.id, run_job(job, job._jobstore_alias, run_times, _scheduler_log.name))
