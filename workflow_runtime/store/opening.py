"""From a URL to a dialect: what may be opened, and what is said when it may not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from workflow_runtime.errors import SettingsError
from workflow_runtime.store.dialects import Dialect
from workflow_runtime.store.network import Bounds
from workflow_runtime.store.sqlite import Sqlite

SQLITE_EXAMPLE = "sqlite:///workflow.db"
SYNCHRONOUS = ("FULL", "NORMAL", "EXTRA")
EXAMPLES = "sqlite:///workflow.db, postgresql+psycopg://user@host/database or mysql+pymysql://user@host/database"

#: The driver that is used, by the names it may have in a URL.
DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mysql+pymysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "mariadb+pymysql": "mariadb+pymysql",
}


def open_dialect(url: str, *, clock: Callable[[], datetime], monotonic: Callable[[], float] | None, synchronous: str, bounds: Bounds) -> Dialect:
    """``monotonic``, ``bounds``: see ``Store.open``."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise SettingsError(f"the database URL cannot be read; expected one like {EXAMPLES}") from error  # it may hold a password
    driver = DRIVERS.get(parsed.drivername)
    if driver is None:
        raise SettingsError(f"databases of the kind {parsed.drivername!r} are not known; expected one like {EXAMPLES}")
    if driver == "sqlite+pysqlite":
        return Sqlite(sqlite_path(parsed), clock=clock, synchronous=_synchronous(synchronous))
    if not parsed.database:
        raise SettingsError(f"the URL names no database; expected one like {EXAMPLES}")
    return _on_server(parsed.set(drivername=driver), clock, monotonic, bounds)


def _on_server(url: sa.URL, clock: Callable[[], datetime], monotonic: Callable[[], float] | None, bounds: Bounds) -> Dialect:
    """Each driver is imported only where it is used, and need not be there otherwise."""
    try:
        if url.drivername == "postgresql+psycopg":
            from workflow_runtime.store.postgres import Postgres

            return Postgres(url, clock=clock, monotonic=monotonic, bounds=bounds)
        from workflow_runtime.store.mariadb import MariaDb

        return MariaDb(url, clock=clock, monotonic=monotonic, bounds=bounds)
    except ImportError as error:
        extra = "postgres" if url.drivername.startswith("postgresql") else "mysql"
        raise SettingsError(f"the driver for {url.drivername} is missing ({error}); install workflow-runtime[{extra}]") from error


def sqlite_path(url: sa.URL) -> Path:
    """The real path, so that one file has one lock under all its names; refused where that cannot be known."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise SettingsError(f"the store needs a database file, not {url.database or 'memory'!r}; expected one like {SQLITE_EXAMPLE}")
    if url.query or url.host:
        raise SettingsError(f"a SQLite URL has a path and nothing else; expected one like {SQLITE_EXAMPLE}, with four slashes for an absolute path")
    path = Path(url.database).resolve()
    if path.is_file() and path.stat().st_nlink > 1:
        raise SettingsError(f"the database {path} has {path.stat().st_nlink} hard links, and locks would not see each other; remove the others")
    return path


def _synchronous(level: str) -> str:
    if level.upper() not in SYNCHRONOUS:
        raise SettingsError(f"sqlite_synchronous is {level!r}; expected one of {', '.join(SYNCHRONOUS)}")
    return level.upper()
