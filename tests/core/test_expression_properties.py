"""The language against a Python reference, and against arbitrary text."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from workflow_runtime.core.expression import compile_expression
from workflow_runtime.errors import EvaluationError, ExpressionError, WorkflowError

NOON = datetime(2031, 12, 24, 12, tzinfo=UTC)

# A reference: trees of numbers and of truths, with what Python makes of them in exact fractions.

Reference = tuple[str, Any]


def _leaf(number: int) -> Reference:
    return (str(number), Fraction(number))


def _joined(signs: dict[str, Callable[[Any, Any], Any]]) -> Callable[[tuple[Reference, str, Reference]], Reference]:
    def join(parts: tuple[Reference, str, Reference]) -> Reference:
        (left, a), sign, (right, b) = parts
        return f"({left} {sign} {right})", signs[sign](a, b)

    return join


SUMS: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
LOGIC: dict[str, Callable[[Any, Any], Any]] = {"and": lambda a, b: a and b, "||": lambda a, b: a or b}

numbers = st.recursive(
    st.integers(-9, 9).map(_leaf) | st.sampled_from([("@Seven", Fraction(7)), ("Half", Fraction(1, 2)), ("0.25", Fraction(1, 4))]),
    lambda inner: st.tuples(inner, st.sampled_from(sorted(SUMS)), inner).map(_joined(SUMS)) | inner.map(lambda part: (f"-({part[0]})", -part[1])),
    max_leaves=8,
)
comparisons = st.tuples(numbers, st.sampled_from(sorted(COMPARISONS)), numbers).map(_joined(COMPARISONS))
truths = st.recursive(
    comparisons | st.sampled_from([("Yes", True), ("false", False)]),
    lambda inner: st.tuples(inner, st.sampled_from(sorted(LOGIC)), inner).map(_joined(LOGIC)) | inner.map(lambda part: (f"not ({part[0]})", not part[1])),
    max_leaves=6,
)


@given(numbers)
def test_arithmetic_agrees_with_exact_fractions(tree: Reference) -> None:
    source, expected = tree
    assert Fraction(compile_expression(source).evaluate({"Seven": 7, "Half": Decimal("0.5")}.__getitem__)) == expected


@given(truths)
def test_conditions_agree_with_python(tree: Reference) -> None:
    source, expected = tree
    assert compile_expression(source).evaluate_bool({"Seven": 7, "Half": Decimal("0.5"), "Yes": True}.__getitem__) is expected


OPERANDS = ["@", "a", "@a", "@a b", "Order.Total", "'x'", '"', "1", "0.5", "null", "now()", "len", "has", "é", "\\"]
SIGNS = ["and", "or", "not", "in", "!", "=", "<>", "<", "(", ")", "[", "]", ",", ".", "-", "*", "/"]
WORDS = OPERANDS + SIGNS


def _outcome(action: Callable[[], Any], expected: type[WorkflowError]) -> WorkflowError | None:
    try:
        action()
    except expected as error:
        return error
    return None


@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join) | st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
def test_no_text_raises_anything_but_its_own_errors(source: str) -> None:
    parameters = {"a": 1, "Order": {"Total": "x"}, "a b": None, "Order.Total": [1]}
    refused = _outcome(lambda: compile_expression(source, dotted_names=["a b", "Order.Total"]), ExpressionError)
    if refused is not None:
        assert 1 <= refused.column <= len(source) + 1
        return
    expression = compile_expression(source, dotted_names=["a b", "Order.Total"])
    failed = _outcome(lambda: expression.evaluate(parameters.__getitem__, now=NOON), EvaluationError)
    assert failed is None or failed.source == source


@given(st.text(max_size=80))
def test_every_text_can_be_written_as_a_constant(text: str) -> None:
    written = text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n").replace("\t", "\\t")
    try:
        expression = compile_expression(f"'{written}'")
    except ExpressionError as error:
        assume(error.code != "syntax_forbidden")
        raise
    nothing: dict[str, Any] = {}
    assert expression.evaluate(nothing.__getitem__) == text
