"""What is wrong with a scheme: conditions, expressions, timers, initial and default values."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from little_schemes import END, HERE, OTHERWISE, START, asks, check, clock, codes, only, scheme, way, when

from workflow_runtime.core.problems import problems
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, Command, CommandInput, Condition, ParameterSpec, TimerSpec
from workflow_runtime.core.scheme_words import ConditionType, Missed, Purpose, TimerType
from workflow_runtime.errors import Problem, TimerValueError

AMOUNT = ParameterSpec(name="Amount", type="decimal", purpose=Purpose.PERSISTENCE)
ALWAYS = (Condition(),)


def conditioned(*conditions: Condition) -> tuple[Problem, ...]:
    return problems(scheme(START, END, way("Start", "End", command="go", conditions=conditions, place=HERE)))


def expressed(source: str, *parameters: str, external: bool = False) -> tuple[Problem, ...]:
    ways = way("Start", "End", command="go", conditions=when(source)), way("Start", "End", "other", command="go", conditions=OTHERWISE)
    declared = tuple(ParameterSpec(name=name) for name in parameters)
    made = scheme(START, END, *ways, clock("remind"), way("Start", "Start", timer="remind"), parameters=declared)
    return problems(made, external_parameters=external)


# Conditions


@pytest.mark.parametrize("mix", [(*ALWAYS, *ALWAYS), (*ALWAYS, *asks("ready")), (*when("1 = 1"), *ALWAYS), (*asks("ready"), *OTHERWISE), ()])
def test_conditions_that_do_not_go_together(mix: tuple[Condition, ...]) -> None:
    problem = only(conditioned(*mix), "condition_mix")
    assert (problem.severity, problem.line) == ("error", 7)


@pytest.mark.parametrize("mix", [ALWAYS, asks("a", "b"), (*asks("a"), *when("1 = 1"))])
def test_conditions_that_go_together(mix: tuple[Condition, ...]) -> None:
    assert conditioned(*mix) == ()


# Expressions


@pytest.mark.parametrize(
    "source",
    ["@Amount > 3", "Amount > 3", "@Amount.Tax > 3", "@CurrentState = 'x' and @IdentityId <> ''", "@TimerValue_remind = '0'", "has(Amount)", "1 = 1"],
)
def test_known_names(source: str) -> None:
    assert expressed(source, "Amount") == ()


@pytest.mark.parametrize("source", ["@Order.Customer.Tier = 'gold'", "@Order = null"])
def test_names_that_begin_a_dotted_parameter(source: str) -> None:
    assert expressed(source, "Order.Customer.Tier") == ()


@pytest.mark.parametrize("name", ["area:name", "Größe", "due date"])
def test_names_that_are_no_identifiers(name: str) -> None:
    assert expressed(f"@{name} = 1", name) == ()


def test_a_name_in_another_unicode_form() -> None:
    assert expressed("@Pru\u0308fer = 'x'", "Prüfer") == ()


def test_an_unknown_name() -> None:
    problem = only(expressed("@Amuont > 3", "Amount"), "unknown_name")
    assert (problem.severity, problem.suggestion) == ("error", "Amount")
    assert "transition 'Start_End' uses 'Amuont'" in problem.message


def test_unknown_names_are_all_told() -> None:
    assert codes(expressed("@A > 3 or @B > 3")) == ["unknown_name", "unknown_name"]


def test_the_value_of_a_timer_that_does_not_exist() -> None:
    assert only(expressed("@TimerValue_remnid = '0'"), "unknown_name").suggestion == "TimerValue_remind"


def test_external_parameters_may_have_any_name() -> None:
    assert expressed("@Anything > 3", external=True) == ()


@pytest.mark.parametrize("source", ["", "@Amount >", "().__class__", "9 ** 9", "@Due.AddDays(3) > 1"])
@pytest.mark.parametrize("external", [False, True])
def test_what_is_no_expression(source: str, external: bool) -> None:
    found = [problem for problem in expressed(source, "Amount", "Due", external=external) if problem.code != "unknown_name"]
    assert [problem.severity for problem in found] == ["error"]
    assert found[0].message.startswith("the condition of transition 'Start_End': ")


# Timers


def timed(*timers: TimerSpec, **more: object) -> tuple[Problem, ...]:
    ways = (way("Start", "End", f"by {timer.name}", timer=timer.name) for timer in timers)
    return problems(scheme(START, END, *ways, *timers, parameters=(AMOUNT, ParameterSpec(name="Due", type="datetime"))), **more)  # type: ignore[arg-type]


def test_a_timer_that_nobody_uses() -> None:
    found = check(clock("remind", place=HERE))
    assert [(problem.code, problem.severity, problem.line) for problem in found] == [("unused_timer", "warning", 7)]


@pytest.mark.parametrize("value", ["-1s", "0s", "1e400s", "P1000000Y", "99:99:99", "", "tomorrow"])
def test_bad_intervals(value: str) -> None:
    problem = only(timed(clock("t", value, place=HERE)), "bad_interval")
    assert (problem.severity, problem.line) == ("error", 7)
    assert problem.message.startswith("timer 't': ")


@pytest.mark.parametrize("value", ["0", "-1", "1d 12h", "90000"])
def test_good_intervals(value: str) -> None:
    assert timed(clock("t", value)) == ()


def test_an_interval_under_time_is_a_warning() -> None:
    assert [(problem.code, problem.severity) for problem in timed(clock("t", "1m", TimerType.TIME))] == [("interval_as_time", "warning")]


def test_an_unknown_time_zone_and_a_policy_that_does_not_fit() -> None:
    assert codes(timed(clock("t", "09:00:00", TimerType.TIME, time_zone="Mars/Olympus"))) == ["bad_zone"]
    assert codes(timed(clock("t", missed=Missed.FIRE_ALL))) == ["bad_missed"]


def test_the_expression_of_a_timer() -> None:
    assert timed(clock("t", "@Due", TimerType.EXPRESSION)) == ()
    assert timed(clock("t", "2031-12-24", TimerType.EXPRESSION)) == ()
    assert only(timed(clock("t", "@Deu", TimerType.EXPRESSION)), "unknown_name").suggestion == "Due"
    assert timed(clock("t", "@Deu", TimerType.EXPRESSION), external_parameters=True) == ()
    assert codes(timed(clock("t", "@Due ** 2", TimerType.EXPRESSION)), "error") == ["operator_forbidden"]


def no_such_day(expression: str, zone: str, after: datetime) -> datetime | None:
    if expression == "nonsense":
        raise TimerValueError("five fields expected", code="bad_cron")
    return None if expression == "0 0 31 2 *" else datetime(2031, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "expected"), [("0 9 * * 1-5", []), ("0 0 31 2 *", ["never_fires"]), ("nonsense", ["bad_cron"])], ids=["good", "never", "nonsense"]
)
def test_cron_patterns(pattern: str, expected: list[str]) -> None:
    assert codes(timed(clock("t", pattern, TimerType.CRON), cron=no_such_day), "error") == expected


def test_without_a_reader_cron_patterns_are_taken_on_trust() -> None:
    assert timed(clock("t", "nonsense", TimerType.CRON)) == ()


def test_working_time_is_not_a_bad_value() -> None:
    assert timed(clock("t", "2wd")) == ()


# Parameters and inputs


@pytest.mark.parametrize(
    ("kind", "initial"), [("int", "3"), ("decimal", '"0.10"'), ("string", ""), ("string", "3"), ("list[string]", '["a"]'), ("any", "text"), ("bool", None)]
)
def test_initial_values_that_fit(kind: str, initial: str | None) -> None:
    assert check(parameters=(ParameterSpec(name="P", type=kind, initial=initial),)) == ()


@pytest.mark.parametrize(("kind", "initial"), [("int", "three"), ("int", "3.5"), ("bool", '"true"'), ("list[int]", '["a"]'), ("uuid", "1"), ("int", "")])
def test_initial_values_that_do_not_fit(kind: str, initial: str) -> None:
    problem = only(check(parameters=(ParameterSpec(name="P", type=kind, initial=initial, place=HERE),)), "wrong_type")
    assert (problem.severity, problem.line) == ("error", 7)
    assert problem.message.startswith("the initial value of parameter 'P': ")


@pytest.mark.parametrize("kind", ["Int32", "nonsense", "list[nonsense]", ""])
def test_types_that_are_not_ours(kind: str) -> None:
    assert codes(check(parameters=(ParameterSpec(name="P", type=kind, initial="3"),))) == ["unknown_type"]


def test_the_name_of_a_system_parameter() -> None:
    found = check(parameters=(ParameterSpec(name="CurrentState"),))
    assert [(problem.code, problem.severity) for problem in found] == [("system_name", "warning")]


@pytest.mark.parametrize(("default", "expected"), [("3", []), (None, []), ("many", ["wrong_type"])])
def test_defaults_of_inputs(default: str | None, expected: list[str]) -> None:
    given = CommandInput(name="amount", parameter="Amount", required=True, default=default)
    found = check(commands=(Command(name="finish", inputs=(given,)),), parameters=(AMOUNT,))
    assert codes(found) == expected


def test_a_default_for_an_undeclared_parameter_is_told_once() -> None:
    given = CommandInput(name="amount", parameter="Nothing", default="many")
    assert codes(check(commands=(Command(name="finish", inputs=(given,)),))) == ["unknown_parameter"]


def test_the_type_of_a_condition_decides_what_is_read() -> None:
    assert conditioned(Condition(type=ConditionType.ACTION, name="ready", expression="no expression at all")) == ()


def test_a_timer_value_for_a_plugin_is_a_warning_where_a_plugin_may_translate_it() -> None:
    timer = TimerSpec(name="remind", type=TimerType.INTERVAL, value="next sprint")
    scheme = Scheme(code="S", activities=(Activity(name="A", is_initial=True),), timers=(timer,))

    def severities(**options: bool) -> set[str]:
        return {p.severity for p in problems(scheme, **options) if p.code == "bad_interval"}

    assert (severities(), severities(custom_timer_values=True)) == ({"error"}, {"warning"})
