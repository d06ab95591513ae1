"""What is stored comes back equal and with its type."""

from __future__ import annotations

import collections
import enum
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.values import LIMITS, Limits, check_parameters, decode, digest, duration, duration_text, encode, json_ready, plain_json
from workflow_runtime.errors import ParameterError

ID = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
NOON = datetime(2031, 12, 24, 12, 0, 0, 250, tzinfo=UTC)

STORED = [
    (None, "null"),
    (True, "true"),
    (0, "0"),
    (2**63 - 1, "9223372036854775807"),
    (-(2**63), "-9223372036854775808"),
    (1.5, "1.5"),
    (-0.0, "-0.0"),
    ("größe 🌊", '"größe 🌊"'),
    ("$", '"$"'),
    ([1, [2, []]], "[1,[2,[]]]"),
    ({"b": 1, "a": {}}, '{"b":1,"a":{}}'),
    (Decimal("1.50"), '{"$":["decimal","1.50"]}'),
    (Decimal("1E+3"), '{"$":["decimal","1E+3"]}'),
    (NOON, '{"$":["datetime","2031-12-24T12:00:00.000250Z"]}'),
    (date(2031, 12, 24), '{"$":["date","2031-12-24"]}'),
    (time(18, 30), '{"$":["time","18:30:00"]}'),
    (timedelta(days=1, seconds=2), '{"$":["timedelta","P1DT2S"]}'),
    (ID, f'{{"$":["uuid","{ID}"]}}'),
    (b"\x00\xff", '{"$":["bytes","AP8="]}'),
    ({"$": 1}, '{"$":["dict",{"$":1}]}'),
    ({"$": ["decimal", "1"]}, '{"$":["dict",{"$":["decimal","1"]}]}'),
    ({"$": {"$": Decimal(1)}, "x": ID}, f'{{"$":["dict",{{"$":{{"$":["dict",{{"$":{{"$":["decimal","1"]}}}}]}},"x":{{"$":["uuid","{ID}"]}}}}]}}'),
    ([{"price": Decimal("0.1")}, {"$": "x"}], '[{"price":{"$":["decimal","0.1"]}},{"$":["dict",{"$":"x"}]}]'),
]


@pytest.mark.parametrize(("value", "text"), STORED)
def test_a_value_and_its_stored_text(value: Any, text: str) -> None:
    assert encode(value) == text
    back = decode(text)
    assert back == value
    assert type(back) is type(value)


def test_a_tuple_comes_back_as_a_list_and_a_datetime_in_utc() -> None:
    berlin = datetime(2031, 7, 1, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    back = decode(encode({"pair": (1, 2), "at": berlin}))
    assert back == {"pair": [1, 2], "at": berlin}
    assert back["at"].tzinfo is UTC


def test_the_second_of_two_equal_wall_times_stays_the_second() -> None:
    second = datetime(2031, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    assert decode(encode(second)) == datetime(2031, 10, 26, 1, 30, tzinfo=UTC)


class Color(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Pair(tuple[int, int]):
    pass


class Moment(datetime):
    pass


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (Pair((1, 2)), [1, 2]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (FrozenDict({"a": (1,)}), {"a": [1]}),
        ({Color.RED: 1}, {"red": 1}),
        (Moment(2031, 12, 24, tzinfo=UTC), datetime(2031, 12, 24, tzinfo=UTC)),
    ],
)
def test_of_subclasses_the_base_is_stored(value: Any, plain: Any) -> None:
    back = decode(encode(value))
    assert back == plain
    assert type(back) is type(plain)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"$":["decimal","x"]}', '{"$":["frob","1"]}', '{"$":1}', '{"$":["decimal"]}', '{"$":["decimal","1"],"x":1}', '{"$":["dict",3]}', '{"$":[[],1]}'],
)
def test_a_text_that_is_not_ours_is_unreadable(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        decode(text)
    assert caught.value.code == "unreadable"


def test_spaces_and_order_that_a_database_changes_do_not_matter() -> None:
    assert decode('{ "x" : 1 , "a" : { "$" : [ "decimal" , "1.5" ] } }') == {"a": Decimal("1.5"), "x": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"n": Decimal("1.50"), "at": NOON, "id": ID}, {"n": "1.50", "at": "2031-12-24T12:00:00.000250Z", "id": str(ID)}),
        ([date(2031, 1, 2), time(8), timedelta(minutes=90), b"\x00"], ["2031-01-02", "08:00:00", "PT5400S", "AA=="]),
        ({"$": (1,)}, {"$": [1]}),
    ],
)
def test_json_ready_has_no_tags(value: Any, expected: Any) -> None:
    ready = json_ready(value)
    assert ready == expected
    assert json.loads(json.dumps(ready)) == expected


