"""What is wrong with a scheme: names and references, within the scheme and to what the host registers."""

from __future__ import annotations

import pytest
from little_schemes import END, HERE, START, asks, check, codes, only, scheme, sound, way

from workflow_runtime.core.problems import Names, problems
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import (
    ActionRef,
    Activity,
    Actor,
    CodeAction,
    Command,
    CommandInput,
    Condition,
    ExceptionHandler,
    ParameterSpec,
    Recovery,
    Restriction,
    TriggerSpec,
)
from workflow_runtime.core.scheme_words import (
    CodeActionType,
    ConditionType,
    Place,
    ReactionType,
    RecoveryKind,
    RestrictionType,
    TriggerType,
)

RIGHTS = (Restriction(type=RestrictionType.ALLOW, actor="Somebody"),)


# Initial activities


def test_an_empty_scheme_cannot_begin() -> None:
    (problem,) = problems(Scheme(code="Empty", path="empty.yaml", place=Place(1, 1)))
    assert (problem.code, problem.severity, problem.path, problem.line) == ("no_initial", "error", "empty.yaml", 1)


def test_no_initial_activity() -> None:
    assert codes(problems(scheme("Start", END, way("Start", "End", command="go"))), "error") == ["no_initial"]


def test_two_initial_activities() -> None:
    problem = only(check(Activity(name="Again", is_initial=True, place=HERE), way("Again", "End", command="finish")), "several_initial")
    assert (problem.line, problem.column) == HERE
    assert "'Again' is initial, and so is 'Start'" in problem.message


# Places


def test_problems_stand_in_the_order_of_the_text() -> None:
    late, early = (Activity(name=name, place=Place(line, 5)) for name, line in (("Late", 20), ("Early", 10)))
    assert [problem.line for problem in check(late, early)] == [10, 10, 20, 20]


def test_an_element_without_a_place_is_told_at_line_zero() -> None:
    assert {(problem.line, problem.column, problem.path) for problem in check("Lost")} == {(0, 0, "")}


def test_the_place_of_the_trigger_is_more_exact_than_that_of_the_transition() -> None:
    trigger = TriggerSpec(type=TriggerType.COMMAND, name="stop", place=HERE)
    found = problems(sound(way("Start", "End", trigger=trigger, place=Place(1, 1)), commands=(Command(name="finish"),)))
    assert (only(found, "unknown_command").line, only(found, "unknown_command").column) == HERE


# Names


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0b", "abc\u202edef", "a\u2066b", "x" * 201])
def test_bad_names(name: str) -> None:
    problem = only(check(Activity(name=name)), "bad_name")
    assert problem.severity == "error"
    assert len(problem.message) < 400
    assert "\n" not in problem.message


@pytest.mark.parametrize("name", ["x" * 200, "Prüfung: Recht", "a.b", "os.system", "審査", "C++ (old)"])
def test_good_names(name: str) -> None:
    assert "bad_name" not in codes(check(Activity(name=name)))


@pytest.mark.parametrize(
    ("part", "more"),
    [
        ("Start", {}),
        (way("Start", "End", "finish", command="finish", restrictions=RIGHTS), {}),
        (None, {"commands": (Command(name="finish"), Command(name="finish"))}),
        (None, {"parameters": (ParameterSpec(name="P"), ParameterSpec(name="P"))}),
        (None, {"actors": (Actor(name="A", rule="r"), Actor(name="A", rule="r"))}),
        (None, {"commands": (Command(name="finish", inputs=(CommandInput(name="i", parameter="P"),) * 2),), "parameters": (ParameterSpec(name="P"),)}),
    ],
    ids=["activity", "transition", "command", "parameter", "actor", "input"],
)
def test_duplicate_names(part: object, more: dict[str, object]) -> None:
    parts = () if part is None else (part,)
    assert "duplicate_name" in codes(check(*parts, **more), "error")


def test_names_of_different_kinds_may_be_equal() -> None:
    assert check(parameters=(ParameterSpec(name="finish"),), actors=(Actor(name="Start", rule="r"),)) == ()


def test_names_that_are_equal_in_another_unicode_form() -> None:
    found = check(parameters=(ParameterSpec(name="Prüfer"), ParameterSpec(name="Pru\u0308fer")))
    assert "another Unicode form" in only(found, "duplicate_name").message


@pytest.mark.parametrize("other", ["days", "DAYS", "Days ", " Days"])
def test_names_that_differ_in_case_or_spaces_only(other: str) -> None:
    found = check(parameters=(ParameterSpec(name="Days"), ParameterSpec(name=other, place=HERE)))
    assert [(problem.code, problem.severity, problem.line) for problem in found] == [("similar_name", "warning", 7)]


