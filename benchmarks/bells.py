"""P7, P8: timers that are due at the start, and timers that fall due one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmarks.measuring import Figure, Row, Verdict, percentile, seconds
from benchmarks.workshop import SCHEME, TIMED, Workshop, number_of
from workflow_runtime import Process, WorkflowRuntime, hookimpl

MOST_COMMAND_SECONDS = 1.0
MOST_LATE = 0.1  #: seconds, 99 of 100
PAUSE = 0.01  #: seconds between two commands while timers fire
HEAD_START = 1.0  #: seconds from the start to the first timer of P8
PATIENCE = 300.0  #: seconds until a bell that does not ring is a breakage


class Listener:
    """Hears each bell ring, after its commit. Thread-safe."""

    def __init__(self, expected: int) -> None:
        self._gate, self._expected = threading.Lock(), expected
        self.heard: list[tuple[int, datetime, datetime]] = []  #: place in the crowd, when it was taken and when we heard of it
        self.all_rang = threading.Event()

    @hookimpl
    def process_activity_changed(self, process: Process, current: str) -> None:
        if current != "Rung":
            return
        with self._gate:
            self.heard.append((number_of(process), process.activity_since, datetime.now(UTC)))
            if len(self.heard) == self._expected:
                self.all_rang.set()

    def wait(self, while_waiting: float = PATIENCE) -> None:
        assert self.all_rang.wait(while_waiting), f"{len(self.heard)} of {self._expected} timers have fired"


def p7(shop: Workshop) -> Iterator[Row]:
    """Timers that are overdue at the start, and commands meanwhile."""
    number = shop.sizes.overdue
    shop.say("commands in quiet")
    with shop.runtime("quiet") as runtime:
        quiet = 1 / Figure(values=_commands_alone(runtime, shop.sizes.calls), unit="s").median
    shop.crowd("overdue", shop.pattern("overdue", TIMED), number)
    shop.timers("overdue", iter([datetime.now(UTC) - timedelta(hours=1)] * number))
    listener = Listener(number)
    runtime = shop.runtime("overdue", SCHEME, TIMED, plugin=listener)
    began = time.perf_counter()
    with runtime:
        shop.say(f"{number:,} timers fire")
        meanwhile = _commands_meanwhile(listener, runtime, shop.sizes.window)
        fired = len(listener.heard)
        rate = fired / (time.perf_counter() - began)
    p99 = percentile(meanwhile, 0.99)
    yield Row(
        code="P7",
        measure=f"{number:,} timers due at start, fired per second",
        target=f"the rate of commands or better; commands meanwhile p99 under {MOST_COMMAND_SECONDS:g} s",
        verdict=Verdict.of(rate >= quiet and p99 < MOST_COMMAND_SECONDS),
        subject=Figure(values=(rate,), unit="/s"),
        floor=Figure(values=(quiet,), unit="/s"),
        ratio=Figure(values=(rate / quiet,), unit="x"),
        notes={
            "floor": "commands of one thread, nothing due",
            "fired while watched": fired,
            "ms p99 of commands meanwhile": round(p99 * 1e3, 1),
            "commands meanwhile": len(meanwhile),
        },
    )


def _commands_meanwhile(listener: Listener, runtime: WorkflowRuntime, window: float) -> list[float]:
    """Seconds of each command that was given until all bells had rung, or for so long."""
    process, took = runtime.create_instance("Bench"), []
    deadline = time.perf_counter() + window
    while not listener.all_rang.wait(PAUSE) and time.perf_counter() < deadline:
        took.append(seconds(lambda: runtime.execute_command(process.id, "go")))
    assert listener.heard, "no timer has fired"
    return took or [0.0]


def _commands_alone(runtime: WorkflowRuntime, calls: int) -> tuple[float, ...]:
    process = runtime.create_instance("Bench")
    return tuple(seconds(lambda: runtime.execute_command(process.id, "go")) for _ in range(calls))


def p8(shop: Workshop) -> Iterator[Row]:
    """How late timers fire that fall due one after the other, at the rate of the target and at a tenth of it."""
    for rate, target in ((shop.sizes.due_per_second, True), (max(1, shop.sizes.due_per_second // 10), False)):
        taken, heard = _lateness(shop, rate, rate * shop.sizes.due_seconds)
        p99, earliest = percentile(heard, 0.99), min(taken)
        yield Row(
            code="P8" if target else "P8 low",
            measure=f"timer lateness, {rate:,} due per second for {shop.sizes.due_seconds} s",
            target=f"never early; p99 at most {MOST_LATE * 1e3:g} ms" if target else "reported",
            verdict=Verdict.of(earliest >= 0 and p99 <= MOST_LATE) if target else Verdict.REPORTED,
            subject=Figure(values=tuple(value * 1e3 for value in heard), unit="ms"),
            notes={"ms p99": round(p99 * 1e3, 1), "ms p99 until taken": round(percentile(taken, 0.99) * 1e3, 1), "ms earliest": round(earliest * 1e3, 2)},
        )


def _lateness(shop: Workshop, rate: int, number: int) -> tuple[list[float], list[float]]:
    """Seconds after the due time at which each timer was taken, and at which it was heard of, after its commit."""
    name = f"bells_{rate}"
    shop.crowd(name, shop.pattern(name, TIMED), number)
    first = datetime.now(UTC) + timedelta(seconds=HEAD_START + number / 50_000)  # the rows of timers take their time too
    due = [first + timedelta(seconds=n / rate) for n in range(number)]
    shop.timers(name, iter(due))
    listener = Listener(number)
    with shop.runtime(name, TIMED, plugin=listener):
        shop.say(f"{number:,} timers, {rate:,} per second")
        listener.wait()
    taken = [(at - due[place]).total_seconds() for place, at, _ in listener.heard]
    return taken, [(at - due[place]).total_seconds() for place, _, at in listener.heard]
