"""Who else may be a server of this database, asked whenever one registers; and how one is declared dead.

=========================  ==============================  ===============================================
                           single server                   multi server
=========================  ==============================  ===============================================
SQLite                     the file lock proves that       refused
                           every earlier one is dead
other databases            waits until no server beats     waits until no single server beats
refused at the start       by any server that beats        by a single server that beats
declared dead at start     every earlier incarnation       single servers only
registers anew (it was     gives way to any server that    gives way to a single server that
declared dead)             has a living row                has a living row
=========================  ==============================  ===============================================

That a server beats means that its beat *number* advances while we look, for a whole lease by our own
monotonic clock: what a row says about time proves nothing, clocks differ and step.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

from workflow_runtime.core.restoring import Server
from workflow_runtime.core.watching import Evidence
from workflow_runtime.errors import ServerAlreadyRunning, StoreUnavailable
from workflow_runtime.store.writes import Store

__all__ = ["Mode", "Rivals", "declare_dead", "pause"]

_log = logging.getLogger(__name__)


class Mode(StrEnum):
    SINGLE = "single"
    MULTI = "multi"


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def declare_dead(store: Store, server: Server, evidence: Evidence) -> bool:
    """True if this call made it so. Then what the database still does for it is ended: a stopped server may hold row locks."""
    if not store.declare_dead(server.id, beat=server.beat, evidence=evidence):
        return False
    level = logging.INFO if evidence is Evidence.START else logging.WARNING  # after a crash of a single server that is how every start begins
    _log.log(level, "the server %s (%s) on %s, process %s, is dead; noticed by: %s", server.name, server.id, server.host, server.pid, evidence)
    try:
        store.terminate_connections(server.id)
    except StoreUnavailable as error:  # its locks go when the database ends its idle transactions
        _log.warning("the connections of the dead server %s (%s) could not be ended: %s", server.name, server.id, error)
    return True


class Rivals:
    """Those beside whom a server of this mode cannot be. ``wait(seconds)`` passes between two looks, ``beat`` is how long."""

    def __init__(self, store: Store, mode: Mode, *, beat: float, wait: Callable[[float], None]) -> None:
        self._store, self._mode, self._beat, self._wait = store, mode, beat, wait

    def bury(self, *, lease: timedelta) -> None:
        """Declares dead those that are silent for a lease. ServerAlreadyRunning if one beats."""
        for server in self._silent(lease):
            if not declare_dead(self._store, server, Evidence.START) and server.id in self._living():
                raise _refused_by(server)  # it has beaten just now

    def yield_to(self, mine: str) -> None:
        """Whoever sees the row of a living rival beside its own gives way: that is gone, and ServerAlreadyRunning.

        Two that started at the same moment saw nobody before, and one that hung does not know who came meanwhile. Perhaps both give way.
        """
        others = [server for server in self._living().values() if server.id != mine]
        if others:
            self._store.retire(mine)
            raise _refused_by(others[0])

    def _living(self) -> dict[str, Server]:
        """Who would have to be dead: by id, as their rows stand."""
        living = [server for server in self._store.servers() if server.dead_at is None]
        return {server.id: server for server in living if Mode.SINGLE in (self._mode, server.mode)}

    def _silent(self, lease: timedelta) -> list[Server]:
        """The rivals after a lease without a beat. Behind the file lock nobody has to be waited for."""
        seen = rivals = self._living()
        waited, longest = 0.0, max((lease, *(server.lease_until - server.last_beat_at for server in seen.values())))
        while self._store.path is None and rivals and waited < longest.total_seconds():
            self._wait(self._beat)
            waited += self._beat
            rivals = self._living()
            for server in rivals.values():
                if server.id not in seen or server.beat != seen[server.id].beat:
                    raise _refused_by(server)
        return list(rivals.values())


def _refused_by(server: Server) -> ServerAlreadyRunning:
    message = f"the {server.mode} server {server.name!r} runs on {server.host} as process {server.pid}; stop it first, or use as_client() beside it" + (
        "" if server.mode == Mode.SINGLE else " (as_multi_server() may run beside it)"
    )
    return ServerAlreadyRunning(message, server=server.name, host=server.host, pid=server.pid)
