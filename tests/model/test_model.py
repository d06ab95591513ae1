"""The protocol as a model, checked by spin: the honest one holds, and each broken one is found out.

The models are the ``.pml`` files beside this one; docs/reference/protocol-model.md tells what they leave out. A broken
variant is the same model with one macro, and names the assertion that must trip: another one would show another fault.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "reference" / "protocol-model.md"
DEEPEST = 1_000_000  #: steps; a longer run would be cut off, which is an error here
MOST_MEMORY = 3_000  #: megabytes
LIMIT = 200  #: seconds for one search

needs_spin = pytest.mark.skipif(not (shutil.which("spin") and shutil.which("gcc")), reason="spin and gcc are needed to check the models")


class Bounds(NamedTuple):
    """How much may go wrong in one history, as macros."""

    crashes: int = 0
    stalls: int = 0
    slips: int = 0
    waits: int = 0
    servers: int = 2

    @property
    def macros(self) -> tuple[str, ...]:
        return tuple(f"{name.upper()}={value}" for name, value in self._asdict().items())


class Found(NamedTuple):
    """What one search came to."""

    errors: int
    states: int
    depth: int
    violated: str  #: the assertion, without spaces
    output: str


def check(folder: Path, model: str, *macros: str, quick: bool = False) -> Found:
    """Builds the checker of a model with these macros and searches all its states, or until the first violation.

    ``quick``: there is little to search, so the time goes into building.
    """
    flags = [f"-D{macro}" for macro in macros]
    run(folder, 60, "spin", "-a", *flags, str(HERE / f"{model}.pml"))
    run(folder, 120, "gcc", "-O0" if quick else "-O1", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MOST_MEMORY}", "-w", "-o", "pan", "pan.c")
    found = read(run(folder, LIMIT, "./pan", f"-m{DEEPEST}", "-b"))
    print(f"{model} {' '.join(macros)}: {found.states} states, depth {found.depth}, errors {found.errors} {found.violated}")
    return found


def run(folder: Path, seconds: float, *command: str) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=True).stdout


def read(output: str) -> Found:
    counts = re.search(r"depth reached (\d+), errors: (\d+)\s+(\d+) states, stored", output)
    assert counts, output
    depth, errors, states = map(int, counts.groups())
    violated = re.search(r"pan:1: (?:assertion violated (.*)|(.*)) \(at depth", output)
    what = (violated[1] or violated[2]) if violated else ""
    return Found(errors, states, depth, what.replace(" ", ""), output)


# ------------------------------------------------------------------ the honest models

SLOW = pytest.mark.slow
TRUNCATED = ("max search depth too small", "memory limit", "out of memory", "resource")


@needs_spin
@pytest.mark.parametrize(
    ("bounds", "at_least"),
    [
        pytest.param(Bounds(crashes=1, stalls=1), 500_000, id="a crash and a stall"),
        pytest.param(Bounds(stalls=1, slips=1, waits=1), 2_000_000, id="a stall, an escaped error and a wait"),
        pytest.param(Bounds(crashes=1, slips=1, waits=1), 2_000_000, id="a crash, an escaped error and a wait", marks=SLOW),
        pytest.param(Bounds(crashes=1, servers=3), 300_000, id="three servers, a crash"),
        pytest.param(Bounds(crashes=1, stalls=1, waits=1), 5_000_000, id="a crash, a stall and a wait", marks=SLOW),
        pytest.param(Bounds(crashes=1, stalls=1, slips=1), 10_000_000, id="a crash, a stall and an escaped error", marks=SLOW),
        pytest.param(Bounds(stalls=1, waits=1, servers=3), 5_000_000, id="three servers, a stall and a wait", marks=SLOW),
        pytest.param(Bounds(crashes=2, waits=1), 3_000_000, id="two crashes and a wait", marks=SLOW),
    ],
)
def test_nothing_is_lost_repeated_or_written_by_those_who_were_taken_over(tmp_path: Path, bounds: Bounds, at_least: int) -> None:
    holds(check(tmp_path, "ownership", *bounds.macros), at_least)


@needs_spin
@pytest.mark.parametrize(
    ("losses", "crashes", "stalls", "at_least"),
    [(1, 1, 1, 1_500_000), (2, 1, 0, 300_000), (2, 0, 1, 200_000)],
)
def test_a_timer_fires_once_whatever_answers_get_lost(tmp_path: Path, losses: int, crashes: int, stalls: int, at_least: int) -> None:
    holds(check(tmp_path, "commits", f"LOSSES={losses}", f"CRASHES={crashes}", f"STALLS={stalls}"), at_least)


@needs_spin
def test_who_beats_in_time_is_never_declared_dead_and_who_does_not_is(tmp_path: Path) -> None:
    holds(check(tmp_path, "presence"), 1_500_000)


@needs_spin
def test_the_token_is_a_second_lock_on_the_same_door(tmp_path: Path) -> None:
    """While a row lives its revision alone keeps strangers out; so the token is tested where the guard is, not by its outcome."""
    holds(check(tmp_path, "ownership", "NO_TOKEN", *Bounds(crashes=1, stalls=1).macros), 500_000)


def holds(found: Found, at_least: int) -> None:
    """The whole search, over as many states as there were: a model that can do nothing holds too."""
    assert found.errors == 0, found.output
    assert not any(word in found.output for word in TRUNCATED), found.output
    assert found.states >= at_least


# ------------------------------------------------------------------ the broken ones

FAULTS, SLIPPING, WAITING = Bounds(crashes=1, stalls=1), Bounds(slips=1), Bounds(waits=1)
ONLY_FROM_THE_DEAD = "((((owner!=0)&&dead[owner])||abandoned)||((owner==0)&&!(retry)))"

#: macro -> model, bounds, the assertion that trips
BROKEN = {
    "NO_FENCE": ("ownership", FAULTS, "(journal[at]==1)"),
    "NO_REVISION": ("ownership", FAULTS, "(my_step==step)"),
    "NO_DEDUPLICATION": ("ownership", FAULTS, "(effects[at]==1)"),
    "NO_ALIVE_CHECK": ("ownership", FAULTS, "!(dead[who])"),
    "NO_DEATH_CHECK": ("ownership", FAULTS, ONLY_FROM_THE_DEAD),
    "ADOPTS_BLINDLY": ("ownership", FAULTS, "(my_step==step)"),
    "DEATHS_AT_ADOPTION": ("ownership", FAULTS, "(my_deaths<=(real+died))"),
    "NO_SELF_ORPHANS": ("ownership", SLIPPING, "!(lost)"),
    "LATE_REGISTRATION": ("ownership", Bounds(), ONLY_FROM_THE_DEAD),
    "WAIT_IS_ORPHAN": ("ownership", WAITING, ONLY_FROM_THE_DEAD),
    "CANCEL_RAISES_REVISION": ("ownership", Bounds(), "(token!=my_token)"),
    "FLAG_NOT_HEEDED": ("ownership", Bounds(), "!(forgotten)"),
    "BLIND_RETRY": ("commits", None, "(token!=my_token)"),
    "LOOK_WITHOUT_LOCK": ("commits", None, "(token!=my_token)"),
    "TIMER_REMOVED_FIRST": ("commits", None, "(fired==1)"),
    "TIMER_REMOVED_LATER": ("commits", None, "(fired==1)"),
    "RESTART_IS_DEATH": ("presence", None, "(silence[other]>0)"),
    "NO_OWN_BEATS": ("presence", None, "(silence[other]>0)"),
    "NOT_SEEN_HELD": ("presence", None, "(silence[other]>0)"),
    "ROW_ALONE": ("presence", None, "(silence[other]>0)"),
    "LEASE=3": ("presence", None, "(silence[other]>0)"),
    "NO_BEAT_CHECK": ("presence", None, "(beat[other]==seen)"),
    "REVIVES": ("presence", None, "(!(buried[0])||dead[0])"),
}


@needs_spin
@pytest.mark.parametrize("macro", BROKEN)
def test_a_broken_protocol_is_found_out(tmp_path: Path, macro: str) -> None:
    model, bounds, assertion = BROKEN[macro]
    found = check(tmp_path, model, macro, *(bounds.macros if bounds else ()), quick=True)
    assert found.errors == 1, found.output
    assert found.violated == assertion
    assert list(tmp_path.glob("*.trail")), "the counterexample, step by step"


# ------------------------------------------------------------------ what needs no spin

BOUND = {"SERVERS", "CRASHES", "STALLS", "SLIPS", "WAITS", "LOSSES", "LEASE"}
HOLDS_ALL_THE_SAME = {"NO_TOKEN"}


def test_every_variant_is_tried() -> None:
    text = "\n".join(path.read_text() for path in HERE.glob("*.pml"))
    macros = {*re.findall(r"#if(?:n)?def (\w+)", text), *re.findall(r"defined\((\w+)\)", text)}
    assert macros - BOUND == {macro for macro in BROKEN if "=" not in macro} | HOLDS_ALL_THE_SAME


def test_the_page_tells_of_every_variant() -> None:
    told = re.findall(r"^\| `([A-Z_=0-9]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(told) == sorted([*BROKEN, *HOLDS_ALL_THE_SAME])
