"""A copy of a SQLite database while it is in use; of other databases only the command of their own tool.

Law: the copy is one moment of the database, whoever writes meanwhile, and it is one file. It stands under its name
only when it was found sound; until then, and after an error, there is nothing under that name, or what was there.

==================================  =========================================================================
refused                             because
==================================  =========================================================================
the database itself, or a link      it would be copied over itself
a file that is there                it may be the last good copy; ``force`` says that it may go
a file with ``-wal``/``-journal``   SQLite would play that log into the copy: a database lies there that is in
beside it                           use, or was not closed
==================================  =========================================================================
"""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from workflow_runtime.core.answers import Progress
from workflow_runtime.errors import SettingsError, StoreError, StoreUnavailable
from workflow_runtime.store import migrating
from workflow_runtime.store.dialects import Dialect, Transaction

PAGES = 1_000  #: that are copied at once: progress is told between two times
_LOGS = ("-wal", "-journal")


def backup(dialect: Dialect, target: Path, *, force: bool, progress: Progress) -> int:
    """Bytes of the copy. SettingsError with ``command`` where this is no SQLite database; StoreError; OSError of the target's folder."""
    if dialect.path is None:
        command = own_tool(dialect.engine.url, target)
        raise SettingsError(f"the backup of {dialect.place} is made by its own tool: {command}", command=command)
    if not dialect.path.exists():  # to look at a file must not create it
        raise StoreUnavailable(f"there is no database {dialect.path}; correct the URL")
    target = Path(os.path.realpath(target))
    _require_free(dialect.path, target, force)
    with _beside(target) as partial:
        _copied(dialect, partial, progress)
        shutil.copymode(dialect.path, partial)
        size = partial.stat().st_size
        _put(partial, target)
    return size


def _require_free(source: Path, target: Path, force: bool) -> None:
    if target == source or (target.exists() and target.samefile(source)):
        raise StoreError(f"{target} is the database itself; name another file for the copy", path=str(target))
    for log in (target.with_name(target.name + ending) for ending in _LOGS):
        if log.exists():
            raise StoreError(f"{log} lies beside the file: a database that is in use, or was not closed; name another file for the copy", path=str(log))
    if target.exists() and not force:
        raise StoreError(f"{target} is there; name another file, or allow to overwrite it", path=str(target))


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A file of its own in the folder of the target, for its owner alone; gone at the end, unless it was moved."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
    finally:
        for file in (partial, *(partial.with_name(partial.name + ending) for ending in _LOGS)):
            with suppress(FileNotFoundError):
                file.unlink()


def _copied(dialect: Dialect, partial: Path, progress: Progress) -> None:
    """A snapshot that is held is not begun anew when somebody writes meanwhile."""
    with dialect.snapshot() as transaction, closing(sqlite3.connect(partial)) as copy:
        revision = migrating.revision(transaction)
        if revision is None:
            raise StoreUnavailable(f"the database {dialect.place} has no tables of workflow_runtime; correct the URL")
        try:
            transaction.driver.backup(copy, pages=PAGES, progress=lambda _status, left, pages: progress("copied", pages - left, pages))
            copy.execute("PRAGMA journal_mode=DELETE")  # whole without a log beside it; a server switches back
            _require_sound(Transaction(copy, dialect), revision)
        except sqlite3.Error as error:
            raise StoreError(f"the copy of {dialect.place} could not be made: {error}") from error


def _require_sound(copy: Transaction, revision: str) -> None:
    found = [text for (text,) in copy.driver.execute("PRAGMA integrity_check(10)")]
    if found != ["ok"]:
        raise StoreError(f"the copy is damaged, and so is {copy.dialect.place}: {'; '.join(found)}; go back to an older copy, or export what can be read")
    if (found_revision := migrating.revision(copy)) != revision:
        raise StoreError(f"the copy has schema revision {found_revision}, and the database {revision}; repeat the call")


def _put(partial: Path, target: Path) -> None:
    """On the disk before it has its name, and the name on the disk before it is told."""
    _synced(partial, os.O_RDWR)
    partial.replace(target)
    if os.name == "posix":
        _synced(target.parent, os.O_RDONLY)


def _synced(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- other databases --------------------------------------------------------------------------------------


def own_tool(url: sa.URL, target: Path) -> str:
    """The command that makes the backup, without a password: the tool asks for it, or has a file of its own for it."""
    place = {"host": url.host or url.query.get("host"), "port": url.port, "user": url.username}
    if url.drivername.startswith("postgresql"):
        names = {"host": "--host", "port": "--port", "user": "--username"}
        words = ["pg_dump", "--format=custom", f"--file={target}", *_options(place, names), str(url.database)]
        return shlex.join(words)
    place["socket"] = url.query.get("unix_socket")
    names = {"host": "--host", "port": "--port", "user": "--user", "socket": "--socket"}
    words = ["mariadb-dump", "--single-transaction", "--password", *_options(place, names), str(url.database)]
    return f"{shlex.join(words)} > {shlex.quote(str(target))}"


def _options(place: Mapping[str, object], names: dict[str, str]) -> list[str]:
    return [f"{names[part]}={value}" for part, value in place.items() if value]
