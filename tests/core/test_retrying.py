"""Retry policies: which one counts, how long is waited, when is given up and why."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from factories import NOW, process, walk
from hypothesis import given
from hypothesis import strategies as st
from little_schemes import scheme

from workflow_runtime.core import retrying
from workflow_runtime.core.attempts import Attempts
from workflow_runtime.core.retrying import GiveUp, Wait
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import ActionRef, Activity, RetryPolicy


def plain(**fields: Any) -> RetryPolicy:
    return RetryPolicy(**{"jitter": 0.0} | fields)


def following(policy: RetryPolicy, failed: int = 1, error: type[BaseException] = ValueError, later: float = 0.0, chance: float = 0.5) -> Wait | GiveUp:
    now = NOW + timedelta(seconds=later)
    return retrying.after_failure(policy, Attempts(0, failed, NOW), error, now=now, chance=chance)


def test_waits_grow_to_the_longest() -> None:
    assert [following(plain(attempts=9, max_delay=10), n) for n in range(1, 7)] == [Wait(1), Wait(2), Wait(4), Wait(8), Wait(10), Wait(10)]


def test_attempts_count_the_first() -> None:
    assert isinstance(following(plain(attempts=3), 2), Wait)
    assert following(plain(attempts=3), 3) == GiveUp("attempt 3 was the last of 3")
    assert isinstance(following(plain(attempts=1)), GiveUp)


def test_a_wait_is_not_begun_that_ends_behind_the_total() -> None:
    policy = plain(total=10, attempts=99)
    assert following(policy, 2, later=8) == Wait(2)
    assert following(policy, 2, later=8.001) == GiveUp("the next attempt would begin more than 10 s after the first failure")
    assert isinstance(following(plain(total=0)), GiveUp)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 8.0), (0.5, 6.0), (0.999, 4.004)])
def test_jitter_takes_up_to_its_part_away(chance: float, seconds: float) -> None:
    assert following(plain(jitter=0.5), 4, chance=chance) == Wait(pytest.approx(seconds))


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ValueError", ValueError),
        ("ValueError", UnicodeDecodeError),
        ("builtins.ValueError", ValueError),
        ("OSError", ConnectionResetError),
        ("asyncio.exceptions.InvalidStateError", asyncio.InvalidStateError),
        ("InvalidStateError", asyncio.InvalidStateError),
        ("Exception", ValueError),
    ],
)
def test_a_final_exception_is_found_by_its_name_and_by_those_above_it(name: str, error: type[BaseException]) -> None:
    assert following(plain(final=("Nothing", name)), error=error) == GiveUp(f"{name} is final")


@pytest.mark.parametrize("name", ["valueerror", "KeyError", "object", "other.ValueError", "Error", "", "*"])
def test_another_name_is_not_final(name: str) -> None:
    assert isinstance(following(plain(final=(name,))), Wait)


@pytest.mark.parametrize(("seconds", "written"), [(0.0, False), (0.999, False), (1.0, True), (60.0, True)])
def test_a_wait_of_a_second_is_written(seconds: float, written: bool) -> None:
    assert Wait(seconds).is_written is written


def test_the_default_policy() -> None:
    assert RetryPolicy() == RetryPolicy(attempts=5, delay=1.0, factor=2.0, max_delay=60.0, jitter=0.1, total=None, final=())


numbers = st.floats(0, 1e300)


@given(policy=st.builds(RetryPolicy, attempts=st.integers(1), delay=numbers, factor=numbers, max_delay=numbers, jitter=numbers), failed=st.integers(1, 10**9))
def test_whatever_the_numbers_the_wait_is_within_the_calendar(policy: RetryPolicy, failed: int) -> None:
    seconds = retrying.wait_after(policy, failed, 0.75)
    assert 0 <= seconds <= policy.max_delay
    assert retrying.due(NOW, Wait(seconds)) >= NOW


# ------------------------------------------------------------------ which policy

OUTER, MIDDLE, INNER, CODE = (RetryPolicy(attempts=number) for number in (2, 3, 4, 5))


def declared(activity: RetryPolicy | None, whole: RetryPolicy | None) -> Scheme:
    return scheme(Activity(name="B", retry=activity), retry=whole)


@pytest.mark.parametrize(
    ("action", "activity", "whole", "code", "counts"),
    [
        (INNER, MIDDLE, OUTER, CODE, INNER),
        (None, MIDDLE, OUTER, CODE, MIDDLE),
        (None, None, OUTER, CODE, OUTER),
        (None, None, None, CODE, CODE),
        (None, None, None, None, None),
    ],
)
def test_the_nearest_policy_counts(action: Any, activity: Any, whole: Any, code: Any, counts: RetryPolicy | None) -> None:
    running = process(scheme=declared(activity, whole), walk=walk(activity="B"))
    assert retrying.policy_of(running, ActionRef(name="Charge", retry=action), code) is counts


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, ""),
        ({"total": 5.0}, ""),
        ({"attempts": 0}, "attempts is 0; expected a whole number from 1"),
        ({"attempts": 1.5}, "attempts is 1.5; expected a whole number from 1"),
        ({"delay": -1}, "delay is -1; expected a number that is not negative"),
        ({"factor": float("nan")}, "factor is nan; expected a number that is not negative"),
        ({"max_delay": None}, "max_delay is None; expected a number that is not negative"),
        ({"total": float("inf")}, "total is inf; expected a number that is not negative"),
        ({"final": "ValueError"}, "final is the text 'ValueError'; expected a tuple of names"),
    ],
)
def test_the_numbers_of_a_policy_made_in_code_are_looked_at(fields: dict[str, Any], fault: str) -> None:
    assert retrying.fault(RetryPolicy(**fields)) == fault
