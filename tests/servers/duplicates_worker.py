"""One server that takes requests, in a process of its own: ``python duplicates_worker.py NAME URL EFFECTS``.

Says ``ready`` when it has begun. Each line of its standard input is a request (JSON), each line that it says is an answer.
When its input ends it leaves in good order. EFFECTS is the URL of a schema that the engine knows nothing of: the action
Append writes there, over connections of its own.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa

from workflow_runtime import WorkflowError, WorkflowRuntime

SCHEME = """
scheme: Order
recovery: resume
commands: {go: {}, no: {}, bad: {}}
activities:
  A: {initial: true}
  B: {actions: [Append, Nothing]}
  C: {actions: [Break]}
transitions:
  - {from: A, to: B, on: {command: go}}
  - {from: B, to: A}
  - {from: A, to: C, on: {command: bad}}
  - {from: A, to: C, on: {command: no}, when: {action: Never}}
"""
AT_ONCE = 8  #: requests that one server has in hand
WAIT = 5.0  #: seconds that a duplicate waits for the answer

_effects = sa.MetaData()
#: every call that came, and each key once
calls = sa.Table("calls", _effects, sa.Column("key", sa.Text), sa.Column("process", sa.Text), sa.Column("number", sa.Integer))
effects = sa.Table("effects", _effects, sa.Column("key", sa.Text, primary_key=True), sa.Column("process", sa.Text), sa.Column("number", sa.Integer))


class Receiver:
    """What an action calls: it deduplicates on the key."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._mine = threading.local()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        from sqlalchemy.dialects.postgresql import insert

        if not hasattr(self._mine, "connection"):
            self._mine.connection = self._engine.connect()
        said = {"key": ctx.idempotency_key, "process": str(ctx.process.id), "number": ctx.parameters["Number"]}
        self._mine.connection.execute(sa.insert(calls).values(**said))
        self._mine.connection.execute(insert(effects).values(**said).on_conflict_do_nothing())


def broken(ctx: Any, parameter: str | None) -> None:
    raise ValueError(f"number {ctx.parameters['Number']} is bad")


def answer(runtime: WorkflowRuntime, request: dict[str, Any]) -> dict[str, Any]:
    """``told`` is what all senders of one request must be told alike."""
    try:
        result = runtime.execute_command(
            request["process"], request["command"], parameters={"Number": request["number"]}, idempotency_key=request["key"], wait=WAIT
        )
        return {"id": request["id"], "told": [result.was_executed, result.reason], "replayed": result.replayed}
    except WorkflowError as error:
        return {"id": request["id"], "told": [error.name, error.message], "replayed": None}


def main() -> None:
    name, url, effects_url = sys.argv[1:]
    actions = {"Append": Receiver(effects_url), "Nothing": lambda ctx, parameter: None, "Break": broken}
    runtime = WorkflowRuntime(url).with_schemes(SCHEME).with_actions(actions).with_conditions({"Never": lambda ctx, parameter: False})
    saying = threading.Lock()

    def serve(line: str) -> None:
        said = json.dumps(answer(runtime, json.loads(line)))
        with saying:
            print(said, flush=True)

    with runtime.with_settings(workers=AT_ONCE).as_multi_server(name), ThreadPoolExecutor(AT_ONCE) as pool:
        print("ready", flush=True)
        for line in sys.stdin:
            pool.submit(serve, line)


if __name__ == "__main__":
    main()
