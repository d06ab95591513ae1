"""Basic vocabulary: SetParameter, RemoveParameter and the condition CheckParameter.

Each takes one JSON object as its parameter (in YAML a mapping):

==================  ==============================================================================
SetParameter        ParameterName, Value, ForRootProcess?
RemoveParameter     ParameterName, ForRootProcess?
CheckParameter      ParameterName (or Parameter), CompareType, Value, Separator?, ForRootProcess?
==================  ==============================================================================

**What a Value means**, in this order: what is no text (number, true, null, list) is taken as it is; a text that
begins with ``=`` is an expression (``=Total`` keeps the type); a text that reads as a calculation is one too: an
operator between spaces or a call, every name in it a parameter (``@Amount + 1``), the parameter not declared as
string; any other text is read like an initial value: JSON if it is, by the declared type, else the text itself. So
``2031-12-24``, ``555-1234`` and ``trial`` stay what they are. A mention such as ``@Comment`` was pasted before this file sees
it; a value that may hold quotes is copied with ``=Comment``.

**CheckParameter** compares as the condition language does; a text Value is first read as the kind the parameter has. A
parameter without a value is null: Equal to null only, and an error for Greater and its like. With a Separator the
Value is a list of alternatives: one that fits is enough, for NotEqual all must differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from workflow_runtime.core.expression import Expression, compile_expression
from workflow_runtime.core.nearness import did_you_mean
from workflow_runtime.core.scheme_elements import ParameterSpec
from workflow_runtime.core.types import read_written
from workflow_runtime.core.values import plain_json, quoted
from workflow_runtime.errors import ExpressionError, ParameterError
from workflow_runtime.hooks import hookimpl

COMPARISONS: Mapping[str, Expression] = {
    "Equal": compile_expression("@Found = @Wanted"),
    "NotEqual": compile_expression("@Found <> @Wanted"),
    "Greater": compile_expression("@Found > @Wanted"),
    "GreaterOrEqual": compile_expression("@Found >= @Wanted"),
    "Less": compile_expression("@Found < @Wanted"),
    "LessOrEqual": compile_expression("@Found <= @Wanted"),
    "Contains": compile_expression("@Wanted in @Found"),
}

_CALCULATION = re.compile(r"\s(?:[-+*/=<>]|[=!<>]=|<>|and|or|in)\s|^\s*\w+\(.*\)\s*$", re.DOTALL)
_TYPES: Mapping[type, str] = {str: "string", Decimal: "decimal", datetime: "datetime", timedelta: "timedelta", UUID: "uuid"}


def set_parameter(ctx: Any, parameter: str | None) -> None:
    given = _read("SetParameter", parameter, needs=("ParameterName", "Value"), may=("ForRootProcess",))
    _refuse_foreign_root(ctx, given)
    name = given["ParameterName"]
    ctx.parameters[name] = _value(ctx, name, given["Value"])


def remove_parameter(ctx: Any, parameter: str | None) -> None:
    given = _read("RemoveParameter", parameter, needs=("ParameterName",), may=("ForRootProcess",))
    _refuse_foreign_root(ctx, given)
    ctx.parameters.pop(given["ParameterName"], None)


def check_parameter(ctx: Any, parameter: str | None) -> bool:
    given = _read("CheckParameter", parameter, needs=("ParameterName", "Value", "CompareType"), may=("Separator", "ForRootProcess"))
    _refuse_foreign_root(ctx, given)
    comparison = _comparison(given["CompareType"])
    found = _found(ctx.parameters, given["ParameterName"])
    answers = (_compared(comparison, found, wanted) for wanted in _alternatives(given["Value"], given.get("Separator")))
    return all(answers) if given["CompareType"] == "NotEqual" else any(answers)


@hookimpl
def register_actions() -> Mapping[str, Callable[..., Any]]:
    return {"SetParameter": set_parameter, "RemoveParameter": remove_parameter}


@hookimpl
def register_conditions() -> Mapping[str, Callable[..., Any]]:
    return {"CheckParameter": check_parameter}


def _read(who: str, parameter: str | None, *, needs: tuple[str, ...], may: tuple[str, ...]) -> dict[str, Any]:
    """The JSON object of an action; ParameterError where a key is missing or unknown."""
    given = plain_json(parameter or "{}")
    if not isinstance(given, dict):
        raise _wrong(who, f"takes a JSON object, found {quoted(given)}", needs)
    if "Parameter" in given and "ParameterName" in needs:
        given.setdefault("ParameterName", given.pop("Parameter"))
    for key in given:
        if key not in needs + may:
            raise _wrong(who, f"does not know the key {quoted(key)}{did_you_mean(key, needs + may)}", needs)
    for key in needs:
        if key not in given:
            raise _wrong(who, f"lacks the key {key!r}", needs)
    if not isinstance(given["ParameterName"], str) or not given["ParameterName"]:
        raise _wrong(who, f"needs a name as ParameterName, found {quoted(given['ParameterName'])}", needs)
    return given


def _wrong(who: str, what: str, needs: tuple[str, ...]) -> ParameterError:
    return ParameterError(f"{who} {what}; it needs {', '.join(needs)}", code="bad_action_parameter")


def _refuse_foreign_root(ctx: Any, given: Mapping[str, Any]) -> None:
    if given.get("ForRootProcess") in (True, "true") and ctx.process.root_id != ctx.process.id:
        raise ParameterError("ForRootProcess of a subprocess is not executed by this release; leave it out", code="not_supported")


def _value(ctx: Any, name: str, written: Any) -> Any:
    if not isinstance(written, str):
        return written
    scheme = ctx.process.scheme
    spec = scheme.parameter(name) if scheme else None
    expression = _calculation(written, ctx.parameters, spec)
    if expression is None:
        return read_written(written, spec.type if spec else "any")
    return expression.evaluate(ctx.parameters.__getitem__)


def _calculation(text: str, parameters: Mapping[str, Any], spec: ParameterSpec | None) -> Expression | None:
    if text.startswith("="):
        return compile_expression(text[1:], dotted_names=parameters.keys())
    if not _CALCULATION.search(text) or (spec and "string" in spec.type):
        return None
    try:
        expression = compile_expression(text, dotted_names=parameters.keys())
    except ExpressionError:
        return None
    return expression if expression.names <= parameters.keys() else None


def _comparison(name: object) -> Expression:
    if name not in COMPARISONS:
        raise ParameterError(f"CheckParameter has the CompareType {quoted(name)}; expected one of {', '.join(COMPARISONS)}", code="bad_action_parameter")
    return COMPARISONS[str(name)]


def _found(parameters: Mapping[str, Any], name: str) -> Any:
    """The value of a parameter, or of a part of it (``Order.Total``); None where there is none."""
    head, dot, rest = name.rpartition(".")
    if name in parameters or not dot:
        return parameters.get(name)
    whole = _found(parameters, head)
    return whole.get(rest) if isinstance(whole, Mapping) else None


def _alternatives(value: Any, separator: Any) -> list[Any]:
    if isinstance(value, str) and isinstance(separator, str) and separator:
        return [part.strip() for part in value.split(separator)]
    return [value]


def _compared(comparison: Expression, found: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) and comparison is not COMPARISONS["Contains"]:
        wanted = read_written(wanted, _TYPES.get(type(found), "any"))
    return comparison.evaluate_bool({"Found": found, "Wanted": wanted}.__getitem__)
