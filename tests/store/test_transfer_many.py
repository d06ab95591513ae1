"""Many processes in all statuses move from SQLite to PostgreSQL: both answer equally, and there they go on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import databases
import pytest
from factories import NOW, creation, entry, process, retry, step, timer
from waiting import until

from workflow_runtime import ProcessFilter, WorkflowRuntime
from workflow_runtime.core import reading
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import Change, Process, ProcessStatus, Trigger, TriggerKind, Walk
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.store.writes import Store

TEXT = """
scheme: Order
parameters:
  Amount: {type: decimal, purpose: persistence}
commands:
  Approve: {}
activities:
  Draft: {initial: true}
  Review: {state: Review}
  Charge: {state: Charge, actions: [Charge, Tell], recovery: resume}
  Done: {final: true}
transitions:
  - {from: Draft, to: Review}
  - {from: Review, to: Charge, on: {command: Approve}}
  - {from: Charge, to: Done}
"""
GO = Trigger(TriggerKind.COMMAND, "Approve")
PAST, LATER = NOW - timedelta(days=3_650), NOW + timedelta(days=3_650)  #: whatever the clock of the database says


def made(number: int, key: SchemeKey) -> Change:
    """One of eight kinds, each with a history."""
    subject = process(
        scheme_code=key.code,
        scheme_version=key.version,
        activity="Review",
        state="Review",
        created_at=NOW + timedelta(seconds=number // 5),
        parameters=FrozenDict({"Amount": Decimal(f"{number}.50"), "Größe": f"☃{number % 7}", "at": NOW}),
        last_seq=1,
    )
    more: dict[str, Any] = {}
    walk = Walk(id=f"{number:032x}", activity="Charge", transition="Review_Charge_1", trigger=GO, run=GO, started_at=NOW)
    match number % 8:
        case 0:
            subject, more = replace(subject, status=ProcessStatus.INITIALIZED), {"arm": (retry(LATER, name="start"),)}
        case 1:  # executed: the first of its two actions is done
            subject = replace(subject, status=ProcessStatus.RUNNING, owner="gone", walk=replace(walk, step=1))
            more = {"journal": (step(walk.id, activity="Charge", action="Charge", changes=FrozenDict({"Paid": True})),)}
        case 2:
            subject = replace(subject, status=ProcessStatus.RUNNING, walk=walk, waiting_until=PAST)
            more = {"arm": (retry(PAST),)}
        case 3:
            subject = replace(subject, status=ProcessStatus.FINALIZED, activity="Done")
        case 4:
            subject = replace(subject, status=ProcessStatus.TERMINATED, walk=walk)
        case 5:
            subject = replace(subject, status=ProcessStatus.ERROR, walk=walk)
        case _:
            more = {"arm": (timer("late", LATER),)}
    return creation(subject, entries=(entry(replace(subject, last_seq=0), to_activity=subject.activity),), **more)


@pytest.fixture
def source(upgraded_file: Path, tmp_path: Path) -> str:
    shutil.copy(upgraded_file, tmp_path / "source.db")
    return f"sqlite:///{tmp_path / 'source.db'}"


def filled(url: str, number: int) -> None:
    key = reading.read(TEXT, code="Order").key
    store = Store.open(url, clock=lambda: NOW, new_token=lambda: 1, synchronous="NORMAL")
    store.add_scheme(key, TEXT, "yaml")
    for first in range(0, number, 1_000):
        store.apply_all([made(each, key) for each in range(first, min(first + 1_000, number))])
    store.close()


def answers(runtime: WorkflowRuntime, number: int) -> Iterator[Any]:
    """Of every query; history and timers of some."""
    yield [runtime.count_processes(ProcessFilter(status=status)) for status in ProcessStatus]
    found: list[Process] = []
    cursor: str | None = None
    while True:
        page = runtime.find_processes(limit=1_000, after=cursor)
        found += [replace(each, owner=None, token=0) for each in page]
        if (cursor := page.next) is None:
            break
    yield found
    yield [each.id for each in runtime.find_processes(ProcessFilter(parameters={"Größe": "☃3"}), limit=1_000)]
    yield [each.id for each in runtime.find_processes(ProcessFilter(parameters={"Amount": Decimal("17.5")}))]
    yield runtime.find_timers(limit=1_000)
    for each in found[:: max(1, number // 50)]:
        yield [replace(row, id=0) for row in runtime.get_history(each.id)], runtime.get_timers(each.id)


@pytest.mark.parametrize("number", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_processes_move_and_go_on(source: str, tmp_path: Path, postgresql: databases.Places, number: int) -> None:
    filled(source, number)
    file, target = tmp_path / "all.jsonl", postgresql.wiped()
    with WorkflowRuntime(source).as_client() as here, WorkflowRuntime(target).as_client() as there:
        written = here.export_processes(file)
        stored = there.import_processes(file)
        assert (stored.processes, stored.failed, stored.digest) == (number, {}, written.digest)
        assert list(answers(there, number)) == list(answers(here, number))
    _go_on(target, number)


def _go_on(target: str, number: int) -> None:
    """What was executed is resumed at its second action, what waited begins with its first, and commands are taken."""
    charged, told = [], []
    runtime = WorkflowRuntime(target).with_actions(
        {"Charge": lambda ctx, _: charged.append(ctx.process_id), "Tell": lambda ctx, _: told.append(ctx.process_id)}
    )
    eighth = len(range(1, number, 8))
    with runtime:
        runtime.recover(wait=True)
        until(lambda: runtime.count_processes(ProcessFilter(status=ProcessStatus.RUNNING)) == 0, seconds=60)
        assert runtime.count_processes(ProcessFilter(status=ProcessStatus.FINALIZED)) == 3 * eighth
        assert (len(charged), len(told)) == (len(range(2, number, 8)), 2 * eighth)
        assert sum(report.decided for report in runtime.get_recoveries()) == eighth
        for idled in runtime.find_processes(ProcessFilter(status=ProcessStatus.IDLED), limit=10):
            assert runtime.execute_command(idled.id, "Approve").process.status is ProcessStatus.FINALIZED
        resumed = runtime.find_processes(ProcessFilter(parameters={"Paid": True}), limit=1)[0]
        assert (resumed.deaths, resumed.parameters["Größe"][0]) == (0, "☃")
