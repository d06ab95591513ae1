"""A server of the takeover benchmark, in a process of its own, made to be killed.

``python -m benchmarks.serving ORDERS``, a JSON object of ``Orders``, with the URL of the runtime in WORKFLOW_RUNTIME_URL
and that of the provider in PROVIDER_URL. It says ``ready`` and then takes lines: a number makes so many processes, each driven by a
thread of its own as in an application. With the end of its input it hands back what it has and ends.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from benchmarks.provider import Provider
from workflow_runtime import Fenced, WorkflowError, WorkflowRuntime

IN_A_WALK = 3  #: steps
APART = 0.005  #: seconds between two new processes, so that they do not all write at once, each over a connection of its own
ACTION, ACTIVITY = "Ask", "Work"
SCHEME = """
scheme: Takeover
recovery: resume
parameters: {{Steps: {{type: integer, purpose: persistence, initial: 0}}}}
activities:
  Begin: {{initial: true}}
  {activity}: {{actions: [{action}, {action}, {action}]}}
  Done: {{final: true}}
transitions:
  - {{from: Begin, to: {activity}}}
  - {{from: {activity}, to: {activity}, name: again, when: "Steps < {steps}"}}
  - {{from: {activity}, to: Done, otherwise: true}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Settings are the default ones but for the workers; ``sweep`` None: the default too. ``steps`` of each process, ``seconds`` of each step."""

    name: str
    workers: int
    sweep: float | None
    steps: int
    seconds: float


def build(orders: Orders, provider: Provider) -> WorkflowRuntime:
    scheme = SCHEME.format(activity=ACTIVITY, action=ACTION, steps=orders.steps)
    runtime = WorkflowRuntime().with_schemes(scheme).with_settings(workers=orders.workers).as_multi_server(orders.name)
    if orders.sweep is not None:
        runtime.with_settings(sweep=orders.sweep)

    @runtime.action(ACTION)
    def ask(ctx: Any, parameter: str | None) -> None:
        left = provider.ask(ctx.idempotency_key, str(ctx.process_id), orders.name, orders.seconds)
        threading.Event().wait(max(0.0, left))
        ctx.parameters["Steps"] += 1

    return runtime


def drive(runtime: WorkflowRuntime, provider: Provider, name: str) -> None:
    """One process from its creation to its end, unless it is taken from this server."""
    try:
        runtime.create_instance("Takeover")
    except Fenced:
        provider.note_refusal(name)
    except WorkflowError as error:  # what became of it, the tables say
        click.echo(f"{name}: {error.name}: {error}", err=True)


def main() -> None:
    orders = Orders(**json.loads(sys.argv[1]))
    provider = Provider(os.environ["PROVIDER_URL"])
    work = partial(drive, provider=provider, name=orders.name)
    with build(orders, provider) as runtime:
        click.echo("ready")
        for line in sys.stdin:
            for _ in range(int(line)):
                threading.Thread(target=work, args=(runtime,), daemon=True).start()
                threading.Event().wait(APART)


if __name__ == "__main__":
    main()
