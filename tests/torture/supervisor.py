"""What drives a run: it starts the programs, kills, stops and wakes them, and gathers the evidence at the end.

Everything that it does is an event with its moment on the machine's monotonic clock, in ``events.jsonl``. A server is
known by the end of its connection to be dead, by a request that gets no answer to be stopped.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID

import audit
import receiver
import sqlalchemy as sa
import triggers
from evidence import Refusal, Run
from invariants import check
from programs import HERE, PATIENCE, Events, Nursery, Server, environment
from proxy import Mode, Proxy, Side, target_of, through
from transfer import PLAN
from waiting import until

MARKER = "S3CR3T-7c1f"  #: a value of every process, which must stand in no log
LOOK = 0.03  #: seconds between two looks at the database

#: what a server says when it writes: on PostgreSQL the walk that it has in hand, or an arrival in turn; on MariaDB its commit
A_WRITE = {"postgresql": (b'"run":[', b"moved"), "mysql": (b"COMMIT",)}
#: a short lease, so that a test about it is over soon
SETTINGS: dict[str, Any] = {
    "beat": 0.2,
    "lease": 2.0,
    "sweep": 0.1,
    "poll": 0.5,
    "workers": 16,
    "restorer_timeout": 0.5,
    "shutdown_grace": 10.0,
    "max_recovery_attempts": 3,
}


class Supervisor:
    """One run over the database ``url``, whose tables are there. ``proxied``: each server has a proxy of its own."""

    def __init__(self, url: str, folder: Path, nursery: Nursery, *, proxied: bool = False, threads: int = 32, mode: str = "multi", **settings: Any) -> None:
        self.url, self.folder, self.nursery = url, folder, nursery
        self.settings, self.proxied, self.threads, self.mode = {**SETTINGS, **settings}, proxied, threads, mode
        self.events = Events(folder / "events.jsonl")
        self.database = sa.create_engine(triggers.named(sa.make_url(url), "supervisor"), isolation_level="AUTOCOMMIT", pool_pre_ping=True)
        triggers.install(self.database)
        self._writes = cycle(A_WRITE[self.database.dialect.name])
        self.servers: list[Server] = []
        self.proxies: list[Proxy] = []
        self.created: set[str] = set()
        self.policies: dict[str, str] = {}
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()
        self._receiver = subprocess.Popen(
            [sys.executable, str(HERE / "receiver.py"), str(folder / "ledger.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
        )
        assert self._receiver.stdout is not None
        self._receiver_port = int(json.loads(self._receiver.stdout.readline())["port"])
        self._control = socket.create_connection(("127.0.0.1", self._receiver_port)).makefile("rwb")
        self._control_gate = threading.Lock()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            with suppress(ProcessLookupError):
                if server.alive:
                    os.kill(server.pid, signal.SIGKILL)
        for proxy in self.proxies:
            proxy.close()
        self._listening.close()
        assert self._receiver.stdin is not None
        self._receiver.stdin.close()
        self._receiver.wait(PATIENCE)
        self.database.dispose()

    # ------------------------------------------------------------------ servers

    def start(self, *, point: str = "", proxied: bool | None = None) -> Server:
        """Forks one; it is ready when ``wait_until_ready`` returns."""
        name = f"torture-{len(self.servers) + 1}"
        proxy = Proxy(target_of(sa.make_url(self.url))) if (self.proxied if proxied is None else proxied) else None
        if proxy is not None:
            self.proxies.append(proxy)
        url = triggers.named(sa.make_url(through(self.url, proxy) if proxy is not None else self.url), name)
        told = {
            "server": name,
            "url": url.render_as_string(hide_password=False),
            "folder": str(self.folder),
            "point": point,
            "port": self._listening.getsockname()[1],
            "receiver": self._receiver_port,
            "threads": self.threads,
            "mode": self.mode,
            "settings": self.settings,
        }
        server = Server(self.nursery, self.events, name, proxy)
        self.servers.append(server)
        server.pid = self.nursery.fork(told)
        self.events.note("started", server=name, pid=server.pid, point=point)
        return server

    def start_all(self, count: int = 3, *, point: str = "") -> list[Server]:
        return [server.wait_until_ready() for server in [self.start(point=point) for _ in range(count)]]

    def serving(self) -> list[Server]:
        return [server for server in list(self.servers) if server.serves and not server.is_stopped]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listening.accept()
                threading.Thread(target=self._connected, args=(line,), daemon=True).start()

    def _connected(self, line: socket.socket) -> None:
        with line, line.makefile("rb") as lines:
            try:
                name = json.loads(next(lines))["hello"]
            except (OSError, StopIteration):
                return
            next(server for server in self.servers if server.name == name).connected(line, lines)

    # ------------------------------------------------------------------ processes

    def create(self, server: Server, number: int, policy: str = "resume") -> Future[dict[str, Any]]:
        """Begins a creation; it counts as done once its answer says so, see ``acknowledge``."""
        process = str(UUID(int=number))
        self.policies[process] = policy
        return server.ask("create", process=process, key=f"create {number}", parameters={"Policy": policy, "Secret": MARKER})

    def acknowledge(self, number: int, answer: dict[str, Any]) -> bool:
        """Whether the answer says that the process was created, be it that its run broke off behind that."""
        if answer.get("error") in (None, "ProcessAlreadyExists", "ActionFailed", "ExecutionError", "ProcessNotFound"):
            self.created.add(str(UUID(int=number)))
        return str(UUID(int=number)) in self.created

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.database.connect() as connection:
            return list(connection.execute(sa.text(statement), values))

    def count(self, statement: str, **values: Any) -> int:
        return int(self.rows(statement, **values)[0][0])

    def taken(self, owner: str) -> int:
        """How many processes this incarnation had and has no more."""
        return self.count(_TAKEN, owner=owner)

    # ------------------------------------------------------------------ the receiver

    def tell_receiver(self, control: str, **facts: Any) -> int:
        """How many requests it holds now."""
        with self._control_gate:
            self._control.write(json.dumps({"control": control, **facts}).encode() + b"\n")
            self._control.flush()
            return int(json.loads(self._control.readline())["held"])

    # ------------------------------------------------------------------ the end

    def quiesce(self, count: int = 2) -> None:
        """Wakes and kills all, and starts fresh servers without faults. ``settle`` waits for them."""
        self.events.note("quiesce")
        self.tell_receiver("chaos", seed=0, lost=0.0, late=0.0)
        self.tell_receiver("release")
        for proxy in self.proxies:
            proxy.disarm()
            proxy.mode = Mode.PASS
        for server in self.servers:
            if server.alive:
                if server.is_stopped:
                    server.wake()
                server.kill()
        for server in [self.start(proxied=False) for _ in range(count)]:
            server.wait_until_ready()

    def settle(self, finish: Callable[[], object] = lambda: None, seconds: float = 2 * PATIENCE) -> Run:
        """Waits until nothing moves any more, has all servers leave in order, and returns the evidence.

        ``finish`` is called again and again meanwhile; it may give the last commands. What is asked for and not answered may
        still move a process that stands at its end.
        """

        deadline, pause = time.monotonic() + seconds, threading.Event()
        finish()
        while any(server.unanswered for server in self.serving()) or self.rows(_MOVING):
            assert time.monotonic() < deadline, self._unrest(seconds)
            pause.wait(LOOK)  # to look more often would take the time of those who are looked at
            finish()
        for server in self.serving():
            assert server.terminate() == 0, f"{server.name} did not leave in order; see {self.folder}"
        self.events.note("at rest")
        run = self.evidence()
        run.connections = self._connections({write.id for write in run.servers})
        return run

    def _connections(self, incarnations: set[str]) -> list[str]:
        """Of this run's servers, which have all ended. The database notices an end by itself, some moments later."""
        if self.database.dialect.name != "postgresql":
            return []
        left: list[str] = []

        def none_left() -> bool:
            left[:] = [name for (name,) in self.rows(_CONNECTED) if incarnations.intersection(part.removeprefix("wf-") for part in name.split())]
            return not left

        with suppress(AssertionError):
            until(none_left)
        return left

    def network(self, server: Server, mode: Mode) -> None:
        """What becomes of everything between this server and the database, until it is told otherwise."""
        assert server.proxy is not None
        server.proxy.mode = mode
        self.events.note("network", server=server.name, mode=mode.value)

    def refusals(self) -> list[Refusal]:
        """The late writes that the servers have counted so far."""
        paths = sorted(self.folder.glob("*.refusals"))
        return [_refusal(path.stem, json.loads(line)) for path in paths for line in path.read_text().splitlines()]

    def _unrest(self, seconds: float) -> str:
        """What is still under way, and what is wrong with the run so far."""
        moving = [tuple(row) for row in self.rows(_MOVING.replace("LIMIT 1", "LIMIT 5"))]
        wrong = "\n".join([str(violation) for violation in check(self.evidence()) if violation.invariant != "I1"][:20])
        return f"not at rest within {seconds:g} s: {moving}; logs in {self.folder}\n{wrong}"

    def cut(self, server: Server, *, landed: bool, seconds: float = 10.0) -> bool:
        """The next write of this server loses its answer, or does not arrive at all; False when it writes nothing for so long."""
        assert server.proxy is not None
        before, deadline, pause = server.proxy.cuts, time.monotonic() + seconds, threading.Event()
        server.proxy.cut_after(next(self._writes), side=Side.REQUEST, forward=landed)
        while server.proxy.cuts == before and time.monotonic() < deadline and server.alive:
            pause.wait(LOOK)
        done = server.proxy.cuts > before
        server.proxy.disarm()
        if done:
            self.events.note("cut", server=server.name, outcome="landed" if landed else "missed")
        return done

    def evidence(self) -> Run:
        """All that is known by now."""
        run = Run(plan=PLAN, created=frozenset(self.created), policies=dict(self.policies), most_deaths=self.settings["max_recovery_attempts"])
        audit.read(self.database, run)
        run.arrivals, run.effects = receiver.read(self.folder / "ledger.db")
        run.events = list(self.events.all)
        run.refusals = self.refusals()
        run.calls = [call for server in self.servers for call in server.calls]
        run.leaks = [path.name for path in sorted(self.folder.glob("*.log")) if MARKER in path.read_text(errors="replace")]
        for path in sorted(self.folder.glob("*.unhandled")):
            run.unhandled += [f"{path.stem}: {json.loads(line)['error']}" for line in path.read_text().splitlines()]
        return run


_CONNECTED = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
_TAKEN = "SELECT count(DISTINCT process) FROM audit WHERE source = 'wf_process' AND had = :owner AND (owner IS NULL OR owner <> :owner)"
#: Running, waiting for a timer or for a command: what is not at its end. Error and Terminated wait for a person.
_MOVING = "SELECT id, status, activity, owner, waiting_until FROM wf_process WHERE status IN (0, 1, 2) LIMIT 1"


def _refusal(server: str, told: dict[str, Any]) -> Refusal:
    return Refusal(server, told["layer"], told["kind"], told["process"], told["owner"], told["token"], told["at"])
