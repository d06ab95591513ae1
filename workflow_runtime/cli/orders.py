"""The operator's verbs, on one process or many: select, say what will happen, ask, do, report.

Law: nothing is done to a process that was not counted in the question, or that has changed since it was found by a
filter. Without ``--yes`` somebody must be there to answer: no terminal and no ``--yes`` is exit code 2, never a command
that hangs. What is reported is what has happened, also of a command that was interrupted.

==================================  ============================================
outcome                             exit code
==================================  ============================================
all done, or nothing matched        0
the only one failed                 that of its error
all of several failed               1
some failed                         6
the answer was no                   1
Ctrl-C                              the signal, once the process in hand is done;
                                    a second one does not wait for that
==================================  ============================================

A dry run ends with the code that the deed would end with.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from workflow_runtime.cli.naming import DONE, FAILED, PARTIAL
from workflow_runtime.cli.options import Call, Output
from workflow_runtime.cli.output import Table, json_text, say, write
from workflow_runtime.cli.selecting import selected
from workflow_runtime.core.plain import plain

if TYPE_CHECKING:
    from workflow_runtime.core.answers import Match, OperationReport
    from workflow_runtime.runtime import WorkflowRuntime

F = TypeVar("F", bound=Callable[..., Any])

LISTED = 10  #: processes named in the question
TYPED = 20  #: a destructive verb on more than these wants the number typed
SHOWN_PROGRESS = 20  #: more than these show a progress bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Who wants it, why, and whether anybody is to be asked."""

    actor: str
    reason: str
    yes: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A verb of the runtime with its consequence in words; ``act`` takes what was found and ``dry_run``."""

    verb: str
    consequence: str
    act: Callable[[WorkflowRuntime, Match, bool], Any]
    destructive: bool = False


class Kind(StrEnum):
    DONE = "done"
    REQUESTED = "requested"  #: of one that runs: it breaks off later
    WOULD = "would"
    FAILED = "failed"
    REFUSED = "refused"  #: the same, of a dry run
    UNKNOWN = "unknown"  #: interrupted in the middle


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    process_id: UUID | str
    outcome: Kind
    now: str  #: status and activity as re-read, what would become of it, or why it failed


@dataclass(slots=True)
class Tally:
    """What has become of those that were chosen, in their order."""

    failure: Kind  #: how it is called
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    interrupted: bool = False

    def failed(self, match: Match, error: Exception, text: str) -> None:
        self.errors.append(error)
        self.outcomes.append(Outcome(process_id=match.process_id, outcome=self.failure, now=text))


_OUTCOMES = Table({"process": lambda o: o.process_id, "outcome": lambda o: o.outcome, "now": lambda o: o.now}, id=lambda o: o.process_id)


def operator_options(command: F) -> F:
    """--actor, --reason, --yes, --dry-run; the command gets them as one ``order``."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Only tell what would be done."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        *signature_options(),
    ):
        command = option(command)
    return command


def signature_options() -> tuple[Callable[[F], F], ...]:
    return (
        click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in history."),
        click.option("--actor", metavar="NAME", default=None, help="Who; the login name by default."),
    )


def login_name() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:  # KeyError: until Python 3.13, where the user has no name
        raise click.UsageError("there is no login name here; say who you are with --actor NAME") from error


def carry_out(call: Call, ids: Sequence[str], where: str | None, deed: Deed, order: Order) -> int:
    """The whole of an operator's verb: the exit code."""
    with call.client() as runtime:
        chosen = selected(runtime, ids, where)
        if not chosen:
            say("no process matches; nothing was done")
            return DONE
        if not order.dry_run and not order.yes and not _confirmed(chosen, deed):
            say("nothing was done")
            return FAILED
        tally = _each(runtime, chosen, deed, order.dry_run)
    if len(chosen) == 1 and tally.errors:
        raise tally.errors[0]
    _report(call.output, deed.verb, order.dry_run, tally.outcomes, left=len(chosen) - len(tally.outcomes))
    if tally.interrupted:
        raise KeyboardInterrupt
    return _code(len(chosen), len(tally.errors))


def _each(runtime: WorkflowRuntime, chosen: Sequence[Match], deed: Deed, dry_run: bool) -> Tally:
    """One that fails does not stop the others."""
    from workflow_runtime.errors import WorkflowError

    tally = Tally(Kind.REFUSED if dry_run else Kind.FAILED)
    with _until_interrupted() as interrupted, _progress(deed.verb, len(chosen)) as step:
        for match in chosen:
            if interrupted():
                break
            try:
                tally.outcomes.append(_outcome(match, deed.act(runtime, match, dry_run)))
            except WorkflowError as error:
                tally.failed(match, error, f"{error.name}: {error.message}")
            except KeyboardInterrupt:
                tally.outcomes.append(Outcome(process_id=match.process_id, outcome=Kind.UNKNOWN, now="interrupted; wfr process show tells what became of it"))
                break
            step()
        tally.interrupted = interrupted()
    return tally


