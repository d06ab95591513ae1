"""What several servers must know of each other: the session lock of each, its beat, and how a death was noticed."""

from __future__ import annotations

import sqlalchemy as sa

from workflow_runtime.store.columns import Exact
from workflow_runtime.store.migrations.steps import add_column

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    add_column("wf_server", sa.Column("lock_key", Exact(64), nullable=False, server_default=""))
    add_column("wf_server", sa.Column("beat_every", sa.BigInteger(), nullable=False, server_default="0"))
    add_column("wf_server", sa.Column("death", Exact(16), nullable=False, server_default=""))
    add_column("wf_server", sa.Column("declared_by", Exact(64), nullable=False, server_default=""))
