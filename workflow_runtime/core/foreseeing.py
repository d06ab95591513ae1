"""What an operator's verb would do to a process: the words of its dry run.

Law: only words are made here. Whether a verb is refused is asked where the deed asks it too (engine/operator.py), so
that a dry run and the deed cannot differ.

===================  ================================================================================
verb                 the words name
===================  ================================================================================
set_activity, _state the activity, its actions, and the walk that is given up for it
resume               the action it goes on with, or what is tried where no walk is kept
cancel               at once, at the next step boundary, or with the next recovery
delete               what goes and what stays
===================  ================================================================================
"""

from __future__ import annotations

from workflow_runtime.core.arming import leads_on
from workflow_runtime.core.process import Process, ProcessStatus

DELETED = "is deleted with its timers and its journal; its history stays"
ANYWHERE = ", on any server that executes its scheme"  #: of what a client leaves to others


def entered(process: Process, activity: str, *, execute: bool, left: bool) -> str:
    """``left``: by a client, to any server."""
    given_up = f"; its walk to {process.walk.activity!r} is given up" if process.walk else ""
    target = process.pinned.activity(activity)
    if not execute:
        status = ProcessStatus.FINALIZED if target and target.is_final else ProcessStatus.IDLED
        return f"stands at {activity!r}, {status}; no action runs and no transition is taken{given_up}"
    names = ", ".join(repr(action.name) for action in target.implementation) if target else ""
    doing = f" with its actions {names}" if names else ", which has no actions"
    return f"enters {activity!r}{doing}{ANYWHERE if left else ''}{given_up}"


def resumed(process: Process, *, left: bool) -> str:
    """``left``: by a client, to any server."""
    walk = process.walk
    if walk is None:
        return _without_walk(process)
    activity = process.pinned.activity(walk.activity)
    actions = activity.implementation if activity else ()
    where = ANYWHERE if left else ""
    if walk.step >= len(actions):
        return f"arrives at {walk.activity!r}; no action is left to do{where}"
    return f"goes on to {walk.activity!r} with its action {actions[walk.step].name!r} ({walk.step + 1} of {len(actions)}), as attempt 1{where}"


def _without_walk(process: Process) -> str:
    activity = process.pinned.activity(process.activity)
    if activity is not None and activity.is_final:
        return f"becomes {ProcessStatus.FINALIZED}; it stands at the final activity {process.activity!r}"
    if leads_on(process):
        return f"tries the automatic transitions out of {process.activity!r}; where none can be taken it becomes {ProcessStatus.IDLED}"
    return f"becomes {ProcessStatus.IDLED}; no automatic transition leads out of {process.activity!r}"


def cancelled(process: Process, *, owner: str, owner_lives: bool) -> str:
    """``owner`` is how the server is called that executes it; empty: none does."""
    if not owner:
        doing = "while it waits" if process.is_waiting else f"from {process.status}"
        return f"is {ProcessStatus.TERMINATED} at once, {doing}; it stands at {process.activity!r}"
    if not owner_lives:
        return f"is {ProcessStatus.TERMINATED} by the next recovery, which asks nobody: its server {owner} is gone"
    under_way = f" on the way to {process.walk.activity!r}" if process.walk else ""
    return f"is {ProcessStatus.TERMINATED} at its next step boundary; server {owner} executes it{under_way}"
