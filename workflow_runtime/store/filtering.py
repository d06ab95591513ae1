"""A ``ProcessFilter`` as conditions of a SELECT. Every value is bound; LIKE patterns are escaped.

Law: a parameter is compared with its type, except that numbers are one kind: 8, 8.0 and the decimals 8, 8.00 and
8E+0 are one number. A float counts as the number that its text is, so that 0.1 is a tenth.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.values import INT_RANGE, encode
from workflow_runtime.store import rows, tables
from workflow_runtime.store.dialects import Dialect

_process, _history = tables.process, tables.history
_EQUAL = ("scheme_code", "activity", "state", "tenant_id")
_SEARCHED = (_process.c.scheme_code, _process.c.activity, _process.c.state, _process.c.parameters, _process.c.last_error)

Conditions = list[sa.ColumnElement[bool]]


def conditions(filter: ProcessFilter, dialect: Dialect) -> Conditions:
    found: Conditions = [_process.c[name] == value for name in _EQUAL if (value := getattr(filter, name)) is not None]
    if filter.statuses:
        found.append(_process.c.status.in_([status.id for status in filter.statuses]))
    if filter.parent_id is not None:
        found.append(_process.c.parent_id == str(filter.parent_id))
    if filter.updated_before is not None:
        found.append(_process.c.updated_at < rows.micros(filter.updated_before))
    if filter.identity is not None:
        found.append(_acted(filter.identity))
    if filter.text is not None:
        found.append(sa.or_(*(column.icontains(_as_stored(column, filter.text), autoescape=True) for column in _SEARCHED)))
    return found + [_has_parameter(dialect, name, value) for name, value in filter.parameters.items()]


def _has_parameter(dialect: Dialect, name: str, value: Any) -> sa.ColumnElement[bool]:
    if type(value) not in (int, float, Decimal):
        return dialect.has_parameter(name, value)
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    exactly = (dialect.has_parameter(name, same) for same in _not_decimal(number))
    return sa.or_(dialect.has_parameter_like(name, rf'^\{{"[$]": ?\["decimal", ?"{decimal_pattern(number)}"\]\}}$'), *exactly)


def _not_decimal(number: Decimal) -> Iterator[int | float]:
    """The same number as int and as float, where there is one."""
    if number.adjusted() < 19 and number == number.to_integral_value() and int(number) in INT_RANGE:
        yield int(number)
    near = float(number)
    if near not in (_INFINITE, -_INFINITE) and Decimal(repr(near)) == number:
        yield from (near,) if near else (0.0, -0.0)


_INFINITE = float("inf")


def decimal_pattern(number: Decimal) -> str:
    """A regular expression for what ``str`` makes of every decimal of this value, and for nothing else: plain or with an exponent."""
    if not number:
        return r"-?0(\.0+)?(E[+-]?[0-9]+)?"
    sign, digits, _ = number.as_tuple()
    kept = "".join(map(str, digits)).strip("0")
    mantissa = kept[0] + (f".{kept[1:]}" if kept[1:] else "")
    plain = format(Decimal((0, tuple(map(int, kept)), number.adjusted() - len(kept) + 1)), "f")
    return f"{'-' * sign}({_with_zeros(plain)}|{_with_zeros(mantissa)}E[+]?{number.adjusted()})"


def _with_zeros(text: str) -> str:
    whole, _, fraction = text.partition(".")
    return rf"{whole}\.{fraction}0*" if fraction else rf"{whole}(\.0+)?"


def _acted(identity: str) -> sa.ColumnElement[bool]:
    either = sa.or_(_history.c.identity == identity, _history.c.impersonated_identity == identity)
    return sa.select(sa.literal_column("1")).where(_history.c.process_id == _process.c.id, either).exists()


def _as_stored(column: sa.Column[Any], text: str) -> str:
    """Inside JSON a quote or a backslash stands escaped, and last_error is ASCII besides."""
    if column is _process.c.parameters:
        return encode(text)[1:-1]
    return rows.to_json(text)[1:-1] if column is _process.c.last_error else text
