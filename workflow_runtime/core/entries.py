"""What history tells: the rows of arrivals, failures and everything else that happens to a process.

Law: a row is made from the process as it stands after it, and carries the next ``seq``; whoever takes the row
into a change sets ``last_seq`` to it. Only MOVED rows change the activity. Each row of a run that a request with an
idempotency key began, the one that ends it included, names that key; of those only one MOVED row has the request for
its trigger, so that the database shows that a key had one effect.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from workflow_runtime.core.keys import Key
from workflow_runtime.core.process import EntryKind, ErrorInfo, HistoryEntry, Process, ProcessStatus, Trigger, TriggerKind, Walk
from workflow_runtime.core.scheme_elements import Activity, Transition
from workflow_runtime.core.scheme_words import Classifier


def note(
    process: Process,
    kind: EntryKind,
    *,
    now: datetime,
    server: str | None = None,
    trigger: Trigger | None = None,
    actor: str | None = None,
    reason: str | None = None,
    error: ErrorInfo | None = None,
    walk: Walk | None = None,
) -> HistoryEntry:
    """A history row about a process that did not move; ``process`` is as it stands after it, ``walk`` by default its own."""
    walk = walk or process.walk
    return HistoryEntry(
        process_id=process.id,
        seq=process.last_seq + 1,
        kind=kind,
        at=now,
        from_activity=process.activity,
        to_activity=process.activity,
        from_state=process.state,
        to_state=process.state,
        status=process.status,
        trigger=trigger or (walk.trigger if walk else Trigger(TriggerKind.OPERATOR)),
        transition=walk.transition if walk and trigger is None else "",
        identity=walk.identity if walk else None,
        impersonated_identity=walk.impersonated_identity if walk else None,
        actor=actor,
        reason=reason,
        walk_id=walk.id if walk else "",
        server=server,
        error=error,
        idempotency_key=_key_of(walk),
    )


def failed(after: Process, error: ErrorInfo, walk: Walk | None, server: str | None, now: datetime) -> HistoryEntry:
    """Who set the failed walk going stands in the row: an operator with the reason too."""
    walk = walk or after.walk
    actor, reason = (walk.actor, walk.reason) if walk else (None, None)
    return note(after, EntryKind.FAILED, server=server, now=now, error=error, walk=walk, actor=actor, reason=reason)


def moved(before: Process, after: Process, walk: Walk, transition: Transition | None, activity: Activity, server: str | None, now: datetime) -> HistoryEntry:
    """The row of an arrival."""
    return HistoryEntry(
        process_id=before.id,
        seq=after.last_seq,
        kind=EntryKind.MOVED,
        at=now,
        from_activity=before.activity,
        to_activity=after.activity,
        from_state=before.state,
        to_state=after.state,
        status=ProcessStatus.FINALIZED if activity.is_final else ProcessStatus.RUNNING,
        trigger=walk.trigger,
        transition=walk.transition,
        classifier=transition.classifier if transition else Classifier.NOT_SPECIFIED,
        identity=walk.identity,
        impersonated_identity=walk.impersonated_identity,
        actor=walk.actor,
        reason=walk.reason,
        walk_id=walk.id,
        server=server,
        started_at=walk.started_at,
        is_final=activity.is_final,
        idempotency_key=_key_of(walk),
    )


def _key_of(walk: Walk | None) -> str | None:
    return walk.key.name if walk and walk.key else None


def unreadable(process_id: UUID, seq: int, activity: str, state: str, error: ErrorInfo, *, key: Key | None, server: str | None, now: datetime) -> HistoryEntry:
    """The row of a process that went to Error because it cannot be read: there is none to make it from, only what is known of where it stood."""
    return HistoryEntry(
        process_id=process_id,
        seq=seq,
        kind=EntryKind.RECOVERED,
        at=now,
        from_activity=activity,
        to_activity=activity,
        from_state=state,
        to_state=state,
        status=ProcessStatus.ERROR,
        trigger=Trigger(TriggerKind.RECOVERY, "default"),
        reason="what is stored of it cannot be read",
        server=server,
        error=error,
        idempotency_key=key.name if key else None,
    )
