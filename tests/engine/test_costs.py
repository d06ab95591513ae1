"""P4 on each database: how many commits, statements and round trips a piece of work costs, and that nothing is compiled for it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from belfry import batch_of, due
from bench import engine_of
from counters import Cost, compiling, cost
from orphanage import SENDING, Orphanage

from workflow_runtime import WorkflowRuntime
from workflow_runtime.store.crowds import SMALLEST
from workflow_runtime.testing.clock import FakeClock

SCHEME = """
scheme: Costs
commands: {go: {}, act: {}, many: {}, chain: {}, step: {}, never: {}}
timers: {bell: {interval: 1h}}
activities:
  Rest: {initial: true}
  Other: {}
  Act: {actions: [Note]}
  Many: {actions: [Note, Note, Note, Note, Note]}
  Step: {actions: [Step]}
  One: {}
  Two: {}
  Timed: {}
  Rung: {}
transitions:
  - {from: Rest, to: Other, on: {command: go}}
  - {from: Other, to: Rest, on: {command: go}}
  - {from: Rest, to: Act, on: {command: act}}
  - {from: Act, to: Other}
  - {from: Rest, to: Many, on: {command: many}}
  - {from: Many, to: Other}
  - {from: Rest, to: Step, on: {command: step}}
  - {from: Step, to: Other}
  - {from: Rest, to: One, on: {command: chain}}
  - {from: One, to: Two}
  - {from: Two, to: Other}
  - {from: Timed, to: Rung, on: {timer: bell}}
