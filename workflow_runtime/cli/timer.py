"""``wfr timer``: what is due, and moving or firing it."""

from __future__ import annotations

from typing import Any, TypeVar

import click

from workflow_runtime.cli.naming import noun
from workflow_runtime.cli.options import Call, verb
from workflow_runtime.cli.orders import login_name, signature_options
from workflow_runtime.cli.output import Table, card, say
from workflow_runtime.cli.selecting import resolve, when

F = TypeVar("F")

timer = noun("timer", "What is due next; move it, or fire it now.")

_DUE = Table(
    {
        "process": lambda d: d.process_id,
        "timer": lambda d: d.timer.name,
        "kind": lambda d: d.timer.kind,
        "due": lambda d: d.timer.due,
        "as written": lambda d: d.timer.value,
    },
    id=lambda d: d.process_id,
    empty="no timer is set",
)


@verb(timer, "list", "wfr timer list", "wfr timer list --overdue -o json")
@click.option("--overdue", is_flag=True, help="Only those that are due now.")
@click.option("--limit", type=click.IntRange(min=1, max=1_000), default=100, help="How many; 100 by default.")
def list_(call: Call, overdue: bool, limit: int) -> None:
    """List timers of all processes, the earliest first; waiting retries (retry) and queued work (start) too."""
    with call.client() as runtime:
        _DUE.show(runtime.find_timers(overdue=overdue, limit=limit), call.output)


def _signed(command: Any) -> Any:
    for option in signature_options():
        command = option(command)
    return command


@verb(
    timer,
    "set",
    "wfr timer set 7f3a21 review_late --at 2h --reason 'the customer called'",
    "wfr timer set 7f3a21 review_late --at 2031-12-24T08:00:00Z --reason INC-77",
)
@click.argument("id")
@click.argument("name")
@click.option("--at", required=True, metavar="TIME|INTERVAL", help="A time with its zone, an interval from now such as 2h, or now.")
@_signed
def set_(call: Call, id: str, name: str, at: str, actor: str | None, reason: str) -> None:
    """Set when a timer falls due."""
    due = when(at)
    with call.client() as runtime:
        process = runtime.set_timer(resolve(runtime, id), name, due, actor=actor or login_name(), reason=reason)
        timers = {timer.name: timer.due for timer in runtime.get_timers(process.id)}
    card(process, {"process": process.id, "timer": name, "due": timers.get(name)}, call.output, id=process.id)


@verb(
    timer,
    "fire",
    "wfr timer fire 7f3a21 review_late --reason INC-77",
    "wfr timer fire 7f3a21 review_late --actor anna --reason 'no need to wait'",
)
@click.argument("id")
@click.argument("name")
@_signed
def fire(call: Call, id: str, name: str, actor: str | None, reason: str) -> None:
    """Make a timer due now: the server that runs fires it at once, else the next one that starts."""
    with call.client() as runtime:
        process = runtime.fire_timer(resolve(runtime, id), name, actor=actor or login_name(), reason=reason)
    card(process, {"process": process.id, "timer": f"{name} is due now", "status": process.status, "activity": process.activity}, call.output, id=process.id)
    say("a server that runs fires it at once, else the next one that starts")
