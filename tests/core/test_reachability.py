"""What the graph of a scheme tells before any process runs."""

from __future__ import annotations

from typing import Any

import pytest
from little_schemes import END, HERE, OTHERWISE, START, asks, clock, codes, only, scheme, way, when

from workflow_runtime.core.problems import problems
from workflow_runtime.core.reachability import quiet_timers
from workflow_runtime.core.scheme_elements import ActionRef, Activity, Condition, ExceptionHandler, Fork, Recovery, Restriction, Timeout
from workflow_runtime.core.scheme_words import ConditionType, ReactionType, RecoveryKind, RestrictionType, TimerType
from workflow_runtime.errors import Problem

FINISH = way("Start", "End", command="finish")


def graph(*parts: object, **more: object) -> list[str]:
    return codes(problems(scheme(*parts, **more)))  # type: ignore[arg-type]


# Ways in and out


def test_a_sound_scheme_has_no_problems() -> None:
    assert graph(START, END, FINISH) == []


def test_an_activity_that_nothing_leads_to() -> None:
    found = problems(scheme(START, END, Activity(name="Lost", place=HERE), FINISH, way("Lost", "End", command="finish")))
    lost = only(found, "unreachable_activity")
    assert (lost.severity, lost.line, lost.column) == ("warning", 7, 3)
    assert "'Lost'" in lost.message
    assert len(found) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"name": "Lost", "is_for_set_state": True},
        {"name": "Lost", "recovery": Recovery(kind=RecoveryKind.ACTIVITY, activity="Lost")},
    ],
    ids=["set_state", "recovery"],
)
def test_an_entry_point_is_reached_without_a_transition(more: dict[str, object]) -> None:
    assert graph(START, END, Activity(**more), FINISH, way("Lost", "End", command="finish")) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["Lost", "LostState"])
def test_reactions_lead_somewhere_too(target: str) -> None:
    kind = ReactionType.SET_ACTIVITY if target == "Lost" else ReactionType.SET_STATE
    handler = ExceptionHandler(order=1, type=kind, exceptions=("*",), target=target)
    start = Activity(name="Start", is_initial=True, handlers=(handler,))
    lost = Activity(name="Lost", state="LostState")
    assert graph(start, END, lost, FINISH, way("Lost", "End", command="finish")) == []


def test_an_idle_timeout_is_a_way_out() -> None:
    waiting = Activity(name="Waiting", idle_timeout=Timeout(type=ReactionType.SET_ACTIVITY, timer="2d", target="End"))
    assert "dead_end" not in graph(START, END, waiting, way("Start", "Waiting", command="finish"))


def test_without_an_initial_activity_nothing_is_called_unreachable() -> None:
    assert graph("Start", END, FINISH) == ["no_initial"]


def test_a_dead_end_is_told_once() -> None:
    found = problems(scheme(START, END, "A", "Stuck", FINISH, way("Start", "Stuck", command="lose")))
    assert codes(found) == ["unreachable_activity", "dead_end", "dead_end"]
    assert {problem.severity for problem in found} == {"warning"}


def test_no_path_to_a_final_activity() -> None:
    found = problems(scheme(START, END, "A", "B", FINISH, way("Start", "A", command="trap"), way("A", "B", command="there"), way("B", "A", command="back")))
    assert codes(found) == ["no_path_to_final", "no_path_to_final"]
    assert "'A'" in found[0].message


def test_a_scheme_without_final_activities_has_one_warning_for_that() -> None:
    found = problems(scheme(START, "A", way("Start", "A", command="there"), way("A", "Start", command="back")))
    assert [(problem.code, problem.severity) for problem in found] == [("no_final_activity", "warning")]


def test_a_final_activity_with_an_automatic_exit() -> None:
    found = problems(scheme(START, END, FINISH, way("End", "Start")))
    assert [(problem.code, problem.severity) for problem in found] == [("final_with_exit", "warning")]


def test_a_command_may_leave_a_final_activity() -> None:
    assert graph(START, END, FINISH, way("End", "Start", command="reopen")) == []


def test_conditional_exits_only() -> None:
    found = problems(scheme(START, END, way("Start", "End", conditions=asks("ready"))))
    assert [(problem.code, problem.severity) for problem in found] == [("no_way_on", "warning")]


@pytest.mark.parametrize(
    "other",
    [
        (way("Start", "End", "b", conditions=OTHERWISE),),
        (way("Start", "End", "b"),),
        (way("Start", "End", "b", command="go"),),
        (way("Start", "End", "b", timer="late"), clock("late")),
    ],
    ids=["otherwise", "always", "command", "timer"],
)
def test_conditional_exits_with_another_way_on(other: tuple[object, ...]) -> None:
    assert graph(START, END, way("Start", "End", "a", conditions=asks("ready")), *other) == []