"""

Verb = Callable[[WorkflowRuntime], Callable[[], Any]]


@pytest.fixture
def runtime(any_database: str) -> Iterator[WorkflowRuntime]:
    built = WorkflowRuntime(any_database, clock=FakeClock()).with_schemes(SCHEME).with_actions({"Note": lambda ctx, parameter: None, "Step": stepping})
    with built.with_settings(sqlite_synchronous="NORMAL") as started:
        yield started


def stepping(ctx: Any, parameter: str | None) -> None:
    ctx.step("one", str, 1)
    ctx.step("two", str, 2)


def command(name: str) -> Verb:
    def prepare(runtime: WorkflowRuntime) -> Callable[[], Any]:
        process = runtime.create_instance("Costs")
        return lambda: runtime.execute_command(process.id, name)

    return prepare


def creation(runtime: WorkflowRuntime) -> Callable[[], Any]:
    return lambda: runtime.create_instance("Costs")


def timer(runtime: WorkflowRuntime) -> Callable[[], Any]:
    process = runtime.create_instance("Costs")
    runtime.set_activity(process.id, "Timed", actor="olga", reason="test")
    return lambda: runtime.fire_timer(process.id, "bell")


VERBS: dict[str, Verb] = {
    "action-free": command("go"),
    "chain of three": command("chain"),
    "one action": command("act"),
    "five actions": command("many"),
    "two steps": command("step"),
    "not executed": command("never"),
    "creation": creation,
    "timer": timer,
}


#: A reader asks what a row of this table costs a user: with SQLite nothing travels, with PostgreSQL each change is one statement,
#: with MariaDB and MySQL each change is a bracket of statements, each of them a journey.
COSTS: dict[str, dict[str, Cost]] = {
    "action-free": {"sqlite": Cost(1, 3, 0), "postgresql": Cost(1, 2, 2), "mysql": Cost(1, 3, 5)},
    "chain of three": {"sqlite": Cost(1, 5, 0), "postgresql": Cost(1, 2, 2), "mysql": Cost(1, 3, 5)},
    "one action": {"sqlite": Cost(2, 6, 0), "postgresql": Cost(2, 3, 3), "mysql": Cost(2, 6, 10)},
    "five actions": {"sqlite": Cost(6, 14, 0), "postgresql": Cost(6, 7, 7), "mysql": Cost(6, 18, 30)},
    "two steps": {"sqlite": Cost(4, 10, 0), "postgresql": Cost(4, 5, 5), "mysql": Cost(4, 12, 20)},
    "not executed": {"sqlite": Cost(0, 1, 0), "postgresql": Cost(0, 1, 1), "mysql": Cost(0, 1, 1)},
    "creation": {"sqlite": Cost(1, 4, 0), "postgresql": Cost(1, 2, 2), "mysql": Cost(1, 4, 6)},
    "timer": {"sqlite": Cost(1, 8, 0), "postgresql": Cost(1, 5, 5), "mysql": Cost(1, 7, 9)},  # three of them are looks at what is due next
}
WARM = 6  #: times: psycopg prepares a statement when it has met it five times


@pytest.mark.parametrize("name", VERBS)
def test_it_costs_exactly_so_much_and_compiles_nothing(runtime: WorkflowRuntime, kind: str, name: str) -> None:
    prepare = VERBS[name]
    for _ in range(WARM):
        prepare(runtime)()
    act = prepare(runtime)
    with compiling() as compiled:
        found = cost(engine_of(runtime).store, act)
    assert found == COSTS[name][kind]
    assert compiled.texts == []


def test_what_is_compiled_would_be_seen(runtime: WorkflowRuntime) -> None:
    """The proof that the tests above can fail: a filter is written anew for each call."""
    with compiling() as compiled:
        runtime.find_processes()
    assert len(compiled.texts) == 1


# ------------------------------------------------------------------ recovery

#: of one process more, by the default verdict, where all are alike: nothing but its own rows, in the transaction of all
PER_VERDICT = {"sqlite": Cost(0, 0, 0), "postgresql": Cost(0, 0, 0), "mysql": Cost(0, 4, 4)}
#: where each has something of its own that the verdict looks at
PER_VERDICT_ALONE = {"sqlite": Cost(0, 4, 0), "postgresql": Cost(0, 1, 0), "mysql": Cost(0, 4, 4)}
FEW, MANY = SMALLEST, 3 * SMALLEST


@pytest.fixture
def orphanage(any_database: str, tmp_path: Path) -> Iterator[Orphanage]:
    with Orphanage(tmp_path, url=any_database, auto_recover=False) as started:
        yield started


def recovered(orphanage: Orphanage, number: int, *, alone: bool = False) -> Cost:
    own = [{"tries": each} if alone else {} for each in range(number)]
    orphanage.store.apply_all([orphanage.birth(SENDING, walk=walk) for walk in own])
    return cost(orphanage.store, lambda: expect(orphanage, number))


def expect(orphanage: Orphanage, number: int) -> None:
    report = orphanage.runtime.recover()
    assert report is not None
    assert dict(report.by_decision) == {"default": number}


@pytest.mark.parametrize("alone", [False, True], ids=["alike", "alone"])
def test_a_default_verdict_costs_exactly_so_much_and_compiles_nothing(orphanage: Orphanage, kind: str, alone: bool) -> None:
    for number in (FEW, MANY) * WARM:
        recovered(orphanage, number, alone=alone)
    with compiling() as compiled:
        few, many = recovered(orphanage, FEW, alone=alone), recovered(orphanage, MANY, alone=alone)
    more = many.minus(few)
    each = (PER_VERDICT_ALONE if alone else PER_VERDICT)[kind]
    assert more == Cost(*(number * (MANY - FEW) for number in each))
    assert compiled.texts == []


# ------------------------------------------------------------------ timers that fall due together

#: of two timers: a look at the processes, one at their timers, and one transaction
TWO_TIMERS = {"sqlite": Cost(1, 8, 0), "postgresql": Cost(1, 4, 5), "mysql": Cost(1, 7, 9)}
#: of one timer more: on PostgreSQL they travel together
PER_TIMER = {"sqlite": Cost(0, 3, 0), "postgresql": Cost(0, 1, 0), "mysql": Cost(0, 2, 2)}


def fired_together(runtime: WorkflowRuntime, number: int) -> Cost:
    ids = {runtime.create_instance("Costs").id for _ in range(number)}
    for each in ids:
        runtime.set_activity(each, "Timed", actor="olga", reason="test")
    rows = [row for row in due(runtime) if row.process_id in ids]
    batch = batch_of(runtime)
    found = cost(engine_of(runtime).store, lambda: batch.fire(rows))
    assert {runtime.get_process(each).activity for each in ids} == {"Rung"}
    return found


def test_timers_that_are_fired_together_cost_exactly_so_much_and_compile_nothing(runtime: WorkflowRuntime, kind: str) -> None:
    for number in (2, 4, 8) * WARM:
        fired_together(runtime, number)
    with compiling() as compiled:
        two, eight = fired_together(runtime, 2), fired_together(runtime, 8)
    assert two == TWO_TIMERS[kind]
    assert eight.minus(two) == Cost(*(6 * each for each in PER_TIMER[kind]))
    assert compiled.texts == []
