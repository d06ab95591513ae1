"""``wfr recovery``: what recovery would do, does, and did."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from workflow_runtime.cli.naming import NOT_FOUND, noun
from workflow_runtime.cli.options import Call, Output, verb
from workflow_runtime.cli.output import Table, json_text, say, shown, write
from workflow_runtime.core.plain import plain

if TYPE_CHECKING:
    from workflow_runtime.core.restoring import RecoveryReport
    from workflow_runtime.runtime import WorkflowRuntime

recovery = noun("recovery", "What became of the processes of a server that died, or would become of them.")

LATEST = "latest"
NOTHING = "nothing was left behind by dead servers"

_PLANNED = Table(
    {
        "process": lambda d: d.process_id,
        "scheme": lambda d: d.scheme_code,
        "activity": lambda d: d.activity,
        "step": lambda d: d.step,
        "decision": lambda d: f"{d.decision.value}({d.target})" if d.target else d.decision,
        "then": lambda d: d.status_after or "deleted",
        "decided by": lambda d: d.decided_by,
        "reason": lambda d: _reason(d.reason, d.error),
    },
    id=lambda d: d.process_id,
    empty=NOTHING,
)

_DECIDED = Table(
    {
        "process": lambda d: d.process_id,
        "scheme": lambda d: d.scheme_code,
        "activity": lambda d: d.activity,
        "step": lambda d: d.step,
        "decision": lambda d: d.decision,
        "then": lambda d: d.status_after or "deleted",
        "decided by": lambda d: d.decided_by,
        "reason": lambda d: _reason(d.reason, d.error),
    },
    id=lambda d: d.process_id,
    empty=NOTHING,
)


@verb(recovery, "plan", "wfr recovery plan", "wfr recovery plan --app shop:runtime", "wfr recovery plan -o json && wfr recovery run --wait")
def plan(call: Call) -> None:
    """Tell what recovery would do now and why. Changes nothing; restorers come from --app or --plugins."""
    with call.client() as runtime:
        planned = runtime.plan_recovery()
    _say_notes(planned.notes)
    if call.output is Output.JSON:
        write(json_text(plain(planned)))
    else:
        _PLANNED.show(planned.decisions, call.output)


@verb(recovery, "run", "wfr recovery run --app shop:runtime", "wfr recovery run --wait --plugins plugins/ -o json")
@click.option("--wait", is_flag=True, help="Until the work that follows is done, not only decided.")
def run(call: Call, wait: bool) -> None:
    """Decide now about all that dead servers left. Starts a server, so none may hold the database."""
    with call.server() as runtime:
        done = runtime.recover(wait=wait)
        report = replace(_found(runtime, done.id), notes=done.notes) if done.id else done
    _say_notes(report.notes)
    if report.id or call.output is not Output.TABLE:
        _show(report, call.output)
    elif not report.notes:
        say(NOTHING)


@verb(recovery, "report", "wfr recovery report latest", "wfr recovery report 9c1e40 -o json")
@click.argument("id", default=LATEST, metavar="[latest|ID]")
def report(call: Call, id: str) -> None:
    """Show a recovery: what was found, decided, by whom and why. The first characters of its id are enough."""
    with call.client() as runtime:
        _show(_found(runtime, id), call.output)


def _say_notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        say(f"note: {note}")


def _found(runtime: WorkflowRuntime, id: str) -> RecoveryReport:
    cursor: str | None = None
    while True:
        page = runtime.get_recoveries(after=cursor)
        matching = [report for report in page if id == LATEST or report.id.startswith(id)]
        if matching:
            return matching[0]
        if (cursor := page.next) is None:
            raise RecoveryNotFound("there was no recovery yet" if id == LATEST else f"no recovery has an id that begins with {id!r}")


class RecoveryNotFound(click.ClickException):
    """No such recovery."""

    exit_code = NOT_FOUND


def _show(report: RecoveryReport, output: Output) -> None:
    if output in (Output.JSON, Output.JSONL):
        write(json_text(plain(report), indent=2 if output is Output.JSON else None))
        return
    if output is Output.TABLE:
        for line in summary(report):
            write(line)
    _DECIDED.show(report.decisions, output)


def summary(report: RecoveryReport) -> list[str]:
    """The sentence and the check line that stand above the decisions."""
    died = ", ".join(f"{server[:8]} (last beat {shown(beat)})" for server, beat in report.dead_servers.items())
    decisions = ", ".join(f"{number} {decision}" for decision, number in report.by_decision.items())
    skipped = f", {report.skipped} left to other servers" if report.skipped else ""
    return [
        f"recovery {report.id[:8]} ({report.cause}) at {shown(report.noticed_at)}{f', after the death of {died}' if died else ''}",
        f"{report.owned} owned = {report.decided} decided{skipped}{f': {decisions}' if decisions else ''}",
    ]


def _reason(reason: str, error: str) -> str:
    return f"{reason} ({error})" if error else reason
