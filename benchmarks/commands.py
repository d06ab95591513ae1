"""P1, P2, P3: what a command costs, beside the same commits by hand and beside other engines.

P2 and P3 create a process and give it one command that leads to the end: with five actions that is seven commits
(creation, claim, five outcomes of which the last goes with the arrival), with five automatic transitions two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial

from benchmarks.floor import Hand, Kind
from benchmarks.measuring import Figure, Row, Sample, Verdict, interleaved, per_call, per_call_of_threads, ratio
from benchmarks.peers import PEERS, Running
from benchmarks.workshop import Workshop
from workflow_runtime import WorkflowRuntime

THREADS = 8
MOST_P1 = {Kind.SQLITE: 2.2, Kind.POSTGRESQL: 2.0}  #: times the floor
MOST_P2, MOST_P3 = 2.0, 0.5
LEAST_P2 = {"DBOS": 5.0}  #: so many times as fast as it; other engines are reported
US = "µs"


def p1(shop: Workshop) -> Iterator[Row]:
    """One command over one action-free transition."""
    with shop.runtime("commands") as runtime, ExitStack() as hands:
        commands = [_going(runtime) for _ in range(THREADS)]
        by_hand = [_by_hand(hands.enter_context(closing(shop.floor.hand()))) for _ in range(THREADS)]
        one = {"floor": per_call(by_hand[0], shop.sizes.calls), "subject": per_call(commands[0], shop.sizes.calls)}
        found = interleaved(one, shop.sizes.rounds, shop.say)
        busy = _busy(commands[0], by_hand[0], shop.sizes.calls)
        few = shop.sizes.calls // 4 + 1
        all_ = {"floor": per_call_of_threads(by_hand, few), "subject": per_call_of_threads(commands, few)}
        found_of_all = interleaved(all_, shop.sizes.rounds, shop.say)  # for itself: the machine is another one when eight threads have just kept it awake
    yield _row("P1", "one command, one action-free transition", found["subject"], found["floor"], most=MOST_P1[shop.floor.kind], busy=busy)
    yield _row(f"P1 x{THREADS}", f"the same in {THREADS} threads", found_of_all["subject"], found_of_all["floor"])


def p2(shop: Workshop) -> Iterator[Row]:
    """A workflow of five actions, each journaled."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(closing(peer)) for name, peer in _peers(shop)}
        yield from _workflow(shop, "P2", "create, then five journaled actions", "act", MOST_P2, running)
    for name, peer in PEERS.items():
        if absence := peer.absence(shop.floor.kind):
            yield Row(code=f"P2 {name}", measure=f"the same beside {name}", target=_target(name), verdict=Verdict.SKIPPED, notes={"reason": absence})


def p3(shop: Workshop) -> Iterator[Row]:
    """A workflow of five automatic transitions without actions."""
    yield from _workflow(shop, "P3", "create, then five automatic transitions", "chain", MOST_P3, {})


def _peers(shop: Workshop) -> Iterator[tuple[str, Running]]:
    for name, peer in PEERS.items():
        if not peer.absence(shop.floor.kind):
            shop.say(f"starting {name}")
            yield name, Running(name, *shop.floor.place(f"peer_{name}".lower()))


def _workflow(shop: Workshop, code: str, measure: str, command: str, most: float, peers: Mapping[str, Running]) -> Iterator[Row]:
    calls = shop.sizes.calls // 6 + 1
    with shop.runtime(f"workflow_{command}") as runtime, ExitStack() as hands:
        hand = hands.enter_context(closing(shop.floor.hand()))

        def through() -> None:
            process = runtime.create_instance("Bench")
            assert runtime.execute_command(process.id, command).process.activity == "End"

        by_hand = partial(_seven, hand)
        few = shop.sizes.calls // 50 + 1  # others take their time
        others: dict[str, Sample] = {name: partial(peer.per_workflow, few) for name, peer in peers.items()}
        found = interleaved({"floor": per_call(by_hand, calls), "subject": per_call(through, calls), **others}, shop.sizes.rounds, shop.say)
        busy = _busy(through, by_hand, calls)
    yield _row(code, measure, found["subject"], found["floor"], most=most, busy=busy)
    for name, peer in peers.items():
        yield _beside(name, peer.title, found["subject"], found[name])


def _beside(name: str, title: str, subject: tuple[float, ...], other: tuple[float, ...]) -> Row:
    """How many times as fast the runtime is as another engine, in the same rounds."""
    times, least = ratio(other, subject), LEAST_P2.get(name)
    return Row(
        code=f"P2 {name}",
        measure=f"the same beside {title}",
        target=_target(name),
        verdict=Verdict.of(times.median >= least) if least else Verdict.REPORTED,
        subject=Figure(values=subject, unit=US),
        floor=Figure(values=other, unit=US),
        ratio=times,
        notes={"floor": name, "ratio": "how many times as fast", "per second of the other": round(1e6 / Figure(values=other, unit=US).median)},
    )


def _target(name: str) -> str:
    return f"at least {LEAST_P2[name]:g} x as fast" if name in LEAST_P2 else "reported"


def _going(runtime: WorkflowRuntime) -> Callable[[], object]:
    process_id = runtime.create_instance("Bench").id
    return lambda: runtime.execute_command(process_id, "go")


def _by_hand(hand: Hand) -> Callable[[], object]:
    def command() -> None:
        hand.read()
        hand.transition()

    return command


def _seven(hand: Hand) -> None:
    hand.create()
    for _ in range(6):
        hand.transition()


def _busy(subject: Callable[[], object], floor: Callable[[], object], calls: int) -> dict[str, float]:
    """Microseconds of the processor: what stays when the disk costs nothing."""
    works = {"µs of processor": subject, "µs of processor, floor": floor}
    return {name: per_call(work, calls, clock=time.process_time)() for name, work in works.items()}


def _row(
    code: str, measure: str, subject: tuple[float, ...], floor: tuple[float, ...], *, most: float | None = None, busy: Mapping[str, float] | None = None
) -> Row:
    times = ratio(subject, floor)
    return Row(
        code=code,
        measure=measure,
        target=f"at most {most} x the floor" if most else "reported",
        verdict=Verdict.of(times.median <= most) if most else Verdict.REPORTED,
        subject=Figure(values=subject, unit=US),
        floor=Figure(values=floor, unit=US),
        ratio=times,
        notes={"per second": round(1e6 / Figure(values=subject, unit=US).median), **(busy or {})},
    )
