"""``wfr recovery``: what recovery would do, does, and did."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import click

from workflow_runtime.cli.naming import NOT_FOUND, noun
from workflow_runtime.cli.options import BESIDE, Call, Output, verb
from workflow_runtime.cli.output import Table, json_text, say, shown, span, write
from workflow_runtime.cli.server import EVIDENCE, UNKNOWN
from workflow_runtime.core.plain import plain

if TYPE_CHECKING:
    from workflow_runtime.core.restoring import Death, RecoveryReport
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
@BESIDE
def run(call: Call, wait: bool, multi: bool) -> None:
    """Decide now about all that dead servers left. Starts a server, so no single server may hold the database."""
    with call.server(multi=multi) as runtime:
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
    """What stands above the decisions: who found them, who had died, the times, the check line."""
    decisions = ", ".join(f"{number} {decision}" for decision, number in report.by_decision.items())
    skipped = f", {report.skipped} left to other servers" if report.skipped else ""
    return [
        f"recovery {report.id[:8]} ({report.cause}) by server {report.server[:8]} at {shown(report.noticed_at)}",
        *(line for each in report.deaths for line in (_died(each), *_times(report, each))),
        f"{report.owned} owned = {report.decided} decided{skipped}{f': {decisions}' if decisions else ''}",
    ]


def _died(each: Death) -> str:
    """A recovery of an earlier release knows the id of the server and nothing else."""
    who = f"{each.name or 'server'} ({each.server[:8]}{f' on {each.host}, pid {each.pid}' if each.host else ''})"
    by = f", declared dead by server {each.declared_by[:8]}" if each.declared_by else ""
    return f"{who} died: {EVIDENCE.get(each.evidence, UNKNOWN)}{by}"


def times(report: RecoveryReport, each: Death) -> dict[str, datetime]:
    """What happened when, in this order, of those moments that are known; all by the database's clock."""
    known = {"noticed": each.declared_at, "adopted": report.adopted_at, "first progress": report.first_progress_at}
    return {name: moment for name, moment in known.items() if moment is not None and moment > each.last_beat_at}


def _times(report: RecoveryReport, each: Death) -> list[str]:
    after = ", ".join(f"{name} after {span(moment - each.last_beat_at)}" for name, moment in times(report, each).items())
    return [f"  last beat {shown(each.last_beat_at)}{f'; {after}' if after else ''}"]


def _reason(reason: str, error: str) -> str:
    return f"{reason} ({error})" if error else reason
