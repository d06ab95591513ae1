"""A change as ONE statement: a guarded part, and all that follows hanging on its row (PostgreSQL).

Law: every row that is written besides the process is selected from ``guarded``, so where the guard fails
nothing is written, in one statement and one journey. The last part reads what the guarded one returned:
no row means that the guard failed, whatever the driver says of counts.

===============  ==========================================================================
part             is there
===============  ==========================================================================
guarded          always: UPDATE, DELETE, or INSERT of a process that has no history yet
journaled        when actions or steps are journaled
dropped          when timers go; those that are armed stay and are written over
put, kept        when timers are armed
told, decided    when history or a decision is written
opened           when a request with a key begins: a key that is there breaks the whole statement
settled          when the run of such a request ends
===============  ==========================================================================

All parts see the database as it was before, and no row may be written twice. The rows of a part are one JSON
parameter, so that a text does not depend on how many there are: with 8 parts there are few texts. Of history and journal
there is mostly one row: that one is given value by value, which takes a seventh off the whole statement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from enum import IntEnum
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql

from workflow_runtime.store import crowds, keys, rows, tables
from workflow_runtime.store.dialects import OWN, Alike, Guarded, Statement
from workflow_runtime.store.followers import IS_TIMER

_process, _timer = tables.process, tables.timer
_READ_BACK = (_process.c.id, _process.c.cancel_requested, _process.c.children_open)
_LEFT_OUT = {"wf_history": ("id",), "wf_journal": ("id",), "wf_decision": ("id",)}


class Number(IntEnum):
    """Of rows, as far as the text of a statement depends on it."""

    NONE = 0
    ONE = 1
    MANY = 2

    @classmethod
    def of(cls, given: Sized) -> Number:
        return _NUMBERS[min(len(given), 2)]


_NUMBERS = tuple(Number)


class Parts(NamedTuple):
    """What decides the text of a statement."""

    head: Statement
    skips: bool
    journal: Number
    history: Number
    drop: bool
    put: bool
    keep: bool
    decision: bool
    opened: bool
    settled: bool

    @classmethod
    def of(cls, change: Guarded) -> Parts:
        f = change.followers
        written = (f.drop is not None, f.put, f.keep, f.decision, f.opened, f.settled)
        return cls(change.statement, change.skips, Number.of(f.journal), Number.of(f.history), *map(bool, written))


def statement(parts: Parts) -> Statement:
    """Built once for the same parts."""
    guarded = _guarded(parts.head, parts.skips)
    following = [
        (parts.journal, "journaled", _told(tables.journal, "journal", parts.journal, guarded)),
        (parts.drop, "dropped", _dropped(guarded)),
        (parts.put, "put", _put(guarded)),
        (parts.keep, "kept", _inserted(_timer, "keep", guarded).on_conflict_do_nothing()),
        (parts.history, "told", _told(tables.history, "history", parts.history, guarded)),
        (parts.decision, "decided", _inserted(tables.decision, "decision", guarded)),
        (parts.opened, "opened", _inserted(tables.idempotency, "opened", guarded)),
        (parts.settled, "settled", _settled(guarded)),
    ]
    return sa.select(guarded.c.cancel_requested, guarded.c.children_open).add_cte(*(part.cte(name) for wanted, name, part in following if wanted))


def values(change: Guarded) -> Mapping[str, Any]:
    """Rows as JSON with their characters as they are: PostgreSQL refuses those that it cannot store."""
    f = change.followers
    found = dict(change.values)
    for name, given in (("journal", f.journal), ("history", f.history), ("put", f.put), ("keep", f.keep), ("decision", f.decision)):
        if len(given) == 1 and name in _ONE:
            columns, parameters = _ONE[name]
            found.update(zip(parameters, columns(given[0]), strict=True))
        elif given:
            found[name] = rows.to_plain_json(list(given))
    if f.opened:
        found["opened"] = rows.to_plain_json([f.opened])
    if f.settled:
        found |= f.settled
    if f.drop is not None:
        armed = [f"{row['kind']} {row['name']}" for row in (*f.put, *f.keep)]
        found |= {"reserved": f.drop.reserved, "others": f.drop.others is not None, "named": list(f.drop.named), "armed": armed}
    return found


def _guarded(head: Any, skips: bool) -> sa.CTE:
    """An INSERT is built anew: of values without a guard it becomes a SELECT of those same values."""
    if skips:
        unlocked = sa.select(_process.c.id).where(_process.c.id == bindparam("g_id")).with_for_update(skip_locked=True)
        head = head.where(_process.c.id == unlocked.scalar_subquery())
    if isinstance(head, sa.Insert):
        names = [column.name for column in _process.c]
        had_life: sa.Select[Any] = sa.select(sa.literal_column("1")).where(tables.history.c.process_id == bindparam("id"))
        head = sa.insert(_process).from_select(names, sa.select(*(bindparam(c.name, type_=c.type) for c in _process.c)).where(~had_life.exists()))
    cte: sa.CTE = head.returning(*_READ_BACK).cte("guarded")
    return cte


def _columns(table: sa.Table) -> list[sa.ColumnClause[Any]]:
    return [sa.column(c.name, _plain(c.type)) for c in table.c if c.name not in _LEFT_OUT.get(table.name, ())]


def _rows(table: sa.Table, name: str) -> Any:
    columns = _columns(table)
    made = sa.func.json_to_recordset(bindparam(name, type_=postgresql.JSON())).table_valued(*columns)
    return made.render_derived(name=f"{name}_rows", with_types=True)


def _plain(type_: Any) -> Any:
    """Without length and collation: too long a text is to be refused where it is stored, not cut here."""
    return sa.Text() if isinstance(type_, sa.String) else type_


def _inserted(table: sa.Table, name: str, guarded: sa.CTE) -> Any:
    """The one row of ``guarded`` or none times the given rows, in their order; a join by id might turn it round."""
    given = _rows(table, name)
    return postgresql.insert(table).from_select(list(given.c.keys()), sa.select(*given.c).select_from(given.join(guarded, sa.true())))


def _told(table: sa.Table, name: str, number: Number, guarded: sa.CTE) -> Any:
    """Rows of journal or history: one by its values, more as JSON."""
    if number is not Number.ONE:
        return _inserted(table, name, guarded)
    columns = _columns(table)
    one = (bindparam(f"{name}_{c.name}", type_=c.type) for c in columns)
    return postgresql.insert(table).from_select([c.name for c in columns], sa.select(*one).select_from(guarded))


def _one(table: sa.Table, name: str) -> tuple[Callable[[Mapping[str, Any]], Sequence[Any]], tuple[str, ...]]:
    """What takes the values out of a row, and the parameters that they are given as."""
    names = [column.name for column in _columns(table)]
    return itemgetter(*names), tuple(f"{name}_{column}" for column in names)


_ONE = {"journal": _one(tables.journal, "journal"), "history": _one(tables.history, "history")}


def _put(guarded: sa.CTE) -> Any:
    arming = _inserted(_timer, "put", guarded)
    return arming.on_conflict_do_update(
        index_elements=["process_id", "kind", "name"], set_={name: arming.excluded[name] for name in ("due", "value", "armed_at")}
    )


def _settled(guarded: sa.CTE) -> Any:
    """The row of ``guarded`` or none: an answer without its end must not stand."""
    return keys.SETTLE.where(guarded.c.id == bindparam("k_process"))


def _dropped(guarded: sa.CTE) -> Any:
    texts = postgresql.ARRAY(sa.Text())
    is_armed = (_timer.c.kind + sa.literal_column("' '") + _timer.c.name) == sa.any_(bindparam("armed", type_=texts))
    goes = sa.or_(
        sa.and_(~IS_TIMER, bindparam("reserved", type_=sa.Boolean())),
        sa.and_(IS_TIMER, sa.or_(bindparam("others", type_=sa.Boolean()), _timer.c.name == sa.any_(bindparam("named", type_=texts)))),
    )
    return sa.delete(_timer).where(_timer.c.process_id == guarded.c.id, goes, ~is_armed)


_NAMES = ("id", *OWN)
_TEXTS = {"id", "walk"}


def _alike() -> Statement:
    """One verdict for a crowd; see crowds.py. Rows are locked first, in one go: where somebody has one locked, it is left to the next look."""
    columns = [sa.column(name, sa.Text() if name in _TEXTS else sa.BigInteger()) for name in _NAMES]
    made = sa.func.json_to_recordset(bindparam("given", type_=postgresql.JSON())).table_valued(*columns)
    given = made.render_derived(name="given_rows", with_types=True)
    locked = sa.select(*given.c).join_from(given, _process, _process.c.id == given.c.id).with_for_update(of=_process, skip_locked=True)
    free = locked.cte("free")
    written: Any = crowds.update(free).returning(_process.c.id, free.c.seq, free.c.walk).cte("guarded")
    parts = (("dropped", crowds.drop(written)), ("told", crowds.tell(written)), ("decided", crowds.decide(written)))
    return sa.select(written.c.id).add_cte(*(part.cte(name) for name, part in parts))


ALIKE = _alike()


def values_of_all(verdict: Alike) -> Mapping[str, Any]:
    """For ``ALIKE``."""
    own = [dict(zip(_NAMES, (process_id, *each), strict=True)) for process_id, each in verdict.own.items()]
    return {**verdict.values, "given": rows.to_json(own)}
