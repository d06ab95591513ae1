"""Server rows and recovery rows. A server row is one incarnation; dead is for ever. Its times are those of the database.

Law: the row of a dead server stays while the server owns anything. That a server has no row means that it took leave.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.restoring import RecoveryReport, Server
from workflow_runtime.store import records, rows, tables
from workflow_runtime.store.clock import NOW
from workflow_runtime.store.dialects import Statement, Transaction

_server, _recovery = tables.server, tables.recovery
_THIS = _server.c.id == bindparam("this")
_LIVES = _server.c.dead_at.is_(None)
_BEATS: dict[str, Any] = {
    "beat": _server.c.beat + sa.literal_column("1"),
    "last_beat_at": NOW,
    "lease_until": NOW + bindparam("lease"),
}

_REGISTER = sa.insert(_server).values({column.name: bindparam(column.name) for column in _server.c})
_BEAT = sa.update(_server).where(_THIS, _LIVES).values(_BEATS)
_DRAIN = sa.update(_server).where(_THIS).values(draining=sa.literal_column("1"))
_RETIRE = sa.delete(_server).where(_THIS)
_DECLARE_DEAD = (
    sa.update(_server)
    .where(_THIS, _LIVES, _server.c.beat == bindparam("seen"))
    .values(dead_at=NOW, death=bindparam("evidence"), declared_by=bindparam("declared_by"))
)
_OWNS = sa.select(sa.literal_column("1")).where(tables.process.c.status == tables.RUNNING, tables.process.c.owner == _server.c.id).exists()
_FORGET_DEAD = sa.delete(_server).where(_server.c.dead_at < NOW - bindparam("kept"), ~_OWNS)
_SERVERS = sa.select(_server).order_by(_server.c.started_at, _server.c.id)

_RECOVERY_COLUMNS: dict[str, Any] = {name: bindparam(name) for name in records.RECOVERY_COLUMNS}
_OPEN_RECOVERY: Statement = sa.insert(_recovery).values(_RECOVERY_COLUMNS)
_UPDATE_RECOVERY: Statement = (
    sa.update(_recovery).where(_recovery.c.id == bindparam("this")).values({name: bind for name, bind in _RECOVERY_COLUMNS.items() if name != "id"})
)

_FORGET_RECOVERY: Statement = sa.delete(_recovery).where(_recovery.c.id == bindparam("this"))


def register(transaction: Transaction, server: Server) -> None:
    transaction.run(_REGISTER, records.server_values(server))


def beat(transaction: Transaction, server_id: str, lease: timedelta) -> bool:
    """False: this incarnation was declared dead, or its row is gone."""
    return transaction.run(_BEAT, {"this": server_id, "now": transaction.dialect.given_now(), "lease": lease // rows.MICROSECOND}) == 1


def drain(transaction: Transaction, server_id: str) -> None:
    transaction.run(_DRAIN, {"this": server_id})


def retire(transaction: Transaction, server_id: str) -> None:
    transaction.run(_RETIRE, {"this": server_id})


def declare_dead(transaction: Transaction, server_id: str, seen: int, evidence: str, declared_by: str | None) -> bool:
    """True if this call made it so; False if it has beaten since, or was dead already, or is gone."""
    values = {"this": server_id, "seen": seen, "evidence": evidence, "declared_by": declared_by or "", "now": transaction.dialect.given_now()}
    return transaction.run(_DECLARE_DEAD, values) == 1


def forget_dead(transaction: Transaction, kept: timedelta) -> int:
    """The dead of longer ago that own nothing; how many they were."""
    return transaction.run(_FORGET_DEAD, {"kept": kept // rows.MICROSECOND, "now": transaction.dialect.given_now()})


def servers(transaction: Transaction) -> list[Server]:
    return [records.read_server(row) for row in transaction.rows(_SERVERS, {})]


def open_recovery(transaction: Transaction, report: RecoveryReport) -> None:
    transaction.run(_OPEN_RECOVERY, records.recovery_values(report))


def forget_recovery(transaction: Transaction, recovery_id: str) -> None:
    transaction.run(_FORGET_RECOVERY, {"this": recovery_id})


def update_recovery(transaction: Transaction, report: RecoveryReport) -> None:
    transaction.run(_UPDATE_RECOVERY, {**records.recovery_values(report), "this": report.id})
