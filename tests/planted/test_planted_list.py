"""The list of planted bugs is true of the code: ``python tests/planted/run.py`` can plant them all, and runs tests that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from planted_bugs import BUGS, PlantedBug

ROOT = Path(__file__).parent.parent.parent
NAMES = [bug.name for bug in BUGS]

#: what the protocol must never lose; each has a test that catches its loss
REQUIRED = {
    "no token in the guard",
    "now() for clock_timestamp()",
    "deaths counted at adoption",
    "timer removed before the command",
    "retry on unknown commit",
    "no self-orphan sweep",
    "a database restart taken for deaths",
    "cancel raising the revision",
    "a waiting retry taken for an orphan",
    "abandon without raising the token",
}


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("bug", BUGS, ids=NAMES)
def test_a_bug_can_be_planted(bug: PlantedBug) -> None:
    honest = (ROOT / bug.file).read_text()
    assert honest.count(bug.old) == 1
    broken = honest.replace(bug.old, bug.new)
    assert broken != honest
    ast.parse(broken)  # it must fail by what it does


@pytest.mark.parametrize("bug", BUGS, ids=NAMES)
def test_the_tests_that_catch_it_exist(bug: PlantedBug) -> None:
    assert bug.caught_by
    for test in bug.caught_by:
        path, _, name = test.partition("::")
        assert name.partition("[")[0] in functions(ROOT / path)


def test_each_is_there_once_and_none_of_the_required_is_missing() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert set(NAMES) >= REQUIRED
