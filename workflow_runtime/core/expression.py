"""The condition language: one text is compiled once to closures and evaluated against parameters.

The law: an expression can only look up names, compare, compute and call the functions of the table. It
cannot reach an attribute, a method, a module or the clock, cannot change a value, and ends: its source,
its tree and its numbers are bounded. A question that cannot be answered is an error, never False.

    refused when compiled (ExpressionError.code)    because
    too_long  too_many_nodes  too_deep              more than 2,048 characters, 200 words, 30 levels
    syntax_forbidden                                what the grammar does not know: lambda, :=, a for b in c
    operator_forbidden                              ** % // << >> & | ^ ~ ?
    node_forbidden                                  attributes and items of values, lists elsewhere, _names
    call_forbidden                                  no such function, a method, a wrong number of arguments
    type_forbidden                                  a constant of the wrong kind: 'a' * 9
    number_out_of_range  mixed_scripts              see expression_values, expression_words

    refused when evaluated (EvaluationError.code)   because
    unknown_name                                    the parameter, or a key of a dotted path, is not there
    type_clash  not_boolean                         kinds that do not fit; a condition that is no bool
    division_by_zero  number_out_of_range           also datetimes outside the years 1 to 9999
    too_long  too_deep  empty_list  no_clock        arguments of functions; now() where no time was given
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflow_runtime.core.expression_functions import FUNCTIONS
from workflow_runtime.core.expression_parser import Binary, Call, Constant, Items, Logic, Name, Node, Unary, parse
from workflow_runtime.core.expression_values import MISSING, OPERATORS, Kind, kind, member, negative, positive
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.errors import LONGEST_QUOTE, EvaluationError

__all__ = ["Expression", "Lookup", "compile_expression"]

Lookup = Callable[[str], Any]  #: name -> value; KeyError where there is none
_Run = Callable[[Lookup, datetime | None], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A compiled text; immutable, and may be evaluated by many threads at once."""

    source: str
    columns: Mapping[str, int]  #: each parameter that is used -> the column (from 1) where it stands first
    _run: _Run = field(compare=False, repr=False)

    @property
    def names(self) -> frozenset[str]:
        """The parameters that it uses, without the dotted paths behind them; those in ``has`` too."""
        return frozenset(self.columns)

    def evaluate(self, lookup: Lookup, *, now: datetime | None = None) -> Any:
        """The value, which may be one of the parameters itself: do not change it.

        :raises EvaluationError: what cannot be answered. Errors of ``lookup`` other than KeyError pass through.
        """
        try:
            return self._run(lookup, now)
        except EvaluationError as error:
            raise self._placed(error) from error

    def evaluate_bool(self, lookup: Lookup, *, now: datetime | None = None) -> bool:
        """The same for conditions: the value must be true or false.

        :raises EvaluationError: also ``not_boolean``.
        """
        value = self.evaluate(lookup, now=now)
        if value is True or value is False:
            return bool(value)
        raise self._placed(EvaluationError(f"the condition is {kind(value)}, expected true or false; write a comparison", code="not_boolean"))

    def _placed(self, error: EvaluationError) -> EvaluationError:
        excerpt = self.source if len(self.source) <= LONGEST_QUOTE else self.source[: LONGEST_QUOTE - 1] + "…"
        return EvaluationError(f"{error.message} (in {excerpt!r})", **error.nouns | {"code": error.code, "source": self.source})


def compile_expression(source: str, *, dotted_names: Collection[str] = ()) -> Expression:
    """Read a text once; ``dotted_names`` are declared parameters whose names are no identifiers (``area:name``).

    :raises ExpressionError: with ``code`` and ``column``; nothing else, whatever the text.
    """
    tree = parse(source, dotted_names)
    return Expression(source=source, columns=FrozenDict(tree.columns), _run=_closure(tree.root))


