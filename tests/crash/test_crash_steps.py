"""Five actions with two steps each, killed at each commit and in each call in turn: the end is always that of the run that nobody disturbed.

Of each action one step is to be done at least once, the other at most once. In one program a check tells what became of the latter;
in the other nobody can tell, and a kill between intent and result ends by the status rule, with "outcome unknown".
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from crash_programs import FIVE, FIVE_ONCE, PROCESS, Die, Ending, Program, Programmed, check_effects, finish, places

from workflow_runtime.errors import OutcomeUnknown

#: how often the undisturbed run passes each point, before and after
PASSED = {"create": 1, "claim": 1, "intent": 5, "step": 10, "journal": 4, "arrive": 1, "effect": 15}
POINTS = [f"{what}.{moment}:{nth}" for what, count in PASSED.items() for moment in ("before", "after") for nth in range(1, count + 1)]
#: where the n-th at-most-once step is in flight: its intent is there and its result is not. Of an action the first effect that begins is its own
IN_FLIGHT = [
    point for n in range(5) for point in (f"intent.after:{n + 1}", f"effect.before:{3 * n + 3}", f"effect.after:{3 * n + 2}", f"step.before:{2 * n + 2}")
]
#: what the databases that several servers can share are tried with each time
SAMPLE = ["create.before:1", "claim.after:1", "intent.before:2", "intent.after:3", "effect.before:9", "effect.after:4", "step.before:5", "journal.after:2"]
SAMPLE += ["arrive.before:1", "arrive.after:1"]
BESIDE = [point for n in range(5) for point in (f"intent.before:{n + 1}", f"step.after:{2 * n + 2}")]


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder}/workflow.db"


def undisturbed(folder: Path, program: Program) -> Ending:
    with Programmed(folder, "alone", program, url_of(folder)) as server:
        server.drive()
        return Ending.of(server, folder)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Ending:
    return undisturbed(tmp_path_factory.mktemp("calm"), FIVE)


def test_the_points_are_all_that_an_undisturbed_run_passes(die: Die, folder: Path, calm: Ending) -> None:
    assert die(folder, FIVE, url_of(folder)) == 0
    assert json.loads((folder / "passed.json").read_text()) == {f"{what}.{moment}": count for what, count in PASSED.items() for moment in ("before", "after")}
    assert calm.stands == ("End", "Over", "Finalized")
    assert calm.effects == {*places(FIVE)}
    assert calm.parameters["Sum"] == sum(len(place) for place in places(FIVE) if " s" in place)


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_it_ends_like_the_undisturbed_run(die: Die, folder: Path, calm: Ending, point: str) -> None:
    check_resumed(die, folder, url_of(folder), point, calm)


def check_resumed(die: Die, folder: Path, url: str, point: str, calm: Ending) -> None:
    assert die(folder, FIVE, url, point=point) == -signal.SIGKILL
    after = finish(folder, FIVE, url)
    assert after.ending == calm
    check_effects(after, FIVE)


@pytest.mark.parametrize("point", BESIDE)
def test_killed_where_no_outcome_is_in_doubt(die: Die, folder: Path, calm: Ending, point: str) -> None:
    assert die(folder, FIVE_ONCE, url_of(folder), point=point) == -signal.SIGKILL
    after = finish(folder, FIVE_ONCE, url_of(folder))
    assert after.ending == calm
    check_effects(after, FIVE_ONCE)


@pytest.mark.parametrize("point", IN_FLIGHT)
def test_killed_where_nobody_can_tell_it_is_not_repeated(die: Die, folder: Path, point: str) -> None:
    check_unknown(die, folder, url_of(folder), point)


def check_unknown(die: Die, folder: Path, url: str, point: str) -> None:
    assert die(folder, FIVE_ONCE, url, point=point) == -signal.SIGKILL
    after = finish(folder, FIVE_ONCE, url)
    what, nth = point.partition(".")[0], int(point.partition(":")[2])
    place = f"A0 {({'intent': nth - 1, 'effect': (nth - 1) // 3, 'step': nth // 2 - 1})[what]} s1"
    assert after.ending.stands == ("Rest", "Resting", "Error")
    assert after.error is not None
    assert after.error.type.endswith(OutcomeUnknown.__name__)
    for word in (str(PROCESS), f"'{place}'", "'Act'", "'A0'", "outcome unknown"):
        assert word in after.error.message
    sent = [effect.place for effect in after.effects]
    assert sent.count(place) == (0 if point.startswith(("intent", "effect.before")) else 1)
    check_effects(after, FIVE_ONCE)


# ------------------------------------------------------------------ databases that several servers can share


@pytest.mark.parametrize("point", SAMPLE)
def test_so_it_is_on_other_databases(die: Die, tmp_path: Path, shared_database: str, calm: Ending, point: str) -> None:
    check_resumed(die, tmp_path, shared_database, point, calm)


@pytest.mark.parametrize("point", IN_FLIGHT[4:8])
def test_so_it_is_where_nobody_can_tell(die: Die, tmp_path: Path, shared_database: str, point: str) -> None:
    check_unknown(die, tmp_path, shared_database, point)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_on_other_databases_everywhere(die: Die, tmp_path: Path, shared_database: str, calm: Ending, point: str) -> None:
    check_resumed(die, tmp_path, shared_database, point, calm)


@pytest.mark.slow
@pytest.mark.parametrize("point", IN_FLIGHT)
def test_on_other_databases_everywhere_that_nobody_can_tell(die: Die, tmp_path: Path, shared_database: str, point: str) -> None:
    check_unknown(die, tmp_path, shared_database, point)
