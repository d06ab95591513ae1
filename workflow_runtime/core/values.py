"""Values that may be stored: parameters, inputs and results of journaled steps.

Law: what is stored is JSON, of a closed list of types, and comes back equal and with its type. Nothing
else is accepted, nothing is guessed, and no stored text names a class.

=====================================  ==============================  ==========================
Python                                 stored                          for people (``json_ready``)
=====================================  ==============================  ==========================
None, bool, str                        as JSON                         the same
int, -2**63 to 2**63 - 1               as JSON                         the same
float, finite                          as JSON                         the same
list, tuple (comes back as list)       array                           the same
dict with str keys                     object                          the same
dict with a key ``$``                  {"$": ["dict", {...}]}          object
Decimal, 1,000 digits each side        {"$": ["decimal", "1.50"]}      "1.50"
datetime, aware (comes back in UTC)    {"$": ["datetime", ...]}        "2031-12-24T08:00:00Z"
date, time without zone                {"$": ["date", ...]}            "2031-12-24", "08:00:00"
timedelta                              {"$": ["timedelta", ...]}       "P1DT2H3.5S"
UUID                                   {"$": ["uuid", ...]}            lower-case text
bytes                                  {"$": ["bytes", ...]}           base64
=====================================  ==============================  ==========================

Subclasses (an IntEnum, an OrderedDict) are stored as their base. Refusals are ParameterErrors with a code:
type_error, number_out_of_range, bad_character, bad_time, too_deep, too_large, too_many, bad_name,
and for JSON text from outside also not_json and duplicate_key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.errors import LONGEST_QUOTE, ParameterError

DEEPEST = 32  #: containers within containers, of one value
MOST_CONTAINERS = 200_000  #: more than 256 KiB can hold, so that lists shared a million times end with an error, not with the memory
INT_RANGE = range(-(2**63), 2**63)
DECIMAL_DIGITS = 1_000  #: before the point, and as many after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one process may bring. Sizes are bytes of the stored text in UTF-8."""

    parameters: int = 500
    name_characters: int = 200
    value_bytes: int = 256 * 1024
    process_bytes: int = 2 * 1024 * 1024
    json_bytes: int = 1024 * 1024  #: one JSON text from outside


LIMITS = Limits()


def encode(value: Any) -> str:
    """The stored text of one value or of a dict of parameters; the order of keys is kept."""
    return _DUMP(_Walk(DEEPEST + 1, tagged=True).form(value))  # one level more: the dict of the parameters itself


def decode(text: str) -> Any:
    """The value of a stored text. ParameterError ``unreadable`` when the text is not one of ours."""
    try:
        value = _LOAD(text)
        return _untagged(value) if '"$"' in text else value
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ParameterError(f"the stored value {quoted(text)} cannot be read: {error}", code="unreadable") from error


def json_ready(value: Any) -> Any:
    """The value as plain JSON for people and scripts: no tags, so types are not kept."""
    return _Walk(DEEPEST + 1, tagged=False).form(value)


def digest(value: Any) -> str:
    """SHA-256 (hexadecimal) of the stored form with sorted keys: equal values, equal digests."""
    form = _Walk(DEEPEST + 1, tagged=True).form(value)
    return hashlib.sha256(_DUMP_SORTED(form).encode()).hexdigest()


def check_parameters(parameters: Mapping[str, Any], *, limits: Limits = LIMITS) -> dict[str, Any]:
    """A deep private copy of the parameters, as they would be read back; ParameterError names the culprit.

    The limit per process is that of this mapping: hand in everything that the process will have.
    """
    if len(parameters) > limits.parameters:
        refuse(
            "too_many",
            f"{len(parameters)} parameters were given and {limits.parameters} are allowed; put related values into one dict",
            limit=limits.parameters,
        )
    for name in parameters:
        check_name(name, limits=limits)
    text = _encoded(parameters)
    if len(text) * (1 if text.isascii() else 4) > limits.value_bytes:  # small mappings need no closer look
        _check_sizes(parameters, text, limits)
    copy: dict[str, Any] = decode(text)
    return copy


