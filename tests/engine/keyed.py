"""A scheme of orders for tests of idempotency keys, and a look at the rows of keys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from bench import Bench, engine_of

from workflow_runtime import (
    WorkflowRuntime,
)
from workflow_runtime.core import keys
from workflow_runtime.core.keys import Row

ORDER = """
scheme: Order
parameters: {Amount: {type: int, purpose: persistence}}
commands:
  pay: {inputs: {Amount: {}}}
  plain: {}
  ask: {}
  deny: {}
  fail: {}
  again: {}
activities:
  New: {initial: true}
  Paid: {actions: [{action: Note, with: paid}]}
  Plain: {}
  Broken: {actions: [Fail]}
transitions:
  - {from: New, to: Paid, on: {command: pay}}
  - {from: New, to: Plain, on: {command: plain}}
  - {from: New, to: Plain, on: {command: ask}, when: {action: Ask}}
  - {from: New, to: Plain, on: {command: deny}, allow: [Boss]}
  - {from: New, to: Broken, on: {command: fail}}
  - {from: Paid, to: New, on: {command: again}}
  - {from: Plain, to: New, on: {command: again}}
"""


def served(bench: Bench, **given: Any) -> WorkflowRuntime:
    usual: dict[str, Any] = {"conditions": {"Ask": lambda ctx, parameter: False}, "rules": {"Boss": lambda process, identity, parameter: identity == "boss"}}
    return bench(ORDER, **usual | given)


def order(bench: Bench, **given: Any) -> tuple[WorkflowRuntime, UUID]:
    runtime = served(bench, **given)
    return runtime, runtime.create_instance("Order").id


def row(runtime: WorkflowRuntime, scope: object, name: str = "k") -> Row | None:
    return engine_of(runtime).store.key_row(keys.Key(str(scope), name, ""))


def open_keys(runtime: WorkflowRuntime, scope: object) -> bool:
    found = row(runtime, scope)
    assert found is not None
    return not found.is_settled
