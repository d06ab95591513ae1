"""Cron patterns as cron means them, in a zone with summer time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from workflow_runtime.core.scheme_elements import TimerSpec
from workflow_runtime.core.scheme_words import TimerType
from workflow_runtime.core.timing import check_timer
from workflow_runtime.engine.cron import cron_next
from workflow_runtime.errors import TimerValueError

BERLIN = ZoneInfo("Europe/Berlin")
SATURDAY = datetime(2031, 5, 31, 12, tzinfo=UTC)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def fires(expression: str, after: datetime, zone: str = "UTC") -> Iterator[datetime]:
    while found := cron_next(expression, zone, after):
        yield found
        after = found


def first(count: int, expression: str, after: datetime = SATURDAY, zone: str = "UTC") -> list[datetime]:
    return list(itertools.islice(fires(expression, after, zone), count))


def weekdays(expression: str) -> list[str]:
    """The days of one week from a Sunday on."""
    week = itertools.takewhile(lambda moment: moment < SATURDAY + timedelta(days=7), fires(expression, SATURDAY))
    return [DAYS[moment.weekday()] for moment in week]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("0", ["Sun"]),
        ("7", ["Sun"]),
        ("sun", ["Sun"]),
        ("SUN", ["Sun"]),
        ("1", ["Mon"]),
        ("6", ["Sat"]),
        ("1-5", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("mon-fri", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("5-7", ["Sun", "Fri", "Sat"]),
        ("sat-sun", ["Sun", "Sat"]),
        ("*/2", ["Sun", "Tue", "Thu", "Sat"]),
        ("1-5/2", ["Mon", "Wed", "Fri"]),
        ("0,3,7", ["Sun", "Wed"]),
        ("0-7", ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]),
    ],
)
def test_days_of_the_week_are_those_of_cron(field: str, expected: list[str]) -> None:
    assert weekdays(f"0 0 * * {field}") == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", datetime(2031, 5, 31, 12, 1, tzinfo=UTC)),
        ("*/15 * * * *", datetime(2031, 5, 31, 12, 15, tzinfo=UTC)),
        ("5/20 * * * *", datetime(2031, 5, 31, 12, 5, tzinfo=UTC)),
        ("0 9-17/4 * * *", datetime(2031, 5, 31, 13, tzinfo=UTC)),
        ("30 8,20 * * *", datetime(2031, 5, 31, 20, 30, tzinfo=UTC)),
        ("0 0 15 * *", datetime(2031, 6, 15, tzinfo=UTC)),
        ("0 0 31 * *", datetime(2031, 7, 31, tzinfo=UTC)),
        ("0 0 1 jan *", datetime(2032, 1, 1, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2032, 2, 29, tzinfo=UTC)),
        ("0 0 * 9-nov *", datetime(2031, 9, 1, tzinfo=UTC)),
        ("@yearly", datetime(2032, 1, 1, tzinfo=UTC)),
        ("@monthly", datetime(2031, 6, 1, tzinfo=UTC)),
        ("@weekly", datetime(2031, 6, 1, tzinfo=UTC)),
        ("@Daily", datetime(2031, 6, 1, tzinfo=UTC)),
        ("  @hourly ", datetime(2031, 5, 31, 13, tzinfo=UTC)),
    ],
)
def test_the_first_match(expression: str, expected: datetime) -> None:
    found = cron_next(expression, "UTC", SATURDAY)
    assert found == expected
    assert found is not None
    assert found.tzinfo is UTC


def test_a_match_is_strictly_after() -> None:
    noon = datetime(2031, 5, 31, 12, tzinfo=UTC)
    assert cron_next("0 12 * * *", "UTC", noon - timedelta(microseconds=1)) == noon
    assert cron_next("0 12 * * *", "UTC", noon) == noon + timedelta(days=1)
    assert cron_next("0 12 * * *", "UTC", noon + timedelta(microseconds=1)) == noon + timedelta(days=1)


def test_what_was_missed_is_found_from_its_own_time() -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    assert cron_next("0 12 * * *", "UTC", long_ago) == datetime(2001, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 * * * * *", "five fields"),
        ("@reboot", "five fields"),
        ("60 * * * *", "no minute; 0 to 59"),
        ("* 24 * * *", "no hour"),
        ("* * 0 * *", "no day of month"),
        ("* * 32 * *", "no day of month"),
        ("* * * 13 *", "no month; 1 to 12 and jan, feb"),
        ("* * * mon *", "no month"),
        ("* * * * 8", "no day of week; 0 to 7 and sun, mon"),
        ("* * * * jan", "no day of week"),
        ("-1 * * * *", "is no minute"),
        ("1,,2 * * * *", "is no minute"),
        ("1- * * * *", "is no minute"),
        ("*/0 * * * *", "the step of"),
        ("*/70 * * * *", "the step of"),
        ("30-10 * * * *", "runs backwards"),
        ("0 0 * * fri-mon", "runs backwards"),
        ("0 0 L * *", "is no day of month"),
        ("0 0 15W * *", "is no day of month"),
        ("0 0 last * *", "is no day of month"),
        ("0 0 * * 1#2", "is no day of week"),
        ("0 0 ? * *", "is no day of month"),
        ("٣ * * * *", "is no minute"),
        ("0 0 13 * 5", "use one of them"),
        ("0 0 */2 * 1", "use one of them"),
        ("0," * 500 + "0 * * * *", "five fields"),
    ],
)
def test_patterns_that_are_refused_say_why(expression: str, reason: str) -> None:
    with pytest.raises(TimerValueError) as caught:
        cron_next(expression, "UTC", SATURDAY)
    assert caught.value.code == "bad_cron"
    assert reason in str(caught.value)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../UTC", "", "Europe"])
def test_an_unknown_zone(zone: str) -> None:
    with pytest.raises(TimerValueError) as caught:
        cron_next("* * * * *", zone, SATURDAY)
    assert caught.value.code == "bad_zone"


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *"])
def test_b55_what_never_fires(expression: str) -> None:
    assert cron_next(expression, "Europe/Berlin", SATURDAY) is None
    with pytest.raises(TimerValueError) as caught:
        check_timer(TimerSpec(name="t", type=TimerType.CRON, value=expression), cron_next)
    assert caught.value.code == "never_fires"


def test_the_end_of_the_calendar() -> None:
    assert cron_next("0 0 1 1 *", "Asia/Tokyo", datetime(9999, 6, 1, tzinfo=UTC)) is None
    assert cron_next("* * * * *", "Asia/Tokyo", datetime(9999, 12, 31, 23, tzinfo=UTC)) is None


def test_the_wall_clock_of_the_zone_counts() -> None:
    assert first(2, "0 9 * * *", datetime(2031, 1, 1, tzinfo=UTC), "Europe/Berlin")[0] == datetime(2031, 1, 1, 8, tzinfo=UTC)
    assert first(1, "0 9 * * *", datetime(2031, 7, 1, tzinfo=UTC), "Europe/Berlin") == [datetime(2031, 7, 1, 7, tzinfo=UTC)]


def test_a_time_that_the_clock_jumps_over_fires_one_hour_later() -> None:
    found = first(3, "30 2 * * *", datetime(2031, 3, 29, tzinfo=UTC), "Europe/Berlin")
    assert found == [datetime(2031, 3, 29, 1, 30, tzinfo=UTC), datetime(2031, 3, 30, 1, 30, tzinfo=UTC), datetime(2031, 3, 31, 0, 30, tzinfo=UTC)]


def test_a_time_that_happens_twice_fires_twice() -> None:
    found = first(4, "30 2 * * *", datetime(2031, 10, 25, tzinfo=UTC), "Europe/Berlin")
    assert found == [
        datetime(2031, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2031, 10, 26, 0, 30, tzinfo=UTC),
        datetime(2031, 10, 26, 1, 30, tzinfo=UTC),
        datetime(2031, 10, 27, 1, 30, tzinfo=UTC),
    ]


@pytest.mark.parametrize("start", [datetime(2031, 3, 29, 12, tzinfo=UTC), datetime(2031, 10, 25, 12, tzinfo=UTC)])
def test_fires_rise_strictly_through_a_change_of_the_clock(start: datetime) -> None:
    found = first(200, "*/15 * * * *", start, "Europe/Berlin")
    assert {later - earlier for earlier, later in itertools.pairwise(found)} == {timedelta(minutes=15)}


def test_the_wall_clock_shows_the_pattern_on_ordinary_days() -> None:
    for moment in first(100, "20 10 * * 1-5", zone="Europe/Berlin"):
        local = moment.astimezone(BERLIN)
        assert (local.hour, local.minute) == (10, 20)
        assert local.weekday() < 5
