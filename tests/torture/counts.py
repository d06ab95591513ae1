"""What happened in a run, counted; and the refusal of a run in which too little happened.

A clean run may have exercised nothing: no server died with work in hand, no zombie woke, no answer was lost. Then that
nothing is broken means nothing, and the run does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from evidence import ProcessWrite, Run, by_process
from invariants import Timeline


class Takeover(NamedTuple):
    """A process that another took from a server that had it."""

    process: str
    owner: str
    token: int
    writer: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """As a demand: each number is the least that counts."""

    created: int = 0
    in_flight: int = 0  #: most processes that one server had in hand when it was killed or stopped
    killed: int = 0  #: servers that were killed and left work in hand, which others took over
    recovered: int = 0  #: processes that were taken over
    refused: int = 0  #: late writes that the guard of a statement refused
    unsent: int = 0  #: late writes that the engine did not even send
    late: int = 0  #: both
    late_sends: int = 0  #: requests of a zombie that went out all the same: legal, and the receiver knows their key
    repeated: int = 0  #: requests whose key the receiver had applied already
    landed: int = 0  #: answers that were cut off behind a write
    missed: int = 0  #: writes that were cut off before they arrived
    fired: int = 0  #: timers
    policies: dict[str, int] = field(default_factory=dict)  #: decisions about processes that asked for this one

    def lacking(self, least: Counts) -> list[str]:
        """What there was too little of, in words."""
        names = [each.name for each in fields(self) if each.name != "policies"]
        found = [f"{name}: {getattr(self, name)} of {getattr(least, name)}" for name in names if getattr(self, name) < getattr(least, name)]
        return found + [f"policy {name}: {self.policies.get(name, 0)} of {n}" for name, n in least.policies.items() if self.policies.get(name, 0) < n]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def count(run: Run) -> Counts:
    taken, names = list(takeovers(run)), run.writers()
    mine = [one for one in run.refusals if one.owner is not None and names.get(one.owner) == one.server]
    keys = Counter(arrival.key for arrival in run.arrivals)
    ended = {str(event.facts["server"]) for event in run.happened("killed")}
    left = Counter(names.get(one.owner, "") for one in taken)
    cut = Counter(str(event.facts["outcome"]) for event in run.happened("cut"))
    return Counts(
        created=len(run.created),
        in_flight=max(left.values(), default=0),
        killed=len(ended & left.keys()),
        recovered=len(taken),
        refused=sum(one.layer == "guard" for one in mine),
        unsent=sum(one.layer == "engine" for one in mine),
        late=len(mine),
        late_sends=sum(1 for _ in late_sends(run)),
        repeated=keys.total() - len(keys),
        landed=cut["landed"],
        missed=cut["missed"],
        fired=sum(row.kind == "moved" and row.trigger[0] == "Timer" for row in run.history),
        policies=dict(Counter(run.policies.get(row.process, "") for row in run.decisions)),
    )


def takeovers(run: Run) -> Iterator[Takeover]:
    """By another incarnation, be it of the same program."""
    names = run.writers()
    for write in run.processes:
        before, after = write.before, write.after
        if before is None or before.owner is None:
            continue
        by_another = write.writer != names.get(before.owner) and (after is None or after.token != before.token)
        if by_another or (after is not None and after.owner not in (None, before.owner)):
            yield Takeover(write.process, before.owner, before.token, write.writer, write.at)


def late_sends(run: Run) -> Iterator[int]:
    """Numbers of the requests whose sender no longer had the process."""
    timelines = {process: Timeline(writes) for process, writes in by_process(run.processes).items()}
    for arrival in run.arrivals:
        if arrival.process in timelines and timelines[arrival.process].token(arrival.at) != arrival.token:
            yield arrival.number


def late_writes(run: Run, server: str) -> list[ProcessWrite]:
    """Of a server, under an incarnation that had lost the process, or to one that another had by then: there must be none."""
    names = run.writers()
    taken = {one.process: one for one in takeovers(run) if names.get(one.owner) == server}

    def is_late(write: ProcessWrite) -> bool:
        lost = taken.get(write.process)
        if lost is None or write.writer != server or write.at <= lost.at:
            return False
        had, has = (standing.owner if standing else None for standing in (write.before, write.after))
        return has == lost.owner or (had is not None and names.get(had) != server)

    return [write for write in run.processes if is_late(write)]
