"""``python tests/planted/run.py [NAME ...]``: plants each bug in a copy of the package, and sees whether its tests catch it.

First the same tests must pass over the copy as it is. A bug is caught when every test that is named for it fails. A test
that is skipped here (its database is not there) proves nothing: where all are, the bug was not tried. Exit code 1 when one was missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import click
from copying import Copy, Found, Unusable, Verdict
from planted_bugs import BUGS, PlantedBug
from rich.console import Console
from rich.table import Column, Table

HONEST = 900  #: seconds for all tests over the honest copy
BROKEN = 120  #: seconds for those of one bug: one that makes a test hang is caught too
CAUGHT, MISSED, NOT_TRIED = "caught", "MISSED", "not tried"
LONGEST = 110  #: characters of a message
WIDTH = 200  #: columns of a table where there is no terminal


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1)
@click.option("--list", "listed", is_flag=True, help="Show the bugs and who catches them, and do nothing.")
def main(names: tuple[str, ...], listed: bool) -> None:
    """Plants each bug (or those named) in a copy of the package: the tests named for it must fail."""
    bugs, console = chosen(names), Console(width=None if sys.stdout.isatty() else WIDTH)
    if listed:
        console.print(catalogue(bugs))
        return
    try:
        with tempfile.TemporaryDirectory(prefix="planted-") as folder:
            missed = try_all(Copy(Path(folder)), bugs, console)
    except Unusable as error:
        raise click.ClickException(str(error)) from error
    if missed:
        raise click.ClickException(f"missed: {', '.join(missed)}")


def chosen(names: tuple[str, ...]) -> list[PlantedBug]:
    known = {bug.name: bug for bug in BUGS}
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(f"{', '.join(map(repr, unknown))}: there is no such bug; --list shows all")
    return [known[name] for name in names] if names else list(BUGS)


def catalogue(bugs: list[PlantedBug]) -> Table:
    table = Table(*folded("bug", "what is broken", "file", "caught by"), show_lines=True)
    for bug in bugs:
        table.add_row(bug.name, bug.sentence, bug.file, "\n".join(bug.caught_by))
    return table


def folded(*headers: str) -> list[Column]:
    """Nothing is cut off: the name of a test is there to be copied."""
    return [Column(header, overflow="fold") for header in headers]


def try_all(copy: Copy, bugs: list[PlantedBug], console: Console) -> list[str]:
    """The names of those that were missed."""
    require_honest(copy, bugs, console)
    missed, table = [], Table(*folded("bug", "test", "how", "verdict", "seconds"), show_lines=True)
    for number, bug in enumerate(bugs, 1):
        began = time.monotonic()
        with copy.planted(bug):
            found = copy.test(bug.caught_by, BROKEN)
        verdict = verdict_of(found)
        console.print(f"{number}/{len(bugs)} {bug.name}: {verdict}", markup=False, highlight=False)
        table.add_row(bug.name, *columns(found), verdict, f"{time.monotonic() - began:.0f}")
        if verdict == MISSED:
            missed.append(bug.name)
    console.print(table)
    return missed


def require_honest(copy: Copy, bugs: list[PlantedBug], console: Console) -> None:
    tests = sorted({test for bug in bugs for test in bug.caught_by})
    console.print(f"{len(bugs)} bugs, {len(tests)} tests; first the tests over the copy as it is")
    found = copy.test(tests, HONEST)
    if bad := [f"{test}: {one.verdict} {one.message}" for test, one in found.items() if one.verdict in (Verdict.FAILED, Verdict.HUNG)]:
        raise Unusable("without any bug these do not pass:\n  " + "\n  ".join(bad))


def verdict_of(found: Mapping[str, Found]) -> str:
    verdicts = {one.verdict for one in found.values()}
    if Verdict.PASSED in verdicts:
        return MISSED
    return NOT_TRIED if verdicts == {Verdict.SKIPPED} else CAUGHT


def columns(found: Mapping[str, Found]) -> tuple[str, str]:
    """Each test by its name, and how it failed or what it did instead."""
    names = [test.rpartition("/")[2].replace("[", r"\[") for test in found]
    return "\n".join(names), "\n".join(said(one) for one in found.values())


def said(one: Found) -> str:
    text = " ".join(one.message.split())[:LONGEST] if one.verdict is Verdict.FAILED else str(one.verdict)
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
