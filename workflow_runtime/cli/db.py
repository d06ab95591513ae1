"""``wfr db``: the tables of a database, copies of it, and its new life after a copy was put in its place."""

from __future__ import annotations

import sys

import click

from workflow_runtime.cli.naming import FAILED, noun
from workflow_runtime.cli.options import Call, verb
from workflow_runtime.cli.orders import login_name
from workflow_runtime.cli.output import card, say, write
from workflow_runtime.cli.transfer import progress_bar

db = noun("db", "Create, upgrade and check the tables of a database; copy it; renew it after a restore.")

CONSEQUENCE = "every server registers anew, and what is in hand goes to recovery"


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


@verb(db, "backup", "wfr db backup /backup/shop.db --url sqlite:///shop.db", "wfr db backup /backup/shop.db --force")
@click.argument("file")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def backup(call: Call, file: str, force: bool) -> None:
    """Copy a SQLite database into one file, while servers may write: one moment of it, checked.

    PostgreSQL, MariaDB and MySQL have tools of their own for this: the command is told, with exit code 2. After a
    restore call wfr db renew.
    """
    from workflow_runtime.errors import SettingsError

    with progress_bar() as progress:
        try:
            size = call.runtime().backup_database(file, force=force, progress=progress)
        except SettingsError as error:
            if "command" not in error.nouns:
                raise
            raise click.UsageError(error.message) from error
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
            raise click.UsageError(f"{file!r} cannot be written: {error.strerror}") from error
    card({"file": file, "bytes": size}, {"file": file, "bytes": size, "next": "after a restore: wfr db renew --reason TEXT"}, call.output, id=file)


@verb(
    db,
    "renew",
    "wfr db renew --reason 'restored the copy of last night'",
    "wfr db renew --reason INC-77 --yes --url postgresql+psycopg://shop@db/shop",
)
@click.option("--actor", metavar="NAME", help="Who; the login name by default.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is noted in the database.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def renew(call: Call, actor: str | None, reason: str, yes: bool) -> int:
    """Call this after a backup was put in the place of a database: nobody who knew it before can write it then.

    Every server that it holds counts as dead, every process gets another token and revision, and the database another
    epoch. Servers that run register anew by themselves; what they had in hand is decided by recovery.
    """
    order = {"actor": actor or login_name(), "reason": reason}
    with call.client() as runtime:
        if not yes and not _confirmed():
            say("nothing was done")
            return FAILED
        report = runtime.renew_database(**order)
    lines = {"epoch": report.epoch, "servers declared dead": report.servers, "processes renewed": report.processes}
    card(report, lines, call.output, id=report.epoch)
    return 0


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("renew needs an answer and nobody is at the terminal; add --yes")
    say(f"renew: {CONSEQUENCE}")
    click.echo("Go on? [y/N] ", nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