# The choice


def test_the_second_automatic_transition_without_condition_is_never_taken() -> None:
    found = problems(scheme(START, END, way("Start", "End", "first"), way("Start", "End", "second")))
    second = only(found, "never_taken")
    assert second.severity == "error"
    assert "'second' is never taken: 'first'" in second.message


def test_a_condition_behind_an_unconditional_transition_is_a_warning() -> None:
    found = problems(scheme(START, END, way("Start", "End", "first"), way("Start", "End", "second", conditions=asks("ready"))))
    assert [(problem.code, problem.severity) for problem in found] == [("never_taken", "warning")]


def test_document_order_counts() -> None:
    assert graph(START, END, way("Start", "End", "first", conditions=asks("ready")), way("Start", "End", "second")) == []


def test_the_second_otherwise_is_never_taken() -> None:
    ways = (way("Start", "End", name, conditions=OTHERWISE) for name in ("b", "c"))
    assert graph(START, END, *ways, way("Start", "End", "a", conditions=asks("ready"))) == ["never_taken"]


def test_two_commands_of_one_name() -> None:
    found = problems(scheme(START, END, way("Start", "End", "first", command="go"), way("Start", "End", "second", command="go")))
    assert [(problem.code, problem.severity) for problem in found] == [("never_taken", "warning")]


def test_rights_decide_between_commands_of_one_name() -> None:
    manager = (Restriction(type=RestrictionType.ALLOW, actor="Manager"),)
    ways = way("Start", "End", "first", command="go", restrictions=manager), way("Start", "End", "second", command="go")
    assert graph(START, END, *ways) == []


def test_rights_do_not_matter_where_nobody_commands() -> None:
    manager = (Restriction(type=RestrictionType.ALLOW, actor="Manager"),)
    assert graph(START, END, way("Start", "End", "first", restrictions=manager), way("Start", "End", "second")) == ["never_taken"]


def test_different_triggers_do_not_compete() -> None:
    assert graph(START, END, clock("late"), way("Start", "End", "a", command="go"), way("Start", "End", "b", timer="late")) == []


def test_forks_do_not_compete() -> None:
    assert "never_taken" not in graph(START, END, way("Start", "End", "a"), way("Start", "End", "b", fork=Fork()))


def test_otherwise_to_nothing() -> None:
    found = problems(scheme(START, END, way("Start", "End", command="go", conditions=OTHERWISE)))
    assert [(problem.code, problem.severity) for problem in found] == [("otherwise_alone", "warning")]


def test_otherwise_to_another_trigger_is_otherwise_to_nothing() -> None:
    ways = way("Start", "End", "a", command="go", conditions=OTHERWISE), way("Start", "End", "b", command="stop", conditions=when("1 = 1"))
    assert graph(START, END, *ways) == ["otherwise_alone"]


POLL = way("Start", "Start", "again", timer="poll", conditions=OTHERWISE)


@pytest.mark.parametrize("value", ["10s", "0"])
def test_the_polling_idiom(value: str) -> None:
    ways = (way("Start", "End", name, conditions=asks(name)) for name in ("ready", "failed"))
    assert graph(START, END, clock("poll", value), POLL, *ways) == []


def test_polling_for_nothing() -> None:
    assert graph(START, END, clock("poll"), POLL, way("Start", "End", command="go")) == ["otherwise_alone"]


# Loops


def loops(*parts: object) -> list[Problem]:
    return [problem for problem in problems(scheme(START, END, *parts)) if problem.code == "automatic_loop"]  # type: ignore[arg-type]


def test_a_ring_of_automatic_transitions_cannot_rest() -> None:
    (loop,) = loops("A", "B", way("Start", "A"), way("A", "B"), way("B", "A"))
    assert loop.severity == "error"
    assert "'A' -> 'B' -> 'A'" in loop.message


def test_an_automatic_transition_to_itself_cannot_rest() -> None:
    (loop,) = loops(way("Start", "Start"))
    assert "'Start' -> 'Start'" in loop.message


def test_each_ring_is_told_once() -> None:
    rings = loops("A", "B", "C", "D", way("Start", "A"), way("A", "B"), way("B", "A"), way("C", "D"), way("D", "C"))
    assert len(rings) == 2


