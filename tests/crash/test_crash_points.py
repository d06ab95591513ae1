"""The crash points themselves: one before and one behind each kind of commit, read from the environment only here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.core.process import ChangeKind
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.testing.clock import FakeClock
from workflow_runtime.testing.crash import EFFECT, POINTS, CrashAction, CrashingRuntime, CrashPoint, CrashPoints

SCHEME = """\
scheme: Two
commands: {Go: {}}
activities:
  A: {initial: true}
  B: {actions: [Act], final: true}
transitions:
  - {from: A, to: B, on: {command: Go}}
"""


def test_every_kind_of_change_has_a_point_before_and_behind_it() -> None:
    assert set(POINTS) == {f"{kind}.{moment}" for kind in (*ChangeKind, EFFECT) for moment in ("before", "after")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("claim.after", CrashPoint(name="claim.after")),
        ("arrive.before:3", CrashPoint(name="arrive.before", nth=3)),
        ("effect.after:2:lose", CrashPoint(name="effect.after", nth=2, action=CrashAction.LOSE)),
    ],
)
def test_a_point_is_read_from_text(text: str, expected: CrashPoint) -> None:
    assert CrashPoint.read(text) == expected
    assert CrashPoint.read(str(expected)) == expected


@pytest.mark.parametrize("text", ["claim", "explode.after", "claim.after:x", "claim.after:1:dance"])
def test_what_is_no_point_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        CrashPoint.read(text)


def test_only_the_named_passing_crashes() -> None:
    points = CrashPoints.of({"WF_CRASH_POINT": "journal.before:2:lose"})
    points.hit("journal.before")
    points.hit("journal.after")
    with pytest.raises(StoreUnavailable, match=r"journal\.before:2:lose"):
        points.hit("journal.before")
    points.hit("journal.before")
    assert points.passed == {"journal.before": 3, "journal.after": 1}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_a_runtime_passes(tmp_path: Path, asynchronous: bool) -> None:
    async def later() -> int:
        return 1

    async def act_later(ctx: Any, parameter: str | None) -> None:
        assert await ctx.step("one", later) == await ctx.step("two", later, effect="at_most_once") == 1

    def act(ctx: Any, parameter: str | None) -> None:
        assert ctx.step("one", lambda: 1) == ctx.step("two", lambda: 1, effect="at_most_once") == 1

    points = CrashPoints()
    runtime = CrashingRuntime(f"sqlite:///{tmp_path}/db", clock=FakeClock()).with_crash_points(points).with_schemes(SCHEME)
    with runtime.with_actions({"Act": act_later if asynchronous else act}):
        runtime.execute_command(runtime.create_instance("Two").id, "Go")
    passed = {"create": 1, "claim": 1, "intent": 1, "step": 2, "arrive": 1, EFFECT: 3}
    assert points.passed == {f"{what}.{moment}": n for what, n in passed.items() for moment in ("before", "after")}


def test_the_variable_is_read_nowhere_else() -> None:
    package = Path(__file__).parents[2] / "workflow_runtime"
    readers = [path for path in package.rglob("*.py") if "WF_CRASH_POINT" in path.read_text()]
    assert readers == [package / "testing" / "crash.py"]
