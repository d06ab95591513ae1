"""Brings the tables to this version, whoever comes first; the others wait, and find nothing to do.

It is one transaction, except on MariaDB and MySQL: see migrations/steps.py.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from workflow_runtime.errors import SchemaTooNew, StoreUnavailable
from workflow_runtime.store import migrations, tables
from workflow_runtime.store.dialects import Dialect, Transaction

_versions = sa.table(migrations.VERSION_TABLE, sa.column("version_num"))
_REVISION = sa.select(_versions.c.version_num)
_EPOCH = sa.select(tables.meta.c.value).where(tables.meta.c.key == sa.literal_column("'epoch'"))
_SET_EPOCH = sa.insert(tables.meta).values(key=sa.literal_column("'epoch'"), value=sa.bindparam("value"))


def revision(transaction: Transaction) -> str | None:
    """None: a database without our tables."""
    if not transaction.dialect.has_table(transaction, migrations.VERSION_TABLE):
        return None
    found = transaction.row(_REVISION, {})
    return None if found is None else str(found[0])


def check(found: str | None, place: str, known: tuple[str, ...] = migrations.REVISIONS) -> None:
    """StoreUnavailable or SchemaTooNew unless ``found`` is the newest of the known revisions, which this version works with."""
    if found is not None and found not in known:
        state = f"{place} has schema revision {found}; this version knows up to {known[-1]}"
        raise SchemaTooNew(f"{state}; upgrade this installation of workflow_runtime", revision=found)
    if found != known[-1]:
        state = "has no tables of workflow_runtime" if found is None else f"has schema revision {found}, this version needs {known[-1]}"
        raise StoreUnavailable(f"the database {place} {state}; run wfr db upgrade")


def upgrade(dialect: Dialect, epoch: str) -> bool:
    """True when something was done. The write lock is held, so the revision cannot move meanwhile."""
    with dialect.migration() as connection:
        transaction = Transaction(connection.connection.dbapi_connection, dialect)
        found = revision(transaction)
        if found == migrations.HEAD and transaction.row(_EPOCH, {}):  # one that broke off on MariaDB may have left no epoch
            return False
        if found is not None and found not in migrations.REVISIONS:
            check(found, dialect.place)
        if found != migrations.HEAD:
            _run_alembic(connection)
        if transaction.row(_EPOCH, {}) is None:
            transaction.run(_SET_EPOCH, {"value": epoch})
        return True


def epoch(transaction: Transaction) -> str:
    """A random id of this database, from its first upgrade on: copies share it, new databases do not."""
    found = transaction.row(_EPOCH, {})
    if found is None:
        raise StoreUnavailable("the database has no epoch; run wfr db upgrade")
    return str(found[0])


def _run_alembic(connection: sa.Connection) -> None:
    from alembic import command  # 0.2 s, and only when there is something to do
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
