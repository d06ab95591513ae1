"""Timer values: a text as written becomes a due time.

Law: ``due`` is the only place where a timer value meets a clock, and the clock is an argument. A due
time is an instant in UTC; what a person writes without a zone is meant in the timer's zone.

=============  ==============================================  ==========================================  =========
type           value                                           due                                         re-armed
=============  ==============================================  ==========================================  =========
any            ``0``                                           now                                         by type
any            ``-1``                                          never, until a value is set                 by type
Interval       milliseconds, or a sum such as ``1d 12h``       now + value; months by the calendar of      yes
                                                               the zone, the day clamped to the month
Time           ``18:30:00`` (or an interval, with a warning)   that time today, tomorrow if past or now    yes
Date           ``12/24/2031``, ``2031-12-24``                  midnight of that date                       no
DateAndTime    the same with ``09:00:00``; ISO with offset     that instant; a past one stays past         no
Expression     a datetime, a number of ms, a timedelta, text   as computed; null: never                    no
Cron           five fields, in the timer's zone                the next match strictly after now           yes
=============  ==============================================  ==========================================  =========

An explicit value (the parameter ``TimerValue_<timer>``) may be of another kind than the definition: the
timer's own type is tried first, then the plain kinds: interval, date, date and time, time of day. Under
Expression the plain kinds come first, or ``2031-12-24`` would be a subtraction. A value from a parameter
becomes an expression or a cron pattern only under a timer of that type.

Summer time: a local time that the clock jumps over is due as much later (02:30
becomes 03:30); one that happens twice is due at its first pass only. Days and smaller units are fixed lengths (a day is
24 hours). Due times lie in the years 1900 to 9999.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workflow_runtime.core.expression import Expression, Lookup, compile_expression
from workflow_runtime.core.scheme_elements import TimerSpec
from workflow_runtime.core.scheme_words import Missed, TimerType
from workflow_runtime.core.values import quoted
from workflow_runtime.errors import LONGEST_QUOTE, EvaluationError, ExpressionError, TimerValueError

IMMEDIATE = "0"
NEVER = "-1"
LATE_AFTER = timedelta(seconds=60)  #: with ``skip`` and no ``late_after``
EARLIEST_YEAR = 1900  #: a due time before it is a forgotten default such as 0001-01-01, not a wish

OUTSIDE = f"is outside the years {EARLIEST_YEAR} to 9999; correct the date"

CronNext = Callable[[str, str, datetime], datetime | None]
"""(expression, IANA zone, after) -> the next match strictly after, aware UTC; None: never; TimerValueError: unreadable."""

_UNITS = {
    **dict.fromkeys(("d", "day", "days"), 86_400_000_000),
    **dict.fromkeys(("h", "hour", "hours"), 3_600_000_000),
    **dict.fromkeys(("m", "minute", "minutes"), 60_000_000),
    **dict.fromkeys(("s", "second", "seconds"), 1_000_000),
    "ms": 1_000,
}
_MONTHS = {**dict.fromkeys(("y", "year", "years"), 12), **dict.fromkeys(("mm", "month", "months"), 1)}
_WORKING = frozenset({"wy", "wmm", "wd", "wh", "wm", "ws"})
_TERM = re.compile(r"\s*([0-9]{1,18})(\.[0-9]{1,6})?\s*([A-Za-z]+)")
_DATE = r"(?:(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})|(?P<iso>\d{4}-\d\d-\d\d))"
_DATE_ONLY = re.compile(_DATE, re.ASCII)
_DATE_AND_TIME = re.compile(_DATE + r"(?:[Tt ]+(?P<clock>\d{1,2}:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s*(?P<offset>[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?)?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?", re.ASCII)
_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)  #: for checks that must not depend on the day they are made


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A positive span: calendar months (a year is twelve) and then a fixed number of microseconds."""

    months: int = 0
    microseconds: int = 0

    def after(self, now: datetime) -> datetime:
        """Now plus the interval, in UTC; months are counted on the calendar of the zone that ``now`` carries."""
        try:
            start = _plus_months(now, self.months) if self.months else now
            return start.astimezone(UTC) + timedelta(microseconds=self.microseconds)
        except (OverflowError, ValueError) as error:
            raise TimerValueError(f"{now} plus {self} is beyond the year 9999; take a shorter interval", code="bad_interval", value=str(self)) from error

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.months}mm" * bool(self.months), _in_ms(self.microseconds) * bool(self.microseconds)) if part)


