"""The schema's revisions, oldest first. They stand here so that a start with nothing to do need not import Alembic."""

from __future__ import annotations

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
HEAD = REVISIONS[-1]
VERSION_TABLE = "wf_alembic_version"
