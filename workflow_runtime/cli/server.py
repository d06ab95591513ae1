"""``wfr server``: who is alive, and being one."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING

import click

from workflow_runtime.cli.naming import noun
from workflow_runtime.cli.options import Call, verb
from workflow_runtime.cli.output import Table, say, write
from workflow_runtime.errors import WorkflowError

if TYPE_CHECKING:
    from workflow_runtime.core.restoring import Server
    from workflow_runtime.runtime import WorkflowRuntime

server = noun("server", "Who is alive, and being one.")

SINGLE, MULTI = "single", "multi"

_SERVERS = Table(
    {
        "server": lambda s: s.id[:12],
        "name": lambda s: s.name,
        "host": lambda s: s.host,
        "pid": lambda s: s.pid,
        "mode": lambda s: s.mode,
        "version": lambda s: s.version,
        "started": lambda s: s.started_at,
        "last beat": lambda s: s.last_beat_at,
        "condition": lambda s: condition(s, datetime.now(UTC)),
    },
    id=lambda s: s.id,
    empty="no server has used this database, or all were shut down; wfr server run starts one",
)


@verb(server, "list", "wfr server list", "wfr server ls -o json")
def list_(call: Call) -> None:
    """List the servers of a database, also dead ones: as long as they own work, and at least for a week."""
    with call.client() as runtime:
        _SERVERS.show(runtime.get_servers(), call.output)


def condition(server: Server, now: datetime) -> str:
    """What may be said of it from outside: only a server declares another one dead."""
    if server.dead_at is not None:
        return "dead"
    if server.lease_until < now:
        return "silent"
    return "draining" if server.draining else "alive"


@verb(
    server,
    "run",
    "wfr server run --app shop:runtime",
    "wfr server run --url sqlite:///shop.db --schemes schemes/ --plugins plugins/",
)
@click.option("--name", metavar="LABEL", help="How the server is called in lists.")
@click.option("--single", "mode", flag_value=SINGLE, help="The only server of its database (the default).")
@click.option("--multi", "mode", flag_value=MULTI, help="One of several.")
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
    mine = next((server for server in runtime.get_servers() if server.pid == os.getpid() and server.dead_at is None), None)
    name = f"{mine.name} ({mine.mode}, {mine.id[:12]})" if mine else "server"
    return f"ready: {name} pid {os.getpid()}, schemes: {', '.join(runtime.get_scheme_codes()) or 'none'}"


def _lacking(runtime: WorkflowRuntime) -> Iterator[str]:
    """What this server cannot execute; it leaves such processes alone, and nobody else would say so."""
    for code in runtime.get_scheme_codes():
        with suppress(WorkflowError):  # a scheme that cannot be read is told of where it is used
            if missing := runtime._parts.engine.unbound(runtime.get_scheme(code).key):
                names = ", ".join(map(repr, missing))
                yield f"this server has no {names}, which scheme {code!r} needs, and leaves its processes to others; name the program with --app or --plugins"


class _Until:
    """From the first signal on it is time to end; the second one does what it does without us."""

    def __init__(self) -> None:
        self._came = threading.Event()
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
        while not self._came.wait(3_600):
            pass
        return self._number

    def _noted(self, number: int, frame: FrameType | None) -> None:
        if self._came.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._number = number
        self._came.set()