def parse_interval(text: str) -> Interval:
    """``90000`` (milliseconds), ``1d 12h``, ``1y6mm``, ``1.5h``; TimerValueError ``bad_interval`` or ``not_supported``."""
    text = text.strip()
    terms = [(text, "ms")] if text.isascii() and text.isdigit() and len(text) <= 18 else _terms(text)
    months = sum(_months(text, number, _MONTHS[unit]) for number, unit in terms if unit in _MONTHS)
    interval = Interval(months=months, microseconds=sum(_microseconds(number, _UNITS[unit]) for number, unit in terms if unit in _UNITS))
    if not interval.months and not interval.microseconds:
        _refuse("bad_interval", text, "is no time at all; only a bare 0 (at once) and a bare -1 (never) are special")
    try:
        interval.after(datetime(EARLIEST_YEAR, 1, 1, tzinfo=UTC))  # beyond the year 9999 from there is beyond it from everywhere
    except TimerValueError as error:
        raise _complaint("bad_interval", text, "leads beyond the year 9999; take a shorter interval") from error
    return interval


def seconds(text: str) -> float:
    """An interval of fixed length in seconds, as delays and ``late_after`` need it; months have no fixed length."""
    interval = parse_interval(text)
    if interval.months:
        _refuse("bad_interval", text, "has months or years, whose length is not fixed; write days")
    return interval.microseconds / 1_000_000


def check_timer(spec: TimerSpec, cron: CronNext | None = None, *, now: datetime | None = None) -> None:
    """Refuses a definition that can never be armed; with ``now`` also one that is beyond the year 9999 from there."""
    zone = zone_of(spec, UTC)
    if spec.missed is Missed.FIRE_ALL and spec.type is not TimerType.CRON:
        _refuse("bad_missed", spec.value, "cannot be fired for every missed time: fire_all is for Cron timers; use fire_once or skip")
    text = spec.value.strip()
    if text in (IMMEDIATE, NEVER):
        return
    moment = _Moment(now=(now or _ANY_MOMENT).astimezone(zone), zone_name=_zone_name(zone) if spec.type is TimerType.CRON else "", cron=cron or _no_cron)
    match spec.type:
        case TimerType.CRON if cron and cron(text, moment.zone_name, moment.now) is None:
            _refuse("never_fires", text, "matches no day of any year; correct its day or month")
        case TimerType.EXPRESSION:
            _as_plain(text, moment, otherwise=partial(_evaluated, only_compile=True))
        case TimerType.TIME:
            _first_that_reads(text, moment, (_as_time, _as_interval))
        case TimerType.INTERVAL | TimerType.DATE | TimerType.DATE_AND_TIME:
            _first_that_reads(text, moment, (_OWN[spec.type],))


def reads_as_interval(spec: TimerSpec) -> bool:
    """Whether a Time timer has an interval as its value: that works, and deserves a warning."""
    if spec.type is not TimerType.TIME or spec.value.strip() in (IMMEDIATE, NEVER) or _CLOCK.fullmatch(spec.value.strip()):
        return False
    try:
        parse_interval(spec.value)
    except TimerValueError:
        return False
    return True


def due(spec: TimerSpec, value: str, now: datetime, *, zone: tzinfo, cron: CronNext, lookup: Lookup) -> datetime | None:
    """When the timer is due, in UTC; None: never.

    ``value`` is the effective value, explicit or of the definition. ``now`` is aware: the time of arming, or
    ``arming.next_base`` of a firing. ``zone`` counts where the timer names none. An unreadable value is a TimerValueError.
    """
    text = value.strip()
    local = zone_of(spec, zone)
    moment = _Moment(now=now.astimezone(local), zone_name=_zone_name(local) if spec.type is TimerType.CRON else "", cron=cron, lookup=lookup)
    if spec.type is TimerType.EXPRESSION:
        return _as_plain(text, moment, otherwise=_as_expression)
    return _as_plain(text, moment, first=_OWN[spec.type])


