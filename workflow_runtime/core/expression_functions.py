"""The functions of the condition language: a fixed table, no function comes from a scheme or a plugin.

The law: every function is bounded in time and in the size of its result, looks at its arguments only,
and refuses what is not of the kind it expects. Names are known in any case.

    Length(x)  len(x)              of a text, a list or a dictionary
    ToLower(t) lower(t)            ToUpper(t) upper(t)      Trim(t)
    Contains(x, y)                 y in x: item in a list, text in a text
    StartsWith(t, u)               EndsWith(t, u)
    min(x, ...)  max(x, ...)       of arguments of one kind, or of one list
    abs(n)  round(n)  round(n, d)  half away from zero, d from 0 to 12
    AddDays(when, n)               AddHours, AddMinutes, AddSeconds; n may be a fraction
    IsNull(x)  Coalesce(x, y ...)  the first that is not null; all arguments are evaluated
    now()                          the instant that the evaluation was given
    has(Name.path)                 is it there? (null is there); takes a name and does not evaluate it
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from workflow_runtime.core.expression_values import EXACT, OPERATORS, Kind, add, clash, contains, exact, is_number, kind, number, out_of_range, rounded
from workflow_runtime.errors import EvaluationError

__all__ = ["FUNCTIONS", "LONGEST_TEXT", "Function", "like"]

LONGEST_TEXT = 1 << 20  #: characters of a text that a function makes
MOST_ARGUMENTS = 16
_ROUNDED = 12  #: decimals at most


class Function(NamedTuple):
    name: str  #: as messages and hints spell it
    least: int
    most: int
    call: Callable[..., Any] | None  #: None: a form of the language, which core/expression.py compiles


def like(name: str) -> str:
    """A question for a message: the function that was probably meant, else empty."""
    near = difflib.get_close_matches(name.lower(), FUNCTIONS, n=1)
    return f"; did you mean {FUNCTIONS[near[0]].name}?" if near else ""


def _length(value: Any) -> int:
    if kind(value) not in (Kind.TEXT, Kind.LIST, Kind.MAPPING):
        raise clash("Length", value)
    return len(value)


def _of_texts(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        if any(kind(value) is not Kind.TEXT for value in values):
            raise clash(name, *values)
        if any(len(value) > LONGEST_TEXT for value in values):
            raise EvaluationError(f"{name} is for texts of at most {LONGEST_TEXT} characters", code="too_long")
        return call(*values)

    return apply


def _extreme(name: str, sign: str) -> Callable[..., Any]:
    better = OPERATORS[sign]

    def choose(*values: Any) -> Any:
        items = list(values[0]) if len(values) == 1 and kind(values[0]) is Kind.LIST else list(values)
        if not items:
            raise EvaluationError(f"{name} of an empty list is nothing; test Length(...) > 0 before", code="empty_list")
        best = items[0]
        for item in items:
            best = item if better(item, best) else best
        return best

    return choose


def _absolute(value: Any) -> Any:
    if not is_number(value):
        raise clash("abs", value)
    return value.copy_abs() if isinstance(number(value), Decimal) else number(abs(value))


def _rounded(value: Any, digits: Any = 0) -> Any:
    if not is_number(value) or not is_number(digits):
        raise clash("round", value, digits)
    if digits not in range(_ROUNDED + 1):
        raise EvaluationError(f"round takes 0 to {_ROUNDED} decimals", code="number_out_of_range")
    if isinstance(number(value), int):
        return value
    result = rounded(value, int(digits))
    return float(result) if isinstance(value, float) else result


def _adder(name: str, unit: timedelta) -> Callable[..., Any]:
    microseconds = unit // timedelta(microseconds=1)

    def shift(moment: Any, amount: Any) -> Any:
        if kind(moment) not in (Kind.MOMENT, Kind.NAIVE) or not is_number(amount):
            raise clash(name, moment, amount)
        if not -(10**12) < number(amount) < 10**12:
            raise out_of_range()
        try:
            return add(moment, timedelta(microseconds=int(EXACT.multiply(exact(amount), Decimal(microseconds)))))
        except OverflowError:
            raise out_of_range() from None

    return shift


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


_TABLE = (
    Function("Length", 1, 1, _length),
    Function("len", 1, 1, _length),
    Function("ToLower", 1, 1, _of_texts("ToLower", str.lower)),
    Function("lower", 1, 1, _of_texts("lower", str.lower)),
    Function("ToUpper", 1, 1, _of_texts("ToUpper", str.upper)),
    Function("upper", 1, 1, _of_texts("upper", str.upper)),
    Function("Trim", 1, 1, _of_texts("Trim", str.strip)),
    Function("Contains", 2, 2, lambda whole, item: contains(item, whole)),
    Function("StartsWith", 2, 2, _of_texts("StartsWith", str.startswith)),
    Function("EndsWith", 2, 2, _of_texts("EndsWith", str.endswith)),
    Function("min", 1, MOST_ARGUMENTS, _extreme("min", "<")),
    Function("max", 1, MOST_ARGUMENTS, _extreme("max", ">")),
    Function("abs", 1, 1, _absolute),
    Function("round", 1, 2, _rounded),
    Function("AddDays", 2, 2, _adder("AddDays", timedelta(days=1))),
    Function("AddHours", 2, 2, _adder("AddHours", timedelta(hours=1))),
    Function("AddMinutes", 2, 2, _adder("AddMinutes", timedelta(minutes=1))),
    Function("AddSeconds", 2, 2, _adder("AddSeconds", timedelta(seconds=1))),
    Function("IsNull", 1, 1, lambda value: value is None),
    Function("Coalesce", 2, MOST_ARGUMENTS, _coalesce),
    Function("now", 0, 0, None),
    Function("has", 1, 1, None),
)
FUNCTIONS: Mapping[str, Function] = {function.name.lower(): function for function in _TABLE}
