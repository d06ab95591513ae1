"""A receiver of payments, in a thread of the test: it lives on when the server that pays is killed.

One that deduplicates pays once per key and gives the first answer again; one that does not, pays whenever it is told to. Asked for a
key, either says whether it has paid.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from typing import Any

from crash_programs import Effect


class Receiver:
    """Use in a with statement. ``payments``: what it has paid; ``requests``: what it was told to."""

    def __init__(self, *, deduplicates: bool) -> None:
        self.deduplicates = deduplicates
        self.payments, self.requests = list[Effect](), list[Effect]()
        self._gate = threading.Lock()
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(20)

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        receiver = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                answer = receiver._answer(json.loads(self.rfile.readline()))
                self.wfile.write(json.dumps(answer).encode() + b"\n")

        return Handler

    def _answer(self, told: dict[str, Any]) -> Any:
        with self._gate:
            if "find" in told:
                return any(payment.key == told["find"] for payment in self.payments)
            request = Effect(*told["pay"])
            self.requests.append(request)
            if not self.deduplicates or all(payment.key != request.key for payment in self.payments):
                self.payments.append(request)
            return len(request.place)


class Payments:
    """The receiver as a server of a program sees it: a book that is elsewhere."""

    def __init__(self, port: int, server: str) -> None:
        self._port, self._server = port, server

    def write(self, place: str, key: str) -> int:
        paid: int = self._ask({"pay": Effect(place, key, self._server)})
        return paid

    def has(self, key: str) -> bool:
        return bool(self._ask({"find": key}))

    def _ask(self, told: dict[str, Any]) -> Any:
        with socket.create_connection(("127.0.0.1", self._port), timeout=20) as line, line.makefile("rwb") as stream:
            stream.write(json.dumps(told).encode() + b"\n")
            stream.flush()
            return json.loads(stream.readline())
