"""A little process on a little scheme, for the tests of the rules; and what the store makes of timers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from factories import NOW, process, walk
from little_schemes import clock, scheme, way

from workflow_runtime.core.process import Change, ErrorInfo, Process, ProcessStatus, Timer, TimerKind, Walk
from workflow_runtime.core.scheme_elements import Activity, TimerSpec
from workflow_runtime.core.scheme_words import Classifier

HOUR = timedelta(hours=1)
ERROR = ErrorInfo(type="ValueError", message="broken", activity="B", action="Charge")

SCHEME = scheme(
    Activity(name="A", is_initial=True, state="Open"),
    Activity(name="B", state="Paid"),
    Activity(name="C"),  # without a state
    Activity(name="End", is_final=True, state="Done"),
    Activity(name="Dead end"),
    way("A", "B", "A-B", command="go", classifier=Classifier.DIRECT),
    way("B", "A", "B-A", command="back", classifier=Classifier.REVERSE),
    way("B", "C", "B-C"),
    way("A", "C", "A-C", timer="late"),
    way("C", "End", "C-End", timer="late"),
    way("C", "B", "C-B", timer="sticky"),
    way("A", "A", "A-A", timer="sticky"),
    clock("late", "1h"),
    clock("sticky", "2h", keep_if_set=True),
)


def standing(at: str = "A", **fields: Any) -> Process:
    """At rest."""
    return process(**{"activity": at, "scheme": SCHEME, "scheme_version": SCHEME.version, "scheme_code": SCHEME.code} | fields)


def executed(step: Walk | None = None, at: str = "A", **fields: Any) -> Process:
    """Running here, with a walk to B."""
    return standing(at, **{"status": ProcessStatus.RUNNING, "owner": "me", "walk": step or walk()} | fields)


def after(change: Change) -> Process:
    assert change.after is not None
    return change.after


def in_an_hour(spec: TimerSpec, value: str) -> datetime | None:
    """A DueOf for tests: every timer in an hour."""
    return NOW + HOUR


def row(name: str, due: datetime = NOW, **fields: Any) -> Timer:
    return Timer(name=name, due=due, **fields)


def rows_after(rows: Mapping[str, Timer], change: Change) -> dict[str, Timer]:
    """What the store makes of timer rows: dropped names, then all others if so, then the armed ones."""
    left = {name: timer for name, timer in rows.items() if name not in change.drop or timer.kind is not TimerKind.TIMER}
    if change.drop_others:
        armed = {timer.name for timer in change.arm}
        left = {name: timer for name, timer in left.items() if name in armed or timer.kind is not TimerKind.TIMER}
    if change.release:
        left = {name: timer for name, timer in left.items() if timer.kind is TimerKind.TIMER}
    for timer in change.arm:
        if not (timer.keep and timer.name in left):
            left[timer.name] = timer
    return left
