"""Keeping and moving what is stored: backup, export, import, and renewal after a backup was restored.

Each works beside servers, and where there is none. The rules are in ``store/transfer.py``, ``backup.py`` and ``renewing.py``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from workflow_runtime.core.answers import Progress, RenewalReport, TransferReport
from workflow_runtime.core.filters import EVERYTHING, ProcessFilter
from workflow_runtime.core.reading import Format
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.runtime import given
from workflow_runtime.runtime.life import new_token
from workflow_runtime.runtime.operators import Operators
from workflow_runtime.runtime.sources import TEXTS
from workflow_runtime.settings import Settings
from workflow_runtime.store.backup import backup
from workflow_runtime.store.renewing import renew
from workflow_runtime.store.transfer import Export, Import
from workflow_runtime.store.writes import Store
from workflow_runtime.version import VERSION

Target = str | os.PathLike[str] | BinaryIO


def _silent(_what: str, _done: int, _of: int) -> None:
    """Nobody wants to know."""


class Transfers(Operators):
    def backup_database(self, path: str | os.PathLike[str], *, force: bool = False, progress: Progress | None = None) -> int:
        """A copy of a SQLite database in one file, of one moment, checked; its size in bytes. Needs no start.

        Servers may write meanwhile. SettingsError (``command``: what to call instead) for other databases; StoreError
        where the file is there already, unless ``force``, or where the copy is not sound. ``progress("copied", pages, of)``.
        """
        with self._any_store() as store:
            return backup(store.dialect, Path(path), force=force, progress=progress or _silent)

    def export_processes(self, out: Target, filter: ProcessFilter | None = None, *, progress: Progress | None = None) -> TransferReport:
        """Processes as JSON lines, with schemes, history, timers and journal, as they stand at one moment.

        ``out``: a path, whose file is replaced when all is written, or a binary stream. What cannot be read is named in
        ``failed`` and left out. ``progress("exported", processes, of)``. StoreUnavailable, OSError.
        """
        parts = self._parts
        work = Export(parts.engine.store.dialect, filter=filter or EVERYTHING, progress=progress or _silent)
        with _written(out) as file:
            return work.write(file, program=VERSION)

    def import_processes(self, source: Target, *, skip_existing: bool = False, dry_run: bool = False, progress: Progress | None = None) -> TransferReport:
        """The processes of an export. TransferError, and nothing stored, unless all of the file is sound.

        ``source``: a path or a binary stream. A process whose id is in use is named in ``failed``, or counted in
        ``skipped``. Each comes without an owner and with a new token: what was executed is decided by the next
        recovery. ``progress("checked", processes, 0)``, then ``progress("imported", processes, of)``. StoreUnavailable, OSError.
        """
        parts = self._parts
        work = Import(
            parts.engine.store.dialect,
            new_token=new_token,
            check_scheme=_check_scheme,
            limits=parts.engine.limits,
            skip_existing=skip_existing,
            dry_run=dry_run,
            progress=progress or _silent,
        )
        with _read(source) as file:
            return work.read(file)

    def renew_database(self, *, actor: str, reason: str) -> RenewalReport:
        """To be called after a backup was restored: nothing that was known of the database before can write it any more.

        Servers that run find themselves fenced with their next beat and register anew; what they had in hand is decided by
        recovery. Actor and reason are noted in the database. StoreUnavailable.
        """
        order = given.order("renew", actor, reason)
        return renew(self._parts.engine.store.dialect, epoch=str(uuid4()), new_token=new_token, actor=order.actor, reason=order.reason)

    @contextmanager
    def _any_store(self) -> Iterator[Store]:
        """The one that is open, else one for this call."""
        if self._started is not None:
            yield self._parts.engine.store
            return
        store = self._open_store(Settings.build(os.environ, url=self._url, **self._given))
        try:
            yield store
        finally:
            store.close()


def _check_scheme(key: SchemeKey, text: str, format: str) -> None:
    """The text is a scheme, and the version that it is said to be. SchemeError, ValueError."""
    scheme = TEXTS.read(text, Format(format), code=key.code)
    if scheme.key != key:
        raise ValueError(f"the text is not that of scheme {key.code!r} in version {key.version[:12]}, but of {scheme.code!r} in version {scheme.version[:12]}")


@contextmanager
def _written(out: Target) -> Iterator[BinaryIO]:
    """A file that reaches ``out`` when it is whole; the database does not wait for who reads a stream slowly."""
    if not isinstance(out, str | os.PathLike):
        with _spooled(out) as file:
            yield file
        return
    path = Path(os.path.realpath(out))
    if path.exists() and not path.is_file():  # a device or a pipe must not be replaced
        with path.open("wb") as stream, _spooled(stream) as file:
            yield file
        return
    with _replacing(path) as file:
        yield file


@contextmanager
def _spooled(stream: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as spool:
        yield spool
        spool.seek(0)
        shutil.copyfileobj(spool, stream)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Readable for its owner alone: it holds what the processes hold."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        os.replace(name, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


@contextmanager
def _read(source: Target) -> Iterator[BinaryIO]:
    """A file that can be read twice."""
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file, _seekable(file) as twice:
            yield twice
        return
    with _seekable(source) as twice:
        yield twice


@contextmanager
def _seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The stream itself, or its copy. A stream is read from its first byte."""
    if stream.seekable():
        yield stream
        return
    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(stream, spool)
        yield spool
