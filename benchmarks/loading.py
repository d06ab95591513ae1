"""P10: a scheme that this process has read before is not parsed again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from benchmarks.measuring import Figure, Row, Verdict, interleaved, ratio, seconds
from benchmarks.workshop import Workshop
from workflow_runtime.runtime.sources import load

ROUNDS = 3
FANOUT = 5  #: transitions out of each activity


def p10(shop: Workshop) -> Iterator[Row]:
    """The second load of a YAML scheme."""
    texts, text = count(1), scheme_text(shop.sizes.activities)
    kept = {"text": text, "same": True}

    def first() -> float:
        kept["text"] = f"{text}# {shop.floor.kind} {next(texts)}\n"  # other bytes, so that nobody has read it
        return seconds(lambda: list(load(str(kept["text"])))) * 1e3

    def second() -> float:
        again = str(kept["text"])
        (before,) = load(again)
        took = seconds(lambda: list(load(again))) * 1e3
        (after,) = load(again)
        kept["same"] = kept["same"] and before.scheme is after.scheme
        return took

    found = interleaved({"first": first, "second": second}, min(ROUNDS, shop.sizes.rounds), shop.say, warm_up=False)
    yield Row(
        code="P10",
        measure=f"second load of a YAML scheme ({shop.sizes.activities} activities, {shop.sizes.activities * FANOUT:,} transitions)",
        target="no parse",
        verdict=Verdict.of(kept["same"] is True),
        subject=Figure(values=found["second"], unit="ms"),
        floor=Figure(values=found["first"], unit="ms"),
        ratio=ratio(found["second"], found["first"]),
        notes={"floor": "the first load, with its parse"},
    )


def scheme_text(activities: int) -> str:
    """Every activity leads to the next five; the last one is final."""
    names = [f"A{number}" for number in range(activities)]
    lines = ["scheme: Large", "commands: {go: {}}", "activities:", "  A0: {initial: true}"]
    lines += [f"  {name}: {{}}" for name in names[1:]] + ["  End: {final: true}", "transitions:"]
    for number, name in enumerate(names):
        for step in range(1, FANOUT + 1):
            target = names[number + step] if number + step < activities else "End"
            lines.append(f"  - {{name: {name}_{step}, from: {name}, to: {target}, on: {{command: go}}}}")
    return "\n".join(lines) + "\n"
