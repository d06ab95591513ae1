"""Walks without rest: the guard, timers of value "0", and errors in the middle of a chain."""

from __future__ import annotations

from typing import Any

import pytest
from bench import WHO, Bench, history, path_of, told

from workflow_runtime import ProcessStatus
from workflow_runtime.errors import ActionFailed, ConditionFailed, LoopLimitExceeded

LOOP = """
scheme: Loop
parameters: {N: {type: int, purpose: persistence, initial: 0}, Go: {type: bool, purpose: persistence, initial: true}}
commands: {go: {}, out: {}}
activities:
  Rest: {initial: true}
  A: {actions: [Count]}
  B: {}
  End: {final: true}
transitions:
  - {from: Rest, to: A, on: {command: go}}
  - {from: A, to: B, when: "@Go"}
  - {from: B, to: A, when: "@Go"}
  - {from: A, to: End, on: {command: out}}
  - {from: B, to: End, on: {command: out}}
"""


def counting_to(most: int) -> Any:
    def count(ctx: Any, parameter: str | None) -> None:
        ctx.parameters["N"] += 1
        ctx.parameters["Go"] = ctx.parameters["N"] < most

    return count


def test_as_many_automatic_walks_as_allowed_come_to_rest(bench: Bench) -> None:
    runtime = bench(LOOP, actions={"Count": counting_to(6)}, max_automatic_steps=10)
    process = runtime.create_instance("Loop")
    after = runtime.execute_command(process.id, "go").process
    assert (after.status, after.activity, after.parameters["N"]) == (ProcessStatus.IDLED, "A", 6)
    assert path_of(runtime, process.id) == ["Rest", "A", *["B", "A"] * 5]


def test_one_more_is_the_loop_limit_by_the_status_rule(bench: Bench) -> None:
    runtime = bench(LOOP, actions={"Count": counting_to(99)}, max_automatic_steps=9)
    process = runtime.create_instance("Loop")
    with pytest.raises(LoopLimitExceeded) as caught:
        runtime.execute_command(process.id, "go")
    assert (caught.value.process_id, caught.value.limit, caught.value.activity) == (process.id, 9, "B")
    stored = runtime.get_process(process.id)
    assert (stored.status, stored.activity, stored.walk) == (ProcessStatus.ERROR, "B", None)
    assert stored.parameters["N"] == 5
    assert [entry.kind for entry in history(runtime, process.id)] == ["moved"] * 11 + ["failed"]
    assert runtime.execute_command(process.id, "out").process.status is ProcessStatus.FINALIZED


def test_the_guard_counts_anew_in_the_next_run(bench: Bench) -> None:
    runtime = bench(LOOP, actions={"Count": counting_to(99)}, max_automatic_steps=9)
    process = runtime.create_instance("Loop")
    with pytest.raises(LoopLimitExceeded):
        runtime.execute_command(process.id, "go")
    with pytest.raises(LoopLimitExceeded):
        runtime.resume_process(process.id, **WHO)
    assert len(path_of(runtime, process.id)) == 11 + 9


ZERO = """
scheme: Zero
parameters: {TimerValue_t: {type: string, purpose: persistence, initial: "0"}}
timers: {t: {interval: 1h}, u: {interval: 1h}}
commands: {out: {}}
activities:
  A: {initial: true}
  B: {}
  C: {}
  End: {final: true}
transitions:
  - {from: A, to: B, on: {timer: t}}
  - {from: B, to: A, on: {timer: t}}
  - {from: A, to: C, when: "1 = 2"}
  - {from: A, to: End, on: {command: out}}
  - {from: B, to: End, on: {timer: u}}
  - {from: C, to: End}
"""


def test_a_timer_of_value_zero_is_a_walk_without_rest(bench: Bench) -> None:
    runtime = bench(ZERO, max_automatic_steps=10)
    with pytest.raises(LoopLimitExceeded) as caught:
        runtime.create_instance("Zero")
    process = runtime.get_process(caught.value.process_id)
    assert (process.activity, process.status) == ("A", ProcessStatus.ERROR)
    entries = history(runtime, process.id)
    assert [entry.to_activity for entry in entries[:4]] == ["A", "B", "A", "B"]
    assert (entries[1].trigger.kind, entries[1].trigger.name) == ("Timer", "t")


