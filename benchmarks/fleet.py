"""Servers in processes of their own over one database, and what the tables say of them from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click
import sqlalchemy as sa

from benchmarks import provider
from workflow_runtime import ProcessStatus
from workflow_runtime.store import tables

PATIENCE = 60.0  #: seconds for each thing that is waited for
LOOK = 0.02  #: seconds between two looks

INITIALIZED, RUNNING, IDLED = ProcessStatus.INITIALIZED, ProcessStatus.RUNNING, ProcessStatus.IDLED  #: what goes on by itself, here

_process, _server = tables.process, tables.server
_CLOCK = sa.select(sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()) * 1_000_000, sa.BigInteger))
_OWNED = sa.select(_process.c.id).where(_process.c.status == tables.RUNNING, _process.c.owner == sa.bindparam("of"))
_OWNERS = sa.select(_process.c.owner, sa.func.count()).where(_process.c.status == tables.RUNNING, _process.c.owner.is_not(None)).group_by(_process.c.owner)
_UNFINISHED = sa.select(sa.func.count()).select_from(_process).where(_process.c.status.in_(status.id for status in (INITIALIZED, RUNNING, IDLED)))
_DEAD = sa.select(_server.c.id).where(_server.c.id == sa.bindparam("of"), _server.c.dead_at.is_not(None))
_INCARNATION = sa.select(_server.c.id, _server.c.beat).where(_server.c.pid == sa.bindparam("of"), _server.c.dead_at.is_(None))


@dataclass(slots=True)
class Member:
    """One server process. ``log`` has what it said on stderr."""

    name: str
    popen: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def tell(self, number: float) -> None:
        """What the number means, its program says."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{number}\n")
        self.popen.stdin.flush()

    def told(self) -> str:
        """Its next line; "" when it has ended."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()


@dataclass(slots=True)
class Fleet:
    """``url`` of the runtime, ``watched`` of the provider; ``orders`` of each but for the name, to the module ``program``.

    The folder takes the logs. No process outlives the block.
    """

    url: str
    watched: str
    folder: Path
    orders: Mapping[str, Any]
    program: str = "benchmarks.serving"
    members: list[Member] = field(default_factory=list)
    started: int = 0
    engine: sa.Engine = field(init=False)

    def __enter__(self) -> Self:
        self.engine = provider.engine(self.url, pool_size=1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        for member in self.members:
            member.popen.kill()
            member.popen.wait()
        self.engine.dispose()

    # ------------------------------------------------------------------ processes

    def start(self) -> Member:
        """Begins to start one more; ``ready`` waits for it."""
        self.started += 1
        name = f"server-{self.started}"
        log = self.folder / f"{name}.log"
        command = [sys.executable, "-m", self.program, json.dumps({**self.orders, "name": name})]
        environment = {**os.environ, "WORKFLOW_RUNTIME_URL": self.url, "PROVIDER_URL": self.watched}
        with log.open("w") as words:
            root = Path(__file__).parent.parent
            popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, text=True, env=environment, cwd=root)
        member = Member(name, popen, log)
        self.members.append(member)
        return member

    def ready(self, *members: Member) -> None:
        """They serve, and have been there long enough for the others to have seen their locks."""
        for member in members:
            if member.told() != "ready":
                raise click.ClickException(f"{member.name} did not start:\n{member.log.read_text()[-2_000:]}")
        self.until(lambda: all(self.beats(member) >= 2 for member in members), "the beats of new servers")

    def kill(self, member: Member) -> None:
        member.popen.kill()

    def bury(self, member: Member) -> None:
        """After a kill: nothing is left of the process."""
        member.popen.wait()
        self.members.remove(member)

    def stop(self, member: Member) -> None:
        os.kill(member.pid, signal.SIGSTOP)

    def go_on(self, member: Member) -> None:
        os.kill(member.pid, signal.SIGCONT)

    def end(self) -> None:
        """All of them, in an orderly way."""
        for member in self.members:
            assert member.popen.stdin is not None
            member.popen.stdin.close()
        for member in self.members:
            member.popen.wait(PATIENCE)

    # ------------------------------------------------------------------ what the tables say

    def rows(self, statement: sa.Select[Any], **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(statement, values)]

    def clock(self) -> int:
        """The database's, in microseconds."""
        return int(self.rows(_CLOCK)[0][0])

    def incarnation(self, member: Member) -> str:
        return str(self.rows(_INCARNATION, of=member.pid)[0][0])

    def beats(self, member: Member) -> int:
        found = self.rows(_INCARNATION, of=member.pid)
        return int(found[0][1]) if found else 0

    def is_dead(self, incarnation: str) -> bool:
        return bool(self.rows(_DEAD, of=incarnation))

    def owned_by(self, incarnation: str) -> frozenset[str]:
        return frozenset(row[0] for row in self.rows(_OWNED, of=incarnation))

    def in_flight(self) -> Counter[str]:
        """Rows in Running with an owner, by owner."""
        return Counter(dict(self.rows(_OWNERS)))

    def unfinished(self) -> int:
        return int(self.rows(_UNFINISHED)[0][0])

    def until(self, condition: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                words = "\n".join(f"{member.name}: {member.log.read_text()[-1_000:]}" for member in self.members)
                raise click.ClickException(f"waited {patience:g} s in vain for {what}; the servers said:\n{words}")
            threading.Event().wait(LOOK)
