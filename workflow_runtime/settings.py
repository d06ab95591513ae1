"""The settings of one runtime: names, defaults, units and ranges.

Law: code wins over the environment, the environment over the default. Every value is checked, wherever
it came from, and a name that nobody knows is refused with a suggestion: a misspelt setting must not pass.

===================  ==========================================  =============================
kind of setting      in code                                     in the environment
===================  ==========================================  =============================
number               int or float, finite                        ``0.5``
count                int                                         ``8``
switch               bool                                        ``true``, ``false``, ``1``, ``0``
text                 str                                         as it is
duration             timedelta, or text as in the environment    ``30 days``, ``720h``, ``1d 12h``
===================  ==========================================  =============================

The variable of a setting is its name in capitals after ``WORKFLOW_RUNTIME_``; an empty one counts as not set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, NoReturn, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workflow_runtime.core.nearness import nearest
from workflow_runtime.core.timing import seconds as interval_seconds
from workflow_runtime.core.values import LIMITS, Limits, quoted
from workflow_runtime.errors import SettingsError, TimerValueError

__all__ = ["PREFIX", "Settings"]

_T = TypeVar("_T")

PREFIX = "WORKFLOW_RUNTIME_"

#: Variables with the prefix that are no settings: they are read elsewhere.
_OTHER_VARIABLES = frozenset({"PLUGINS_ALLOW", "PLUGINS_BLOCK"})

#: Lowest and highest value, both allowed; durations in days.
_RANGES: Mapping[str, tuple[float, float]] = {
    "beat": (0.01, 3_600),
    "lease": (0.1, 86_400),
    "sweep": (0.01, 3_600),
    "poll": (0.01, 3_600),
    "store_patience": (0, 3_600),
    "workers": (1, 1_000),
    "connections": (1, 1_000),
    "shutdown_grace": (0, 86_400),
    "max_automatic_steps": (1, 1_000_000),
    "max_recovery_attempts": (0, 1_000),
    "max_abandoned_actions": (1, 10_000),
    "restorer_timeout": (0.01, 3_600),
    "progress_warning": (0.1, 86_400),
    "idempotency_retention": (0, 36_500),
    "max_parameters": (0, 10_000),
    "max_name_characters": (1, 200),
    "max_value_bytes": (1_024, 64 * 1024 * 1024),
    "max_process_bytes": (1_024, 256 * 1024 * 1024),
    "max_json_bytes": (1_024, 256 * 1024 * 1024),
}

_CHOICES: Mapping[str, tuple[str, ...]] = {"sqlite_synchronous": ("FULL", "EXTRA", "NORMAL")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a runtime can be told about how to run. ``build`` reads the environment too; SettingsError where a value does not fit."""

    #: Database URL: ``sqlite:///...``, ``postgresql+psycopg://...`` or ``mysql+pymysql://...``.
    url: str = "sqlite:///workflow.db"
    #: Seconds between two signs of life of this server, 0.01 to 3600; a server alone on SQLite gives one per lease.
    beat: float = 0.5
    #: Seconds without a sign of life after which a server counts as dead, 0.1 to 86400 and more than three beats.
    lease: float = 5.0
    #: Seconds between two looks for processes that a dead server left, 0.01 to 3600.
    sweep: float = 0.25
    #: Seconds after which due timers are looked for even if none is known, 0.01 to 3600.
    poll: float = 5.0
    #: Seconds that a step in hand waits for a database that is away before it is broken off, 0 to 3600.
    store_patience: float = 30.0
    #: Threads for the work of timers, recovery and queued starts, 1 to 1000.
    workers: int = 8
    #: Connections to the database in use at once, 1 to 1000; those of a server's beats and messages come besides. SQLite has no such bound.
    connections: int = 20
    #: Seconds that ``shutdown`` waits for steps in flight, 0 to 86400.
    shutdown_grace: float = 10.0
    #: Whether ``start`` begins recovery; without it ``recover()`` does.
    auto_recover: bool = True
    #: Automatic walks without rest after which a process is broken off, 1 to 1000000.
    max_automatic_steps: int = 1_000
    #: Servers that may die in a row with the same step in flight before the process is broken off, 0 to 1000.
    max_recovery_attempts: int = 5
    #: Actions that were given up at their deadline and still run; with so many no further one begins that has a deadline, 1 to 10000.
    max_abandoned_actions: int = 100
    #: Seconds that a restorer may take for one answer, 0.01 to 3600.
    restorer_timeout: float = 5.0
    #: Seconds without progress after which a running step is warned of, 0.1 to 86400.
    progress_warning: float = 60.0
    #: Whether an action that nobody registered does nothing, with a warning, instead of being refused.
    ignore_missing_execution_items: bool = False
    #: How SQLite secures a commit: FULL, EXTRA, or NORMAL, which may lose the last commits at a power cut.
    sqlite_synchronous: str = "FULL"
    #: How long the answer to an idempotency key is kept after it was settled, 0 to 36500 days.
    idempotency_retention: timedelta = timedelta(days=30)
    #: IANA zone of timers that name none.
    time_zone: str = "UTC"
    #: Parameters of one process or call, 0 to 10000.
    max_parameters: int = LIMITS.parameters
    #: Characters of a parameter's name, 1 to 200.
    max_name_characters: int = LIMITS.name_characters
    #: Bytes of one parameter as stored, 1024 to 64 MiB.
    max_value_bytes: int = LIMITS.value_bytes
    #: Bytes of all parameters of a process as stored, 1024 to 256 MiB.
    max_process_bytes: int = LIMITS.process_bytes
    #: Bytes of one JSON text that comes from outside, 1024 to 256 MiB.
    max_json_bytes: int = LIMITS.json_bytes

    def __post_init__(self) -> None:
        for field in fields(self):
            checked = _CHECKS[str(field.type)](field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, checked)
        _check_relations(self)

    @classmethod
    def build(cls, environ: Mapping[str, str], /, **given: Any) -> Settings:
        """``given`` over what ``environ`` says over the defaults."""
        kinds = {field.name: str(field.type) for field in fields(cls)}
        _refuse_unknown(given, kinds)
        found = _from_environment(environ, kinds)
        return cls(**{**found, **given})

    @property
    def limits(self) -> Limits:
        """How much one process may bring, as the rules of parameters take it."""
        return Limits(
            parameters=self.max_parameters,
            name_characters=self.max_name_characters,
            value_bytes=self.max_value_bytes,
            process_bytes=self.max_process_bytes,
            json_bytes=self.max_json_bytes,
        )


