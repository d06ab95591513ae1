"""What the measures work on: one scheme, runtimes with the default durability, and rows as a crowd of processes would leave them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.floor import Floor, Values
from benchmarks.measuring import Say
from workflow_runtime import Process, ProcessStatus, Server, Timer, WorkflowRuntime
from workflow_runtime.core.process import Trigger, TriggerKind, Walk
from workflow_runtime.store import records, rows, tables

DEAD = "dead00000000000000000000000000000"  #: an incarnation that left what it had

SCHEME = """
scheme: Bench
commands: {go: {}, act: {}, chain: {}}
activities:
  Rest: {initial: true}
  Other: {}
  Acting: {actions: [Nothing, Nothing, Nothing, Nothing, Nothing]}
  One: {}
  Two: {}
  Three: {}
  Four: {}
  Five: {}
  End: {final: true}
transitions:
  - {from: Rest, to: Other, on: {command: go}}
  - {from: Other, to: Rest, on: {command: go}}
  - {from: Rest, to: Acting, on: {command: act}}
  - {from: Acting, to: End}
  - {from: Rest, to: One, on: {command: chain}}
  - {from: One, to: Two}
  - {from: Two, to: Three}
  - {from: Three, to: Four}
  - {from: Four, to: Five}
  - {from: Five, to: End}
"""
TIMED = """
scheme: Timed
commands: {go: {}}
timers: {bell: {interval: 365d}}
activities:
  Rest: {initial: true}
  Rung: {}
  End: {final: true}
transitions:
  - {from: Rest, to: Rung, on: {timer: bell}}
  - {from: Rest, to: End, on: {command: go}}
  - {from: Rung, to: End, on: {command: go}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is done. ``calls`` are per round."""

    rounds: int
    passes: int  #: rounds of recovery, which takes long
    calls: int
    stuck: int
    idle: int
    overdue: int
    window: int  #: seconds at most that overdue timers are watched
    due_per_second: int
    due_seconds: int
    activities: int
    kills: int  #: of one of two servers
    flight: int  #: processes under way at each

    def scaled(self, factor: float) -> Sizes:
        smaller = {name: max(2, round(getattr(self, name) * factor)) for name in ("calls", "stuck", "idle", "overdue", "due_per_second", "activities")}
        return replace(self, **smaller)


QUICK = Sizes(
    rounds=5,
    passes=1,
    calls=20,
    stuck=2_000,
    idle=20_000,
    overdue=1_000,
    window=2,
    due_per_second=1_000,
    due_seconds=1,
    activities=50,
    kills=1,
    flight=10,
)
WHOLE = Sizes(
    rounds=31,
    passes=1,
    calls=100,
    stuck=100_000,
    idle=1_000_000,
    overdue=100_000,
    window=20,
    due_per_second=1_000,
    due_seconds=5,
    activities=200,
    kills=10,
    flight=40,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """``say`` tells whoever waits what is being done."""

    floor: Floor
    sizes: Sizes
    say: Say

    def runtime(self, name: str, *schemes: str, plugin: object = None, **settings: Any) -> WorkflowRuntime:
        """Not started yet."""
        runtime = WorkflowRuntime(self.floor.url(name)).with_actions({"Nothing": nothing}).with_settings(**settings)
        for scheme in schemes or (SCHEME,):
            runtime.with_schemes(scheme)
        return runtime.with_plugin(plugin) if plugin is not None else runtime

    def pattern(self, name: str, scheme: str) -> Process:
        """A new database with one process of the scheme, at rest: what the others are made after."""
        with self.runtime(name, scheme) as runtime:
            (code,) = runtime.get_scheme_codes()
            return runtime.create_instance(code)

    def crowd(self, name: str, like: Process, number: int) -> None:
        """So many processes more, each as this one."""
        self.say(f"writing {number:,} rows")
        self.floor.fill(name, tables.process, _copies(rows.process_values(like), rows.micros(like.created_at), number))

    def timers(self, name: str, due: Iterator[datetime]) -> None:
        """For each process of the crowd, in its order, when its bell rings."""
        armed = rows.micros(datetime.now(UTC))
        self.floor.fill(name, tables.timer, (rows.timer_values(id_of(n), Timer(name="bell", due=when, value="365d"), armed) for n, when in enumerate(due)))

    def stuck(self, name: str, number: int) -> None:
        """So many processes in Running, left by a dead server in the first of five actions."""
        process = self.pattern(name, SCHEME)
        trigger = Trigger(TriggerKind.COMMAND, "act")
        walk = Walk(id="0" * 32, activity="Acting", trigger=trigger, run=trigger, started_at=process.updated_at, transition="Rest_Acting")
        self.crowd(name, replace(process, status=ProcessStatus.RUNNING, owner=DEAD, token=process.token + 1, walk=walk), number)
        self.floor.fill(name, tables.server, [_dead_server(process.updated_at)])


def id_of(number: int) -> str:
    """The id of one of a crowd: ascending, so that a million of them are written fast."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def number_of(process: Process) -> int:
    """Its place in the crowd; others have no place there."""
    return process.id.int >> 96


def _copies(row: Values, created_at: int, number: int) -> Iterator[Values]:
    for n in range(number):
        yield {**row, "id": id_of(n), "root_id": id_of(n), "created_at": created_at + n, "updated_at": created_at + n}


def _dead_server(at: datetime) -> Values:
    late = at - timedelta(minutes=1)
    return records.server_values(
        Server(id=DEAD, name="dead", host="host", pid=1, version="0", mode="single", started_at=late, beat=9, last_beat_at=late, lease_until=late)
    )


def nothing(ctx: Any, parameter: str | None) -> None:
    """The action of the scheme."""
