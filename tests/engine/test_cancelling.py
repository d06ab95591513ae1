"""Cancelling what is under way: at the next step boundary, and never too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from bench import WHO, Bench, engine_of, last, path_of, told

from workflow_runtime import Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.process import Change, ChangeKind
from workflow_runtime.errors import ActionFailed, StateNotFound, StatusNotAllowed
from workflow_runtime.store.changes import Applied
from workflow_runtime.store.writes import Store

TEXT = """
scheme: S
timers: {late: {interval: 1h}}
commands: {go: {}, out: {}}
activities:
  A: {initial: true}
  B: {actions: [{Do: first}, {Do: second}]}
  C: {}
  D: {actions: [{Do: third}]}
  End: {final: true}
transitions:
  - {from: A, to: B, on: {command: go}}
  - {from: A, to: End, on: {timer: late}}
  - {from: B, to: C}
  - {from: C, to: D}
  - {from: D, to: End, on: {command: out}}
"""


class Doing:
    """An action that cancels its own process where it is told to; the answer of ``cancel_process`` is kept."""

    def __init__(self, bench: Bench, at: str, *, then: Exception | None = None) -> None:
        self.bench, self.at, self.then, self.answers = bench, at, then, list[Process]()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        self.bench.said.append(str(parameter))
        if parameter == self.at:
            self.answers.append(self.bench.opened[0].cancel_process(ctx.process_id, **WHO))
            if ctx.step("after the request", lambda: "still journaled") and self.then:
                raise self.then


def cancelled(bench: Bench, at: str, **more: Any) -> tuple[WorkflowRuntime, Process, Doing]:
    doing = Doing(bench, at, **more)
    runtime = bench(TEXT, actions={"Do": doing})
    process = runtime.create_instance("S")
    return runtime, runtime.execute_command(process.id, "go").process, doing


@pytest.mark.parametrize(
    ("at", "said", "stands"),
    [
        ("first", ["first"], "A"),  # before the second action of B
        ("second", ["first", "second"], "C"),  # none inside the chain B, C: it stands at the last of them
        ("third", ["first", "second", "third"], "D"),  # its arrival and the cancel are one commit
    ],
)
def test_a_running_process_stops_at_its_next_step_boundary(bench: Bench, at: str, said: list[str], stands: str) -> None:
    runtime, after, doing = cancelled(bench, at)
    assert doing.answers[0].status is ProcessStatus.RUNNING
    assert doing.answers[0].cancel_requested == ("olga", "test")
    assert bench.said == said
    assert (after.status, after.activity, after.owner, after.cancel_requested) == (ProcessStatus.TERMINATED, stands, None, None)
    assert (last(runtime, after.id).kind, last(runtime, after.id).actor, last(runtime, after.id).reason) == ("cancelled", "olga", "test")
    assert runtime.get_process(after.id) == after


def test_what_was_cancelled_can_be_resumed(bench: Bench) -> None:
    runtime, after, doing = cancelled(bench, "first")
    assert after.walk is not None
    assert after.walk.step == 1
    doing.at = "nowhere"
    assert runtime.resume_process(after.id, **WHO).activity == "D"
    assert bench.said == ["first", "second", "third"]


def test_a_request_that_comes_just_before_rest_is_not_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last look and the write that brings it to rest: that write decides, in the same statement."""
    runtime = bench(TEXT, actions={"Do": lambda ctx, parameter: None})
    process = runtime.create_instance("S")
    apply, kinds = Store.apply, list[str]()

    def with_a_request_before_rest(store: Store, change: Change, **how: Any) -> Applied:
        if change.kind is ChangeKind.ARRIVE and change.after is not None and change.after.owner is None:
            runtime.cancel_process(process.id, **WHO)
        applied = apply(store, change, **how)
        kinds.append(f"{change.kind} {applied.outcome}")
        return applied

    monkeypatch.setattr(Store, "apply", with_a_request_before_rest)
    after = runtime.execute_command(process.id, "go").process
    assert kinds[-2:] == ["arrive flagged", "cancel applied"]
    assert (after.status, after.activity) == (ProcessStatus.TERMINATED, "D")
    assert told(runtime, process.id)[-2:] == [("moved", "D", "Running"), ("cancelled", "D", "Terminated")]
    assert path_of(runtime, process.id) == ["A", "B", "C", "D"]


