"""A ``ProcessFilter`` as conditions of a SELECT. Every value is bound; LIKE patterns are escaped."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.values import encode
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
    return found + [dialect.has_parameter(name, value) for name, value in filter.parameters.items()]


def _acted(identity: str) -> sa.ColumnElement[bool]:
    either = sa.or_(_history.c.identity == identity, _history.c.impersonated_identity == identity)
    return sa.select(sa.literal_column("1")).where(_history.c.process_id == _process.c.id, either).exists()


def _as_stored(column: sa.Column[Any], text: str) -> str:
    """Inside JSON a quote or a backslash stands escaped, and last_error is ASCII besides."""
    if column is _process.c.parameters:
        return encode(text)[1:-1]
    return rows.to_json(text)[1:-1] if column is _process.c.last_error else text
