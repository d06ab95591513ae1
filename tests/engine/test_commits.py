"""How many transactions and statements a piece of work costs: exactly as many as the design says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from bench import WHO, Bench, engine_of

from workflow_runtime import ActionFailed, WorkflowRuntime
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.errors import ConditionFailed, LoopLimitExceeded


@dataclass
class Cost:
    """Transactions that write, reads outside of them, and statements by their first word."""

    commits: int = 0
    reads: int = 0
    statements: Counter[str] = field(default_factory=Counter)
    _inside: bool = False

    def note(self, text: str) -> None:
        word = text.split()[0]
        if word == "BEGIN":
            self._inside = True
        elif word in ("COMMIT", "ROLLBACK"):
            self._inside, self.commits = False, self.commits + (word == "COMMIT")
        elif not self._inside:
            self.reads += 1
        else:
            self.statements[word] += 1

    @property
    def written(self) -> dict[str, int]:
        return {word: number for word, number in self.statements.items() if number}


@contextmanager
def costs(runtime: WorkflowRuntime) -> Iterator[Cost]:
    """Of what the calling thread does."""
    cost, dialect = Cost(), engine_of(runtime).store.dialect
    with dialect.connected() as driver:
        driver.set_trace_callback(cost.note)
    try:
        yield cost
    finally:
        with dialect.connected() as driver:
            driver.set_trace_callback(None)


def chain(*actions: list[Any], final: bool = True) -> str:
    """Rest, then by the command go through activities with these actions."""
    names = [f"A{number}" for number in range(len(actions))]
    lines = [f"  {name}: {{actions: {json.dumps(given)}}}" for name, given in zip(names, actions, strict=True)]
    ways = [f"  - {{from: {one}, to: {two}}}" for one, two in zip(names, [*names[1:], "End"], strict=True)]
    return "\n".join(
        [
            "scheme: Chain",
            "commands: {go: {}}",
            "activities:",
            "  Rest: {initial: true}",
            *lines,
            f"  End: {{final: {str(final).lower()}}}",
            "transitions:",
            f"  - {{from: Rest, to: {names[0]}, on: {{command: go}}}}",
            *ways,
            "  - {from: End, to: Rest, on: {command: go}}" if not final else "",
        ]
    )


J, U = "Note", {"action": "Note", "journal": False}


@pytest.mark.parametrize(
    ("activities", "commits"),
    [
        ([[]], 1),  # action-free
        ([[], [], [], []], 1),  # a chain of them
        ([[J]], 2),  # begins a run: m + 1
        ([[J, J, J]], 4),
        ([[J], [J]], 3),  # continues one: m
        ([[J, J], [J, J, J]], 6),
        ([[], [J, J]], 3),  # begun by a chain without actions
        ([[J], [], [], [J]], 3),  # and one between
        ([[J, J], []], 3),
        ([[U]], 2),  # the claim and the arrival stay
        ([[U, U, U]], 2),
        ([[U, J]], 2),
        ([[J, U]], 3),  # the row of J must be durable before U starts
        ([[J, U, J, U]], 4),
    ],
    ids=str,
)
def test_a_command_costs_so_many_commits(bench: Bench, activities: list[list[Any]], commits: int) -> None:
    runtime = bench(chain(*activities))
    process = runtime.create_instance("Chain")
    with costs(runtime) as cost:
        result = runtime.execute_command(process.id, "go")
    assert result.process.status is ProcessStatus.FINALIZED
    assert cost.commits == commits
    assert bench.said == [f"A{number}" for number, actions in enumerate(activities) for _ in actions]


@pytest.mark.parametrize(
    ("initial", "commits"),
    [("[]", 1), ("[Note]", 2), ("[Note, Note]", 3)],
)
def test_a_creation_costs_so_many_commits(bench: Bench, initial: str, commits: int) -> None:
    runtime = bench(f"scheme: S\nactivities:\n  A: {{initial: true, actions: {initial}}}\n  B: {{final: true}}\ntransitions: [{{from: A, to: B}}]")
    runtime.get_scheme("S")
    with costs(runtime) as cost:
        assert runtime.create_instance("S").status is ProcessStatus.FINALIZED
    assert cost.commits == commits


def stepping(ctx: Any, parameter: str | None) -> None:
    for number in range(int(parameter or 0)):
        ctx.step("s", str, number)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_each_step_is_one_commit_more(bench: Bench, steps: int) -> None:
    runtime = bench(chain([{"Steps": str(steps)}]), actions={"Steps": stepping})
    process = runtime.create_instance("Chain")
    with costs(runtime) as cost:
        runtime.execute_command(process.id, "go")
    assert cost.commits == 2 + steps


# ------------------------------------------------------------------ failures, cancels, refusals


def test_a_failure_is_one_commit(bench: Bench) -> None:
    runtime = bench(chain([J, "Fail", J]))
    process = runtime.create_instance("Chain")
    with costs(runtime) as cost, pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert cost.commits == 3  # claim, the row of the first action, the failure


def test_a_failure_in_a_chain_is_one_commit_with_the_arrivals_before_it(bench: Bench) -> None:
    runtime = bench(chain([], [], ["Fail"]))
    process = runtime.create_instance("Chain")
    with costs(runtime) as cost, pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert cost.commits == 2
    assert runtime.get_process(process.id).activity == "A1"


LOOP = """
scheme: Loop
commands: {go: {}}
activities:
  Rest: {initial: true}
  A: {}
  B: {}
  End: {final: true}
