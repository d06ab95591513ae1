"""Verdicts about many rows at once: orphans that are alike are decided like the first of them, each guarded by itself.

Law: what nobody is asked about is decided by a rule, and a rule sees columns. Rows that are equal in every column that it
looks at are a *crowd*; the change that was made for the first is written for all. So a crowd is as if each had been decided alone.

======================================  ==================================================================================
columns                                 in a crowd
======================================  ==================================================================================
id, token, revision, last_seq,          each its own: they guard the row, number its history and name its walk
id of the walk
root_id, parameters, moments of a row   each its own, and left as they are: no verdict of this kind looks at them. They are
and of its walk                         read all the same, since a row that cannot be read is not to be decided like one that can
all others                              equal
======================================  ==================================================================================

Not here, but one by one: what has no owner, a key, a cancel request or a row of a timer, and whatever else makes the change of the
first one more than coming to rest (``plan`` says None). How the statements are sent is the matter of a dialect (``alike``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.process import Change, ChangeKind, Process
from workflow_runtime.store import records, rows, tables
from workflow_runtime.store.dialects import Alike, Own, Row
from workflow_runtime.store.followers import IS_TIMER
from workflow_runtime.store.rows import UnreadableRow

SMALLEST = 20  #: rows that are worth a transaction of their own

_process = tables.process
_OWN = ("id", "root_id", "token", "revision", "last_seq", "parameters", "walk", "created_at", "updated_at", "status_since", "activity_since")
_AT = {name: rows.PROCESS_COLUMNS.index(name) for name in rows.PROCESS_COLUMNS}
_moments = itemgetter(*(_AT[name] for name in ("created_at", "updated_at", "status_since", "activity_since")))
_equal = itemgetter(*(place for name, place in _AT.items() if name not in _OWN))
_ID, _ROOT, _PARAMETERS, _WALK, _OWNER, _CANCEL = (_AT[name] for name in ("id", "root_id", "parameters", "walk", "owner", "cancel_requested"))
_own_columns = itemgetter(_AT["token"], _AT["revision"], _AT["last_seq"], _WALK)

_CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_WRITTEN_WALK = re.compile(r'\{"id":"([0-9a-f]{1,64})",("activity":.*),"started_at":(0|[1-9][0-9]{0,16})([,}].*)').fullmatch
_LAST_MOMENT = rows.micros(datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Crowd:
    """``first`` is read; ``rows`` are all of them by their id, it too. Never empty."""

    first: Process
    rows: Mapping[str, Row]

    def without(self, ids: Collection[str]) -> Crowd | None:
        if not ids:
            return self
        left = {process_id: row for process_id, row in self.rows.items() if process_id not in ids}
        return Crowd(rows.read_process(next(iter(left.values()))), left) if left else None

    def spelled(self) -> list[Process | UnreadableRow]:
        """Each by itself."""
        return [rows.read_or_note(row) for row in self.rows.values()]


def gathered(found: Iterable[Row]) -> Iterator[Process | UnreadableRow | Crowd]:
    """Crowds where there are any, at the place of their first; the others one by one. Behind the columns of a row: whether it has timers."""
    groups: dict[Any, list[Row]] = {}
    for number, row in enumerate(found):
        columns, has_timers = row[:-1], row[-1]
        groups.setdefault((None if has_timers else _likeness(columns)) or number, []).append(columns)
    for group in groups.values():
        first = rows.read_or_note(group[0])
        if len(group) >= SMALLEST and isinstance(first, Process):
            yield Crowd(first, {row[_ID]: row for row in group})
        else:
            yield first
            yield from map(rows.read_or_note, group[1:])


def _likeness(row: Row) -> tuple[Any, ...] | None:
    """What must be equal; None: it is decided alone. Its own columns can be read."""
    text = row[_WALK]
    if row[_OWNER] is None or row[_CANCEL] is not None or type(text) is not str or '"key":' in text or not rows.is_sound(row):
        return None
    walk = _WRITTEN_WALK(text)
    if walk is None or not (_is_canonical(row[_ID], row[_ROOT]) and _is_readable(row[_PARAMETERS])):
        return None
    step, started_at, rest = walk.group(2, 3, 4)
    moments = (*_moments(row), int(started_at))
    return (_equal(row), step, rest) if min(moments) >= 0 and max(moments) <= _LAST_MOMENT else None


def _is_canonical(process_id: str, root_id: str) -> bool:
    return _CANONICAL(process_id) is not None and (root_id == process_id or _CANONICAL(root_id) is not None)


def _is_readable(text: str) -> bool:
    if text == rows.NO_PARAMETERS:
        return True
    try:
        rows.decode_parameters(text)
    except Exception:
        return False
    return True


# ------------------------------------------------------------------ writing


def plan(crowd: Crowd, change: Change, me: str | None) -> Alike | None:
    """The change of the first, for all; None where it does more than bring to rest."""
    if not _comes_to_rest_only(change):
        return None
    (entry,), decision, before, after = change.entries, change.decision, change.before, change.after
    assert decision is not None
    assert before is not None
    assert after is not None
    values = {"owner": before.owner, "me": me, "status": after.status.id, "now": rows.micros(after.updated_at), "since": rows.micros(after.status_since)}
    values |= {f"h_{name}": value for name, value in records.history_values(entry).items()}
    values |= {f"d_{name}": value for name, value in records.decision_values(decision).items()}
    return Alike(values, {process_id: _own(row) for process_id, row in crowd.rows.items()})


def _comes_to_rest_only(change: Change) -> bool:
    before, after = change.before, change.after
    if before is None or after is None or change.kind is not ChangeKind.VERDICT or len(change.entries) != 1 or change.decision is None:
        return False
    if change.arm or change.drop or change.drop_others or change.journal or change.opens or change.failure or not change.release:
        return False
    old, new = rows.updated_values(before), rows.updated_values(after)
    return after.parameters is before.parameters and all(new[name] == old[name] for name in new.keys() - _SET)


#: columns that coming to rest sets; each other must stay as it was
_SET = {"updated_at", "status_since", "waiting_until", "owner", "token", "deaths", "deaths_step", "adoptions", "last_seq"}


def _own(row: Row) -> Own:
    token, revision, last_seq, walk = _own_columns(row)
    return token, revision, last_seq + 1, walk.split('"', 4)[3]


def update(given: Any) -> Any:
    """The guarded part."""
    c = _process.c
    mine: sa.Select[Any] = sa.select(sa.literal_column("1")).where(tables.server.c.id == bindparam("me"), tables.server.c.dead_at.is_(None))
    guard = (c.id == given.c.id, c.owner == bindparam("owner"), c.token == given.c.token, c.revision == given.c.revision, c.cancel_requested.is_(None))
    rest: dict[str, Any] = {"owner": sa.null(), "waiting_until": sa.null(), "deaths": sa.literal_column("0"), "deaths_step": sa.literal_column("''")}
    return (
        sa.update(_process)
        .where(*guard, mine.exists())
        .values(
            **rest,
            adoptions=sa.literal_column("0"),
            status=bindparam("status"),
            updated_at=bindparam("now"),
            status_since=bindparam("since"),
            last_seq=given.c.seq,
            token=c.token + sa.literal_column("1"),
            revision=c.revision + sa.literal_column("1"),
        )
    )


def drop(written: Any) -> Any:
    """Reserved rows, as with every verdict."""
    timer = tables.timer.c
    return sa.delete(tables.timer).where(timer.process_id.in_(sa.select(written.c.id)), ~IS_TIMER)


def tell(written: Any) -> Any:
    own = {"process_id": written.c.id, "seq": written.c.seq, "walk_id": written.c.walk}
    return _insert(tables.history, "h_", own)


def decide(written: Any) -> Any:
    return _insert(tables.decision, "d_", {"process_id": written.c.id})


def _insert(table: sa.Table, prefix: str, own: dict[str, Any]) -> Any:
    names = [column.name for column in table.c if column.name != "id"]
    source = next(iter(own.values())).table
    made = [own.get(name, sa.cast(bindparam(prefix + name), _plain(table.c[name].type))) for name in names]
    return sa.insert(table).from_select(names, sa.select(*made).select_from(source))


def _plain(type_: Any) -> Any:
    """Without length: too long a text is to be refused where it is stored, not cut here."""
    return sa.Text() if isinstance(type_, sa.String) else sa.BigInteger()


def cursor(row: Row) -> tuple[int, str]:
    """Behind this row."""
    return row[_AT["created_at"]], row[_ID]
