"""A server that gives commands to processes of its own, in a process of its own.

``python -m benchmarks.giving ORDERS``, a JSON object of ``Orders``, with the URL of the runtime in WORKFLOW_RUNTIME_URL. It says
``ready`` and then takes lines: for so many seconds each of its threads gives one command after the other, and it says how many there were.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import click

from benchmarks.workshop import SCHEME, nothing
from workflow_runtime import WorkflowRuntime


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    name: str
    threads: int


def given(process_id: UUID, *, runtime: WorkflowRuntime, until: float) -> int:
    """Commands, one after the other, to one process; ``until`` by ``time.perf_counter``."""
    number = 0
    while time.perf_counter() < until:
        runtime.execute_command(process_id, "go")
        number += 1
    return number


def main() -> None:
    orders = Orders(**json.loads(sys.argv[1]))
    built = WorkflowRuntime().with_schemes(SCHEME).with_actions({"Nothing": nothing}).as_multi_server(orders.name)
    with built as runtime, ThreadPoolExecutor(orders.threads) as threads:
        own = [runtime.create_instance("Bench").id for _ in range(orders.threads)]
        click.echo("ready")
        for line in sys.stdin:
            work = partial(given, runtime=runtime, until=time.perf_counter() + float(line))
            click.echo(sum(threads.map(work, own)))


if __name__ == "__main__":
    main()
