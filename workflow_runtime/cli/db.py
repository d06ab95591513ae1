"""``wfr db``: the tables of a database."""

from __future__ import annotations

from workflow_runtime.cli.naming import noun
from workflow_runtime.cli.options import Call, verb
from workflow_runtime.cli.output import write

db = noun("db", "Create, upgrade and check the tables of a database.")


@verb(db, "upgrade", "wfr db upgrade", "wfr db upgrade --url sqlite:////var/lib/shop/workflow.db")
def upgrade(call: Call) -> None:
    """Create the tables, or bring them to this version. A server does the same when it starts."""
    done = call.runtime().upgrade_database()
    write("upgraded to the tables of this version" if done else "nothing to do: the tables are those of this version")


@verb(db, "check", "wfr db check", "wfr db check --url sqlite:///shop.db && wfr server run --url sqlite:///shop.db")
def check(call: Call) -> None:
    """Tell whether this version can work with a database. Exit code 1 if not."""
    with call.client() as runtime:
        write(f"ok: the tables are those of this version, {runtime.count_processes()} processes")
