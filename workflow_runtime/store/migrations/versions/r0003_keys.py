"""Idempotency keys are in use: those that were settled long ago are found by the moment of it."""

from __future__ import annotations

from workflow_runtime.store.migrations.steps import create_index

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_index("wf_idempotency_settled", "wf_idempotency", ["settled"])
