"""The scheme that is tortured: a transfer whose actions call the receiver, and a restorer that does what each process asks for.

Each process says at its creation what its restorer does (the parameter ``Policy``). One with the policy ``poison``
kills every server that executes its second activity.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from evidence import Edge, Plan

from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.core.restoring import InterruptedProcess, IProcessRestorer, RestoreDecision
from workflow_runtime.engine.steps import ActionContext

SCHEME = """\
scheme: Transfer
parameters:
  Policy: {type: string, purpose: persistence, initial: resume}
commands: {close: {}}
timers:
  pause: {interval: 300ms}
activities:
  New: {state: New, initial: true, actions: [Open]}
  Debited: {state: Debited, actions: [Reserve, Debit, Book]}
  Waiting: {state: Waiting}
  Credited: {state: Credited, actions: [Credit, Notify]}
  Ready: {state: Ready, set_state: true}
  Held: {state: Held, set_state: true}
  Done: {state: Done, final: true, actions: [Confirm]}
transitions:
  - {name: begin, from: New, to: Debited}
  - {name: wait, from: Debited, to: Waiting}
  - {name: credit, from: Waiting, to: Credited, on: {timer: pause}}
  - {name: settle, from: Credited, to: Ready}
  - {name: close, from: Ready, to: Done, on: {command: close}}
  - {name: give up, from: Held, to: Done, on: {command: close}}
"""

#: the steps of each action that call the receiver; "" is the action itself
STEPS: dict[str, tuple[str, ...]] = {
    "Open": ("",),
    "Reserve": ("reserve",),
    "Debit": ("debit", "debit", "check"),
    "Book": ("",),
    "Credit": ("credit", ""),
    "Notify": ("notify", "notify", "notify"),
    "Confirm": ("confirm",),
}

PLAN = Plan(
    initial="New",
    finals=frozenset({"Done"}),
    activities={
        "New": ("Open",),
        "Debited": ("Reserve", "Debit", "Book"),
        "Waiting": (),
        "Credited": ("Credit", "Notify"),
        "Ready": (),
        "Held": (),
        "Done": ("Confirm",),
    },
    edges=frozenset(
        {
            Edge("begin", "New", "Debited", ("Auto", "")),
            Edge("wait", "Debited", "Waiting", ("Auto", "")),
            Edge("credit", "Waiting", "Credited", ("Timer", "pause")),
            Edge("settle", "Credited", "Ready", ("Auto", "")),
            Edge("close", "Ready", "Done", ("Command", "close")),
            Edge("give up", "Held", "Done", ("Command", "close")),
        }
    ),
    sends=frozenset((action, step) for action, steps in STEPS.items() for step in steps),
)

POISON = "poison"
Send = Callable[[dict[str, Any]], None]


class ByPolicy(IProcessRestorer):
    """Decides as the process itself asks; what hangs does so for longer than ``restorer_timeout``, and not for ever."""

    name = "ByPolicy"

    def need_custom_restore(self, scheme_code: str, status: ProcessStatus) -> bool:
        return True

    def get_custom_restore_decision(self, process: InterruptedProcess) -> RestoreDecision:
        policy = str(process.parameters.get("Policy", "resume"))
        return DECISIONS[policy]()


def _raise() -> RestoreDecision:
    raise RuntimeError("the restorer is broken")


def _hang() -> RestoreDecision:
    threading.Event().wait(20)
    return RestoreDecision.resume()


def _garbage() -> Any:
    return "resume, please"


DECISIONS: dict[str, Callable[[], RestoreDecision]] = {
    "resume": lambda: RestoreDecision.resume().because("asked for"),
    "delete": lambda: RestoreDecision.delete().because("asked for"),
    "rerun": lambda: RestoreDecision.run_from_current_activity().because("asked for"),
    "jump": lambda: RestoreDecision.run_from_new_activity("Held").because("asked for"),
    "default": lambda: RestoreDecision.default().because("asked for"),
    "raise": _raise,
    "hang": _hang,
    "garbage": _garbage,
    POISON: lambda: RestoreDecision.resume().because("asked for, and deadly"),
}


def actions(send: Send) -> dict[str, Callable[[ActionContext, str | None], None]]:
    """The actions of the scheme; ``send`` delivers one request to the receiver, or raises."""
    return {name: _action(name, steps, send) for name, steps in STEPS.items()}


def _action(name: str, steps: tuple[str, ...], send: Send) -> Callable[[ActionContext, str | None], None]:
    def act(ctx: ActionContext, parameter: str | None) -> None:
        if name == "Debit" and ctx.parameters.get("Policy") == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        for number, step in enumerate(steps):
            occurrence = steps[:number].count(step)
            if step:
                ctx.step(step, lambda step=step, occurrence=occurrence: send(_request(ctx, name, step, occurrence)))
            else:
                send(_request(ctx, name, "", 0))

    return act


def _request(ctx: ActionContext, action: str, step: str, occurrence: int) -> dict[str, Any]:
    """What the receiver is told: the key, what it stands for, and who has the process."""
    return {
        "key": ctx.idempotency_key,
        "process": str(ctx.process_id),
        "place": [ctx._walk.id, ctx.activity, action, step, occurrence],
        "owner": ctx.process.owner,
        "token": ctx.process.token,
    }
