"""Random lives of processes on a real database, beside a small model that says what must be true.

The model knows one scheme by heart. Hypothesis gives commands, lets time pass, restarts the server, cancels,
resumes and moves; after every step each process must be exactly where the model says.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bench import NOW, WHO, Bench
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from workflow_runtime import WorkflowRuntime
from workflow_runtime.errors import ActionFailed, ConditionFailed, ParameterError, ProcessNotFound, StatusNotAllowed

TEXT = """
scheme: S
parameters: {N: {type: int, purpose: persistence, initial: 0}, By: {type: int, purpose: temporary}}
timers: {soon: {interval: 2m}, sticky: {interval: 7m, keep_if_set: true}}
commands: {work: {}, back: {}, close: {}, count: {inputs: {by: {parameter: By, required: true}}}}
activities:
  Rest: {initial: true, state: Resting}
  Work: {state: Working, actions: [Count, Break]}
  Late: {state: Late}
  End: {final: true, state: Done}
transitions:
  - {from: Rest, to: Work, on: {command: work}}
  - {from: Rest, to: Rest, on: {command: count}}
  - {from: Rest, to: Late, on: {timer: soon}}
  - {from: Rest, to: End, on: {timer: sticky}}
  - {from: Work, to: Late, when: "@N >= 4"}
  - {from: Work, to: Rest, on: {command: back}}
  - {from: Work, to: End, on: {timer: sticky}}
  - {from: Late, to: End, on: {command: close}, when: {action: Ask}}
  - {from: Late, to: Rest, on: {command: back}}
