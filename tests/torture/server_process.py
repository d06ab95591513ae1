"""The server under torture: a real runtime in a process of its own, that does what the supervisor says over a socket.

This program imports once and forks a server for each line it reads, so that one that was killed is replaced at once.
It ends with its input, and all its servers with it, stopped ones too. A server counts the writes that it was refused:
by the guard of the statement, or by its own engine before a statement was sent.

==========  ==============================================================
verb        does
==========  ==============================================================
create      ``create_instance`` with ``process``, ``parameters`` and ``key``
command     ``execute_command`` with ``process``, ``name`` and ``key``
read        ``get_process`` with ``process``
resume      ``resume_process`` with ``process``
==========  ==============================================================
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from transfer import SCHEME, ByPolicy, actions

from workflow_runtime.core.process import Change, ChangeKind, Process
from workflow_runtime.engine.engine import Engine
from workflow_runtime.errors import Fenced, WorkflowError
from workflow_runtime.store.writes import Outcome, Store
from workflow_runtime.testing.crash import VARIABLE, CrashingRuntime

PATIENCE = 60.0  #: seconds for an answer of the receiver
ATTEMPTS = 8  #: of one request: its answer may be lost, and it is sent again with the same key
#: what a server would load when it starts: loaded once, before the forks
LOADED = ("workflow_runtime.store.postgres", "workflow_runtime.store.mariadb", "workflow_runtime.store.migrating", "sqlalchemy.dialects.postgresql.psycopg")
#: changes of a process that its owner makes; an adoption that comes too late is no late write
OWN = frozenset(ChangeKind) - {ChangeKind.ADOPT, ChangeKind.CREATE}


class Notes:
    """One line for each thing that must be known after a kill, appended at once."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, **facts: Any) -> None:
        os.write(self._file, (json.dumps({"at": time.monotonic_ns(), **facts}) + "\n").encode())


class Sender:
    """Calls the receiver: a connection per thread, and the same request again when its answer was lost."""

    def __init__(self, port: int, server: str) -> None:
        self._port, self._server, self._mine = port, server, threading.local()

    def __call__(self, request: dict[str, Any]) -> None:
        line = json.dumps({**request, "server": self._server}).encode() + b"\n"
        for _ in range(ATTEMPTS):
            if self._answered(line):
                return
        raise ConnectionError(f"the receiver gave no answer to {request['key']} in {ATTEMPTS} attempts")

    def _answered(self, line: bytes) -> bool:
        stream = getattr(self._mine, "stream", None)
        try:
            if stream is None:
                stream = self._mine.stream = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE).makefile("rwb")
            stream.write(line)
            stream.flush()
            answered = bool(stream.readline())
        except OSError:
            answered = False
        if not answered:
            self._mine.stream = None
        return answered


def count_refusals(notes: Notes) -> None:
    """Around the two places where a late write ends; what was before each is the process as this server believed it to be."""
    apply_in_store: Callable[..., Any] = Store.apply
    apply_in_engine: Callable[..., Any] = Engine.apply

    def note(layer: str, change: Change) -> None:
        if change.before is not None and change.before.owner is not None and change.kind in OWN:
            notes.write(layer=layer, kind=change.kind, process=str(change.before.id), owner=change.before.owner, token=change.before.token)

    def in_store(self: Store, change: Change, *arguments: Any, **named: Any) -> Any:
        applied = apply_in_store(self, change, *arguments, **named)
        if applied.outcome is Outcome.LOST:
            note("guard", change)
        return applied

    def in_engine(self: Engine, change: Change, *arguments: Any, **named: Any) -> Any:
        try:
            return apply_in_engine(self, change, *arguments, **named)
        except Fenced:
            note("engine", change)
            raise

    Store.apply, Engine.apply = in_store, in_engine  # type: ignore[method-assign]


