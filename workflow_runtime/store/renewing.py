"""A database begins a new life, after a backup was put in its place.

Law: whoever knew the database before may not write it. A backup is older than what servers and clients remember of
it, so what they remember may fit again by chance: a token, a revision, a server that counts as alive. A renewal takes
that away, in one transaction:

==================  ===================================================================================
what                becomes, and so
==================  ===================================================================================
every process       token and revision are others: no guard fits that was read before, neither from rest
                    nor of a walk in flight. What was executed is an orphan, and recovery decides
every server        dead, noticed by ``restore``: its next beat tells it, and it registers anew
the epoch           another: the database is not the one that it is a copy of
==================  ===================================================================================

The step by which tokens move is random, because the old life counted them up one by one. Processes are changed in
ranges of ids, so that no statement takes too long. Who renewed it last, and why, stands in the database.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.answers import RenewalReport
from workflow_runtime.core.watching import Evidence
from workflow_runtime.store import migrating, rows, tables, trouble
from workflow_runtime.store.clock import NOW
from workflow_runtime.store.dialects import Dialect, Transaction

DEATH = Evidence.RESTORE.value
EPOCH, LAST = "epoch", "renewal"  #: the keys under which the epoch and the last renewal are noted
_HALF = 2**62  #: from here on tokens move down: a step of 48 bits leads out of no column then
_BOUNDS = ("", *"123456789abcdef")  #: the first ids of the ranges; they are lower-case UUIDs

_process, _server, _meta = tables.process, tables.server, tables.meta
_STEP = bindparam("step", type_=sa.BigInteger())
_MOVED = sa.case((_process.c.token < sa.literal_column(str(_HALF)), _process.c.token + _STEP), else_=_process.c.token - _STEP)
_RENEW_FROM = sa.update(_process).where(_process.c.id >= bindparam("first")).values(token=_MOVED, revision=_process.c.revision + sa.literal_column("1"))
_RENEW_BETWEEN = _RENEW_FROM.where(_process.c.id < bindparam("beyond"))
_BURY = sa.update(_server).where(_server.c.dead_at.is_(None)).values(dead_at=NOW, death=bindparam("evidence"), declared_by=sa.literal_column("''"))
_SET = sa.update(_meta).where(_meta.c.key == bindparam("this")).values(value=bindparam("value"))
_ADD = sa.insert(_meta).values(key=bindparam("this"), value=bindparam("value"))


def renew(dialect: Dialect, *, epoch: str, new_token: Callable[[], int], actor: str, reason: str) -> RenewalReport:
    """``epoch``: a new random id. ``new_token`` gives random numbers of 48 bits. StoreUnavailable; it may be called again."""
    step, now = max(1, new_token()), rows.micros(dialect.now())

    def attempt() -> RenewalReport:
        with dialect.write() as transaction:
            note = {"actor": actor, "reason": reason, "at": now, "epoch_before": migrating.epoch(transaction)}
            processes = sum(_renew_range(transaction, number, step) for number in range(len(_BOUNDS)))
            servers = transaction.run(_BURY, {"evidence": DEATH, "now": dialect.given_now()})
            _note(transaction, EPOCH, epoch)
            _note(transaction, LAST, rows.to_json(note))
            return RenewalReport(epoch=epoch, servers=servers, processes=processes)

    return trouble.again(attempt, lambda: new_token() % 1024 / 1024)


def _renew_range(transaction: Transaction, number: int, step: int) -> int:
    values = {"first": _BOUNDS[number], "step": step}
    if number + 1 == len(_BOUNDS):
        return transaction.run(_RENEW_FROM, values)
    return transaction.run(_RENEW_BETWEEN, {**values, "beyond": _BOUNDS[number + 1]})


def _note(transaction: Transaction, key: str, value: str) -> None:
    if not transaction.run(_SET, {"this": key, "value": value}):
        transaction.run(_ADD, {"this": key, "value": value})