"""
MINUTES = {"soon": 2, "sticky": 7}  #: time passes in steps of two minutes, so that no two are due at once
TIMERS = {"Rest": ("soon", "sticky"), "Work": ("sticky",)}
COMMANDS = {"Rest": ("work", "count"), "Work": ("back",), "Late": ("close", "back")}


@dataclass
class Model:
    """One process as it must be. ``clock`` counts minutes; ``failed`` is a kept walk: into what, and with which count so far."""

    at: str = "Rest"
    status: str = "Idled"
    n: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    failed: int | None = None
    moves: int = 0

    def enter(self, activity: str, clock: int) -> None:
        self.at, self.status, self.failed, self.moves = activity, "Finalized" if activity == "End" else "Idled", None, self.moves + 1
        kept = {name: due for name, due in self.rows.items() if name == "sticky"}
        self.rows = {name: kept.get(name, clock + MINUTES[name]) for name in TIMERS.get(activity, ())}
        if activity == "Work" and self.n >= 4:
            self.enter("Late", clock)

    def work(self, clock: int, broken: bool, counted: int | None = None) -> bool:
        """Into Work, whose second action may fail; ``counted`` is what the first has done in an earlier attempt."""
        count = self.n + 1 if counted is None else counted
        if broken:
            self.failed = count
            self.fail(clock)
            return False
        self.n = count
        self.enter("Work", clock)
        return True

    def fail(self, clock: int) -> None:
        for name in TIMERS.get(self.at, ()):
            self.rows.setdefault(name, clock + MINUTES[name])
        self.status = "Error" if COMMANDS.get(self.at) or self.rows else "Terminated"

    def tick(self, clock: int) -> None:
        """What is due fires, the earliest first."""
        while self.status in ("Idled", "Error") and (due := [(when, name) for name, when in self.rows.items() if when <= clock]):
            _, name = min(due)
            del self.rows[name]
            self.enter("Late" if name == "soon" else "End", clock)


class Lives(RuleBasedStateMachine):
    ids = Bundle("ids")
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lives-"))
        shutil.copy(self.template, self.folder / "workflow.db")
        self.bench, self.models = Bench(self.folder), dict[UUID, Model]()
        self.minutes, self.broken, self.answer = 0, False, "yes"
        self.runtime: WorkflowRuntime = self.bench(TEXT, actions={"Count": self.count, "Break": self.break_off}, conditions={"Ask": self.ask})

    def teardown(self) -> None:
        self.bench.close()
        shutil.rmtree(self.folder)

    def count(self, ctx: Any, parameter: str | None) -> None:
        ctx.parameters["N"] += 1

    def break_off(self, ctx: Any, parameter: str | None) -> None:
        if self.broken:
            raise ValueError("broken")

    def ask(self, ctx: Any, parameter: str | None) -> bool:
        if self.answer == "raise":
            raise ValueError("no answer")
        return self.answer == "yes"

    @initialize(target=ids)
    def first(self) -> Any:
        return self.create(0)

    @rule(target=ids, n=st.integers(0, 5))
    def create(self, n: int) -> UUID:
        process = self.runtime.create_instance("S", parameters={"N": n})
        self.models[process.id] = Model(n=n)
        self.models[process.id].enter("Rest", self.minutes)
        return process.id

    @rule(one=ids, name=st.sampled_from(["work", "work", "back", "close", "count"]), broken=st.booleans(), answer=st.sampled_from(["yes", "no", "raise"]))
    def command(self, one: UUID, name: str, broken: bool, answer: str) -> None:
        model, self.broken, self.answer = self.models[one], broken, answer
        if model.status not in ("Idled", "Error"):
            with pytest.raises(StatusNotAllowed if model.status != "Deleted" else ProcessNotFound):
                self.runtime.execute_command(one, name)
        elif name == "count":
            with pytest.raises(ParameterError):
                self.runtime.execute_command(one, name)
            executed = self.runtime.execute_command(one, name, parameters={"by": 1}).was_executed
            assert executed == (model.at == "Rest")
            if executed:
                model.enter("Rest", self.minutes)
        elif name not in COMMANDS.get(model.at, ()) or (name == "close" and answer == "no"):
            assert not self.runtime.execute_command(one, name).was_executed
        elif name == "close" and answer == "raise":
            with pytest.raises(ConditionFailed):
                self.runtime.execute_command(one, name)
            model.fail(self.minutes)
        elif name == "work":
            self.working(one, lambda: self.runtime.execute_command(one, name))
        else:
            assert self.runtime.execute_command(one, name).was_executed
            model.enter({"back": "Rest", "close": "End"}[name], self.minutes)

    def working(self, one: UUID, act: Any, counted: int | None = None) -> None:
        if self.models[one].work(self.minutes, self.broken, counted):
            act()
        else:
            with pytest.raises(ActionFailed):
                act()

    @rule(minutes=st.integers(1, 4))
    def wait(self, minutes: int) -> None:
        self.minutes += 2 * minutes
        self.bench.clock.advance(2 * minutes * 60)

    @rule(minutes=st.integers(0, 3))
    def restart(self, minutes: int) -> None:
        self.runtime.shutdown()
        self.minutes += 2 * minutes
        self.bench.clock.advance(2 * minutes * 60)
        self.runtime.start()

    @rule(one=ids)
    def cancel(self, one: UUID) -> None:
        if (model := self.models[one]).status != "Deleted":
            self.runtime.cancel_process(one, **WHO)
            model.status = "Terminated"

    @rule(one=ids, broken=st.booleans())
    def resume(self, one: UUID, broken: bool) -> None:
        model, self.broken = self.models[one], broken
        if model.status == "Deleted":
            return
        if model.failed is not None:
            self.working(one, lambda: self.runtime.resume_process(one, **WHO), model.failed)
            return
        self.runtime.resume_process(one, **WHO)
        if model.at == "Work" and model.n >= 4:
            model.enter("Late", self.minutes)
        else:
            model.status = "Finalized" if model.at == "End" else "Idled"

    @rule(one=ids, activity=st.sampled_from(["Rest", "Work", "Late", "End"]), execute=st.booleans(), broken=st.booleans())
    def set_activity(self, one: UUID, activity: str, execute: bool, broken: bool) -> None:
        model, self.broken = self.models[one], broken
        if model.status == "Deleted":
            return
        if activity == "Work" and execute:
            self.working(one, lambda: self.runtime.set_activity(one, activity, **WHO))
            return
        self.runtime.set_activity(one, activity, execute=execute, **WHO)
        n, model.n = model.n, 0 if not execute else model.n  # standing there leads no further
        model.enter(activity, self.minutes)
        model.n = n

    @rule(one=ids, n=st.integers(0, 5))
    def set_parameter(self, one: UUID, n: int) -> None:
        if (model := self.models[one]).status != "Deleted":
            self.runtime.set_parameter(one, "N", n, **WHO)
            model.n = n

    @rule(one=ids)
    def delete(self, one: UUID) -> None:
        if (model := self.models[one]).status != "Deleted":
            self.runtime.delete_process(one, **WHO)
            model.status = "Deleted"

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        for one, model in self.models.items():
            model.tick(self.minutes)  # what is due fires at once, also what fell due while it was Terminated
            entries = list(self.runtime.get_history(one))
            assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
            assert sum(entry.kind == "moved" for entry in entries) == model.moves
            if model.status == "Deleted":
                assert entries[-1].kind == "deleted"
                continue
            process = self.runtime.get_process(one)
            assert (process.activity, process.status, process.parameters["N"], process.owner) == (model.at, model.status, model.n, None)
            assert (process.walk is not None) == (model.failed is not None)
            rows = {timer.name: (timer.due - NOW).total_seconds() / 60 for timer in self.runtime.get_timers(one)}
            assert rows == model.rows
            assert entries[-1].status in (model.status, "Idled", "Error", "Terminated", "Finalized")


def test_lives_are_as_the_model_says(empty_database: Path) -> None:
    Lives.template = empty_database
    run_state_machine_as_test(
        Lives,
        settings=settings(max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)),
    )
