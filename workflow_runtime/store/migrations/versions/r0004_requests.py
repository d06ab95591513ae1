"""Which request made a row of history, and which process a key belongs to: so that each key can be followed to its one effect.

Rows of history that are there name no request. Of the keys that are there their answers tell the process.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from workflow_runtime.store.columns import Exact
from workflow_runtime.store.migrations.steps import add_column, create_index

revision = "0004"
down_revision = "0003"

PAGE = 1_000
_KEYS = sa.table("wf_idempotency", *(sa.column(name, sa.String()) for name in ("scope", "key", "answer", "process_id")))
_PROCESSES = sa.table("wf_process", sa.column("id", sa.String()))
_SET = sa.update(_KEYS).where(_KEYS.c.scope == sa.bindparam("of_scope"), _KEYS.c.key == sa.bindparam("of_key")).values(process_id=sa.bindparam("of_process"))


def upgrade() -> None:
    add_column("wf_history", sa.Column("idempotency_key", Exact(255), nullable=True))
    add_column("wf_idempotency", sa.Column("process_id", Exact(36), nullable=True))
    create_index("wf_idempotency_process", "wf_idempotency", ["process_id"])
    _fill()


def _fill() -> None:
    """A command's key has its process for a scope; that of a creation names it in its answer."""
    connection, last = op.get_bind(), ("", "")
    commanded = _KEYS.c.scope.in_(sa.select(_PROCESSES.c.id))
    connection.execute(sa.update(_KEYS).where(_KEYS.c.process_id.is_(None), commanded).values(process_id=_KEYS.c.scope))
    behind = sa.or_(_KEYS.c.scope > sa.bindparam("scope"), sa.and_(_KEYS.c.scope == sa.bindparam("scope"), _KEYS.c.key > sa.bindparam("key")))
    page = sa.select(_KEYS.c.scope, _KEYS.c.key, _KEYS.c.answer).where(_KEYS.c.process_id.is_(None), behind).order_by(_KEYS.c.scope, _KEYS.c.key).limit(PAGE)
    while rows := connection.execute(page, {"scope": last[0], "key": last[1]}).all():
        known = [{"of_scope": scope, "of_key": key, "of_process": found} for scope, key, answer in rows if (found := _process_of(answer))]
        if known:
            connection.execute(_SET, known)
        last = (rows[-1].scope, rows[-1].key)


def _process_of(answer: str | None) -> str:
    """Empty where it names none, or cannot be read: that is told where somebody asks for it."""
    try:
        found: Any = json.loads(answer or "{}")["process_id"]["$"]
        return str(found[1]) if found[0] == "uuid" and len(str(found[1])) == 36 else ""
    except (ValueError, TypeError, LookupError):
        return ""
