"""How one thing is spelled in XML, in YAML and in a Scheme.

| thing                                | XML             | YAML                 | Scheme          |
|--------------------------------------|-----------------|----------------------|-----------------|
| drawing attribute, style, provenance | FontSize        | font_size            | FontSize        |
| the same, other spelling             | fontSIZE        | "@fontSIZE"          | fontSIZE        |
| duration                             | 10m             | 10m                  | 600.0 seconds   |
| one-shot date                        | 12/24/2031      | 2031-12-24           | 2031-12-24      |
| recovery                             | activity:Name   | activity:Name        | Recovery        |
| parameter of a callable              | text or JSON    | text, mapping, list  | text; JSON without spaces |
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

from workflow_runtime.core.reading.json_text import parsed_value
from workflow_runtime.core.reading.neutral import WrittenFloat, canonical_json
from workflow_runtime.core.scheme_elements import Recovery
from workflow_runtime.core.scheme_words import RecoveryKind, TimerType

_SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*$")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

RECOVERIES = ("error", "terminated", "resume", "rerun", "delete", "activity:Name")


def snake(name: str) -> str:
    """NotSpecified -> not_specified."""
    return _HUMP.sub("_", name).lower()


def yaml_key(attribute: str, *, taken: frozenset[str] = frozenset()) -> str:
    """The key of a kept attribute; with ``@`` before it where the simple spelling would not lead back."""
    key = snake(attribute)
    return key if key not in taken and xml_name(key) == attribute else f"@{attribute}"


def xml_name(key: str) -> str:
    """The attribute that a key stands for."""
    if key.startswith("@"):
        return key[1:]
    return "".join(part.capitalize() for part in key.split("_")) if _SNAKE.match(key) else key


def generated_name(source: str, target: str, count: int) -> str:
    """The name of a transition that has none; ``count`` counts those between the two, from 1."""
    return f"{source}_{target}_{count}"


# ── durations ────────────────────────────────────────────────────────────────────────────────────────

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?(?:e-?[0-9]{1,3})?)(ms|s|m|h|d)\s*")


def seconds(written: str) -> float:
    """``1s``, ``10m``, ``1h 30m``; a bare number is seconds. Raises ValueError."""
    text = written.strip().lower()
    at, total = 0, 0.0
    if re.fullmatch(r"[0-9]{1,18}(?:\.[0-9]{1,18})?", text):
        text += "s"
    while (part := _PART.match(text, at)) is not None:
        total += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    if at == 0 or at < len(text) or not isfinite(total):
        raise ValueError(f"{written[:80]!r} is no duration")
    return total


def duration(value: float) -> str:
    """Seconds as people write them: in the largest unit that divides them, never losing a digit."""
    for unit in ("d", "h", "m", "s"):
        if value >= _UNITS[unit] and value % _UNITS[unit] == 0 and value < 1e15:
            return f"{int(value / _UNITS[unit])}{unit}"
    milliseconds = f"{round(value * 1000)}ms"
    return milliseconds if 0 < value < 1 and seconds(milliseconds) == value else f"{value!r}s".replace(".0s", "s").replace("e+", "e")


# ── dates of timers ──────────────────────────────────────────────────────────────────────────────────

_AMERICAN = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})((?: [0-9:.]+)?)$")
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})((?: [0-9:.]+)?)$")
_DATES = (TimerType.DATE, TimerType.DATE_AND_TIME)


def iso_date(kind: TimerType, value: str) -> str:
    """12/24/2031 09:00:00 -> 2031-12-24 09:00:00; anything else as it was."""
    return _AMERICAN.sub(r"\3-\1-\2\4", value) if kind in _DATES else value


def xml_date(kind: TimerType, value: str) -> str:
    """The way back, for tools that read no other form."""
    return _ISO.sub(r"\2/\3/\1\4", value) if kind in _DATES else value


# ── recovery ─────────────────────────────────────────────────────────────────────────────────────────


def recovery(written: str) -> Recovery:
    """Raises ValueError for what is none."""
    kind, colon, activity = written.partition(":")
    if kind == RecoveryKind.ACTIVITY and activity.strip():
        return Recovery(kind=RecoveryKind.ACTIVITY, activity=activity)
    if colon or kind == RecoveryKind.ACTIVITY:
        raise ValueError(f"{written[:80]!r} is no recovery")
    return Recovery(kind=RecoveryKind(kind))


# ── parameters of actions and conditions ─────────────────────────────────────────────────────────────


def parameter_text(written: str) -> str:
    """Text that is a JSON object or array loses its spaces, so that both formats hand over the same; other text stays."""
    if written.lstrip()[:1] not in ("{", "["):
        return written
    try:
        return canonical_json(parsed_value(written))
    except ValueError:
        return written


def parameter_value(text: str) -> Any:
    """A mapping or list to write in place of its JSON text, where reading it gives that text again; else the text."""
    if text[:1] not in ("{", "["):
        return text
    try:
        value = parsed_value(text)
    except ValueError:
        return text
    return _plain(value) if canonical_json(value) == text and _is_writable(value) else text


def _is_writable(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_writable, value.values()))
    if isinstance(value, list):
        return all(map(_is_writable, value))
    return not isinstance(value, WrittenFloat) or (repr(float(value)) == value.text and re.fullmatch(r"-?[0-9]+\.[0-9]+", value.text) is not None)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(_plain, value))
    return float(value) if isinstance(value, WrittenFloat) else value


_BARE = re.compile(r"(?:0|-?[1-9][0-9]{0,17}|true|false)$")


def bare_value(text: str) -> Any:
    """A number or truth value to write without quotes, where reading it gives the same text again; else as a parameter."""
    if _BARE.match(text):
        return text == "true" if text[-1] == "e" else int(text)
    if re.fullmatch(r"-?[0-9]{1,15}\.[0-9]{1,15}", text) and repr(float(text)) == text:
        return float(text)
    return parameter_value(text)
