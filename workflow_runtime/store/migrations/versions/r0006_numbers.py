"""SQLite counts the rows of history by themselves: the table in which it kept the last number cost each commit a page of the log.

Nothing takes rows of history away, so the newest has the largest number, and the next one a larger.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("wf_history", recreate="always"):
            pass  # made anew after what is there, without AUTOINCREMENT, which is not taken over