# References within the scheme


def test_a_transition_to_a_missing_activity() -> None:
    problem = only(check(way("Start", "Edn", command="finish", restrictions=RIGHTS, place=HERE)), "unknown_activity")
    assert (problem.severity, problem.suggestion, problem.line) == ("error", "End", 7)
    assert "target of transition 'Start_Edn' names the activity 'Edn'" in problem.message


def test_a_transition_from_a_missing_activity() -> None:
    problem = only(check(way("Satrt", "End", command="finish")), "unknown_activity")
    assert problem.suggestion == "Start"
    assert "start of transition" in problem.message


def test_names_are_matched_exactly() -> None:
    assert only(check(way("start", "End", command="finish")), "unknown_activity").suggestion == "Start"


def test_a_name_like_no_other_has_no_suggestion() -> None:
    assert only(check(way("Zzzzzz", "End", command="finish")), "unknown_activity").suggestion == ""


@pytest.mark.parametrize(
    ("kind", "name", "code", "suggestion"),
    [
        (TriggerType.COMMAND, "finsh", "unknown_command", "finish"),
        (TriggerType.TIMER, "finish", "unknown_timer", ""),
        (TriggerType.COMMAND, "", "unknown_command", ""),
    ],
)
def test_triggers_that_nobody_declares(kind: TriggerType, name: str, code: str, suggestion: str) -> None:
    found = check(way("Start", "End", trigger=TriggerSpec(type=kind, name=name)), commands=(Command(name="finish"),))
    assert only(found, code).suggestion == suggestion


def test_an_input_that_fills_an_undeclared_parameter() -> None:
    command = Command(name="finish", inputs=(CommandInput(name="note", parameter="Coment", place=HERE),))
    problem = only(check(commands=(command,), parameters=(ParameterSpec(name="Comment"),)), "unknown_parameter")
    assert (problem.suggestion, problem.line) == ("Comment", 7)


NOWHERE = Recovery(kind=RecoveryKind.ACTIVITY, activity="Nowhere")


@pytest.mark.parametrize(
    "made",
    [
        sound("Anywhere", recovery=NOWHERE),
        sound(Activity(name="Anywhere", recovery=NOWHERE)),
        sound(Activity(name="Anywhere", implementation=(ActionRef(name="act", recovery=NOWHERE),))),
    ],
    ids=["scheme", "activity", "action"],
)
def test_recovery_at_an_activity_that_does_not_exist(made: Scheme) -> None:
    problem = only(problems(made), "unknown_activity")
    assert (problem.severity, problem.suggestion) == ("error", "Anywhere")


@pytest.mark.parametrize("kind", [kind for kind in RecoveryKind if kind is not RecoveryKind.ACTIVITY])
def test_other_recoveries_name_nothing(kind: RecoveryKind) -> None:
    assert check(recovery=Recovery(kind=kind)) == ()


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        (ReactionType.SET_ACTIVITY, "Endd", ["unknown_activity"]),
        (ReactionType.SET_STATE, "Closde", ["unknown_state"]),
        (ReactionType.SET_STATE, "Closed", []),
        (ReactionType.RETRY, "", []),
    ],
)
def test_targets_of_reactions(kind: ReactionType, target: str, expected: list[str]) -> None:
    handler = ExceptionHandler(order=1, type=kind, exceptions=("*",), target=target)
    start = Activity(name="Start", is_initial=True, handlers=(handler,))
    made = scheme(start, Activity(name="End", state="Closed", is_final=True), way("Start", "End", command="go"))
    assert codes(problems(made)) == expected


@pytest.mark.parametrize("actors", [(), (Actor(name="Somebody", rule="Predefined"),), (Actor(name="Somebody"),)], ids=["undeclared", "predefined", "bare"])
def test_actors_of_the_host(actors: tuple[Actor, ...]) -> None:
    made = scheme(START, END, *(way("Start", "End", name, command=name, restrictions=RIGHTS) for name in ("go", "run")), actors=actors)
    assert problems(made) == ()
    assert problems(made, Names(rules=frozenset({"Somebody"}))) == ()
    found = problems(made, Names(rules=frozenset({"Somebdy"})))
    assert [(problem.code, problem.severity, problem.suggestion) for problem in found] == [("predefined_actor", "warning", "Somebdy")]


