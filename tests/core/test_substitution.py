"""``@Name`` in parameters of actions: what is replaced, by what text, and what stays as it was written."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.substitution import LONGEST_RESULT, substitute, text_of
from workflow_runtime.errors import EvaluationError


class Colour(StrEnum):
    RED = "red"


class OldColour(str, Enum):  # noqa: UP042 - its str() is not its value
    RED = "red"


NOON = datetime(2031, 12, 24, 12, 5, 9, tzinfo=UTC)
PARAMETERS: dict[str, Any] = {
    "Name": 'Ada "the" Count@ess',
    "Id": 17,
    "Amount": Decimal("1234.565"),
    "Due": NOON,
    "DueInBerlin": NOON.astimezone(timezone(timedelta(hours=1))),
    "Wait": timedelta(days=1, hours=2, minutes=30),
    "Ready": True,
    "Nothing": None,
    "Labels": ["new", "späte"],
    "Order": {"Total": Decimal("9.50"), "Customer": {"Tier": "gold"}, "json": "a key"},
    "Frozen": FrozenDict({"Key": 1}),
    "area": "south",
    "area:name": "north",
    "area:name:json": "never",
    "Due Date": "soon",
    "Order.Total": 99,
    "Сумма": 5,
    "Größe": "XL",
    "Net (EUR)": 80,
    "Sly": "@Id @(Name) @@",
}


def put(text: str, *names: str) -> str:
    return substitute(text, PARAMETERS.__getitem__, names=names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("no mention", "no mention"),
        ("@Id", "17"),
        ("no. @Id, again @Id!", "no. 17, again 17!"),
        ("@Id@Id", "17@Id"),
        ("@(Id)@(Id)", "1717"),
        ("a@(Id)", "a@(Id)"),
        ("-@(Id)2", "-172"),
        ("(@Id)", "(17)"),
        ("'@Id'", "'17'"),
        ("@Сумма и @Größe", "5 и XL"),
        ("@Gro\u0308ße", "XL"),
        ("@Ready/@Nothing/@Ready", "true//true"),
        ("@Order.Customer.Tier", "gold"),
        ("@(Order.Customer.Tier)!", "gold!"),
        ("@Frozen.Key", "1"),
        ("report-@Id.pdf", "report-17.pdf"),
        ("Dear @Name.", 'Dear Ada "the" Count@ess.'),
        ("@Id.", "17."),
        ("@Id..x", "17..x"),
        ("@Labels", '["new","späte"]'),
    ],
)
def test_a_known_name_becomes_its_value(text: str, expected: str) -> None:
    assert put(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "@Missing",
        "@(Missing)",
        "@(Missing:json)",
        "@Missing:json",
        "@missing.Id",
        "@id",
        "@Ids",
        "@Order.Missing",
        "@Order.Customer.Tie",
        "@(Order.Missing:json)",
        "@(Id.pdf)",
        "@",
        "@ Id",
        "@(Id",
        "@()",
        "@(:json)",
        "@( Id )",
        "@(Id json)",
        "@-",
        "me@Id",
        "me@Id.org",
        "first.last@Name",
        "1@Id",
        "_@Id",
        "ß@Id",
        "@{Id}",
        "@ｉｄ",
        "@𝐈𝐝",
        "@1",
        '@"Id"',
    ],
)
def test_what_is_not_known_stays_as_it_was_written(text: str) -> None:
    assert put(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("@@", "@"), ("@@Id", "@Id"), ("a@@b", "a@b"), ("@@@Id", "@17"), ("@@@@", "@@"), ("me@@Id", "me@Id"), ("@@(Id)", "@(Id)")],
)
def test_two_signs_are_one(text: str, expected: str) -> None:
    assert put(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@area:name", "north"),
        ("@area:names", "south:names"),
        ("@area:json", '"south"'),
        ("@(area:name)", "north"),
        ("@(area:name:json)", '"north"'),
        ("@area:name:json", '"north"'),
        ("@Due Date and more", "soon and more"),
        ("@Order.Total", "99"),
        ("@Order.Totals", "@Order.Totals"),
        ("@Order.Customer.Tier", "gold"),
        ("@(Net (EUR)) @(Net (EUR):.2F)", "80 80.00"),
        ("@Net (EUR)!", "80!"),
    ],
)
def test_the_longest_declared_name_wins(text: str, expected: str) -> None:
    assert put(text, "area", "area:name", "Due Date", "Order", "Order.Total", "Net (EUR)", "Id") == expected


def test_without_a_declaration_the_part_behind_the_colon_is_a_format() -> None:
    assert put("@area:json") == '"south"'
    assert put("@area:name") == "south:name"
    with pytest.raises(EvaluationError) as caught:
        put("@(area:name)")
    assert (caught.value.code, caught.value.parameter) == ("bad_format", "area")


def test_a_declared_name_without_a_value_stays() -> None:
    assert put("@Wanted Thing, @Id", "Wanted Thing") == "@Wanted Thing, 17"


def test_what_was_put_in_is_not_read_again() -> None:
    assert put("@Sly; @Id") == "@Id @(Name) @@; 17"
    assert put("@Name") == 'Ada "the" Count@ess'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@(Amount:.2F)", "1234.57"),
        ("@(Amount:.0f)", "1235"),
        ("@(Id:.2F)", "17.00"),
        ("@(Amount:.5F)", "1234.56500"),
        ("@(Order.Total:.1F)", "9.5"),
        ("@(Due:yyyy-MM-dd)", "2031-12-24"),
        ("@(Due:dd.MM.yyyy HH:mm:ss)", "24.12.2031 12:05:09"),
        ("@(Due:yyyyMMddTHHmmssZ)", "20311224T120509Z"),
        ("@(DueInBerlin:HH:mm)", "12:05"),
        ("@(Nothing:.2F)|@(Nothing:yyyy)", "|"),
        ("@(Nothing:json)", "null"),
        ("@(Id:)", "17"),
        ("@Id:json!", "17!"),
        ("@Id:jsonx", "17:jsonx"),
        ("@Id: 5", "17: 5"),
        ("@Order.Customer:json", '{"Tier":"gold"}'),
        ("@Order.json", "a key"),
        ("@Order.json:json", '"a key"'),
        ("@Amount:json", '"1234.565"'),
        ("@Ready:json @Nothing:json", "true null"),
    ],
)
def test_formats(text: str, expected: str) -> None:
    assert put(text) == expected


def test_json_fits_into_json() -> None:
    assert json.loads(put('{"to": @Name:json, "labels": @Labels:json}')) == {"to": PARAMETERS["Name"], "labels": PARAMETERS["Labels"]}


@pytest.mark.parametrize("text", ["@(Name:.2F)", "@(Id:yyyy)", "@(Due:.2F)", "@(Due:yyy)", "@(Due:D)", "@(Due:{0})", "@(Id:.99F)", "@(Id:X)", "@(Ready:.1F)"])
def test_a_format_that_does_not_fit_is_an_error(text: str) -> None:
    with pytest.raises(EvaluationError, match=r"expected json, \.2F for a number") as caught:
        put(text)
    assert caught.value.code == "bad_format"
    assert "Ada" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        ("a\nb", "a\nb"),
        (Colour.RED, "red"),
        (OldColour.RED, "red"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        (-5, "-5"),
        (2**63 - 1, "9223372036854775807"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E-9"), "0.000000001"),
        (5.0, "5.0"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000"),
        (NOON, "2031-12-24T12:05:09Z"),
        (NOON.astimezone(timezone(timedelta(hours=5, minutes=30))), "2031-12-24T12:05:09Z"),
        (NOON.replace(microsecond=1500), "2031-12-24T12:05:09.001500Z"),
        (date(2031, 12, 24), "2031-12-24"),
        (timedelta(0), "0.00:00:00"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "1.02:03:04"),
        (timedelta(milliseconds=-90500), "-0.00:01:30.5"),
        (UUID("A0B1C2D3-0000-0000-0000-000000000001"), "a0b1c2d3-0000-0000-0000-000000000001"),
        (b"\x00\xff", "AP8="),
        ([], "[]"),
        ((1, "ä"), '[1,"ä"]'),
        ({"b": Decimal("1.50"), "a": [NOON, None]}, '{"b":"1.50","a":["2031-12-24T12:05:09Z",null]}'),
        (FrozenDict({"k": b"a"}), '{"k":"YQ=="}'),
    ],
)
def test_the_text_of_values(value: Any, expected: str) -> None:
    assert text_of(value) == expected
    assert substitute("<@V>", {"V": value}.__getitem__) == f"<{expected}>"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (object(), "type_clash"),
        ({1, 2}, "type_clash"),
        ([object()], "type_clash"),
        ({1: 2}, "type_clash"),
        (datetime(2031, 12, 24), "type_clash"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "type_clash"),
        (float("nan"), "number_out_of_range"),
        (float("inf"), "number_out_of_range"),
        (Decimal("NaN"), "number_out_of_range"),
        (Decimal("1e999999999"), "number_out_of_range"),
        (Decimal("1e-999999999"), "number_out_of_range"),
        (10**1_000_000, "number_out_of_range"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.timeout(5)
def test_values_that_have_no_text(value: Any, code: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        text_of(value)
    assert caught.value.code == code


def test_a_circle_is_an_error() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(EvaluationError):
        text_of(circle)


@pytest.mark.timeout(5)
def test_a_short_text_cannot_become_a_huge_one() -> None:
    with pytest.raises(EvaluationError) as caught:
        substitute("@(A)" * 50_000, {"A": "x" * 262_144}.__getitem__)
    assert caught.value.code == "too_long"
    assert len(substitute("@(A)" * 8, {"A": "x" * 262_144}.__getitem__)) == LONGEST_RESULT


def test_other_errors_of_the_lookup_pass_through() -> None:
    def broken(name: str) -> Any:
        raise ConnectionError(name)

    with pytest.raises(ConnectionError, match="Id"):
        substitute("@Id", broken)
    assert substitute("no mention", broken) == "no mention"


@given(st.text(alphabet=st.sampled_from("@@@(():.a bId2FMDue json\u0308")) | st.text())
def test_no_text_raises_anything_but_a_bad_format(text: str) -> None:
    try:
        substitute(text, PARAMETERS.__getitem__, names=["Due Date", "area:name"])
    except EvaluationError as error:
        codes = {error.code}
    else:
        codes = set()
    assert codes <= {"bad_format"}


@given(st.text())
def test_without_known_names_only_doubled_signs_change(text: str) -> None:
    nothing: dict[str, Any] = {}
    assert substitute(text, nothing.__getitem__) == text.replace("@@", "@")


@given(st.text())
def test_a_doubled_sign_protects_any_text(text: str) -> None:
    assert substitute(text.replace("@", "@@"), PARAMETERS.__getitem__) == text