@contextmanager
def _until_interrupted() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed. The process in hand is finished all the same; a second one interrupts that too."""
    came = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if came.is_set():
            raise KeyboardInterrupt
        came.set()

    if threading.current_thread() is not threading.main_thread():  # only there signals can be heard
        yield came.is_set
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _outcome(match: Match, answer: Any) -> Outcome:
    """An answer is the process as it stands now, or the report of a dry run."""
    if (planned := getattr(answer, "planned", None)) is not None:
        return Outcome(process_id=match.process_id, outcome=Kind.WOULD, now=planned[match.process_id])
    stands, kind = f"{answer.status.value} at {answer.activity}", Kind.DONE
    if answer.is_waiting:
        stands += ", waits for a server to take it up"
    if answer.owner is not None and answer.cancel_requested is not None:
        stands, kind = f"{stands}, breaks off at its next step", Kind.REQUESTED
    return Outcome(process_id=match.process_id, outcome=kind, now=stands)


def _code(chosen: int, failed: int) -> int:
    if not failed:
        return DONE
    return FAILED if failed == chosen else PARTIAL


def _report(output: Output, verb: str, dry_run: bool, outcomes: list[Outcome], *, left: int) -> None:
    """``left``: how many were not begun."""
    if output is Output.JSON:
        write(json_text(plain(_as_report(verb, dry_run, outcomes))))
    elif output is Output.IDS:
        _OUTCOMES.show([outcome for outcome in outcomes if outcome.outcome not in _FAILURES], output)
    else:
        _OUTCOMES.show(outcomes, output)
    say(f"{verb}: {_summary(outcomes, left)}")


_FAILURES = (Kind.FAILED, Kind.REFUSED, Kind.UNKNOWN)
_WORDS = {
    Kind.DONE: "done",
    Kind.REQUESTED: "requested",
    Kind.WOULD: "would be done (dry run, nothing was changed)",
    Kind.FAILED: "failed",
    Kind.REFUSED: "would be refused",
    Kind.UNKNOWN: "interrupted in the middle",
}


def _summary(outcomes: list[Outcome], left: int) -> str:
    counts = {words: sum(outcome.outcome is kind for outcome in outcomes) for kind, words in _WORDS.items()} | {"not begun": left}
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count)


def _as_report(verb: str, dry_run: bool, outcomes: list[Outcome]) -> OperationReport:
    from workflow_runtime.core.answers import OperationReport

    def of(*kinds: Kind) -> dict[UUID | str, str]:
        return {outcome.process_id: outcome.now for outcome in outcomes if outcome.outcome in kinds}

    return OperationReport(
        verb=verb,
        dry_run=dry_run,
        matched=tuple(outcome.process_id for outcome in outcomes),
        planned=of(Kind.WOULD),
        done=tuple(of(Kind.DONE)),
        requested=tuple(of(Kind.REQUESTED)),
        failed=of(*_FAILURES),
    )


# The question


def _confirmed(chosen: Sequence[Match], deed: Deed) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{deed.verb} of {_count(chosen)} needs an answer and nobody is at the terminal; add --yes, or --dry-run to look first")
    say(question(chosen, deed))
    if deed.destructive and len(chosen) > TYPED:
        return _answer(f"Type {len(chosen)} to go on: ") == str(len(chosen))
    return _answer("Go on? [y/N] ").lower() in ("y", "yes")


def question(chosen: Sequence[Match], deed: Deed) -> str:
    """The count, the first ten, the consequence."""
    more = [f"  and {len(chosen) - LISTED} more"] if len(chosen) > LISTED else []
    return "\n".join([f"{deed.verb} of {_count(chosen)}: {deed.consequence}", *(f"  {match.process_id}" for match in chosen[:LISTED]), *more])


def _count(chosen: Sequence[Match]) -> str:
    return "1 process" if len(chosen) == 1 else f"{len(chosen)} processes"


def _answer(prompt: str) -> str:
    """Asked on stderr, so that stdout stays data; the end of the input is a no."""
    click.echo(prompt, nl=False, err=True)
    return sys.stdin.readline().strip()


@contextmanager
def _progress(verb: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, where somebody may see it."""
    if total <= SHOWN_PROGRESS or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, total=total)
        yield lambda: bar.advance(task)
