"""Run by Alembic, with the connection and the open transaction of ``store.migrating``. Logging stays as the host set it."""

from __future__ import annotations

from typing import Any

from alembic import context

from workflow_runtime.store.migrations import VERSION_TABLE
from workflow_runtime.store.tables import metadata


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    return kind != "table" or (name or "").startswith("wf_")


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=is_ours,
    render_as_batch=True,
    transactional_ddl=connection.dialect.name not in ("mysql", "mariadb"),
)
with context.begin_transaction():
    context.run_migrations()
