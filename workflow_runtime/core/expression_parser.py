"""From words to a tree: the grammar of the condition language, by binding powers (Pratt).

The law: the tree is made of the nodes below and of nothing else; what cannot be said with them is
refused here, with its column, and never evaluated. Nothing recurses deeper than ``DEEPEST``.

    binds  operator                     note
    1      or                           chains are one node, so a long list of cases is not deep
    2      and
    3      not                          also before a bracket or a name, as in a = !b
    4      = <> < <= > >= in, not in    never chained: a < b < c is refused
    5      + -                          constants other than numbers are refused
    6      * /
    7      - + before an operand

To the right of ``in`` stands a text, a parameter, or a list of constants: ['a', 'b'] or ('a', 'b');
a single constant in brackets there is a list of one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from workflow_runtime.core.expression_functions import FUNCTIONS, like
from workflow_runtime.core.expression_values import is_number, kind, number
from workflow_runtime.core.expression_words import Word, WordKind, cut, refusal
from workflow_runtime.errors import EvaluationError, ExpressionError

__all__ = ["DEEPEST", "Binary", "Call", "Constant", "Items", "Logic", "Name", "Node", "Tree", "Unary", "parse"]

DEEPEST = 30  #: nodes below one another, and brackets within brackets

_POWERS = {"or": 1, "and": 2, "+": 5, "-": 5, "*": 6, "/": 6} | dict.fromkeys(["=", "<>", "<", "<=", ">", ">=", "in", "not"], 4)
_NOT, _COMPARISON, _SIGN = 3, 4, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    column: int
    value: Any
    depth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list of constants, to the right of ``in``."""

    column: int
    values: tuple[Any, ...]
    depth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    column: int
    root: str
    parts: tuple[str, ...] = ()
    depth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary:
    column: int
    sign: str  #: not, - or +
    operand: Node
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    column: int
    sign: str
    left: Node
    right: Node
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Logic:
    column: int
    sign: str  #: and, or
    operands: tuple[Node, ...]
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    column: int
    name: str  #: a key of FUNCTIONS
    arguments: tuple[Node, ...]
    depth: int


Node = Constant | Items | Name | Unary | Binary | Logic | Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    root: Node
    columns: dict[str, int]  #: each root name that is used -> its first column


def parse(source: str, declared: Collection[str] = ()) -> Tree:
    """:raises ExpressionError: whatever is wrong with the source; see the codes in core/expression.py."""
    parser = _Parser(source, cut(source, declared))
    try:
        root = parser.whole()
    except RecursionError:  # only where the caller has used up the stack
        raise refusal(source, "too_deep", 1, "there is no room left to read the expression; use fewer brackets") from None
    return Tree(root=root, columns=parser.columns)


