"""The stored texts of schemes: every version that was ever added, and which one is current."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.store import tables
from workflow_runtime.store.dialects import Transaction

_scheme, _current = tables.scheme, tables.scheme_current
_THIS = (_scheme.c.code == bindparam("code"), _scheme.c.version == bindparam("version"))

_TEXT = sa.select(_scheme.c.text, _scheme.c.format).where(*_THIS)
_INSERT = sa.insert(_scheme).values({column.name: bindparam(column.name) for column in _scheme.c})
_MAKE_CURRENT = sa.update(_current).where(_current.c.code == bindparam("code")).values(version=bindparam("version"))
_FIRST_CURRENT = sa.insert(_current).values(code=bindparam("code"), version=bindparam("version"))
_CURRENT = sa.select(_current.c.version).where(_current.c.code == bindparam("code"))
_CODES = sa.select(_current.c.code).order_by(_current.c.code)
_VERSIONS = sa.select(_scheme.c.version).where(_scheme.c.code == bindparam("code")).order_by(_scheme.c.added_at, _scheme.c.version)


def add(transaction: Transaction, key: SchemeKey, text: str, format: str, added_at: int) -> bool:
    """Store the version if it is new, and make it current; True when it was new."""
    values = key._asdict()
    is_new = transaction.row(_TEXT, values) is None
    if is_new:
        transaction.run(_INSERT, {**values, "text": text, "format": format, "added_at": added_at})
    if not transaction.run(_MAKE_CURRENT, values):
        transaction.run(_FIRST_CURRENT, values)
    return is_new


def text(transaction: Transaction, key: SchemeKey) -> tuple[str, str] | None:
    found = transaction.row(_TEXT, key._asdict())
    return None if found is None else (found[0], found[1])


def current_version(transaction: Transaction, code: str) -> str | None:
    found = transaction.row(_CURRENT, {"code": code})
    return None if found is None else str(found[0])


def codes(transaction: Transaction) -> list[str]:
    return [code for (code,) in transaction.rows(_CODES, {})]


def versions(transaction: Transaction, code: str) -> list[str]:
    """The oldest first."""
    return [version for (version,) in transaction.rows(_VERSIONS, {"code": code})]
