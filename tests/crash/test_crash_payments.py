"""What becomes of one payment whose server is killed around it: the lines of the table in docs/howto/call-once.md, each of them tried.

Whether a receiver deduplicates is the only thing that makes a payment at least once into one payment. At most once is never two, whoever
receives it; what it costs is that a person has to look, unless a check can tell.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from crash_programs import CHECKED, ONCE, PLAIN, Act, Program, Programmed
from payments import Payments, Receiver

from workflow_runtime.errors import OutcomeUnknown

#: where the server is killed -> the crash points; the first effect that begins is that of the action itself
KILLED = {
    "before its intent": ("claim.after:1", "intent.before:1"),
    "before the call": ("intent.after:1", "effect.before:2"),
    "after the call": ("effect.after:1", "step.before:1"),
    "after its row": ("step.after:1",),
}
WORDS = {PLAIN: "at least once (the default)", ONCE: "`at_most_once`", CHECKED: "`at_most_once` with `check_outcome`"}
GOES_ON, UNKNOWN = "", ", outcome unknown"


class Line(NamedTuple):
    """Payments, and how the process ends, for each of ``KILLED``."""

    step: str
    deduplicates: bool
    ends: tuple[str, str, str, str]

    def __str__(self) -> str:
        return f"| {WORDS[self.step]} | {'yes' if self.deduplicates else 'no'} | {' | '.join(self.ends)} |"


TABLE = (
    Line(PLAIN, True, ("1", "1", "1", "1")),
    Line(PLAIN, False, ("1", "1", "2", "1")),
    Line(ONCE, True, ("1", "0, outcome unknown", "1, outcome unknown", "1")),
    Line(ONCE, False, ("1", "0, outcome unknown", "1, outcome unknown", "1")),
    Line(CHECKED, True, ("1", "1", "1", "1")),
    Line(CHECKED, False, ("1", "1", "1", "1")),
)
CASES = [
    pytest.param(line, point, end, id=f"{line.step}-{'dedup' if line.deduplicates else 'no dedup'}-{point}")
    for line in TABLE
    for when, end in zip(KILLED, line.ends, strict=True)
    for point in KILLED[when]
    if not (line.step == PLAIN and point.startswith("intent"))
]


@pytest.mark.parametrize(("line", "point", "end"), CASES)
def test_a_payment(told: Callable[[dict[str, Any]], int], folder: Path, line: Line, point: str, end: str) -> None:
    program: Program = ((Act((line.step,)),),)
    url = f"sqlite:///{folder}/workflow.db"
    with Receiver(deduplicates=line.deduplicates) as receiver:
        job = {"folder": str(folder), "program": program, "url": url, "phase": "first", "point": point, "receiver": receiver.port}
        assert told(job) == -signal.SIGKILL
        with Programmed(folder, "last", program, url, book=Payments(receiver.port, "last")) as server:
            server.runtime.recover(wait=True)
            process = server.drive()
    payments = [payment for payment in receiver.payments if payment.place == "A0 0 s0"]
    unknown = process.last_error is not None and process.last_error.type.endswith(OutcomeUnknown.__name__)
    assert f"{len(payments)}{', outcome unknown' if unknown else ''}" == end
    assert (process.activity, str(process.status)) == (("Rest", "Error") if unknown else ("End", "Finalized"))
    assert len({payment.key for payment in receiver.requests if payment.place == "A0 0 s0"}) <= 1, "a repetition has the same key"


def test_the_page_has_these_lines() -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "call-once.md").read_text()
    head = f"| the step | the receiver deduplicates | {' | '.join(f'killed {when}' for when in KILLED)} |"
    assert "\n".join([head, "|---" * 6 + "|", *map(str, TABLE)]) in page
