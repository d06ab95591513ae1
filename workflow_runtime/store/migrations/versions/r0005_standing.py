"""What stands at an activity, or in a state, is found without reading what stands elsewhere."""

from __future__ import annotations

from workflow_runtime.store.migrations.steps import create_index

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for name in ("activity", "state"):
        create_index(f"wf_process_{name}", "wf_process", [name, "created_at", "id"])
