"""Exception handlers: which one acts, and where it leads."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from little_schemes import scheme

from workflow_runtime.core import handling
from workflow_runtime.core.scheme_elements import Activity, ExceptionHandler
from workflow_runtime.core.scheme_words import ReactionType

R = ReactionType


def handler(order: int, type: ReactionType, *exceptions: str, retries: int = 1, target: str = "") -> ExceptionHandler:
    return ExceptionHandler(order=order, type=type, exceptions=exceptions or ("*",), retries=retries, target=target)


#: out of the order in which they act
CHARGE = Activity(
    name="Charge",
    handlers=(
        handler(4, R.SET_STATE, target="Failed"),
        handler(1, R.RETRY, "OSError", retries=2),
        handler(2, R.IGNORE, "FileExistsError", "builtins.KeyError"),
        handler(3, R.SET_ACTIVITY, "LookupError", target="Escalated"),
    ),
)


@pytest.mark.parametrize(
    ("error", "retried", "order"),
    [
        (OSError, {}, 1),
        (FileExistsError, {1: 1}, 1),
        (FileExistsError, {1: 2}, 2),
        (FileExistsError, None, 2),
        (TimeoutError, {1: 2}, 4),
        (KeyError, {}, 2),
        (IndexError, {}, 3),
        (ValueError, {}, 4),
    ],
)
def test_the_first_in_order_acts_that_knows_it_and_is_not_used_up(error: type[Exception], retried: Mapping[int, int] | None, order: int) -> None:
    found = handling.handler_of(CHARGE, error, retried)
    assert found is not None
    assert found.order == order


def test_without_a_handler_that_knows_it_none_acts() -> None:
    only = Activity(name="A", handlers=(handler(1, R.IGNORE, "KeyError"), handler(2, R.RETRY, "ValueError", retries=0)))
    assert [handling.handler_of(activity, ValueError, {}) for activity in (only, Activity(name="B"), None)] == [None, None, None]


STATES = scheme(
    Activity(name="A", is_initial=True, state="Open", is_for_set_state=True),
    Activity(name="First", state="Failed"),
    Activity(name="Second", state="Failed", is_for_set_state=True),
    Activity(name="Third", state="Failed", is_for_set_state=True),
    Activity(name="Only", state="Hidden"),
)


@pytest.mark.parametrize(
    ("type", "target", "leads_to"),
    [
        (R.SET_ACTIVITY, "First", "First"),
        (R.SET_ACTIVITY, "Nowhere", ""),
        (R.SET_STATE, "Failed", "Second"),
        (R.SET_STATE, "Hidden", "Only"),
        (R.SET_STATE, "Nowhere", ""),
        (R.SET_STATE, "", ""),
        (R.RETRY, "First", ""),
        (R.IGNORE, "First", ""),
    ],
)
def test_where_a_reaction_leads(type: ReactionType, target: str, leads_to: str) -> None:
    assert handling.target_of(STATES, type, target) == leads_to
