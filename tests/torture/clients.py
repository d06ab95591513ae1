"""Those who create processes and give commands: they ask any server that serves, and when the answer is lost they look and ask again.

Each request has an idempotency key. Where its answer was lost, or says nothing about it, it is sent again with the same
key, to another server; now and then one is sent to two servers at once. And now and then somebody only looks.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from programs import Gone, Server
from supervisor import Supervisor
from told import PASSING
from transfer import POISON

PAUSE = 0.03  #: seconds between two turns
TWICE = 0.3  #: share of the commands that are sent to two servers at once
_STANDING = "SELECT id, status, activity FROM wf_process WHERE status IN (2, 4, 5)"
_OPEN = "SELECT count(*) FROM wf_process WHERE status IN (0, 1, 2)"
IDLED = 2


class Clients:
    """``most`` processes are in hand at a time, ``total`` are created; ``policies``: how often each is chosen."""

    def __init__(self, supervisor: Supervisor, chance: random.Random, policies: Mapping[str, int], *, most: int = 40, total: int = 200) -> None:
        self._supervisor, self._chance = supervisor, chance
        self._policies, self._most, self._total = policies, most, total
        self._numbers: dict[int, Future[dict[str, Any]] | None] = {}  #: creations that are not known to be done
        self._asked: dict[str, Future[dict[str, Any]]] = {}
        self._requests: dict[str, int] = {}  #: commands to each process that were answered for good
        self._resumed: set[str] = set()
        self._next = 1
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Clients:
        self._thread.start()
        return self

    def finish(self) -> None:
        """No new processes; from here on whoever waits calls ``turn``."""
        self._total = self._next - 1
        self._left.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._left.wait(PAUSE):
            self.turn()

    def turn(self) -> bool:
        """Looks at what is there and asks for what comes next; True when every creation is known to be done."""
        try:
            self._begin_more()
            self._hear()
            standing = self._supervisor.rows(_STANDING)
            for process, status, activity in standing:
                self._lead_on(process, status, activity)
            self._look(standing)
        except sa.exc.DBAPIError:  # the database is away
            pass
        return not self._numbers

    def _begin_more(self) -> None:
        room = self._most - self._supervisor.count(_OPEN) - len(self._numbers)
        for _ in range(min(room, self._total - self._next + 1)):
            self._numbers[self._next] = None
            policy = self._chance.choices(list(self._policies), list(self._policies.values()))[0]
            self._supervisor.policies[str(UUID(int=self._next))] = policy
            self._next += 1

    def _hear(self) -> None:
        for number, future in list(self._numbers.items()):
            answer = _answer(future)
            if future is not None and not future.done():
                continue
            if answer is not None and self._supervisor.acknowledge(number, answer):
                del self._numbers[number]
            elif (server := self._any()) is not None:
                self._numbers[number] = self._supervisor.create(server, number, self._supervisor.policies[str(UUID(int=number))])

    def _lead_on(self, process: str, status: int, activity: str) -> None:
        before = self._asked.get(process)
        server = self._any()
        if server is None or (before is not None and not before.done()):
            return
        if activity in ("Ready", "Held"):
            self._close(server, process, before)
        elif status != IDLED and process not in self._resumed and self._supervisor.policies[process] != POISON:
            self._resumed.add(process)
            if self._chance.random() < 0.5:
                self._asked[process] = server.ask("resume", process=process)

    def _close(self, server: Server, process: str, before: Future[dict[str, Any]] | None) -> None:
        """With the key of the last time, unless that was answered for good: then it is another request."""
        answer = _answer(before)
        if answer is not None and answer.get("error", "") not in PASSING:
            self._requests[process] = self._requests.get(process, 0) + 1
        told = {"process": process, "name": "close", "key": f"close {self._requests.get(process, 0)}"}
        self._asked[process] = server.ask("command", **told)
        if self._chance.random() < TWICE and (other := self._any()) is not None:
            other.ask("command", **told)

    def _look(self, standing: Sequence[Any]) -> None:
        if standing and (server := self._any()) is not None:
            server.ask("read", process=self._chance.choice(standing)[0])

    def _any(self) -> Server | None:
        serving = self._supervisor.serving()
        return self._chance.choice(serving) if serving else None


def _answer(future: Future[dict[str, Any]] | None) -> dict[str, Any] | None:
    if future is None or not future.done():
        return None
    try:
        return future.result()
    except Gone:
        return None
