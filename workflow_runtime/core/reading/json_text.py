"""JSON text to the neutral document, with places, and back.

Written by hand because the standard reader knows no places and lets pass what databases and other
readers understand differently: the last of two equal keys, NaN, 1e999, halves of surrogate pairs.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from itertools import accumulate
from math import isinf
from typing import Any, NoReturn

from workflow_runtime.core.reading.findings import Findings, quoted
from workflow_runtime.core.reading.limits import MAX_DEPTH, MAX_NODES, UNWRITABLE
from workflow_runtime.core.reading.neutral import Neutral, Path, WrittenFloat
from workflow_runtime.core.scheme_words import Place
from workflow_runtime.errors import SchemeError

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"-?[A-Za-z]+")
_WORDS = {"true": True, "false": False, "null": None}
_LONGEST_INTEGER = 18
_LONGEST_NUMBER = 40


def parse(text: str, findings: Findings) -> Neutral:
    """The neutral document of a JSON text. Any problem of syntax is fatal."""
    return _JsonReader(text, findings, MAX_DEPTH).document()


def parsed_value(text: str) -> Any:
    """The value of a small JSON text such as an action parameter. Raises ValueError where it is no JSON of ours."""
    try:
        return _JsonReader(text, Findings(), MAX_DEPTH // 2).document().data
    except SchemeError as error:
        raise ValueError(str(error)) from None


def emit(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


class _JsonReader:
    def __init__(self, text: str, findings: Findings, max_depth: int) -> None:
        self.text = text
        self.findings = findings
        self.max_depth = max_depth
        self.at = 0
        self.nodes = 0
        self.lines = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
        self.neutral = Neutral(data=None)

    def document(self) -> Neutral:
        self.neutral.data = self.value(())
        if self.peek():
            self.syntax("the end of the text")
        return self.neutral

    def value(self, path: Path) -> Any:
        first = self.peek()
        self.neutral.places.setdefault(path, self.place())
        self.nodes += 1
        if len(path) >= self.max_depth:
            self.refuse("too_deep", f"found a nesting deeper than {self.max_depth}")
        if self.nodes > MAX_NODES:
            self.refuse("too_many", f"found more than {MAX_NODES:,} values")
        if first == "{":
            return self.mapping(path)
        if first == "[":
            return self.listing(path)
        return self.string() if first == '"' else self.bare()

    def mapping(self, path: Path) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        while self.more("}", first=not entries):
            if self.peek() != '"':
                self.syntax("a key in double quotes")
            place = self.place()
            key = self.string()
            if key in entries:
                self.findings.fatal("duplicate_key", f"found the key {quoted(key)} twice, expected it once", place)
            self.neutral.places[(*path, key)] = place
            self.expect(":")
            entries[key] = self.value((*path, key))
        return entries

    def listing(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while self.more("]", first=not items):
            items.append(self.value((*path, len(items))))
        return items

    def more(self, closing: str, *, first: bool) -> bool:
        """Step over the opening bracket or a comma; False when the closing bracket was found."""
        if first:
            self.at += 1
        found = self.peek()
        if found == closing:
            self.at += 1
            return False
        if not first:
            self.expect(",")
        return True

    def string(self) -> str:
        match = _STRING.match(self.text, self.at)
        if match is None:
            self.syntax("a string in double quotes on one line")
        try:
            text = str(json.loads(match[0]))
        except ValueError:
            self.syntax("a string with the escapes of JSON")
        if (bad := UNWRITABLE.search(text)) is not None:
            self.refuse("bad_character", f"found the character U+{ord(bad[0]):04X}")
        self.at = match.end()
        return text

    def bare(self) -> Any:
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            return self.word()
        text = match[0]
        is_integer = match[1] is None and match[2] is None
        if len(text) > (_LONGEST_INTEGER + text.startswith("-") if is_integer else _LONGEST_NUMBER):
            self.refuse("number_too_long", f"found a number of {len(text)} digits; write it in quotes")
        self.at = match.end()
        if is_integer and text != "-0":
            return int(text)
        number = WrittenFloat(text)
        if isinf(number):
            self.refuse("not_a_number", f"found {text}, which is too large for a number")
        return number

    def word(self) -> Any:
        match = _WORD.match(self.text, self.at)
        word = match[0] if match else ""
        if word in ("NaN", "Infinity", "-Infinity"):
            self.refuse("not_a_number", f"found {word}")
        if word not in _WORDS:
            self.syntax("a value: { [ a string in double quotes, a number, true, false or null")
        self.at += len(word)
        return _WORDS[word]

    def peek(self) -> str:
        space = _SPACE.match(self.text, self.at)
        self.at = space.end() if space else self.at
        return self.text[self.at : self.at + 1]

    def expect(self, sign: str) -> None:
        if self.peek() != sign:
            self.syntax(repr(sign))
        self.at += 1

    def place(self) -> Place:
        line = bisect_right(self.lines, self.at)
        return Place(line, self.at - self.lines[line - 1] + 1)

    def syntax(self, expected: str) -> NoReturn:
        found = quoted(self.text[self.at : self.at + 20]) if self.at < len(self.text) else "the end of the text"
        self.findings.fatal("not_well_formed", f"found {found}, expected {expected}", self.place())

    def refuse(self, code: str, message: str) -> NoReturn:
        self.findings.fatal(code, message, self.place())