class Server:
    def __init__(self, told: dict[str, Any]) -> None:
        self.name, folder = told["server"], Path(told["folder"])
        if told["point"]:
            os.environ[VARIABLE] = told["point"]
        logging.basicConfig(filename=folder / f"{self.name}.log", level=logging.INFO, format="%(asctime)s %(levelname)s %(threadName)s %(name)s %(message)s")
        logging.getLogger("workflow_runtime.engine.clockwork").setLevel(logging.INFO)
        self._stacks = (folder / f"{self.name}.stacks").open("w")
        faulthandler.register(signal.SIGUSR1, self._stacks, all_threads=True)
        self._unhandled = Notes(folder / f"{self.name}.unhandled")
        threading.excepthook = lambda given: self._note_unhandled(given.exc_value)
        count_refusals(Notes(folder / f"{self.name}.refusals"))
        self._leave = SimpleQueue[None]()
        self._gate = threading.Lock()
        self._line = socket.create_connection(("127.0.0.1", told["port"]))
        self._pool = ThreadPoolExecutor(told["threads"])
        self.runtime = (
            CrashingRuntime(told["url"])
            .with_schemes(SCHEME)
            .with_actions(actions(Sender(told["receiver"], self.name)))
            .with_process_restorer(ByPolicy())
            .with_settings(**told["settings"])
        )
        self.runtime = _as(self.runtime, told["mode"], self.name)

    def run(self) -> None:
        """Until SIGTERM, or until the supervisor is gone."""
        signal.signal(signal.SIGTERM, lambda number, frame: self._leave.put(None))
        self.say(hello=self.name, pid=os.getpid())
        try:
            self.runtime.start()
        except WorkflowError as error:
            self.say(failed=error.name, text=str(error))
            raise
        self.say(started=self.name)
        threading.Thread(target=self._listen, daemon=True).start()
        self._wait()
        self.runtime.shutdown()
        self.say(left=self.name)

    def _wait(self) -> None:
        """A signal that comes in the moment before a wait begins does not end that wait."""
        while True:
            with suppress(Empty):
                return self._leave.get(timeout=1)

    def say(self, **facts: Any) -> None:
        with self._gate:
            self._line.sendall(json.dumps(facts).encode() + b"\n")

    def _listen(self) -> None:
        for line in self._line.makefile("rb"):
            self._pool.submit(self._serve, json.loads(line))
        self._leave.put(None)

    def _serve(self, told: dict[str, Any]) -> None:
        try:
            answer = self._done(told)
        except WorkflowError as error:
            answer = {"error": error.name, "text": str(error)[:500]}
        except Exception as error:
            self._note_unhandled(error)
            answer = {"error": type(error).__name__, "text": str(error)[:500]}
        with suppress(OSError):  # the supervisor is gone
            self.say(id=told["id"], **answer)

    def _done(self, told: dict[str, Any]) -> dict[str, Any]:
        match told["verb"]:
            case "create":
                process = self.runtime.create_instance("Transfer", process_id=told["process"], parameters=told["parameters"], idempotency_key=told["key"])
            case "command":
                result = self.runtime.execute_command(told["process"], told["name"], idempotency_key=told["key"])
                return {**_standing(result.process), "executed": result.was_executed, "replayed": result.replayed}
            case "read":
                return _standing(self.runtime.get_process(told["process"]))
            case "resume":
                process = self.runtime.resume_process(told["process"], actor="torture", reason="to the end")
            case verb:
                raise ValueError(f"no verb {verb!r}")
        return {**_standing(process), "executed": True}

    def _note_unhandled(self, error: BaseException | None) -> None:
        logging.getLogger("torture").error("unhandled", exc_info=error)
        self._unhandled.write(error=f"{type(error).__name__}: {error}")


def _standing(process: Process) -> dict[str, Any]:
    return {"status": str(process.status), "activity": process.activity, "revision": process.revision}


def _as(runtime: CrashingRuntime, mode: str, name: str) -> CrashingRuntime:
    return runtime.as_multi_server(name) if mode == "multi" else runtime.as_single_server(name)


def die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def child(told: dict[str, Any]) -> None:
    """What a fork becomes; it never returns."""
    code = 1
    try:
        die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(0)
        os.setpgid(0, 0)
        Server(told).run()
        code = 0
    except WorkflowError:
        pass
    except BaseException:
        logging.getLogger("torture").exception("the server ended")
    finally:
        os._exit(code)


def main() -> None:
    """Each line: a server to fork; each answer: its process id. How it ends is told by ``{"ended": pid, "code": ...}``."""
    for part in LOADED:
        import_module(part)
    wake, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    serve(wake)


def serve(wake: int) -> None:
    pending = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            reap()
        if 0 in ready:
            piece = os.read(0, 65536)
            if not piece:
                return
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                fork(json.loads(line))


def fork(told: dict[str, Any]) -> None:
    pid = os.fork()
    if not pid:
        child(told)
    print(json.dumps({"forked": pid, "server": told["server"]}), flush=True)


def reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        print(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
