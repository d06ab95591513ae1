"""``wfr export`` and ``wfr import``: processes from one database into another, of whatever kind.

==============================================  ============================================
outcome                                         exit code
==============================================  ============================================
all transferred, skipped, or there was nothing  0
none of those that were to be transferred       1
some of them                                    6
the file is no sound export, or changed         1, and nothing was stored
==============================================  ============================================
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from workflow_runtime.cli.naming import DONE, FAILED, PARTIAL
from workflow_runtime.cli.options import Call, Output, add_common, examples
from workflow_runtime.cli.output import card, say
from workflow_runtime.cli.selecting import STDIN, parsed
from workflow_runtime.core.plain import plain

if TYPE_CHECKING:
    from workflow_runtime.core.answers import Progress, TransferReport

STDOUT = "-"
LISTED = 10  #: failures that are told one by one

_EXPORT = examples(
    "wfr export --out orders.jsonl --where scheme_code=Order",
    "wfr export --url sqlite:///shop.db | wfr import - --url postgresql+psycopg://shop@db/shop",
)
_IMPORT = examples(
    "wfr import orders.jsonl --dry-run",
    "wfr import orders.jsonl --url postgresql+psycopg://shop@db/shop",
    "wfr import orders.jsonl --skip-existing -o json",
)


class _Text:
    """stdout as a stream of bytes: an export is ASCII, so every encoding of a terminal has it."""

    def write(self, data: bytes) -> int:
        return sys.stdout.write(data.decode("ascii"))


@click.command("export", epilog=_EXPORT)
@click.option("--where", metavar="FILTER", help="field=value ..., as in wfr process list; without it all processes.")
@click.option("--out", metavar="FILE|-", default=STDOUT, help="Where to; - is stdout, the default. A file that is there is replaced.")
@click.pass_obj
def export(call: Call, where: str | None, out: str) -> int:
    """Write processes as JSON lines, with their schemes, history, timers and journal.

    All of one moment, also beside a server. What cannot be read is named and left out: exit code 6. The file holds all
    parameters of the processes; keep it as you keep the database. It is written for wfr import, which checks its digest.
    """
    filter = parsed(where)
    with call.client() as runtime, progress_bar() as progress:
        try:
            report = runtime.export_processes(cast(BinaryIO, _Text()) if out == STDOUT else out, filter, progress=progress)
        except FileNotFoundError as error:
            raise click.UsageError(f"{out!r} cannot be written: {error.strerror}") from error
    return _told(report, call.output, of_data=out != STDOUT, to=out)


@click.command("import", epilog=_IMPORT)
@click.argument("file", metavar="FILE|-")
@click.option("--skip-existing", is_flag=True, help="Pass over processes whose id is in use, instead of naming them as failed.")
@click.option("--dry-run", is_flag=True, help="Check the file and tell what would be done.")
@click.pass_obj
def import_(call: Call, file: str, skip_existing: bool, dry_run: bool) -> int:
    """Store the processes of an export, in a database of whatever kind. Nothing, unless all of the file is sound.

    Processes come as they were, with a new token and without an owner: what was executed when it was exported is decided
    by the next recovery, and timers that are overdue follow their missed policy. An id that is in use is an error.
    """
    with call.client() as runtime, progress_bar() as progress:
        try:
            source = sys.stdin.buffer if file == STDIN else file
            report = runtime.import_processes(source, skip_existing=skip_existing, dry_run=dry_run, progress=progress)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise click.UsageError(f"{file!r} cannot be read: {error.strerror}") from error
    return _told(report, call.output, of_data=True, to=file)


add_common(export)
add_common(import_)


def _told(report: TransferReport, output: Output, *, of_data: bool, to: str) -> int:
    """On stdout, unless the export itself went there."""
    if of_data:
        card(report, _lines(report), output, id=to)
    for process_id, why in list(report.failed.items())[:LISTED]:
        say(f"failed: {process_id}: {why}")
    if len(report.failed) > LISTED:
        say(f"failed: and {len(report.failed) - LISTED} more; -o json names all")
    say(f"{report.verb}: {_summary(report)}")
    if not report.failed:
        return DONE
    return PARTIAL if report.processes or report.skipped else FAILED


def _lines(report: TransferReport) -> dict[str, Any]:
    return {name: value for name, value in plain(report).items() if name not in ("failed", "verb")} | {"failed": len(report.failed)}


_WORDS = {"export": "exported", "import": "imported"}


def _summary(report: TransferReport) -> str:
    would = " would be" if report.dry_run else ""
    counts = [f"{report.processes} processes and {report.schemes} scheme versions{would} {_WORDS[report.verb]}"]
    counts += [f"{report.keys} idempotency keys"] * bool(report.keys)
    counts += [f"{report.skipped} skipped, because they exist"] * bool(report.skipped)
    counts += [f"{len(report.failed)} failed"] * bool(report.failed)
    return ", ".join(counts) + (" (dry run, nothing was changed)" if report.dry_run else "")


@contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """A bar on stderr, where somebody may see it; it goes when all is done."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of or None)
            bar.update(tasks[what], completed=done, total=of or None)

        yield show