def test_commands_and_timers_that_nobody_uses() -> None:
    found = check(commands=(Command(name="finish"), Command(name="never", place=HERE)))
    assert [(problem.code, problem.severity, problem.line) for problem in found] == [("unused_command", "warning", 7)]


# Registered names


def acting(*names: str, **more: object) -> Scheme:
    """One activity per name, each with the action of this name."""
    activities = (Activity(name=f"A{number}", is_for_set_state=True, implementation=(ActionRef(name=name),)) for number, name in enumerate(names))
    ways = (way(f"A{number}", "End", command="finish") for number, _ in enumerate(names))
    return sound(*activities, *ways, **more)


def test_without_names_nothing_registered_is_checked() -> None:
    assert problems(acting("anything")) == ()


def test_registered_names_are_fine() -> None:
    made = acting("mail", actors=(Actor(name="Boss", rule="role"), Actor(name="Guest", rule="Predefined"), Actor(name="Anybody")))
    assert problems(made, Names(actions=frozenset({"mail"}), rules=frozenset({"role"}))) == ()


@pytest.mark.parametrize("name", ["os.system", "__import__", "module:attr"])
def test_an_action_is_only_what_was_registered(name: str) -> None:
    assert codes(problems(acting(name), Names())) == ["unknown_action"]


def test_a_missing_action_is_told_once_with_all_its_uses() -> None:
    problem = only(problems(acting("SendMial", "other", "SendMial"), Names(actions=frozenset({"SendMail", "other"}))), "unknown_action")
    assert problem.suggestion == "SendMail"
    assert "activity 'A0', activity 'A2'" in problem.message


def test_letters_that_look_alike_are_told_apart() -> None:
    found = problems(acting("\u0421heckRole"), Names(actions=frozenset({"CheckRole"})))
    assert only(found, "unknown_action").suggestion == "CheckRole"


def test_missing_actions_may_be_ignored_and_conditions_not() -> None:
    made = scheme(START, END, *acting("mail").activities[2:], way("Start", "End", conditions=asks("ready")), actors=(Actor(name="Boss", rule="role"),))
    found = problems(made, Names(), ignore_missing_actions=True)
    assert [problem.code for problem in found if problem.severity == "error"] == ["unknown_condition", "unknown_rule"]
    assert only(found, "unknown_action").severity == "warning"


def test_an_action_is_no_condition() -> None:
    made = scheme(START, END, way("Start", "End", command="go", conditions=asks("mail")))
    assert codes(problems(made, Names(actions=frozenset({"mail"})))) == ["unknown_condition"]


def test_the_source_of_a_code_action_does_not_count_as_registered() -> None:
    code = CodeAction(name="mail", type=CodeActionType.ACTION, source="return;")
    unbound = CodeAction(name="nobody calls it", type=CodeActionType.ACTION)
    problem = only(problems(acting("mail", code_actions=(code, unbound)), Names()), "unknown_action")
    assert "the source that the scheme carries for it is never run" in problem.message


def test_actions_of_a_dry_run_need_not_be_registered() -> None:
    start = Activity(name="Start", is_initial=True, pre_execution=(ActionRef(name="forecast"),))
    assert problems(scheme(start, END, way("Start", "End", command="go")), Names()) == ()


@pytest.mark.parametrize("names", [None, Names()])
def test_an_action_or_condition_without_a_name(names: Names | None) -> None:
    made = scheme(START, END, way("Start", "End", command="go", conditions=(Condition(type=ConditionType.ACTION),)))
    assert codes(problems(made, names)) == ["bad_name"]
    assert codes(problems(acting(""), names)) == ["bad_name"]


def test_a_name_with_many_uses_makes_a_short_message() -> None:
    (problem,) = problems(acting(*["mail"] * 500), Names())
    assert len(problem.message) < 500


def test_of_many_mistakes_only_the_first_have_a_suggestion() -> None:
    """Looking for the nearest names of all mistakes in a large scheme would take minutes."""
    names = [f"Activity number {number}" for number in range(300)]
    wrong = (way(names[number % 300], f"Activity numbr {number}", f"t{number}", command="finish") for number in range(3_000))
    found = [problem for problem in problems(sound(*names, *wrong)) if problem.code == "unknown_activity"]
    assert len(found) == 3_000
    assert found[0].suggestion == "Activity number 0"
    assert found[-1].suggestion == ""


def test_warnings_use_up_no_suggestions() -> None:
    lost = (Activity(name=f"Lost {number}", place=Place(1, 1)) for number in range(50))
    assert only(check(*lost, way("Start", "Edn", command="finish", restrictions=RIGHTS, place=HERE)), "unknown_activity").suggestion == "End"
