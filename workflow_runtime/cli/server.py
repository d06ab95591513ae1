"""``wfr server``: who is alive, and being one.

What is told of a server from outside, by the database's clock:

=========  ===============================================================================
condition  means
=========  ===============================================================================
alive      its lease has not passed
draining   the same, and it takes nothing new: it is about to end
silent     its lease has passed, and no server has declared it dead yet
dead       a server has declared it dead; who, and on which evidence, stands beside it
=========  ===============================================================================
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from workflow_runtime.cli.naming import noun
from workflow_runtime.cli.options import Call, verb
from workflow_runtime.cli.output import Table, say, span, write
from workflow_runtime.core.plain import plain
from workflow_runtime.errors import WorkflowError

if TYPE_CHECKING:
    from workflow_runtime.core.restoring import Server
    from workflow_runtime.runtime import WorkflowRuntime

server = noun("server", "Who is alive, and being one.")

SINGLE, MULTI = "single", "multi"

#: How a death was noticed, in words.
EVIDENCE = {
    "lock": "its lock was freed",
    "lease": "its lease expired",
    "start": "it was gone when a server started",
    "restore": "the database was renewed after a restore",
}
UNKNOWN = "how it was noticed is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A server as it stands at one moment of the database's clock."""

    server: Server
    now: datetime
    declared_by: str  #: the name of who declared it dead, or its id where it has no row any more

    @property
    def condition(self) -> str:
        return condition(self.server, self.now)

    @property
    def silence(self) -> timedelta:
        return self.now - self.server.last_beat_at

    def as_json(self) -> dict[str, Any]:
        """All fields of the server, and what was made of them here; ``silence`` in seconds."""
        told = {"condition": self.condition, "silence": self.silence.total_seconds(), "declared_by_name": self.declared_by}
        return {**plain(self.server), **told}


_SERVERS = Table(
    {
        "server": lambda s: s.server.id[:12],
        "name": lambda s: s.server.name,
        "host": lambda s: s.server.host,
        "pid": lambda s: s.server.pid,
        "mode": lambda s: s.server.mode,
        "version": lambda s: s.server.version,
        "started": lambda s: s.server.started_at,
        "last beat": lambda s: f"{span(s.silence)} ago",
        "lock": lambda s: lock(s.server),
        "death": lambda s: death(s),
        "condition": lambda s: s.condition,
    },
    id=lambda s: s["id"] if isinstance(s, dict) else s.server.id,
    empty="no server has used this database, or all were shut down; wfr server run starts one",
)


@verb(server, "list", "wfr server list", "wfr server ls -o json")
def list_(call: Call) -> None:
    """List the servers of a database, also dead ones: as long as they own work, and at least for a week.

    By the database's clock. LOCK tells whether its session lock is held, which vanishes with its process; where it is
    not (behind a pooler), only the lease tells that it has died.
    """
    with call.client() as runtime:
        rows = listed(runtime)
    _SERVERS.show([row.as_json() for row in rows] if call.wants_json else rows, call.output)


def listed(runtime: WorkflowRuntime) -> list[Listed]:
    servers, now = runtime.get_servers(), runtime.get_time()
    names = {server.id: server.name for server in servers}
    return [Listed(server=server, now=now, declared_by=names.get(server.declared_by, server.declared_by[:12])) for server in servers]


def condition(server: Server, now: datetime) -> str:
    """What may be said of it from outside: only a server declares another one dead."""
    if server.dead_at is not None:
        return "dead"
    if server.lease_until < now:
        return "silent"
    return "draining" if server.draining else "alive"


def lock(server: Server) -> str:
    """As it said at its last beat. Empty where there is none to hold: a server on SQLite holds its file, a dead one nothing."""
    if server.dead_at is not None or not (server.lock_key or not server.lock_ok):
        return ""
    return "held" if server.lock_ok else "not held"


def death(seen: Listed) -> str:
    """How long after the last beat it was declared dead, why and by whom."""
    server = seen.server
    if server.dead_at is None:
        return ""
    by = f" by {seen.declared_by}" if seen.declared_by else ""
    return f"{EVIDENCE.get(server.death, UNKNOWN)}: declared dead{by} {span(server.dead_at - server.last_beat_at)} after its last beat"


@verb(
    server,
    "run",
    "wfr server run --app shop:runtime",
    "wfr server run --url sqlite:///shop.db --schemes schemes/ --plugins plugins/",
    "wfr server run --multi --name eu-1 --url postgresql+psycopg://shop@db/shop --plugins plugins/",
)
@click.option("--name", metavar="LABEL", help="How the server is called in lists.")
@click.option("--single", "mode", flag_value=SINGLE, help="The only server of its database (the default).")
@click.option("--multi", "mode", flag_value=MULTI, help="One of several over one database: PostgreSQL, MariaDB or MySQL.")
def run(call: Call, name: str | None, mode: str | None) -> None:
    """Be a server until SIGTERM or Ctrl-C: recovers, fires timers, does queued work. Then hand work back and end.

    A second signal ends at once; what was in flight is recovered by the next server.
    """
    logging.basicConfig(level=logging.DEBUG if call.debug else logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if name and call.app and not mode:
        raise click.UsageError("--name with --app needs --single or --multi too: the application has said which")
    runtime = call.server(recover=True)
    if mode or name:
        runtime = runtime.as_multi_server(name) if mode == MULTI else runtime.as_single_server(name)
    with _Until() as until, runtime:
        for warning in _lacking(runtime):
            say(f"warning: {warning}")
        write(_ready(runtime))
        sys.stdout.flush()
        ended_by = until.signalled()
        say(f"{signal.Signals(ended_by).name}: handing work back; once more ends at once")
    say("stopped")
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt


def _ready(runtime: WorkflowRuntime) -> str:
    """One line that a supervisor or a test may wait for."""
    mine = next((server for server in reversed(runtime.get_servers()) if (server.host, server.pid) == (socket.gethostname(), os.getpid())), None)
    name = f"{mine.name} ({mine.mode}, {mine.id[:12]})" if mine else "server"
    return f"ready: {name} pid {os.getpid()}, schemes: {', '.join(runtime.get_scheme_codes()) or 'none'}"


def _lacking(runtime: WorkflowRuntime) -> Iterator[str]:
    """What this server cannot execute; it leaves such processes alone, and nobody else would say so."""
    for code in runtime.get_scheme_codes():
        with suppress(WorkflowError):  # a scheme that cannot be read is told of where it is used
            if missing := runtime.get_missing_names(code):
                names = ", ".join(map(repr, missing))
                yield f"this server has no {names}, which scheme {code!r} needs, and leaves its processes to others; name the program with --app or --plugins"


LOOK = 1.0  #: seconds: a signal that comes in the moment before a wait begins does not end that wait


class _Until:
    """From the first signal on it is time to end; the second one does what it does without us."""

    def __init__(self) -> None:
        self._came = SimpleQueue[int]()  # what a handler may put into it whatever this thread is at; an Event has a lock
        self._number = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Until:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._noted)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def signalled(self) -> int:
        """Returns when a signal has come: which."""
        while True:
            with suppress(Empty):
                return self._came.get(timeout=LOOK)

    def _noted(self, number: int, frame: FrameType | None) -> None:
        if self._number:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._number = number
        self._came.put(number)