def test_an_automatic_transition_goes_before_a_timer_of_value_zero(bench: Bench) -> None:
    runtime = bench(ZERO.replace("1 = 2", "1 = 1"))
    process = runtime.create_instance("Zero")
    assert path_of(runtime, process.id) == ["A", "C", "End"]


def test_a_timer_of_value_minus_one_has_no_row(bench: Bench) -> None:
    runtime = bench(ZERO)
    process = runtime.create_instance("Zero", parameters={"TimerValue_t": "-1"})
    assert (process.activity, process.status, runtime.get_timers(process.id)) == ("A", ProcessStatus.IDLED, [])


def test_a_loop_without_a_way_out_is_terminated(bench: Bench) -> None:
    runtime = bench(ZERO.replace("  - {from: A, to: End, on: {command: out}}\n", ""), max_automatic_steps=10)
    with pytest.raises(LoopLimitExceeded) as caught:
        runtime.create_instance("Zero")
    assert runtime.get_process(caught.value.process_id).status is ProcessStatus.TERMINATED


# ------------------------------------------------------------------ coalesced chains and errors in them


CHAIN = """
scheme: Chain
timers: {late: {interval: 1h}}
commands: {go: {}, out: {}}
activities:
  Rest: {initial: true, state: Resting}
  A: {state: InA}
  B: {}
  C: {state: InC, actions: [Act]}
  End: {final: true}
transitions:
  - {from: Rest, to: A, on: {command: go}}
  - {from: A, to: B, when: {action: First}}
  - {from: B, to: C, when: {action: Second}}
  - {from: B, to: End, on: {timer: late}}
  - {from: C, to: End, when: "1 = 2"}
  - {from: C, to: End, on: {command: out}}
  - {from: A, to: End, on: {command: out}}
"""


def yes(ctx: Any, parameter: str | None) -> bool:
    return True


def no(ctx: Any, parameter: str | None) -> bool:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("first", "second", "stands", "status", "error"),
    [
        (no, yes, "A", "Error", ConditionFailed),
        (yes, no, "B", "Error", ConditionFailed),  # its timer will have a row
        (yes, yes, "B", "Error", ActionFailed),
    ],
)
def test_an_error_in_a_chain_stands_at_the_last_arrival(bench: Bench, first: Any, second: Any, stands: str, status: str, error: type[Exception]) -> None:
    runtime = bench(CHAIN, conditions={"First": first, "Second": second}, actions={"Act": no})
    process = runtime.create_instance("Chain")
    with pytest.raises(error):
        runtime.execute_command(process.id, "go")
    arrivals = ["Rest", "A", "B"][: ["Rest", "A", "B"].index(stands) + 1]
    assert path_of(runtime, process.id) == arrivals
    stored = runtime.get_process(process.id)
    assert (stored.activity, stored.state, stored.status) == (stands, "InA", status)
    assert told(runtime, process.id)[-1] == ("failed", stands, status)
    assert [timer.name for timer in runtime.get_timers(process.id)] == (["late"] if stands == "B" else [])


def test_previous_activity_and_state_are_right_behind_a_chain(bench: Bench) -> None:
    runtime = bench(CHAIN, conditions={"First": yes, "Second": yes}, actions={"Act": lambda ctx, parameter: None})
    after = runtime.execute_command(runtime.create_instance("Chain").id, "go").process
    assert (after.activity, after.state, after.previous_activity, after.previous_state) == ("C", "InC", "B", "InA")


def test_a_condition_in_a_chain_sees_where_the_process_stands(bench: Bench) -> None:
    seen: list[tuple[str, str]] = []

    def look(ctx: Any, parameter: str | None) -> bool:
        seen.append((ctx.process.activity, ctx.parameters["PreviousActivity"]))
        return True

    runtime = bench(CHAIN, conditions={"First": look, "Second": look}, actions={"Act": lambda ctx, parameter: None})
    runtime.execute_command(runtime.create_instance("Chain").id, "go")
    assert seen == [("A", "Rest"), ("B", "A")]
