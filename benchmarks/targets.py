"""The table of targets: which measure takes which line, and what is said of the lines that none takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from benchmarks import bells, commands, loading, recovery, servers, starting, taking
from benchmarks.measuring import Row, Verdict
from benchmarks.workshop import Workshop

Measure = Callable[[Workshop], Iterator[Row]]


def p4(shop: Workshop) -> Iterator[Row]:
    """Commits and statements: a number, not a time, so a test asserts it."""
    yield Row(code="P4", measure="commits and statements per command", target="tests/engine/test_costs.py", verdict=Verdict.TESTED)


MEASURES: Mapping[str, Measure] = {
    "P1": commands.p1,
    "P2": commands.p2,
    "P3": commands.p3,
    "P4": p4,
    "P5": recovery.p5,
    "P6": starting.p6,
    "P7": bells.p7,
    "P8": bells.p8,
    "P9": taking.p9,
    "P10": loading.p10,
    "S": servers.s,
}
