"""The tables of the first release, as they were then: later changes of tables.py are later revisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from workflow_runtime.store.columns import COUNTER, Exact, Long
from workflow_runtime.store.migrations.steps import create_index, create_table

revision = "0001"
down_revision = None

LONG = Long()


def upgrade() -> None:
    for create in (_scheme, _scheme_current, _process, _timer, _journal, _history, _server, _recovery, _decision, _idempotency, _meta):
        create()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_READ_PARAMETER)


def _scheme() -> None:
    create_table(
        "wf_scheme",
        sa.Column("code", Exact(200), nullable=False),
        sa.Column("version", Exact(64), nullable=False),
        sa.Column("text", LONG, nullable=False),
        sa.Column("format", Exact(16), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", "version"),
    )


def _scheme_current() -> None:
    create_table(
        "wf_scheme_current", sa.Column("code", Exact(200), nullable=False), sa.Column("version", Exact(64), nullable=False), sa.PrimaryKeyConstraint("code")
    )


def _process() -> None:
    create_table(
        "wf_process",
        sa.Column("id", Exact(36), nullable=False),
        sa.Column("scheme_code", Exact(200), nullable=False),
        sa.Column("scheme_version", Exact(64), nullable=False),
        sa.Column("activity", Exact(200), nullable=False),
        sa.Column("state", Exact(200), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("previous_activity", Exact(200), nullable=False),
        sa.Column("previous_state", Exact(200), nullable=False),
        sa.Column("previous_activity_for_direct", Exact(200), nullable=False),
        sa.Column("previous_state_for_direct", Exact(200), nullable=False),
        sa.Column("previous_activity_for_reverse", Exact(200), nullable=False),
        sa.Column("previous_state_for_reverse", Exact(200), nullable=False),
        sa.Column("parameters", LONG, nullable=False),
        sa.Column("parent_id", Exact(36), nullable=True),
        sa.Column("root_id", Exact(36), nullable=False),
        sa.Column("tenant_id", Exact(200), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("status_since", sa.BigInteger(), nullable=False),
        sa.Column("activity_since", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("waiting_until", sa.BigInteger(), nullable=True),
        sa.Column("last_error", LONG, nullable=True),
        sa.Column("owner", Exact(64), nullable=True),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("deaths_step", LONG, nullable=False),
        sa.Column("adoptions", sa.Integer(), nullable=False),
        sa.Column("cancel_requested", LONG, nullable=True),
        sa.Column("children_open", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("walk", LONG, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    create_index("wf_process_created", "wf_process", ["created_at", "id"], unique=False)
    create_index(
        "wf_process_parent",
        "wf_process",
        ["parent_id", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    create_index(
        "wf_process_running",
        "wf_process",
        ["status", "updated_at", "id"],
        unique=False,
        sqlite_where=sa.text("status = 1"),
        postgresql_where=sa.text("status = 1"),
    )
    create_index("wf_process_scheme", "wf_process", ["scheme_code", "created_at", "id"], unique=False)
    create_index("wf_process_status", "wf_process", ["status", "created_at", "id", "scheme_code"], unique=False)
    create_index(
        "wf_process_tenant",
        "wf_process",
        ["tenant_id", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("tenant_id IS NOT NULL"),
        postgresql_where=sa.text("tenant_id IS NOT NULL"),
    )


def _timer() -> None:
    create_table(
        "wf_timer",
        sa.Column("process_id", Exact(36), nullable=False),
        sa.Column("kind", Exact(8), nullable=False),
        sa.Column("name", Exact(200), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("value", LONG, nullable=False),
        sa.Column("armed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["process_id"], ["wf_process.id"], name="wf_timer_process", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("process_id", "kind", "name"),
    )
    create_index("wf_timer_due", "wf_timer", ["due", "process_id"], unique=False)


def _journal() -> None:
    create_table(
        "wf_journal",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("process_id", Exact(36), nullable=False),
        sa.Column("walk_id", Exact(64), nullable=False),
        sa.Column("activity", Exact(200), nullable=False),
        sa.Column("action", Exact(200), nullable=False),
        sa.Column("action_index", sa.Integer(), nullable=False),
        sa.Column("step", Exact(200), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("digest", Exact(64), nullable=False),
        sa.Column("result", LONG, nullable=False),
        sa.Column("changes", LONG, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["process_id"], ["wf_process.id"], name="wf_journal_process", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("process_id", "walk_id", "activity", "action_index", "step", "occurrence", name="wf_journal_once"),
    )


def _history() -> None:
    create_table(
        "wf_history",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("process_id", Exact(36), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", Exact(32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("from_activity", Exact(200), nullable=False),
        sa.Column("to_activity", Exact(200), nullable=False),
        sa.Column("from_state", Exact(200), nullable=False),
        sa.Column("to_state", Exact(200), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("trigger_kind", Exact(32), nullable=False),
        sa.Column("trigger_name", Exact(200), nullable=False),
        sa.Column("transition", Exact(200), nullable=False),
        sa.Column("classifier", Exact(32), nullable=False),
        sa.Column("identity", LONG, nullable=True),
        sa.Column("impersonated_identity", LONG, nullable=True),
        sa.Column("actor", LONG, nullable=True),
        sa.Column("reason", LONG, nullable=True),
        sa.Column("walk_id", Exact(64), nullable=False),
        sa.Column("server", Exact(64), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("is_final", sa.SmallInteger(), nullable=False),
        sa.Column("error", LONG, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("process_id", "seq", name="wf_history_seq"),
        sqlite_autoincrement=True,
    )


def _server() -> None:
    create_table(
        "wf_server",
        sa.Column("id", Exact(64), nullable=False),
        sa.Column("name", Exact(200), nullable=False),
        sa.Column("host", LONG, nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("version", Exact(64), nullable=False),
        sa.Column("mode", Exact(16), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("last_beat_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("dead_at", sa.BigInteger(), nullable=True),
        sa.Column("draining", sa.SmallInteger(), nullable=False),
        sa.Column("lock_ok", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _recovery() -> None:
    create_table(
        "wf_recovery",
        sa.Column("number", COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", Exact(64), nullable=False),
        sa.Column("cause", Exact(16), nullable=False),
        sa.Column("server", Exact(64), nullable=False),
        sa.Column("dead_servers", LONG, nullable=False),
        sa.Column("owned", sa.Integer(), nullable=False),
        sa.Column("decided", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("by_decision", LONG, nullable=False),
        sa.Column("noticed_at", sa.BigInteger(), nullable=True),
        sa.Column("adopted_at", sa.BigInteger(), nullable=True),
        sa.Column("first_progress_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id", name="wf_recovery_id"),
    )


def _decision() -> None:
    create_table(
        "wf_decision",
        sa.Column("id", COUNTER, autoincrement=True, nullable=False),
        sa.Column("recovery_id", Exact(64), nullable=False),
        sa.Column("process_id", Exact(36), nullable=False),
        sa.Column("scheme_code", Exact(200), nullable=False),
        sa.Column("decision", Exact(32), nullable=False),
        sa.Column("decided_by", LONG, nullable=False),
        sa.Column("reason", LONG, nullable=False),
        sa.Column("activity", Exact(200), nullable=False),
        sa.Column("step", Exact(200), nullable=False),
        sa.Column("status_before", sa.SmallInteger(), nullable=False),
        sa.Column("status_after", sa.SmallInteger(), nullable=True),
        sa.Column("evidence", LONG, nullable=False),
        sa.Column("error", LONG, nullable=False),
        sa.Column("server", Exact(64), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    create_index("wf_decision_process", "wf_decision", ["process_id", "id"], unique=False)
    create_index("wf_decision_recovery", "wf_decision", ["recovery_id", "id"], unique=False)


def _idempotency() -> None:
    create_table(
        "wf_idempotency",
        sa.Column("scope", Exact(200), nullable=False),
        sa.Column("key", Exact(255), nullable=False),
        sa.Column("digest", Exact(64), nullable=False),
        sa.Column("answer", LONG, nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("scope", "key"),
    )


def _meta() -> None:
    create_table("wf_meta", sa.Column("key", Exact(200), nullable=False), sa.Column("value", LONG, nullable=False), sa.PrimaryKeyConstraint("key"))


#: For filters: a parameter as the text that PostgreSQL makes of its JSON. A parameter named $ makes all of them a
#: tagged dict (core.values). A row that somebody has damaged has no parameters, instead of breaking the query off.
_READ_PARAMETER = """
CREATE FUNCTION wf_parameter(stored text, wanted text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE found jsonb;
BEGIN
    found := CAST(stored AS jsonb);
    IF found -> '$' IS NOT NULL THEN
        found := found -> '$' -> 1;
    END IF;
    RETURN CAST(found -> wanted AS text);
EXCEPTION WHEN others THEN
    RETURN NULL;
END $$
"""
