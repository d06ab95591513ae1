"""The lock that keeps a second server away from a SQLite database: ``<database>.lock``, held for life.

Law: a process opens a lock file once and has it open once. A POSIX lock belongs to the process, not to
the descriptor: a second descriptor would get the same lock again, and closing it would drop the lock of
the first. So every lock of the process stands in one registry, found by path and by device and inode.

The kernel frees the lock when the process ends, however it ends; a forked child does not have it. The
file stays: removing it would let two servers hold two files of one name. It holds the pid of the holder.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from workflow_runtime.errors import ServerAlreadyRunning, StoreUnavailable

__all__ = ["FileLock", "acquire"]

_LONGEST_PID = 20  #: bytes that are read of what the holder wrote
_TRIES, _BETWEEN_TRIES = 5, 0.01  #: and seconds
_LOCKED_BYTE = 1 << 30  #: far behind the text: where locks are mandatory, the text must stay readable


class FileLock:
    """One lock that this process holds, until ``release``. ``path`` is the lock file, without symbolic links."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._identity = _identity(os.fstat(descriptor))
        self._pid = os.getpid()

    def held(self) -> bool:
        """Whether the lock is this process's, and the file still the one that others would try: one system call."""
        return self._pid == os.getpid() and _REGISTRY.has(self) and self.is_at(self.path)

    def release(self) -> None:
        """Let others have it. Nothing happens a second time, or in a forked child."""
        if self._pid == os.getpid():
            _REGISTRY.release(self)

    def is_at(self, path: Path) -> bool:
        """Whether this path leads to the locked file."""
        try:
            return _identity(os.stat(path)) == self._identity
        except FileNotFoundError:
            return False

    def unlock(self) -> None:
        """For the registry: a pid that is gone must not be named, and closing drops the lock."""
        os.ftruncate(self._descriptor, 0)
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)


def acquire(path: str | os.PathLike[str]) -> FileLock:
    """Lock this database for this process, at once or not at all.

    ServerAlreadyRunning(pid, path) if a server holds it, be it in this very process; StoreUnavailable if the
    place knows no locks or refuses the file. Symbolic links are followed, so every name finds the same lock.
    """
    return _REGISTRY.acquire(Path(os.path.realpath(path)))


def is_free(path: str | os.PathLike[str]) -> bool:
    """Whether no server holds this database now. Creates nothing; the lock is tried for a moment and let go."""
    return _REGISTRY.is_free(Path(os.path.realpath(path)))


class _Registry:
    """Every lock file that this process has open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[FileLock] = []

    def acquire(self, database: Path) -> FileLock:
        path = database.with_name(f"{database.name}.lock")
        with self._lock:
            if any(lock.path == path or lock.is_at(path) for lock in self._held):  # before it is opened
                raise _already(database, "another runtime in this process", os.getpid())
            lock = _opened(path, database)
            self._held.append(lock)
            return lock

    def is_free(self, database: Path) -> bool:
        path = database.with_name(f"{database.name}.lock")
        with self._lock:
            if any(lock.path == path or lock.is_at(path) for lock in self._held):  # opening it would drop the lock
                return False
            try:
                descriptor = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                return True
            try:
                return _tried(descriptor)
            finally:
                os.close(descriptor)

    def has(self, lock: FileLock) -> bool:
        return lock in self._held

    def release(self, lock: FileLock) -> None:
        with self._lock:
            if lock in self._held:
                self._held.remove(lock)
                lock.unlock()

    def after_fork(self) -> None:
        """In the child: the locks stayed with the parent; what was inherited of the files is of no use."""
        self._lock = threading.Lock()
        inherited, self._held = self._held, []
        for lock in inherited:
            lock.close()


_REGISTRY = _Registry()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_REGISTRY.after_fork)


def _opened(path: Path, database: Path) -> FileLock:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreUnavailable(f"the lock file {path} cannot be opened ({error.strerror}); the folder must be writable", path=str(path)) from error
    try:
        _lock_now(descriptor, path, database)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        return FileLock(path, descriptor)
    except BaseException:
        os.close(descriptor)  # drops nothing: this process does not hold the lock
        raise


def _lock_now(descriptor: int, path: Path, database: Path) -> None:
    """More than one try: somebody who asks whether the lock is free holds it for some microseconds."""
    try:
        if not any(_tried(descriptor) or threading.Event().wait(_BETWEEN_TRIES) for _ in range(_TRIES)):
            pid = _written_pid(descriptor)
            raise _already(database, f"the process {pid or 'that has just started'}", pid)
    except OSError as error:
        message = f"the file {path} cannot be locked ({error.strerror}); SQLite needs a local file system, not a network one"
        raise StoreUnavailable(message, path=str(path)) from error


def _tried(descriptor: int) -> bool:
    """Whether the lock could be had."""
    try:
        _lock_byte(descriptor)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _lock_byte(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _written_pid(descriptor: int) -> int | None:
    """None in the moment between the holder's lock and its pid."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, _LONGEST_PID).strip()
    return int(text) if text.isdigit() else None


def _already(database: Path, who: str, pid: int | None) -> ServerAlreadyRunning:
    message = f"{database} is held by {who}; stop that one first, or use as_client() beside it"
    return ServerAlreadyRunning(message, pid=pid, path=str(database))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