def test_digests_are_equal_for_equal_values_only() -> None:
    assert digest({"a": 1, "b": [Decimal(1)]}) == digest({"b": (Decimal(1),), "a": 1})
    assert digest({"$": 1, "a": 2}) == digest({"a": 2, "$": 1})
    assert digest(NOON) == digest(NOON.astimezone(ZoneInfo("Asia/Tokyo")))
    different = [1, 1.0, "1", True, None, Decimal(1), [1], {"1": 1}, {"$": ["decimal", "1"]}]
    assert len({digest(value) for value in different}) == len(different)


def test_checked_parameters_are_a_deep_private_copy() -> None:
    given = {"Order": {"lines": [1]}, "Due": NOON, "pair": (1, 2)}
    copy = check_parameters(given)
    given["Order"]["lines"].append(2)  # type: ignore[index]
    assert copy == {"Order": {"lines": [1]}, "Due": NOON, "pair": [1, 2]}
    assert check_parameters(FrozenDict({"a": 1})) == {"a": 1}
    assert check_parameters({}) == {}


@pytest.mark.parametrize("name", ["Days", "_x", "Order.Customer.Tier", "TimerValue_remind me", "Größe", "Имя", "x__y", "__x", "名前", "a" * 200])
def test_names_that_are_allowed(name: str) -> None:
    assert check_parameters({name: 1}) == {name: 1}


def test_the_limits_of_size_count_bytes() -> None:
    fits = "x" * (LIMITS.value_bytes - 2)  # two quotes
    assert check_parameters({"a": fits}) == {"a": fits}
    assert check_parameters({"a": "ü" * (LIMITS.value_bytes // 2 - 1)})
    with pytest.raises(ParameterError):
        check_parameters({"a": "ü" * (LIMITS.value_bytes // 2)})
    assert len(check_parameters({f"p{i}": "x" * 200_000 for i in range(10)})) == 10


def test_limits_are_an_argument() -> None:
    small = Limits(parameters=1, name_characters=3, value_bytes=10, process_bytes=12)
    assert check_parameters({"abc": 1}, limits=small) == {"abc": 1}
    for parameters, code in (({"a": 1, "b": 2}, "too_many"), ({"abcd": 1}, "bad_name"), ({"a": "123456789"}, "too_large"), ({"abc": "123456"}, "too_large")):
        with pytest.raises(ParameterError) as caught:
            check_parameters(parameters, limits=small)
        assert caught.value.code == code


def test_a_parameter_may_nest_as_deep_as_the_limit() -> None:
    value: Any = 1
    for _ in range(32):
        value = [value]
    assert check_parameters({"deep": value}) == {"deep": value}
    assert plain_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "span",
    [
        timedelta(0),
        timedelta(microseconds=1),
        timedelta(days=-1, microseconds=1),
        timedelta.max,
        -timedelta(days=999999998),
        timedelta(hours=26, milliseconds=500),
    ],
)
def test_durations_are_exact(span: timedelta) -> None:
    assert duration(duration_text(span)) == span


def test_durations_in_common_spellings() -> None:
    assert duration_text(timedelta(0)) == "PT0S"
    assert duration_text(-timedelta(days=1, seconds=1.5)) == "-P1DT1.5S"
    assert duration("P2WT1H2M3.25S") == timedelta(weeks=2, hours=1, minutes=2, seconds=3.25)


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), (' {"a": [1.5, null, "x"]} ', {"a": [1.5, None, "x"]}), ('{"$":["decimal","1"]}', {"$": ["decimal", "1"]})]
)
def test_plain_json_is_plain(text: str, value: Any) -> None:
    assert plain_json(text) == value
