"""One promise, sentence by sentence, on every database.

An action failing four times and then succeeding, with waits of 1, 2, 4 and 8 s, survives a restart between any two
attempts, holds no thread while waiting, and shows the attempts in history. Cancelled while waiting, it is Terminated at
once. Resumed, it starts with attempt 1.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import databases
import pytest
from bench import NOW, WHO, engine_of, history, last
from retried import Flaky, call, retries, text

from workflow_runtime import Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.testing.clock import FakeClock

WAITS = (1, 2, 4, 8)
SCHEME = text(call("attempts: 5, delay: 1s, factor: 2"))


class Host:
    """One server at a time over one database, with one worker."""

    def __init__(self, url: str, flaky: Flaky) -> None:
        self.url, self.flaky, self.clock = url, flaky, FakeClock(NOW)
        self.other: list[str] = []  #: processes whose action ran besides
        self.runtime = self._started()

    def _started(self, *, client: bool = False) -> WorkflowRuntime:
        runtime = WorkflowRuntime(self.url, clock=self.clock).with_schemes(SCHEME).with_actions({"Call": self._call})
        if client:
            return runtime.as_client().start()
        return runtime.with_settings(workers=1, lease=600, beat=100).start()  # nobody beats while the clock is moved

    def _call(self, ctx: Any, parameter: str | None) -> None:
        if "Other" in ctx.parameters:
            self.other.append(str(ctx.process_id))
        else:
            self.flaky(ctx, parameter)

    def restart(self) -> None:
        self.runtime.shutdown()
        self.runtime = self._started()

    def begun(self) -> Process:
        """A process whose first attempt has failed."""
        one = self.runtime.create_instance("S").id
        result = self.runtime.execute_command(one, "go")
        assert (result.was_executed, result.waiting_until) == (True, self.at(1))
        return self.runtime.get_process(one)

    def at(self, seconds: float) -> datetime:
        return NOW + timedelta(seconds=seconds)

    def waits(self, one: UUID) -> bool:
        return self.runtime.get_process(one).is_waiting

    def another_is_served(self) -> bool:
        """By the one worker there is: left by a client, it can only be done there."""
        other = self.runtime.create_instance("S", parameters={"Other": True})
        client = self._started(client=True)
        client.set_activity(other.id, "Work", **WHO)
        client.shutdown()
        self.clock.advance(0)
        return self.other == [str(other.id)] and self.runtime.get_process(other.id).activity == "Next"


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def host(request: pytest.FixtureRequest, tmp_path: Path, empty_database: Path, shared_places: Callable[[str], databases.Places]) -> Iterator[Host]:
    if request.param == "sqlite":
        shutil.copy(empty_database, tmp_path / "workflow.db")
    url = f"sqlite:///{tmp_path / 'workflow.db'}" if request.param == "sqlite" else shared_places(request.param).wiped()
    host = Host(url, Flaky(4))
    try:
        yield host
    finally:
        host.runtime.shutdown()


@pytest.mark.parametrize("restart_after", [None, 1, 2, 3, 4], ids=["no restart", "after 1", "after 2", "after 3", "after 4"])
def test_four_failures_then_success_survive_a_restart_between_any_two_attempts(host: Host, restart_after: int | None) -> None:
    one, due = host.begun().id, 0
    for number, wait in enumerate(WAITS, 1):
        if number == restart_after:
            host.restart()
        host.clock.advance(wait - 0.001)
        assert host.flaky.attempts == list(range(1, number + 1)), "never before its time"
        assert host.waits(one)
        due += wait
        host.clock.advance(0.001)
        assert host.flaky.attempts == list(range(1, number + 2)), f"at {due} s"
    done = host.runtime.get_process(one)
    assert (done.activity, done.status, done.walk, done.waiting_until, done.last_error) == ("Next", ProcessStatus.IDLED, None, None, None)
    assert len(set(host.flaky.keys)) == 1, "the receiver sees one request"


def test_it_holds_no_thread_while_waiting(host: Host) -> None:
    one = host.begun().id
    for number, wait in enumerate(WAITS, 1):
        assert len(engine_of(host.runtime).live) == 0
        if number == 2:
            assert host.another_is_served()
        host.clock.advance(wait)
    assert (host.runtime.get_process(one).activity, host.flaky.attempts) == ("Next", [1, 2, 3, 4, 5])


def test_it_shows_the_attempts_in_history(host: Host) -> None:
    one = host.begun().id
    for wait in WAITS:
        host.clock.advance(wait)
    due = [host.at(seconds).isoformat() for seconds in (1, 3, 7, 15)]
    assert retries(host.runtime, one) == [f"no line: attempt {n} failed; the next follows at {at}" for n, at in enumerate(due, 1)]
    assert [(row.at, str(row.status), row.error.type) for row in history(host.runtime, one) if row.error] == [
        (host.at(seconds), "Running", "ConnectionError") for seconds in (0, 1, 3, 7)
    ]
    assert [str(row.kind) for row in history(host.runtime, one)] == ["moved", *["retry"] * 4, "moved", "moved"]


@pytest.mark.parametrize("failures", [1, 2, 3, 4])
def test_cancelled_while_waiting_it_is_terminated_at_once_and_resumed_it_starts_with_attempt_1(host: Host, failures: int) -> None:
    one = host.begun().id
    for wait in WAITS[: failures - 1]:
        host.clock.advance(wait)
    cancelled = host.runtime.cancel_process(one, **WHO)
    assert (cancelled.status, cancelled.waiting_until, cancelled.owner) == (ProcessStatus.TERMINATED, None, None)
    assert (last(host.runtime, one).kind, last(host.runtime, one).actor, last(host.runtime, one).reason) == ("cancelled", "olga", "test")
    host.clock.advance(3600)
    assert host.flaky.attempts == list(range(1, failures + 1)), "it does not come back by itself"
    assert engine_of(host.runtime).store.timers(one) == ()
    host.restart()
    resumed = host.runtime.resume_process(one, **WHO)
    assert host.flaky.attempts == [*range(1, failures + 1), 1]
    left = WAITS[: 4 - failures]
    assert resumed.waiting_until == (host.clock.now() + timedelta(seconds=1) if left else None), "the first wait again"
    for wait in left:
        host.clock.advance(wait)
    assert (host.runtime.get_process(one).activity, host.flaky.attempts) == ("Next", [*range(1, failures + 1), *range(1, len(left) + 2)])
    assert len(set(host.flaky.keys)) == 1