class _Parser:
    def __init__(self, source: str, words: list[Word]) -> None:
        self.source = source
        self.words = words
        self.at = 0
        self.nesting = 0
        self.columns: dict[str, int] = {}

    def whole(self) -> Node:
        if len(self.words) == 1:
            raise self._refuse("syntax_forbidden", self.words[0], "the expression is empty; write a condition such as @Amount > 1000")
        node = self._expression(0)
        if self._next.kind is not WordKind.END:
            raise self._unexpected(self._next, "an operator or the end")
        return node

    @property
    def _next(self) -> Word:
        return self.words[self.at]

    def _take(self) -> Word:
        word = self.words[self.at]
        self.at += word.kind is not WordKind.END
        return word

    def _is(self, *texts: str, ahead: int = 0) -> bool:
        word = self.words[min(self.at + ahead, len(self.words) - 1)]
        return word.kind in (WordKind.OPERATOR, WordKind.MARK) and word.text in texts

    def _refuse(self, code: str, place: Word | Node, message: str) -> ExpressionError:
        return refusal(self.source, code, place.column, message)

    def _unexpected(self, word: Word, expected: str) -> ExpressionError:
        if word.kind is WordKind.MARK and word.text == "(":
            return self._refuse("call_forbidden", word, "only the functions of the table can be called, by their name")
        if word.kind is WordKind.MARK and word.text in ".[":
            return self._refuse("node_forbidden", word, "a value has no attributes and no items; only names have dotted paths: @Order.Total")
        found = self.source[word.start : word.end][:40]
        return self._refuse("syntax_forbidden", word, f"found {found!a}, expected {expected}" if found else f"found the end, expected {expected}")

    def _deeper(self, word: Word) -> None:
        self.nesting += 1
        if self.nesting > DEEPEST:
            raise self._too_deep(word)

    def _too_deep(self, place: Word | Node) -> ExpressionError:
        return self._refuse("too_deep", place, f"more than {DEEPEST} levels within one another; use a named condition")

    def _depth(self, place: Word | Node, *below: Node) -> int:
        depth = 1 + max((node.depth for node in below), default=0)
        if depth > DEEPEST:
            raise self._too_deep(place)
        return depth

    def _expression(self, floor: int) -> Node:
        node = self._operand(floor)
        while self._next.kind is WordKind.OPERATOR and (power := _POWERS.get(self._next.text, 0)) > floor:
            node = self._joined(node, power)
        return node

    # operands

    def _operand(self, floor: int) -> Node:
        word = self._take()
        if word.kind is WordKind.CONSTANT:
            node: Node = self._constant(word)
        elif word.kind is WordKind.NAME:
            node = self._call(word) if self._is("(") else self._name(word)
        elif word.kind is WordKind.OPERATOR and word.text in ("not", "-", "+"):
            node = self._unary(word, floor)
        elif word.kind is WordKind.MARK and word.text in "([":
            node = self._bracketed(word)
        else:
            raise self._unexpected_operand(word)
        if self._is(".", "(", "["):
            raise self._behind_operand(word)
        return node

    def _unexpected_operand(self, word: Word) -> ExpressionError:
        found = self.source[word.start : word.end] or "the end"
        return self._refuse("syntax_forbidden", word, f"found {found!a}, expected a name, a constant or a bracket")

    def _behind_operand(self, receiver: Word) -> ExpressionError:
        """Attribute, method, index: none exists; a method that is a function gets its spelling as the hint."""
        mark = self._take()
        if mark.text == "." and self._next.kind is WordKind.NAME and self._is("(", ahead=1):
            method = self._take()
            return self._method(method, self.source[receiver.start : mark.start], method.text)
        return self._unexpected(mark, "an operator")

    def _method(self, place: Word, receiver: str, method: str) -> ExpressionError:
        known = FUNCTIONS.get(method.lower())
        hint = f"; write {known.name}({receiver}{self._arguments_as_written()})" if known else ""
        return self._refuse("call_forbidden", place, f"values have no methods such as {method[:40]!a}{hint}")

    def _arguments_as_written(self) -> str:
        """``, 3`` of ``(3)``: what stands between this bracket and the one that closes it."""
        opening, open_brackets = self._next, 0
        for word in self.words[self.at :]:
            open_brackets += (word.kind is WordKind.MARK) * ((word.text == "(") - (word.text == ")"))
            if not open_brackets:
                written = self.source[opening.end : word.start].strip()
                return f", {written}" if written else ""
        return ", ..."

    def _constant(self, word: Word, *, negated: bool = False) -> Constant:
        value = word.value
        if is_number(value):
            try:
                value = number((value.copy_negate() if isinstance(value, Decimal) else -value) if negated else value)
            except EvaluationError as error:
                raise self._refuse(error.code, word, error.message) from None
        return Constant(column=word.column, value=value)

    def _name(self, word: Word) -> Name:
        if any(text.startswith("_") for text in (word.text, *word.parts)):
            raise self._refuse("node_forbidden", word, "names that begin with an underscore are not for expressions")
        self.columns.setdefault(word.text, word.column)
        return Name(column=word.column, root=word.text, parts=word.parts)

    def _unary(self, word: Word, floor: int) -> Node:
        if word.text == "-" and self._next.kind is WordKind.CONSTANT and is_number(self._next.value):
            return self._constant(self._take(), negated=True)
        self._deeper(word)
        operand = self._expression(_NOT if word.text == "not" and floor <= _NOT else _SIGN)
        self.nesting -= 1
        if word.text == "not":
            self._check_logic("not", operand)
        else:
            self._check_number(word.text, operand)
        return Unary(column=word.column, sign=word.text, operand=operand, depth=self._depth(word, operand))

    def _bracketed(self, opening: Word) -> Node:
        nodes = self._listed(opening, "]" if opening.text == "[" else ")")
        if opening.text == "[" or len(nodes) != 1:
            raise self._refuse("node_forbidden", opening, "a list stands only to the right of in: @State in ['open', 'late']")
        return nodes[0]

    def _listed(self, opening: Word, closing: str) -> list[Node]:
        """What stands between brackets, with commas between; takes the closing one."""
        self._deeper(opening)
        nodes: list[Node] = []
        while not self._is(closing) or nodes:
            nodes.append(self._expression(0))
            if not self._is(","):
                break
            self._take()
        if not self._is(closing):
            raise self._unexpected(self._next, f"a comma or {closing}")
        self._take()
        self.nesting -= 1
        return nodes

    def _call(self, word: Word) -> Node:
        if word.parts:
            receiver, _, method = self.source[word.start : word.end].rpartition(".")
            raise self._method(word, receiver, method)
        function = FUNCTIONS.get(word.text.lower())
        if function is None or word.marked:
            hint = "a parameter cannot be called" if word.marked else f"there is no function {word.text[:40]!a}{like(word.text)}"
            raise self._refuse("call_forbidden", word, hint)
        arguments = self._listed(self._take(), ")")
        if not function.least <= len(arguments) <= function.most:
            expected = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
            raise self._refuse("call_forbidden", word, f"{function.name} takes {expected} argument{'s' * (expected != '1')}, {len(arguments)} were given")
        if function.name == "has" and not isinstance(arguments[0], Name):
            raise self._refuse("call_forbidden", word, "has takes the name of a parameter: has(@Discount)")
        return Call(column=word.column, name=function.name.lower(), arguments=tuple(arguments), depth=self._depth(word, *arguments))

    # operators

    def _joined(self, left: Node, power: int) -> Node:
        word = self._take()
        if word.text in ("and", "or"):
            return self._logic(word, left, power)
        if power == _COMPARISON:
            return self._comparison(word, left)
        right = self._expression(power)
        self._check_number(word.text, left)
        self._check_number(word.text, right)
        return Binary(column=word.column, sign=word.text, left=left, right=right, depth=self._depth(word, left, right))

    def _logic(self, word: Word, left: Node, power: int) -> Node:
        operands = [left, self._expression(power)]
        while self._is(word.text):
            self._take()
            operands.append(self._expression(power))
        for operand in operands:
            self._check_logic(word.text, operand)
        return Logic(column=word.column, sign=word.text, operands=tuple(operands), depth=self._depth(word, *operands))

    def _comparison(self, word: Word, left: Node) -> Node:
        sign = word.text
        if sign == "not":
            if not self._is("in"):
                raise self._unexpected(word, "an operator; did you mean not in?")
            self._take()
            sign = "not in"
        right = self._right_of_in() if sign in ("in", "not in") else self._expression(_COMPARISON)
        if self._next.kind is WordKind.OPERATOR and _POWERS.get(self._next.text) == _COMPARISON:
            raise self._refuse("syntax_forbidden", self._next, "comparisons cannot be chained; write a < b and b < c")
        return Binary(column=word.column, sign=sign, left=left, right=right, depth=self._depth(word, left, right))

    def _right_of_in(self) -> Node:
        if self._is("[") or (self._is("(") and self._constant_behind_bracket()):
            return self._items(self._take())
        node = self._expression(_COMPARISON)
        if isinstance(node, Constant) and not isinstance(node.value, str):
            raise self._refuse("type_forbidden", node, "to the right of in stands a list, a text or a parameter")
        return node

    def _constant_behind_bracket(self) -> bool:
        ahead = self.words[min(self.at + (2 if self._is("-", ahead=1) else 1), len(self.words) - 1)]
        return ahead.kind is WordKind.CONSTANT or self._is(")", ahead=1)

    def _items(self, opening: Word) -> Items:
        nodes = self._listed(opening, "]" if opening.text == "[" else ")")
        for node in nodes:
            if not isinstance(node, Constant):
                raise self._refuse("node_forbidden", node, "a list holds constants only; write a = x or a = y instead")
        return Items(column=opening.column, values=tuple(node.value for node in nodes if isinstance(node, Constant)))

    # what can be known of constants before anything runs

    def _check_number(self, sign: str, node: Node) -> None:
        if isinstance(node, Constant) and not is_number(node.value):
            raise self._refuse("type_forbidden", node, f"{sign} computes with numbers, found {kind(node.value)}; texts cannot be joined")

    def _check_logic(self, sign: str, node: Node) -> None:
        if isinstance(node, Constant) and not isinstance(node.value, bool):
            raise self._refuse("type_forbidden", node, f"{sign} joins conditions, found {kind(node.value)}; write a comparison")
