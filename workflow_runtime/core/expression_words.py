"""The words of the condition language: a source is cut by this table, and what is not in it is refused.

The law: names are never folded. What looks like another name is another name; a word that mixes
Latin, Cyrillic and Greek letters is no name at all. Every name, constant and operator counts one
towards ``MOST_WORDS``, so that the tree is bounded before there is a tree.

    name        Amount   @Amount   @Order.Customer.Tier   @"any name"   @Due Date (if declared)
    constant    12   0.5   1e3   'text'   "text"   'it''s'   "a\\n"   true   false   null
    operator    = ==   <> !=   < <= > >=   in   and &&   or ||   not !   + - * /
    mark        ( ) [ ] , .

Words of letters (and or not in true false null) are known in any case; behind ``@`` they are names.
Columns count from 1 in characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from workflow_runtime.errors import LONGEST_QUOTE, ExpressionError

__all__ = ["LONGEST_SOURCE", "MOST_WORDS", "DeclaredNames", "Word", "WordKind", "cut", "identifier_end", "refusal"]

LONGEST_SOURCE = 2_048  #: characters
MOST_WORDS = 200  #: names, constants and operators

_SPACE = " \t\r\n"
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they make a text read otherwise than it is
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SIGNS = re.compile(r"&&|\|\||==|!=|<>|<=|>=|\*\*|//|<<|>>|[-=<>+*/!()\[\],.%^~&|?]")
_FORBIDDEN = frozenset(["**", "//", "<<", ">>", "%", "^", "~", "&", "|", "?"])
_MARKS = frozenset("()[],.")
_SAME = {"&&": "and", "||": "or", "!": "not", "==": "=", "!=": "<>"}
_WORD_OPERATORS = frozenset(["and", "or", "not", "in"])
_WORD_CONSTANTS = {"true": True, "false": False, "null": None}
_ESCAPES = {"'": "'", '"': '"', "\\": "\\", "n": "\n", "t": "\t"}


class WordKind(StrEnum):
    NAME = "name"
    CONSTANT = "constant"
    OPERATOR = "operator"
    MARK = "mark"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    kind: WordKind
    text: str  #: a name without its ``@``, an operator in its first spelling, else as written
    start: int  #: offset of its first character
    end: int  #: offset behind its last character
    value: Any = None  #: of a constant
    parts: tuple[str, ...] = ()  #: the dotted path behind a name
    marked: bool = False  #: written with ``@``

    @property
    def column(self) -> int:
        return self.start + 1


def refusal(source: str, code: str, column: int, message: str) -> ExpressionError:
    """The error for a source that is no expression; quotes are cut, so that a long source makes no long message."""
    excerpt = source if len(source) <= LONGEST_QUOTE else source[: LONGEST_QUOTE - 1] + "…"
    text = f"{message} (column {column} of {excerpt!a})" if _unprintable(excerpt) else f"{message} (column {column} of {excerpt!r})"
    return ExpressionError(text, code=code, column=column, source=source[:LONGEST_SOURCE])


def _unprintable(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" or character in _DIRECTIONS for character in text)


class DeclaredNames:
    """Declared names, found in a text by the longest first; composed and decomposed spellings are the same name."""

    __slots__ = ("_spellings",)

    def __init__(self, names: Collection[str]) -> None:
        spellings = {unicodedata.normalize(form, name): name for name in names if name for form in ("NFD", "NFC")}
        self._spellings = sorted(spellings.items(), key=lambda item: -len(item[0]))

    def find(self, text: str, at: int) -> tuple[str, int] | None:
        """The longest name that stands here as a whole, and the offset behind it."""
        for spelling, name in self._spellings:
            end = at + len(spelling)
            if text.startswith(spelling, at) and not (_continues(text, end) and _continues(spelling, len(spelling) - 1)):
                return name, end
        return None

    def unmarked(self) -> DeclaredNames:
        """Those that stand for themselves without ``@``: with dots or colons, but no other signs. Plain names are left
        to the grammar, so that a parameter called ``in`` takes no word from the language."""
        some = DeclaredNames(())
        some._spellings = [item for item in self._spellings if not item[0].isidentifier() and re.sub("[.:]", "_", item[0]).isidentifier()]
        return some


def identifier_end(text: str, at: int) -> int:
    """The offset behind the identifier that begins at ``at``; ``at`` itself where none does."""
    if at >= len(text) or not text[at].isidentifier():
        return at
    at += 1
    while _continues(text, at):
        at += 1
    return at


def _continues(text: str, at: int) -> bool:
    return at < len(text) and f"_{text[at]}".isidentifier()


def cut(source: str, declared: Collection[str] = ()) -> list[Word]:
    """All words of a source, the last of them ``END``.

    :raises ExpressionError: too_long, too_many_nodes, syntax_forbidden, operator_forbidden,
        mixed_scripts, number_out_of_range.
    """
    if len(source) > LONGEST_SOURCE:
        raise refusal(source, "too_long", LONGEST_SOURCE + 1, f"the expression has {len(source)} characters, at most {LONGEST_SOURCE} are allowed; split it")
    _check_characters(source)
    return _Cutter(source, DeclaredNames(declared)).words()


def _check_characters(source: str) -> None:
    for at, character in enumerate("" if source.isprintable() else source):
        if character in _DIRECTIONS or (unicodedata.category(character) in ("Cc", "Cs") and character not in _SPACE):
            raise refusal(source, "syntax_forbidden", at + 1, f"the character U+{ord(character):04X} is not allowed in an expression; remove it")


class _Cutter:
    def __init__(self, source: str, declared: DeclaredNames) -> None:
        self.source = source
        self.declared = declared
        self.unmarked = declared.unmarked()

    def words(self) -> list[Word]:
        words: list[Word] = []
        at = count = 0
        while (at := self._behind_space(at)) < len(self.source):
            words.append(word := self._word(at))
            at = word.end
            count += word.kind is not WordKind.MARK
            if count > MOST_WORDS:
                raise self._refuse("too_many_nodes", word.start, f"more than {MOST_WORDS} names, constants and operators; use a named condition")
        return [*words, Word(kind=WordKind.END, text="the end", start=at, end=at)]

    def _refuse(self, code: str, at: int, message: str) -> ExpressionError:
        return refusal(self.source, code, at + 1, message)

    def _behind_space(self, at: int) -> int:
        while at < len(self.source) and self.source[at] in _SPACE:
            at += 1
        return at

    def _word(self, at: int) -> Word:
        character = self.source[at]
        if character == "@":
            return self._marked_name(at)
        if character in "'\"":
            value, end = self._text(at)
            return Word(kind=WordKind.CONSTANT, text=self.source[at:end], start=at, end=end, value=value)
        if character in "0123456789":
            return self._number(at)
        return self._bare(at) if character.isidentifier() else self._sign(at)

    def _sign(self, at: int) -> Word:
        found = _SIGNS.match(self.source, at)
        if found is None:
            raise self._refuse("syntax_forbidden", at, f"{self.source[at]!a} has no meaning here; text stands in quotes")
        text = found.group()
        if text in _FORBIDDEN:
            raise self._refuse("operator_forbidden", at, f"there is no operator {text}; the arithmetic ones are + - * /")
        kind = WordKind.MARK if text in _MARKS else WordKind.OPERATOR
        return Word(kind=kind, text=_SAME.get(text, text), start=at, end=found.end())

    def _number(self, at: int) -> Word:
        found = _NUMBER.match(self.source, at)
        assert found is not None  # the first character is a digit
        end = found.end()
        if _continues(self.source, end):
            raise self._refuse("syntax_forbidden", at, "a number is written 12, 0.5 or 1e3, and a name cannot follow it directly")
        exact = any(found.groups())
        if exact and len(found[2] or "") > 6:
            raise self._refuse("number_out_of_range", at, "the exponent is too large")
        value = Decimal(found.group()) if exact else int(found.group())
        return Word(kind=WordKind.CONSTANT, text=found.group(), start=at, end=end, value=value)

    def _text(self, at: int) -> tuple[str, int]:
        """The value of a quoted text and the offset behind it."""
        quote, start, out = self.source[at], at, list[str]()
        at += 1
        while at < len(self.source) and self.source[at] not in "\r\n":
            character, following = self.source[at], self.source[at + 1 : at + 2]
            if character == quote and following != quote:
                return "".join(out), at + 1
            if character == "\\" and following not in _ESCAPES:
                raise self._refuse("syntax_forbidden", at, r"behind a backslash stands one of ' \" \ n t; a backslash itself is written \\")
            escaped = character == "\\" or character == quote
            out.append(_ESCAPES[following] if escaped else character)
            at += 2 if escaped else 1
        raise self._refuse("syntax_forbidden", start, f"the text is not closed on its line; expected {quote}")

    def _marked_name(self, at: int) -> Word:
        begin = at + 1
        if self.source[begin : begin + 1] in ("'", '"'):
            name, end = self._text(begin)
            return self._name(at, unicodedata.normalize("NFC", name), end, marked=True)
        if found := self.declared.find(self.source, begin):
            return self._name(at, *found, marked=True)
        end = identifier_end(self.source, begin)
        return self._name(at, self._plain(begin, end), end, marked=True)

    def _bare(self, at: int) -> Word:
        if found := self.unmarked.find(self.source, at):
            return self._name(at, *found)
        end = identifier_end(self.source, at)
        text = self.source[at:end]
        if (lower := text.lower()) in _WORD_OPERATORS:
            return Word(kind=WordKind.OPERATOR, text=lower, start=at, end=end)
        if lower in _WORD_CONSTANTS:
            return Word(kind=WordKind.CONSTANT, text=text, start=at, end=end, value=_WORD_CONSTANTS[lower])
        return self._name(at, self._plain(at, end), end)

    def _plain(self, at: int, end: int) -> str:
        return unicodedata.normalize("NFC", self.source[at:end])

    def _name(self, start: int, name: str, end: int, *, marked: bool = False) -> Word:
        if not name:
            raise self._refuse("syntax_forbidden", start, 'behind @ stands a name: @Amount, or @"any name" in quotes')
        parts: list[str] = []
        while self.source[end : end + 1] == "." and (part_end := identifier_end(self.source, end + 1)) > end + 1:
            parts.append(self._plain(end + 1, part_end))
            end = part_end
        for text in (name, *parts):
            self._check_scripts(start, text)
        return Word(kind=WordKind.NAME, text=name, start=start, end=end, parts=tuple(parts), marked=marked)

    def _check_scripts(self, start: int, name: str) -> None:
        for word in () if name.isascii() else "".join(letter if _continues(letter, 0) else " " for letter in name).split():
            found = [script for script in _SCRIPTS if any(unicodedata.name(letter, "").startswith(script) for letter in word)]
            if len(found) > 1:
                listed = " and ".join(script.capitalize() for script in found)
                raise self._refuse("mixed_scripts", start, f"{word!r} mixes {listed} letters, some of which look alike; write it in one script")
