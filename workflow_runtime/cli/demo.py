"""``wfr demo``: kill a server in the middle of its payments, and count what came of it.

A real second process works on twelve orders; it is killed with SIGKILL while payments are in flight, and
started again, or, with ``--postgres``, another server takes over. Every number in the last line is counted
from the database and the provider's ledger.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

from workflow_runtime.cli.demo_seen import show
from workflow_runtime.cli.options import examples


@click.command("demo", epilog=examples("wfr demo", "wfr demo --keep", "wfr demo --postgres postgresql+psycopg://me@localhost/test"))
@click.option("--postgres", metavar="URL", help="Two servers over this PostgreSQL database, in a schema of its own.")
@click.option("--keep", is_flag=True, help="Leave the databases in place, to look at with the other commands.")
def demo(postgres: str | None, keep: bool) -> int:
    """Kill a server in the middle of twelve payments, and watch what becomes of them.

    One server on SQLite is killed and started again: that needs no network, no configuration and no answer. With
    --postgres there are two servers over one database: one is killed, and the other takes over at once, without any
    restart. Nothing that is in that database is touched: the demo makes a schema under a random name and drops it at
    its end, so the user of the URL needs the right to create one.

    Exit code 0 if nothing was lost and nothing paid twice.
    """
    folder = Path(tempfile.mkdtemp(prefix="wfr-demo-"))
    try:
        return on_postgres(folder, postgres, keep) if postgres else on_sqlite(folder, keep)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def on_sqlite(folder: Path, keep: bool) -> int:
    from workflow_runtime.cli.demo_story import Story

    url = f"sqlite:///{folder / 'workflow.db'}"
    try:
        return Story(folder, url).tell()
    finally:
        if keep:
            show(f"kept: wfr recovery report latest --url {url}", err=True)


def on_postgres(folder: Path, url: str, keep: bool) -> int:
    from workflow_runtime.cli.demo_pair import Pair
    from workflow_runtime.runtime.places import own_schema

    with own_schema(url, "wfr_demo", keep=keep) as schema:
        try:
            return Pair(folder, schema.url).tell()
        finally:
            if keep:
                show(f"kept: the schema {schema.name}; add options=-csearch_path%3D{schema.name} to the query of the URL", err=True)
