"""``wfr demo --postgres``: two servers, one is killed, the other takes over; the database is left as it was."""

from __future__ import annotations

import re
import subprocess
import sys

import databases
import pytest
import sqlalchemy as sa
from wfr_calls import wfr

LAST_LINE = "orders 12 · finished 12 · lost 0 · paid twice 0"

_TABLES = sa.table("tables", sa.column("table_schema"), sa.column("table_name"), schema="information_schema")
_SCHEMATA = sa.table("schemata", sa.column("schema_name"), schema="information_schema")


def what_is_there(url: sa.URL) -> set[tuple[str, str]]:
    """Every schema and table of the database, but those that other tests make meanwhile."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        tables = connection.execute(sa.select(_TABLES.c.table_schema, _TABLES.c.table_name)).all()
        schemas = connection.execute(sa.select(_SCHEMATA.c.schema_name)).scalars().all()
    return {(schema, table) for schema, table in [*tables, *((schema, "") for schema in schemas)] if not re.match("wf_|pg_toast|pg_temp", schema)}


def test_the_other_server_takes_over_and_the_database_stays_as_it_was(postgresql: databases.Places) -> None:
    url = postgresql.url.render_as_string(hide_password=False)
    before = what_is_there(postgresql.url)
    command = [sys.executable, "-m", "workflow_runtime", "demo", "--postgres", url]
    told = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    lines = told.stdout.splitlines()
    assert lines[-1] == LAST_LINE
    assert told.stderr == ""
    assert what_is_there(postgresql.url) == before

    assert re.search(r"worker-1 +pid \d+ +6 payments in flight +payments made: 2$", told.stdout, re.MULTILINE)
    assert re.search(r"worker-2 +pid \d+ +4 payments in flight$", told.stdout, re.MULTILINE)
    assert "worker-1 killed with SIGKILL, 6 orders stand in Running in its name:" in told.stdout
    assert told.stdout.count("payment: made, the answer never came") == 3
    assert told.stdout.count("payment: asked for, not made") == 3
    owned = re.findall(r"worker-2 took over, recovery #\d+: (\d+) owned = (\d+) decided$", told.stdout, re.MULTILINE)
    assert sum(int(number) for number, _ in owned) == sum(int(number) for _, number in owned) == 6
    times = r"worker-1: its lock was freed; after the kill: noticed \d+\.\d\d s, adopted \d+\.\d\d s, first progress \d+\.\d\d s$"
    assert len(re.findall(times, told.stdout, re.MULTILINE)) == len(owned)
    resumed = re.findall(r"^ +(order-\d\d) +Charge / ChargePayment +resume +demo\.ResumePayment", told.stdout, re.MULTILINE)
    assert sorted(resumed) == [f"order-{number:02}" for number in range(1, 9) if f"order-{number:02}" in resumed]
    assert len(resumed) == 6


@pytest.mark.parametrize("url", ["sqlite:///workflow.db", "mysql+pymysql://root@127.0.0.1/test"])
def test_other_databases_are_refused(url: str) -> None:
    refused = wfr("demo", "--postgres", url)
    assert refused.code == 1
    assert "expected PostgreSQL, as in postgresql+psycopg://user@host/database" in refused.err


def test_a_server_that_cannot_be_reached_is_said_in_one_line() -> None:
    refused = wfr("demo", "--postgres", "postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    assert refused.code == 1
    assert refused.err.startswith("Error: the database ")
    assert "Traceback" not in refused.err
