"""The operator's verbs, on one process or many: select, say what will happen, ask, do, report.

Law: nothing is done to a process that was not counted in the question. Without ``--yes`` somebody must be
there to answer: no terminal and no ``--yes`` is exit code 2, never a command that hangs.

==================================  ============================================
outcome                             exit code
==================================  ============================================
all done, or nothing matched        0
the only one failed                 that of its error
all of several failed               1
some failed                         6
the answer was no                   1
==================================  ============================================
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from workflow_runtime.cli.naming import DONE, FAILED, PARTIAL
from workflow_runtime.cli.options import Call, Output
from workflow_runtime.cli.output import Table, json_text, say, write
from workflow_runtime.cli.selecting import selected
from workflow_runtime.core.plain import plain

if TYPE_CHECKING:
    from workflow_runtime.core.answers import OperationReport
    from workflow_runtime.core.process import Process
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
    """A verb of the runtime with its consequence in words; ``act`` takes the id and ``dry_run``."""

    verb: str
    consequence: str
    act: Callable[[WorkflowRuntime, UUID, bool], Any]
    destructive: bool = False
    at_rest: bool = True  #: whether it is refused while a server executes the process


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    process_id: UUID
    outcome: str  #: done, requested (of one that runs), failed, or would
    now: str  #: status and activity as re-read, or why it failed


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
        outcomes, errors = _each(runtime, chosen, deed, order.dry_run)
    if len(chosen) == 1 and errors:
        raise errors[0]
    _report(call.output, deed.verb, order, outcomes)
    return _code(len(chosen), len(errors))


def _each(runtime: WorkflowRuntime, chosen: Sequence[UUID], deed: Deed, dry_run: bool) -> tuple[list[Outcome], list[Exception]]:
    """One that fails does not stop the others."""
    from workflow_runtime.errors import WorkflowError

    outcomes: list[Outcome] = []
    errors: list[Exception] = []
    with _progress(deed.verb, len(chosen)) as step:
        for process_id in chosen:
            try:
                answer = deed.act(runtime, process_id, dry_run)
                if dry_run and deed.at_rest:
                    _require_rest(runtime.get_process(process_id))
                outcomes.append(_outcome(process_id, answer, dry_run))
            except WorkflowError as error:
                errors.append(error)
                outcomes.append(Outcome(process_id=process_id, outcome="failed", now=f"{error.name}: {error.message}"))
            step()
    return outcomes, errors


def _require_rest(process: Process) -> None:
    """A dry run changes nothing, so nothing has refused it yet. ProcessBusy, as the deed itself."""
    from workflow_runtime.errors import ProcessBusy

    if process.owner is not None:
        text = f"process {process.id} is executed by server {process.owner}; wfr process cancel stops it at its next step"
        raise ProcessBusy(text, process_id=process.id, owner=process.owner)


def _outcome(process_id: UUID, answer: Any, dry_run: bool) -> Outcome:
    """An answer is the process as it stands now, or the report of a dry run."""
    stands = f"{answer.status.value} at {answer.activity}" if hasattr(answer, "status") else ""
    if stands and answer.is_waiting and not dry_run:
        stands += ", waits for a server to take it up"
    requested = stands and answer.owner is not None and answer.cancel_requested is not None
    if requested and not dry_run:
        stands += ", breaks off at its next step"
    return Outcome(process_id=process_id, outcome="would" if dry_run else "requested" if requested else "done", now=stands)


def _code(chosen: int, failed: int) -> int:
    if not failed:
        return DONE
    return FAILED if failed == chosen else PARTIAL


def _report(output: Output, verb: str, order: Order, outcomes: list[Outcome]) -> None:
    if output is Output.JSON:
        requested = [outcome.process_id for outcome in outcomes if outcome.outcome == "requested"]
        write(json_text(plain(_as_report(verb, order.dry_run, outcomes)) | {"requested": plain(requested)}))
    elif output is Output.IDS:
        _OUTCOMES.show([outcome for outcome in outcomes if outcome.outcome != "failed"], output)
    else:
        _OUTCOMES.show(outcomes, output)
    say(f"{verb}: {_summary(outcomes)}")


_WORDS = {"done": "done", "requested": "requested", "would": "would be done (dry run, nothing was changed)", "failed": "failed"}


def _summary(outcomes: list[Outcome]) -> str:
    counts = {words: sum(outcome.outcome == kind for outcome in outcomes) for kind, words in _WORDS.items()}
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count)


def _as_report(verb: str, dry_run: bool, outcomes: list[Outcome]) -> OperationReport:
    from workflow_runtime.core.answers import OperationReport

    """What was requested is not done yet."""
    failed = {outcome.process_id: outcome.now for outcome in outcomes if outcome.outcome == "failed"}
    ids = tuple(outcome.process_id for outcome in outcomes)
    report = OperationReport(verb=verb, dry_run=dry_run, matched=ids, failed=failed)
    return report if dry_run else replace(report, done=tuple(outcome.process_id for outcome in outcomes if outcome.outcome == "done"))


# The question


def _confirmed(chosen: Sequence[UUID], deed: Deed) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{deed.verb} of {_count(chosen)} needs an answer and nobody is at the terminal; add --yes, or --dry-run to look first")
    say(question(chosen, deed))
    if deed.destructive and len(chosen) > TYPED:
        return _answer(f"Type {len(chosen)} to go on: ") == str(len(chosen))
    return _answer("Go on? [y/N] ").lower() in ("y", "yes")


def question(chosen: Sequence[UUID], deed: Deed) -> str:
    """The count, the first ten, the consequence."""
    more = [f"  and {len(chosen) - LISTED} more"] if len(chosen) > LISTED else []
    return "\n".join([f"{deed.verb} of {_count(chosen)}: {deed.consequence}", *(f"  {process_id}" for process_id in chosen[:LISTED]), *more])


def _count(chosen: Sequence[UUID]) -> str:
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
