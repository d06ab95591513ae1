"""This server among others: one incarnation from start to stop. Here single and multi server differ.

Law: an incarnation is registered once, under a random id, and its death is for ever: who finds itself
declared dead drops what it holds and goes on as a new incarnation. The name is a label and proves nothing.

=========================  ==============================  ===============================================
                           single server                   multi server
=========================  ==============================  ===============================================
SQLite                     the file lock proves that       refused
                           every earlier one is dead
other databases            waits until no server beats     waits until no single server beats
refused at the start       by any server that beats        by a single server that beats
declared dead at start     every earlier incarnation       single servers only
may execute while          SQLite: the file lock holds     three quarters of a lease since the last beat
                           others: as multi                that was sent and arrived
=========================  ==============================  ===============================================

That a server beats means that its beat *number* advances while we look, for a whole lease by our own
monotonic clock: what a row says about time proves nothing, clocks differ and step.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

from workflow_runtime.core.restoring import Server
from workflow_runtime.engine import filelock
from workflow_runtime.engine.clock import Clock
from workflow_runtime.engine.filelock import FileLock
from workflow_runtime.errors import RuntimeNotStarted, ServerAlreadyRunning, SettingsError
from workflow_runtime.settings import Settings
from workflow_runtime.store.writes import Store

__all__ = ["Mode", "Presence"]

_log = logging.getLogger(__name__)

_REMEMBERED = timedelta(days=7)  #: how long the row of a dead server that owns nothing is shown to people
_TRUSTED = 0.75  #: of a lease: what stays is the time in which a write that was begun may still arrive


class Mode(StrEnum):
    SINGLE = "single"
    MULTI = "multi"


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


class Presence:
    """One server's claim to be alive. ``name`` is a label (None: the host's name), ``new_id`` gives random hexadecimal ids.

    ``on_fenced(old, new)`` is called from ``beat`` when this server was declared dead and has registered again.
    ``pause(seconds)`` waits between two looks at others. Thread-safe after ``start``.
    """

    def __init__(
        self,
        *,
        store: Store,
        settings: Settings,
        clock: Clock,
        name: str | None,
        mode: str,
        new_id: Callable[[], str],
        version: str,
        on_fenced: Callable[[str, str], None] = lambda old, new: None,
        pause: Callable[[float], None] = _pause,
    ) -> None:
        self._store, self._settings, self._clock, self._new_id, self._version = store, settings, clock, new_id, version
        self._host = socket.gethostname()
        self._name, self._mode = name or self._host, Mode(mode)
        self._on_fenced, self._pause = on_fenced, pause
        self._gate = threading.Lock()
        self._pid: int | None = None
        self._incarnation: str | None = None
        self._file: FileLock | None = None
        self._deadline = clock.monotonic()
        self._draining = False

    @property
    def incarnation(self) -> str | None:
        """The id of this incarnation; None before start and after stop."""
        return self._incarnation

    @property
    def beat_every(self) -> float:
        """Seconds between two beats: behind a file lock nobody's life hangs on them."""
        return self._settings.lease if self._is_alone else self._settings.beat

    def start(self) -> str:
        """Become a server of this database and return the id of the incarnation.

        ServerAlreadyRunning (pid and path, or server, host and pid) if that cannot be; on other databases than
        SQLite this may take a lease, when a server that is gone has left its row.
        """
        if self._pid == os.getpid() and self._incarnation is not None:
            return self._incarnation
        self._refuse_sqlite_with_many()
        self._gate, self._pid, self._incarnation, self._draining = threading.Lock(), os.getpid(), None, False
        self._file = filelock.acquire(self._store.path) if self._store.path else None
        try:
            self._bury(self._silent(self._rivals()))
            self._store.forget_dead(kept=_REMEMBERED)
            incarnation = self._register()
            self._yield_to_others(incarnation)
            return incarnation
        except BaseException:
            self._incarnation = None
            self._let_go()
            raise

    def beat(self) -> None:
        """Give a sign of life. Whoever was declared dead registers as a new incarnation, then ``on_fenced`` is called."""
        with self._gate:  # a beat that overlaps the end must not register anew
            old, sent = self._incarnation, self._clock.monotonic()
            if old is None:
                return
            if self._store.beat(old, lease=self._lease):
                self._trust_from(sent)
                return
            _log.warning("the server %s (%s) was declared dead by another; it drops what it holds and registers anew", self._name, old)
            new = self._register()  # until then writes go on in the old name, which the guard refuses
        self._on_fenced(old, new)

    def may_execute(self) -> bool:
        """To be asked before claims and effects. No proof (the guard of each write is that), but it keeps a zombie from most of them."""
        if self._pid != os.getpid() or self._incarnation is None:
            return False
        return self._file.held() if self._file is not None else self._clock.monotonic() < self._deadline

    def check_fork(self) -> None:
        """RuntimeNotStarted in a child that was forked from the process that called ``start``."""
        if self._pid not in (None, os.getpid()):
            raise RuntimeNotStarted(
                f"this runtime was started in the process {self._pid} and this is {os.getpid()}, forked from it: "
                "threads, locks and connections stay behind; build and start a runtime in the child",
                pid=self._pid,
            )

    def drain(self) -> None:
        """Say that this server takes nothing new: should it die now, its death counts against no process."""
        with self._gate:
            self._draining = True
            if self._incarnation is not None:
                self._store.drain(self._incarnation)

    def stop(self, *, clean: bool) -> None:
        """Stop being a server. ``clean``: nothing of it is in flight, so its row goes; otherwise recovery decides about what it leaves.

        Nothing happens a second time, or in a forked child.
        """
        if self._pid != os.getpid():
            return
        with self._gate:
            mine, self._incarnation = self._incarnation, None
            try:
                if mine is not None and clean:
                    self._store.retire(mine)
            finally:
                self._let_go()

    @property
    def _is_alone(self) -> bool:
        return self._store.path is not None

    @property
    def _lease(self) -> timedelta:
        """Twice the pause between two beats where they come once per lease, so that the row of a live server never looks expired."""
        return timedelta(seconds=self._settings.lease * (2 if self._is_alone else 1))

    def _refuse_sqlite_with_many(self) -> None:
        if self._is_alone and self._mode is Mode.MULTI:
            message = "several servers cannot share a SQLite database; use as_single_server(), or a PostgreSQL, MariaDB or MySQL database"
            raise SettingsError(message, setting="url", value=self._settings.url)

    def _rivals(self) -> dict[str, Server]:
        """Who would have to be dead: by id, as their rows stand."""
        living = [server for server in self._store.servers() if server.dead_at is None]
        return {server.id: server for server in living if Mode.SINGLE in (self._mode, server.mode)}

    def _silent(self, rivals: dict[str, Server]) -> list[Server]:
        """The rivals after a lease without a beat. Behind the file lock nobody has to be waited for."""
        seen, waited = rivals, 0.0
        lease = max((self._lease, *(server.lease_until - server.last_beat_at for server in seen.values())))
        while not self._is_alone and rivals and waited < lease.total_seconds():
            self._pause(self._settings.beat)
            waited += self._settings.beat
            rivals = self._rivals()
            for server in rivals.values():
                if server.id not in seen or server.beat != seen[server.id].beat:
                    raise _refused_by(server)
        return list(rivals.values())

    def _bury(self, silent: list[Server]) -> None:
        for server in silent:
            if not self._store.declare_dead(server.id, beat=server.beat) and server.id in self._rivals():
                raise _refused_by(server)  # it has beaten just now

    def _yield_to_others(self, mine: str) -> None:
        """Two that started at the same moment saw nobody; whoever sees the other's row now gives way (perhaps both)."""
        others = [server for server in self._rivals().values() if server.id != mine]
        if others:
            self._store.retire(mine)
            raise _refused_by(others[0])

    def _register(self) -> str:
        """A new row, under a new id, and from then on every claim is made in its name.

        The store stays bound to it even after the end: unbound, a late write would count as a client's and pass.
        """
        sent, now = self._clock.monotonic(), self._store.now()
        me = Server(
            id=self._new_id(),
            name=self._name,
            host=self._host,
            pid=os.getpid(),
            version=self._version,
            mode=self._mode.value,
            started_at=now,
            last_beat_at=now,
            lease_until=now + self._lease,
            draining=self._draining,
        )
        self._store.register(me)
        self._store.bind(me.id)
        self._trust_from(sent)
        self._incarnation = me.id
        return me.id

    def _trust_from(self, sent: float) -> None:
        self._deadline = sent + _TRUSTED * self._lease.total_seconds()

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.release()


def _refused_by(server: Server) -> ServerAlreadyRunning:
    message = f"the {server.mode} server {server.name!r} runs on {server.host} as process {server.pid}; stop it first, or use as_client() beside it" + (
        "" if server.mode == Mode.SINGLE else " (as_multi_server() may run beside it)"
    )
    return ServerAlreadyRunning(message, server=server.name, host=server.host, pid=server.pid)
