"""What a process is made of in an export: its form, and what is asked of every value of it.

Law: what a column holds stands in a form as it is, and passes the decoders that rows of the database pass. A form
that passes can be stored in every database and read again; nothing is converted, nothing is guessed, and no name that
is not known is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from workflow_runtime.core import keys as answers
from workflow_runtime.core.process import Process
from workflow_runtime.core.values import Limits, check_parameters, decode, quoted
from workflow_runtime.store import records, rows, tables
from workflow_runtime.store.rows import Values


class Part(NamedTuple):
    """The rows of one table in the line of a process; ``columns`` leaves out what the process says already."""

    name: str
    table: sa.Table
    columns: tuple[str, ...]


def _part(name: str, table: sa.Table, *left_out: str) -> Part:
    return Part(name, table, tuple(column.name for column in table.c if column.name not in left_out))


ROW = _part("row", tables.process, "owner", "token")
TIMERS = _part("timers", tables.timer, "process_id")
HISTORY = _part("history", tables.history, "id", "process_id")
JOURNAL = _part("journal", tables.journal, "id", "process_id", "walk_id")
DECISIONS = _part("decisions", tables.decision, "id", "process_id")
KEYS = _part("keys", tables.idempotency, "process_id")  #: of its creation and its commands
PARTS = (TIMERS, HISTORY, JOURNAL, DECISIONS, KEYS)
LOOSE_KEY = _part("key", tables.idempotency)  #: of a process that is deleted, or was never created
SCHEME = _part("scheme", tables.scheme)
CURRENT = _part("current", tables.scheme_current)


# -- one process ------------------------------------------------------------------------------------------


def check_process(form: Values, *, limits: Limits | None = None) -> Process:
    """The process of a form, without owner and token, if every value of it is sound. ValueError, OverflowError or a WorkflowError.

    ``limits``: how much its parameters may bring; without them what is stored is not refused for its size.
    """
    check_keys(form, (ROW.name, *(part.name for part in PARTS)))
    row = checked_row(ROW, form[ROW.name])
    process = rows.read_process([*({**row, "owner": None, "token": 0}[name] for name in rows.PROCESS_COLUMNS)])
    if row["id"] != str(process.id):
        raise ValueError(f"the id {quoted(row['id'])} is not written as ids are")
    if limits is not None:
        check_parameters(process.parameters, limits=limits)
    for part in PARTS:
        _check_part(part, process, form[part.name])
    return process


def _check_part(part: Part, process: Process, found: Any) -> None:
    if type(found) is not list:
        raise ValueError(f"{part.name} is no list")
    keys = [_KEYS[part.name](process, checked_row(part, each)) for each in found]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a row of {part.name} stands twice")


def _timer(_process: Process, row: Values) -> object:
    rows.read_timer([row[name] for name in rows.TIMER_COLUMNS])
    rows.moment(row["armed_at"])
    return row["kind"], row["name"]


def _history(process: Process, row: Values) -> object:
    whole = {**row, "id": 0, "process_id": str(process.id)}
    entry = records.read_history([whole[name] for name in records.HISTORY_COLUMNS])
    if not 1 <= entry.seq <= process.last_seq:
        raise ValueError(f"the row {entry.seq} of history is not between 1 and last_seq, which is {process.last_seq}")
    return entry.seq


def _journal(process: Process, row: Values) -> object:
    if process.walk is None:
        raise ValueError("there is a journal, and no walk that it could belong to")
    whole = {**row, "walk_id": process.walk.id}
    entry = records.read_journal([whole[name] for name in records.JOURNAL_COLUMNS])
    decode(entry.result)
    return entry.activity, entry.index, entry.step, entry.occurrence, entry.intent


def _decision(process: Process, row: Values) -> object:
    records.read_decision([{**row, "process_id": str(process.id)}[name] for name in records.DECISION_COLUMNS])
    return object()  # the same may be decided twice


def _key(process: Process, row: Values) -> object:
    if row["scope"] not in (str(process.id), process.tenant_id or ""):
        raise ValueError(f"the scope {quoted(row['scope'])} of a key is neither the process nor its tenant")
    check_key(row)
    return row["scope"], row["key"]


def check_key(row: Values) -> None:
    """The answer can be read, and the times. ValueError, OverflowError or a WorkflowError."""
    answers.of_text(row["answer"])
    rows.moment(row["created"])
    rows.maybe_moment(row["settled"])


#: Each reads a row, and answers what may stand only once in its part.
_KEYS: Mapping[str, Callable[[Process, Values], object]] = {
    "timers": _timer,
    "history": _history,
    "journal": _journal,
    "decisions": _decision,
    "keys": _key,
}

# -- columns ----------------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """What a column takes in every database."""

    types: frozenset[type]
    longest: int | None  #: characters
    numbers: range


_NUMBERS: tuple[tuple[type[sa.Integer], range], ...] = (
    (sa.SmallInteger, range(-(2**15), 2**15)),
    (sa.BigInteger, range(-(2**63), 2**63)),
    (sa.Integer, range(-(2**31), 2**31)),
)


def _shape(column: sa.Column[Any], types: frozenset[type]) -> Shape:
    numbers = next((numbers for kind, numbers in _NUMBERS if isinstance(column.type, kind)), range(0))
    return Shape(types, getattr(column.type, "length", None), numbers)


_SHAPES: Mapping[str, Mapping[str, Shape]] = {
    part.name: {name: _shape(part.table.c[name], types) for name, types in rows.column_types(part.table) if name in part.columns}
    for part in (ROW, *PARTS, SCHEME, CURRENT, LOOSE_KEY)
}


def checked_row(part: Part, found: Any) -> Values:
    """A row of a part, with exactly its columns, each holding what it can hold."""
    check_keys(found, part.columns)
    for name, shape in _SHAPES[part.name].items():
        if flaw := _flaw(found[name], shape):
            raise ValueError(f"{name} of {part.name} {flaw}")
    row: Values = found
    return row


def _flaw(value: Any, shape: Shape) -> str:
    kind = type(value)
    if kind not in shape.types:
        return f"holds {kind.__name__}"
    if kind is int:
        return "" if value in shape.numbers else "is out of range"
    if kind is not str:
        return ""
    if shape.longest is not None and len(value) > shape.longest:
        return f"has {len(value)} characters; there is room for {shape.longest}"
    return "" if _is_storable(value) else "has a NUL character or half of a surrogate pair, which no database stores"


def _is_storable(text: str) -> bool:
    try:
        return "\0" not in text and (text.isascii() or bool(text.encode()))
    except UnicodeEncodeError:
        return False


def check_keys(found: Any, known: tuple[str, ...]) -> None:
    if type(found) is not dict:
        raise ValueError(f"{quoted(found)} is no object")
    for name in found:
        if name not in known:
            raise ValueError(f"{quoted(name)} is not known to this version; a newer one may know it")
    for name in known:
        if name not in found:
            raise ValueError(f"{name!r} is missing")
