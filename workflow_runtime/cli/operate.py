"""The operator's verbs of ``wfr process``: set-state, set-activity, resume, cancel, delete.

They open the database as a client: what needs actions is left, as a walk, to any server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from workflow_runtime.cli.options import Call, verb
from workflow_runtime.cli.orders import Deed, Order, carry_out, login_name, operator_options
from workflow_runtime.cli.process import process

__all__ = ["process"]

if TYPE_CHECKING:
    from workflow_runtime.core.answers import Match
    from workflow_runtime.runtime import WorkflowRuntime

F = TypeVar("F", bound=Callable[..., Any])


def _many(command: F) -> F:
    where = click.option("--where", metavar="FILTER", help="Instead of ids: all processes of a filter, as in wfr process list.")
    return click.argument("ids", nargs=-1, metavar="ID...|-")(where(operator_options(command)))


def _into(command: F) -> F:
    executing = click.option("--execute/--no-execute", default=True, help="Run the actions of the activity, or only stand there.")
    return click.option("--to", "target", required=True, metavar="NAME", help="Where to.")(executing(_many(command)))


def _order(actor: str | None, reason: str, yes: bool, dry_run: bool) -> Order:
    return Order(actor=actor or login_name(), reason=reason, yes=yes, dry_run=dry_run)


@verb(
    process,
    "set-state",
    "wfr process set-state 7f3a21 --to Shipping --reason INC-77",
    "wfr process set-state 7f3a21 --to Done --reason INC-77 --no-execute --yes",
)
@_into
def set_state(call: Call, ids: tuple[str, ...], where: str | None, target: str, execute: bool, **who: Any) -> int:
    """Enter the first activity with a state that may be set."""
    order = _order(**who)

    def act(runtime: WorkflowRuntime, one: Match, dry_run: bool) -> Any:
        return runtime.set_state(
            one.process_id, target, execute=execute, expected_revision=one.revision, dry_run=dry_run, actor=order.actor, reason=order.reason
        )

    return carry_out(call, ids, where, Deed(verb="set-state", consequence=_entering(f"the state {target!r}", execute), act=act), order)


@verb(
    process,
    "set-activity",
    "wfr process set-activity 7f3a21 --to Review --reason INC-77",
    "wfr process set-activity 7f3a21 9b20cc --to Review --reason INC-77 --dry-run",
)
@_into
def set_activity(call: Call, ids: tuple[str, ...], where: str | None, target: str, execute: bool, **who: Any) -> int:
    """Enter an activity, whatever leads there."""
    order = _order(**who)

    def act(runtime: WorkflowRuntime, one: Match, dry_run: bool) -> Any:
        return runtime.set_activity(
            one.process_id, target, execute=execute, expected_revision=one.revision, dry_run=dry_run, actor=order.actor, reason=order.reason
        )

    return carry_out(call, ids, where, Deed(verb="set-activity", consequence=_entering(f"the activity {target!r}", execute), act=act), order)


@verb(
    process,
    "resume",
    "wfr process resume 7f3a21 --reason 'the provider is back'",
    "wfr process list --where 'status=Error updated_before=1h' -o ids | wfr process resume - --reason INC-77 --dry-run",
)
@_many
def resume(call: Call, ids: tuple[str, ...], where: str | None, **who: Any) -> int:
    """Let interrupted or failed work go on. Finished steps are not repeated."""
    order = _order(**who)

    def act(runtime: WorkflowRuntime, one: Match, dry_run: bool) -> Any:
        return runtime.resume_process(one.process_id, expected_revision=one.revision, dry_run=dry_run, actor=order.actor, reason=order.reason)

    return carry_out(call, ids, where, Deed(verb="resume", consequence="interrupted work goes on at its first unfinished step, on any server", act=act), order)


@verb(
    process,
    "cancel",
    "wfr process cancel 7f3a21 --reason 'ordered twice'",
    "wfr process cancel --where 'scheme_code=Order state=Review' --reason INC-77 --dry-run",
)
@_many
def cancel(call: Call, ids: tuple[str, ...], where: str | None, **who: Any) -> int:
    """Break processes off: at once where they rest, at the next step where they run."""
    order = _order(**who)

    def act(runtime: WorkflowRuntime, one: Match, dry_run: bool) -> Any:
        return runtime.cancel_process(one.process_id, expected_revision=one.revision, dry_run=dry_run, actor=order.actor, reason=order.reason)

    return carry_out(call, ids, where, Deed(verb="cancel", consequence="they end Terminated", act=act, destructive=True), order)


@verb(
    process,
    "delete",
    "wfr process delete 7f3a21 --reason 'a test'",
    "wfr process rm --where 'status=Finalized updated_before=30d' --reason cleaning --yes",
)
@_many
def delete(call: Call, ids: tuple[str, ...], where: str | None, **who: Any) -> int:
    """Delete processes with their timers and journal. Their history stays."""
    order = _order(**who)

    def act(runtime: WorkflowRuntime, one: Match, dry_run: bool) -> Any:
        return runtime.delete_process(one.process_id, expected_revision=one.revision, dry_run=dry_run, actor=order.actor, reason=order.reason)

    return carry_out(call, ids, where, Deed(verb="delete", consequence="they are gone for good; history stays", act=act, destructive=True), order)


def _entering(where: str, execute: bool) -> str:
    return f"enters {where}, {'with its actions, on any server' if execute else 'without running its actions'}"
