"""A server dies between two actions; the next one goes on where it stopped, without charging twice.

Run it from anywhere: everything happens in a temporary folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from workflow_runtime import ActionContext, WorkflowRuntime
from workflow_runtime.plugins.restorers import Resume

SCHEME = """
scheme: Shipment
activities:
  Draft: {initial: true}
  Fulfil: {actions: [{Charge: "4711"}, {Pack: "4711"}]}
  Done: {final: true}
transitions:
  - {from: Draft, to: Fulfil}
  - {from: Fulfil, to: Done}
"""


def book(order: str | None) -> None:
    """The payment provider: every charge it receives is one line of its ledger."""
    with open("ledger.txt", "a") as ledger:
        ledger.write(f"{order}\n")


def charge(ctx: ActionContext, order: str | None) -> None:
    ctx.step("charge", book, order)
    print(f"order {order} is charged", flush=True)


def pack(ctx: ActionContext, order: str | None) -> None:
    if ctx.attempt == 1:
        os._exit(9)  # the power fails: no exception, no clean-up
    print(f"order {order} is packed")


def runtime() -> WorkflowRuntime:
    return (
        WorkflowRuntime("sqlite:///shipment.db")
        .with_schemes(SCHEME)
        .with_actions({"Charge": charge, "Pack": pack})
        .with_process_restorer(Resume(schemes="Shipment"))
    )


def first_server() -> None:
    with runtime() as server:
        server.create_instance("Shipment")


def second_server() -> None:
    with runtime().with_settings(auto_recover=False) as server:
        server.recover(wait=True)
        decision = server.get_recoveries()[0].decisions[0]
        print(f"recovery: {decision.decision} by {decision.decided_by}, status after: {decision.status_after}")
        process = server.get_process(decision.process_id)
        print(f"the process is {process.status} at {process.activity}; charges in the ledger: {len(Path('ledger.txt').read_text().split())}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = str(Path(__file__).resolve())
        crash = subprocess.run([sys.executable, script, "first"], cwd=folder, check=False)
        print(f"the first server died with exit code {crash.returncode}", flush=True)
        subprocess.run([sys.executable, script, "second"], cwd=folder, check=True)


if __name__ == "__main__":
    {"first": first_server, "second": second_server}.get(sys.argv[-1], main)()
