"""Two servers of one database, in this process: one fires what the other armed, and hears of it in time.

A poll once an hour, so that nothing is found by looking now and then: what is fired was told, or the alarm was set.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from waiting import until

from workflow_runtime import ProcessStatus, WorkflowRuntime
from workflow_runtime.engine.clock import SystemClock
from workflow_runtime.engine.clockwork import Job
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.nudging import FIRST_PAUSE

SCHEME = """
scheme: S
parameters: {TimerValue_t: {type: string, purpose: persistence}}
commands: {go: {}}
timers: {t: {interval: 1h}}
activities: {A: {initial: true}, B: {actions: [Hold, Note]}, C: {final: true}}
transitions:
  - {from: A, to: C, on: {timer: t}}
  - {from: A, to: B, on: {command: go}}
"""
PATIENCE = 20.0
WHO: dict[str, Any] = {"actor": "olga", "reason": "test"}
AHEAD = timedelta(seconds=0.5)


class Fleet:
    """Servers and clients, begun by name. ``held`` and ``go_on``: the action Hold; ``noted``: by whom Note was done."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.held, self.go_on, self.noted = threading.Event(), threading.Event(), list[str]()
        self._opened: list[WorkflowRuntime] = []

    def __call__(self, name: str, *, client: bool = False, clock: SystemClock | None = None, **settings: Any) -> WorkflowRuntime:
        runtime = WorkflowRuntime(self.url, clock=clock).with_schemes(SCHEME)
        runtime.with_actions({"Hold": self._hold, "Note": lambda ctx, parameter: self.noted.append(name)})
        runtime.with_settings(**{"poll": 3_600, "workers": 2, "shutdown_grace": PATIENCE, **settings})
        self._opened.append(runtime.as_client() if client else runtime.as_multi_server(name))
        return runtime.start()

    def pair(self, **settings: Any) -> tuple[WorkflowRuntime, WorkflowRuntime]:
        """Two that know each other and listen."""
        one, other = self("one", **settings), self("other", **settings)
        until(lambda: all(len(engine_of(each).presence.peers) == 2 and listens(each) for each in (one, other)), PATIENCE)
        return one, other

    def _hold(self, ctx: Any, parameter: str | None) -> None:
        self.held.set()
        assert self.go_on.wait(PATIENCE)

    def close(self) -> None:
        self.go_on.set()
        for runtime in self._opened:
            runtime.shutdown()


@pytest.fixture
def fleet(url: str) -> Iterator[Fleet]:
    with ExitStack() as ended:
        fleet = Fleet(url)
        ended.callback(fleet.close)
        yield fleet


def engine_of(runtime: WorkflowRuntime) -> Engine:
    return runtime._parts.engine


def listener_of(runtime: WorkflowRuntime) -> Any:
    ear = runtime._parts.messages._ear
    return ear and ear._listener


def listens(runtime: WorkflowRuntime) -> bool:
    return listener_of(runtime) is not None


