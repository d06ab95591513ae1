"""What no other test would notice if it were broken; see tests/planted/planted_bugs.py."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from bench import WHO, Bench, engine_of
from timed import HOUR, text

from workflow_runtime import Process, ProcessStatus
from workflow_runtime.core.process import Change, ChangeKind
from workflow_runtime.engine.clock import Clock
from workflow_runtime.errors import Fenced
from workflow_runtime.store.writes import Outcome

TEXT = """
scheme: S
commands: {go: {}}
activities:
  A: {initial: true, actions: [Look]}
  B: {actions: [Look]}
transitions:
  - {from: A, to: B, on: {command: go}}
"""


def test_what_is_in_hand_is_no_orphan(bench: Bench) -> None:
    """While an action runs, of a creation and of a command, a sweep of its own server finds nothing to do."""
    owned: list[int] = []

    def look(ctx: Any, parameter: str | None) -> None:
        with ThreadPoolExecutor(1) as pool:  # who works here is not waited for
            owned.append(pool.submit(runtime.recover).result(30).owned)

    runtime = bench(TEXT, actions={"Look": look})
    process = runtime.create_instance("S")
    assert runtime.execute_command(process.id, "go").was_executed
    assert owned == [0, 0]
    assert runtime.get_process(process.id).status is ProcessStatus.IDLED


def test_what_waits_for_a_server_is_no_orphan(bench: Bench) -> None:
    """Nothing is decided about it: its row brings it back."""
    runtime = bench(TEXT, actions={"Look": lambda ctx, parameter: None})
    process = runtime.create_instance("S")
    bench(client=True).set_activity(process.id, "B", **WHO)
    waiting = runtime.get_process(process.id)
    assert (waiting.status, waiting.is_waiting) == (ProcessStatus.RUNNING, True)
    assert runtime.recover().owned == 0
    assert runtime.get_process(process.id) == waiting


def test_who_was_taken_over_does_and_writes_nothing_more(bench: Bench) -> None:
    """Another server takes the process while its action runs: the action after it does not begin, and the row stays as the other left it."""
    taken: list[Process] = []

    def lose(ctx: Any, parameter: str | None) -> None:
        mine = runtime.get_process(ctx.process_id)
        theirs = Change(kind=ChangeKind.ADOPT, before=mine, after=replace(mine, owner="other", token=mine.token + 1))
        assert engine_of(runtime).store.apply(theirs).outcome is Outcome.APPLIED
        taken.append(theirs.result)

    runtime = bench(TEXT.replace("B: {actions: [Look]}", "B: {actions: [Lose, {Note: late}]}"), actions={"Look": lambda ctx, parameter: None, "Lose": lose})
    process = runtime.create_instance("S")
    with pytest.raises(Fenced):
        runtime.execute_command(process.id, "go")
    assert bench.said == []
    assert [runtime.get_process(process.id)] == taken


def test_the_first_token_is_random(bench: Bench) -> None:
    """So a process that is created again under an id cannot meet the token of the one before."""
    runtime = bench(TEXT, actions={"Look": lambda ctx, parameter: None})
    assert len({runtime.create_instance("S").token for _ in range(3)}) == 3


class Ahead:
    """The clock of a server that is hours ahead; its monotonic time is right."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now() + 5 * HOUR

    def monotonic(self) -> float:
        return self._clock.monotonic()


def test_whether_a_timer_is_due_is_asked_of_the_database_alone(bench: Bench) -> None:
    runtime = bench(text("{interval: 1h}"))
    process = runtime.create_instance("S")
    engine_of(runtime).clock = Ahead(bench.clock)
    bench.clock.advance(HOUR - timedelta(seconds=1))
    assert runtime.get_process(process.id).activity == "A"
    bench.clock.advance(1)
    assert runtime.get_process(process.id).activity == "B"
