"""``wfr demo``: kill a server in the middle of its payments, and count what came of it.

A real second process works on twelve orders; it is killed with SIGKILL while payments are in flight, and
started again. Every number in the last line is counted from the database and the provider's ledger.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from workflow_runtime.cli.demo_ledger import Counts, Ledger
from workflow_runtime.cli.naming import DONE, FAILED
from workflow_runtime.cli.options import examples
from workflow_runtime.cli.output import aligned, printable

if TYPE_CHECKING:
    from workflow_runtime.core.process import Process
    from workflow_runtime.runtime import WorkflowRuntime

T = TypeVar("T")

ORDERS = 12
ANSWERED, BOOKED = 5, 9  #: payments that are answered, and booked, when the worker is killed
PATIENCE = 60.0  #: seconds for each thing that is waited for
LOOK = 0.05  #: seconds between two looks, unless the worker ends before


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


@click.command("demo", epilog=examples("wfr demo", "wfr demo --keep"))
@click.option("--keep", is_flag=True, help="Leave the databases in place, to look at with the other commands.")
def demo(keep: bool) -> int:
    """Kill a server in the middle of twelve payments, and watch what becomes of them.

    Needs no network, no configuration and no answer. Exit code 0 if nothing was lost and nothing paid twice.
    """
    folder = Path(tempfile.mkdtemp(prefix="wfr-demo-"))
    try:
        return Story(folder).tell()
    finally:
        if keep:
            _print(f"kept: wfr recovery report latest --url sqlite:///{folder / 'workflow.db'}", err=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


class Story:
    """One run of the demo in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(folder / "ledger.db")

    def tell(self) -> int:
        """Prints what happens, and answers with the exit code."""
        from workflow_runtime.cli.demo_worker import url_of
        from workflow_runtime.runtime import WorkflowRuntime

        _print("workflow_runtime demo")
        if os.name != "posix":
            _print("  this system has no SIGKILL: the worker is ended by TerminateProcess instead")
        self.ledger.create()
        self.ledger.hold(after_answers=ANSWERED, after_bookings=BOOKED)
        client = WorkflowRuntime(url_of(self.folder)).as_client()
        client.upgrade_database()
        with client:
            self.be_killed(client)
            show_running(client, self.ledger)
            self.ledger.release()
            self.come_back(client)
            return settle(client, self.ledger)

    def be_killed(self, client: WorkflowRuntime) -> None:
        with self.worker(ORDERS) as worker:
            self.until(worker, lambda: self.is_in_the_middle(client))
            counts = self.ledger.counts()
            _print(f"  worker-1  pid {worker.pid}   {counts.requests} orders in flight   payments made: {counts.answered}")
            worker.kill()
            how = _how_it_ended(worker.wait())
        _print(f"  {_clock()}  worker-1 {how}, {in_flight(self.ledger.counts())} payments in flight")

    def is_in_the_middle(self, client: WorkflowRuntime) -> bool:
        """Every order has asked for its payment, and those that were answered are delivered."""
        counts = self.ledger.counts()
        return counts.requests == ORDERS and counts.booked == BOOKED and counts.answered == ANSWERED and finished(client) == ANSWERED

    def come_back(self, client: WorkflowRuntime) -> None:
        with self.worker(0) as worker:
            self.until(worker, lambda: running(client) == 0)
            assert worker.stdin is not None
            worker.stdin.close()
            worker.wait(PATIENCE)
        show_recovery(client)

    @contextmanager
    def worker(self, orders: int) -> Iterator[subprocess.Popen[bytes]]:
        """A worker that does not outlive this block, however it ends."""
        words = self.folder / "worker.log"
        with ExitStack() as stack:
            command = [sys.executable, "-m", "workflow_runtime.cli.demo_worker", str(self.folder), str(orders)]
            log = stack.enter_context(words.open("ab"))
            worker = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log))
            stack.callback(worker.kill)
            yield worker

    def until(self, worker: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
        """Waits for it, no longer than PATIENCE and not for a worker that has ended by itself."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if _has_ended(worker, within=LOOK) or time.monotonic() > deadline:
                words = (self.folder / "worker.log").read_text(errors="replace")
                raise click.ClickException(f"the worker did not get as far as it should (return code {worker.poll()}):\n{words[-2_000:]}")


def _has_ended(worker: subprocess.Popen[bytes], *, within: float) -> bool:
    try:
        worker.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True


# What is seen


def finished(client: WorkflowRuntime) -> int:
    return _count(client, "Finalized")


def running(client: WorkflowRuntime) -> int:
    return _count(client, "Running")


def in_flight(counts: Counts) -> int:
    return counts.requests - counts.answered


def show_running(client: WorkflowRuntime, ledger: Ledger) -> None:
    """The table of what the dead worker left; the provider knows more than the worker did."""
    from workflow_runtime.core.filters import ProcessFilter
    from workflow_runtime.core.process import ProcessStatus

    left = sorted(client.find_processes(ProcessFilter(status=ProcessStatus.RUNNING)), key=_order)
    bookings = ledger.bookings()
    _print(f"            {len(left)} orders stand in Running:")
    rows = [[_order(p), f"at {p.activity}", f"on the way to {p.walk.activity if p.walk else '?'}", _doubt(bookings.get(_order(p), 0))] for p in left]
    for line in aligned(rows):
        _print(f"            {line}")


def show_recovery(client: WorkflowRuntime) -> None:
    """The report, one line per process."""
    reports = client.get_recoveries()
    names = {process.id: _order(process) for process in client.find_processes(limit=ORDERS)}
    for number, report in enumerate(reversed(reports), 1):
        _print(f"  {_clock()}  worker-1 back, recovery #{number}: {report.owned} owned = {report.decided} decided")
        decisions = sorted(report.decisions, key=lambda decision: names[decision.process_id])
        rows = [[names[d.process_id], f"{d.activity} / {d.step}", d.decision, d.decided_by, d.reason] for d in decisions]
        for line in aligned(rows):
            _print(f"            {line}")


def settle(client: WorkflowRuntime, ledger: Ledger) -> int:
    """The last line, plain text even on a terminal, and the exit code that goes with it."""
    counted = tally(client.find_processes(limit=1_000), ledger.bookings())
    _print(counted.line)
    return DONE if counted.is_kept else FAILED


def _doubt(booked: int) -> str:
    return "payment: made, the answer never came" if booked else "payment: asked for, not made"


def _order(process: Process) -> str:
    return str(process.parameters.get("Order", process.id))


def _count(client: WorkflowRuntime, status: str) -> int:
    from workflow_runtime.core.filters import ProcessFilter
    from workflow_runtime.core.process import ProcessStatus

    return client.count_processes(ProcessFilter(status=ProcessStatus(status)))


def _how_it_ended(code: int) -> str:
    """Read from the operating system, not assumed."""
    if code < 0:
        import signal

        return f"killed with {signal.Signals(-code).name}"
    return f"terminated (return code {code})"


def _clock() -> str:
    return datetime.now(UTC).astimezone().strftime("%H:%M:%S")


def _print(text: str, *, err: bool = False) -> None:
    click.echo(printable(text), err=err)