def test_a_request_that_comes_after_rest_is_an_ordinary_cancel(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process was Running when it was looked at, and at rest when the flag was to be set."""
    runtime = bench(TEXT, actions={"Do": lambda ctx, parameter: None})
    process = runtime.create_instance("S")
    engine = engine_of(runtime)
    load, missed = engine.store.load, list[bool]()

    def as_it_was(process_id: UUID) -> Process | None:
        found = load(process_id)
        if found is not None and not missed:
            missed.append(True)
            return evolve(found, owner=engine.me, status=ProcessStatus.RUNNING)
        return found

    monkeypatch.setattr(engine.store, "load", as_it_was)
    assert runtime.cancel_process(process.id, **WHO).status is ProcessStatus.TERMINATED


def test_an_action_that_fails_after_the_request_fails_the_process(bench: Bench) -> None:
    with pytest.raises(ActionFailed):
        cancelled(bench, "first", then=ValueError("and broken"))
    runtime = bench.opened[0]
    (process,) = runtime.find_processes()
    assert process.status is ProcessStatus.TERMINATED
    assert process.cancel_requested is None
    assert "failed" in [kind for kind, _, _ in told(runtime, process.id)]


# ------------------------------------------------------------------ what a client leaves to a server


Verb = Callable[[WorkflowRuntime, UUID], Any]


def with_client(bench: Bench) -> tuple[WorkflowRuntime, WorkflowRuntime, Process]:
    server = bench(TEXT, actions={"Do": lambda ctx, parameter: bench.said.append(str(parameter))})
    return server, bench(client=True), server.create_instance("S")


def test_a_client_leaves_the_walk_with_a_due_row_that_the_server_takes(bench: Bench) -> None:
    server, client, process = with_client(bench)
    left = client.set_activity(process.id, "B", parameters={"Comment": "x"}, **WHO)
    assert isinstance(left, Process)
    assert (left.status, left.owner, left.is_waiting, left.activity) == (ProcessStatus.RUNNING, None, True, "A")
    assert (bench.said, server.get_timers(process.id)[0].name) == ([], "late")
    bench.clock.advance(0)
    after = server.get_process(process.id)
    assert (after.activity, after.status, bench.said) == ("D", ProcessStatus.IDLED, ["first", "second", "third"])
    entered = [entry for entry in server.get_history(process.id) if entry.to_activity == "B"]
    assert [(entry.actor, entry.reason) for entry in entered] == [("olga", "test")]
    assert engine_of(server).store.timers(process.id) == ()


def test_what_waits_for_a_server_is_at_rest_for_operators_and_busy_for_commands(bench: Bench) -> None:
    server, client, process = with_client(bench)
    client.set_activity(process.id, "B", **WHO)
    client.set_parameter(process.id, "a", 1, **WHO)
    client.set_activity(process.id, "D", **WHO)
    client.cancel_process(process.id, **WHO)
    bench.clock.advance(1)
    after = server.get_process(process.id)
    assert (after.status, after.activity, dict(after.parameters), bench.said) == (ProcessStatus.TERMINATED, "A", {"a": 1}, [])
    client.resume_process(process.id, **WHO)
    bench.clock.advance(1)
    assert (server.get_process(process.id).activity, bench.said) == ("D", ["third"])


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        (lambda client, one: client.cancel_process(one, **WHO), ProcessStatus.TERMINATED),
        (lambda client, one: client.set_activity(one, "D", execute=False, **WHO), ProcessStatus.IDLED),
    ],
    ids=["cancel", "stand"],
)
def test_what_needs_no_actions_a_client_does_itself(bench: Bench, verb: Verb, status: ProcessStatus) -> None:
    server, client, process = with_client(bench)
    assert verb(client, process.id).status is status
    assert (server.get_process(process.id).status, last(server, process.id).server) == (status, None)


def test_a_client_deletes_and_refuses_like_a_server(bench: Bench) -> None:
    server, client, process = with_client(bench)
    with pytest.raises(StateNotFound):
        client.set_state(process.id, "none", **WHO)
    client.delete_process(process.id, **WHO)
    assert server.count_processes() == 0


def test_a_timer_that_a_client_fires_is_due_for_any_server(bench: Bench) -> None:
    server, client, process = with_client(bench)
    assert client.fire_timer(process.id, "late", **WHO).activity == "A"
    bench.clock.advance(0)
    assert server.get_process(process.id).status is ProcessStatus.FINALIZED
    other = server.create_instance("S")
    client.cancel_process(other.id, **WHO)
    with pytest.raises(StatusNotAllowed):
        client.fire_timer(other.id, "late", **WHO)


def test_a_cancel_by_a_client_reaches_a_process_under_way(bench: Bench) -> None:
    answers: list[Process] = []

    def do(ctx: Any, parameter: str | None) -> None:
        if parameter == "first":
            answers.append(client.cancel_process(ctx.process_id, **WHO))

    server = bench(TEXT, actions={"Do": do})
    client = bench(client=True)
    process = server.create_instance("S")
    assert server.execute_command(process.id, "go").process.status is ProcessStatus.TERMINATED
    assert answers[0].status is ProcessStatus.RUNNING
