"""S: commands per second of one, two and three servers over one database, each in a process of its own.

All of them are there all the time; in each round one gives commands, then two, then three. Each has processes of its own, so
that they share nothing but the database and the cores of the machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.fleet import Fleet, Member
from benchmarks.floor import Kind
from benchmarks.measuring import Figure, Row, Sample, Verdict, interleaved, ratio
from benchmarks.workshop import Workshop
from workflow_runtime import WorkflowRuntime

SERVERS, THREADS, ROUNDS = 3, 4, 5
PART = 10  #: of the window in which timers are watched, so much smaller is one of these
MEASURE = "commands per second of {} over one database, " + f"{THREADS} threads each"


def s(shop: Workshop) -> Iterator[Row]:
    """Only where several servers share a database."""
    if shop.floor.kind is Kind.SQLITE:
        notes = {"reason": "one server on SQLite"}
        yield Row(code="S", measure=MEASURE.format("several servers"), target="reported", verdict=Verdict.SKIPPED, notes=notes)
        return
    url = shop.floor.url("servers")
    WorkflowRuntime(url).as_client().upgrade_database()
    with tempfile.TemporaryDirectory(prefix="workflow-runtime-servers-") as folder:
        orders = {"threads": THREADS}
        with Fleet(url=url, watched="", folder=Path(folder), orders=orders, program="benchmarks.giving") as fleet:
            found = _measured(shop, fleet)
            fleet.end()
    yield from (_row(number, found[str(number)], found["1"]) for number in range(1, SERVERS + 1))


def _measured(shop: Workshop, fleet: Fleet) -> dict[str, tuple[float, ...]]:
    shop.say("starting servers")
    fleet.ready(*[fleet.start() for _ in range(SERVERS)])
    seconds = shop.sizes.window / PART
    rivals: dict[str, Sample] = {str(number): partial(_per_second, fleet.members[:number], seconds) for number in range(1, SERVERS + 1)}
    return interleaved(rivals, min(ROUNDS, shop.sizes.rounds), shop.say)


def _per_second(members: Sequence[Member], seconds: float) -> float:
    """Of all of them together."""
    for member in members:
        member.tell(seconds)
    return sum(int(member.told()) for member in members) / seconds


def _row(number: int, rates: tuple[float, ...], alone: tuple[float, ...]) -> Row:
    several = number > 1
    return Row(
        code=f"S x{number}" if several else "S",
        measure=MEASURE.format(f"{number} servers") if several else MEASURE.format("one server"),
        target="reported",
        verdict=Verdict.REPORTED,
        subject=Figure(values=rates, unit="/s"),
        floor=Figure(values=alone, unit="/s") if several else None,
        ratio=ratio(rates, alone) if several else None,
        notes={"floor": "one server", "ratio": "how many times as many"} if several else None,
    )