transitions:
  - {from: Rest, to: A, on: {command: go}}
  - {from: A, to: B, when: {action: Always}}
  - {from: B, to: A, when: {action: Always}}
  - {from: B, to: End, on: {command: go}}
"""


def test_the_loop_guard_is_one_commit_however_long_the_chain_was(bench: Bench) -> None:
    runtime = bench(LOOP, conditions={"Always": lambda ctx, parameter: True})
    process = runtime.create_instance("Loop")
    with costs(runtime) as cost, pytest.raises(LoopLimitExceeded):
        runtime.execute_command(process.id, "go")
    assert cost.commits == 1


ASKED = """
scheme: Asked
commands: {go: {}, other: {}}
activities:
  Rest: {initial: true}
  End: {final: true}
transitions:
  - {from: Rest, to: End, on: {command: go}, when: {action: Ask}}
  - {from: End, to: Rest, on: {command: other}}
"""


@pytest.mark.parametrize("name", ["go", "other"])
def test_what_is_not_executed_is_no_commit(bench: Bench, name: str) -> None:
    runtime = bench(ASKED, conditions={"Ask": lambda ctx, parameter: False})
    process = runtime.create_instance("Asked")
    with costs(runtime) as cost:
        assert not runtime.execute_command(process.id, name).was_executed
    assert (cost.commits, cost.reads) == (0, 1)


def test_a_condition_that_raises_is_one_commit(bench: Bench) -> None:
    runtime = bench(ASKED, conditions={"Ask": lambda ctx, parameter: 1 / 0})
    process = runtime.create_instance("Asked")
    with costs(runtime) as cost, pytest.raises(ConditionFailed):
        runtime.execute_command(process.id, "go")
    assert cost.commits == 1


Verb = Callable[[WorkflowRuntime, UUID], Any]


@pytest.mark.parametrize(
    ("verb", "commits"),
    [
        (lambda runtime, one: runtime.cancel_process(one, **WHO), 1),
        (lambda runtime, one: runtime.delete_process(one, **WHO), 1),
        (lambda runtime, one: runtime.set_parameter(one, "a", 1, **WHO), 1),
        (lambda runtime, one: runtime.set_activity(one, "A0", execute=False, **WHO), 1),
        (lambda runtime, one: runtime.set_activity(one, "A0", **WHO), 3),
        (lambda runtime, one: runtime.set_activity(one, "End", **WHO), 1),
        (lambda runtime, one: runtime.resume_process(one, **WHO), 1),
        (lambda runtime, one: runtime.get_available_commands(one), 0),
        (lambda runtime, one: runtime.plan_recovery(), 0),
        (lambda runtime, one: runtime.set_activity(one, "A0", dry_run=True, **WHO), 0),
        (lambda runtime, one: runtime.cancel_process(one, dry_run=True, **WHO), 0),
    ],
    ids=["cancel", "delete", "set_parameter", "stand", "set_activity", "action-free", "resume", "commands", "plan", "dry set", "dry cancel"],
)
def test_an_operators_verb_costs_so_many_commits(bench: Bench, verb: Verb, commits: int) -> None:
    runtime = bench(chain([J, J]))
    process = runtime.create_instance("Chain")
    with costs(runtime) as cost:
        verb(runtime, process.id)
    assert cost.commits == commits


# ------------------------------------------------------------------ statements


def test_a_command_over_action_free_activities_is_one_read_and_one_transaction(bench: Bench) -> None:
    runtime = bench(chain([], final=False))
    process = runtime.create_instance("Chain")
    with costs(runtime) as cost:
        runtime.execute_command(process.id, "go")
    assert (cost.commits, cost.reads) == (1, 1)
    assert cost.written == {"UPDATE": 1, "INSERT": 2}  # the process and two history rows; where no timer can be, none is deleted


def test_an_action_costs_two_transactions_and_its_row(bench: Bench) -> None:
    runtime = bench(chain([J], final=False))
    process = runtime.create_instance("Chain")
    with costs(runtime) as cost:
        runtime.execute_command(process.id, "go")
    assert (cost.commits, cost.reads) == (2, 1)
    assert cost.written == {"UPDATE": 2, "INSERT": 2 + 1}  # its journal row, two history rows: A0 and End


def test_a_creation_without_actions_is_one_transaction(bench: Bench) -> None:
    runtime = bench(chain([], final=False))
    runtime.get_scheme("Chain")
    with costs(runtime) as cost:
        runtime.create_instance("Chain")
    assert (cost.commits, cost.written) == (1, {"SELECT": 1, "INSERT": 2})


def test_a_timer_that_fires_is_one_transaction(bench: Bench) -> None:
    text = "scheme: T\ntimers: {t: {interval: 1h}}\nactivities:\n  A: {initial: true}\n  B: {final: true}\ntransitions: [{from: A, to: B, on: {timer: t}}]"
    runtime = bench(text)
    process = runtime.create_instance("T")
    with costs(runtime) as cost:
        runtime.fire_timer(process.id, "t")
    assert (cost.commits, cost.written) == (
        1,
        {"UPDATE": 1, "DELETE": 1, "INSERT": 2},
    )  # its own row goes with those of the activity left; who fired it, and the arrival