def _refuse_unknown(names: Iterable[str], known: Iterable[str], prefix: str = "") -> None:
    for name in names:
        if name not in known:
            close = nearest(name, known)
            suggestion = prefix + close if close else ""
            hint = f"did you mean {suggestion!r}?" if close else "the reference of settings lists them all"
            raise SettingsError(f"there is no setting {prefix + name!r}; {hint}", setting=prefix + name, suggestion=suggestion)


def _from_environment(environ: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, Any]:
    found = {name.removeprefix(PREFIX): text.strip() for name, text in environ.items() if name.startswith(PREFIX)}
    told = {name: text for name, text in found.items() if name not in _OTHER_VARIABLES}
    _refuse_unknown(told, {name.upper() for name in kinds}, PREFIX)
    return {name: _READERS[kinds[name]](name, told[name.upper()]) for name in kinds if told.get(name.upper())}


def _refuse(name: str, value: Any, expected: str) -> NoReturn:
    raise SettingsError(f"{name} = {quoted(value)}: expected {expected}", setting=name, value=value)


def _read_number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        _refuse(name, text, "a number such as 0.5")


def _read_count(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        _refuse(name, text, "a whole number")


def _read_switch(name: str, text: str) -> bool:
    switches = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in switches:
        _refuse(name, text, "true, false, 1 or 0")
    return switches[text.lower()]


def _read_text(name: str, text: str) -> str:
    return text


def _read_duration(name: str, text: str) -> timedelta:
    if text.isdecimal():
        _refuse(name, text, "a duration with its unit, such as 30 days or 720h")
    try:
        return timedelta(seconds=interval_seconds(text))
    except (TimerValueError, OverflowError):
        _refuse(name, text, "a duration such as 30 days, 720h or 1d 12h")


#: By the annotation of the field: text of the environment -> value.
_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "float": _read_number,
    "int": _read_count,
    "bool": _read_switch,
    "str": _read_text,
    "timedelta": _read_duration,
}


def _check_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        _refuse(name, value, "a finite number")
    return float(_within(name, value, value))


def _check_count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse(name, value, "a whole number")
    return _within(name, value, value)


def _check_switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        _refuse(name, value, "True or False")
    return value


def _check_text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        _refuse(name, value, "a text that is not empty")
    if name in _CHOICES and value.upper() not in _CHOICES[name]:
        _refuse(name, value, f"one of {', '.join(_CHOICES[name])}")
    return value.upper() if name in _CHOICES else value


def _check_duration(name: str, value: Any) -> timedelta:
    span = _read_duration(name, value) if isinstance(value, str) else value
    if not isinstance(span, timedelta):
        _refuse(name, value, "a timedelta, or a text such as 30 days")
    return _within(name, span, span / timedelta(days=1), " days")


#: By the annotation of the field: value -> the same value, if it fits.
_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "float": _check_number,
    "int": _check_count,
    "bool": _check_switch,
    "str": _check_text,
    "timedelta": _check_duration,
}


def _within(name: str, value: _T, size: float, unit: str = "") -> _T:
    lowest, highest = _RANGES[name]
    if not lowest <= size <= highest:
        _refuse(name, value, f"{lowest:,} to {highest:,}{unit}")
    return value


def _check_relations(settings: Settings) -> None:
    """What two settings must be to each other, and what only the machine's zone data can tell."""
    if settings.lease <= 3 * settings.beat:
        _refuse("lease", settings.lease, f"more than three beats ({3 * settings.beat:g} seconds): two late beats must not look like a death")
    if settings.max_value_bytes > settings.max_process_bytes:
        _refuse("max_value_bytes", settings.max_value_bytes, f"at most max_process_bytes ({settings.max_process_bytes})")
    try:
        ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        _refuse("time_zone", settings.time_zone, "the name of a time zone such as Europe/Berlin")
