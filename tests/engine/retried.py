"""A scheme with one action that fails as often as it is told, and what the tests want to know of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from bench import Bench, history

from workflow_runtime import Process, WorkflowRuntime


def text(action: str, *, activity: str = "", head: str = "", before: str = "") -> str:
    """The command go leads to Work, which has the action, and on to Next; there the command out."""
    return f"""
scheme: S
{head}
commands: {{go: {{}}, out: {{}}}}
activities:
  Rest: {{initial: true}}
  Work: {{actions: [{before}{action}]{activity}}}
  Next: {{}}
  End: {{final: true}}
transitions:
  - {{from: Rest, to: Work, on: {{command: go}}}}
  - {{from: Work, to: Next}}
  - {{from: Next, to: End, on: {{command: out}}}}
"""


def call(retry: str, **more: Any) -> str:
    """The action Call with this policy, without jitter."""
    options = "".join(f", {name}: {value}" for name, value in more.items())
    return f"{{action: Call, retry: {{jitter: 0, {retry}}}{options}}}"


class Flaky:
    """Fails so many times; notes ``ctx.attempt`` and the effect key of each call."""

    def __init__(self, failures: int = 0, error: BaseException | None = None) -> None:
        self.failures, self.error = failures, error or ConnectionError("no line")
        self.attempts, self.keys = list[int](), list[str]()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        self.attempts.append(ctx.attempt)
        self.keys.append(ctx.idempotency_key)
        if len(self.attempts) <= self.failures:
            raise self.error


def sent(bench: Bench, scheme: str, call: Any, **given: Any) -> tuple[WorkflowRuntime, Process]:
    """A process that was told to go; it waits, or has come to rest."""
    runtime = bench(scheme, actions={"Call": call}, **given)
    process = runtime.create_instance("S")
    return runtime, runtime.execute_command(process.id, "go").process


def retries(runtime: WorkflowRuntime, process_id: UUID) -> list[str]:
    """What history tells of the attempts that were not the last."""
    return [f"{entry.error and entry.error.message}: {entry.reason}" for entry in history(runtime, process_id) if entry.kind == "retry"]
