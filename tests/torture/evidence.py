"""What a torture run leaves behind, as plain values: what the checker reads and nothing else.

==================  =====================================  ================================================
evidence            comes from                             the engine
==================  =====================================  ================================================
*Write              triggers that the test has installed   does not know of them
Arrival, Effect     the receiver of side effects           sees its answers only
Event               the supervisor                         is killed, stopped and cut off by it
Refusal             the server's own count                 told it before it went on
Call                the supervisor, which is the client    answered it, or died
KeyRow              the tables after the end               wrote them
Stored, Decided     the tables after the end               wrote them
==================  =====================================  ================================================

Moments named ``at`` are microseconds since 1970 by the machine's clock, which a local database shares; those of
events, refusals and calls are nanoseconds of its monotonic clock. A *place* is what an effect belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

INSERT, UPDATE, DELETE = "INSERT", "UPDATE", "DELETE"


class Place(NamedTuple):
    """One step of one action of one walk; ``step`` is empty for the action itself."""

    walk: str
    activity: str
    action: str
    step: str = ""
    occurrence: int = 0


class Standing(NamedTuple):
    """A process row at one moment, as far as its guard and its walk go."""

    owner: str | None
    token: int
    revision: int
    status: int
    activity: str
    deaths: int = 0
    walk: str = ""
    trigger: tuple[str, str] = ("", "")  #: kind and name of the walk under way
    step: int = 0


class ProcessWrite(NamedTuple):
    seq: int
    process: str
    operation: str
    before: Standing | None
    after: Standing | None
    writer: str  #: the operating system process that wrote, as it names itself to the database
    transaction: int
    begun: int  #: when the statement had reached the database
    at: int


class HistoryWrite(NamedTuple):
    """A row of history, and who had the process at that moment."""

    seq: int
    process: str
    operation: str
    number: int
    kind: str
    source: str
    target: str
    transition: str
    trigger: tuple[str, str]
    status: int
    walk: str
    server: str | None
    owner: str | None
    token: int | None
    writer: str
    transaction: int
    dated: int  #: what the row itself says
    at: int
    key: str | None = None  #: the idempotency key that it names


class JournalWrite(NamedTuple):
    seq: int
    process: str
    operation: str
    place: Place
    rank: int  #: of the action in its activity
    owner: str | None
    token: int | None
    writer: str
    transaction: int
    at: int


class TimerWrite(NamedTuple):
    seq: int
    process: str
    operation: str
    kind: str
    name: str
    due_before: int | None
    due_after: int | None
    writer: str
    transaction: int
    at: int


class ServerWrite(NamedTuple):
    """A server came, was declared dead, or went."""

    seq: int
    operation: str
    id: str
    pid: int
    died: bool
    writer: str
    at: int


class DecisionWrite(NamedTuple):
    """A decision of recovery, with the transaction that wrote it."""

    seq: int
    process: str
    recovery: str
    decision: str
    decided_by: str
    reason: str
    status_after: int | None
    error: str
    server: str | None
    writer: str
    transaction: int
    at: int


class Pass(NamedTuple):
    """What one pass of recovery says about itself."""

    id: str
    owned: int
    decided: int
    skipped: int
    ended: bool


class Arrival(NamedTuple):
    """A request that reached the receiver."""

    number: int
    key: str
    process: str
    place: Place
    server: str
    owner: str
    token: int
    at: int


class Effect(NamedTuple):
    key: str
    at: int


class Stored(NamedTuple):
    """A process as it stands at the end."""

    process: str
    status: int
    activity: str
    owner: str | None
    timers: frozenset[str] = frozenset()
    overdue: frozenset[str] = frozenset()


class Refusal(NamedTuple):
    """A late write that was not written. ``layer``: the guard of the statement, or the engine before it sent one."""

    server: str
    layer: str
    kind: str
    process: str
    owner: str | None
    token: int | None
    at: int


class Told(NamedTuple):
    """An answer. ``error`` is the name of one, ``status`` ... ``revision`` how the process stood."""

    at: int
    error: str = ""
    executed: bool = False
    replayed: bool = False
    status: str = ""
    activity: str = ""
    revision: int = 0


class Call(NamedTuple):
    """What a client asked of a server, and what it was told; None: nothing, its server died."""

    process: str
    verb: str  #: create, command, read or resume
    key: str
    called: int
    told: Told | None = None

    @property
    def scope(self) -> str:
        """Of its key."""
        return self.process if self.verb == "command" else ""


class KeyRow(NamedTuple):
    """A stored answer."""

    scope: str
    key: str
    process: str | None
    is_settled: bool
    executed: bool = False
    error: str = ""


class Event(NamedTuple):
    at: int
    kind: str
    facts: Mapping[str, Any]


class Edge(NamedTuple):
    """A transition of the scheme. An automatic one has no name of a trigger."""

    name: str
    source: str
    target: str
    trigger: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the scheme says, told independently of the engine."""

    initial: str
    finals: frozenset[str]
    activities: Mapping[str, tuple[str, ...]]  #: name -> its actions in order
    edges: frozenset[Edge]
    sends: frozenset[tuple[str, str]]  #: (action, step) that call the receiver

    def timers_of(self, activity: str) -> set[str]:
        """The timers that lead out of it."""
        return {edge.trigger[1] for edge in self.edges if edge.source == activity and edge.trigger[0] == "Timer"}


@dataclass(slots=True, kw_only=True)
class Run:
    """Everything that is known about one run after it has come to rest."""

    plan: Plan
    created: frozenset[str] = frozenset()  #: creations that were answered
    policies: Mapping[str, str] = field(default_factory=dict)  #: process -> what its restorer does
    most_deaths: int = 5  #: the setting ``max_recovery_attempts``
    processes: list[ProcessWrite] = field(default_factory=list)
    history: list[HistoryWrite] = field(default_factory=list)
    journal: list[JournalWrite] = field(default_factory=list)
    timers: list[TimerWrite] = field(default_factory=list)
    servers: list[ServerWrite] = field(default_factory=list)
    decisions: list[DecisionWrite] = field(default_factory=list)
    passes: list[Pass] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    unhandled: list[str] = field(default_factory=list)  #: exceptions that ended a thread of a server
    calls: list[Call] = field(default_factory=list)
    keys: list[KeyRow] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)  #: logs in which a value of a process stands
    connections: list[str] = field(default_factory=list)  #: of servers that are gone, which the database still has open

    def writers(self) -> dict[str, str]:
        """Incarnation -> the name of the operating system process that was it."""
        names = {int(event.facts["pid"]): str(event.facts["server"]) for event in self.happened("started")}
        return {write.id: names.get(write.pid, f"pid {write.pid}") for write in self.servers if write.operation == INSERT}

    def ends(self) -> dict[str, int]:
        """Incarnation -> when it was declared dead or took leave."""
        found: dict[str, int] = {}
        for write in sorted(self.servers, key=lambda write: write.seq):
            if write.died or write.operation == DELETE:
                found.setdefault(write.id, write.at)
        return found

    @property
    def lost_connections(self) -> bool:
        """Whether a pass of recovery may have met processes that it could not decide, and left them to the next."""
        return any(event.kind in ("cut", "network", "database restarted", "backends ended") for event in self.events)

    def happened(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


W = TypeVar("W", ProcessWrite, HistoryWrite, JournalWrite, TimerWrite)


def by_process(rows: Iterable[W]) -> dict[str, list[W]]:
    """In the order in which they were written."""
    found: dict[str, list[W]] = {}
    for row in sorted(rows, key=lambda row: row.seq):
        found.setdefault(row.process, []).append(row)
    return found
