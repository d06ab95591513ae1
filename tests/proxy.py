"""A proxy between a program and its database, that can be made to fail: for PostgreSQL and MariaDB, one per place.

==========  ==================================================================================================
mode        what becomes of connections
==========  ==================================================================================================
PASS        everything is forwarded
STALL       accepted and acknowledged, and nothing is forwarded either way; it flows on when the mode changes
RESET       those that are open are torn down by RST, and so is each new one
DELAY       every piece waits ``delay`` seconds, either way
==========  ==================================================================================================

``strand`` stalls those that are open for good, while new ones are as the mode says: a network that has come back, but not for them.
``cut_after`` waits for words to go by and cuts the connection that said them, with or without letting them through.
The server has done what an answer tells of, so an answer that is cut off is a commit whose outcome is unknown.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

import sqlalchemy as sa

Target = tuple[str, int] | str  #: host and port, or the path of a unix socket

COMMIT = b"\x03COMMIT"  #: as a request to MariaDB; every connection says READ COMMITTED at its begin
_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}
_RST = struct.pack("ii", 1, 0)
_PIECE = 65_536


class Mode(Enum):
    PASS = "pass"
    STALL = "stall"
    RESET = "reset"
    DELAY = "delay"


class Side(Enum):
    REQUEST = "request"  #: what the program says
    ANSWER = "answer"  #: what the database says


@dataclass(slots=True)
class _Cut:
    match: bytes
    left: int  #: how often it still has to go by
    side: Side
    forward: bool
    wait: bool


@dataclass(eq=False, slots=True)
class _Pair:
    """One connection of the program and the one behind it."""

    client: socket.socket
    server: socket.socket
    swallows: bool = False  #: the next answer is the end
    stranded: bool = False
    tails: dict[Side, bytes] = field(default_factory=lambda: dict.fromkeys(Side, b""))

    def close(self, *, reset: bool = False) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                if reset and end is self.client:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
                    end.shutdown(socket.SHUT_RD)  # wakes who reads, and says nothing yet
                else:
                    end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens on a port of 127.0.0.1 from the start to ``close``. Counts what it did; usable as ``with``."""

    def __init__(self, target: Target) -> None:
        self.target, self.delay = target, 0.05
        self.connections = self.cuts = self.resets = 0
        self._gate = threading.Condition()
        self._mode, self._closed = Mode.PASS, False
        self._armed: list[_Cut] = []
        self._pairs: set[_Pair] = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [self._start(self._accept)]

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._pairs)

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        with self._gate:
            self._mode = mode
            self._gate.notify_all()
        if mode is Mode.RESET:
            self.sever()

    def sever(self) -> None:
        """Every open connection ends, by RST; new ones are as the mode says."""
        for pair in list(self._pairs):
            self._drop(pair, reset=True)

    def strand(self) -> None:
        """What is open now is acknowledged and never forwarded again, whatever the mode."""
        with self._gate:
            for pair in self._pairs:
                pair.stranded = True

    def cut_after(self, match: bytes, nth: int = 1, *, side: Side = Side.ANSWER, forward: bool = False, wait: bool = True) -> None:
        """Cut the connection on which ``match`` goes by for the ``nth`` time from now, counted over all connections.

        ANSWER: the answer is lost (``forward``: it arrives, and the connection ends behind it). REQUEST: it never
        arrives; with ``forward`` it does, and its answer is lost: ``wait`` until there is one, else cut at once.
        """
        with self._gate:
            self._armed.append(_Cut(match, nth, side, forward, wait))

    @property
    def armed(self) -> int:
        """Cuts that have not happened yet."""
        return len(self._armed)

    def disarm(self) -> None:
        with self._gate:
            self._armed.clear()

    def close(self) -> None:
        with self._gate:
            self._closed, self._mode = True, Mode.PASS
            self._gate.notify_all()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.sever()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- threads --

    def _start(self, work: object, *given: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=given, daemon=True, name="proxy")  # type: ignore[arg-type]
        thread.start()
        return thread

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listening.accept()
            except OSError:  # closed
                return
            self.connections += 1
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._threads.append(self._start(self._connect, client))

    def _connect(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET)
        pair = _Pair(client, server)
        self._pairs.add(pair)
        try:
            if self._mode is Mode.RESET or self._closed:
                raise ConnectionResetError
            server.connect(self.target)
            for end in (client, server) if isinstance(self.target, tuple) else (client,):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return self._drop(pair, reset=True)
        answers = self._start(self._pump, pair, Side.ANSWER)
        self._pump(pair, Side.REQUEST)
        answers.join(5)
        return None

    def _pump(self, pair: _Pair, side: Side) -> None:
        source, sink = (pair.client, pair.server) if side is Side.REQUEST else (pair.server, pair.client)
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                with self._gate:
                    if self._mode is Mode.DELAY:
                        self._gate.wait_for(lambda: self._mode is not Mode.DELAY, self.delay)
                    self._gate.wait_for(lambda: not (pair.stranded or self._mode is Mode.STALL) or pair not in self._pairs)
                    cut = self._cut_of(pair, side, piece)
                if cut is None or cut.forward:
                    sink.sendall(piece)
                if cut is not None and not (cut.side is Side.REQUEST and cut.forward and cut.wait):
                    break
        self._drop(pair)

    def _cut_of(self, pair: _Pair, side: Side, piece: bytes) -> _Cut | None:
        if side is Side.ANSWER and pair.swallows:
            return _Cut(b"", 0, side, False, False)
        for cut in [cut for cut in self._armed if cut.side is side]:
            tail = pair.tails[side][len(pair.tails[side]) - len(cut.match) + 1 :] if len(cut.match) > 1 else b""
            cut.left -= (tail + piece).count(cut.match)
            if cut.left <= 0:
                self._armed.remove(cut)
                self.cuts += 1  # before anything is sent on: an answer may come back at once
                pair.swallows = cut.forward and side is Side.REQUEST
                return cut
        pair.tails[side] = (pair.tails[side] + piece)[-256:]
        return None

    def _drop(self, pair: _Pair, *, reset: bool = False) -> None:
        with self._gate:
            known = pair in self._pairs
            self._pairs.discard(pair)
            self.resets += known and reset
            self._gate.notify_all()
        if known:
            pair.close(reset=reset)


def target_of(url: sa.URL) -> Target:
    """Where this URL leads: host and port, or the unix socket of a PostgreSQL whose folder is the host."""
    backend = url.get_backend_name()
    host, port = url.query.get("host", url.host) or "127.0.0.1", int(url.port or _PORTS[backend])
    assert isinstance(host, str)
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


def through(url: str, proxy: Proxy) -> str:
    """The same URL, by way of the proxy."""
    made = sa.make_url(url)
    query = {name: value for name, value in made.query.items() if name not in ("host", "port")}
    return made.set(host="127.0.0.1", port=proxy.port, query=query).render_as_string(hide_password=False)
