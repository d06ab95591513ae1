"""Orphans are found by the index of states, the oldest process first. The index of their own was written anew with every step of a walk."""

from __future__ import annotations

from workflow_runtime.store.migrations.steps import drop_index

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    drop_index("wf_process_running", "wf_process")
