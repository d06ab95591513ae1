"""Very many commands, each sent three times at once to two servers in processes of their own, which are killed on the way.

Each command has one effect, and all who sent it are told the same. A sender whose server has died, or who is told that the
request is still under way, sends it again, with the same key, to whichever server lives.
"""

from __future__ import annotations

import json
import queue
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import databases
import pytest
import sqlalchemy as sa
from duplicates_worker import SCHEME, calls, effects
from waiting import until

from workflow_runtime import WorkflowRuntime
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.store import tables

WORKER = Path(__file__).with_name("duplicates_worker.py")
NAMES = ("one", "two")
COPIES = 3  #: of each command
SENDERS = 24  #: requests that are under way at once
EACH = 4  #: commands to each process
DIED = "died"
#: answers that say nothing about the request: it is to be sent again
PASSING = {DIED, "ProcessBusy", "CommandInProgress", "Fenced", "StoreUnavailable", "RuntimeNotStarted"}
PATIENCE = 60.0  #: seconds until an answer must be there


class Command(NamedTuple):
    process: str
    name: str
    number: int

    @property
    def key(self) -> str:
        return f"command {self.number}"


class Told(NamedTuple):
    words: tuple[Any, ...]
    replayed: bool | None
    died: int  #: how often the server that was asked has died


class Server:
    """One process: requests in, answers out, in any order. Those that it dies with get ``DIED``."""

    def __init__(self, name: str, url: str, effects_url: str) -> None:
        arguments = [sys.executable, str(WORKER), name, url, effects_url]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lock = threading.Lock()
        self._asked: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._open, self._number = True, 0
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", name
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, command: Command) -> dict[str, Any]:
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        with self._lock:
            if not self._open:
                return {"told": [DIED]}
            self._number += 1
            self._asked[self._number] = answers
            request = {"id": self._number, "process": command.process, "command": command.name, "number": command.number, "key": command.key}
            with suppress(BrokenPipeError):  # the reader tells all who asked
                assert self.process.stdin is not None
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
        return answers.get(timeout=PATIENCE)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            answer = json.loads(line)
            self._asked.pop(answer["id"]).put(answer)
        with self._lock:
            self._open = False
            for answers in self._asked.values():
                answers.put({"told": [DIED]})
            self._asked.clear()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        with suppress(BrokenPipeError):
            self.process.stdin.close()  # type: ignore[union-attr]

    def end(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(20)
        finally:
            self.kill()


class Crowd:
    """The servers by name, and what all senders were told."""

    def __init__(self, url: str, effects_url: str) -> None:
        self.url, self.effects_url = url, effects_url
        self.receiver = sa.create_engine(effects_url, poolclass=sa.NullPool)
        calls.metadata.create_all(self.receiver)
        self.servers: dict[str, Server] = {}
        self.told: dict[Command, list[Told]] = defaultdict(list)
        for name in NAMES:
            self.begin(name)

    def begin(self, name: str) -> None:
        """In the place of the one that was killed, if there was one."""
        self.servers[name] = Server(name, self.url, self.effects_url)

    def send(self, command: Command, copy: int) -> None:
        """Until there is an answer."""
        rng, deadline, died = random.Random(command.number * COPIES + copy), time.monotonic() + PATIENCE, 0
        names = [NAMES[copy % 2], *(rng.choice(NAMES) for _ in range(10_000))]
        for name in names:
            answer = self.servers[name].ask(command)
            if answer["told"][0] not in PASSING:
                self.told[command].append(Told(tuple(answer["told"]), answer["replayed"], died))
                return
            died += answer["told"][0] == DIED
            assert time.monotonic() < deadline, f"no answer to {command}: {answer}"
            threading.Event().wait(0.01 * rng.random())

    @property
    def answers(self) -> int:
        return sum(map(len, list(self.told.values())))

    def received(self, table: sa.Table) -> list[Any]:
        with self.receiver.connect() as connection:
            return list(connection.execute(sa.select(table)))


@contextmanager
def crowd_of(places: databases.Places, url: str) -> Iterator[Crowd]:
    crowd = Crowd(url, places.empty())
    try:
        yield crowd
    finally:
        for server in crowd.servers.values():
            server.end()
        crowd.receiver.dispose()


def commands_for(url: str, count: int) -> list[Command]:
    """A tenth of them is refused, a tenth fails."""
    with (
        WorkflowRuntime(url)
        .with_schemes(SCHEME)
        .with_actions(_named("Append", "Nothing", "Break"))
        .with_conditions(_named("Never"))
        .as_multi_server() as runtime
    ):
        processes = [str(runtime.create_instance("Order").id) for _ in range(-(-count // EACH))]
    names = {3: "no", 7: "bad"}
    return [Command(processes[number % len(processes)], names.get(number % 10, "go"), number) for number in range(count)]


def _named(*names: str) -> dict[str, Any]:
    return {name: lambda ctx, parameter: None for name in names}


@pytest.mark.parametrize("count", [60, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(360)])])
def test_each_command_has_one_effect_and_all_senders_are_told_the_same(places: databases.Places, url: str, count: int) -> None:
    commands = commands_for(url, count)
    with crowd_of(places, url) as crowd:
        with ThreadPoolExecutor(SENDERS) as senders:
            half = count // len(NAMES)
            for number, name in enumerate(NAMES):
                sent = [senders.submit(crowd.send, command, copy) for command in commands[number * half : (number + 1) * half] for copy in range(COPIES)]
                until(lambda number=number: crowd.answers >= (number * half + half // 4) * COPIES, 240)
                crowd.servers[name].kill()
                assert crowd.answers < (number + 1) * half * COPIES, "it was killed in the middle"
                crowd.begin(name)
                for each in sent:
                    each.result(240)

        assert {len(answers) for answers in crowd.told.values()} == {COPIES}
        assert [command for command, answers in crowd.told.items() if len({told.words for told in answers}) != 1] == []
        assert [command for command, answers in crowd.told.items() if sum(told.replayed is False for told in answers) > 1] == []
        assert sum(told.died for answers in crowd.told.values() for told in answers) > 0, "somebody's server has died"
        expected = {"go": True, "no": False, "bad": "ActionFailed"}
        assert [command for command, answers in crowd.told.items() if answers[0].words[0] != expected[command.name]] == []

        went = [command for command in commands if command.name == "go"]
        received = Counter((row.process, row.number) for row in crowd.received(effects))
        assert received == Counter((command.process, command.number) for command in went), "one key for each, whoever sent it"

        _assert_stored(url, commands)


def _assert_stored(url: str, commands: list[Command]) -> None:
    engine, history = sa.create_engine(url, poolclass=sa.NullPool), tables.history.c
    with engine.connect() as connection:
        moved = connection.execute(sa.select(history.process_id).where(history.kind == "moved", history.to_activity == "B")).scalars()
        assert Counter(moved) == Counter(command.process for command in commands if command.name == "go")
        failed = connection.execute(sa.select(history.process_id).where(history.kind == "failed")).scalars()
        assert Counter(failed) == Counter(command.process for command in commands if command.name == "bad")
        keys = connection.execute(sa.select(tables.idempotency.c.scope, tables.idempotency.c.key, tables.idempotency.c.settled)).all()
        assert Counter((row.scope, row.key) for row in keys) == Counter((command.process, command.key) for command in commands)
        assert [row for row in keys if row.settled is None] == []
        running = sa.select(sa.func.count()).where(tables.process.c.status == ProcessStatus.RUNNING.id)
        assert connection.execute(running).scalar() == 0
    engine.dispose()
