"""Values for tests: sound in every field, so that a test names only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import (
    Change,
    ChangeKind,
    Decision,
    EntryKind,
    HistoryEntry,
    JournalEntry,
    Process,
    ProcessStatus,
    Timer,
    TimerKind,
    Trigger,
    TriggerKind,
    Walk,
)
from workflow_runtime.core.restoring import RecoveryReport, Server

NOW = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
GO = Trigger(TriggerKind.COMMAND, "go")
_numbers = count(1)


def process(**fields: Any) -> Process:
    """Idled at activity A, never executed."""
    process_id = fields.pop("id", None) or uuid4()
    usual: dict[str, Any] = {
        "id": process_id,
        "root_id": process_id,
        "scheme_code": "order",
        "scheme_version": "0" * 64,
        "activity": "A",
        "state": "Open",
        "status": ProcessStatus.IDLED,
        "created_at": NOW,
        "updated_at": NOW,
        "status_since": NOW,
        "activity_since": NOW,
        "token": 1000 + next(_numbers),
    }
    return Process(**usual | fields)


def walk(**fields: Any) -> Walk:
    """On the way to B by the command go."""
    usual: dict[str, Any] = {"id": f"{next(_numbers):032x}", "activity": "B", "transition": "A-B", "trigger": GO, "run": GO, "started_at": NOW}
    return Walk(**usual | fields)


def entry(subject: Process, **fields: Any) -> HistoryEntry:
    """The next history row of the process: moved to B."""
    usual: dict[str, Any] = {
        "process_id": subject.id,
        "seq": subject.last_seq + 1,
        "kind": EntryKind.MOVED,
        "at": NOW,
        "from_activity": subject.activity,
        "to_activity": "B",
        "status": subject.status,
        "trigger": GO,
    }
    return HistoryEntry(**usual | fields)


def step(walk_id: str, **fields: Any) -> JournalEntry:
    """The first action of B has returned."""
    usual: dict[str, Any] = {"walk_id": walk_id, "activity": "B", "action": "Charge", "index": 0, "at": NOW}
    return JournalEntry(**usual | fields)


def timer(name: str = "remind", due: datetime = NOW, **fields: Any) -> Timer:
    return Timer(name=name, due=due, **{"value": "1h"} | fields)


def retry(due: datetime = NOW, **fields: Any) -> Timer:
    """A reserved row."""
    return Timer(due=due, **{"name": "retry", "kind": TimerKind.RETRY} | fields)


def server(server_id: str = "me", **fields: Any) -> Server:
    usual: dict[str, Any] = {"name": server_id, "host": "localhost", "pid": 1, "version": "1", "mode": "single", "started_at": NOW}
    return Server(id=server_id, **usual | {"last_beat_at": NOW, "lease_until": NOW + timedelta(seconds=5)} | fields)


def decision(subject: Process, **fields: Any) -> Decision:
    usual: dict[str, Any] = {
        "recovery_id": "r1",
        "process_id": subject.id,
        "scheme_code": subject.scheme_code,
        "decision": "default",
        "decided_by": "status rule",
        "reason": "a command leads out of A",
        "activity": subject.activity,
        "step": "Charge",
        "status_before": ProcessStatus.RUNNING,
        "status_after": ProcessStatus.ERROR,
        "evidence": FrozenDict({"charges": 1}),
        "at": NOW,
    }
    return Decision(**usual | fields)


def recovery(recovery_id: str = "r1", **fields: Any) -> RecoveryReport:
    return RecoveryReport(id=recovery_id, **{"cause": "start", "server": "me"} | fields)


# -- changes ----------------------------------------------------------------------------------------------


def creation(subject: Process, **fields: Any) -> Change:
    return Change(kind=ChangeKind.CREATE, before=None, after=subject, **fields)


def claim(before: Process, owner: str = "me", **fields: Any) -> Change:
    """From rest to Running, with a walk."""
    after = replace(before, status=ProcessStatus.RUNNING, owner=owner, token=before.token + 1, walk=walk())
    return Change(kind=ChangeKind.CLAIM, before=before, after=after, **fields)


def arrival(before: Process, *, status: ProcessStatus = ProcessStatus.IDLED, **fields: Any) -> Change:
    """To B and to rest, with its history row."""
    after = replace(before, activity="B", previous_activity=before.activity, status=status, owner=None, walk=None, last_seq=before.last_seq + 1)
    return Change(kind=ChangeKind.ARRIVE, before=before, after=after, entries=(entry(before, status=status),), **{"drop_others": True} | fields)


def deletion(before: Process, **fields: Any) -> Change:
    return Change(kind=ChangeKind.DELETE, before=before, after=None, **fields)
