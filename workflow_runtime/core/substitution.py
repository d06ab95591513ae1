"""``@Name`` in the parameters of actions, conditions and rules: what becomes of it, and nothing else.

The law: a text is read once, from left to right; what was put in is not read again. A name that is not
known stays as it was written; a format that does not fit the value is an error.

    @Name  @(Name)              the value as text; the longest declared name wins
    @Order.Total                a key of a dictionary; where Order is none, the dot is punctuation (@Id.pdf)
    @Name:json  @(Name:json)    the value as JSON, quotes included
    @(Name:.2F)                 a number with so many decimals (0 to 20), half away from zero
    @(Name:yyyy-MM-dd HH:mm)    a datetime in UTC: yyyy MM dd HH mm ss, the letters T and Z, any punctuation
    @@                          one @
    {"Subject": "on @Title"}    JSON: only its strings are filled (``fill``), a quote in a title breaks nothing
    me@example.org              an @ behind a letter, digit or underscore is text

    text of                     is
    null, true, false           empty, true, false
    numbers                     plain digits, never an exponent
    datetime                    RFC 3339 in UTC: 2031-12-24T08:00:00Z
    time span                   d.hh:mm:ss, with a fraction where there is one: 1.02:30:00
    uuid, bytes                 lower-case text, base64
    lists and dictionaries      compact JSON; within it the forms of ``core.values.json_ready``
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from workflow_runtime.core.expression import Lookup
from workflow_runtime.core.expression_values import MISSING, Kind, exact, kind, member, number, rounded
from workflow_runtime.core.expression_words import DeclaredNames, identifier_end
from workflow_runtime.core.values import json_ready
from workflow_runtime.errors import EvaluationError, ParameterError

__all__ = ["LONGEST_RESULT", "fill", "substitute", "text_of"]

LONGEST_RESULT = 2 << 20  #: characters; as much as all parameters of a process together

_DECIMALS = re.compile(r"\.([0-9]{1,2})[Ff]")
_MOST_DECIMALS = 20
_DATE_LETTERS = {"yyyy": "{0.year:04}", "MM": "{0.month:02}", "dd": "{0.day:02}", "HH": "{0.hour:02}", "mm": "{0.minute:02}", "ss": "{0.second:02}"}
_DATE_FORMAT = re.compile(r"(?:yyyy|MM|dd|HH|mm|ss|[TZ]|[^\w{}])+", re.ASCII)


class _Mention(NamedTuple):
    """One ``@...`` in a text."""

    name: str
    parts: tuple[str, ...]
    ends: tuple[int, ...]  #: offsets behind the name and behind each part
    format: str
    end: int | None  #: offset behind all of it; None without brackets: it ends where the value ends


def substitute(text: str, lookup: Lookup, *, names: Collection[str] = ()) -> str:
    """The text with its mentions replaced; ``names`` are those declared, ``lookup`` raises KeyError for an unknown one.

    :raises EvaluationError: bad_format, number_out_of_range, type_clash (a value that has no text), too_long.
    """
    return _Reader(text, lookup, names).result() if "@" in text else text


def fill(text: str, lookup: Lookup, *, names: Collection[str] = ()) -> str:
    """As ``substitute``; of a text that is JSON only the strings are filled, so that no value can break it."""
    if "@" not in text or text.lstrip()[:1] not in ("{", "["):
        return substitute(text, lookup, names=names)
    try:
        document = json.loads(text)
    except ValueError:  # {"Amount": @Amount} becomes JSON only by being filled
        return substitute(text, lookup, names=names)
    return json.dumps(_filled(document, lookup, names), ensure_ascii=False, separators=(",", ":"))


def _filled(document: Any, lookup: Lookup, names: Collection[str]) -> Any:
    match document:
        case str():
            return substitute(document, lookup, names=names)
        case dict():
            return {key: _filled(value, lookup, names) for key, value in document.items()}
        case list():
            return [_filled(value, lookup, names) for value in document]
    return document


def text_of(value: Any) -> str:
    """The value as text, by the table at the head of this module."""
    match kind(value):
        case Kind.NULL:
            return ""
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case Kind.TEXT:
            return str.__str__(value)
        case Kind.NUMBER:
            return f"{exact(number(value)):f}"
        case Kind.SPAN:
            return _span_text(value)
        case Kind.LIST | Kind.MAPPING:
            return _json(value)
    plain = _plain(value)
    assert isinstance(plain, str)  # datetime, uuid, bytes
    return plain


def _span_text(span: timedelta) -> str:
    sign, span = ("-", -span) if span < timedelta(0) else ("", span)
    minutes, seconds = divmod(span.seconds, 60)
    fraction = f".{span.microseconds:06}".rstrip("0") if span.microseconds else ""
    return f"{sign}{span.days}.{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{fraction}"


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    try:
        return json_ready(value)
    except ParameterError as error:
        raise EvaluationError(f"the value has no text: {error.message}", code="type_clash") from error


def _formatted(value: Any, form: str, name: str) -> str:
    if form == "json":
        return _json(value)
    if not form or value is None:
        return text_of(value)
    if (decimals := _DECIMALS.fullmatch(form)) and int(decimals[1]) <= _MOST_DECIMALS and kind(value) is Kind.NUMBER:
        return f"{rounded(value, int(decimals[1])):f}"
    if _DATE_FORMAT.fullmatch(form) and isinstance(value, datetime):
        return _dated(value, form)
    expected = "json, .2F for a number, or letters such as yyyy-MM-dd HH:mm:ss for a datetime"
    raise EvaluationError(f"the format {form[:40]!r} does not fit {name!r}, which is {kind(value)}; expected {expected}", code="bad_format", parameter=name)


def _dated(moment: datetime, form: str) -> str:
    _plain(moment)  # refuses one that names no instant
    moment = moment.astimezone(UTC)
    return re.sub("|".join(_DATE_LETTERS), lambda found: _DATE_LETTERS[found[0]].format(moment), form)


class _Reader:
    def __init__(self, text: str, lookup: Lookup, names: Collection[str]) -> None:
        self.text = text
        self.lookup = lookup
        self.declared = DeclaredNames(names)
        self.out: list[str] = []
        self.size = 0

    def result(self) -> str:
        at = 0
        while (sign := self.text.find("@", at)) >= 0:
            self._put(self.text[at:sign])
            at = self._mention(sign)
        self._put(self.text[at:])
        return "".join(self.out)

    def _put(self, piece: str) -> None:
        self.size += len(piece)
        if self.size > LONGEST_RESULT:
            raise EvaluationError(f"the text would have more than {LONGEST_RESULT} characters; mention fewer or smaller values", code="too_long")
        self.out.append(piece)

    def _mention(self, sign: int) -> int:
        """Put what the @ at this offset stands for; the offset at which to read on."""
        if self.text.startswith("@@", sign):
            self._put("@")
            return sign + 2
        if not self._behind_word(sign) and (mention := self._parsed(sign)) and (found := self._resolved(mention)):
            value, end = found
            self._put(value)
            return end
        self._put("@")
        return sign + 1

    def _behind_word(self, sign: int) -> bool:
        return sign > 0 and (self.text[sign - 1].isalnum() or self.text[sign - 1] == "_")

    def _parsed(self, sign: int) -> _Mention | None:
        bracket = self.text.startswith("(", sign + 1)
        name, end = self._name(sign + 1 + bracket)
        parts, ends = list[str](), [end]
        while self.text.startswith(".", end) and (part_end := identifier_end(self.text, end + 1)) > end + 1:
            parts.append(unicodedata.normalize("NFC", self.text[end + 1 : part_end]))
            ends.append(end := part_end)
        plain = _Mention(name=name, parts=tuple(parts), ends=tuple(ends), format="", end=None)
        return None if not name else self._in_brackets(plain) if bracket else plain

    def _name(self, at: int) -> tuple[str, int]:
        if found := self.declared.find(self.text, at):
            return found
        end = identifier_end(self.text, at)
        return unicodedata.normalize("NFC", self.text[at:end]), end

    def _in_brackets(self, mention: _Mention) -> _Mention | None:
        behind = mention.ends[-1]
        closing = self.text.find(")", behind)
        if closing < 0 or (closing > behind and self.text[behind] != ":"):
            return None
        return mention._replace(format=self.text[behind + 1 : closing], end=closing + 1)

    def _resolved(self, mention: _Mention) -> tuple[str, int] | None:
        """The text of a mention and the offset behind it; None where a name or key is not known."""
        try:
            value = self.lookup(mention.name)
        except KeyError:
            return None
        followed = 0
        while followed < len(mention.parts) and kind(value) is Kind.MAPPING:
            value = member(value, mention.parts[followed])
            followed += 1
        if value is MISSING or (mention.end is not None and followed < len(mention.parts)):
            return None
        end, form = self._ending(mention, followed)
        return _formatted(value, form, mention.name), end

    def _ending(self, mention: _Mention, followed: int) -> tuple[int, str]:
        if mention.end is not None:
            return mention.end, mention.format
        end = mention.ends[followed]
        behind = identifier_end(self.text, end + 1)
        return (behind, "json") if self.text[end:behind] == ":json" else (end, "")
