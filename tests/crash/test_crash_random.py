"""Random programs, killed at random points, also those who recover them: the end is that of the same program that nobody disturbed.

A program has activities, actions that fail a few times, with short waits and long ones between their attempts, and steps done at
least once or (with a check) at most once. A point is drawn from those that the undisturbed program passes, or that a recovery does.
"""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from crash_programs import CHECKED, PLAIN, WAIT, Act, Die, Ending, Program, Programmed, check_effects, finish
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RECOVERING = [f"{kind}.{moment}:1" for kind in ("adopt", "verdict") for moment in ("before", "after")]
STEPS = st.lists(st.sampled_from([PLAIN, CHECKED]), max_size=3).map(tuple)
ACTS = st.builds(Act, STEPS, st.integers(0, 2), st.integers(0, 3), st.sampled_from([0, WAIT]))
PROGRAMS = st.lists(st.lists(ACTS, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple)


class Folders:
    """One for each run of a program, with an empty database in it."""

    def __init__(self, factory: pytest.TempPathFactory, migrated: Path) -> None:
        self._factory, self._migrated = factory, migrated

    def __call__(self) -> Path:
        folder = self._factory.mktemp("random")
        shutil.copy(self._migrated, folder / "workflow.db")
        return folder


@pytest.fixture
def folders(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Folders:
    return Folders(tmp_path_factory, migrated)


def undisturbed(die: Die, folder: Path, program: Program) -> tuple[Ending, list[str]]:
    """Its end, and the points it passes."""
    assert die(folder, program, url_of(folder)) == 0
    passed: dict[str, int] = json.loads((folder / "passed.json").read_text())
    with Programmed(folder, "reader", program, url_of(folder)) as server:
        return Ending.of(server, folder), [f"{name}:{nth}" for name, count in sorted(passed.items()) for nth in range(1, count + 1)]


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder}/workflow.db"


def check_program(die: Die, folders: Folders, program: Program, data: st.DataObject) -> None:
    calm, points = undisturbed(die, folders(), program)
    assert calm.stands == ("End", "Over", "Finalized")
    folder = folders()
    ends = [die(folder, program, url_of(folder), point=data.draw(st.sampled_from(points)))]
    for again in range(data.draw(st.integers(0, 2))):
        ends.append(die(folder, program, url_of(folder), point=data.draw(st.sampled_from([*points, *RECOVERING])), phase=f"again {again}"))
    assert ends[0] == -signal.SIGKILL
    assert set(ends) <= {-signal.SIGKILL, 0}
    after = finish(folder, program, url_of(folder))
    assert after.ending == calm
    check_effects(after, program, crashes=ends.count(-signal.SIGKILL))


@pytest.mark.parametrize("examples", [20, pytest.param(400, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_random_programs_end_as_if_nobody_had_died(die: Die, folders: Folders, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(program=PROGRAMS, data=st.data())
    def ends_equal(program: Program, data: st.DataObject) -> None:
        check_program(die, folders, program, data)

    ends_equal()
