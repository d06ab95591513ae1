"""P5: what a dead server left in Running, decided by the status rule, beside one bare UPDATE and INSERT of all rows.

Time and memory are measured in passes of their own: whoever watches memory slows down what he watches.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

from benchmarks.floor import Kind
from benchmarks.measuring import Figure, Row, Verdict, interleaved, ratio, seconds
from benchmarks.workshop import Workshop

MOST_SECONDS, MANY = {Kind.SQLITE: 3.0, Kind.POSTGRESQL: 5.0}, 100_000  #: for so many processes
WATCHED = 2_000  #: processes of the pass that is watched first; no less than are read at once
MORE, FLAT = 5, 1.5  #: so many times the processes may not need more than so many times the memory


def p5(shop: Workshop) -> Iterator[Row]:
    """Recovery of stuck processes with the default verdict."""
    number, rounds = shop.sizes.stuck, min(shop.sizes.passes, shop.sizes.rounds)
    shop.stuck("stuck", number)
    rivals = {"floor": lambda: _by_hand(shop, number), "subject": lambda: _recovered(shop, "stuck", number)}
    found = interleaved(rivals, rounds, shop.say, warm_up=False)
    few, many = _peaks(shop)
    scaled = Figure(values=found["subject"], unit="s").median * MANY / number
    flat, most = many <= few * FLAT, MOST_SECONDS[shop.floor.kind]
    yield Row(
        code="P5",
        measure=f"recovery of {number:,} stuck processes",
        target=f"at most {most:g} s for {MANY:,}; memory flat",
        verdict=Verdict.of(scaled <= most and flat),
        subject=Figure(values=found["subject"], unit="s"),
        floor=Figure(values=found["floor"], unit="s"),
        ratio=ratio(found["subject"], found["floor"]),
        notes={
            f"s for {MANY:,}": round(scaled, 2),
            "MB at most, few": round(few, 2),
            f"MB at most, {MORE} x as many": round(many, 2),
            **_resident(),
        },
    )


def _recovered(shop: Workshop, of: str, number: int) -> float:
    shop.floor.copy(of, "recovered")
    with shop.runtime("recovered", auto_recover=False) as runtime:
        took = seconds(lambda: _all_decided(runtime.recover().by_decision, number))
        assert not runtime.plan_recovery().decisions, "something was left"
    return took


def _all_decided(by_decision: object, number: int) -> None:
    assert by_decision == {"default": number}, f"{number} were stuck, and decided was {by_decision}"


def _by_hand(shop: Workshop, number: int) -> float:
    shop.floor.copy("stuck", "by_hand")
    return seconds(lambda: _all_decided({"default": shop.floor.reset_running("by_hand")}, number))


def _peaks(shop: Workshop) -> tuple[float, float]:
    """The most MB that Python held during a pass over some processes, and over ``MORE`` times as many."""
    peaks = []
    watched = min(WATCHED, shop.sizes.stuck)
    for number in (watched, watched * MORE):
        shop.say(f"watching the memory over {number:,}")
        shop.stuck(f"watched_{number}", number)
        tracemalloc.start()
        _recovered(shop, f"watched_{number}", number)
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    return peaks[0], peaks[1]


def _resident() -> dict[str, float]:
    """The most that the whole run has had in memory so far, where the system tells (MB)."""
    with suppress(ImportError):  # not on Windows
        import resource

        unit = 1e6 if sys.platform == "darwin" else 1e3
        return {"MB resident at most": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)}
    return {}
