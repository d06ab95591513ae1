"""From a URL to a dialect: what may be opened, and what is said when it may not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from workflow_runtime.errors import SettingsError
from workflow_runtime.store.dialects import Dialect
from workflow_runtime.store.sqlite import Sqlite

SYNCHRONOUS = ("FULL", "NORMAL", "EXTRA")
EXAMPLES = "sqlite:///workflow.db"


def open_dialect(url: str, *, clock: Callable[[], datetime], synchronous: str) -> Dialect:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise SettingsError(f"the database URL cannot be read; expected one like {EXAMPLES}") from error  # it may hold a password
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise SettingsError(f"databases of the kind {parsed.drivername!r} are not known; expected one like {EXAMPLES}")
    return Sqlite(sqlite_path(parsed), clock=clock, synchronous=_synchronous(synchronous))


def sqlite_path(url: sa.URL) -> Path:
    """The real path, so that one file has one lock under all its names; refused where that cannot be known."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise SettingsError(f"the store needs a database file, not {url.database or 'memory'!r}; expected one like {EXAMPLES}")
    if url.query or url.host:
        raise SettingsError(f"a SQLite URL has a path and nothing else; expected one like {EXAMPLES}, with four slashes for an absolute path")
    path = Path(url.database).resolve()
    if path.is_file() and path.stat().st_nlink > 1:
        raise SettingsError(f"the database {path} has {path.stat().st_nlink} hard links, and locks would not see each other; remove the others")
    return path


def _synchronous(level: str) -> str:
    if level.upper() not in SYNCHRONOUS:
        raise SettingsError(f"sqlite_synchronous is {level!r}; expected one of {', '.join(SYNCHRONOUS)}")
    return level.upper()
