"""Rows of history, journal, decisions, servers and recoveries as values, and back."""

from __future__ import annotations

import json
from dataclasses import fields as fields_of
from typing import Any
from uuid import UUID

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import Decision, EntryKind, HistoryEntry, JournalEntry, ProcessStatus, Trigger, TriggerKind
from workflow_runtime.core.restoring import Death, RecoveryReport, Server
from workflow_runtime.core.scheme_words import Classifier
from workflow_runtime.store import tables
from workflow_runtime.store.rows import (
    MICROSECOND,
    Row,
    Values,
    decode_error,
    decode_parameters,
    encode_error,
    encode_parameters,
    maybe_micros,
    maybe_moment,
    micros,
    moment,
    to_json,
)

HISTORY_COLUMNS = tuple(column.name for column in tables.history.c)
JOURNAL_COLUMNS = tuple(column.name for column in tables.journal.c if column.name not in ("id", "process_id"))
DECISION_COLUMNS = tuple(column.name for column in tables.decision.c if column.name != "id")
SERVER_COLUMNS = tuple(column.name for column in tables.server.c)
RECOVERY_COLUMNS = tuple(column.name for column in tables.recovery.c if column.name != "number")


def history_values(entry: HistoryEntry) -> Values:
    return {
        "process_id": str(entry.process_id),
        "seq": entry.seq,
        "kind": entry.kind.value,
        "at": micros(entry.at),
        "from_activity": entry.from_activity,
        "to_activity": entry.to_activity,
        "from_state": entry.from_state,
        "to_state": entry.to_state,
        "status": entry.status.id,
        "trigger_kind": entry.trigger.kind.value,
        "trigger_name": entry.trigger.name,
        "transition": entry.transition,
        "classifier": entry.classifier.value,
        "identity": entry.identity,
        "impersonated_identity": entry.impersonated_identity,
        "actor": entry.actor,
        "reason": entry.reason,
        "walk_id": entry.walk_id,
        "server": entry.server,
        "started_at": maybe_micros(entry.started_at),
        "is_final": int(entry.is_final),
        "error": encode_error(entry.error),
        "idempotency_key": entry.idempotency_key,
    }


def read_history(row: Row) -> HistoryEntry:
    fields = dict(zip(HISTORY_COLUMNS, row, strict=True))
    fields["process_id"] = UUID(fields["process_id"])
    fields["kind"] = EntryKind(fields["kind"])
    fields["at"], fields["started_at"] = moment(fields["at"]), maybe_moment(fields["started_at"])
    fields["status"] = ProcessStatus.of(fields["status"])
    fields["trigger"] = Trigger(TriggerKind(fields.pop("trigger_kind")), fields.pop("trigger_name"))
    fields["classifier"] = Classifier(fields["classifier"])
    fields["is_final"] = bool(fields["is_final"])
    fields["error"] = decode_error(fields["error"])
    return HistoryEntry(**fields)


def journal_values(process_id: str, entry: JournalEntry) -> Values:
    return {
        "process_id": process_id,
        "walk_id": entry.walk_id,
        "activity": entry.activity,
        "action": entry.action,
        "action_index": entry.index,
        "step": entry.step,
        "occurrence": _mirrored(entry.occurrence) if entry.intent else entry.occurrence,
        "digest": entry.digest,
        "result": entry.result,
        "changes": encode_parameters(entry.changes),
        "at": micros(entry.at),
    }


def _mirrored(occurrence: int) -> int:
    """The intent of a step stands at -1, -2, ... where its result stands at 0, 1, ...: a row is written once and never changed."""
    return -1 - occurrence


def read_journal(row: Row) -> JournalEntry:
    fields = dict(zip(JOURNAL_COLUMNS, row, strict=True))
    fields["index"] = fields.pop("action_index")
    fields["changes"], fields["at"] = decode_parameters(fields["changes"]), moment(fields["at"])
    if fields["occurrence"] < 0:
        fields["occurrence"], fields["intent"] = _mirrored(fields["occurrence"]), True
    return JournalEntry(**fields)