def check_name(name: Any, *, limits: Limits = LIMITS) -> None:
    """A parameter name: 1 to 200 characters in NFC, no control or bidi characters, none of the names that mean something to other languages."""
    if type(name) is str and _ORDINARY_NAME.fullmatch(name) and len(name) <= limits.name_characters and "__" not in name and name not in _RESERVED_NAMES:
        return
    if not isinstance(name, str):
        refuse("bad_name", f"a parameter name must be text, not {quoted(name)} ({type(name).__name__})")
    _check_text(name)
    if flaw := _flaw_of_name(name, limits):
        refuse("bad_name", f"the parameter name {quoted(name)} {flaw}", parameter=name[:LONGEST_QUOTE])


def plain_json(text: str, *, limits: Limits = LIMITS) -> Any:
    """JSON text from outside, read strictly: no NaN, no Infinity, no duplicate key, depth 32, integers of 64 bit."""
    if len(text) > limits.json_bytes or len(text.encode(errors="replace")) > limits.json_bytes:
        refuse("too_large", f"the JSON text has more than {limits.json_bytes} bytes", limit=limits.json_bytes)
    try:
        value = _STRICT.decode(text)
    except json.JSONDecodeError as error:
        refuse("not_json", f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}", line=error.lineno, column=error.colno)
    except RecursionError:
        refuse("too_deep", f"the JSON text nests more than {DEEPEST} levels", limit=DEEPEST)
    return _Walk(DEEPEST, tagged=False).form(value)


def check_decimal(number: Decimal) -> Decimal:
    if not number.is_finite() or (number and (number.adjusted() >= DECIMAL_DIGITS or int(number.as_tuple().exponent) < -DECIMAL_DIGITS)):
        refuse("number_out_of_range", f"the decimal {quoted(number)} must be finite, with at most {DECIMAL_DIGITS} digits before and after the point")
    return number


def check_float(number: float) -> float:
    if not math.isfinite(number):
        refuse("number_out_of_range", f"the number {number!r} must be finite; use None or text for a missing number")
    return number


def check_int(number: int) -> int:
    if number not in INT_RANGE:
        refuse("number_out_of_range", f"the integer of {number.bit_length()} bits does not fit 64 bits with sign; use a Decimal")
    return number


def in_utc(moment: datetime) -> datetime:
    """The same instant in UTC; a naive datetime is refused, because it names no instant."""
    if moment.utcoffset() is None:
        refuse("type_error", f"the datetime {moment} has no time zone; add one, for instance tzinfo=timezone.utc")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        refuse("bad_time", f"the datetime {moment} is outside the years 1 to 9999 in UTC")


def duration_text(span: timedelta) -> str:
    """ISO 8601 in days and seconds, exact to the microsecond: ``P1DT7383.5S``."""
    sign, span = ("-", -span) if span < timedelta(0) else ("", span)
    fraction = f".{span.microseconds:06}".rstrip("0") if span.microseconds else ""
    clock = f"T{span.seconds}{fraction}S" if span.seconds or fraction or not span.days else ""
    return f"{sign}P{f'{span.days}D' if span.days else ''}{clock}"


_DURATION = re.compile(
    r"(?P<sign>-?)P(?:(?P<weeks>\d{1,9})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,11})H)?(?:(?P<minutes>\d{1,12})M)?(?:(?P<seconds>\d{1,14})(?:\.(?P<fraction>\d{1,9}))?S)?)?",
    re.ASCII,
)