@pytest.mark.parametrize("value", ["0", " 0 "])
def test_a_timer_at_once_counts_as_automatic(value: str) -> None:
    assert loops("A", clock("now", value), way("Start", "A"), way("A", "Start", timer="now"))


@pytest.mark.parametrize("kind", [TimerType.INTERVAL, TimerType.EXPRESSION])
def test_at_once_holds_for_every_type(kind: TimerType) -> None:
    assert loops(clock("now", "0", kind), way("Start", "Start", timer="now"))


@pytest.mark.parametrize("value", ["1s", "-1", "1"])
def test_a_timer_that_waits_lets_a_process_rest(value: str) -> None:
    assert not loops("A", clock("later", value), way("Start", "A"), way("A", "Start", timer="later"))


def test_a_command_lets_a_process_rest() -> None:
    assert not loops("A", way("Start", "A"), way("A", "Start", command="again"))


def test_a_conditional_ring_is_left_to_the_loop_guard() -> None:
    assert not loops("A", way("Start", "A", conditions=asks("more")), way("A", "Start"), way("Start", "End", "done", conditions=OTHERWISE))


def test_a_condition_that_is_tried_first_may_lead_out() -> None:
    assert not loops("A", way("Start", "End", conditions=asks("done")), way("Start", "A"), way("A", "Start"))


def test_a_condition_that_is_never_tried_leads_nowhere() -> None:
    assert loops("A", way("Start", "A"), way("Start", "End", conditions=asks("done")), way("A", "Start"))


def test_otherwise_to_nothing_holds_always() -> None:
    assert loops("A", way("Start", "A", conditions=OTHERWISE), way("A", "Start"))


def test_an_automatic_transition_goes_before_a_timer_at_once() -> None:
    assert not loops("A", clock("now", "0"), way("Start", "End"), way("Start", "A", timer="now"), way("A", "Start"))


def test_a_fork_moves_nobody() -> None:
    assert not loops("A", way("Start", "A", fork=Fork()), way("A", "Start"))


def test_a_long_ring_makes_a_short_message() -> None:
    names = [f"Activity {number}" for number in range(1_000)]
    ring = [way(one, other) for one, other in zip(names, [*names[1:], names[0]], strict=True)]
    (loop,) = loops(*names, *ring)
    assert len(loop.message) < 500


def test_an_empty_tuple_of_conditions_breaks_no_check() -> None:
    found = problems(scheme(START, END, way("Start", "End", conditions=())))
    assert "condition_mix" in codes(found, "error")


def test_a_mix_with_otherwise_does_not_hide_the_graph() -> None:
    mixed = (Condition(), Condition(type=ConditionType.OTHERWISE))
    assert codes(problems(scheme(START, END, way("Start", "End", conditions=mixed))), "error") == ["condition_mix"]


# Timers behind which nothing is run


ACTING = Activity(name="Acting", implementation=(ActionRef(name="Note"),))


@pytest.mark.parametrize(
    ("parts", "quiet"),
    [
        ([way("Start", "End", timer="bell")], {"bell"}),
        ([way("Start", "Acting", timer="bell")], set()),
        ([way("Start", "One", timer="bell"), way("One", "Two"), way("Two", "Acting")], set()),
        ([way("Start", "One", timer="bell"), way("One", "Acting", conditions=when("1 > 2"))], set()),
        ([way("Start", "One", timer="bell"), way("One", "Acting", command="go")], {"bell"}),
        ([way("Start", "One", timer="bell"), way("One", "Acting", timer="later")], {"bell"}),
        ([way("Start", "One", timer="bell"), way("One", "Acting", timer="at once")], set()),
        ([way("Start", "End", timer="bell"), way("One", "Acting", timer="bell")], set()),
        ([way("Acting", "End", timer="bell")], {"bell"}),
        ([Activity(name="Idle", idle_timeout=Timeout(timer="1h", type=ReactionType.SET_ACTIVITY, target="One"))], {"idle timeout"}),
        ([Activity(name="Idle", idle_timeout=Timeout(timer="1h", type=ReactionType.SET_ACTIVITY, target="Acting"))], set()),
        ([Activity(name="Idle", idle_timeout=Timeout(timer="1h", type=ReactionType.SET_STATE, target="Nowhere"))], {"idle timeout"}),
    ],
    ids=str,
)
def test_timers_behind_which_no_action_is_run_before_the_next_rest(parts: list[Any], quiet: set[str]) -> None:
    timers = (clock("bell"), clock("later"), clock("at once", value="0"))
    assert quiet_timers(scheme(START, END, ACTING, "One", "Two", *timers, *parts)) == quiet