def stuck(runtime: WorkflowRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loop looks at nothing any more, and it lives."""
    clockwork = runtime._parts.clockwork
    assert clockwork is not None
    monkeypatch.setitem(clockwork._work, Job.POLL, lambda: None)  # type: ignore[arg-type]


def mute(runtime: WorkflowRuntime) -> None:
    runtime._parts.messages._voice.say = lambda due: None  # type: ignore[method-assign]


def born(runtime: WorkflowRuntime, ahead: timedelta | None = None) -> UUID:
    """A process whose timer falls due so far ahead, or in an hour."""
    value = {} if ahead is None else {"TimerValue_t": f"{round(ahead.total_seconds() * 1000)}ms"}
    return runtime.create_instance("S", parameters=value).id


def due_of(runtime: WorkflowRuntime, process_id: UUID) -> datetime:
    (timer,) = runtime.get_timers(process_id)
    return timer.due


def is_done(runtime: WorkflowRuntime, process_id: UUID) -> bool:
    return runtime.get_process(process_id).status is ProcessStatus.FINALIZED


def fired(runtime: WorkflowRuntime, process_id: UUID) -> tuple[datetime, str | None]:
    """When and by whom; once there is one."""
    until(lambda: is_done(runtime, process_id), PATIENCE)
    (entry,) = [entry for entry in runtime.get_history(process_id) if entry.trigger.name == "t"]
    return entry.at, entry.server


# ------------------------------------------------------------------ what is told


def test_what_one_armed_and_cannot_fire_the_other_fires_in_time(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = fleet.pair()
    stuck(one, monkeypatch)
    process_id = born(one, AHEAD)
    due = due_of(one, process_id)
    at, by = fired(other, process_id)
    assert by == engine_of(other).me
    assert at >= due


def test_what_a_client_wants_fired_is_fired_at_once(fleet: Fleet) -> None:
    one, _ = fleet.pair()
    process_id = born(one)
    client = fleet("client", client=True)
    client.fire_timer(process_id, "t", **WHO)
    fired(client, process_id)


def test_what_a_client_has_set_going_is_taken_up_at_once(fleet: Fleet) -> None:
    one, _ = fleet.pair()
    process_id = born(one)
    client = fleet("client", client=True)
    fleet.go_on.set()
    client.set_activity(process_id, "B", **WHO)
    until(lambda: fleet.noted, PATIENCE)


def test_a_single_server_hears_clients_too(fleet: Fleet) -> None:
    server = WorkflowRuntime(fleet.url).with_schemes(SCHEME).with_actions({"Hold": print, "Note": print}).with_settings(poll=3_600)
    fleet._opened.append(server)
    server.as_single_server().start()
    until(lambda: listens(server), PATIENCE)
    process_id = born(server)
    client = fleet("client", client=True)
    client.fire_timer(process_id, "t", **WHO)
    fired(client, process_id)


def test_what_a_server_hands_back_when_it_leaves_goes_on_elsewhere_at_once(fleet: Fleet) -> None:
    one, other = fleet.pair()
    process_id = born(one)
    call = threading.Thread(target=one.execute_command, args=(process_id, "go"))
    call.start()
    assert fleet.held.wait(PATIENCE)
    leaving = threading.Thread(target=one.shutdown)
    leaving.start()
    until(lambda: engine_of(one).draining, PATIENCE)
    fleet.go_on.set()
    until(lambda: other.get_process(process_id).status is ProcessStatus.IDLED, PATIENCE)
    leaving.join(PATIENCE)
    call.join(PATIENCE)
    assert fleet.noted == ["other"]


# ------------------------------------------------------------------ what was not told


def test_after_its_connection_broke_a_server_looks_once_for_what_it_missed(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = fleet.pair()
    stuck(one, monkeypatch)
    mute(one)
    process_id = born(one, timedelta(milliseconds=1))
    broken = listener_of(other)
    with engine_of(one).store.dialect.connected() as driver:
        driver.execute("SELECT pg_terminate_backend(%s::int)", [broken._driver.info.backend_pid])
    assert fired(other, process_id)[1] == engine_of(other).me
    assert listener_of(other) is not broken


def test_what_nobody_told_is_found_by_the_next_look(fleet: Fleet) -> None:
    """The server that armed it is gone, and so is what it said."""
    one, other = fleet.pair(poll=2 * FIRST_PAUSE)
    mute(one)
    process_id = born(one, AHEAD)
    due = due_of(one, process_id)
    one.shutdown()
    at, by = fired(other, process_id)
    assert at >= due
    assert by == engine_of(other).me


# ------------------------------------------------------------------ clocks of machines


class Wrong(SystemClock):
    """The clock of a machine that is hours off."""

    def __init__(self, off: timedelta) -> None:
        self._off = off

    def now(self) -> datetime:
        return super().now() + self._off


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_server_whose_clock_is_hours_off_fires_nothing_early_and_nothing_late(fleet: Fleet, hours: int) -> None:
    right = fleet("right", client=True)
    server = fleet("wrong", clock=Wrong(timedelta(hours=hours)))
    store, looks = engine_of(server).store, list[datetime]()
    next_due = store.next_due
    store.next_due = lambda **given: looks.append(given["after"]) or next_due(**given)  # type: ignore[method-assign, func-returns-value]
    process_id = born(server, AHEAD)
    due, now = due_of(right, process_id), engine_of(right).now()
    assert due <= now + AHEAD, "armed by the clock of the database"
    assert fired(right, process_id)[0] >= due
    assert len(looks) < 10, "it slept until then"
    assert engine_of(right).now() - now < timedelta(hours=1)
