"""When the run of a request has ended, and what becomes the answer to it.

=============================================  =============================================================
the run ended                                  answer
=============================================  =============================================================
at rest, or cancelled by a person              executed, with where the process stands
with an error                                  that error
by a verdict of recovery                       ExecutionError with the decision and its reason
since an operator gave it up for another       ExecutionError that names who, and why
since the process was deleted                  deleted: its duplicates get ProcessNotFound
=============================================  =============================================================
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.keys import Answer, Key
from workflow_runtime.core.process import Change, EntryKind, Process, TriggerKind

RESUME = "resume"  #: the operator's verb that lets a run go on


def settles(change: Change) -> Key | None:
    """The key that was in hand before and is not in hand afterwards: the run that it began has ended."""
    walk, left = change.before.walk if change.before else None, change.after.walk if change.after else None
    held = change.opens or (walk.key if walk else None)
    return None if held is None or (left is not None and left.key == held) else held


def answer_of(change: Change) -> Answer:
    """Of a change that settles a key."""
    if change.after is None:
        assert change.before is not None
        why = change.entries[-1].reason if change.entries else None
        return replace(_standing(change.before), deleted=True, reason=why or "")
    process = change.result
    if change.failure is not None:
        failure = change.failure
        return replace(_standing(process), error=failure.error, message=failure.message, nouns=failure.nouns)
    for entry in reversed(change.entries):
        if entry.kind is EntryKind.RECOVERED:
            return _broken_off(process, f"its server is gone and recovery decided {entry.trigger.name or 'default'}: {entry.reason or 'no reason given'}")
        if entry.kind in (EntryKind.OPERATED, EntryKind.MOVED) and entry.trigger.kind is TriggerKind.OPERATOR and entry.trigger.name != RESUME:
            return _broken_off(process, f"{entry.actor} gave it up for {entry.trigger.name}: {entry.reason}")
    return _standing(process)


def unreadable(process_id: UUID | None, cause: str) -> Answer:
    """Of a process that recovery could not read."""
    nouns = {"process_id": process_id} if process_id else {}
    return Answer(process_id=process_id, executed=True, error="ExecutionError", message=cause, nouns=FrozenDict(nouns))


def ended_at(change: Change) -> datetime:
    if change.after is not None:
        return change.after.updated_at
    assert change.before is not None
    return change.entries[-1].at if change.entries else change.before.updated_at


def _standing(process: Process) -> Answer:
    return Answer(process_id=process.id, executed=True, status=process.status.value, activity=process.activity, revision=process.revision)


def _broken_off(process: Process, why: str) -> Answer:
    message = f"process {process.id} ({process.scheme_code}): what this request began was broken off: {why}"
    nouns = FrozenDict({"process_id": process.id, "scheme_code": process.scheme_code})
    return replace(_standing(process), error="ExecutionError", message=message, nouns=nouns)
