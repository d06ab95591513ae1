"""What a server leaves on purpose or by accident: a shutdown in mid-run, a lost connection, a hook told once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from orphanage import ACTIONS, SCHEME, START, Answer
from waiting import until

from workflow_runtime.core.process import EntryKind, ProcessStatus
from workflow_runtime.core.restoring import RestoreDecision
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.hooks import hookimpl
from workflow_runtime.runtime import WorkflowRuntime
from workflow_runtime.testing.clock import FakeClock
from workflow_runtime.testing.crash import CrashAction, CrashingRuntime, CrashPoint, CrashPoints

RUNNING, IDLED = ProcessStatus.RUNNING, ProcessStatus.IDLED


class Listener:
    def __init__(self) -> None:
        self.entered: list[str] = []

    @hookimpl
    def before_activity_execution(self, process: Any, activity: str) -> None:
        self.entered.append(activity)


class House:
    """Servers of one database, one after the other; ``done`` lists all actions that ran."""

    def __init__(self, folder: Path) -> None:
        self.url, self.clock, self.listener = f"sqlite:///{folder}/house.db", FakeClock(START), Listener()
        self.done: list[str] = []
        self.act: dict[str, Any] = {}

    def server(self, *restorers: Any, points: CrashPoints | None = None, **settings: Any) -> WorkflowRuntime:
        runtime = CrashingRuntime(self.url, clock=self.clock).with_crash_points(points or CrashPoints())
        runtime.with_schemes(SCHEME).with_actions({name: self._action(name) for name in ACTIONS}).with_plugin(self.listener)
        for restorer in restorers:
            runtime.with_process_restorer(restorer)
        return runtime.with_settings(**{"workers": 2, "sqlite_synchronous": "NORMAL"} | settings)

    def _action(self, name: str) -> Any:
        def act(ctx: Any, parameter: str | None) -> None:
            ctx.step("count", lambda: self.done.append(name))
            if name in self.act:
                self.act[name](ctx)

        return act


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.parametrize(("during", "left_at", "step"), [("Charge", "Paid", 1), ("Mail", "Sent", 0)])
def test_a_shutdown_in_mid_run_hands_back_between_steps_and_the_next_start_goes_on(house: House, during: str, left_at: str, step: int) -> None:
    first = house.server()
    first.start()
    engine = first._parts.engine
    one = first.create_instance("Order").id

    def shut_down(ctx: Any) -> None:
        stopping.start()
        until(lambda: engine.draining)

    stopping = threading.Thread(target=first.shutdown)
    house.act[during] = shut_down
    result = first.execute_command(one, "Pay")
    stopping.join(20)
    assert (result.was_executed, result.process.status) == (True, RUNNING)
    assert result.waiting_until is not None

    second = house.server(Answer(RestoreDecision.delete()), auto_recover=True)
    with WorkflowRuntime(house.url).as_client() as client:
        released = client.get_process(one)
    assert released.walk is not None
    assert (released.owner, released.walk.activity, released.walk.step, released.deaths, released.adoptions) == (None, left_at, step, 0, 0)
    with second:
        assert second.get_process(one).status is IDLED
        assert list(second.get_recoveries()) == []
        assert house.done == ["Greet", "Charge", "Mail", "Send"]
        assert house.listener.entered == ["New", "Paid", "Sent"]
        assert [entry.kind for entry in second.get_history(one)] == [EntryKind.MOVED] * 4


def test_a_step_still_in_flight_after_the_grace_stays_owned_and_recovery_decides(house: House) -> None:
    release, inside = threading.Event(), threading.Event()
    first = house.server(shutdown_grace=0.05)
    first.start()
    one = first.create_instance("Order").id
    house.act["Charge"] = lambda ctx: inside.set() or release.wait(20)  # type: ignore[func-returns-value]
    failures: list[BaseException] = []

    def pay() -> None:
        try:
            first.execute_command(one, "Pay")
        except BaseException as error:
            failures.append(error)

    paying = threading.Thread(target=pay)
    paying.start()
    assert inside.wait(20)
    first.shutdown()
    del house.act["Charge"]
    with house.server(Answer(RestoreDecision.resume())) as second:
        assert second.get_process(one).status is RUNNING
        second.recover(wait=True)
        assert second.get_process(one).status is IDLED
        assert second.get_process(one).deaths == 0
        before = second.get_process(one)
        release.set()
        paying.join(20)
        assert [type(error).__name__ for error in failures] == ["Fenced"]
        assert second.get_process(one) == before
    assert house.done == ["Greet", "Charge", "Mail", "Send"]


@pytest.mark.parametrize("name", ["claim.after", "step.before", "step.after", "journal.before", "journal.after", "arrive.before", "arrive.after"])
def test_a_lost_connection_leaves_an_orphan_of_a_living_server_which_it_finds_itself(house: House, name: str) -> None:
    points = CrashPoints(CrashPoint(name=name, nth={"claim": 1, "journal": 1}.get(name.partition(".")[0], 2), action=CrashAction.LOSE))
    with house.server(Answer(RestoreDecision.resume()), points=points) as server:
        one = server.create_instance("Order").id
        with pytest.raises(StoreUnavailable):
            server.execute_command(one, "Pay")
        assert (server.get_process(one).status, server.get_process(one).owner) == (RUNNING, server._parts.engine.me)
        deaths: list[int] = []
        house.act["Charge"] = house.act["Mail"] = house.act["Send"] = lambda ctx: deaths.append(ctx.process.deaths)
        assert server.recover(wait=True).owned == 1
        assert set(deaths) <= {0}  # nobody died
        assert (server.get_process(one).status, server.get_process(one).activity) == (IDLED, "Waiting")
        assert set(house.done) == {"Greet", "Charge", "Mail", "Send"}


@pytest.mark.parametrize("name", ["adopt.before", "adopt.after", "verdict.before", "verdict.after"])
def test_a_connection_that_is_lost_while_recovering_leaves_it_to_the_next_pass(house: House, name: str) -> None:
    points = CrashPoints(CrashPoint(name="journal.before", action=CrashAction.LOSE))
    with house.server(points=points) as server:
        one = server.create_instance("Order").id
        with pytest.raises(StoreUnavailable):
            server.execute_command(one, "Pay")
    points = CrashPoints(CrashPoint(name=name, action=CrashAction.LOSE))
    with house.server(Answer(RestoreDecision.resume()), points=points) as server:
        first = server.recover(wait=True)
        assert (first.owned, first.decided) == (1, 0)
        second = server.recover(wait=True)
        assert (second.owned, second.decided) == (1, 1)
        assert server.get_process(one).status is IDLED
