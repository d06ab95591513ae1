"""Timers on a way that leads back: a moment is had once, whatever the type of the timer that was given it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bench import NOW, WHO, Bench, path_of, told
from timed import HOUR, dues, text

from workflow_runtime import WorkflowRuntime
from workflow_runtime.errors import ConditionFailed

PAST = {"TimerValue_t": "2020-01-01"}
ENOUGH = "{from: A, to: End, when: {action: Enough}}"  #: so that a test of endless rounds fails and does not hang
LONGEST = 6


def bounded(bench: Bench, scheme: str, **given: Any) -> WorkflowRuntime:
    """Whoever comes to A too often is sent to the end."""
    visits = iter(range(LONGEST))
    return bench(scheme, conditions={"Enough": lambda ctx, parameter: next(visits, None) is None}, **given)


@pytest.mark.parametrize("timer", ['{at: "2030-01-01 01:00:00"}', '{expression: "@When"}'])
def test_a_moment_that_leads_back_to_its_own_activity_is_had_once(bench: Bench, timer: str) -> None:
    head = 'parameters: {When: {type: "optional[datetime]", purpose: persistence}}'
    runtime = bounded(bench, text(timer, ENOUGH, "{from: A, to: A, on: {timer: t}}", head=head))
    process = runtime.create_instance("S", parameters={"When": NOW + HOUR})
    bench.clock.advance(2 * HOUR)
    assert path_of(runtime, process.id) == ["A", "A"]
    assert dues(runtime, process) == {}


@pytest.mark.parametrize(
    "timer", ["{interval: 1h}", '{time: "18:30:00"}', '{cron: "0 9 * * *"}', '{cron: "0 9 * * *", missed: fire_all}', '{at: "2030-02-01"}']
)
@pytest.mark.parametrize("ways", [["{from: A, to: A, on: {timer: t}}"], ["{from: A, to: B, on: {timer: t}}", "{from: B, to: A}"]], ids=["itself", "round"])
def test_a_date_that_is_past_is_had_once_under_any_type(bench: Bench, timer: str, ways: list[str]) -> None:
    runtime = bounded(bench, text(timer, ENOUGH, *ways))
    process = runtime.create_instance("S", parameters=PAST)
    bench.clock.advance(0)
    assert path_of(runtime, process.id) == ["A", "B", "A"] if "B" in ways[0] else ["A", "A"]
    assert dues(runtime, process) == {}


def test_an_interval_goes_round_and_round(bench: Bench) -> None:
    runtime = bench(text("{interval: 1h}", "{from: A, to: B, on: {timer: t}}", "{from: B, to: A}"))
    process = runtime.create_instance("S")
    for hours in (2, 3):
        bench.clock.advance(HOUR)
        assert dues(runtime, process) == {"t": hours * HOUR}


def test_an_expression_that_counts_from_now_goes_round(bench: Bench) -> None:
    runtime = bench(text('{expression: "3600000"}', "{from: A, to: A, on: {timer: t}}"))
    process = runtime.create_instance("S")
    for _ in range(2):
        bench.clock.advance(HOUR)
    assert path_of(runtime, process.id) == ["A", "A", "A"]


def test_a_date_that_is_past_and_cannot_be_taken_is_gone(bench: Bench) -> None:
    asked: list[None] = []

    def no(ctx: Any, parameter: str | None) -> bool:
        asked.append(None)
        return len(asked) > LONGEST

    runtime = bench(text("{interval: 1h}", "{from: A, to: B, on: {timer: t}, when: {action: No}}"), conditions={"No": no})
    process = runtime.create_instance("S", parameters=PAST)
    bench.clock.advance(0)
    assert told(runtime, process.id) == [("moved", "A", "Idled"), ("not_applicable", "A", "Idled")]
    assert dues(runtime, process) == {}


def test_a_date_that_is_past_and_whose_action_fails_is_gone(bench: Bench) -> None:
    tries: list[None] = []

    def act(ctx: Any, parameter: str | None) -> None:
        tries.append(None)
        if len(tries) <= LONGEST:
            raise ValueError("no")

    runtime = bench(text("{interval: 1h}", "{from: A, to: B, on: {timer: t}}", b="{actions: [Act]}"), actions={"Act": act})
    process = runtime.create_instance("S", parameters=PAST)
    bench.clock.advance(0)
    assert told(runtime, process.id) == [("moved", "A", "Idled"), ("failed", "A", "Error")]
    assert dues(runtime, process) == {}


def test_another_failure_does_not_bring_a_date_back_that_is_past(bench: Bench) -> None:
    """The timer was refused and has no row; then a command fails, which arms again what is missing."""
    ways = ['{from: A, to: B, on: {timer: t}, when: "1 = 2"}', "{from: A, to: C, on: {command: go}, when: {action: Broken}}"]
    runtime = bench(text("{interval: 1h}", *ways), conditions={"Broken": lambda ctx, parameter: 1 / 0})
    process = runtime.create_instance("S", parameters=PAST)
    bench.clock.advance(0)
    with pytest.raises(ConditionFailed):
        runtime.execute_command(process.id, "go")
    assert [kind for kind, *_ in told(runtime, process.id)] == ["moved", "not_applicable", "failed"]
    assert dues(runtime, process) == {}


@pytest.mark.parametrize(("timer", "due"), [('{time: "18:30:00"}', 18.5 * HOUR), ('{cron: "0 9 * * *"}', 9 * HOUR), ("{interval: 1h}", 1 * HOUR)])
def test_what_an_operator_fires_early_still_comes_at_its_time(bench: Bench, timer: str, due: timedelta) -> None:
    runtime = bench(text(timer, "{from: A, to: A, on: {timer: t}}"))
    process = runtime.create_instance("S")
    runtime.set_timer(process.id, "t", NOW + 48 * HOUR, **WHO)
    runtime.fire_timer(process.id, "t", **WHO)
    assert path_of(runtime, process.id) == ["A", "A"]
    assert dues(runtime, process) == {"t": due}


def test_each_missed_time_is_owed_once_though_its_action_and_then_its_condition_fail(bench: Bench) -> None:
    """The walk that is kept began at an earlier time: from there the same time would be owed again and again."""
    asked: list[timedelta] = []

    def ready(ctx: Any, parameter: str | None) -> bool:
        asked.append(bench.clock.now() - NOW)
        if 1 < len(asked) <= 2 * LONGEST:
            raise ValueError("not yet")
        return True

    scheme = text('{cron: "0 * * * *", missed: fire_all}', "{from: A, to: B, on: {timer: t}, when: {action: Ready}}", b="{actions: [Fail]}")
    runtime = bench(scheme, conditions={"Ready": ready})
    process = runtime.create_instance("S")
    runtime.shutdown()
    bench.clock.advance(3.5 * HOUR)
    runtime.start()
    assert len(asked) == 3
    assert dues(runtime, process) == {"t": 4 * HOUR}
