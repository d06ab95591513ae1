"""What was fired in batches left the same rows, and told listeners the same, as if each timer had been fired alone."""

from __future__ import annotations

import random
import re
import shutil
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from belfry import Ear, number, one_by_one, watched
from bench import NOW, WHO, engine_of

from workflow_runtime import WorkflowRuntime
from workflow_runtime.store import tables
from workflow_runtime.testing.clock import FakeClock

SCHEME = """
scheme: Belfry
parameters:
  Amount: {type: int, purpose: persistence}
  TimerValue_moved: {type: string, purpose: persistence}
commands: {out: {}}
timers:
  plain: {interval: 1h}
  later: {interval: 61m}
  round: {interval: 30m}
  hourly: {cron: "0 * * * *", missed: fire_all}
  dated: {at: "2030-01-01 01:00:00"}
  skipped: {interval: 1h, missed: skip, late_after: 10m}
  chosen: {interval: 1h}
  asked: {interval: 1h}
  chained: {interval: 1h}
  moved: {interval: 1h}
  once: {interval: 0}
  acting: {interval: 1h}
activities:
  Begin: {initial: true}
  Plain: {state: Waiting}
  Round: {}
  Hourly: {}
  Dated: {}
  Skipped: {}
  Chosen: {}
  Asked: {}
  Chained: {}
  Moved: {}
  Acting: {}
  Idle: {idle_timeout: {after: 50m, set_activity: Rest}}
  Link: {}
  AtOnce: {state: Never kept}
  Acted: {actions: [Note]}
  Rest: {state: Resting}
  End: {final: true}
transitions:
  - {from: Begin, to: End, on: {command: out}}
  - {from: Plain, to: Rest, on: {timer: plain}}
  - {from: Plain, to: End, on: {timer: later}}
  - {from: Round, to: Round, on: {timer: round}}
  - {from: Hourly, to: Hourly, on: {timer: hourly}}
  - {from: Dated, to: Rest, on: {timer: dated}, when: "Amount > 1"}
  - {from: Skipped, to: Rest, on: {timer: skipped}}
  - {from: Skipped, to: End, on: {command: out}}
  - {from: Chosen, to: Rest, on: {timer: chosen}, when: "Amount > 1"}
  - {from: Chosen, to: End, on: {command: out}}
  - {from: Asked, to: Rest, on: {timer: asked}, when: {action: Sound}}
  - {from: Chained, to: Link, on: {timer: chained}}
  - {from: Link, to: AtOnce, when: "Amount > 0"}
  - {from: Link, to: Rest, otherwise: true}
  - {from: AtOnce, to: Plain, on: {timer: once}}
  - {from: Moved, to: Rest, on: {timer: moved}}
  - {from: Acting, to: Acted, on: {timer: acting}}
  - {from: Acted, to: Rest}
  - {from: Idle, to: End, on: {command: out}}
  - {from: Rest, to: End, on: {command: out}}
"""
PLACES = ("Plain", "Round", "Hourly", "Dated", "Skipped", "Chosen", "Asked", "Chained", "Moved", "Acting", "Idle")
COMPARED = (tables.process, tables.timer, tables.journal, tables.history, tables.decision)
RANDOM = re.compile(r"\b[0-9a-f]{32}\b")  #: walks and servers
PROCESSES = 120


def sound(ctx: Any, parameter: str | None) -> bool:
    if ctx.process.parameters["Amount"] == 0:
        raise ValueError("broken on purpose")
    return bool(ctx.process.parameters["Amount"] > 1)


def populate(runtime: WorkflowRuntime, seed: int) -> None:
    """The same for the same seed, but for what is random anyway."""
    chance = random.Random(seed)
    for one in range(PROCESSES):
        given = {"Amount": chance.randrange(4), "TimerValue_moved": chance.choice(["20m", "90m"])}
        process = runtime.create_instance("Belfry", process_id=number(one), parameters=given)
        runtime.set_activity(process.id, chance.choice(PLACES), **WHO)


def left(runtime: WorkflowRuntime) -> dict[str, list[str]]:
    """All rows, without their numbers and what is random."""
    found = {}
    with engine_of(runtime).store.dialect.snapshot() as transaction:
        for table in COMPARED:
            columns = [c for c in table.c if c.name != "token" and not (c.name == "id" and table is not tables.process)]
            found[table.name] = sorted(RANDOM.sub("random", repr(tuple(row))) for row in transaction.rows_built(sa.select(*columns)))
    return found


def lived(url: str, seed: int, down: timedelta) -> tuple[dict[str, list[str]], list[Any]]:
    """Three servers one after the other, and between them nobody: what is due meanwhile is due at once."""
    clock, ear = FakeClock(NOW), Ear()
    for life in range(3):
        built = WorkflowRuntime(url, clock=clock).with_schemes(SCHEME).with_plugin(ear)
        built.with_actions({"Note": lambda ctx, parameter: None}).with_conditions({"Sound": sound})
        with built.with_settings(sqlite_synchronous="NORMAL") as runtime:
            if not life:
                populate(runtime, seed)
            found = left(runtime)
        clock.advance(down)
    return found, sorted(ear.heard)


@pytest.mark.parametrize("seed", range(3))
def test_the_tables_are_as_if_each_had_been_fired_alone(any_database: str, empty_database: Path, tmp_path: Path, seed: int) -> None:
    other, found, down = shutil.copy(empty_database, tmp_path / "alone.db"), [], timedelta(minutes=65 + 10 * seed)
    for url, way in ((any_database, nullcontext()), (f"sqlite:///{other}", one_by_one())):
        with way, watched() as sizes:
            found.append((lived(url, seed, down), bool(sizes)))
    (together, went_together), (alone, went_alone) = found
    assert (went_together, went_alone) == (True, False)
    for table, rows in together[0].items():
        assert rows == alone[0][table], table
    assert together[1] == alone[1]
