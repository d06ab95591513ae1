"""The written filter: what is read, and what is refused with the field that was meant."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_runtime.core.filters import EVERYTHING, LONGEST_FILTER, LONGEST_TEXT, MOST_TERMS, ProcessFilter, parse_filter
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.errors import FilterError

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def parsed(text: str) -> ProcessFilter:
    return parse_filter(text, now=NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", EVERYTHING),
        ("  \n\t ", EVERYTHING),
        ("status=Error", ProcessFilter(status=ProcessStatus.ERROR)),
        ("status=Error,Idled,Error", ProcessFilter(status=(ProcessStatus.ERROR, ProcessStatus.IDLED))),
        (" scheme_code=order  activity=A ", ProcessFilter(scheme_code="order", activity="A")),
        ('state="Waits for an answer"', ProcessFilter(state="Waits for an answer")),
        (r'activity="say \"no\" \\ now"', ProcessFilter(activity=r'say "no" \ now')),
        ('identity=""', ProcessFilter(identity="")),
        ("identity=", ProcessFilter(identity="")),
        ("tenant_id=a=b", ProcessFilter(tenant_id="a=b")),
        ("text=%_", ProcessFilter(text="%_")),
        (f"parent_id={UUID(int=7)}", ProcessFilter(parent_id=UUID(int=7))),
        (f"parent_id={str(UUID(int=0xABC)).upper()}", ProcessFilter(parent_id=UUID(int=0xABC))),
        ("updated_before=1h", ProcessFilter(updated_before=NOW - timedelta(hours=1))),
        ('updated_before="2d 12h"', ProcessFilter(updated_before=NOW - timedelta(days=2, hours=12))),
        ("updated_before=2031-01-01T00:00:00Z", ProcessFilter(updated_before=datetime(2031, 1, 1, tzinfo=UTC))),
        ("updated_before=2031-01-01T02:00+02:00", ProcessFilter(updated_before=datetime(2031, 1, 1, tzinfo=UTC))),
    ],
)
def test_what_is_read(text: str, expected: ProcessFilter) -> None:
    assert parsed(text) == expected


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("100", 100),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("alice", "alice"),
        (r'"\"100\""', "100"),
        ('"two words"', "two words"),
        ("[1,2]", [1, 2]),
        ("NaN", "NaN"),
        ("01", "01"),
    ],
)
def test_a_parameter_is_json_or_else_a_text(written: str, value: Any) -> None:
    assert parsed(f"parameters.amount={written}") == ProcessFilter(parameters=FrozenDict({"amount": value}))


def test_parameters_with_dots_in_their_names() -> None:
    assert dict(parsed("parameters.a.b=1 parameters.a=2").parameters) == {"a.b": 1, "a": 2}


def test_a_name_with_blanks_stands_in_quotes_too() -> None:
    written = r'state=Open parameters."Due date"="2031-12-24" parameters."say \"a=b\""=1 parameters."plain"=2'
    assert dict(parsed(written).parameters) == {"Due date": "2031-12-24", 'say "a=b"': 1, "plain": 2}
    assert parsed(written).state == "Open"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("status; DROP TABLE process=1", "unknown_field", "status;"),
        ("sort=1,2", "unknown_field", "unknown field 'sort'"),
        ("(CASE WHEN 1=1 THEN 1 END)=1", "unknown_field", "CASE WHEN"),
        ("stat=Error", "unknown_field", "did you mean 'state'"),
        ("scheme=order", "unknown_field", "did you mean 'scheme_code'"),
        ("Status=Error", "unknown_field", "did you mean 'status'"),
        ("parameters=1", "unknown_field", "did you mean 'parameters.'"),
        ("parameters.=1", "unknown_field", "parameters."),
        ("__class__=1", "unknown_field", "unknown field"),
        ("status=error", "bad_value", "did you mean 'Error'"),
        ("status=Error,", "bad_value", "Idled"),
        ("status=", "bad_value", "Idled"),
        ("parent_id=' OR 1=1--", "unknown_field", "OR 1"),
        ("parent_id='OR", "bad_value", "UUID"),
        ("parent_id=", "bad_value", "UUID"),
        ("updated_before=yesterday", "bad_value", "such as 1h"),
        ("updated_before=2031-01-01", "bad_value", "no time zone"),
        ("updated_before=1y", "bad_value", "such as 1h"),
        ("updated_before=-1h", "bad_value", "such as 1h"),
        ("updated_before=9000000d", "bad_value", "such as 1h"),
        ("updated_before=0001-01-01T00:00:00+14:00", "bad_value", "such as"),
        ("activity=A activity=B", "bad_value", "stands twice"),
        ("parameters.a=1 parameters.a=2", "bad_value", "stands twice"),
        ("status", "bad_filter", "field=value"),
        ("status = Error", "bad_filter", "field=value"),
        ('state="open', "bad_filter", "double quotes"),
        ('state="a"b', "bad_filter", "double quotes"),
        ('parameters."a"b=1', "bad_filter", "double quotes"),
        ('parameters."a b=1', "bad_filter", "double quotes"),
        ('parameters.""=1', "bad_value", "parameters"),
        ('parameters."a"=1 parameters.a=2', "bad_value", "stands twice"),
        ('"state"=1', "unknown_field", "unknown field"),
        ("state=a b", "bad_filter", "field=value"),
        ("parameters." + "x" * 201 + "=1", "bad_value", "parameters"),
        (" ".join(f"parameters.p{number}=1" for number in range(10_000)), "too_many", f"{LONGEST_FILTER}"),
        (" ".join(f"parameters.p{number}=1" for number in range(MOST_TERMS + 1)), "too_many", f"{MOST_TERMS}"),
        ("text=" + "%a" * 1000, "too_many", f"{LONGEST_TEXT}"),
        ("activity=\0", "bad_value", "no database stores"),
        ("activity=\ud800", "bad_value", "no database stores"),
    ],
)
def test_what_is_refused(text: str, code: str, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parsed(text)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "fields",
    [
        {"activity": 1},
        {"text": b"x"},
        {"status": "error"},
        {"status": 3},
        {"status": [None]},
        {"parent_id": 7},
        {"updated_before": datetime(2031, 1, 1)},
        {"updated_before": "1h"},
        {"parameters": [("a", 1)]},
        {"parameters": {"a": object()}},
        {"parameters": {str(number): 1 for number in range(MOST_TERMS + 1)}},
    ],
)
def test_in_python_values_are_checked_too(fields: dict[str, Any]) -> None:
    with pytest.raises(FilterError) as caught:
        ProcessFilter(**fields)
    assert caught.value.field == next(iter(fields))


def test_in_python_names_and_sequences_do() -> None:
    assert ProcessFilter(status="Error").statuses == (ProcessStatus.ERROR,)  # type: ignore[arg-type]
    assert ProcessFilter(status=["Error", ProcessStatus.IDLED]).statuses == (ProcessStatus.ERROR, ProcessStatus.IDLED)  # type: ignore[arg-type]
    assert ProcessFilter().statuses == ()
    assert ProcessFilter(status=()).statuses == ()
    assert ProcessFilter(parent_id=str(UUID(int=1))).parent_id == UUID(int=1)  # type: ignore[arg-type]
    zone = timezone(timedelta(hours=2))
    assert ProcessFilter(updated_before=NOW.astimezone(zone)) == ProcessFilter(updated_before=NOW)


def test_a_filter_keeps_its_own_copy_of_the_parameters() -> None:
    given_ = {"tags": ["a"]}
    wanted = ProcessFilter(parameters=FrozenDict(given_))
    given_["tags"].append("b")
    assert wanted.parameters["tags"] == ["a"]


@given(st.text(st.characters(), max_size=60))
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    with suppress(FilterError):
        assert isinstance(parsed(text), ProcessFilter)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60))
def test_any_quoted_name_comes_through_whole(name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    try:
        expected = ProcessFilter(parameters=FrozenDict({name: 1}))
    except FilterError:
        return
    assert parsed(f'parameters."{escaped}"=1') == expected


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60))
def test_any_quoted_value_comes_through_whole(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parsed(f'activity="{escaped}" state=x').activity == value