def duration(text: str) -> timedelta:
    """The inverse of ``duration_text``; weeks, hours and minutes are read too. ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None or text.endswith("P"):
        raise ValueError(f"{quoted(text)} is no ISO 8601 duration such as P1DT2H30M")
    units = {unit: int(match[unit] or 0) for unit in ("weeks", "days", "hours", "minutes", "seconds")}
    span = timedelta(**units, microseconds=int((match["fraction"] or "0").ljust(6, "0")[:6]))
    return -span if match["sign"] else span


def quoted(value: Any) -> str:
    """A value for an error message, cut to what a line can bear."""
    try:
        text = repr(value)
    except Exception:  # a foreign __repr__ must not hide the error that is being reported
        text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 3]}..."


def refuse(code: str, message: str, **nouns: Any) -> NoReturn:
    raise ParameterError(message, code=code, **nouns)


class _Kind(NamedTuple):
    tag: str
    text: Callable[[Any], str]
    value: Callable[[str], Any]


def _time_text(value: time) -> str:
    if value.tzinfo is not None:
        refuse("type_error", f"the time {value} has a zone; store a datetime, or the time without zone")
    return value.isoformat()


_KINDS: dict[type, _Kind] = {
    Decimal: _Kind("decimal", lambda value: str(check_decimal(value)), Decimal),
    datetime: _Kind("datetime", lambda value: f"{datetime.isoformat(in_utc(value))[:-6]}Z", datetime.fromisoformat),
    date: _Kind("date", date.isoformat, date.fromisoformat),
    time: _Kind("time", _time_text, time.fromisoformat),
    timedelta: _Kind("timedelta", duration_text, duration),
    UUID: _Kind("uuid", str, UUID),
    bytes: _Kind("bytes", lambda value: base64.b64encode(value).decode(), lambda text: base64.b64decode(text, validate=True)),
}
_READERS = {kind.tag: kind.value for kind in _KINDS.values()}


class _Walk:
    """Turns one value into its JSON form, on the way checking all of it; the input is not changed."""

    __slots__ = ("_deepest", "_left", "_path", "_tagged")

    def __init__(self, deepest: int, *, tagged: bool) -> None:
        self._deepest = deepest
        self._left = MOST_CONTAINERS
        self._path: list[int] = []  # ids of the containers around the current value
        self._tagged = tagged

    def form(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return _check_text(value)
        if kind is int:
            return value if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF else check_int(value)
        if kind is bool or value is None:
            return value
        if kind is float:
            return check_float(value)
        if kind is dict:
            return self._object(value)
        if kind is list or kind is tuple:
            return self._array(value)
        return self._typed(kind, value)

    def _object(self, value: Mapping[Any, Any]) -> Any:
        self._enter(value)
        form = {_check_key(key): self.form(item) for key, item in value.items()}
        self._path.pop()
        return {"$": ["dict", form]} if self._tagged and "$" in form else form

    def _array(self, value: list[Any] | tuple[Any, ...]) -> list[Any]:
        self._enter(value)
        form = [self.form(item) for item in value]
        self._path.pop()
        return form

    def _typed(self, kind: type, value: Any) -> Any:
        if base := _KINDS.get(kind) or next((_KINDS[known] for known in _KINDS if isinstance(value, known)), None):
            return {"$": [base.tag, base.text(value)]} if self._tagged else base.text(value)
        for base_type, plain in _BASES.items():
            if isinstance(value, base_type):
                return self.form(plain(value))
        advice = "; use a list" if isinstance(value, (set, frozenset)) else ""
        return refuse("type_error", f"a value of type {kind.__name__} cannot be stored{advice}: {quoted(value)}", type=kind.__name__)

    def _enter(self, container: Any) -> None:
        if len(self._path) >= self._deepest:
            if id(container) in self._path:
                refuse("type_error", "the value contains itself; store a tree")
            refuse("too_deep", f"the value nests more than {DEEPEST} levels", limit=DEEPEST)
        self._path.append(id(container))
        self._left -= 1
        if self._left < 0:
            refuse("too_large", f"the value has more than {MOST_CONTAINERS} lists and dicts", limit=MOST_CONTAINERS)


# Of subclasses the value counts, not what the subclass adds.
_BASES: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    dict: lambda value: dict(value.items()),
    FrozenDict: dict,
    list: list,
    tuple: tuple,
}


def _check_text(text: str) -> str:
    if "\0" in text or (not text.isascii() and _SURROGATE.search(text)):
        refuse("bad_character", f"{quoted(text)} has a NUL character or half of a surrogate pair, which no database stores; remove it")
    return text


_SURROGATE = re.compile("[\ud800-\udfff]")


def _check_key(key: Any) -> str:
    if not isinstance(key, str):
        refuse("type_error", f"the key {quoted(key)} of a dict is of type {type(key).__name__}; JSON has only text keys")
    return _check_text(str.__str__(key))


_DUMP = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
_DUMP_SORTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"), sort_keys=True).encode
_LOAD = json.JSONDecoder().decode


def _untagged(form: Any) -> Any:
    """From the outside in, so that what an escaped dict contains is not taken for a tag."""
    if type(form) is list:
        return [_untagged(item) for item in form]
    if type(form) is not dict:
        return form
    if "$" not in form:
        return {key: _untagged(item) for key, item in form.items()}
    ((tag, content),) = form.values()
    if tag == "dict":
        return {key: _untagged(item) for key, item in content.items()}
    return _READERS[tag](content)


def _encoded(parameters: Mapping[str, Any]) -> str:
    try:
        return encode(dict(parameters))
    except ParameterError as error:
        raise _of_parameter(parameters, error) from error


def _of_parameter(parameters: Mapping[str, Any], error: ParameterError) -> ParameterError:
    """The same refusal with the name of the parameter; the second look costs only where something is wrong."""
    for name, value in parameters.items():
        try:
            _Walk(DEEPEST, tagged=True).form(value)
        except ParameterError as found:
            return ParameterError(f"parameter {name!r}: {found.message}", **found.nouns | {"parameter": name})
    return error


def _check_sizes(parameters: Mapping[str, Any], text: str, limits: Limits) -> None:
    for name, value in parameters.items():
        size = len(encode(value).encode())
        if size > limits.value_bytes:
            refuse("too_large", f"parameter {name!r} has {size} bytes and {limits.value_bytes} are allowed; store a reference to it", parameter=name)
    size = len(text.encode())
    if size > limits.process_bytes:
        refuse("too_large", f"the parameters of the process have {size} bytes together and {limits.process_bytes} are allowed", limit=limits.process_bytes)


_ORDINARY_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_RESERVED_NAMES = frozenset({"constructor", "prototype"})
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _flaw_of_name(name: str, limits: Limits) -> str:
    if not 1 <= len(name) <= limits.name_characters:
        return f"has {len(name)} characters; 1 to {limits.name_characters} are allowed"
    if name in _RESERVED_NAMES or (name.startswith("__") and name.endswith("__")):
        return "is reserved; choose another one"
    if any(sign in _BIDI or unicodedata.category(sign) in {"Cc", "Zl", "Zp"} for sign in name):
        return "has control characters, line breaks or marks of writing direction; remove them"
    if name != name.strip():
        return "begins or ends with a space; remove it"
    return "" if unicodedata.is_normalized("NFC", name) else "is not in the normal form NFC; normalize it before the call"


def _out_of_range(text: str) -> NoReturn:
    refuse("number_out_of_range", f"the number {quoted(text)} is no finite number that 64 bits can hold; send it as text")


def _strict_int(text: str) -> int:
    return check_int(int(text)) if len(text) <= 20 else _out_of_range(text)


def _strict_float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _out_of_range(text)


def _strict_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    form = dict(pairs)
    if len(form) != len(pairs):
        seen = set[str]()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        refuse("duplicate_key", f"the key {quoted(twice)} stands twice in one JSON object", key=twice[:LONGEST_QUOTE])
    return form


_STRICT = json.JSONDecoder(object_pairs_hook=_strict_object, parse_int=_strict_int, parse_float=_strict_float, parse_constant=_out_of_range)
