"""Cron patterns as cron means them, computed by APScheduler's trigger.

Law: five fields (minute, hour, day of month, month, day of week), matched on the wall clock of the zone;
the answer is an instant in UTC. APScheduler's own reading of a crontab differs, so no pattern reaches
it unread:

=======================  ===============================  ===========================================
pattern                  cron                             here
=======================  ===============================  ===========================================
day of week 0, 7, sun    Sunday (APScheduler: 0 = mon)    numbers become names
``1-5/2``, ``*/2``       steps from Monday, from Sunday   expanded to a list of names
``@daily`` and others    alias                            five aliases and two synonyms
day AND day of week      either of them (APScheduler:     refused: write two timers
                         both of them)
``0 0 30 2 *``           never                            None
L, W, #, ?, seconds      unknown                          refused
=======================  ===============================  ===========================================

Summer time: a local time that the clock jumps over fires one hour later on that day (02:30 becomes
03:30); one that happens twice fires twice.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, NoReturn

from apscheduler.triggers.cron import CronTrigger

from workflow_runtime.core.timing import named_zone
from workflow_runtime.core.values import quoted
from workflow_runtime.errors import LONGEST_QUOTE, TimerValueError

LONGEST_EXPRESSION = 400  #: characters; sixty minutes written one by one fit

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")  #: cron counts Sunday twice, as 0 and as 7
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class _Field(NamedTuple):
    label: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()  #: of the values from ``lowest`` on

    def number(self, word: str) -> int | None:
        if word in self.names:
            return self.lowest + self.names.index(word)
        return int(word) if word.isdigit() and self.lowest <= int(word) <= self.highest else None


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, MONTHS),
    _Field("day of week", 0, 7, DAYS),
)
_PART = re.compile(r"(?:\*|(?P<first>[0-9]{1,2}|[a-z]{3})(?:-(?P<last>[0-9]{1,2}|[a-z]{3}))?)(?:/(?P<step>[0-9]{1,2}))?")


def cron_next(expression: str, zone: str, after: datetime) -> datetime | None:
    """The first match strictly after ``after`` (aware), in UTC; None: there is none before the year 10000.

    TimerValueError ``bad_cron`` says which field is wrong, ``bad_zone`` that the IANA zone is unknown.
    """
    trigger = _trigger(expression.strip().lower(), zone)
    if trigger is None:
        return None
    try:
        found = trigger.get_next_fire_time(None, (after + timedelta(microseconds=1)).astimezone(trigger.timezone))
        return found.astimezone(UTC) if found else None
    except OverflowError:
        return None


@lru_cache(maxsize=1024)
def _trigger(expression: str, zone: str) -> CronTrigger | None:
    """None for days that no month has: the trigger would look for them up to the year 9999, for about a second."""
    values = _values(expression)
    if min(values[2] or [1]) > max(LONGEST_MONTHS[month - 1] for month in values[3] or range(1, 13)):
        return None
    minute, hour, day, month, weekday = (_joined(field, chosen) for field, chosen in zip(_FIELDS, values, strict=True))
    return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=named_zone(zone))


def _values(expression: str) -> list[list[int] | None]:
    """Per field the sorted values, None for all of them."""
    fields = ALIASES.get(expression, expression).split()
    if len(expression) > LONGEST_EXPRESSION or len(fields) != len(_FIELDS):
        aliases = ", ".join(ALIASES)
        _refuse(expression, f"five fields are expected (minute, hour, day of month, month, day of week) or one of {aliases}")
    values = [_field(expression, field, text) for field, text in zip(_FIELDS, fields, strict=True)]
    if values[2] is not None and values[4] is not None:
        _refuse(expression, "day of month and day of week together mean 'either' to cron and 'both' to others; use one of them, or two timers")
    return values


def _field(expression: str, field: _Field, text: str) -> list[int] | None:
    chosen = sorted({number for part in text.split(",") for number in _part(expression, field, part)})
    return None if text == "*" else chosen


def _part(expression: str, field: _Field, part: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        _refuse(expression, f"{quoted(part)} is no {field.label}; write *, a value, a range a-b, a list a,b or a step */n")
    first, last = _bounds(expression, field, match)
    step = int(match["step"] or 1)
    if not 1 <= step <= field.highest:
        _refuse(expression, f"the step of {quoted(part)} is not between 1 and {field.highest} ({field.label})")
    return range(first, last + 1, step)


def _bounds(expression: str, field: _Field, match: re.Match[str]) -> tuple[int, int]:
    if match["first"] is None:
        return field.lowest, 6 if field.names is DAYS else field.highest
    first = field.number(match["first"])
    last = field.number(match["last"]) if match["last"] else field.highest if match["step"] else first
    if match["last"] == "sun":
        last = 7  # sat-sun runs to the end of the week, not back to its beginning
    if first is None or last is None:
        _refuse(expression, f"{quoted(match[0])} has a value that is no {field.label}; {field.lowest} to {field.highest}{_names_of(field)} are allowed")
    if first > last:
        _refuse(expression, f"the range {quoted(match[0])} of the {field.label} runs backwards; write it as a list of two ranges")
    return first, last


def _names_of(field: _Field) -> str:
    return f" and {', '.join(dict.fromkeys(field.names))}" if field.names else ""


def _joined(field: _Field, chosen: list[int] | None) -> str:
    if chosen is None:
        return "*"
    return ",".join(dict.fromkeys(DAYS[number] if field.names is DAYS else str(number) for number in chosen))


def _refuse(expression: str, reason: str) -> NoReturn:
    raise TimerValueError(f"the cron pattern {quoted(expression)} cannot be read: {reason}", code="bad_cron", value=expression[:LONGEST_QUOTE])
