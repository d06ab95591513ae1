"""Figures: what was measured, how it is summed up, and the rounds in which rivals take turns.

Law: floor and subject run in the same rounds, one after the other, and their ratio is taken round by round.
A machine that is busy for a second then spoils one round of both and not one of the two.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

Say = Callable[[str], None]
Sample = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Values of one kind, one per round, in ``unit``."""

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)


class Verdict(StrEnum):
    MET = "met"
    MISSED = "missed"
    REPORTED = "reported"  #: no target; the figure stands for itself
    TESTED = "asserted in tests"
    SKIPPED = "skipped"  #: the notes say why

    @classmethod
    def of(cls, met: bool) -> Verdict:
        return cls.MET if met else cls.MISSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table of targets, measured."""

    code: str
    measure: str
    target: str
    verdict: Verdict
    subject: Figure | None = None
    floor: Figure | None = None
    ratio: Figure | None = None
    notes: Mapping[str, float | str] | None = None


def interleaved(rivals: Mapping[str, Sample], rounds: int, say: Say, *, warm_up: bool = True) -> dict[str, tuple[float, ...]]:
    """Each rival's samples, one per round; who was first goes last in the next. ``warm_up``: a round before the first is thrown away."""
    names = list(rivals)
    found: dict[str, list[float]] = {name: [] for name in names}
    for sample in rivals.values() if warm_up else ():
        sample()
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name in names:
            found[name].append(rivals[name]())
        names.append(names.pop(0))
    return {name: tuple(values) for name, values in found.items()}


def ratio(subject: Sequence[float], floor: Sequence[float]) -> Figure:
    """Round by round."""
    return Figure(values=tuple(one / other for one, other in zip(subject, floor, strict=True)), unit="x")


def per_call(work: Callable[[], object], calls: int, *, clock: Callable[[], float] = time.perf_counter) -> Sample:
    """Microseconds of one call, over so many of them; with another ``clock`` those of the processor."""

    def sample() -> float:
        began = clock()
        for _ in range(calls):
            work()
        return (clock() - began) / calls * 1e6

    return sample


def per_call_of_threads(works: Sequence[Callable[[], object]], calls: int) -> Sample:
    """Microseconds of one call while each of the works runs in a thread of its own: the time of all, divided by all calls."""

    def sample() -> float:
        gate = threading.Barrier(len(works) + 1)
        threads = [threading.Thread(target=_repeat, args=(work, calls, gate)) for work in works]
        for thread in threads:
            thread.start()
        gate.wait()
        began = time.perf_counter()
        for thread in threads:
            thread.join()
        return (time.perf_counter() - began) / (calls * len(works)) * 1e6

    return sample


def _repeat(work: Callable[[], object], calls: int, gate: threading.Barrier) -> None:
    gate.wait()
    for _ in range(calls):
        work()


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed; ``share`` from 0 to 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
