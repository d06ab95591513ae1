"""Nobody waits for himself: listeners and actions that ask for recovery, timers that fall due in a pass, a shutdown in one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from orphanage import ACTIONS, FINISHING, PAYING, SENDING, START, Answer, Orphanage
from waiting import until

from workflow_runtime.core.process import ProcessStatus, Timer
from workflow_runtime.core.restoring import RecoveryReport, RestoreDecision
from workflow_runtime.engine import desk
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.hooks import hookimpl
from workflow_runtime.runtime import WorkflowRuntime
from workflow_runtime.testing.crash import CrashAction, CrashingStore, CrashPoint, CrashPoints

IDLED, FINALIZED, TERMINATED = ProcessStatus.IDLED, ProcessStatus.FINALIZED, ProcessStatus.TERMINATED
DEFAULT, RESUME = RestoreDecision.default(), RestoreDecision.resume()
OVERDUE = Timer(name="remind", due=START, value="1h")


class Listener:
    """Calls ``hear`` at one event."""

    def __init__(self, event: str) -> None:
        self.event = event
        self.hear: Callable[[Any], object] = lambda process: None

    @hookimpl
    def process_recovered(self, process: Any, decision: Any) -> None:
        if self.event == "process_recovered":
            self.hear(process)

    @hookimpl
    def process_status_changed(self, process: Any, old: Any, new: Any) -> None:
        if self.event == "process_status_changed":
            self.hear(process)


def ended(work: Callable[[], object]) -> bool:
    """Whether it ends by itself; if not, the test must not hang."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    return not thread.is_alive()


# -- who is waited for ------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["process_recovered", "process_status_changed"])
@pytest.mark.parametrize("restorers", [(), (Answer(DEFAULT),)], ids=["rule", "restorer"])
def test_a_listener_may_ask_for_recovery(tmp_path: Path, event: str, restorers: tuple[Answer, ...]) -> None:
    listener = Listener(event)
    found: list[UUID] = []
    reports: list[RecoveryReport] = []

    def hear(process: Any) -> None:
        if not found:
            found.append(home.orphan(SENDING))
            reports.append(home.runtime.recover(wait=True))

    home = Orphanage(tmp_path, *restorers, workers=1)
    home.runtime.with_plugin(listener)
    with home:
        one = home.orphan(SENDING)
        listener.hear = hear
        assert ended(home.runtime.recover)
        until(lambda: [home.status(each) for each in (one, *found)] == [TERMINATED] * 2)
        until(lambda: all(report.ended_at for report in home.runtime.get_recoveries()))
        assert [(report.owned, report.ended_at) for report in reports] == [(1, None)]
        assert [report.decided for report in home.runtime.get_recoveries()] == [1, 1]


def test_an_action_on_the_only_worker_may_ask_for_recovery(tmp_path: Path) -> None:
    found: list[UUID] = []
    reports: list[RecoveryReport] = []
    with Orphanage(tmp_path, Answer(RESUME), workers=1) as home:
        one = home.orphan(PAYING)

        def act(ctx: Any) -> None:
            if not found:
                found.append(home.orphan(PAYING))
                reports.append(home.runtime.recover(wait=True))

        home.act["Charge"] = act
        assert ended(lambda: home.runtime.recover(wait=True))
        until(lambda: [home.status(each) for each in (one, *found)] == [IDLED] * 2)
        assert [(report.owned, report.decided, report.ended_at) for report in reports] == [(1, 0, None)]


