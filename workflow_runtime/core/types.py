"""The types of parameters: their names, as schemes spell them and as we call them, and what fits them.

Law: a type has one name of ours; every accepted spelling leads to it, and ``written_type`` gives back
a spelling that leads to it again. A name that is not in the table is unknown (None), never guessed.

========================  ==============================================  =========
our name                  spellings (``System.`` may precede)             XML out
========================  ==============================================  =========
string                    String, Char, string, char                      String
int (64 bit)              Int64, long, int                                Int64
int8 .. int32             SByte, Int16, Int32, sbyte, short               Int32 ...
uint8 .. uint64           Byte, UInt16, UInt32, UInt64, byte, ushort ...  Byte ...
decimal                   Decimal, decimal                                Decimal
float                     Single, Double, float, double                   Double
bool                      Boolean, bool                                   Boolean
datetime                  DateTime, DateTimeOffset                        DateTime
timedelta                 TimeSpan                                        TimeSpan
uuid                      Guid                                            Guid
bytes                     Byte[]                                          Byte[]
any                       Object, DynamicParameter, object, dynamic       Object
list[T]                   T[], List<T>, IList<T>, IEnumerable<T> ...      List<T>
dict[T]                   Dictionary<String,T>, IDictionary<String,T>     Dictionary<String,T>
optional[T]               Nullable<T>, T?                                 T?
========================  ==============================================  =========

Our own names are spellings too, so plain ``int`` is 64 bit wide in XML and YAML alike. Assembly-qualified
names are cut at the first comma outside brackets; the back-tick generic form is read like ``<...>``.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from workflow_runtime.core.values import check_decimal, check_float, duration, in_utc, plain_json, quoted, refuse
from workflow_runtime.errors import ParameterError

LONGEST_NAME = 2_000  #: characters of a type as written; assembly-qualified names are long
DEEPEST_NAME = 16  #: brackets within brackets

_WRITTEN = {
    "string": "String",
    "int": "Int64",
    "int8": "SByte",
    "int16": "Int16",
    "int32": "Int32",
    "uint8": "Byte",
    "uint16": "UInt16",
    "uint32": "UInt32",
    "uint64": "UInt64",
    "decimal": "Decimal",
    "float": "Double",
    "bool": "Boolean",
    "datetime": "DateTime",
    "timedelta": "TimeSpan",
    "uuid": "Guid",
    "bytes": "Byte[]",
    "any": "Object",
}
_FRAMEWORK = {written: name for name, written in _WRITTEN.items() if name != "bytes"} | {
    "Char": "string",
    "Single": "float",
    "DateTimeOffset": "datetime",
}
_KEYWORDS = {
    "char": "string",
    "byte": "uint8",
    "sbyte": "int8",
    "short": "int16",
    "ushort": "uint16",
    "uint": "uint32",
    "long": "int",
    "ulong": "uint64",
    "double": "float",
    "object": "any",
    "dynamic": "any",
    "DynamicParameter": "any",
}
_PLAIN = {name: name for name in _WRITTEN} | _FRAMEWORK | _KEYWORDS
_GENERIC = {
    "list": "list",
    "dict": "dict",
    "optional": "optional",
    "Nullable": "optional",
    "Dictionary": "dict",
    "IDictionary": "dict",
} | dict.fromkeys(("List", "IList", "IEnumerable", "ICollection", "HashSet"), "list")

_WITH_KEY_TYPE = frozenset({"Dictionary", "IDictionary"})  #: keys are text in JSON, so our own dict[T] names none

_HEAD = re.compile(r"([A-Za-z_][\w.]*)(?:`[12])?", re.ASCII)
_NAMESPACE = re.compile(r"(?:System(?:\.Collections\.Generic)?|(?:\w+\.)*\w+(?=\.DynamicParameter$))\.", re.ASCII)
_OPENING = {"<": ">", "[": "]"}


def type_name(written: str) -> str | None:
    """Our name of a type in any accepted spelling; None when the spelling is unknown."""
    if len(written) > LONGEST_NAME or _depth(written) > DEEPEST_NAME:
        return None
    return _read(written)


def written_type(name: str) -> str:
    """The XML spelling of one of our names; ParameterError ``unknown_type`` for anything else."""
    if plain := _WRITTEN.get(name):
        return plain
    head, inner = _taken_apart(name)
    match head:
        case "list":
            return f"List<{written_type(inner)}>"
        case "dict":
            return f"Dictionary<String,{written_type(inner)}>"
        case "optional":
            return f"{written_type(inner)}?"
    raise unknown_type(name)


def convert(value: Any, name: str, *, zone: tzinfo = UTC) -> Any:
    """The value as the type wants it, from Python or from JSON; ``zone`` is that of naive datetimes.

    None fits optional[T] and any only. ParameterError ``wrong_type`` names the item that does not fit.
    """
    return _convert(value, name, zone, "")


def read_written(text: str, name: str, *, zone: tzinfo = UTC) -> Any:
    """An initial or default value as a scheme writes it: JSON, else a string; converted to the type.

    Under ``string`` the text itself is the value (``5`` is "5"), unless it is a JSON string in quotes.
    """
    return convert(_from_text(text, name), name, zone=zone)


def unknown_type(name: str) -> ParameterError:
    known = ", ".join([*_WRITTEN, "list[T]", "dict[T]", "optional[T]"])
    return ParameterError(f"there is no type {name[:200]!r}; use one of {known}", code="unknown_type", type=name[:200])


def _taken_apart(name: str) -> tuple[str, str]:
    head, bracket, rest = name.partition("[")
    return (head, rest[:-1]) if bracket and rest.endswith("]") else (name, "")


def _read(written: str) -> str | None:
    parts = _parts(written)
    text = parts[0] if parts else ""
    if text.endswith("?"):
        return _optional(_read(text[:-1]))
    if text.endswith("[]"):
        return _array(_read(text[:-2]))
    head = _HEAD.match(text)
    if head is None:
        return None
    word = _NAMESPACE.sub("", head[1], count=1) if _NAMESPACE.match(head[1]) else head[1]
    rest = text[head.end() :].strip()
    return _generic(word, rest) if rest else _PLAIN.get(word)


def _generic(word: str, brackets: str) -> str | None:
    kind = _GENERIC.get(word)
    if kind is None or _OPENING.get(brackets[0]) != brackets[-1]:
        return None
    *keys, name = [_read(_unwrapped(part)) for part in _parts(brackets[1:-1]) or ("",)]
    if name is None or keys != (["string"] if word in _WITH_KEY_TYPE else []):
        return None
    return _optional(name) if kind == "optional" else f"{kind}[{name}]"


def _unwrapped(argument: str) -> str:
    """Back-tick generics put each assembly-qualified argument into brackets of its own."""
    return argument[1:-1] if argument.startswith("[") and argument.endswith("]") else argument


def _optional(name: str | None) -> str | None:
    return name if name is None or name.startswith("optional[") else f"optional[{name}]"


def _array(name: str | None) -> str | None:
    if name == "uint8":
        return "bytes"
    return None if name is None else f"list[{name}]"


def _parts(text: str) -> list[str] | None:
    """The pieces between commas outside brackets, stripped; None when brackets do not match."""
    pieces, expected, start = [], list[str](), 0
    for place, sign in enumerate(text):
        if sign in _OPENING:
            expected.append(_OPENING[sign])
        elif sign in ">]" and (not expected or expected.pop() != sign):
            return None
        elif sign == "," and not expected:
            pieces.append(text[start:place].strip())
            start = place + 1
    return None if expected else [*pieces, text[start:].strip()]


def _depth(text: str) -> int:
    return max(_levels(text), default=0) + text.count("?") + text.count("[]")


def _levels(text: str) -> Iterator[int]:
    level = 0
    for sign in text:
        level += (sign in _OPENING) - (sign in ">]")
        yield level


def _from_text(text: str, name: str) -> Any:
    bare = name.removeprefix("optional[").removesuffix("]")
    if bare == "string" and not text.lstrip().startswith('"'):
        return None if name != "string" and text.strip() == "null" else text
    try:
        value = plain_json(text)
    except ParameterError as error:
        if error.code == "not_json":
            return text
        raise
    # A second reading keeps every digit: 0.10 must not pass through a binary fraction.
    return json.loads(text, parse_float=Decimal) if "decimal" in name else value


def _convert(value: Any, name: str, zone: tzinfo, where: str) -> Any:
    head, inner = _taken_apart(name)
    match head:
        case "optional":
            return None if value is None else _convert(value, inner, zone, where)
        case "list" if isinstance(value, (list, tuple)):
            return [_convert(item, inner, zone, f"{where}[{place}]") for place, item in enumerate(value)]
        case "dict" if isinstance(value, dict):
            return {key: _convert(item, inner, zone, f"{where}.{key}") for key, item in value.items()}
        case "list" | "dict":
            raise _wrong(value, name, where)
    reader = _CONVERTERS.get(name)
    if reader is None:
        raise unknown_type(name)
    try:
        return reader(value, zone)
    except (ValueError, TypeError, OverflowError, InvalidOperation) as error:
        raise _wrong(value, name, where) from error


def _wrong(value: Any, name: str, where: str) -> ParameterError:
    place = f"{where.removeprefix('.')}: " if where else ""
    form = f", {_FORMS[name]}" if name in _FORMS else ""
    message = f"{place}{quoted(value)} ({type(value).__name__}) does not fit the type {name}{form}"
    return ParameterError(message, code="wrong_type", expected=name, value=quoted(value))


_FORMS = {
    "decimal": 'a number or text such as "12.50"',
    "datetime": 'a datetime or RFC 3339 text such as "2031-12-24T09:00:00Z"',
    "timedelta": 'a timedelta or text such as "P1DT2H30M" or "1.02:30:00"',
    "uuid": "a UUID or its text of 36 characters",
    "bytes": "bytes or their base64 text",
}


def _exactly(*kinds: type) -> Callable[[Any, tzinfo], Any]:
    def check(value: Any, zone: tzinfo) -> Any:
        if isinstance(value, kinds):
            return value
        raise TypeError

    return check


def _integer(lowest: int, highest: int) -> Callable[[Any, tzinfo], Any]:
    def check(value: Any, zone: tzinfo) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        if not lowest <= value <= highest:
            refuse("number_out_of_range", f"{quoted(value)} is not between {lowest} and {highest}", limit=highest)
        return value

    return check


def _signed(bits: int) -> Callable[[Any, tzinfo], Any]:
    return _integer(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _unsigned(bits: int) -> Callable[[Any, tzinfo], Any]:
    return _integer(0, 2 ** min(bits, 63) - 1)  # what is stored ends at 63 bits


def _decimal(value: Any, zone: tzinfo) -> Decimal:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return check_decimal(Decimal(value))
    if isinstance(value, float):
        return check_decimal(Decimal(repr(value)))
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise TypeError
    return check_decimal(Decimal(value))


def _float(value: Any, zone: tzinfo) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise TypeError
    return check_float(float(value))


def _datetime(value: Any, zone: tzinfo) -> datetime:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        value = datetime.fromisoformat(value.upper())
    elif type(value) is date:
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise TypeError
    return in_utc(value if value.utcoffset() is not None else value.replace(tzinfo=zone))


def _timedelta(value: Any, zone: tzinfo) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise TypeError
    match = _CLOCK.fullmatch(value)
    if match is None:
        return duration(value)
    days, hours, minutes, seconds = (int(match[part] or 0) for part in ("days", "hours", "minutes", "seconds"))
    span = timedelta(days, seconds, int((match["fraction"] or "0").ljust(6, "0")[:6]), 0, minutes, hours)
    return -span if match["sign"] else span


def _uuid(value: Any, zone: tzinfo) -> UUID:
    return UUID(value) if isinstance(value, str) and _UUID.fullmatch(value) else _exactly(UUID)(value, zone)


def _bytes(value: Any, zone: tzinfo) -> bytes:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else _exactly(bytes)(value, zone)


_NUMBER = re.compile(r"[+-]?\d{1,1000}(\.\d{1,1000})?([eE][+-]?\d{1,9})?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)
_CLOCK = re.compile(
    r"(?P<sign>-?)((?P<days>\d{1,9})\.)?(?P<hours>[01]?\d|2[0-3]):(?P<minutes>[0-5]\d)(:(?P<seconds>[0-5]\d)(\.(?P<fraction>\d{1,9}))?)?", re.ASCII
)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)

_CONVERTERS: dict[str, Callable[[Any, tzinfo], Any]] = {
    "string": _exactly(str),
    "int": _signed(64),
    "int8": _signed(8),
    "int16": _signed(16),
    "int32": _signed(32),
    "uint8": _unsigned(8),
    "uint16": _unsigned(16),
    "uint32": _unsigned(32),
    "uint64": _unsigned(64),
    "decimal": _decimal,
    "float": _float,
    "bool": _exactly(bool),
    "datetime": _datetime,
    "timedelta": _timedelta,
    "uuid": _uuid,
    "bytes": _bytes,
    "any": _exactly(object),
}
