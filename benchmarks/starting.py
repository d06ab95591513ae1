"""P6: what a server does beside a million idle processes, against the same beside a few.

A start returns before the first sweep and the first look for due timers have ended; the creation right after it shows
whether those hold it up, so it is in the notes. The idle processes are created as a user would create them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

from benchmarks.measuring import Figure, Row, Sample, Verdict, interleaved, per_call, ratio, seconds
from benchmarks.workshop import Workshop
from workflow_runtime import ProcessFilter, ProcessStatus, WorkflowRuntime

MOST_SECONDS, MANY = 1.0, 1_000_000
FEW, CROWD = "few", "crowd"
SOME = 200  #: processes beside which the floor is measured: they fill a page
APART = 5  #: of them, and as many of the crowd, have ended
ROUNDS, CALLS = 7, 20
MOST_TIMES = 2.0  #: as long as beside a few
LEAST_A_SECOND = 10_000  #: created

ENDED_ONLY = ProcessFilter(scheme_code="Bench", status=ProcessStatus.FINALIZED)

Verb = Callable[[WorkflowRuntime, UUID], object]
VERBS: Mapping[str, tuple[str, Verb]] = {
    "P6 list": ("the first page of a list", lambda runtime, one: runtime.find_processes()),
    "P6 find": ("a page by status and scheme", lambda runtime, one: runtime.find_processes(ENDED_ONLY)),
    "P6 command": ("one command", lambda runtime, one: runtime.execute_command(one, "go")),
    "P6 recover": ("a recovery that finds nothing", lambda runtime, one: runtime.recover()),
}


def p6(shop: Workshop) -> Iterator[Row]:
    """Start, list, find, command and recovery beside idle processes; and their creation."""
    number = shop.sizes.idle
    few, _ = _populated(shop, FEW, SOME)
    crowd, took = _populated(shop, CROWD, number)
    yield _creation(number, took)
    yield _starts(shop, number)
    yield from _verbs(shop, number, {FEW: few, CROWD: crowd})


def _populated(shop: Workshop, name: str, number: int) -> tuple[UUID, float]:
    """One of so many processes, and the seconds in which they were created. A few more stand apart."""
    ids: list[UUID] = []
    with shop.runtime(name) as runtime:
        progress = partial(_tell, shop)
        took = seconds(lambda: runtime.create_instances("Bench", number, batch=1_000, progress=progress))
        runtime.create_instances("Bench", APART + 1, on_created=ids.extend)
        for one in islice(ids, APART):
            runtime.execute_command(one, "chain")
    shop.floor.settle(name)
    return ids[APART], took


def _tell(shop: Workshop, what: str, done: int, of: int) -> None:
    shop.say(f"{what} {done:,} of {of:,}")


def _creation(number: int, took: float) -> Row:
    a_second = number / took
    return Row(
        code="P6 create",
        measure=f"create_instances of {number:,} processes, each",
        target=f"{LEAST_A_SECOND:,} per second",
        verdict=Verdict.of(a_second >= LEAST_A_SECOND),
        subject=Figure(values=(took / number * 1e6,), unit="µs"),
        notes={"per second": round(a_second), "s in all": round(took, 1)},
    )


def _starts(shop: Workshop, number: int) -> Row:
    commands: dict[str, list[float]] = {CROWD: [], FEW: []}
    rivals = {name: _start(shop, name, commands[name]) for name in (FEW, CROWD)}
    found = interleaved(rivals, min(ROUNDS, shop.sizes.rounds), shop.say)
    subject = Figure(values=found[CROWD], unit="s")
    return Row(
        code="P6",
        measure=f"start beside {number:,} idle processes",
        target=f"at most {MOST_SECONDS:g} s beside {MANY:,}",
        verdict=Verdict.of(subject.median <= MOST_SECONDS),
        subject=subject,
        floor=Figure(values=found[FEW], unit="s"),
        ratio=ratio(found[CROWD], found[FEW]),
        notes={"ms of the first creation": round(Figure(values=tuple(commands[CROWD]), unit="s").median * 1e3, 1)},
    )


def _start(shop: Workshop, name: str, commands: list[float]) -> Sample:
    """Seconds of a start; those of a creation right after it go to ``commands``."""

    def sample() -> float:
        runtime = shop.runtime(name)
        took = seconds(runtime.start)
        try:
            commands.append(seconds(lambda: runtime.create_instance("Bench")))
        finally:
            runtime.shutdown()
        return took

    return sample


def _verbs(shop: Workshop, number: int, ones: Mapping[str, UUID]) -> Iterator[Row]:
    """Both databases are open at once, and take turns."""
    with ExitStack() as opened:
        runtimes = {name: opened.enter_context(shop.runtime(name)) for name in ones}
        for code, (measure, verb) in VERBS.items():
            rivals: dict[str, Any] = {name: per_call(partial(verb, runtimes[name], ones[name]), min(CALLS, shop.sizes.calls)) for name in ones}
            found = interleaved(rivals, min(ROUNDS, shop.sizes.rounds), shop.say)
            times = ratio(found[CROWD], found[FEW])
            yield Row(
                code=code,
                measure=f"{measure} beside {number:,} idle processes",
                target=f"at most {MOST_TIMES:g} times beside {SOME}",
                verdict=Verdict.of(times.median <= MOST_TIMES),
                subject=Figure(values=found[CROWD], unit="µs"),
                floor=Figure(values=found[FEW], unit="µs"),
                ratio=times,
            )
