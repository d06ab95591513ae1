"""One run of the demo: a worker is killed in the middle of its payments and started again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workflow_runtime.cli.demo_ledger import Ledger
from workflow_runtime.cli.demo_seen import (
    ORDERS,
    clock,
    finished,
    how_it_ended,
    in_flight,
    running,
    running_orders,
    settle,
    show,
    show_orders,
    show_recovery,
)

if TYPE_CHECKING:
    from workflow_runtime.runtime import WorkflowRuntime

ANSWERED, BOOKED = 5, 9  #: payments that are answered, and booked, when the worker is killed
PATIENCE = 60.0  #: seconds for each thing that is waited for
LOOK = 0.05  #: seconds between two looks, unless the worker ends before

Worker = subprocess.Popen[bytes]


class Story:
    """One run in a folder of its own, over one database. Workers do not outlive it, however it ends."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.ledger = Ledger(folder / "ledger.db")

    def tell(self) -> int:
        """Prints what happens, and answers with the exit code."""
        show("workflow_runtime demo")
        if os.name != "posix":
            show("  this system has no SIGKILL: the worker is ended by TerminateProcess instead")
        self.ledger.create()
        self.ledger.hold(after_answers=ANSWERED, after_bookings=BOOKED)
        with self.client() as client:
            self.be_killed(client)
            left = running_orders(client)
            show(f"            {len(left)} orders stand in Running:")
            show_orders(left, self.ledger)
            self.ledger.release()
            self.come_back(client)
            return settle(client, self.ledger)

    def client(self) -> WorkflowRuntime:
        """Not started, on a database that has its tables."""
        from workflow_runtime.runtime import WorkflowRuntime

        client = WorkflowRuntime(self.url).as_client()
        client.upgrade_database()
        return client

    def be_killed(self, client: WorkflowRuntime) -> None:
        with self.worker("worker-1") as worker:
            self.place(worker, 1, ORDERS)
            self.until(worker, lambda: self.is_in_the_middle(client))
            counts = self.ledger.counts()
            show(f"  worker-1  pid {worker.pid}   {counts.requests} orders in flight   payments made: {counts.answered}")
            worker.kill()
            how = how_it_ended(worker.wait())
        show(f"  {clock()}  worker-1 {how}, {in_flight(self.ledger.counts())} payments in flight")

    def is_in_the_middle(self, client: WorkflowRuntime, *, requests: int = ORDERS, booked: int = BOOKED, answered: int = ANSWERED) -> bool:
        """So many orders have asked for their payment, and those that were answered are delivered."""
        counts = self.ledger.counts()
        return (counts.requests, counts.booked, counts.answered, finished(client)) == (requests, booked, answered, answered)

    def come_back(self, client: WorkflowRuntime) -> None:
        with self.worker("worker-1") as worker:
            self.until(worker, lambda: running(client) == 0)
            self.end(worker)
        show_recovery(client, "worker-1 back")

    # ------------------------------------------------------------------ workers

    @contextmanager
    def worker(self, name: str) -> Iterator[Worker]:
        """A worker that does not outlive this block, however it ends. The URL, which may hold a password, is in its environment."""
        command = [sys.executable, "-m", "workflow_runtime.cli.demo_worker", str(self.folder), name]
        environment = {**os.environ, "WORKFLOW_RUNTIME_URL": self.url}
        with ExitStack() as stack:
            log = stack.enter_context((self.folder / "worker.log").open("ab"))
            worker = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment))
            stack.callback(worker.kill)
            yield worker

    def place(self, worker: Worker, first: int, last: int) -> None:
        """Has the worker make these orders, all at once."""
        assert worker.stdin is not None
        worker.stdin.write(f"{first} {last}\n".encode())
        worker.stdin.flush()

    def end(self, worker: Worker) -> None:
        """It hands back what it has and goes."""
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait(PATIENCE)

    def until(self, worker: Worker, condition: Callable[[], bool]) -> None:
        """Waits for it, no longer than PATIENCE and not for a worker that has ended by itself."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if _has_ended(worker, within=LOOK) or time.monotonic() > deadline:
                words = (self.folder / "worker.log").read_text(errors="replace")
                raise click.ClickException(f"the worker did not get as far as it should (return code {worker.poll()}):\n{words[-2_000:]}")


def _has_ended(worker: Worker, *, within: float) -> bool:
    try:
        worker.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True
