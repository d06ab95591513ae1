"""P9: takeover after ``kill -9``, in short. ``python -m benchmarks.takeover`` is the long form, with servers that are stopped too."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import takeover, takings
from benchmarks.floor import Kind
from benchmarks.measuring import Figure, Row, Verdict, percentile
from benchmarks.serving import IN_A_WALK
from benchmarks.workshop import Workshop

MEASURE = "takeover after kill -9, two servers, to the first durable progress"
TARGET = f"p50 at most {takings.P50:g} s, p99 at most {takings.P99:g} s"


def p9(shop: Workshop) -> Iterator[Row]:
    """Only where several servers share a database."""
    if shop.floor.kind is Kind.SQLITE:
        yield Row(code="P9", measure=MEASURE, target=TARGET, verdict=Verdict.SKIPPED, notes={"reason": "one server on SQLite: nobody takes over"})
        return
    found = takeover.run(shop.floor.server, _plan(shop), lambda done, number, text: shop.say(f"{done} of {number}: {text}"))
    yield _row(found)


def _plan(shop: Workshop) -> takeover.Plan:
    sizes = shop.sizes
    return takeover.Plan(
        kills=sizes.kills, stops=0, servers=2, processes=sizes.flight, seed=1, workers=sizes.flight * 2, sweep=None, steps=IN_A_WALK * 2, seconds=0.5
    )


def _row(found: takings.Found) -> Row:
    took, counts = found.seconds("kill", "first progress"), found.counts
    return Row(
        code="P9",
        measure=MEASURE,
        target=TARGET,
        verdict=Verdict.of(found.is_kept and found.is_fast),
        subject=Figure(values=tuple(took), unit="s") if took else None,
        notes={
            "kills": len(found.struck),
            **({"s p50": round(percentile(took, 0.5), 3), "s p99": round(percentile(took, 0.99), 3)} if took else {}),
            "lost": len(counts.lost),
            "journaled steps repeated": counts.repeated,
            "late writes": len(counts.late_writes),
        },
    )
