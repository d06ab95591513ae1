"""What a run of the takeover benchmark found: the times of each blow, and whether anything was lost or done twice.

=====================  ======================================================================================
counted                means
=====================  ======================================================================================
lost                   a process that is not finished, or whose steps are not all counted, journaled and asked
repeated               a request whose journal row was committed before, by the server that owned the process
again                  a request for a step in flight at a blow, with the same key: allowed, done once
late requests          those of a server that did not own the process any more: it had them in its hand
late writes            rows of the journal by such a server: none may land; those refused are counted
=====================  ======================================================================================
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import percentile
from benchmarks.provider import arrival, engine, journaled, owned, refused
from benchmarks.serving import ACTION, ACTIVITY
from workflow_runtime import ProcessStatus, WorkflowRuntime, __version__
from workflow_runtime.core.values import digest
from workflow_runtime.store import tables

FORMAT = 1  #: of the JSON; raised when a key goes or changes its meaning
P50, P99, AFTER_A_STOP = 0.7, 1.5, 6.5  #: targets in seconds, to the first durable progress elsewhere
TOLD = 5  #: of what went wrong, so many are told one by one
MARK = "wf-"  #: begins the name of a server's connections; the rest is its incarnation

Moments = Mapping[str, float]  #: seconds after the blow, by what happened; what did not happen is missing
MOMENTS = ("noticed", "first adopted", "first progress", "all adopted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """One server struck: ``how`` is kill or stop, ``at`` microseconds of the database's clock, ``had`` what it owned."""

    how: str
    name: str
    server: str
    at: int
    had: frozenset[str]
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A blow, and what came of it."""

    blow: Blow
    evidence: str
    moments: Moments


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    processes: int
    finished: int
    lost: tuple[str, ...]  #: what is wrong with each, in words
    steps: int
    repeated: int
    again: int
    late_requests: int
    late_writes: tuple[str, ...]  #: each in words
    unnamed: int  #: rows of the journal of which the connection did not tell the server: of these late writes cannot be told
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    database: str
    struck: tuple[Struck, ...]
    counts: Counts

    def seconds(self, how: str, what: str) -> list[float]:
        return [each.moments[what] for each in self.struck if each.blow.how == how and what in each.moments]

    @property
    def is_kept(self) -> bool:
        """Nothing lost, nothing done twice, nothing written late, and every blow was answered."""
        answered = all("first progress" in each.moments for each in self.struck)
        return answered and not (self.counts.lost or self.counts.repeated or self.counts.late_writes)

    @property
    def is_fast(self) -> bool:
        return all(verdict for _, _, _, verdict in targets(self))


def targets(found: Found) -> Iterator[tuple[str, str, float, bool]]:
    """How, target, value, met; only of what was measured."""
    killed, stopped = found.seconds("kill", "first progress"), found.seconds("stop", "first progress")
    if killed:
        yield "kill", f"p50 at most {P50:g} s", percentile(killed, 0.5), percentile(killed, 0.5) <= P50
        yield "kill", f"p99 at most {P99:g} s", percentile(killed, 0.99), percentile(killed, 0.99) <= P99
    if stopped:
        yield "stop", f"at most {AFTER_A_STOP:g} s", max(stopped), max(stopped) <= AFTER_A_STOP


# ------------------------------------------------------------------ reading


def found(url: str, watched: str, blows: Sequence[Blow], steps: int) -> Found:
    """``url`` of the runtime, ``watched`` of both schemas, that of the provider first. ``steps`` of each process."""
    place = engine(watched)
    try:
        with place.connect() as connection:
            notes = read(connection)
            database = _database(connection)
    finally:
        place.dispose()
    return Found(database=database, struck=tuple(notes.struck(blow) for blow in blows), counts=notes.counts(dict(_processes(url)), steps))


class Owner(NamedTuple):
    """A process went from one server to another; None: from or to nobody."""

    at: int
    before: str | None
    after: str | None


class Step(NamedTuple):
    """A row of the journal; ``by`` is the incarnation, where the connection told it."""

    process: str
    by: str
    at: int


class Request(NamedTuple):
    key: str
    process: str
    server: str  #: its name
    at: int


class Incarnation(NamedTuple):
    name: str
    dead_at: int | None
    death: str


class End(NamedTuple):
    """How a process stands when all is over."""

    status: ProcessStatus
    activity: str
    steps: int  #: that it counted itself
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """All that was noted: changes of owners by process, the journal by effect key, servers by incarnation."""

    owners: Mapping[str, Sequence[Owner]]
    journal: Mapping[str, Step]
    requests: Sequence[Request]
    servers: Mapping[str, Incarnation]
    refused: int

    def struck(self, blow: Blow) -> Struck:
        adopted = {process: at for process in blow.had for at in self._adoptions(process, blow)}
        progress = [step.at for step in self.journal.values() if step.at > adopted.get(step.process, step.at)]
        server = self.servers.get(blow.server)
        noticed = [] if server is None or server.dead_at is None else [server.dead_at]
        happened = {"noticed": noticed, "first adopted": [*adopted.values()], "first progress": progress}
        first = {what: min(moments) for what, moments in happened.items() if moments}
        last = {"all adopted": max(adopted.values())} if adopted else {}
        moments = {what: (at - blow.at) / 1e6 for what, at in {**first, **last}.items()}
        return Struck(blow=blow, evidence=server.death if server else "", moments=moments)

    def counts(self, ends: Mapping[str, End], steps: int) -> Counts:
        """``ends`` of all processes that there are, ``steps`` that each of them has."""
        timely = [request for request in self.requests if self._owned(request.process, request.at, request.server)]
        repeated = sum(request.key in self.journal and request.at > self.journal[request.key].at for request in timely)
        done = Counter(step.process for step in self.journal.values())
        asked = Counter(process for _, process in {(request.key, request.process) for request in self.requests})
        right = End(ProcessStatus.FINALIZED, "Done", steps, ""), steps, steps
        lost = {id: found for id in {*ends, *asked, *done} if (found := (ends.get(id), done[id], asked[id])) != right}
        return Counts(
            processes=len(ends),
            finished=sum(id not in lost for id in ends),
            lost=tuple(f"{id}: {end}, steps journaled {number}, asked for {wanted}" for id, (end, number, wanted) in lost.items()),
            steps=len(self.journal),
            repeated=repeated,
            again=len(timely) - len({request.key for request in timely}) - repeated,
            late_requests=len(self.requests) - len(timely),
            late_writes=tuple(self._told(step) for step in self.journal.values() if self._is_late(step)),
            unnamed=sum(step.by not in self.servers for step in self.journal.values()),
            refused=self.refused,
        )

    def _told(self, step: Step) -> str:
        """A step that was journaled by one who did not own the process, and who did before and after."""
        owners = "; ".join(f"{(change.at - step.at) / 1e6:+.4f} s {change.before} to {change.after}" for change in self.owners.get(step.process, ()))
        return f"{step.process}: journaled by {step.by}, its owners: {owners}"

    def _adoptions(self, process: str, blow: Blow) -> list[int]:
        """When it went from the struck server to another."""
        return [at for at, before, after in self.owners.get(process, ()) if before == blow.server and after is not None and at >= blow.at]

    def _is_late(self, step: Step) -> bool:
        return step.by in self.servers and not self._owned(step.process, step.at, self.servers[step.by].name)

    def _owned(self, process: str, at: int, server: str) -> bool:
        """Whether the server of this name owned it then, in whichever of its incarnations: between two of them it has taken nothing from itself.

        What a process was created with is known by its first change, or never changed.
        """
        changes = self.owners.get(process, ())
        place = bisect_right([change.at for change in changes], at)
        owner = changes[place - 1].after if place else changes[0].before if changes else None
        return owner is None or (owner in self.servers and self.servers[owner].name == server)


def read(connection: sa.Connection) -> Notes:
    def rows(*columns: sa.Column[Any], by: sa.Column[Any]) -> Sequence[Any]:
        return connection.execute(sa.select(*columns).order_by(by)).all()

    owners: dict[str, list[Owner]] = defaultdict(list)
    for process, *change in rows(owned.c.process, owned.c.at, owned.c.before, owned.c.after, by=owned.c.number):
        owners[process].append(Owner(*change))
    c, server = journaled.c, tables.server.c
    steps = rows(c.walk, c.action_index, c.process, c.connection, c.at, by=c.number)
    servers = rows(server.id, server.name, server.dead_at, server.death, by=server.id)
    return Notes(
        owners=owners,
        journal={key_of(walk, index): Step(process, by.partition(" ")[0].removeprefix(MARK), at) for walk, index, process, by, at in steps},
        requests=[Request(*row) for row in rows(arrival.c.key, arrival.c.process, arrival.c.server, arrival.c.at, by=arrival.c.number)],
        servers={id: Incarnation(*more) for id, *more in servers},
        refused=len(rows(refused.c.number, by=refused.c.number)),
    )


def key_of(walk: str, index: int) -> str:
    """The effect key of a step, as the page on steps says that it is made."""
    return f"{walk}-{digest([ACTIVITY, index, ACTION, '', 0])[:16]}"


def _processes(url: str) -> Iterator[tuple[str, End]]:
    with WorkflowRuntime(url).as_client() as client:
        cursor: str | None = None
        while True:
            page = client.find_processes(limit=1_000, after=cursor)
            for process in page:
                error = process.last_error.message if process.last_error else ""
                yield str(process.id), End(process.status, process.activity, process.parameters["Steps"], error)
            if (cursor := page.next) is None:
                return


def _database(connection: sa.Connection) -> str:
    version, fsync, commit = (connection.exec_driver_sql(statement).scalar_one() for statement in _SHOWN)
    return f"PostgreSQL {version.split()[0]}, fsync {fsync}, synchronous_commit {commit}"


_SHOWN = ("SHOW server_version", "SHOW fsync", "SHOW synchronous_commit")


# ------------------------------------------------------------------ showing


def show(found: Found, plan: Mapping[str, Any]) -> None:
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    settings = f"sweep {plan['sweep']:g} s, else default settings" if plan["sweep"] else "default settings"
    console.print(f"workflow_runtime {__version__} on {found.database}; {settings}", highlight=False)
    drawn = Table(caption="seconds after the blow, by the database's clock")
    for title in ("blow", "until", "n", "p50", "p95", "p99", "max"):
        drawn.add_column(title, justify="left" if title in ("blow", "until") else "right")
    for how in ("kill", "stop"):
        for what in MOMENTS:
            if values := found.seconds(how, what):
                drawn.add_row(how, what, str(len(values)), *(f"{percentile(values, share):.3f}" for share in (0.5, 0.95, 0.99, 1.0)))
    console.print(drawn)
    for line in sentences(found, plan):
        console.print(line, highlight=False)


def sentences(found: Found, plan: Mapping[str, Any]) -> Iterator[str]:
    flights, shares = [each.blow.in_flight for each in found.struck], [len(each.blow.had) for each in found.struck]
    noticed = Counter(f"{each.evidence or 'not'} ({each.blow.how})" for each in found.struck)
    counts = found.counts
    yield f"{plan['servers']} servers with {plan['workers']} workers each, seed {plan['seed']}"
    yield f"in flight at a blow (Running, with an owner): {min(flights)} to {max(flights)}, of these the struck server had {min(shares)} to {max(shares)}"
    yield f"deaths noticed by: {', '.join(f'{how} {number}' for how, number in sorted(noticed.items()))}"
    for how, target, value, met in targets(found):
        yield f"{how}, first progress: {target}: {value:.3f} s, {'met' if met else 'missed'}"
    yield f"steps {counts.steps} · asked again in flight, with the same key {counts.again} · late requests {counts.late_requests}"
    yield f"late writes refused {counts.refused} · landed {len(counts.late_writes)}{f' · not known {counts.unnamed}' if counts.unnamed else ''}"
    yield from (*counts.lost[:TOLD], *counts.late_writes[:TOLD])
    yield f"processes {counts.processes} · finished {counts.finished} · lost {len(counts.lost)} · journaled steps repeated {counts.repeated}"


def as_json(found: Found, plan: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": __version__,
        "database": found.database,
        "run": dict(plan),
        "counts": asdict(found.counts),
        "targets": [{"blow": how, "target": target, "seconds": value, "met": met} for how, target, value, met in targets(found)],
        "blows": [_plain(each) for each in found.struck],
    }


def _plain(each: Struck) -> dict[str, Any]:
    blow = each.blow
    return {"how": blow.how, "server": blow.name, "owned": len(blow.had), "in_flight": blow.in_flight, "evidence": each.evidence, **each.moments}
