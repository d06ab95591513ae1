"""A scheme with one timer, to be written in a line, and its rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bench import NOW

from workflow_runtime import WorkflowRuntime

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def text(timer: str, *ways: str, head: str = "", a: str = "{initial: true}", b: str = "{}") -> str:
    """The timer t leads from A to B; out leads to the end."""
    given = "\n".join(f"  - {way}" for way in ways or ("{from: A, to: B, on: {timer: t}}",))
    return f"""
scheme: S
{head}
timers:
  t: {timer}
commands: {{go: {{}}, out: {{}}, back: {{}}}}
activities: {{A: {a}, B: {b}, C: {{}}, End: {{final: true}}}}
transitions:
{given}
  - {{from: A, to: End, on: {{command: out}}}}
  - {{from: B, to: End, on: {{command: out}}}}
  - {{from: C, to: End, on: {{command: out}}}}
"""


def dues(runtime: WorkflowRuntime, process: Any) -> dict[str, timedelta]:
    return {timer.name: timer.due - NOW for timer in runtime.get_timers(process.id)}
