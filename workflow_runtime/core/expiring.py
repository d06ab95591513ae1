"""How long the actions of an activity may take, and what becomes of a process when they take longer.

Law: the deadline is one moment, and stands in the walk. It is committed with whatever is committed before the first of
the actions begins, so it costs nothing, and a crash, a wait or another server does not move it: all real time counts.
It is asked for before each action and while one runs. What has ended counts, however late it was; what still runs is given up.

==========================================  ==============================================================
what happens                                the deadline
==========================================  ==============================================================
the actions begin                           now + the execution timeout of the activity
the next action, a repeated attempt, a      stands
resume by recovery, a wait between two
repeated after it had passed                begins anew, and so it does when a person resumes the walk
handed back since too many run that were    begins anew with the next attempt
given up
arrival, any other walk                     goes with the walk
==========================================  ==============================================================

===========  ==========================================================================================
reaction     when it has passed
===========  ==========================================================================================
SetActivity  the walk is given up for one into the activity
SetState     the same, into the first that has the state (core/handling.py)
Retry        so often the walk goes on at the action that had not ended; then it is a failure of it
===========  ==========================================================================================

Giving up comes first: ``give_up`` raises the token, and what the action wants to store with the old one is refused.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from workflow_runtime.core import entries, handling
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.process import Change, ChangeKind, EntryKind, ErrorInfo, Process, Walk
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Timeout
from workflow_runtime.core.scheme_words import ReactionType
from workflow_runtime.core.timing import parse_interval


def limit_of(process: Process) -> Timeout | None:
    """The execution timeout of the activity that the walk in hand leads to; None: its actions may take as long as they like."""
    return _limit(process.walk, process.pinned) if process.walk else None


def _limit(walk: Walk, scheme: Scheme) -> Timeout | None:
    activity = scheme.activity(walk.activity)
    return activity.execution_timeout if activity and activity.implementation else None


def with_deadline(walk: Walk, scheme: Scheme, now: datetime) -> Walk:
    """The walk whose actions begin now, or go on: a deadline that it has stays."""
    limit = _limit(walk, scheme)
    return walk if limit is None or walk.deadline else evolve(walk, deadline=parse_interval(limit.timer).after(now))


def bounded(change: Change, now: datetime) -> Change:
    """The same change, with the deadline of the actions that begin behind its commit."""
    after = change.after
    assert after is not None
    assert after.walk is not None
    return replace(change, after=evolve(after, walk=with_deadline(after.walk, after.pinned, now)))


def give_up(process: Process, error: ErrorInfo, *, in_doubt: bool, now: datetime) -> Change:
    """An action still runs and is left behind: token + 1, so that nothing of it is stored any more. ``in_doubt``: it must not be done twice."""
    assert process.walk is not None
    walk = evolve(process.walk, in_doubt=in_doubt or process.walk.in_doubt)
    after = evolve(process, token=process.token + 1, walk=walk, last_error=error, updated_at=now)
    return Change(kind=ChangeKind.ABANDON, before=process, after=after)


def repeats(process: Process) -> bool:
    """Whether the reaction is one more time."""
    limit, walk = limit_of(process), process.walk
    return limit is not None and walk is not None and limit.type is ReactionType.RETRY and walk.timeouts < limit.retries


def once_more(process: Process, error: ErrorInfo, *, server: str | None, now: datetime) -> Change:
    """The walk goes on where it stands, with a deadline that is still to be set."""
    limit, walk = limit_of(process), process.walk
    assert limit is not None
    assert walk is not None
    walk = evolve(walk, deadline=None, timeouts=walk.timeouts + 1, tries=walk.tries + 1)
    after = evolve(process, walk=walk, last_error=error, updated_at=now)
    reason = f"the execution timeout repeats it, {walk.timeouts} of {limit.retries}"
    entry = entries.note(after, EntryKind.RETRY, server=server, now=now, error=error, actor=walk.actor, reason=reason, walk=walk)
    return Change(kind=ChangeKind.WAIT, before=process, after=evolve(after, last_seq=entry.seq), entries=(entry,))


def target_of(process: Process) -> str:
    """The activity that the reaction leads to; empty: none."""
    limit = limit_of(process)
    return handling.target_of(process.pinned, limit.type, limit.target) if limit else ""
