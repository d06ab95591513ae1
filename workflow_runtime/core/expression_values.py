"""What the operators of the condition language mean, by the kinds of their operands.

The law: kinds are never converted into one another, and nothing that cannot be decided is False.
What is not in this table is an EvaluationError ``type_clash``.

    =  <>            both of one kind; null against anything is simply unequal
    <  <=  >  >=     numbers, texts (by code point), datetimes, time spans
    in               an item in a list (compared by ``=``), a text in a text
    + - * /          numbers
    + -              datetime and time span, datetime - datetime, time span and time span

Numbers are one kind (bool is not among them). A decimal is compared with an integer exactly; a float that
meets a decimal counts as what it is written like (0.1 is 0.1). Arithmetic is decimal with 28 digits, half
away from zero; int with int stays int where it comes out even; floats remain among floats and integers.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.values import DECIMAL_DIGITS, INT_RANGE
from workflow_runtime.errors import EvaluationError

__all__ = [
    "EXACT",
    "MISSING",
    "OPERATORS",
    "Kind",
    "add",
    "clash",
    "contains",
    "exact",
    "is_number",
    "kind",
    "member",
    "negative",
    "number",
    "out_of_range",
    "positive",
    "rounded",
]

MISSING: Any = object()  #: no such key, which is not the same as null
EXACT = Context(prec=28, rounding=ROUND_HALF_UP)
_WIDE = Context(prec=2 * DECIMAL_DIGITS, rounding=ROUND_HALF_UP)  # rounding to decimals must not round the digits before the point

Number = int | float | Decimal


class Kind(StrEnum):
    NULL = "null"
    BOOLEAN = "true or false"
    NUMBER = "a number"
    TEXT = "a text"
    MOMENT = "a datetime"
    NAIVE = "a datetime without time zone"
    SPAN = "a time span"
    IDENTIFIER = "a uuid"
    BYTES = "bytes"
    LIST = "a list"
    MAPPING = "a dictionary"
    OTHER = "an object"


_KINDS: dict[type, Kind] = {
    type(None): Kind.NULL,
    bool: Kind.BOOLEAN,  # before int, whose subclass it is
    int: Kind.NUMBER,
    float: Kind.NUMBER,
    Decimal: Kind.NUMBER,
    str: Kind.TEXT,
    datetime: Kind.MOMENT,
    timedelta: Kind.SPAN,
    UUID: Kind.IDENTIFIER,
    bytes: Kind.BYTES,
    list: Kind.LIST,
    tuple: Kind.LIST,
    set: Kind.LIST,
    frozenset: Kind.LIST,
    dict: Kind.MAPPING,
    FrozenDict: Kind.MAPPING,
    Mapping: Kind.MAPPING,
}
_PLAIN = frozenset([int, str])  # the quick way: one of these on both sides
_SORTABLE = frozenset([Kind.NUMBER, Kind.TEXT, Kind.MOMENT, Kind.NAIVE, Kind.SPAN])


def kind(value: Any) -> Kind:
    found = _KINDS.get(type(value)) or next((known for base, known in _KINDS.items() if isinstance(value, base)), Kind.OTHER)
    return Kind.NAIVE if found is Kind.MOMENT and value.utcoffset() is None else found


def is_number(value: Any) -> bool:
    return kind(value) is Kind.NUMBER


def clash(what: str, *values: Any) -> EvaluationError:
    """Kinds only: a message must not carry the values of parameters into a log."""
    return EvaluationError(f"{what} cannot be applied to {' and '.join(kind(value) for value in values)}; compare and compute values of one kind")


def number(value: Number) -> Number:
    """The number itself; number_out_of_range if it is not finite, no 64-bit integer, or a decimal of more than 1,000 digits on a side."""
    if isinstance(value, int):
        fits = INT_RANGE.start <= value < INT_RANGE.stop  # ``in`` would count up to it for a subclass of int
    elif isinstance(value, float):
        fits = math.isfinite(value)
    else:
        fits = value.is_finite() and (not value or (value.adjusted() < DECIMAL_DIGITS and int(value.as_tuple().exponent) >= -DECIMAL_DIGITS))
    if not fits:
        raise out_of_range()
    return value


def out_of_range() -> EvaluationError:
    return EvaluationError("a number or time is outside the range that can be computed with (64 bits, finite)", code="number_out_of_range")


def exact(value: Number) -> Decimal:
    return Decimal(float.__repr__(value)) if isinstance(value, float) else Decimal(value)


def rounded(value: Number, decimals: int) -> Decimal:
    """Half away from zero, like all rounding here."""
    return exact(number(value)).quantize(Decimal(1).scaleb(-decimals), context=_WIDE)


def _levelled(a: Number, b: Number) -> tuple[Any, Any]:
    """Both checked, and both decimals where one is."""
    number(a)
    number(b)
    return (exact(a), exact(b)) if isinstance(a, Decimal) or isinstance(b, Decimal) else (a, b)


def _equal(a: Any, b: Any) -> bool:
    if type(a) is type(b) and type(a) in _PLAIN:
        return bool(a == b)
    if a is None or b is None:
        return a is b
    one = kind(a)
    if one is not kind(b) or one is Kind.OTHER:
        raise clash("=", a, b)
    if one is Kind.NUMBER:
        a, b = _levelled(a, b)
    try:
        return bool(a == b)
    except RecursionError:
        raise EvaluationError("the values nest too deeply to be compared", code="too_deep") from None


def _unequal(a: Any, b: Any) -> bool:
    return not _equal(a, b)


def _ordered(sign: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def decide(a: Any, b: Any) -> bool:
        if type(a) is type(b) and type(a) in _PLAIN:
            return compare(a, b)
        one = kind(a)
        if one is not kind(b) or one not in _SORTABLE:
            raise clash(sign, a, b)
        return bool(compare(*_levelled(a, b))) if one is Kind.NUMBER else bool(compare(a, b))

    return decide


def contains(item: Any, whole: Any) -> bool:
    """Item in a list, text in a text. Items of another kind are passed over, unless the whole list is of other kinds."""
    within = kind(whole)
    if within is Kind.TEXT and kind(item) is Kind.TEXT:
        return item in whole
    if within is not Kind.LIST:
        raise clash("in", item, whole)
    return _among(item, whole)


def _among(item: Any, whole: Collection[Any]) -> bool:
    mine = kind(item)
    comparable = [other for other in whole if kind(other) is mine]
    if any(_equal(item, other) for other in comparable):
        return True
    if whole and not comparable and mine is not Kind.NULL and any(other is not None for other in whole):
        raise clash("in", item, next(other for other in whole if other is not None))
    return False


def _computed(sign: str, plain: Callable[[Any, Any], Any], decimal: Callable[[Decimal, Decimal], Decimal]) -> Callable[[Any, Any], Any]:
    def compute(a: Any, b: Any) -> Any:
        if not (is_number(a) and is_number(b)):
            raise clash(sign, a, b)
        a, b = _levelled(a, b)
        try:
            return number(decimal(a, b) if isinstance(a, Decimal) else plain(a, b))
        except ArithmeticError:
            raise out_of_range() from None

    return compute


def _quotient(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        whole, rest = divmod(a, b)
        return EXACT.divide(Decimal(a), Decimal(b)) if rest else whole
    return a / b


_add = _computed("+", operator.add, EXACT.add)
_subtract = _computed("-", operator.sub, EXACT.subtract)
_divide = _computed("/", _quotient, EXACT.divide)
_multiply = _computed("*", operator.mul, EXACT.multiply)

_SUMS = frozenset([(Kind.MOMENT, Kind.SPAN), (Kind.NAIVE, Kind.SPAN), (Kind.SPAN, Kind.MOMENT), (Kind.SPAN, Kind.NAIVE), (Kind.SPAN, Kind.SPAN)])
_DIFFERENCES = frozenset([(Kind.MOMENT, Kind.MOMENT), (Kind.NAIVE, Kind.NAIVE), (Kind.MOMENT, Kind.SPAN), (Kind.NAIVE, Kind.SPAN), (Kind.SPAN, Kind.SPAN)])


def add(a: Any, b: Any) -> Any:
    return _timed(operator.add, a, b) if (kind(a), kind(b)) in _SUMS else _add(a, b)


def _subtracted(a: Any, b: Any) -> Any:
    return _timed(operator.sub, a, b) if (kind(a), kind(b)) in _DIFFERENCES else _subtract(a, b)


def _timed(compute: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    try:
        return compute(a, b)
    except OverflowError:
        raise out_of_range() from None


def _quotient_of(a: Any, b: Any) -> Any:
    if is_number(a) and is_number(b) and number(b) == 0:
        raise EvaluationError("division by zero; test the divisor before: @Count <> 0 and @Total / @Count > 5", code="division_by_zero")
    return _divide(a, b)


def negative(value: Any) -> Any:
    return _subtracted(timedelta(0) if kind(value) is Kind.SPAN else 0, value)


def positive(value: Any) -> Any:
    return add(0, value)


def member(value: Any, key: str) -> Any:
    """What a dictionary holds under a key, else MISSING; never an attribute, and never a default that a dictionary would make up."""
    if kind(value) is not Kind.MAPPING:
        raise clash(f"the path .{key}", value)
    return value.get(key, MISSING)


#: every operator of two operands, save those that may leave their right one alone (and, or)
OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": _equal,
    "<>": _unequal,
    "<": _ordered("<", operator.lt),
    "<=": _ordered("<=", operator.le),
    ">": _ordered(">", operator.gt),
    ">=": _ordered(">=", operator.ge),
    "in": contains,
    "not in": lambda item, whole: not contains(item, whole),
    "+": add,
    "-": _subtracted,
    "*": _multiply,
    "/": _quotient_of,
}
