"""Steps of a migration that may be taken again.

MariaDB and MySQL commit every DDL statement by itself: an upgrade that broke off there has done a part of its
revision. The next one goes through the same steps and leaves out what is there. Elsewhere a revision is one
transaction.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op


def create_table(name: str, *columns: Any, **options: Any) -> None:
    if not (commits_each_step() and sa.inspect(op.get_bind()).has_table(name)):
        op.create_table(name, *columns, **options)


def create_index(name: str, table: str, columns: list[str], **options: Any) -> None:
    if not (commits_each_step() and any(index["name"] == name for index in sa.inspect(op.get_bind()).get_indexes(table))):
        op.create_index(name, table, columns, **options)


def drop_index(name: str, table: str) -> None:
    if not commits_each_step() or any(index["name"] == name for index in sa.inspect(op.get_bind()).get_indexes(table)):
        op.drop_index(name, table)


def add_column(table: str, column: sa.Column[Any]) -> None:
    """A default of the database's own fills the rows that are there."""
    if not (commits_each_step() and any(found["name"] == column.name for found in sa.inspect(op.get_bind()).get_columns(table))):
        op.add_column(table, column)


def commits_each_step() -> bool:
    return op.get_bind().dialect.name in ("mysql", "mariadb")
