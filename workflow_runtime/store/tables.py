"""The tables. Every name begins with ``wf_``; the migrations lead to exactly what stands here.

===============  ===============================================================================
kind of value    how it is stored
===============  ===============================================================================
time             BIGINT, microseconds since 1970-01-01 UTC: the same in every database, and indexable
id of a process  36 characters, lower-case UUID
status           small integer, ``ProcessStatus.id``
parameters       typed JSON as text, one column: it is read and written whole
walk, errors     JSON as ASCII text, so that no database can stumble over a character
===============  ===============================================================================

Plain types without processors: rows.py and records.py convert, once, where a row becomes a value.
Names compare case-sensitively everywhere; see columns.py.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    UniqueConstraint,
    literal_column,
)

from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.store.columns import COUNTER, Exact, Long

metadata = MetaData()

NAME = Exact(200)
UUID_TEXT = Exact(36)
KEY = Exact(64)  #: digests, walk ids, incarnations
LONG = Long()
MICROSECONDS = BigInteger()

RUNNING: ColumnElement[int] = literal_column(str(ProcessStatus.RUNNING.id))  #: written out: for a bound value the plan would be made without knowing which

scheme = Table(
    "wf_scheme",
    metadata,
    Column("code", NAME, primary_key=True),
    Column("version", KEY, primary_key=True),
    Column("text", LONG, nullable=False),
    Column("format", Exact(16), nullable=False),
    Column("added_at", MICROSECONDS, nullable=False),
)

scheme_current = Table(
    "wf_scheme_current",
    metadata,
    Column("code", NAME, primary_key=True),
    Column("version", KEY, nullable=False),
)

process = Table(
    "wf_process",
    metadata,
    Column("id", UUID_TEXT, primary_key=True),
    Column("scheme_code", NAME, nullable=False),
    Column("scheme_version", KEY, nullable=False),
    Column("activity", NAME, nullable=False),
    Column("state", NAME, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("previous_activity", NAME, nullable=False),
    Column("previous_state", NAME, nullable=False),
    Column("previous_activity_for_direct", NAME, nullable=False),
    Column("previous_state_for_direct", NAME, nullable=False),
    Column("previous_activity_for_reverse", NAME, nullable=False),
    Column("previous_state_for_reverse", NAME, nullable=False),
    Column("parameters", LONG, nullable=False),
    Column("parent_id", UUID_TEXT),
    Column("root_id", UUID_TEXT, nullable=False),
    Column("tenant_id", NAME),
    Column("created_at", MICROSECONDS, nullable=False),
    Column("updated_at", MICROSECONDS, nullable=False),
    Column("status_since", MICROSECONDS, nullable=False),
    Column("activity_since", MICROSECONDS, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("waiting_until", MICROSECONDS),
    Column("last_error", LONG),
    Column("owner", KEY),
    Column("token", BigInteger, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("deaths_step", LONG, nullable=False),
    Column("adoptions", Integer, nullable=False),
    Column("cancel_requested", LONG),
    Column("children_open", Integer, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("walk", LONG),
)

# Pages go newest first by creation, orphans oldest first: it never changes, so a page has no gaps and no repeats while processes
# move. No column of an index changes with a step of a walk: PostgreSQL then writes none of them anew.
Index("wf_process_status", process.c.status, process.c.created_at, process.c.id, process.c.scheme_code)
Index("wf_process_scheme", process.c.scheme_code, process.c.created_at, process.c.id)
Index("wf_process_created", process.c.created_at, process.c.id)
_is_child, _has_tenant = process.c.parent_id.is_not(None), process.c.tenant_id.is_not(None)
Index("wf_process_parent", process.c.parent_id, process.c.created_at, process.c.id, sqlite_where=_is_child, postgresql_where=_is_child)
Index("wf_process_tenant", process.c.tenant_id, process.c.created_at, process.c.id, sqlite_where=_has_tenant, postgresql_where=_has_tenant)

timer = Table(
    "wf_timer",
    metadata,
    Column("process_id", UUID_TEXT, ForeignKey(process.c.id, name="wf_timer_process", ondelete="CASCADE"), primary_key=True),
    Column("kind", Exact(8), primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("due", MICROSECONDS, nullable=False),
    Column("value", LONG, nullable=False),
    Column("armed_at", MICROSECONDS, nullable=False),
)
Index("wf_timer_due", timer.c.due, timer.c.process_id)

journal = Table(
    "wf_journal",
    metadata,
    Column("id", COUNTER, primary_key=True, autoincrement=True),
    Column("process_id", UUID_TEXT, ForeignKey(process.c.id, name="wf_journal_process", ondelete="CASCADE"), nullable=False),
    Column("walk_id", KEY, nullable=False),
    Column("activity", NAME, nullable=False),
    Column("action", NAME, nullable=False),
    Column("action_index", Integer, nullable=False),
    Column("step", NAME, nullable=False),
    Column("occurrence", Integer, nullable=False),
    Column("digest", KEY, nullable=False),
    Column("result", LONG, nullable=False),
    Column("changes", LONG, nullable=False),
    Column("at", MICROSECONDS, nullable=False),
    # The process stands first only so that its rows lie together; walk ids are unique by themselves.
    UniqueConstraint("process_id", "walk_id", "activity", "action_index", "step", "occurrence", name="wf_journal_once"),
)

history = Table(
    "wf_history",
    metadata,
    Column("id", COUNTER, primary_key=True, autoincrement=True),
    Column("process_id", UUID_TEXT, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Exact(32), nullable=False),
    Column("at", MICROSECONDS, nullable=False),
    Column("from_activity", NAME, nullable=False),
    Column("to_activity", NAME, nullable=False),
    Column("from_state", NAME, nullable=False),
    Column("to_state", NAME, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("trigger_kind", Exact(32), nullable=False),
    Column("trigger_name", NAME, nullable=False),
    Column("transition", NAME, nullable=False),
    Column("classifier", Exact(32), nullable=False),
    Column("identity", LONG),
    Column("impersonated_identity", LONG),
    Column("actor", LONG),
    Column("reason", LONG),
    Column("walk_id", KEY, nullable=False),
    Column("server", KEY),
    Column("started_at", MICROSECONDS),
    Column("is_final", SmallInteger, nullable=False),
    Column("error", LONG),
    Column("idempotency_key", Exact(255)),  #: of the request whose run it belongs to
    UniqueConstraint("process_id", "seq", name="wf_history_seq"),
    # Nothing takes rows away, so on SQLite too ids only grow; AUTOINCREMENT would cost each commit a page more
)

server = Table(
    "wf_server",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("name", NAME, nullable=False),
    Column("host", LONG, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("version", KEY, nullable=False),
    Column("mode", Exact(16), nullable=False),
    Column("started_at", MICROSECONDS, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("last_beat_at", MICROSECONDS, nullable=False),
    Column("lease_until", MICROSECONDS, nullable=False),
    Column("dead_at", MICROSECONDS),
    Column("draining", SmallInteger, nullable=False),
    Column("lock_ok", SmallInteger, nullable=False),
    Column("lock_key", KEY, nullable=False, server_default=""),
    Column("beat_every", MICROSECONDS, nullable=False, server_default="0"),  #: between two beats; 0: not known
    Column("death", Exact(16), nullable=False, server_default=""),  #: how it was noticed
    Column("declared_by", KEY, nullable=False, server_default=""),  #: the incarnation that declared it dead
)

recovery = Table(
    "wf_recovery",
    metadata,
    Column("number", COUNTER, primary_key=True, autoincrement=True),
    Column("id", KEY, nullable=False),
    Column("cause", Exact(16), nullable=False),
    Column("server", KEY, nullable=False),
    Column("dead_servers", LONG, nullable=False),
    Column("owned", Integer, nullable=False),
    Column("decided", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("by_decision", LONG, nullable=False),
    Column("noticed_at", MICROSECONDS),
    Column("adopted_at", MICROSECONDS),
    Column("first_progress_at", MICROSECONDS),
    Column("ended_at", MICROSECONDS),
    UniqueConstraint("id", name="wf_recovery_id"),
)

decision = Table(
    "wf_decision",
    metadata,
    Column("id", COUNTER, primary_key=True, autoincrement=True),
    Column("recovery_id", KEY, nullable=False),
    Column("process_id", UUID_TEXT, nullable=False),
    Column("scheme_code", NAME, nullable=False),
    Column("decision", Exact(32), nullable=False),
    Column("decided_by", LONG, nullable=False),
    Column("reason", LONG, nullable=False),
    Column("activity", NAME, nullable=False),
    Column("step", NAME, nullable=False),
    Column("status_before", SmallInteger, nullable=False),
    Column("status_after", SmallInteger),
    Column("evidence", LONG, nullable=False),
    Column("error", LONG, nullable=False),
    Column("server", KEY),
    Column("at", MICROSECONDS, nullable=False),
)
Index("wf_decision_recovery", decision.c.recovery_id, decision.c.id)
Index("wf_decision_process", decision.c.process_id, decision.c.id)

# Idempotency keys: see keys.py.
idempotency = Table(
    "wf_idempotency",
    metadata,
    Column("scope", NAME, primary_key=True),
    Column("key", Exact(255), primary_key=True),
    Column("digest", KEY, nullable=False),
    Column("answer", LONG),
    Column("created", MICROSECONDS, nullable=False),
    Column("settled", MICROSECONDS),
    Column("process_id", UUID_TEXT),
)
Index("wf_idempotency_settled", idempotency.c.settled)
Index("wf_idempotency_process", idempotency.c.process_id)

meta = Table(
    "wf_meta",
    metadata,
    Column("key", NAME, primary_key=True),
    Column("value", LONG, nullable=False),
)
