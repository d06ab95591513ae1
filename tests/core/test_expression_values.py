"""Operators and functions, kind by kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest

from workflow_runtime.core.expression import compile_expression
from workflow_runtime.core.expression_functions import FUNCTIONS, LONGEST_TEXT
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.errors import EvaluationError, ExpressionError


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


NOON = datetime(2031, 12, 24, 12, tzinfo=UTC)
PARAMETERS: dict[str, Any] = {
    "Dec": Decimal("0.1"),
    "Float": 0.1,
    "Int": 7,
    "Noon": NOON,
    "NoonInBerlin": NOON.astimezone(timezone(timedelta(hours=1))),
    "Later": NOON + timedelta(hours=36),
    "Naive": datetime(2031, 12, 24, 12),
    "Day": timedelta(days=1),
    "Id": UUID(int=5),
    "Id2": UUID(int=5),
    "Bytes": b"abc",
    "Nothing": None,
    "Labels": ["new", "urgent"],
    "Numbers": [3, Decimal("2.5"), 9],
    "Mixed": [None, 1, "a"],
    "Empty": [],
    "Pair": (1, 2),
    "Order": {"Total": 1, "Gift": None, "Deep": {"Er": 1}},
    "Same": FrozenDict({"Total": 1}),
    "Colour": Colour.RED,
    "Level": Level.HIGH,
    "Wide": Decimal("12345678901234567890123456789012345.5"),
    "Text": "  Straße ",
}


def value(source: str, **more: Any) -> Any:
    return compile_expression(source).evaluate((PARAMETERS | more).__getitem__, now=NOON)


def code(source: str, **more: Any) -> str:
    with pytest.raises(EvaluationError) as caught:
        value(source, **more)
    return caught.value.code


@pytest.mark.parametrize(
    "source",
    [
        "0.1 + @Dec = 0.2",
        "0.1 + 0.2 = 0.3",
        "Float = 0.1",
        "Float = Dec",
        "Float + Dec = 0.2",
        "Dec * 10 = 1",
        "1.0 = 1",
        "Wide > 12345678901234567",
        "Wide = Wide",
        "Wide <> Wide - 1",
        "7 / 2 = 3.5",
        "6 / 2 = 3",
        "1 / 3 < 0.34",
        "Level = 3",
        "Level + 1 = 4",
        "Colour = 'red'",
        "Colour in ['red', 'blue']",
        "'a' < 'b'",
        "'Z' < 'a'",
        "Noon < Later",
        "Noon = NoonInBerlin",
        "Later - Noon > Day",
        "Noon + Day < Later",
        "Day + Noon = Noon + Day",
        "Later - Day < Later",
        "Day + Day > Day",
        "Day - Day < Day",
        "-Day < Day",
        "Naive + Day > Naive",
        "Id = Id2",
        "Bytes = Bytes",
        "Labels = Labels",
        "Order = Order",
        "Same <> Order",
        "Nothing = null",
        "null = null",
        "not (Int = null)",
        "Int <> null",
        "null <> Labels",
        "true = true",
        "true <> false",
        "not (7 in Numbers)",
        "2.5 in Numbers",
        "Level in Numbers",
        "null in Mixed",
        "not (null in Labels)",
        "1 in Mixed",
        "1 in Pair",
        "not ('x' in Empty)",
        "'traß' in Text",
    ],
)
def test_it_is_true(source: str) -> None:
    assert value(source) is True


@pytest.mark.parametrize(
    "source",
    [
        "Int = '7'",
        "Int <> '7'",
        "Int = true",
        "true < false",
        "null < 1",
        "null >= null",
        "Labels < Labels",
        "Id < Id2",
        "Id = 'x'",
        "Bytes = 'abc'",
        "Noon = '2031-12-24'",
        "Noon < Naive",
        "Noon = Naive",
        "Noon - Naive",
        "Noon + Noon",
        "Noon + 1",
        "Day - Noon",
        "Day * 2",
        "Day / Day",
        "Int + Nothing",
        "Labels + Labels",
        "Colour + Colour",
        "-Colour",
        "+Day",
        "'a' in Order",
        "1 in 'abc'",
        "1 in Colour",
        "'7' in Numbers",
        "true in [1]",
        "Int in Labels",
    ],
)
def test_it_is_a_clash(source: str) -> None:
    assert code(source) == "type_clash"


@pytest.mark.parametrize(
    "source",
    [
        "9223372036854775807 + 1",
        "-9223372036854775808 - 1",
        "-(-9223372036854775808 + 0)",
        "abs(-9223372036854775808)",
        "1e999 * 10",
        "AddDays(Noon, 9999999)",
        "AddDays(Noon, -999999999999)",
        "AddHours(Noon, 1e300)",
        "round(1.5, 13)",
        "round(1.5, -1)",
        "round(1.5, 0.5)",
        "Noon + Long",
    ],
)
def test_it_is_out_of_range(source: str) -> None:
    assert code(source, Long=timedelta.max) == "number_out_of_range"


def test_the_numbers_at_the_edge_are_fine() -> None:
    assert value("-9223372036854775808 + 0") == -(2**63)
    assert value("9223372036854775806 + 1") == 2**63 - 1
    assert value("1e999 + 0") == Decimal("1e999")


def test_kinds_of_results() -> None:
    assert [type(value(source)) for source in ("7 + 1", "6 / 2", "7 / 2", "Float * 2", "Float + Dec", "Int * 0.5")] == [
        int,
        int,
        Decimal,
        float,
        Decimal,
        Decimal,
    ]


def test_the_surrounding_decimal_context_has_no_say() -> None:
    with localcontext() as context:
        context.prec = 2
        assert value("1.2345 + 1.1111") == Decimal("2.3456")
        assert value("round(1.23456, 4)") == Decimal("1.2346")
        assert value("abs(-1.2345)") == Decimal("1.2345")
        assert value("-1.2345") == Decimal("-1.2345")
        assert value("AddDays(Noon, 1.23456)") == NOON + timedelta(days=1.23456)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Length('Größe')", 5),
        ("len(Labels) + LEN(Order)", 5),
        ("ToLower('ÄB') = lower('Äb')", True),
        ("ToUpper('straße')", "STRASSE"),
        ("upper('a')", "A"),
        ("Trim(Text)", "Straße"),
        ("Contains('Größe', 'öß')", True),
        ("contains(Labels, 'new')", True),
        ("StartsWith('Ada', 'A') and not EndsWith('Ada', 'A')", True),
        ("min(3, 1.5, 2)", Decimal("1.5")),
        ("max(Numbers)", 9),
        ("max('a', 'b')", "b"),
        ("min(Later, Noon)", NOON),
        ("abs(-3) + Abs(2)", 5),
        ("round(2.5) + round(-2.5)", 0),
        ("round(2.5)", 3),
        ("round(0.125, 2)", Decimal("0.13")),
        ("round(7)", 7),
        ("round(Float, 1)", 0.1),
        ("AddDays(Noon, 1) = Noon + Day", True),
        ("AddHours(Noon, -0.5) = AddMinutes(Noon, -30)", True),
        ("AddSeconds(Noon, 86400) = Noon + Day", True),
        ("AddDays(Noon, Float) > Noon", True),
        ("IsNull(Nothing) and not isnull(0)", True),
        ("Coalesce(Nothing, null, 5)", 5),
        ("Coalesce(Nothing, null)", None),
        ("now()", NOON),
        ("NOW() = Noon", True),
        ("has(Int) and has(@Nothing) and has(Order.Gift) and has(Order.Deep.Er)", True),
        ("has(Missing) or has(Order.Missing) or has(Int.Key) or has(Missing.Key)", False),
    ],
)
def test_functions(source: str, expected: Any) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Length(7)", "type_clash"),
        ("Length(null)", "type_clash"),
        ("ToLower(7)", "type_clash"),
        ("StartsWith('a', null)", "type_clash"),
        ("Contains(7, 7)", "type_clash"),
        ("min(1, 'a')", "type_clash"),
        ("min(true)", "type_clash"),
        ("max(null, 1)", "type_clash"),
        ("min(Empty)", "empty_list"),
        ("abs('a')", "type_clash"),
        ("round(true)", "type_clash"),
        ("AddDays('2031-12-24', 1)", "type_clash"),
        ("AddDays(Noon, Day)", "type_clash"),
        ("ToUpper(Long)", "too_long"),
    ],
)
def test_functions_refuse_what_they_do_not_expect(source: str, expected: str) -> None:
    assert code(source, Long="x" * (LONGEST_TEXT + 1)) == expected


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_checks_how_many_arguments_it_gets(name: str) -> None:
    function = FUNCTIONS[name]
    for count in {function.least - 1, function.most + 1} - {-1}:
        with pytest.raises(ExpressionError) as caught:
            compile_expression(f"{function.name}({', '.join(['x'] * count)})")
        assert caught.value.code == "call_forbidden"
