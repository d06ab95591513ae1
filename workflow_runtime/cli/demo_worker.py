"""The worker of the demo: a server in a process of its own, made to be killed.

``python -m workflow_runtime.cli.demo_worker FOLDER NAME`` works until its standard input ends, on the database that
WORKFLOW_RUNTIME_URL names: alone on SQLite, else as one of several. A line ``FIRST LAST`` has it make these orders,
all at once; without one it only does what recovery finds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from workflow_runtime.cli.demo_ledger import Ledger
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.core.restoring import InterruptedProcess, IProcessRestorer, RestoreDecision

if TYPE_CHECKING:
    from workflow_runtime import ActionContext
    from workflow_runtime.runtime import WorkflowRuntime

SCHEME = "Order"


class ResumePayment(IProcessRestorer):
    """The provider deduplicates on the key, so an interrupted payment may be asked for again with the same key."""

    name = "demo.ResumePayment"

    def need_custom_restore(self, scheme_code: str, status: ProcessStatus) -> bool:
        return scheme_code == SCHEME

    def get_custom_restore_decision(self, process: InterruptedProcess) -> RestoreDecision:
        return RestoreDecision.resume().because("the provider deduplicates on the key")


def order_name(number: int) -> str:
    return f"order-{number:02}"


def build(folder: Path, url: str, name: str = "worker-1") -> WorkflowRuntime:
    """The runtime of the worker: the order scheme, its two actions, one restorer."""
    from workflow_runtime.runtime import WorkflowRuntime

    ledger = Ledger(folder / "ledger.db")

    def charge_payment(ctx: ActionContext, amount: str | None) -> None:
        ctx.step("payment", ledger.pay, ctx.idempotency_key, ctx.parameters["Order"], int(amount or 0))

    def ship_order(ctx: ActionContext, parameter: str | None) -> None:
        ctx.parameters["Shipped"] = True

    actions = {"ChargePayment": charge_payment, "ShipOrder": ship_order}
    scheme = resources.files("workflow_runtime.schemes") / "order.yaml"
    runtime = WorkflowRuntime(url).with_actions(actions).with_process_restorer(ResumePayment()).with_schemes(scheme.read_text(encoding="utf-8"))
    return runtime.as_single_server(name) if url.startswith("sqlite") else runtime.as_multi_server(name)


def place(runtime: WorkflowRuntime, number: int) -> None:
    """One order; ends when it is delivered."""
    runtime.create_instance(SCHEME, parameters={"Order": order_name(number), "Amount": 10 * number})


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches parent and child: the parent decides
    with build(Path(sys.argv[1]), os.environ["WORKFLOW_RUNTIME_URL"], sys.argv[2]) as runtime:
        for line in sys.stdin:
            first, last = map(int, line.split())
            for number in range(first, last + 1):
                threading.Thread(target=place, args=(runtime, number), daemon=True).start()


if __name__ == "__main__":
    main()
