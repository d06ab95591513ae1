"""What became of a change whose commit was not answered: looked up, and settled, in one transaction.

Law: the lock of the row is taken first, so a backend that is still at work on the old statement ends before we look.
What landed has left a trace that nobody else leaves. If there is none, the same change is made true in this
transaction: its guard decides, and a late copy of the old statement then fails on its own guard. A commit is
never sent again without looking.

===========================  ====================================================================================
the change                   its trace
===========================  ====================================================================================
writes history               its first row of history, equal in every column (the number is given once per process)
journals an action or step   its first journal row, equal in every column
claims with a new walk       that walk's id: in the row, or in history where the walk has moved on
creates                      the token or the walk's id in the row; the walk's id in history, also of a process that is gone
anything else (adoption,     the row itself: owner, token, revision, status and the moment of the change
take-up, release, give-up)
===========================  ====================================================================================

An idempotency key that has a row stands in the way of a change that opens it, unless the change has left its trace: TAKEN.
Where a process has moved on past a change of the last kind, the guard says LOST: whoever moved it on has it now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.process import Change, HistoryEntry, JournalEntry
from workflow_runtime.errors import ProcessAlreadyExists, StoreError, StoreUnavailable
from workflow_runtime.store import changes, keys, records, rows, tables
from workflow_runtime.store.changes import Applied, Outcome, Plan
from workflow_runtime.store.dialects import Row, Transaction
from workflow_runtime.store.trouble import Conflict, Trouble

_process, _history, _journal = tables.process, tables.history, tables.journal
_STAMP = ("owner", "token", "revision", "status", "updated_at")
_ONCE = ("process_id", "walk_id", "activity", "action_index", "step", "occurrence")  #: of journal rows
_TOLD_COLUMNS = tuple(name for name in records.HISTORY_COLUMNS if name != "id")
_JOURNAL_COLUMNS = ("process_id", *records.JOURNAL_COLUMNS)

_ONE: Any = sa.literal_column("1")
_THIS = _process.c.id == bindparam("id")
_ROW = sa.select(*(_process.c[name] for name in _STAMP), _process.c.walk, _process.c.cancel_requested, _process.c.children_open).where(_THIS)
_LOCKED_ROW = _ROW.with_for_update()
_TOLD = sa.select(*(_history.c[name] for name in _TOLD_COLUMNS)).where(_history.c.process_id == bindparam("process_id"), _history.c.seq == bindparam("seq"))
_JOURNALED = sa.select(*(_journal.c[name] for name in _JOURNAL_COLUMNS)).where(*(_journal.c[name] == bindparam(name) for name in _ONCE))
_OF_PROCESS = _history.c.process_id == bindparam("id")
_WALKED = sa.select(_ONE).where(_OF_PROCESS, _history.c.walk_id == bindparam("walk_id")).limit(_ONE)
_LIVED = sa.select(_ONE).where(_OF_PROCESS).limit(_ONE)


def settle(transaction: Transaction, planned: Plan) -> Applied:
    """What became of it, or becomes of it now. Conflict: a creation of the same process came in between; look again."""
    change = planned.change
    row = transaction.row(_LOCKED_ROW, {"id": planned.guarded.followers.process_id})
    found = _found(transaction, change, row)
    if found is None and _is_taken(transaction, change):
        found = changes.TAKEN
    return found or changes.run(transaction, planned)


def _found(transaction: Transaction, change: Change, row: Row | None) -> Applied | None:
    if change.before is None:
        return _created(transaction, change, row)
    return _applied(row) if _landed(transaction, change, row) else None


def settle_all(transaction: Transaction, batch: Sequence[Plan]) -> list[Applied]:
    """Each by itself, in the order of the batch: so the rows are locked in the order in which it locked them."""
    return [settle(transaction, planned) for planned in batch]


def met(transaction: Transaction, change: Change, conflict: Conflict) -> Applied:
    """An insert met what is there: the same creation sent again, the row of its key, or another process with this id, which is ProcessAlreadyExists."""
    if change.before is not None:
        if _is_taken(transaction, change):
            return changes.TAKEN
        raise conflict
    found = _created(transaction, change, transaction.row(_ROW, {"id": str(change.result.id)}))
    if found is None and _is_taken(transaction, change):
        return changes.TAKEN
    if found is None:
        raise _taken(change.result.id, "exists already")
    return found


def met_among(transaction: Transaction, batch: Sequence[Change], conflict: Conflict) -> StoreError | ProcessAlreadyExists:
    """ProcessAlreadyExists for the first creation of a batch whose id is in use, also by one before it; else the conflict."""
    earlier = set[UUID]()
    for process_id in (change.result.id for change in batch if change.before is None):
        if process_id in earlier:
            return _taken(process_id, "stands in the same batch")
        if transaction.row(_ROW, {"id": str(process_id)}) is not None:
            return _taken(process_id, "exists already")
        if transaction.row(_LIVED, {"id": str(process_id)}) is not None:
            return _taken(process_id, "was deleted and its history stays")
        earlier.add(process_id)
    return conflict


def _is_taken(transaction: Transaction, change: Change) -> bool:
    return change.opens is not None and keys.row(transaction, change.opens) is not None


def _created(transaction: Transaction, change: Change, row: Row | None) -> Applied | None:
    """As ``_creation``; where another process stands under this id, the key may tell that it is the one that was asked for."""
    try:
        return _creation(transaction, change, row)
    except ProcessAlreadyExists:
        if _is_taken(transaction, change):
            return changes.TAKEN
        raise


def still_unknown(error: StoreError, place: str) -> StoreUnavailable:
    """Looking has failed until patience was over; ``error`` is why it failed last."""
    text = f"the connection to {place} broke off during a commit, and it could not be looked up whether it was stored: {error}; read the process again"
    return StoreUnavailable(text, outcome="unknown", reason=Trouble.LOST.value)


def _creation(transaction: Transaction, change: Change, row: Row | None) -> Applied | None:
    """None: it has not landed, and may be sent."""
    process_id = change.result.id
    found = _born(transaction, change, row)
    if found is None and row is None and transaction.row(_LIVED, {"id": str(process_id)}):
        row = transaction.row(_ROW, {"id": str(process_id)})  # the statement may have landed between two looks
        found = _born(transaction, change, row)
        if found is None and row is None:
            raise _taken(process_id, "was deleted and its history stays")
    if found is None and row is not None:
        raise _taken(process_id, "exists already")
    return found


def _born(transaction: Transaction, change: Change, row: Row | None) -> Applied | None:
    """Whether it is this creation that has landed."""
    process = change.result
    if row is not None and (row[1] == process.token or (process.walk is not None and _walk_id(row) == process.walk.id)):
        return _applied(row)
    walk_id = change.entries[0].walk_id if change.entries else process.walk.id if process.walk else ""
    return _applied(row) if _has_walked(transaction, process.id, walk_id) else None


def _taken(process_id: UUID, why: str) -> ProcessAlreadyExists:
    return ProcessAlreadyExists(f"a process {process_id} {why}; choose another id or let the runtime choose", process_id=process_id)


def _landed(transaction: Transaction, change: Change, row: Row | None) -> bool:
    assert change.before is not None
    process_id = change.before.id
    if change.entries:
        return _is_told(transaction, change.entries[0])
    if change.journal:
        return _is_journaled(transaction, process_id, change.journal[0])
    if change.after is None:
        return row is None  # a deletion without a word
    walk, earlier = change.after.walk, change.before.walk
    if walk is not None and (earlier is None or earlier.id != walk.id):
        return (row is not None and _walk_id(row) == walk.id) or _has_walked(transaction, process_id, walk.id)
    after = change.result
    return row is not None and tuple(row[: len(_STAMP)]) == (after.owner, after.token, after.revision, after.status.id, rows.micros(after.updated_at))


def _is_told(transaction: Transaction, entry: HistoryEntry) -> bool:
    values = records.history_values(entry)
    found = transaction.row(_TOLD, {"process_id": values["process_id"], "seq": values["seq"]})
    return found is not None and all(values[name] == stored for name, stored in zip(_TOLD_COLUMNS, found, strict=True))


def _is_journaled(transaction: Transaction, process_id: UUID, entry: JournalEntry) -> bool:
    """Another server that took the walk over may have written the same step: then its moment or its result is another."""
    values = records.journal_values(str(process_id), entry)
    found = transaction.row(_JOURNALED, {name: values[name] for name in _ONCE})
    return found is not None and all(values[name] == stored for name, stored in zip(_JOURNAL_COLUMNS, found, strict=True))


def _has_walked(transaction: Transaction, process_id: UUID, walk_id: str) -> bool:
    return bool(walk_id) and transaction.row(_WALKED, {"id": str(process_id), "walk_id": walk_id}) is not None


def _applied(row: Row | None) -> Applied:
    """With what strangers have written to the row, if there still is one."""
    return Applied(Outcome.APPLIED) if row is None else Applied(Outcome.APPLIED, changes.readable_cancel(row[-2]), row[-1])


def _walk_id(row: Row) -> str | None:
    try:
        walk = rows.decode_walk(row[len(_STAMP)])
    except Exception:  # an unreadable walk is not mine
        return None
    return walk.id if walk else None
