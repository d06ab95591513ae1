"""How a raising action is repeated: whether, when, and for what reason no more.

Law: the nearest policy counts, and only that one: of the action in the scheme, of its activity, of the process, of the
registration. It counts attempts that have raised. What a dead server had begun is no such attempt: deaths have a limit
of their own (``max_recovery_attempts``). A resume by a person begins with attempt 1 again.

=============  ==========================================================================================
field          gives up, or waits
=============  ==========================================================================================
final          gives up at once: a class of these names, plain or qualified, is or is above the exception
attempts       gives up after so many, the first included
total          gives up where the next attempt would begin later than that after the first failure
delay, factor  waits delay, then factor times as long as the time before
max_delay      waits no longer
jitter         takes up to this part of the wait away, so that many that failed together do not come together
=============  ==========================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from workflow_runtime.core.attempts import Attempts
from workflow_runtime.core.process import Process
from workflow_runtime.core.scheme_elements import ActionRef, RetryPolicy

#: A wait of a second or more is written, and holds no thread; a shorter one is spent where the action ran.
WRITTEN_FROM = 1.0

LONGEST = 100 * 365 * 86_400.0  #: seconds; ``now`` and a wait must stay within the calendar


class Wait(NamedTuple):
    """There is another attempt, so many seconds from now."""

    seconds: float

    @property
    def is_written(self) -> bool:
        return self.seconds >= WRITTEN_FROM


class GiveUp(NamedTuple):
    """There is none, and why."""

    reason: str


def policy_of(process: Process, action: ActionRef, registered: RetryPolicy | None) -> RetryPolicy | None:
    """The nearest policy for an action of the walk in hand; None: it is not repeated."""
    activity = process.pinned.activity(process.walk.activity) if process.walk else None
    near = (action.retry, activity.retry if activity else None, process.pinned.retry, registered)
    return next((policy for policy in near if policy is not None), None)


def after_failure(policy: RetryPolicy, of: Attempts, error: type[BaseException], *, now: datetime, chance: float) -> Wait | GiveUp:
    """What follows the last failure counted in ``of``. ``chance`` is a random number from 0 up to 1."""
    if name := final_name(policy.final, error):
        return GiveUp(f"{name} is final")
    if of.failed >= policy.attempts:
        return GiveUp(f"attempt {of.failed} was the last of {policy.attempts}")
    seconds = wait_after(policy, of.failed, chance)
    if policy.total is not None and (now - of.since).total_seconds() + seconds > policy.total:
        return GiveUp(f"the next attempt would begin more than {policy.total:g} s after the first failure")
    return Wait(seconds)


def wait_after(policy: RetryPolicy, failures: int, chance: float) -> float:
    """Seconds before the next attempt, once so many have failed."""
    try:
        longer = policy.delay * policy.factor ** (failures - 1)
    except OverflowError:
        longer = math.inf if policy.delay else 0.0
    return min(longer, policy.max_delay, LONGEST) * (1 - min(policy.jitter, 1.0) * chance)


def final_name(final: Sequence[str], error: type[BaseException]) -> str:
    """The first of the names that this class or one above it has; empty: none."""
    known = names_of(error)
    return next((name for name in final if name in known), "")


def names_of(error: type[BaseException]) -> frozenset[str]:
    """``TimeoutError``, ``builtins.TimeoutError``, ``OSError`` ...: how this class and those above it may be called in a scheme."""
    above = [kind for kind in error.__mro__ if issubclass(kind, BaseException)]
    return frozenset(name for kind in above for name in (kind.__name__, kind.__qualname__, f"{kind.__module__}.{kind.__qualname__}"))


def due(now: datetime, wait: Wait) -> datetime:
    return now + timedelta(seconds=wait.seconds)


def fault(policy: RetryPolicy) -> str:
    """What is wrong with the numbers of a policy that was made in code; empty: nothing."""
    if not isinstance(policy.attempts, int) or policy.attempts < 1:
        return f"attempts is {policy.attempts!r}; expected a whole number from 1"
    for name in ("delay", "factor", "max_delay", "jitter", "total"):
        value = getattr(policy, name)
        if (name != "total" or value is not None) and not (isinstance(value, int | float) and 0 <= value < math.inf):
            return f"{name} is {value!r}; expected a number that is not negative"
    if isinstance(policy.final, str):
        return f"final is the text {policy.final!r}; expected a tuple of names"
    return ""
