"""Names of parameter types in every accepted spelling, and what fits them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from workflow_runtime.core.types import convert, read_written, type_name, written_type
from workflow_runtime.errors import ParameterError

ID = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("String", "string"),
        ("System.String", "string"),
        ("string", "string"),
        ("Char", "string"),
        ("Byte", "uint8"),
        ("SByte", "int8"),
        ("Int16", "int16"),
        ("ushort", "uint16"),
        ("Int32", "int32"),
        ("uint", "uint32"),
        ("Int64", "int"),
        ("long", "int"),
        ("int", "int"),
        ("UInt64", "uint64"),
        ("Decimal", "decimal"),
        ("Single", "float"),
        ("double", "float"),
        ("Boolean", "bool"),
        ("DateTimeOffset", "datetime"),
        ("System.TimeSpan", "timedelta"),
        ("Guid", "uuid"),
        ("Byte[]", "bytes"),
        ("Object", "any"),
        ("DynamicParameter", "any"),
        ("Some.Model.DynamicParameter", "any"),
    ],
)
def test_plain_spellings(written: str, name: str) -> None:
    assert type_name(written) == name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("String[]", "list[string]"),
        ("Byte[][]", "list[bytes]"),
        ("List<Byte>", "list[uint8]"),
        ("System.Collections.Generic.IList<System.Guid>", "list[uuid]"),
        ("HashSet<String>", "list[string]"),
        ("Dictionary<String, Decimal>", "dict[decimal]"),
        ("IDictionary<string,List<Int32>>", "dict[list[int32]]"),
        ("Nullable<Int32>", "optional[int32]"),
        ("Int32?", "optional[int32]"),
        ("Nullable<Int32>?", "optional[int32]"),
        ("List<Int32?>", "list[optional[int32]]"),
        ("list[optional[dict[any]]]", "list[optional[dict[any]]]"),
        ("decimal?", "optional[decimal]"),
    ],
)
def test_nested_spellings(written: str, name: str) -> None:
    assert type_name(written) == name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("System.String, lib, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089", "string"),
        ("System.Byte[], lib", "bytes"),
        ("System.Collections.Generic.List`1[[System.String, lib, Version=4.0.0.0]], lib, Version=4.0.0.0", "list[string]"),
        ("System.Collections.Generic.Dictionary`2[[System.String, lib],[System.Object, lib]], lib", "dict[any]"),
        ("System.Nullable`1[System.Int32]", "optional[int32]"),
        ("List`1[[System.String, lib]][]", "list[list[string]]"),
    ],
)
def test_assembly_qualified_and_back_tick_spellings(written: str, name: str) -> None:
    assert type_name(written) == name


STRANGE = ["", " ", "[]", "?", "My.Invoice", "Vendor.String", "INT32", "String x", "list[foo]", "bytes2"]
BROKEN = ["List<>", "List<String", "List<String>>", "List<String]", "Int32[,]", "[" * 3_000, "List<" * 100, "String" + "[]" * 200]
WRONG_ARGUMENTS = ["Dictionary<Int32,Object>", "Dictionary<String>", "dict[string,int]", "List<String,Int32>"]


@pytest.mark.parametrize("written", [*STRANGE, *BROKEN, *WRONG_ARGUMENTS])
def test_unknown_spellings_are_none(written: str) -> None:
    assert type_name(written) is None


WIDTHS = ["int", "int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64"]
OTHERS = ["string", "decimal", "float", "bool", "datetime", "timedelta", "uuid", "bytes", "any"]
NESTED = ["list[int32]", "list[uint8]", "list[bytes]", "dict[optional[uuid]]", "optional[list[dict[decimal]]]"]


@pytest.mark.parametrize("name", [*WIDTHS, *OTHERS, *NESTED])
def test_what_is_written_reads_back(name: str) -> None:
    assert type_name(written_type(name)) == name


def test_written_types_are_those_of_the_format() -> None:
    assert written_type("list[optional[int]]") == "List<Int64?>"
    assert written_type("dict[bytes]") == "Dictionary<String,Byte[]>"


@pytest.mark.parametrize("name", ["invoice", "list", "list[invoice]", "list[int", "dict[]"])
def test_a_name_that_is_not_ours_is_refused(name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        written_type(name)
    assert caught.value.code == "unknown_type"
    assert "use one of" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ("sea", "string", "sea"),
        (2**63 - 1, "int", 2**63 - 1),
        (255, "uint8", 255),
        ("12.50", "decimal", Decimal("12.50")),
        (0.1, "decimal", Decimal("0.1")),
        (3, "decimal", Decimal(3)),
        (3, "float", 3.0),
        (Decimal("1.5"), "float", 1.5),
        (True, "bool", True),
        ("2031-12-24T09:00:00Z", "datetime", datetime(2031, 12, 24, 9, tzinfo=UTC)),
        ("2031-12-24t09:00:00.1234567+02:00", "datetime", datetime(2031, 12, 24, 7, 0, 0, 123456, tzinfo=UTC)),
        ("P1DT2H30M", "timedelta", timedelta(days=1, hours=2, minutes=30)),
        ("-P1W", "timedelta", timedelta(weeks=-1)),
        ("1.02:30:00.5", "timedelta", timedelta(days=1, hours=2, minutes=30, milliseconds=500)),
        ("-00:00:01", "timedelta", timedelta(seconds=-1)),
        (str(ID).upper(), "uuid", ID),
        (ID, "uuid", ID),
        ("AAEC", "bytes", b"\x00\x01\x02"),
        (b"\x00", "bytes", b"\x00"),
        ({"a": [1, None]}, "any", {"a": [1, None]}),
        (None, "any", None),
        (None, "optional[int]", None),
        ((1, 2), "list[int]", [1, 2]),
        ({"net": "1.5", "tax": None}, "dict[optional[decimal]]", {"net": Decimal("1.5"), "tax": None}),
    ],
)
def test_what_fits_is_converted(value: Any, name: str, expected: Any) -> None:
    converted = convert(value, name)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (5, "string"),
        (None, "string"),
        ("5", "int"),
        (5.0, "int"),
        (True, "int"),
        (1, "bool"),
        ("yes", "bool"),
        (True, "decimal"),
        ("1,5", "decimal"),
        ("NaN", "decimal"),
        ("٣", "decimal"),
        ("1.5", "float"),
        ("24.12.2031", "datetime"),
        ("2031-W01-1", "datetime"),
        ("2031-02-30", "datetime"),
        (1_700_000_000, "datetime"),
        ("1:2", "timedelta"),
        ("P", "timedelta"),
        ("P1DT", "timedelta"),
        ("P1M", "timedelta"),
        ("25:00:00", "timedelta"),
        (60, "timedelta"),
        ("0f8fad5b", "uuid"),
        ("{0f8fad5b-d9cb-469f-a165-70867728950e}", "uuid"),
        ("===", "bytes"),
        ([1], "dict[int]"),
        ({"a": 1}, "list[int]"),
        ("ab", "list[string]"),
    ],
)
def test_what_does_not_fit_is_refused(value: Any, name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        convert(value, name)
    assert caught.value.code == "wrong_type"
    assert caught.value.expected == name
    assert name in str(caught.value)


@pytest.mark.parametrize(("value", "name"), [(256, "uint8"), (-1, "uint64"), (2**63, "uint64"), (2**31, "int32"), (-129, "int8"), (2**63, "int")])
def test_integers_keep_to_the_width_of_their_type(value: int, name: str) -> None:
    with pytest.raises(ParameterError, match="is not between") as caught:
        convert(value, name)
    assert caught.value.code == "number_out_of_range"


def test_the_error_says_which_item_is_wrong() -> None:
    with pytest.raises(ParameterError) as caught:
        convert({"lines": [1, "two"]}, "dict[list[int]]")
    assert str(caught.value).startswith("lines[1]: 'two' (str) does not fit the type int")


def test_a_naive_datetime_is_read_in_the_given_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert convert("2031-07-01 09:00:00", "datetime", zone=berlin) == datetime(2031, 7, 1, 7, tzinfo=UTC)
    assert convert(datetime(2031, 1, 1, 9), "datetime", zone=berlin) == datetime(2031, 1, 1, 8, tzinfo=UTC)
    assert convert(date(2031, 1, 1), "datetime", zone=berlin) == datetime(2030, 12, 31, 23, tzinfo=UTC)
    aware = datetime(2031, 1, 1, 9, tzinfo=timezone(timedelta(hours=-5)))
    assert convert(aware, "datetime", zone=berlin) == datetime(2031, 1, 1, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("5", "int", 5),
        ("5", "string", "5"),
        ("true", "string", "true"),
        ("null", "string", "null"),
        ("null", "optional[string]", None),
        ('"5"', "string", "5"),
        ('"open', "string", '"open'),
        ("sea", "any", "sea"),
        ("[1, 2]", "any", [1, 2]),
        ("0.10", "decimal", Decimal("0.10")),
        ("[0.1, 12345678901234567.89]", "list[decimal]", [Decimal("0.1"), Decimal("12345678901234567.89")]),
        ("0.1", "any", 0.1),
        ("2031-12-24", "datetime", datetime(2031, 12, 24, tzinfo=UTC)),
        ("1.00:00:00", "timedelta", timedelta(days=1)),
        (str(ID), "uuid", ID),
    ],
)
def test_written_values_are_json_else_text(text: str, name: str, expected: Any) -> None:
    value = read_written(text, name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("text", "name", "code"), [("many", "int", "wrong_type"), ('{"a":1,"a":2}', "any", "duplicate_key"), ("1", "invoice", "unknown_type")])
def test_written_values_that_cannot_be_read(text: str, name: str, code: str) -> None:
    with pytest.raises(ParameterError) as caught:
        read_written(text, name)
    assert caught.value.code == code
