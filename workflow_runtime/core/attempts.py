"""How often the actions of a walk have raised, as the walk carries it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Attempts(NamedTuple):
    """Of one action: its index in the activity, how many of its attempts failed, and when the first did."""

    action: int
    failed: int
    since: datetime


def failures(attempts: tuple[Attempts, ...], action: int) -> int:
    """How often the action at this index has raised."""
    return next((each.failed for each in attempts if each.action == action), 0)


def counted(attempts: tuple[Attempts, ...], action: int, now: datetime) -> tuple[tuple[Attempts, ...], Attempts]:
    """The attempts of a walk with one more failure of this action, and those of the action."""
    earlier = next((each for each in attempts if each.action == action), Attempts(action, 0, now))
    failed = earlier._replace(failed=earlier.failed + 1)
    return (*(each for each in attempts if each.action != action), failed), failed