def _closure(node: Node) -> _Run:
    match node:
        case Constant(value=value):
            return lambda lookup, now: value
        case Items(values=values):
            return lambda lookup, now: values
        case Name():
            return _path(node) if node.parts else _name(node.root)
        case Unary():
            return _unary(node.sign, _closure(node.operand))
        case Binary():
            return _binary(node)
        case Logic():
            return _logic(node.sign, tuple(_closure(operand) for operand in node.operands))
        case Call():
            return _call(node)


def _name(name: str) -> _Run:
    def read(lookup: Lookup, now: datetime | None) -> Any:
        try:
            return lookup(name)
        except KeyError:
            raise _unknown(name) from None

    return read


def _unknown(name: str, key: str = "") -> EvaluationError:
    what = f"the parameter {name!r} has no {key!r}" if key else f"there is no parameter {name!r}"
    return EvaluationError(f"{what}; set it before, or test has(...)", code="unknown_name", parameter=name)


def _path(node: Name) -> _Run:
    root, read = node.root, _name(node.root)

    def walk(lookup: Lookup, now: datetime | None) -> Any:
        value = read(lookup, now)
        for part in node.parts:
            value = value.get(part, MISSING) if type(value) is dict else _member(value, part, root)
            if value is MISSING:
                raise _unknown(root, part)
        return value

    return walk


def _member(value: Any, part: str, root: str) -> Any:
    try:
        return member(value, part)
    except EvaluationError as error:
        known = FUNCTIONS.get(part.lower())
        hint = f"; {known.name} is a function: {known.name}(@{root})" if known else ""
        raise EvaluationError(error.message + hint, code=error.code, parameter=root) from None


def _unary(sign: str, operand: _Run) -> _Run:
    if sign == "not":
        return lambda lookup, now: _inverted(operand(lookup, now))
    change = negative if sign == "-" else positive
    return lambda lookup, now: change(operand(lookup, now))


def _inverted(value: Any) -> bool:
    if value is True or value is False:
        return value is False
    raise _no_truth("not", value)


def _no_truth(sign: str, value: Any) -> EvaluationError:
    return EvaluationError(f"{sign} joins conditions, found {kind(value)}; write a comparison", code="not_boolean")


def _logic(sign: str, operands: tuple[_Run, ...]) -> _Run:
    decisive = sign == "or"  # the value at which the rest is not looked at

    def decide(lookup: Lookup, now: datetime | None) -> bool:
        for operand in operands:
            value: object = operand(lookup, now)
            if value is decisive:
                return decisive
            if value is not True and value is not False:
                raise _no_truth(sign, value)
        return not decisive

    return decide


def _binary(node: Binary) -> _Run:
    left, rule = _closure(node.left), OPERATORS[node.sign]
    if isinstance(node.right, (Constant, Items)):
        constant = node.right.value if isinstance(node.right, Constant) else node.right.values
        return lambda lookup, now: rule(left(lookup, now), constant)
    right = _closure(node.right)
    return lambda lookup, now: rule(left(lookup, now), right(lookup, now))


def _call(node: Call) -> _Run:
    call = FUNCTIONS[node.name].call
    if call is None:
        return _has(node.arguments[0]) if node.name == "has" else _now
    arguments = tuple(_closure(argument) for argument in node.arguments)
    return lambda lookup, now: call(*[argument(lookup, now) for argument in arguments])


def _now(lookup: Lookup, now: datetime | None) -> datetime:
    if now is None:
        raise EvaluationError("now() is not known here; compare with a parameter instead", code="no_clock")
    return now


def _has(node: Node) -> _Run:
    assert isinstance(node, Name)  # the parser lets nothing else through

    def ask(lookup: Lookup, now: datetime | None) -> bool:
        try:
            value = lookup(node.root)
        except KeyError:
            return False
        for part in node.parts:
            value = member(value, part) if kind(value) is Kind.MAPPING else MISSING
            if value is MISSING:
                return False
        return True

    return ask
