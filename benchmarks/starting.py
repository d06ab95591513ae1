"""P6: a start beside a million idle processes, against a start beside one.

A start returns before the first sweep and the first look for due timers have ended; the creation right after it shows
whether those hold it up, so it is in the notes.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measuring import Figure, Row, Sample, Verdict, interleaved, ratio, seconds
from benchmarks.workshop import SCHEME, Workshop

MOST_SECONDS, MANY = 1.0, 1_000_000
ROUNDS = 7


def p6(shop: Workshop) -> Iterator[Row]:
    """Start with idle processes."""
    number = shop.sizes.idle
    shop.crowd("crowd", shop.pattern("crowd", SCHEME), number)
    shop.pattern("empty", SCHEME)
    commands: dict[str, list[float]] = {"crowd": [], "empty": []}
    rivals = {name: _start(shop, name, commands[name]) for name in ("empty", "crowd")}
    found = interleaved(rivals, min(ROUNDS, shop.sizes.rounds), shop.say)
    subject = Figure(values=found["crowd"], unit="s")
    yield Row(
        code="P6",
        measure=f"start beside {number:,} idle processes",
        target=f"at most {MOST_SECONDS:g} s beside {MANY:,}",
        verdict=Verdict.of(subject.median <= MOST_SECONDS),
        subject=subject,
        floor=Figure(values=found["empty"], unit="s"),
        ratio=ratio(found["crowd"], found["empty"]),
        notes={"ms of the first creation": round(Figure(values=tuple(commands["crowd"]), unit="s").median * 1e3, 1)},
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
