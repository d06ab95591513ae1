"""The triggers that write the audit, on PostgreSQL and on MariaDB. The engine does not know of them.

===========  ============================================  ===============================================================
column       PostgreSQL                                    MariaDB
===========  ============================================  ===============================================================
writer       ``application_name``                          the variable ``@wf_writer``, set when a connection begins
transaction  its number                                    the connection, and which write of this process on it came last
begun        ``statement_timestamp()``                     ``NOW(6)``
at           ``clock_timestamp()``                         ``SYSDATE(6)``
===========  ============================================  ===============================================================

``had`` and ``owner`` are the owner of the process before and after the write. Of a server only its coming, its death
and its going are taken, not its beats.
"""

from __future__ import annotations

import sqlalchemy as sa

from workflow_runtime.store import tables

WATCHED = (tables.process, tables.history, tables.journal, tables.timer, tables.decision, tables.server)
OPERATIONS = ("INSERT", "UPDATE", "DELETE")


def install(engine: sa.Engine) -> None:
    """Into a place whose tables are there, before the first server of the run."""
    statements = _postgres() if engine.dialect.name == "postgresql" else _mariadb()
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def named(url: sa.URL, name: str) -> sa.URL:
    """The same URL; what comes by it is written down under this name."""
    if url.get_backend_name() == "postgresql":
        return url.update_query_dict({"application_name": name})
    return url.update_query_dict({"init_command": f"SET @wf_writer = '{name}'"})


# ------------------------------------------------------------------ PostgreSQL


def _postgres() -> list[str]:
    begun, at = (f"CAST(extract(epoch FROM {clock}()) * 1000000 AS bigint)" for clock in ("statement_timestamp", "clock_timestamp"))
    table = """
CREATE TABLE audit (
    seq bigserial PRIMARY KEY, source text NOT NULL, operation text NOT NULL, process text, old_row text, new_row text, had text, owner text, token bigint,
    writer text NOT NULL, transaction bigint NOT NULL, begun bigint NOT NULL, at bigint NOT NULL)"""
    function = f"""
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    has record;
    changed text;
    old_row json := CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE row_to_json(OLD) END;
    new_row json := CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE row_to_json(NEW) END;
BEGIN
    IF TG_TABLE_NAME = 'wf_server' AND TG_OP = 'UPDATE' AND old_row ->> 'dead_at' IS NOT DISTINCT FROM new_row ->> 'dead_at' THEN
        RETURN NULL;
    END IF;
    changed := coalesce(new_row, old_row) ->> CASE WHEN TG_TABLE_NAME = 'wf_process' THEN 'id' ELSE 'process_id' END;
    SELECT owner, token INTO has FROM wf_process WHERE id = changed;
    INSERT INTO audit (source, operation, process, old_row, new_row, had, owner, token, writer, transaction, begun, at)
    VALUES (TG_TABLE_NAME, TG_OP, changed, old_row, new_row, old_row ->> 'owner', has.owner, has.token, current_setting('application_name'), txid_current(),
            {begun}, {at});
    RETURN NULL;
END $$"""
    triggers = [f"CREATE TRIGGER audit AFTER {' OR '.join(OPERATIONS)} ON {each.name} FOR EACH ROW EXECUTE FUNCTION audit()" for each in WATCHED]
    return [table, function, *triggers]


# ------------------------------------------------------------------ MariaDB


def _mariadb() -> list[str]:
    table = """
CREATE TABLE audit (
    seq bigint PRIMARY KEY AUTO_INCREMENT, source varchar(64) NOT NULL, operation varchar(16) NOT NULL, process varchar(36), old_row longtext, new_row longtext,
    had varchar(64), owner varchar(64), token bigint, writer varchar(200), transaction bigint NOT NULL, begun bigint NOT NULL, at bigint NOT NULL
) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"""
    return [table, *(_mariadb_trigger(each, operation) for each in WATCHED for operation in OPERATIONS)]


def _mariadb_trigger(table: sa.Table, operation: str) -> str:
    old = "NULL" if operation == "INSERT" else _object(table, "OLD")
    new = "NULL" if operation == "DELETE" else _object(table, "NEW")
    row = "OLD" if operation == "DELETE" else "NEW"
    begun, at = (f"CAST(UNIX_TIMESTAMP({clock}(6)) * 1000000 AS SIGNED)" for clock in ("NOW", "SYSDATE"))
    process, had, owner, token, transaction = "NULL", "NULL", "NULL", "NULL", "0"
    before = ""
    if table is tables.process:
        process = f"{row}.id"
        had = "NULL" if operation == "INSERT" else "OLD.owner"
        owner, token = ("NULL", "NULL") if operation == "DELETE" else ("NEW.owner", "NEW.token")
        before = f"SET @wf_count = COALESCE(@wf_count, 0) + 1, @wf_last = JSON_SET(COALESCE(@wf_last, '{{}}'), CONCAT('$.\"', {process}, '\"'), @wf_count);"
        transaction = "CONNECTION_ID() * 1000000 + @wf_count"
    elif table is not tables.server:
        process = f"{row}.process_id"
        owner, token = (f"(SELECT {column} FROM wf_process WHERE id = {process})" for column in ("owner", "token"))
        transaction = f"CONNECTION_ID() * 1000000 + COALESCE(JSON_VALUE(@wf_last, CONCAT('$.\"', {process}, '\"')), 0)"
    insert = f"""INSERT INTO audit (source, operation, process, old_row, new_row, had, owner, token, writer, transaction, begun, at)
    VALUES ('{table.name}', '{operation}', {process}, {old}, {new}, {had}, {owner}, {token}, @wf_writer, {transaction}, {begun}, {at});"""
    if table is tables.server and operation == "UPDATE":
        insert = f"IF NOT (OLD.dead_at <=> NEW.dead_at) THEN {insert} END IF;"
    return f"CREATE TRIGGER audit_{table.name}_{operation} AFTER {operation} ON {table.name} FOR EACH ROW BEGIN {before} {insert} END"


def _object(table: sa.Table, row: str) -> str:
    pairs = ", ".join(f"'{column.name}', {row}.{column.name}" for column in table.c)
    return f"JSON_OBJECT({pairs})"
