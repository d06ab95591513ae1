"""Intervals: a sum of units, months by the calendar, everything else a fixed length."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import localcontext
from zoneinfo import ZoneInfo

import pytest

from workflow_runtime.core.scheme_elements import TimerSpec
from workflow_runtime.core.scheme_words import TimerType
from workflow_runtime.core.timing import Interval, check_timer, parse_interval, seconds
from workflow_runtime.errors import TimerValueError

BERLIN = ZoneInfo("Europe/Berlin")
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "months", "microseconds"),
    [
        ("90000", 0, 90 * SECOND),
        ("1ms", 0, 1_000),
        ("1", 0, 1_000),
        ("1s", 0, SECOND),
        ("1d 12h", 0, 36 * 3600 * SECOND),
        ("1D12H", 0, 36 * 3600 * SECOND),
        (" 2 days  3 Hours 4 minutes 5 seconds ", 0, (2 * 86400 + 3 * 3600 + 4 * 60 + 5) * SECOND),
        ("1y 6mm", 18, 0),
        ("1 year 1 MONTH 1m", 13, 60 * SECOND),
        ("1.5h", 0, 5400 * SECOND),
        ("0.25ms", 0, 250),
        ("0h 5m", 0, 300 * SECOND),
    ],
)
def test_intervals(text: str, months: int, microseconds: int) -> None:
    assert parse_interval(text) == Interval(months=months, microseconds=microseconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1s",
        "0s",
        "00",
        "0",
        "-1",
        "-5",
        "1e400s",
        "P1000000Y",
        "99:99:99",
        "s",
        "1x",
        "1h foo",
        "1h,5m",
        "1.5mm",
        "٣s",
        "+5",
        "1 2",
        "9" * 19,
        "8100y",
        "99999999999d",
    ],
)
def test_b54_bad_intervals(text: str) -> None:
    with pytest.raises(TimerValueError) as caught:
        parse_interval(text)
    assert caught.value.code == "bad_interval"
    assert caught.value.value == text


def test_working_units_are_known_and_not_executed() -> None:
    with pytest.raises(TimerValueError, match="not executed yet") as caught:
        parse_interval("2wd 4wh")
    assert caught.value.code == "not_supported"
    with pytest.raises(TimerValueError, match="mixes") as caught:
        parse_interval("1wd 2h")
    assert caught.value.code == "bad_interval"


def test_an_unknown_unit_is_named_with_the_known_ones() -> None:
    with pytest.raises(TimerValueError, match="unknown unit min; use y mm d h m s ms"):
        parse_interval("5min")


def test_seconds_for_delays() -> None:
    assert seconds("1m 30s") == 90.0
    assert seconds("1ms") == 0.001
    with pytest.raises(TimerValueError, match="write days"):
        seconds("1mm")


@pytest.mark.parametrize(
    ("start", "text", "end"),
    [
        (datetime(2031, 1, 31, 9, tzinfo=UTC), "1mm", datetime(2031, 2, 28, 9, tzinfo=UTC)),
        (datetime(2032, 1, 31, 9, tzinfo=UTC), "1mm", datetime(2032, 2, 29, 9, tzinfo=UTC)),
        (datetime(2032, 2, 29, 9, tzinfo=UTC), "1y", datetime(2033, 2, 28, 9, tzinfo=UTC)),
        (datetime(2031, 11, 30, 9, tzinfo=UTC), "2mm 1d", datetime(2032, 1, 31, 9, tzinfo=UTC)),
        (datetime(2031, 12, 31, 9, tzinfo=UTC), "12mm", datetime(2032, 12, 31, 9, tzinfo=UTC)),
    ],
)
def test_months_follow_the_calendar(start: datetime, text: str, end: datetime) -> None:
    assert parse_interval(text).after(start) == end


def test_months_keep_the_wall_clock_of_the_zone_and_days_are_24_hours() -> None:
    winter = datetime(2031, 3, 15, 9, tzinfo=BERLIN)
    assert parse_interval("1mm").after(winter) == datetime(2031, 4, 15, 9, tzinfo=BERLIN)
    assert parse_interval("31d").after(winter) == datetime(2031, 4, 15, 10, tzinfo=BERLIN)
    assert parse_interval("1mm").after(winter).tzinfo is UTC


def test_an_interval_beyond_the_year_9999_is_refused_from_there() -> None:
    late = datetime(9998, 6, 1, tzinfo=UTC)
    for text in ("2y", "800d"):
        with pytest.raises(TimerValueError) as caught:
            parse_interval(text).after(late)
        assert caught.value.code == "bad_interval"
        with pytest.raises(TimerValueError):
            check_timer(TimerSpec(name="t", type=TimerType.INTERVAL, value=text), now=late)


def test_the_decimal_precision_of_the_host_rounds_nothing() -> None:
    with localcontext(prec=2):
        assert parse_interval("123456.789s") == Interval(microseconds=123_456_789_000)
        assert str(Interval(months=1, microseconds=123_456_789)) == "1mm 123456.789ms"
