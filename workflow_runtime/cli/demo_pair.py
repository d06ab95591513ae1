"""The demo with two servers over one PostgreSQL database: one is killed, and the other takes over at once.

Nobody restarts anything. The server that lives sees the lock of the other one free, declares it dead, adopts its
orders and asks the restorer about each, while it works on orders of its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from workflow_runtime.cli.demo_seen import ORDERS, clock, how_it_ended, in_flight, running, running_orders, settle, show, show_orders, show_recovery
from workflow_runtime.cli.demo_story import Story, Worker
from workflow_runtime.cli.output import span
from workflow_runtime.cli.recovery import times
from workflow_runtime.cli.server import EVIDENCE, UNKNOWN

if TYPE_CHECKING:
    from workflow_runtime.core.process import Process
    from workflow_runtime.core.restoring import RecoveryReport, Server
    from workflow_runtime.runtime import WorkflowRuntime

FIRST = 8  #: orders of the server that is killed; the other one has the rest
ANSWERED, BOOKED = 2, 5  #: payments of these that are answered, and booked, when it is killed
BEATS = 4  #: after so many of each, both have seen that the other one's lock is held


class Pair(Story):
    """One run in the middle of somebody's database, in a schema of its own."""

    def tell(self) -> int:
        show("workflow_runtime demo: two servers over one PostgreSQL database")
        self.ledger.create()
        self.ledger.hold(after_answers=ANSWERED, after_bookings=BOOKED)
        with self.client() as client, self.worker("worker-1") as first, self.worker("worker-2") as second:
            self.until(first, lambda: self.know_each_other(client))
            self.fill(client, first, second)
            left, killed_at = self.be_killed_by_name(client, first)
            show_orders(left, self.ledger)
            self.until(second, lambda: decided(client) == len(left))
            self.ledger.release()
            self.until(second, lambda: running(client) == 0)
            self.end(second)
            show_recovery(client, "worker-2 took over", lambda report: after_the_kill(report, killed_at))
            return settle(client, self.ledger)

    def know_each_other(self, client: WorkflowRuntime) -> bool:
        servers = client.get_servers()
        return len(servers) == 2 and all(server.beat >= BEATS for server in servers)

    def fill(self, client: WorkflowRuntime, first: Worker, second: Worker) -> None:
        """Both are in the middle of payments, and it is known who of what."""
        self.place(first, 1, FIRST)
        self.until(first, lambda: self.is_in_the_middle(client, requests=FIRST, booked=BOOKED, answered=ANSWERED))
        here = in_flight(self.ledger.counts())
        self.place(second, FIRST + 1, ORDERS)
        self.until(second, lambda: self.is_in_the_middle(client, requests=ORDERS, booked=BOOKED, answered=ANSWERED))
        show(f"  worker-1  pid {first.pid}   {here} payments in flight   payments made: {ANSWERED}")
        show(f"  worker-2  pid {second.pid}   {ORDERS - FIRST} payments in flight")

    def be_killed_by_name(self, client: WorkflowRuntime, worker: Worker) -> tuple[list[Process], datetime]:
        """What it leaves, and when it was killed by the database's clock: all its payments are held, so nothing moves meanwhile."""
        left = running_orders(client, self.server_of(client, worker).id)
        killed_at = client.get_time()
        worker.kill()
        show(f"  {clock()}  worker-1 {how_it_ended(worker.wait())}, {len(left)} orders stand in Running in its name:")
        return left, killed_at

    def server_of(self, client: WorkflowRuntime, worker: Worker) -> Server:
        return next(server for server in client.get_servers() if server.pid == worker.pid)


def decided(client: WorkflowRuntime) -> int:
    return sum(report.decided for report in client.get_recoveries())


def after_the_kill(report: RecoveryReport, killed_at: datetime) -> list[str]:
    """One line per dead server: how it was noticed, and how long after the kill what happened."""
    return [
        f"{death.name}: {EVIDENCE.get(death.evidence, UNKNOWN)}; after the kill: "
        + ", ".join(f"{name} {span(moment - killed_at)}" for name, moment in times(report, death).items())
        for death in report.deaths
    ]
