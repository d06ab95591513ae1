"""Who ordered it, and why, stands in history from the first transaction on, whatever becomes of the walk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bench import WHO, Bench, engine_of, history
from orphanage import PAYING, Answer, Orphanage

from workflow_runtime import HistoryEntry, Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.core.restoring import RestoreDecision

TEXT = """
scheme: S
timers: {late: {interval: 1h}}
commands: {go: {}}
activities:
  A: {initial: true, set_state: true}
  B: {state: Busy, set_state: true, actions: [Look]}
  C: {}
transitions:
  - {from: A, to: B, on: {command: go}}
  - {from: B, to: C, on: {command: go}}
  - {from: C, to: B, on: {timer: late}}
  - {from: C, to: A, when: {action: Open}}
"""

Verb = Callable[[WorkflowRuntime, UUID], Any]
VERBS: dict[str, Verb] = {
    "set_activity": lambda runtime, one: runtime.set_activity(one, "B", **WHO),
    "set_state": lambda runtime, one: runtime.set_state(one, "Busy", **WHO),
    "resume": lambda runtime, one: runtime.resume_process(one, **WHO),
    "fire_timer": lambda runtime, one: runtime.fire_timer(one, "late", **WHO),
}


class Look:
    """Keeps the last row of history as it stands while the action is under way; fails where it is told to."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.broken, self.seen = bench, False, list[HistoryEntry]()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        self.seen.append(history(self.bench.opened[0], ctx.process_id)[-1])
        if self.broken:
            raise ValueError("not yet")


def ready(bench: Bench, look: Look) -> tuple[WorkflowRuntime, Process]:
    """Stands at C with a timer set."""
    runtime = bench(TEXT, actions={"Look": look}, conditions={"Open": lambda ctx, parameter: False})
    process = runtime.create_instance("S")
    stood = runtime.set_activity(process.id, "C", execute=False, **WHO)
    assert isinstance(stood, Process)
    return runtime, stood


@pytest.mark.parametrize("verb", VERBS)
def test_actor_and_reason_are_in_history_before_the_first_action(bench: Bench, verb: str) -> None:
    look = Look(bench)
    runtime, process = ready(bench, look)
    if verb == "resume":
        look.broken = True
        runtime.resume_process(process.id, **WHO)  # no walk: it only waits
        with pytest.raises(Exception, match="not yet"):
            runtime.set_activity(process.id, "B", actor="hans", reason="try")
        look.broken = False
        look.seen.clear()
    VERBS[verb](runtime, process.id)
    (row,) = look.seen
    assert (row.kind, row.trigger.kind, row.trigger.name, row.actor, row.reason) == ("operated", "Operator", verb, "olga", "test")
    assert (row.status, row.from_activity, row.to_activity) == (ProcessStatus.RUNNING, "C", "C")
    arrived = history(runtime, process.id)[-1]
    assert (arrived.kind, arrived.to_activity, arrived.actor, arrived.walk_id) == ("moved", "B", "olga", row.walk_id)


def test_resumed_along_an_automatic_transition_it_is_told_too(bench: Bench) -> None:
    doors = [False]
    runtime = bench(TEXT, actions={"Look": Look(bench)}, conditions={"Open": lambda ctx, parameter: doors[0]})
    process = runtime.create_instance("S")
    runtime.set_activity(process.id, "C", **WHO)
    doors[0] = True
    assert runtime.resume_process(process.id, **WHO).activity == "A"
    ordered, moved = history(runtime, process.id)[-2:]
    assert [(row.kind, row.actor, row.status) for row in (ordered, moved)] == [("operated", "olga", "Running"), ("moved", "olga", "Idled")]


def test_what_a_client_leaves_to_a_server_names_who_left_it(bench: Bench) -> None:
    look = Look(bench)
    _, process = ready(bench, look)
    client = bench(client=True)
    client.set_activity(process.id, "B", **WHO)
    row = history(client, process.id)[-1]
    assert (row.kind, row.trigger.name, row.actor, row.reason, row.server) == ("operated", "set_activity", "olga", "test", None)
    bench.clock.advance(1)
    assert [entry.kind for entry in look.seen] == ["operated"]
    assert client.get_process(process.id).activity == "B"


@pytest.mark.parametrize("verb", ["set_activity", "resume"])
def test_what_a_client_sends_on_counts_its_deaths_anew(bench: Bench, verb: str) -> None:
    runtime, process = ready(bench, Look(bench))
    client = bench(client=True)
    client.set_activity(process.id, "B", **WHO)  # waits now, for any server
    with engine_of(runtime).store.dialect.write() as transaction:
        transaction.driver.execute("UPDATE wf_process SET deaths = 3, deaths_step = 'B#0'")
    assert client.get_process(process.id).deaths == 3
    VERBS[verb](client, process.id)
    assert client.get_process(process.id).deaths == 0
    bench.clock.advance(1)
    assert (client.get_process(process.id).activity, client.get_process(process.id).status) == ("B", ProcessStatus.IDLED)


@pytest.mark.parametrize(("decision", "kind", "actor"), [(RestoreDecision.resume(), "recovered", "olga"), (RestoreDecision.delete(), "deleted", None)], ids=str)
def test_the_row_of_a_recovery_names_who_set_the_walk_going(tmp_path: Path, decision: RestoreDecision, kind: str, actor: str | None) -> None:
    with Orphanage(tmp_path, Answer(decision)) as home:
        one = home.orphan(PAYING, walk={"actor": "olga", "reason": "test"})
        home.recover()
        row = history(home.runtime, one)[0]
        assert (row.kind, row.trigger.kind, row.actor) == (kind, "Recovery", actor)


def test_who_asked_for_the_end_is_named_rather_than_who_set_the_walk_going(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(PAYING, walk={"actor": "olga", "reason": "test"})
        home.runtime.cancel_process(one, actor="hans", reason="stop")
        home.recover()
        row = history(home.runtime, one)[-1]
        assert (row.kind, row.actor, row.reason) == ("cancelled", "hans", "stop")
