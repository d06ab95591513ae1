"""A schema of its own in a PostgreSQL database: for what must not meet what is there, and shall leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa

from workflow_runtime.errors import SettingsError
from workflow_runtime.store.dialects import Dialect
from workflow_runtime.store.network import USUAL
from workflow_runtime.store.opening import DRIVERS, open_dialect

POSTGRES = "postgresql+psycopg"
EXAMPLE = "postgresql+psycopg://user@host/database"


@contextmanager
def own_schema(url: str, name: str, *, keep: bool, clock: Callable[[], datetime]) -> Iterator[str]:
    """Makes the schema, gives the URL of it, and drops it with all that it holds, unless it is to be kept.

    That URL is the one given and an option that makes the schema the only one that is looked into. SettingsError for
    other databases than PostgreSQL; StoreUnavailable where it cannot be reached, or the user may not make schemas.
    """
    given = _postgres(url)
    place = open_dialect(url, clock=clock, monotonic=None, synchronous="FULL", bounds=USUAL)
    try:
        _run(place, sa.schema.CreateSchema(name))
        try:
            options = f"{given.query.get('options', '')} -csearch_path={name}".lstrip()
            yield given.update_query_dict({"options": options}).render_as_string(hide_password=False)
        finally:
            if not keep:
                _run(place, sa.schema.DropSchema(name, cascade=True))
    finally:
        place.close()


def _postgres(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise SettingsError(f"the database URL cannot be read; expected one like {EXAMPLE}") from error  # it may hold a password
    if DRIVERS.get(parsed.drivername) != POSTGRES:
        raise SettingsError(f"a {parsed.drivername!r} database has no schemas of this kind; expected PostgreSQL, as in {EXAMPLE}")
    return parsed


def _run(place: Dialect, statement: sa.schema.ExecutableDDLElement) -> None:
    with place.translated(), place.engine.connect() as connection:
        connection.execute(statement)
