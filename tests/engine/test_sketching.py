"""A sketch gives exactly what the run would have committed, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

from bench import Bench, engine_of

from workflow_runtime import WorkflowRuntime
from workflow_runtime.core import rules
from workflow_runtime.core.process import Change, Process, Trigger, TriggerKind, Walk
from workflow_runtime.engine.sketching import sketch
from workflow_runtime.store.writes import Outcome

SCHEME = """
scheme: S
commands: {go: {}, act: {}}
activities:
  Start: {initial: true}
  One: {}
  Two: {}
  Acting: {actions: [Call]}
  End: {final: true}
transitions:
  - {from: Start, to: One, on: {command: go}}
  - {from: One, to: Two}
  - {from: Two, to: End}
  - {from: Start, to: Acting, on: {command: act}}
"""


def claim(runtime: WorkflowRuntime, process: Process, name: str, target: str) -> Change:
    trigger = Trigger(TriggerKind.COMMAND, name)
    now = engine_of(runtime).now()
    walk = Walk(id="w" + name, activity=target, transition=f"Start_{target}", trigger=trigger, run=trigger, started_at=now)
    return rules.begin(process, walk, owner=engine_of(runtime).me, now=now)


def fresh(runtime: WorkflowRuntime) -> Process:
    return engine_of(runtime).load(runtime.create_instance("S").id)


def test_a_run_without_actions_is_one_change(bench: Bench) -> None:
    runtime = bench(SCHEME, actions={"Call": lambda ctx, parameter: None})
    process = fresh(runtime)
    change = sketch(engine_of(runtime), process, claim(runtime, process, "go", "One"))
    assert change is not None
    assert (change.before, change.result.activity, change.result.status, change.result.owner) == (process, "End", "Finalized", None)
    assert [entry.to_activity for entry in change.entries] == ["One", "Two", "End"]
    assert runtime.get_process(process.id) == engine_of(runtime).show(process)
    assert engine_of(runtime).apply(change)[0] is Outcome.APPLIED
    driven = runtime.execute_command(runtime.create_instance("S").id, "go").process
    assert ignoring(runtime.get_process(process.id)) == ignoring(driven)


def ignoring(process: Process) -> dict[str, Any]:
    """What differs between any two processes."""
    own = ("id", "root_id", "created_at", "updated_at", "status_since", "activity_since", "token", "age")
    return {name: value for name, value in process.to_dict().items() if name not in own}


def test_a_run_that_acts_has_no_sketch(bench: Bench) -> None:
    called = list[str]()
    runtime = bench(SCHEME, actions={"Call": lambda ctx, parameter: called.append("called")})
    process = fresh(runtime)
    assert sketch(engine_of(runtime), process, claim(runtime, process, "act", "Acting")) is None
    assert called == []
    assert runtime.get_process(process.id).revision == process.revision


def test_a_run_that_fails_has_no_sketch(bench: Bench) -> None:
    runtime = bench(SCHEME, actions={"Call": lambda ctx, parameter: None}, max_automatic_steps=1)
    process, engine = fresh(runtime), engine_of(runtime)
    assert sketch(engine, process, claim(runtime, process, "go", "One")) is None
    assert runtime.get_process(process.id).revision == process.revision
