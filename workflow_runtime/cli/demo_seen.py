"""What the demo shows and counts. Every number is read from the database, the provider's ledger or the operating system."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from workflow_runtime.cli.demo_ledger import Counts, Ledger
from workflow_runtime.cli.naming import DONE, FAILED
from workflow_runtime.cli.output import aligned, printable

if TYPE_CHECKING:
    from workflow_runtime.core.process import Process
    from workflow_runtime.core.restoring import RecoveryReport
    from workflow_runtime.runtime import WorkflowRuntime

ORDERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the demo promises, counted. An order is lost unless it is finished and paid."""

    orders: int
    finished: int
    lost: int
    paid_twice: int

    @property
    def line(self) -> str:
        return f"orders {self.orders} · finished {self.finished} · lost {self.lost} · paid twice {self.paid_twice}"

    @property
    def is_kept(self) -> bool:
        return self.finished == self.orders and not self.lost and not self.paid_twice


def tally(processes: Iterable[Process], bookings: dict[str, int], *, orders: int = ORDERS) -> Tally:
    """From what the database and the ledger hold, and nothing else."""
    from workflow_runtime.core.process import ProcessStatus

    finished = {str(p.parameters.get("Order")) for p in processes if p.status is ProcessStatus.FINALIZED and p.activity == "Done"}
    paid = {order for order in finished if bookings.get(order, 0) > 0}
    twice = sum(number > 1 for number in bookings.values())
    return Tally(orders=orders, finished=len(finished), lost=orders - len(paid), paid_twice=twice)


def finished(client: WorkflowRuntime) -> int:
    return _count(client, "Finalized")


def running(client: WorkflowRuntime) -> int:
    return _count(client, "Running")


def in_flight(counts: Counts) -> int:
    return counts.requests - counts.answered


def running_orders(client: WorkflowRuntime, owner: str | None = None) -> list[Process]:
    """Those of one server, or all, in the order of their names."""
    from workflow_runtime.core.filters import ProcessFilter
    from workflow_runtime.core.process import ProcessStatus

    running = client.find_processes(ProcessFilter(status=ProcessStatus.RUNNING))
    return sorted((process for process in running if owner in (None, process.owner)), key=_order)


def show_orders(left: Sequence[Process], ledger: Ledger) -> None:
    """The table of what the dead worker left; the provider knows more than the worker did."""
    bookings = ledger.bookings()
    rows = [[_order(p), f"at {p.activity}", f"on the way to {p.walk.activity if p.walk else '?'}", _doubt(bookings.get(_order(p), 0))] for p in left]
    for line in aligned(rows):
        show(f"            {line}")


def show_recovery(client: WorkflowRuntime, who: str, more: Callable[[RecoveryReport], Iterable[str]] = lambda report: ()) -> None:
    """The reports, one line per process; ``more`` is what is said of each report before."""
    reports = client.get_recoveries()
    names = {process.id: _order(process) for process in client.find_processes(limit=ORDERS)}
    for number, report in enumerate(reversed(reports), 1):
        show(f"  {clock()}  {who}, recovery #{number}: {report.owned} owned = {report.decided} decided")
        decisions = sorted(report.decisions, key=lambda decision: names[decision.process_id])
        rows = [[names[d.process_id], f"{d.activity} / {d.step}", d.decision, d.decided_by, d.reason] for d in decisions]
        for line in (*more(report), *aligned(rows)):
            show(f"            {line}")


def settle(client: WorkflowRuntime, ledger: Ledger) -> int:
    """The last line, plain text even on a terminal, and the exit code that goes with it."""
    counted = tally(client.find_processes(limit=1_000), ledger.bookings())
    show(counted.line)
    return DONE if counted.is_kept else FAILED


def how_it_ended(code: int) -> str:
    """Read from the operating system, not assumed."""
    if code < 0:
        import signal

        return f"killed with {signal.Signals(-code).name}"
    return f"terminated (return code {code})"


def clock() -> str:
    return datetime.now(UTC).astimezone().strftime("%H:%M:%S")


def show(text: str, *, err: bool = False) -> None:
    click.echo(printable(text), err=err)


def _doubt(booked: int) -> str:
    return "payment: made, the answer never came" if booked else "payment: asked for, not made"


def _order(process: Process) -> str:
    return str(process.parameters.get("Order", process.id))


def _count(client: WorkflowRuntime, status: str) -> int:
    from workflow_runtime.core.filters import ProcessFilter
    from workflow_runtime.core.process import ProcessStatus

    return client.count_processes(ProcessFilter(status=ProcessStatus(status)))