def written(value: Any) -> str:
    """An explicit value as text that ``due`` understands: text, integer milliseconds, timedelta, date or aware datetime."""
    match value:
        case str():
            return value.strip()
        case bool():
            pass
        case int() if value >= -1:
            return str(value)
        case timedelta() if value >= timedelta(0):
            return _in_ms(value // timedelta(microseconds=1)) if value else IMMEDIATE
        case int() | timedelta():
            _refuse("bad_interval", str(value), "is negative; only -1 (never) may be")
        case datetime():
            return check_due(value).isoformat()
        case date():
            return value.isoformat()
    advice = "a timer value is text, integer milliseconds, a timedelta or an aware datetime"
    raise _complaint("bad_value", quoted(value), f"is of type {type(value).__name__}; {advice}")


def check_due(moment: datetime) -> datetime:
    """A due time that was handed in, in UTC; naive ones and those outside the years 1900 to 9999 are ``bad_time``."""
    if moment.utcoffset() is None:
        _refuse("bad_time", str(moment), "has no time zone; add one, for instance tzinfo=timezone.utc")
    try:
        in_utc = moment.astimezone(UTC)
    except OverflowError:
        in_utc = None
    if in_utc is None or in_utc.year < EARLIEST_YEAR:
        _refuse("bad_time", str(moment), OUTSIDE)
    return in_utc


def zone_of(spec: TimerSpec, default: tzinfo) -> tzinfo:
    return named_zone(spec.time_zone) if spec.time_zone else default


def named_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; TimerValueError ``bad_zone`` when it is unknown."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise TimerValueError(f"there is no time zone {quoted(name)}; write an IANA name such as Europe/Berlin", code="bad_zone", value=name) from error


def rearms(kind: TimerType) -> bool:
    """Whether a timer that could not be taken is armed again; a one-shot is dropped."""
    return kind in (TimerType.INTERVAL, TimerType.TIME, TimerType.CRON)


def is_too_late(spec: TimerSpec, due: datetime, now: datetime) -> bool:
    """Whether the missed policy lets this firing go: it is armed again (where its type is) and not fired."""
    late_after = LATE_AFTER if spec.late_after is None else timedelta(seconds=spec.late_after)
    return spec.missed is Missed.SKIP and now - due > late_after


def _no_lookup(name: str) -> NoReturn:
    raise KeyError(name)


def _no_cron(expression: str, zone: str, after: datetime) -> NoReturn:
    _refuse("bad_cron", expression, "is a cron pattern, and none can be read here")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    now: datetime  #: in the timer's zone
    zone_name: str
    cron: CronNext
    lookup: Lookup = _no_lookup


Reader = Callable[[str, _Moment], datetime | None]


def _as_plain(text: str, moment: _Moment, *, first: Reader | None = None, otherwise: Reader | None = None) -> datetime | None:
    if text == IMMEDIATE:
        return moment.now.astimezone(UTC)
    if text == NEVER:
        return None
    readers = [reader for reader in (first, *_PLAIN, otherwise) if reader]
    return _first_that_reads(text, moment, tuple(readers), final=-1 if otherwise else 0)


def _first_that_reads(text: str, moment: _Moment, readers: tuple[Reader, ...], *, final: int = 0) -> datetime | None:
    """Nobody can read it: the complaint of the reader that was meant, at index ``final``."""
    complaints: list[TimerValueError] = []
    for reader in readers:
        try:
            return reader(text, moment)
        except TimerValueError as complaint:
            complaints.append(complaint)
        except OverflowError:
            complaints.append(_complaint("bad_time", text, OUTSIDE))
    raise complaints[final]


def _as_interval(text: str, moment: _Moment) -> datetime:
    return parse_interval(text).after(moment.now)


def _as_date(text: str, moment: _Moment) -> datetime:
    match = _DATE_ONLY.fullmatch(text)
    if match is None:
        _refuse("bad_time", text, "is no date; write 12/24/2031 (month first) or 2031-12-24, and use DateAndTime for a time of day")
    return _wall(_day(text, match), time(), moment)


def _as_date_and_time(text: str, moment: _Moment) -> datetime:
    match = _DATE_AND_TIME.fullmatch(text)
    if match is None:
        _refuse("bad_time", text, "is no date and time; write 12/24/2031 09:00:00 (month first) or 2031-12-24T09:00:00Z")
    day, clock, offset = _day(text, match), _clock(match["clock"] or "0:00"), match["offset"]
    return check_due(datetime.fromisoformat(f"{day}T{clock}{offset.upper()}")) if offset else _wall(day, clock, moment)


def _as_time(text: str, moment: _Moment) -> datetime:
    clock, today = _clock(text), moment.now.date()
    candidate = _wall(today, clock, moment)
    return candidate if candidate > moment.now else _wall(today + timedelta(days=1), clock, moment)


def _as_expression(text: str, moment: _Moment) -> datetime | None:
    result = _evaluated(text, moment)
    if isinstance(result, timedelta):
        return check_due(moment.now.astimezone(UTC) + result)
    if isinstance(result, datetime) and result.utcoffset() is None:
        result = result.replace(tzinfo=moment.now.tzinfo)
    if isinstance(result, (float, Decimal)):
        result = int(result)
    return None if result is None else _as_plain(written(result), moment)


def _evaluated(text: str, moment: _Moment, *, only_compile: bool = False) -> Any:
    try:
        expression = _compiled(text)
        return None if only_compile else expression.evaluate(moment.lookup, now=moment.now)
    except (ExpressionError, EvaluationError) as error:
        raise TimerValueError(f"the timer expression {quoted(text)}: {error.message}", code=error.code, value=text[:LONGEST_QUOTE]) from error


@lru_cache(maxsize=512)
def _compiled(source: str) -> Expression:
    return compile_expression(source)


_OWN: dict[TimerType, Reader] = {
    TimerType.INTERVAL: _as_interval,
    TimerType.TIME: _as_time,
    TimerType.DATE: _as_date,
    TimerType.DATE_AND_TIME: _as_date_and_time,
    TimerType.CRON: lambda text, moment: moment.cron(text, moment.zone_name, moment.now),
}
_PLAIN: tuple[Reader, ...] = (_as_interval, _as_date, _as_date_and_time, _as_time)


def _terms(text: str) -> list[tuple[str, str]]:
    terms, place = [], 0
    while term := _TERM.match(text, place):
        terms.append((f"{term[1]}{term[2] or ''}", term[3].lower()))
        place = term.end()
    if not terms or place != len(text):
        _refuse("bad_interval", text, "is no interval; write milliseconds, or a sum of y mm d h m s ms such as 1d 12h")
    _check_units(text, {unit for _, unit in terms})
    return terms


def _check_units(text: str, units: set[str]) -> None:
    if unknown := units - _UNITS.keys() - _MONTHS.keys() - _WORKING:
        _refuse("bad_interval", text, f"has the unknown unit {min(unknown)}; use y mm d h m s ms (mm are months, m are minutes)")
    if units & _WORKING and units - _WORKING:
        _refuse("bad_interval", text, "mixes working time with plain time; use the units of one family")
    if units & _WORKING:
        _refuse("not_supported", text, "counts working time; working calendars are not executed yet, so write plain units")


def _months(text: str, number: str, each: int) -> int:
    if "." in number:
        _refuse("bad_interval", text, "has a part of a month or year, whose length is not fixed; write days")
    return int(number) * each


def _plus_months(now: datetime, months: int) -> datetime:
    year, month = divmod(now.year * 12 + now.month - 1 + months, 12)
    longest = calendar.monthrange(year, month + 1)[1]  # 31 January plus one month is the last of February
    return now.replace(year=year, month=month + 1, day=min(now.day, longest), fold=0)


def _microseconds(number: str, each: int) -> int:
    """In integers: a Decimal would be rounded by the precision that the host has set."""
    whole, _, part = number.partition(".")
    return int(whole) * each + int(part.ljust(6, "0")) * each // 1_000_000


def _in_ms(microseconds: int) -> str:
    return f"{microseconds // 1_000}.{microseconds % 1_000:03}ms".replace(".000ms", "ms")


def _day(text: str, match: re.Match[str]) -> date:
    try:
        return date.fromisoformat(match["iso"]) if match["iso"] else date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        _refuse("bad_time", text, "names a day that is in no calendar; the month comes first in 12/24/2031")


def _clock(text: str) -> time:
    match = _CLOCK.fullmatch(text)
    try:
        hour, minute, second, fraction = match.groups(default="0") if match else ("24", "0", "0", "0")
        return time(int(hour), int(minute), int(second), int(fraction.ljust(6, "0")[:6]))
    except ValueError:
        _refuse("bad_time", text, "is no time of day; write 18:30:00, from 00:00:00 to 23:59:59")


def _wall(day: date, clock: time, moment: _Moment) -> datetime:
    """The instant when a clock on the wall of the zone shows this (the first one, if it does so twice)."""
    return check_due(datetime.combine(day, clock, tzinfo=moment.now.tzinfo))


def _zone_name(zone: tzinfo) -> str:
    name = getattr(zone, "key", "UTC" if zone is UTC else "")
    if not name:
        _refuse("bad_zone", str(zone), "has no IANA name, which cron needs; use ZoneInfo, such as ZoneInfo('Europe/Berlin')")
    return str(name)


def _complaint(code: str, value: str, message: str) -> TimerValueError:
    return TimerValueError(f"the timer value {quoted(value)} {message}", code=code, value=value[:LONGEST_QUOTE])


def _refuse(code: str, value: str, message: str) -> NoReturn:
    raise _complaint(code, value, message)
