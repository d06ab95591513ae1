"""Timer values become due times: one test per row of the table, then zones, overrides and missed firings."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from workflow_runtime.core.arming import is_over, next_base
from workflow_runtime.core.scheme_elements import TimerSpec
from workflow_runtime.core.scheme_words import Missed, TimerType
from workflow_runtime.core.timing import (
    IMMEDIATE,
    NEVER,
    check_timer,
    due,
    is_too_late,
    reads_as_interval,
    rearms,
    written,
)
from workflow_runtime.errors import TimerValueError

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2031, 7, 1, 10, tzinfo=UTC)  # noon in Berlin


def hourly(expression: str, zone: str, after: datetime) -> datetime | None:
    """A cron of one pattern: the next full hour."""
    if expression == "never * * * *":
        return None
    if expression != "0 * * * *":
        raise TimerValueError(f"{expression!r} is no pattern", code="bad_cron", value=expression)
    return (after.astimezone(UTC) + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)


def nothing(name: str) -> Any:
    raise KeyError(name)


def spec(kind: TimerType, value: str = "1h", **more: Any) -> TimerSpec:
    return TimerSpec(name="t", type=kind, value=value, **more)


def due_of(kind: TimerType, value: str, *, now: datetime = NOW, zone: Any = UTC, **parameters: Any) -> datetime | None:
    return due(spec(kind), value, now, zone=zone, cron=hourly, lookup=parameters.__getitem__)


def refused(kind: TimerType, value: str, **more: Any) -> str:
    with pytest.raises(TimerValueError) as caught:
        check_timer(spec(kind, value, **more), hourly)
    return caught.value.code


@pytest.mark.parametrize("kind", list(TimerType))
def test_zero_is_now_and_minus_one_is_never(kind: TimerType) -> None:
    assert due_of(kind, IMMEDIATE) == NOW
    assert due_of(kind, NEVER) is None
    check_timer(spec(kind, " 0 "))
    check_timer(spec(kind, "-1"))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (TimerType.INTERVAL, "1d 12h", datetime(2031, 7, 2, 22, tzinfo=UTC)),
        (TimerType.TIME, "18:30:00", datetime(2031, 7, 1, 18, 30, tzinfo=UTC)),
        (TimerType.TIME, "9:00", datetime(2031, 7, 2, 9, tzinfo=UTC)),
        (TimerType.TIME, "10:00:00", datetime(2031, 7, 2, 10, tzinfo=UTC)),
        (TimerType.TIME, "10:00:00.5", datetime(2031, 7, 1, 10, 0, 0, 500_000, tzinfo=UTC)),
        (TimerType.TIME, "1m", datetime(2031, 7, 1, 10, 1, tzinfo=UTC)),
        (TimerType.DATE, "12/24/2031", datetime(2031, 12, 24, tzinfo=UTC)),
        (TimerType.DATE, "2031-12-24", datetime(2031, 12, 24, tzinfo=UTC)),
        (TimerType.DATE, "01/02/2020", datetime(2020, 1, 2, tzinfo=UTC)),
        (TimerType.DATE_AND_TIME, "12/24/2031 09:00:00", datetime(2031, 12, 24, 9, tzinfo=UTC)),
        (TimerType.DATE_AND_TIME, "2031-12-24 09:00:00", datetime(2031, 12, 24, 9, tzinfo=UTC)),
        (TimerType.DATE_AND_TIME, "2031-12-24T09:00:00.25Z", datetime(2031, 12, 24, 9, 0, 0, 250_000, tzinfo=UTC)),
        (TimerType.DATE_AND_TIME, "2031-12-24T9:00+02:00", datetime(2031, 12, 24, 7, tzinfo=UTC)),
        (TimerType.DATE_AND_TIME, "12/24/2031", datetime(2031, 12, 24, tzinfo=UTC)),
        (TimerType.CRON, "0 * * * *", datetime(2031, 7, 1, 11, tzinfo=UTC)),
        (TimerType.CRON, "never * * * *", None),
    ],
)
def test_each_type(kind: TimerType, value: str, expected: datetime | None) -> None:
    check_timer(spec(kind, value))
    found = due_of(kind, value)
    assert found == expected
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "given", "expected"),
    [
        ("@Due", datetime(2031, 12, 24, 9, tzinfo=UTC), datetime(2031, 12, 24, 9, tzinfo=UTC)),
        ("@Due", datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)),
        ("@Due", date(2031, 12, 24), datetime(2031, 12, 24, tzinfo=UTC)),
        ("@Due", timedelta(hours=-1), NOW - timedelta(hours=1)),
        ("@Due", 1500, NOW + timedelta(milliseconds=1500)),
        ("@Due * 1000", Decimal("1.5"), NOW + timedelta(milliseconds=1500)),
        ("@Due", 0, NOW),
        ("@Due", -1, None),
        ("@Due", None, None),
        ("@Due", "2h", NOW + timedelta(hours=2)),
        ("@Due", "2031-12-24", datetime(2031, 12, 24, tzinfo=UTC)),
        ("2031-12-24", None, datetime(2031, 12, 24, tzinfo=UTC)),
        ("60000", None, NOW + timedelta(minutes=1)),
    ],
)
def test_expressions(value: str, given: Any, expected: datetime | None) -> None:
    check_timer(spec(TimerType.EXPRESSION, value))
    assert due_of(TimerType.EXPRESSION, value, Due=given) == expected


@pytest.mark.parametrize("given", [True, [1], -5, "soon", "@Other", "0 * * * *", datetime(1, 1, 1, tzinfo=UTC)])
def test_expression_results_that_are_no_time(given: Any) -> None:
    with pytest.raises(TimerValueError):
        due_of(TimerType.EXPRESSION, "@Due", Due=given, Other=1)


def test_an_expression_that_fails_says_which() -> None:
    with pytest.raises(TimerValueError, match="the timer expression '@Missing'") as caught:
        due_of(TimerType.EXPRESSION, "@Missing")
    assert caught.value.code == "unknown_name"
    assert refused(TimerType.EXPRESSION, "__import__('os')").endswith("_forbidden")
    assert refused(TimerType.EXPRESSION, "@Due +").endswith("_forbidden")


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (TimerType.INTERVAL, "-1s", "bad_interval"),
        (TimerType.INTERVAL, "18:30:00", "bad_interval"),
        (TimerType.INTERVAL, "3wd", "not_supported"),
        (TimerType.TIME, "99:99:99", "bad_time"),
        (TimerType.TIME, "24:00:00", "bad_time"),
        (TimerType.DATE, "24/12/2031", "bad_time"),
        (TimerType.DATE, "02/30/2031", "bad_time"),
        (TimerType.DATE, "2031-12-24T09:00:00Z", "bad_time"),
        (TimerType.DATE, "1d", "bad_time"),
        (TimerType.DATE_AND_TIME, "12/24/2031 25:00:00", "bad_time"),
        (TimerType.DATE_AND_TIME, "12/24/10000 09:00:00", "bad_time"),
        (TimerType.DATE_AND_TIME, "0001-01-01T00:00:00Z", "bad_time"),
        (TimerType.DATE_AND_TIME, "9999-12-31T23:00:00-05:00", "bad_time"),
        (TimerType.DATE_AND_TIME, "2031-12-24T09:00:00+99:99", "bad_time"),
        (TimerType.DATE_AND_TIME, "", "bad_time"),
        (TimerType.CRON, "every day", "bad_cron"),
        (TimerType.CRON, "1h", "bad_cron"),
        (TimerType.CRON, "never * * * *", "never_fires"),
    ],
)
def test_bad_definitions_are_refused_when_loaded(kind: TimerType, value: str, code: str) -> None:
    assert refused(kind, value) == code


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../../etc/passwd", "/etc/localtime", "Europe", "a\0b"])
def test_unknown_zones(zone: str) -> None:
    assert refused(TimerType.TIME, "09:00:00", time_zone=zone) == "bad_zone"


def test_only_cron_fires_for_every_missed_time() -> None:
    assert refused(TimerType.TIME, "09:00:00", missed=Missed.FIRE_ALL) == "bad_missed"
    check_timer(spec(TimerType.CRON, "0 * * * *", missed=Missed.FIRE_ALL), hourly)


def test_an_interval_under_time_works_and_is_reported() -> None:
    assert reads_as_interval(spec(TimerType.TIME, "1m"))
    assert not any(reads_as_interval(spec(TimerType.TIME, value)) for value in ("18:30:00", "0", "-1", "noon"))
    assert not reads_as_interval(spec(TimerType.INTERVAL, "1m"))


def test_the_zone_of_the_timer_goes_before_that_of_the_runtime() -> None:
    tokyo = spec(TimerType.TIME, time_zone="Asia/Tokyo")
    at = due(tokyo, "20:00:00", NOW, zone=BERLIN, cron=hourly, lookup=nothing)
    assert at == datetime(2031, 7, 1, 11, tzinfo=UTC)
    assert due_of(TimerType.TIME, "18:30:00", zone=BERLIN) == datetime(2031, 7, 1, 16, 30, tzinfo=UTC)
    assert due_of(TimerType.DATE, "12/24/2031", zone=BERLIN) == datetime(2031, 12, 23, 23, tzinfo=UTC)
    assert due_of(TimerType.DATE_AND_TIME, "2031-12-24T09:00:00Z", zone=BERLIN) == datetime(2031, 12, 24, 9, tzinfo=UTC)


def test_today_is_the_day_of_the_zone() -> None:
    late = datetime(2031, 7, 1, 22, 30, tzinfo=UTC)  # 00:30 of the next day in Berlin
    assert due_of(TimerType.TIME, "09:00:00", now=late, zone=BERLIN) == datetime(2031, 7, 2, 7, tzinfo=UTC)


def test_cron_gets_the_name_of_the_zone() -> None:
    seen = []

    def cron(expression: str, zone: str, after: datetime) -> datetime | None:
        seen.append((expression, zone, after))
        return None

    def ask(zone: Any, **more: Any) -> None:
        due(spec(TimerType.CRON, **more), "0 9 * * *", NOW, zone=zone, cron=cron, lookup=nothing)

    ask(UTC)
    ask(BERLIN)
    ask(BERLIN, time_zone="Asia/Tokyo")
    assert seen == [("0 9 * * *", name, NOW) for name in ("UTC", "Europe/Berlin", "Asia/Tokyo")]
    with pytest.raises(TimerValueError, match="no IANA name"):
        ask(timezone(timedelta(hours=2)))


def test_months_are_counted_on_the_calendar_of_the_zone() -> None:
    winter = datetime(2031, 3, 15, 8, tzinfo=UTC)
    assert due_of(TimerType.INTERVAL, "1mm", now=winter, zone=BERLIN) == datetime(2031, 4, 15, 7, tzinfo=UTC)


def test_a_time_that_the_clock_jumps_over_is_due_one_hour_later() -> None:
    before = datetime(2031, 3, 30, 0, 30, tzinfo=BERLIN)
    first = due_of(TimerType.TIME, "02:30:00", now=before, zone=BERLIN)
    assert first == datetime(2031, 3, 30, 3, 30, tzinfo=BERLIN)
    assert due_of(TimerType.TIME, "02:30:00", now=first, zone=BERLIN) == datetime(2031, 3, 31, 2, 30, tzinfo=BERLIN)


def test_a_time_that_happens_twice_is_due_once() -> None:
    before = datetime(2031, 10, 26, 0, 0, tzinfo=BERLIN)
    first = due_of(TimerType.TIME, "02:30:00", now=before, zone=BERLIN)
    assert first == datetime(2031, 10, 26, 0, 30, tzinfo=UTC)
    assert due_of(TimerType.TIME, "02:30:00", now=first, zone=BERLIN) == datetime(2031, 10, 27, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("kind", list(TimerType))
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("later", None),
        ("  2h ", NOW + timedelta(hours=2)),
        (90_000, NOW + timedelta(seconds=90)),
        (0, NOW),
        (timedelta(minutes=5), NOW + timedelta(minutes=5)),
        (timedelta(microseconds=1501), NOW + timedelta(microseconds=1501)),
        (timedelta(days=999_999), NOW + timedelta(days=999_999)),
        (datetime(2031, 12, 24, 9, tzinfo=BERLIN), datetime(2031, 12, 24, 8, tzinfo=UTC)),
        (datetime(2000, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)),
        (date(2031, 12, 24), datetime(2031, 12, 24, tzinfo=UTC)),
        ("12/24/2031 09:00:00", datetime(2031, 12, 24, 9, tzinfo=UTC)),
        ("18:30:00", datetime(2031, 7, 1, 18, 30, tzinfo=UTC)),
    ],
)
def test_an_explicit_value_of_any_kind_serves_under_any_type(kind: TimerType, value: Any, expected: datetime | None) -> None:
    if expected is None:
        with pytest.raises(TimerValueError):
            due_of(kind, written(value))
    else:
        assert due_of(kind, written(value)) == expected


def test_an_explicit_value_becomes_an_expression_or_a_pattern_under_such_timers_only() -> None:
    for kind in (TimerType.INTERVAL, TimerType.TIME, TimerType.DATE, TimerType.DATE_AND_TIME, TimerType.CRON):
        with pytest.raises(TimerValueError):
            due_of(kind, "@Due", Due=NOW)
    with pytest.raises(TimerValueError):
        due_of(TimerType.INTERVAL, "0 * * * *")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (-2, "bad_interval"),
        (timedelta(seconds=-1), "bad_interval"),
        (True, "bad_value"),
        (1.5, "bad_value"),
        (None, "bad_value"),
        (datetime(2031, 1, 1), "bad_time"),
    ],
)
def test_explicit_values_that_are_no_timer_values(value: Any, code: str) -> None:
    with pytest.raises(TimerValueError) as caught:
        written(value)
    assert caught.value.code == code


def test_which_types_are_armed_again() -> None:
    assert {kind for kind in TimerType if rearms(kind)} == {TimerType.INTERVAL, TimerType.TIME, TimerType.CRON}


def test_skip_lets_go_what_is_later_than_allowed() -> None:
    late = NOW + timedelta(seconds=61)
    skip = spec(TimerType.CRON, missed=Missed.SKIP)
    assert is_too_late(skip, NOW, late)
    assert not is_too_late(skip, NOW, NOW + timedelta(seconds=60))
    assert not is_too_late(spec(TimerType.CRON, missed=Missed.SKIP, late_after=3600.0), NOW, late)
    assert is_too_late(spec(TimerType.CRON, missed=Missed.SKIP, late_after=0.0), NOW, NOW + timedelta(microseconds=1))
    assert not is_too_late(spec(TimerType.CRON), NOW, NOW + timedelta(days=9))


@pytest.mark.parametrize(
    ("kind", "hours", "over"),
    [
        (TimerType.DATE_AND_TIME, -2, True),
        (TimerType.DATE_AND_TIME, 1, False),
        (TimerType.INTERVAL, -2, True),
        (TimerType.INTERVAL, 1, False),
        (TimerType.CRON, -1, False),
    ],
)
def test_a_moment_is_over_when_it_is_no_later_than_the_one_that_fired(kind: TimerType, hours: int, over: bool) -> None:
    assert is_over(spec(kind), NOW + timedelta(hours=hours), NOW - timedelta(hours=2), NOW) is over
    assert not is_over(spec(kind), NOW + timedelta(hours=hours), None, NOW)
    assert not is_over(spec(kind), None, NOW, NOW)


def test_what_was_fired_before_its_time_is_over_only_if_it_comes_once() -> None:
    early = NOW + timedelta(hours=1)
    assert is_over(spec(TimerType.DATE), early, early, NOW)
    assert not is_over(spec(TimerType.TIME), early, early, NOW)


def test_fire_all_owes_each_missed_time_and_fire_once_only_one() -> None:
    def firings(policy: Missed) -> list[datetime]:
        timer, row, now, fired = spec(TimerType.CRON, "0 * * * *", missed=policy), NOW, NOW + timedelta(hours=3, minutes=5), []
        while row <= now:
            fired.append(row)
            following = due(timer, timer.value, next_base(timer, row, now), zone=UTC, cron=hourly, lookup=nothing)
            assert following is not None
            row = following
        return fired

    assert firings(Missed.FIRE_ALL) == [NOW + timedelta(hours=hours) for hours in range(4)]
    assert firings(Missed.FIRE_ONCE) == [NOW]