def decision_values(decision: Decision) -> Values:
    return {
        "recovery_id": decision.recovery_id,
        "process_id": str(decision.process_id),
        "scheme_code": decision.scheme_code,
        "decision": decision.decision,
        "decided_by": decision.decided_by,
        "reason": decision.reason,
        "activity": decision.activity,
        "step": decision.step,
        "status_before": decision.status_before.id,
        "status_after": None if decision.status_after is None else decision.status_after.id,
        "evidence": encode_parameters(decision.evidence),
        "error": decision.error,
        "server": decision.server,
        "at": micros(decision.at),
    }


def read_decision(row: Row) -> Decision:
    fields = dict(zip(DECISION_COLUMNS, row, strict=True))
    fields["process_id"] = UUID(fields["process_id"])
    fields["status_before"] = ProcessStatus.of(fields["status_before"])
    fields["status_after"] = None if fields["status_after"] is None else ProcessStatus.of(fields["status_after"])
    fields["evidence"], fields["at"] = decode_parameters(fields["evidence"]), moment(fields["at"])
    return Decision(**fields)


def server_values(server: Server) -> Values:
    return {
        "id": server.id,
        "name": server.name,
        "host": server.host,
        "pid": server.pid,
        "version": server.version,
        "mode": server.mode,
        "started_at": micros(server.started_at),
        "beat": server.beat,
        "last_beat_at": micros(server.last_beat_at),
        "lease_until": micros(server.lease_until),
        "dead_at": maybe_micros(server.dead_at),
        "draining": int(server.draining),
        "lock_ok": int(server.lock_ok),
        "lock_key": server.lock_key,
        "beat_every": server.beat_every // MICROSECOND,
        "death": server.death,
        "declared_by": server.declared_by,
    }


def read_server(row: Row) -> Server:
    fields = dict(zip(SERVER_COLUMNS, row, strict=True))
    for name in ("started_at", "last_beat_at", "lease_until"):
        fields[name] = moment(fields[name])
    fields["dead_at"] = maybe_moment(fields["dead_at"])
    fields["draining"], fields["lock_ok"] = bool(fields["draining"]), bool(fields["lock_ok"])
    fields["beat_every"] = fields["beat_every"] * MICROSECOND
    return Server(**fields)


def recovery_values(report: RecoveryReport) -> Values:
    return {
        "id": report.id,
        "cause": report.cause,
        "server": report.server,
        "dead_servers": to_json([_death_values(death) for death in report.deaths]),
        "owned": report.owned,
        "decided": report.decided,
        "skipped": report.skipped,
        "by_decision": to_json(dict(report.by_decision)),
        "noticed_at": maybe_micros(report.noticed_at),
        "adopted_at": maybe_micros(report.adopted_at),
        "first_progress_at": maybe_micros(report.first_progress_at),
        "ended_at": maybe_micros(report.ended_at),
    }


def read_recovery(row: Row, decisions: tuple[Decision, ...]) -> RecoveryReport:
    fields: dict[str, Any] = dict(zip(RECOVERY_COLUMNS, row, strict=True))
    fields["deaths"] = _read_deaths(json.loads(fields.pop("dead_servers")))
    fields["by_decision"] = FrozenDict(json.loads(fields["by_decision"]))
    for name in ("noticed_at", "adopted_at", "first_progress_at", "ended_at"):
        fields[name] = maybe_moment(fields[name])
    return RecoveryReport(**fields, decisions=decisions)


def _death_values(death: Death) -> dict[str, Any]:
    return {**{field.name: getattr(death, field.name) for field in fields_of(death)}, **{name: micros(getattr(death, name)) for name in _DEATH_TIMES}}


def _read_deaths(stored: list[dict[str, Any]] | dict[str, int]) -> tuple[Death, ...]:
    """Revision 0001 kept no more than the last beat of each."""
    if isinstance(stored, dict):
        return tuple(Death(server=id, name="", host="", pid=0, last_beat_at=moment(beat), declared_at=moment(beat)) for id, beat in stored.items())
    return tuple(Death(**{**death, **{name: moment(death[name]) for name in _DEATH_TIMES}}) for death in stored)


_DEATH_TIMES = ("last_beat_at", "declared_at")
