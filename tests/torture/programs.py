"""The programs of a run as the supervisor sees them: what it does to them is an event, what they answer a future."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from evidence import Call, Event, Told
from proxy import Proxy

HERE = Path(__file__).parent
PATIENCE = 60.0  #: seconds for anything that must come


class Gone(Exception):
    """The server ended before it answered: whether it has done what it was told is not known."""


class Events:
    def __init__(self, path: Path) -> None:
        self.all: list[Event] = []
        self._file, self._gate = path.open("a"), threading.Lock()

    def note(self, kind: str, **facts: Any) -> None:
        event = Event(time.monotonic_ns(), kind, facts)
        with self._gate:
            self.all.append(event)
            self._file.write(json.dumps({"at": event.at, "kind": kind, **facts}) + "\n")
            self._file.flush()

    def count(self, kind: str) -> int:
        return sum(event.kind == kind for event in list(self.all))


class Nursery:
    """The program that forks servers; one serves many runs."""

    def __init__(self) -> None:
        self._program = subprocess.Popen([sys.executable, str(HERE / "server_process.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
        self._gate, self._told = threading.Lock(), threading.Condition()
        self._forked: dict[str, int] = {}
        self._ended: dict[int, int] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def fork(self, told: dict[str, Any]) -> int:
        assert self._program.stdin is not None
        with self._gate:
            self._program.stdin.write(json.dumps(told).encode() + b"\n")
            self._program.stdin.flush()
        with self._told:
            assert self._told.wait_for(lambda: told["server"] in self._forked, PATIENCE), "the nursery is gone"
            return self._forked.pop(told["server"])

    def code(self, pid: int, timeout: float = PATIENCE) -> int:
        """How a server ended: its exit code, or the negative number of a signal."""
        with self._told:
            if not self._told.wait_for(lambda: pid in self._ended, timeout):
                os.kill(pid, signal.SIGUSR1)  # it writes where its threads stand
                raise AssertionError(f"process {pid} has not ended within {timeout} s; its *.stacks tells what it waits for")
            return self._ended[pid]

    def has_ended(self, pid: int) -> bool:
        with self._told:
            return pid in self._ended

    def close(self) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()
        self._program.wait(PATIENCE)

    def _listen(self) -> None:
        assert self._program.stdout is not None
        for line in self._program.stdout:
            told = json.loads(line)
            with self._told:
                if "forked" in told:
                    self._forked[told["server"]] = told["forked"]
                else:
                    self._ended[told["ended"]] = told["code"]
                self._told.notify_all()


class Server:
    """One server process, from its fork to its end."""

    def __init__(self, nursery: Nursery, events: Events, name: str, proxy: Proxy | None) -> None:
        self.name, self.proxy = name, proxy
        self.pid = 0  #: until it is forked
        self.stopped = False
        self._nursery, self._events = nursery, events
        self._gate = threading.Lock()
        self._pending: dict[int, Future[dict[str, Any]]] = {}
        self._asked: dict[int, Call] = {}
        self._number = 0
        self._line: socket.socket | None = None
        self._ready: Future[None] = Future()

    @property
    def alive(self) -> bool:
        return not self._nursery.has_ended(self.pid)

    @property
    def serves(self) -> bool:
        """It has started, and nobody has ended it."""
        return self._ready.done() and self._ready.exception() is None and self.alive

    @property
    def is_stopped(self) -> bool:
        """By the supervisor, or by itself at a crash point."""
        if sys.platform != "linux":
            return self.stopped
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
        return False

    def wait_until_ready(self) -> Server:
        self._ready.result(PATIENCE)
        return self

    def ask(self, verb: str, **told: Any) -> Future[dict[str, Any]]:
        """Answered by the server, or ``Gone``."""
        future: Future[dict[str, Any]] = Future()
        with self._gate:
            self._number += 1
            number, line = self._number, self._line
            self._pending[number] = future
            self._asked[number] = Call(str(told.get("process", "")), verb, str(told.get("key", "")), time.monotonic_ns())
        try:
            if line is None:
                raise OSError("not connected")
            line.sendall(json.dumps({"id": number, "verb": verb, **told}).encode() + b"\n")
        except OSError:
            self._give_up()
        return future

    @property
    def calls(self) -> list[Call]:
        """All that it was asked, and what it said."""
        with self._gate:
            return list(self._asked.values())

    def kill(self) -> None:
        self._signal(signal.SIGKILL, "killed")
        self._nursery.code(self.pid)

    def stop(self) -> None:
        self.stopped = True
        self._signal(signal.SIGSTOP, "stopped")

    def wake(self) -> None:
        self.stopped = False
        self._signal(signal.SIGCONT, "woken")

    @property
    def unanswered(self) -> int:
        """How many requests it has not answered yet."""
        return len(self._pending)

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        self._signal(signal.SIGTERM, "terminated")
        code = self._nursery.code(self.pid)
        if code == 0:
            self._events.note("left", server=self.name)
        return code

    def _signal(self, number: int, event: str) -> None:
        self._events.note(event, server=self.name, pid=self.pid, requests=self.unanswered)
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def connected(self, line: socket.socket, lines: Iterator[bytes]) -> None:
        """Runs until the connection ends; in a thread of its own."""
        self._line = line
        with suppress(OSError):
            for each in lines:
                self._heard(json.loads(each))
        if not self._ready.done():
            self._ready.set_exception(Gone(self.name))
        self._line = None  # first: what is asked after this gives up by itself, for a send to an ended peer may seem to succeed
        self._give_up()

    def _heard(self, told: dict[str, Any]) -> None:
        if "id" in told:
            with self._gate:
                future = self._pending.pop(told["id"], None)
                self._asked[told["id"]] = self._asked[told["id"]]._replace(told=_told(told))
            if future is not None:
                future.set_result(told)
        elif "started" in told:
            self._ready.set_result(None)
        elif "failed" in told:
            self._events.note("failed", server=self.name, text=told["text"])

    def _give_up(self) -> None:
        with self._gate:
            pending, self._pending = self._pending, {}
        for future in pending.values():
            future.set_exception(Gone(self.name))


def _told(answer: dict[str, Any]) -> Told:
    known = {name: answer[name] for name in Told._fields if name in answer and answer[name] is not None}
    return Told(**{**known, "at": time.monotonic_ns()})


def environment() -> dict[str, str]:
    """Nothing of the host's own settings reaches a program under torture."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WORKFLOW_RUNTIME_", "WF_CRASH"))}
    return {**clean, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
