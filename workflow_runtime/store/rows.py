"""Rows of processes, walks and timers as values, and back.

Law: what comes out of a row is right in every field or is a ``RowUnreadable``; there is no half-read
process. Since SQLite stores any type in any column, the types of a row are compared before it is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from workflow_runtime.core.attempts import Attempts
from workflow_runtime.core.evolving import whole
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.keys import Key
from workflow_runtime.core.process import CancelRequest, ErrorInfo, Parameters, Process, ProcessStatus, Timer, TimerKind, Trigger, TriggerKind, Walk
from workflow_runtime.core.values import decode, encode
from workflow_runtime.errors import RowUnreadable
from workflow_runtime.store.tables import process as process_table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
NO_PARAMETERS = encode({})

T = TypeVar("T")
Row = Sequence[Any]
Values = dict[str, Any]

to_json = json.JSONEncoder(separators=(",", ":")).encode  # ASCII: lone surrogates and U+0000 of a traceback pass every database

to_plain_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode  # for one journey; what is stored is what it holds


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def maybe_micros(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def moment(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def maybe_moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else moment(microseconds)


def encode_parameters(parameters: Parameters) -> str:
    return encode(dict(parameters)) if parameters else NO_PARAMETERS


def decode_parameters(text: str) -> Parameters:
    if text == NO_PARAMETERS:
        return EMPTY
    decoded = decode(text)
    if not isinstance(decoded, Mapping):
        raise ValueError("parameters are not an object")
    return FrozenDict(decoded)


# -- the JSON columns -------------------------------------------------------------------------------------


def encode_error(error: ErrorInfo | None) -> str | None:
    if error is None:
        return None
    return to_json({"type": error.type, "message": error.message, "traceback": error.traceback, "activity": error.activity, "action": error.action})


def decode_error(text: str | None) -> ErrorInfo | None:
    return None if text is None else ErrorInfo(**_checked(json.loads(text), _ERROR_FIELDS))


def encode_cancel(request: CancelRequest | None) -> str | None:
    return None if request is None else to_json({"actor": request.actor, "reason": request.reason})


def decode_cancel(text: str | None) -> CancelRequest | None:
    return None if text is None else CancelRequest(**_checked(json.loads(text), {"actor": str, "reason": str}))


def encode_walk(walk: Walk | None) -> str | None:
    """Fields that hold their default are left out: most walks carry few."""
    if walk is None:
        return None
    fields: Values = {"id": walk.id, "activity": walk.activity, "trigger": list(walk.trigger), "run": list(walk.run), "started_at": micros(walk.started_at)}
    for name in ("transition", "step", "tries", "in_doubt", "timeouts", "automatic"):
        if value := getattr(walk, name):
            fields[name] = value
    for name in ("identity", "impersonated_identity", "actor", "reason"):  # an empty text is not "nobody"
        if (text := getattr(walk, name)) is not None:
            fields[name] = text
    if walk.attempts:
        fields["attempts"] = [[action, failed, micros(since)] for action, failed, since in walk.attempts]
    if walk.key is not None:
        fields["key"] = list(walk.key)
    for name in ("due", "deadline"):
        if (instant := getattr(walk, name)) is not None:
            fields[name] = micros(instant)
    if walk.inputs:
        fields["inputs"] = encode_parameters(walk.inputs)
    if walk.temporary:
        fields["temporary"] = encode_parameters(walk.temporary)
    return to_json(fields)


def decode_walk(text: str | None) -> Walk | None:
    if text is None:
        return None
    fields = _checked(json.loads(text), _WALK_FIELDS)
    fields["trigger"], fields["run"] = _trigger(fields["trigger"]), _trigger(fields["run"])
    for name in ("started_at", "due", "deadline"):
        if name in fields:
            fields[name] = moment(fields[name])
    for name in ("inputs", "temporary"):
        if name in fields:
            fields[name] = decode_parameters(fields[name])
    if "key" in fields:
        fields["key"] = _key(fields["key"])
    if "attempts" in fields:
        fields["attempts"] = tuple(map(_attempts, fields["attempts"]))
    return Walk(**fields)


_ERROR_FIELDS: dict[str, type] = {"type": str, "message": str, "traceback": str, "activity": str, "action": str}
_WALK_FIELDS: dict[str, type] = {
    "id": str,
    "activity": str,
    "transition": str,
    "step": int,
    "tries": int,
    "timeouts": int,
    "automatic": int,
    "attempts": list,
    "in_doubt": bool,
    "trigger": list,
    "run": list,
    "started_at": int,
    "due": int,
    "deadline": int,
    "identity": str,
    "impersonated_identity": str,
    "actor": str,
    "reason": str,
    "key": list,
    "inputs": str,
    "temporary": str,
}


def _checked(fields: Any, types: Mapping[str, type]) -> Values:
    """The object of a JSON column with each field of its type; ValueError says which one is not."""
    if type(fields) is not dict:
        raise ValueError("not a JSON object")
    for name, value in fields.items():
        if type(value) is not types.get(name):
            raise ValueError(f"field {name!r} is unknown or has the wrong type")
    return fields


def _attempts(given: Any) -> Attempts:
    action, failed, since = given
    if not all(type(number) is int for number in given):
        raise ValueError("the attempts hold something that is no number")
    return Attempts(action, failed, moment(since))


def _key(given: list[Any]) -> Key:
    scope, name, digest = given
    if not all(type(text) is str for text in given):
        raise ValueError("the key holds something that is no text")
    return Key(scope, name, digest)


def _trigger(pair: list[Any]) -> Trigger:
    kind, name = pair
    if type(name) is not str:
        raise ValueError("the trigger's name is not a text")
    return Trigger(TriggerKind(kind), name)


# -- the process row --------------------------------------------------------------------------------------

PROCESS_COLUMNS = tuple(column.name for column in process_table.c)
#: Left out of every UPDATE: they never change, or strangers write them, or the statement computes them.
NOT_UPDATED = frozenset(
    {"id", "scheme_code", "parent_id", "root_id", "tenant_id", "created_at", "cancel_requested", "children_open", "revision", "status", "parameters"}
)


def process_values(process: Process) -> Values:
    """Every column, for an INSERT."""
    return {
        **updated_values(process),
        "id": str(process.id),
        "scheme_code": process.scheme_code,
        "parent_id": None if process.parent_id is None else str(process.parent_id),
        "root_id": str(process.root_id),
        "tenant_id": process.tenant_id,
        "created_at": micros(process.created_at),
        "cancel_requested": encode_cancel(process.cancel_requested),
        "children_open": process.children_open,
        "revision": process.revision,
        "status": process.status.id,
        "parameters": encode_parameters(process.parameters),
    }


def updated_values(process: Process) -> Values:
    """The columns that every UPDATE sets."""
    return {
        "scheme_version": process.scheme_version,
        "activity": process.activity,
        "state": process.state,
        "previous_activity": process.previous_activity,
        "previous_state": process.previous_state,
        "previous_activity_for_direct": process.previous_activity_for_direct,
        "previous_state_for_direct": process.previous_state_for_direct,
        "previous_activity_for_reverse": process.previous_activity_for_reverse,
        "previous_state_for_reverse": process.previous_state_for_reverse,
        "updated_at": micros(process.updated_at),
        "status_since": micros(process.status_since),
        "activity_since": micros(process.activity_since),
        "waiting_until": maybe_micros(process.waiting_until),
        "last_error": encode_error(process.last_error),
        "owner": process.owner,
        "token": process.token,
        "deaths": process.deaths,
        "deaths_step": process.deaths_step,
        "adoptions": process.adoptions,
        "last_seq": process.last_seq,
        "walk": encode_walk(process.walk),
    }


def read_process(row: Row) -> Process:
    """The process of a row with PROCESS_COLUMNS; RowUnreadable for anything that is not one."""
    try:
        _check_types(row, _PROCESS_TYPES, _seen_process)
        return _process(row)
    except Exception as cause:
        raise unreadable(row[0], cause) from cause


def is_sound(row: Row) -> bool:
    """Whether each column of a process row holds the type that it should."""
    try:
        _check_types(row, _PROCESS_TYPES, _seen_process)
    except ValueError:
        return False
    return True


def _process(row: Row) -> Process:
    fields = dict(zip(PROCESS_COLUMNS, row, strict=True))
    for name in ("created_at", "updated_at", "status_since", "activity_since"):
        fields[name] = moment(fields[name])
    fields["id"], fields["root_id"] = id_of_text(fields["id"]), id_of_text(fields["root_id"])
    if fields["parent_id"] is not None:
        fields["parent_id"] = id_of_text(fields["parent_id"])
    fields["status"] = ProcessStatus.of(fields["status"])
    fields["parameters"] = decode_parameters(fields["parameters"])
    fields["waiting_until"] = maybe_moment(fields["waiting_until"])
    fields["last_error"] = decode_error(fields["last_error"])
    fields["cancel_requested"] = decode_cancel(fields["cancel_requested"])
    fields["walk"] = decode_walk(fields["walk"])
    fields["scheme"] = None
    return whole(Process, fields)


#: The id of a root stands in its row twice, and who moves a process mostly does so again.
id_of_text = lru_cache(maxsize=1_024)(UUID)


class UnreadableRow(NamedTuple):
    """A process that cannot be read: what names and guards its row, why, and what can be read of where it stood.

    ``id`` is the text of the row.
    """

    id: str
    owner: str | None
    token: int
    revision: int
    created_at: int
    cause: RowUnreadable
    last_seq: int | None = None  #: None: not known either
    activity: str = ""
    state: str = ""
    key: Key | None = None  #: that its walk carries, where that can be read


def read_or_note(row: Row) -> Process | UnreadableRow:
    """One row that cannot be read must not hide the others."""
    try:
        return read_process(row)
    except RowUnreadable as cause:
        fields = dict(zip(PROCESS_COLUMNS, row, strict=True))
        sound = {name: fields[name] for name, kind in _STANDS.items() if type(fields[name]) is kind}
        guard = (fields["id"], fields["owner"], fields["token"], fields["revision"], fields["created_at"])
        return UnreadableRow(*guard, cause, **sound, key=_key_of(fields["walk"]))


def _key_of(text: Any) -> Key | None:
    try:
        walk = decode_walk(text)
    except Exception:  # the walk may be what cannot be read
        return None
    return walk.key if walk else None


_STANDS: dict[str, type] = {"last_seq": int, "activity": str, "state": str}


def readable(process_id: UUID, read: Callable[[Row], T], row: Row) -> T:
    """What ``read`` makes of the row; RowUnreadable instead of any other error."""
    try:
        return read(row)
    except Exception as cause:
        raise unreadable(process_id, cause) from cause


def unreadable(process_id: Any, cause: BaseException) -> RowUnreadable:
    reason = f"{type(cause).__name__}: {cause}"[:200]
    try:
        known: Any = process_id if isinstance(process_id, UUID) else UUID(process_id)
    except (ValueError, TypeError, AttributeError):
        known = process_id
    return RowUnreadable(f"the row of process {process_id} cannot be read ({reason}); it needs a person", process_id=known, cause=reason)


# -- timers -----------------------------------------------------------------------------------------------

TIMER_COLUMNS = ("name", "due", "value", "kind")


def timer_values(process_id: str, timer: Timer, armed_at: int) -> Values:
    return {
        "process_id": process_id,
        "kind": timer.kind.value,
        "name": timer.name,
        "due": micros(timer.due),
        "value": timer.value,
        "armed_at": armed_at,
    }


def read_timer(row: Row) -> Timer:
    name, due, value, kind = row
    return Timer(name=name, due=moment(due), value=value, kind=TimerKind(kind))


# -- types of a row ---------------------------------------------------------------------------------------

Shape = tuple[type, ...]


def column_types(table: Any) -> tuple[tuple[str, frozenset[type]], ...]:
    """For each column its name and the Python types that a sound row has there."""
    nothing = {type(None)}
    return tuple((c.name, frozenset({c.type.python_type} | (nothing if c.nullable else set()))) for c in table.c)


_PROCESS_TYPES = column_types(process_table)
_seen_process: set[Shape] = set()


def _check_types(row: Row, types: tuple[tuple[str, frozenset[type]], ...], seen: set[Shape]) -> None:
    """Sound shapes are few and remembered, so that the usual row costs one look-up."""
    shape = tuple(map(type, row))
    if shape in seen:
        return
    for (name, allowed), found in zip(types, shape, strict=True):
        if found not in allowed:
            raise ValueError(f"column {name} holds {found.__name__}")
    seen.add(shape)
