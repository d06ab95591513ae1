"""SetParameter, RemoveParameter, CheckParameter: what their values mean and how they compare."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from interrupted import context

from workflow_runtime.core.parameters import View
from workflow_runtime.errors import EvaluationError, ExpressionError, ParameterError
from workflow_runtime.plugins.basic_actions import COMPARISONS, check_parameter, remove_parameter, set_parameter


def put(name: str, value: Any, **parameters: Any) -> Any:
    ctx = context(**parameters)
    set_parameter(ctx, json.dumps({"ParameterName": name, "Value": value}))
    return ctx.parameters[name]


def check(parameters: dict[str, Any], compare: str, value: Any, name: str = "X", **more: Any) -> bool:
    return bool(check_parameter(context(**parameters), json.dumps({"ParameterName": name, "Value": value, "CompareType": compare, **more})))


@pytest.mark.parametrize("value", [5, 1.5, True, None, [1, "=2"], {"a": "=b"}])
def test_what_is_no_text_is_taken_as_it_is(value: Any) -> None:
    assert put("X", value) == value
    assert type(put("X", value)) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("= Amount", Decimal(5)), ("=Amount * 2", Decimal(10)), ("='a' = 'b'", False), ("=Length(Labels)", 2), ('="=x"', "=x"), ("=null", None)],
)
def test_an_equals_sign_makes_an_expression(text: str, value: Any) -> None:
    assert put("X", text, Amount=Decimal(5), Labels=["a", "b"]) == value


@pytest.mark.parametrize(
    ("text", "value"), [("@Amount + 1", 6), ("5 + 1", 6), ("Amount > 3", True), ("Max(Amount, 9)", 9), ("Amount > 3 and Amount < 4", False)]
)
def test_a_calculation_needs_no_equals_sign(text: str, value: Any) -> None:
    assert put("X", text, Amount=5) == value


@pytest.mark.parametrize(
    "text", ["trial", "Amount", "2031-12-24", "555-1234", "rock and roll", "a - b", "see Amount (5)", "Amount in words", "", " ", "f(x)", "'x"]
)
def test_other_text_stays_text(text: str) -> None:
    assert put("X", text, Amount=5) == text


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("true", True), ('"5"', "5"), ("[1, 2]", [1, 2]), ("01234", "01234")])
def test_undeclared_text_is_read_like_an_initial_value(text: str, value: Any) -> None:
    assert put("X", text) == value


def test_declared_types_decide_what_text_means() -> None:
    assert put("Note", "5 + 1") == "5 + 1"
    assert put("Note", "5") == "5"
    assert put("Note", "=5 + 1") == 6, "the type is checked when the action ends, as for any action"
    assert put("Price", "0.10") == Decimal("0.10")
    assert put("Due", "2031-12-24T00:00:00Z") == datetime(2031, 12, 24, tzinfo=UTC)
    with pytest.raises(ParameterError):
        put("Due", "soon")


def test_a_broken_expression_is_an_error() -> None:
    with pytest.raises(ExpressionError):
        put("X", "=1 +")
    with pytest.raises(EvaluationError, match="there is no parameter 'Amount'"):
        put("X", "=Amount")


def test_remove_takes_the_value_away_and_minds_none() -> None:
    ctx = context(X=1, Y=2)
    for _ in range(2):
        remove_parameter(ctx, '{"ParameterName": "X"}')
    assert ctx.parameters == {"Y": 2}


@pytest.mark.parametrize(
    ("found", "compare", "wanted", "holds"),
    [
        ("trial", "Equal", "trial", True),
        ("trial", "NotEqual", "trial", False),
        ("5", "Equal", "5", True),
        (5, "Equal", "5", True),
        (Decimal("0.10"), "Equal", "0.1", True),
        (5, "GreaterOrEqual", 5, True),
        (5, "Greater", "4.5", True),
        (5, "Less", "5", False),
        (5, "LessOrEqual", "5", True),
        (True, "Equal", "true", True),
        (datetime(2031, 1, 1, tzinfo=UTC), "Less", "2031-01-02T00:00:00Z", True),
        (timedelta(hours=2), "Greater", "PT1H", True),
        (UUID(int=7), "Equal", str(UUID(int=7)), True),
        (None, "Equal", None, True),
        (None, "Equal", "trial", False),
        (None, "NotEqual", "trial", True),
        ("a trial", "Contains", "trial", True),
        (["a", "b"], "Contains", "b", True),
        (["a", "b"], "Contains", "c", False),
    ],
)
def test_a_parameter_is_compared_by_its_own_kind(found: Any, compare: str, wanted: Any, holds: bool) -> None:
    assert check({"X": found} if found is not None else {}, compare, wanted) is holds


def test_every_comparison_is_tested_above() -> None:
    assert set(COMPARISONS) == {"Equal", "NotEqual", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Contains"}


@pytest.mark.parametrize(("found", "compare", "wanted"), [(None, "Greater", "5"), ("a", "Less", 5), (5, "Equal", "five"), (5, "Contains", "5")])
def test_a_question_that_cannot_be_answered_is_an_error(found: Any, compare: str, wanted: Any) -> None:
    with pytest.raises(EvaluationError):
        check({"X": found}, compare, wanted)


@pytest.mark.parametrize(("compare", "holds"), [("Equal", True), ("NotEqual", False)])
def test_a_separator_makes_alternatives(compare: str, holds: bool) -> None:
    assert check({"X": "b"}, compare, "a; b", Separator=";") is holds
    assert check({"X": "c"}, compare, "a; b", Separator=";") is not holds
    assert check({"X": "a; b"}, compare, "a; b") is holds


def test_a_part_of_a_parameter_can_be_compared() -> None:
    order = {"Order": {"Customer": {"Tier": "gold"}}}
    assert check(order, "Equal", "gold", "Order.Customer.Tier")
    assert check(order, "Equal", None, "Order.Customer.Name.First")
    assert check({"a.b": 1, "a": {"b": 2}}, "Equal", 1, "a.b"), "a whole name counts first"


def test_a_condition_sees_system_parameters_as_the_engine_shows_them() -> None:
    ctx = context(X=1)
    ctx.parameters = View(ctx.process, None)
    wanted = {"CurrentActivity": "Begin", "X": "1", "Unknown": None}
    assert all(check_parameter(ctx, json.dumps({"ParameterName": name, "Value": value, "CompareType": "Equal"})) for name, value in wanted.items())


def test_the_other_spelling_of_the_name_is_known() -> None:
    assert check_parameter(context(X=1), '{"Parameter": "X", "Value": "1", "CompareType": "Equal"}')


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (None, "lacks the key 'ParameterName'; it needs ParameterName, Value"),
        ('{"ParameterName": "X"}', "lacks the key 'Value'"),
        ('{"ParameterName": "X", "Valu": 1}', "does not know the key 'Valu'; did you mean 'Value'"),
        ('{"ParameterName": "", "Value": 1}', "needs a name as ParameterName, found ''"),
        ("[1]", r"takes a JSON object, found \[1\]"),
        ("X = 1", "not JSON"),
    ],
)
def test_a_wrong_parameter_is_told(parameter: str | None, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        set_parameter(context(), parameter)


def test_an_unknown_comparison_is_told_with_the_known_ones() -> None:
    with pytest.raises(ParameterError, match="the CompareType 'Like'; expected one of Equal, NotEqual"):
        check({"X": 1}, "Like", "1")


def test_the_root_of_a_subprocess_is_refused_by_this_release() -> None:
    ctx = context(X=1)
    set_parameter(ctx, '{"ParameterName": "X", "Value": 2, "ForRootProcess": true}')
    assert ctx.parameters == {"X": 2}, "a process without a parent is its own root"
    ctx.process = replace(ctx.process, root_id=UUID(int=8))
    with pytest.raises(ParameterError, match="ForRootProcess of a subprocess is not executed by this release"):
        remove_parameter(ctx, '{"ParameterName": "X", "ForRootProcess": "true"}')