def test_an_async_action_on_the_only_worker_may_await_recovery(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(PAYING)
    second = WorkflowRuntime(home.url, clock=home.clock).with_process_restorer(Answer(RESUME)).with_settings(workers=1)

    async def charge(ctx: Any, parameter: str | None) -> None:
        await second.aio.recover(wait=True)

    second.with_actions({name: lambda ctx, parameter: None for name in ACTIONS} | {"Charge": charge})
    with second:
        assert ended(lambda: second.recover(wait=True))
        assert second.get_process(one).status is IDLED


# -- who is not held up -----------------------------------------------------------------------------------


def test_a_slow_listener_does_not_hold_up_the_next_sweep(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one, two = home.orphan(SENDING), home.birth(SENDING)
    listener, inside, release = Listener("process_recovered"), threading.Event(), threading.Event()
    listener.hear = lambda process: process.id == one and (inside.set() or release.wait(20))
    runtime = WorkflowRuntime(home.url).with_plugin(listener).with_actions({name: lambda ctx, parameter: None for name in ACTIONS})
    with runtime.with_settings(sweep=0.02, sqlite_synchronous="NORMAL"):
        assert inside.wait(20)
        runtime._parts.engine.store.apply(two)
        until(lambda: runtime.get_process(two.result.id).status is TERMINATED)
        release.set()
    with WorkflowRuntime(home.url).as_client() as client:
        assert [report.decided for report in client.get_recoveries()] == [1, 1]
        assert all(report.ended_at for report in client.get_recoveries())


def test_what_was_written_before_the_connection_was_lost_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "PAGE", 1)
    listener = Listener("process_recovered")
    heard: list[UUID] = []
    home = Orphanage(tmp_path)
    home.runtime.with_plugin(listener)
    with home:
        ids = [home.orphan(SENDING, created_at=START.replace(hour=hour)) for hour in (1, 2)]
        listener.hear = lambda process: heard.append(process.id)
        points = CrashPoints(CrashPoint(name="verdict.before", nth=2, action=CrashAction.LOSE))
        home.runtime._parts.engine.store = _losing(home, points)
        with pytest.raises(StoreUnavailable):
            home.runtime.recover()
        assert heard == ids[:1]
        assert home.runtime.recover().owned == 1
        assert heard == ids


def _losing(home: Orphanage, points: CrashPoints) -> CrashingStore:
    store = CrashingStore(home.store, points)
    store.bind(home.runtime._parts.engine.me)
    return store


def test_a_timer_that_is_due_after_a_verdict_fires_in_the_place_that_was_kept_for_it(tmp_path: Path) -> None:
    """With one worker and a clock that is moved by hand, where whoever decides waits for what falls due."""
    with Orphanage(tmp_path, Answer(DEFAULT), workers=1) as home:
        one = home.orphan(FINISHING, arm=(OVERDUE,))
        assert ended(home.runtime.recover)
        until(lambda: home.stands(one) == (FINALIZED, "Done"))


# -- the end ----------------------------------------------------------------------------------------------


def test_nobody_waits_for_work_that_outlasts_the_grace_of_a_shutdown(tmp_path: Path) -> None:
    inside, release = threading.Event(), threading.Event()
    with Orphanage(tmp_path, Answer(RESUME), workers=1, shutdown_grace=0.05) as home:
        one = home.orphan(PAYING)
        home.act["Charge"] = lambda ctx: inside.set() or release.wait(20)
        waiting = threading.Thread(target=lambda: home.runtime.recover(wait=True), daemon=True)
        waiting.start()
        assert inside.wait(20)
        home.runtime.shutdown()
        waiting.join(5)
        assert not waiting.is_alive()
        release.set()
    with WorkflowRuntime(home.url).as_client() as client:
        assert client.get_process(one).owner is not None


def test_a_shutdown_waits_until_the_report_of_a_pass_is_written(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        home.orphan(SENDING)
    listener, inside = Listener("process_recovered"), threading.Event()
    runtime = WorkflowRuntime(home.url).with_plugin(listener).with_actions({name: lambda ctx, parameter: None for name in ACTIONS})

    left_behind: list[bool] = []

    def hear(process: Any) -> None:
        inside.set()
        until(lambda: engine.draining)
        with suppress(AssertionError):
            until(lambda: runtime._started is None, seconds=0.5)
        left_behind.append(runtime._started is None)

    listener.hear = hear
    with runtime:
        engine = runtime._parts.engine
        assert inside.wait(20)
    assert left_behind == [False]
    with WorkflowRuntime(home.url).as_client() as client:
        [report] = client.get_recoveries()
        assert (report.decided, report.ended_at is not None) == (1, True)
