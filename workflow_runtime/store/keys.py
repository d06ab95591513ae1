"""The rows of idempotency keys.

Law: the primary key decides which of two equal requests is the first. A row is inserted with the first change of its
run and settled with the last, each in the transaction of that change; what is settled is not written again.

=========  ===================================================================
column     holds
=========  ===================================================================
answer     while it is open the process; afterwards what is final (JSON)
process    which one it is about, so that the keys of a process are found; NULL for a creation that was refused
settled    NULL while it is open; the retention counts from here
=========  ===================================================================
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core import keys, settling
from workflow_runtime.core.keys import Answer, Key
from workflow_runtime.core.process import Change
from workflow_runtime.errors import ParameterError, RowUnreadable
from workflow_runtime.store import rows, tables
from workflow_runtime.store.dialects import Row, Transaction, Values

_c = tables.idempotency.c
_IS_OPEN = _c.settled.is_(None)

OPEN = sa.insert(tables.idempotency).values({column.name: bindparam(column.name) for column in _c})
SETTLE = (
    sa.update(tables.idempotency)
    .where(_c.scope == bindparam("k_scope"), _c.key == bindparam("k_key"), _IS_OPEN)
    .values(answer=bindparam("k_answer"), settled=bindparam("k_settled"))
)
_SETTLE_SCOPE = (
    sa.update(tables.idempotency).where(_c.scope == bindparam("k_scope"), _IS_OPEN).values(answer=bindparam("k_answer"), settled=bindparam("k_settled"))
)
_ROW = sa.select(_c.digest, _c.settled, _c.answer).where(_c.scope == bindparam("k_scope"), _c.key == bindparam("k_key"))
_old = sa.select(_c.settled).where(_c.settled < bindparam("before")).order_by(_c.settled).limit(bindparam("number", type_=sa.Integer())).subquery()
_LAST_OLD = sa.select(sa.func.max(_old.c.settled))
_FORGET = sa.delete(tables.idempotency).where(_c.settled <= bindparam("last"))


def of(change: Change) -> tuple[Values | None, Values | None]:
    """What a change opens, and what it settles. A run of one commit opens and settles with one row."""
    opens, settles = change.opens, settling.settles(change)
    if opens is None and settles is None:
        return None, None
    if opens is not None:
        answer = settling.answer_of(change) if settles else Answer(process_id=change.result.id)
        return opened_values(opens, answer, rows.micros(change.result.updated_at), is_settled=settles is not None), None
    assert settles is not None
    assert change.before is not None
    ended_at = rows.micros(settling.ended_at(change))
    return None, {**settled_values(settles, settling.answer_of(change), ended_at), "k_process": str(change.before.id)}


def opened_values(key: Key, answer: Answer, now: int, *, is_settled: bool) -> Values:
    text = keys.to_text(answer)
    about = str(answer.process_id) if answer.process_id else None
    settled = now if is_settled else None
    return {"scope": key.scope, "key": key.name, "digest": key.digest, "answer": text, "created": now, "settled": settled, "process_id": about}


def settled_values(key: Key, answer: Answer, now: int) -> Values:
    return {"k_scope": key.scope, "k_key": key.name, "k_answer": keys.to_text(answer), "k_settled": now}


def row(transaction: Transaction, key: Key) -> keys.Row | None:
    """What is stored for this scope and name, whatever the digest. RowUnreadable."""
    found = transaction.row(_ROW, {"k_scope": key.scope, "k_key": key.name})
    return None if found is None else _read(key, found)


def _read(key: Key, found: Row) -> keys.Row:
    digest, settled, text = found
    try:
        return keys.Row(digest, settled is not None, keys.of_text(text))
    except (ParameterError, TypeError) as cause:
        why = f"the stored answer to the idempotency key {key.name!r} cannot be read; it needs a person"
        raise RowUnreadable(why, key=key.name, scope=key.scope) from cause


def settle_unreadable(transaction: Transaction, row: rows.UnreadableRow, process_id: UUID | None, now: int) -> None:
    """A process that cannot be read ends whatever it was in: of a command its id is the scope, of a creation its walk may tell."""
    answer = settling.unreadable(process_id, row.cause.message)
    transaction.run(_SETTLE_SCOPE, {"k_scope": row.id, "k_answer": keys.to_text(answer), "k_settled": now})
    if row.key is not None:
        transaction.run(SETTLE, settled_values(row.key, answer, now))


def forget(transaction: Transaction, before: int, number: int) -> int:
    """Those settled before that moment go, the oldest first and about so many; how many did."""
    found: Any = transaction.row(_LAST_OLD, {"before": before, "number": number})
    return transaction.run(_FORGET, {"last": found[0]}) if found and found[0] is not None else 0
