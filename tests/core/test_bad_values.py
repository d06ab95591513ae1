"""Bad inputs B71 to B76 and B82 of the parameter edge: refused with a code, nothing kept, the next good one works."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from workflow_runtime.core.timing import check_due, written
from workflow_runtime.core.types import convert
from workflow_runtime.core.values import LIMITS, check_parameters, decode, encode, json_ready, plain_json
from workflow_runtime.errors import ParameterError, TimerValueError


class Custom:
    pass


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


def cyclic() -> Any:
    value: list[Any] = [1]
    value.append({"again": value})
    return value


def shared() -> Any:
    """Thirty lists that stand for a thousand million."""
    value: Any = [0]
    for _ in range(30):
        value = [value, value]
    return value


def code_of(parameters: Any) -> str:
    with pytest.raises(ParameterError) as caught:
        check_parameters(parameters)
    assert check_parameters({"next": "good"}) == {"next": "good"}
    assert len(str(caught.value)) < 500
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return caught.value.code


def test_b71_a_value_of_more_than_256_kib() -> None:
    assert code_of({"big": "x" * (256 * 1024 + 1)}) == "too_large"


def test_b71_more_than_2_mib_together() -> None:
    assert code_of({f"p{i}": "x" * 250_000 for i in range(9)}) == "too_large"


def test_b71_a_thousand_parameters() -> None:
    assert code_of({f"p{i}": 1 for i in range(1000)}) == "too_many"
    assert len(check_parameters({f"p{i}": 1 for i in range(500)})) == 500


RESERVED = ["__proto__", "constructor", "prototype", "__class__", "__"]
INVISIBLE = ["a\nb", "a\x1fb", "a\x7f", "ab\u202ecd", "a\u2066", "a\u200f", "a\u2028b", " a", "a "]


@pytest.mark.parametrize("name", ["", "a" * 201, "A\u030angstrom", 5, None, ("a",), *RESERVED, *INVISIBLE])
def test_b71_bad_names(name: Any) -> None:
    assert code_of({name: 1}) == "bad_name"


def test_b72_json_depth() -> None:
    assert plain_json("[" * 32 + "]" * 32) == nested(32)
    for levels in (33, 200_000):
        with pytest.raises(ParameterError) as caught:
            plain_json("[" * levels + "]" * levels)
        assert caught.value.code == "too_deep"


@pytest.mark.parametrize("levels", [33, 200_000])
def test_b72_depth_of_a_value(levels: int) -> None:
    value = nested(levels)
    assert code_of({"deep": value}) == "too_deep"
    while value:  # taken apart by hand: freeing such a nest recursively is not what is tested here
        value = value.pop()


def test_b72_objects_count_as_levels() -> None:
    with pytest.raises(ParameterError) as caught:
        plain_json('{"a":' * 33 + "1" + "}" * 33)
    assert caught.value.code == "too_deep"


NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e131071", str(2**63), str(-(2**63) - 1), "9" * 5_000, '{"a":[1e400]}']


@pytest.mark.parametrize("text", NUMBERS)
def test_b73_numbers_in_json(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        plain_json(text)
    assert caught.value.code == "number_out_of_range"
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**63,
        -(2**63) - 1,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        Decimal("1e131071"),
        Decimal("1e-1001"),
    ],
)
def test_b73_numbers_as_values(value: Any) -> None:
    assert code_of({"n": [value]}) == "number_out_of_range"


def test_b73_an_integer_of_5000_digits() -> None:
    assert code_of({"n": 10**5_000}) == "number_out_of_range"


@pytest.mark.parametrize(("value", "name"), [("1e131071", "decimal"), (float("inf"), "float"), (Decimal("1e500"), "float"), (2**63, "int")])
def test_b73_numbers_for_a_declared_type(value: Any, name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        convert(value, name)
    assert caught.value.code in {"number_out_of_range", "wrong_type"}


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "x\udfff", "\ud83c\udf0a"])
def test_b74_characters_that_no_database_stores(text: str) -> None:
    assert code_of({"text": text}) == "bad_character"
    assert code_of({"dict": {text: 1}}) == "bad_character"
    assert code_of({text: 1}) == "bad_character"


@pytest.mark.parametrize("text", [r'"\u0000"', r'{"a":["\ud800"]}', r'{"\u0000":1}', '"\ud800"'])
def test_b74_characters_in_json(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        plain_json(text)
    assert caught.value.code == "bad_character"


def test_b74_a_whole_pair_is_a_character() -> None:
    assert plain_json(r'"\ud83c\udf0a"') == "🌊"


@pytest.mark.parametrize("text", ['{"a":1,"a":1}', '[{"b":{"x":1,"y":2,"x":3}}]', '{"":1,"":2}'])
def test_b75_duplicate_keys(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        plain_json(text)
    assert caught.value.code == "duplicate_key"


def test_b75_many_keys_are_no_trap() -> None:
    keys = ",".join(f'"k{i}":1' for i in range(60_000))
    with pytest.raises(ParameterError) as caught:
        plain_json(f'{{{keys},"k59999":1}}')
    assert caught.value.key == "k59999"


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        frozenset(),
        datetime(2031, 1, 1),
        Custom(),
        Rude(),
        object,
        len,
        1j,
        bytearray(b"x"),
        range(3),
        {1: "a"},
        {None: 1},
        time(1, tzinfo=UTC),
        iter([]),
    ],
)
def test_b76_not_json(value: Any) -> None:
    assert code_of({"x": [value]}) == "type_error"
    with pytest.raises(ParameterError):
        encode(value)
    with pytest.raises(ParameterError):
        json_ready(value)


def test_b76_a_cyclic_list() -> None:
    assert code_of({"x": cyclic()}) == "type_error"
    circle: dict[str, Any] = {}
    circle["self"] = circle
    assert code_of(circle) == "type_error"


def test_b76_lists_that_are_shared_until_they_are_too_many() -> None:
    assert code_of({"x": shared()}) == "too_large"


def test_b76_the_error_names_the_parameter_and_the_input_is_untouched() -> None:
    given = {"good": [1], "bad": {"deep": [{2}]}}
    before = copy.deepcopy(given)
    with pytest.raises(ParameterError) as caught:
        check_parameters(given)
    assert caught.value.parameter == "bad"
    assert str(caught.value) == "parameter 'bad': a value of type set cannot be stored; use a list: {2}"
    assert given == before


@pytest.mark.parametrize("text", ["", " ", "{", "[1,]", "'a'", "{a:1}", "1 2", "\ufeff1", "nul", "01", "+1", ".5", '"a\nb"'])
def test_text_that_is_no_json(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        plain_json(text)
    assert caught.value.code == "not_json"
    assert caught.value.line >= 1


def test_json_text_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(ParameterError) as caught:
        plain_json("[" * (LIMITS.json_bytes + 1))
    assert caught.value.code == "too_large"


def test_a_stored_text_never_names_a_class() -> None:
    with pytest.raises(ParameterError) as caught:
        decode('{"$":["os.system","id"]}')
    assert caught.value.code == "unreadable"


BAD_MOMENTS = [
    datetime(2031, 1, 1),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1899, 12, 31, 23, tzinfo=UTC),
    datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
]


@pytest.mark.parametrize("moment", BAD_MOMENTS)
def test_b82_due_times(moment: datetime) -> None:
    for refusing in (check_due, written):
        with pytest.raises(TimerValueError) as caught:
            refusing(moment)
        assert caught.value.code == "bad_time"


def test_b82_a_datetime_that_utc_cannot_hold() -> None:
    assert code_of({"at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))}) == "bad_time"
