"""What the crash tests run: one scheme with every kind of walk, actions that record each effect, and the scripts."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from workflow_runtime.core.restoring import IProcessRestorer
from workflow_runtime.engine.steps import ActionContext
from workflow_runtime.errors import ActionFailed
from workflow_runtime.plugins.restorers import Delete, JumpTo, Rerun, Resume
from workflow_runtime.registry import Registry
from workflow_runtime.runtime import WorkflowRuntime
from workflow_runtime.testing.clock import FakeClock
from workflow_runtime.testing.crash import CrashingRuntime

START = datetime(2031, 1, 1, tzinfo=UTC)
HOUR = 3600
Crash = Callable[..., int]  #: (folder, script, *, point, policy, phase) -> exit code, negative for a signal

WHO: Any = {"actor": "ann", "reason": "test"}

SCHEME = """\
scheme: Trade
parameters:
  Fail: {type: boolean, purpose: persistence}
commands: {Pack: {}, Hold: {}, Seal: {}, Stamp: {}, Close: {}}
timers:
  remind: {interval: 1h}
  hopeless: {interval: 30m}
activities:
  Open: {state: Open, initial: true, set_state: true, actions: [Reserve, Announce]}
  Packing: {state: Packing, actions: [Pick, Wrap, Weigh]}
  Checked: {state: Checked}
  Labelled: {state: Labelled, actions: [{action: Label, retry: {attempts: 5, delay: 2s, factor: 1, jitter: 0}}]}
  Waiting: {state: Waiting}
  Reminded: {state: Reminded, actions: [Remind]}
  Ready: {state: Ready, set_state: true}
  Held: {state: Held}
  Sealed: {state: Sealed, actions: [Seal], execution_timeout: {after: 30s, retry: 1}}
  Stamped: {state: Stamped, actions: [Stamp], execution_timeout: {after: 30s, set_activity: Ready}}
  Done: {state: Done, final: true}
transitions:
  - {from: Open, to: Packing, on: {command: Pack}}
  - {from: Open, to: Held, on: {command: Hold}}
  - {from: Packing, to: Checked}
  - {from: Checked, to: Labelled}
  - {from: Labelled, to: Waiting}
  - {from: Waiting, to: Reminded, on: {timer: remind}}
  - {from: Reminded, to: Ready}
  - {from: Ready, to: Done, on: {command: Close}}
  - {from: Open, to: Sealed, on: {command: Seal}}
  - {from: Open, to: Stamped, on: {command: Stamp}}
  - {from: Sealed, to: Ready}
  - {from: Stamped, to: Ready}
  - {from: Held, to: Done, on: {command: Close}}
  - {from: Held, to: Done, on: {timer: hopeless}, when: "1 = 2"}
"""

#: activities that a command or a timer leads out of: there the status rule says Error, elsewhere Terminated
LEADS_OUT = frozenset({"Open", "Waiting", "Ready", "Held"})

RESTORERS: dict[str, Callable[[], IProcessRestorer]] = {
    "resume": Resume,
    "rerun": Rerun,
    "jump": lambda: JumpTo("Ready"),
    "delete": Delete,
}


class Ledger:
    """Everything that ever happened outside of the database: one line per effect or acknowledgement, appended at once."""

    def __init__(self, folder: Path, phase: str) -> None:
        self._effects, self._acknowledged = folder / "effects.jsonl", folder / "acknowledged.jsonl"
        self._phase = phase

    def effect(self, ctx: ActionContext, action: str, step: str = "") -> str:
        fields = {"key": ctx.idempotency_key, "process": str(ctx.process_id), "walk": ctx._walk.id, "action": action, "step": step}
        _append(self._effects, {"phase": self._phase, **fields})
        return ctx.idempotency_key

    def has(self, key: str) -> bool:
        return any(effect["key"] == key for effect in self.effects())

    def acknowledge(self, verb: str, process_id: UUID) -> None:
        _append(self._acknowledged, {"verb": verb, "process": str(process_id)})

    def effects(self) -> list[dict[str, str]]:
        return _lines(self._effects)

    def acknowledged(self) -> list[tuple[str, UUID]]:
        return [(line["verb"], UUID(line["process"])) for line in _lines(self._acknowledged)]


def _append(path: Path, line: dict[str, str]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (json.dumps(line) + "\n").encode())
    os.close(file)


def _lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Trade:
    """A server of the scheme in one folder: database, ledger, actions."""

    def __init__(self, folder: Path, phase: str, policy: str = "none", *, crashing: bool = False, clock: FakeClock | None = None) -> None:
        self.ledger, self.clock = Ledger(folder, phase), clock or FakeClock(START)
        self.barrier: threading.Barrier | None = None
        self.draining = threading.Event()
        self.hangs = 0  #: how many of the next calls of Seal and Stamp never end
        self.hung = threading.Semaphore(0)  #: released by each of them
        make: Callable[..., WorkflowRuntime] = CrashingRuntime if crashing else WorkflowRuntime
        self.runtime = make(f"sqlite:///{folder}/workflow.db", clock=self.clock).with_schemes(SCHEME).with_registry(self._actions())
        self.runtime.with_settings(workers=2, sqlite_synchronous="NORMAL", shutdown_grace=30.0)
        if policy in RESTORERS:
            self.runtime.with_process_restorer(RESTORERS[policy]())

    def _actions(self) -> Registry:
        registry = Registry()
        for name in ("Reserve", "Announce", "Pick", "Wrap", "Weigh", "Label", "Remind", "Seal", "Stamp"):
            registry.add_action(name, self._action(name))
        return registry

    def _action(self, name: str) -> Callable[..., None]:
        def act(ctx: ActionContext, parameter: str | None) -> None:
            if name == "Wrap" and self.barrier is not None:
                self.barrier.wait(30)
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "Wrap" and ctx.parameters.get("Poison"):
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "Wrap" and ctx.parameters.get("Fail"):
                raise ValueError("no paper left")
            if name == "Weigh" and ctx.parameters.get("Drain"):
                self._drain()
            if name in ("Seal", "Stamp") and self.hangs:
                self._hang()
            once: dict[str, Any] = {"effect": "at_most_once", "check_outcome": lambda: self.ledger.has(ctx.idempotency_key)} if name == "Remind" else {}
            ctx.step("book", lambda: self.ledger.effect(ctx, name, "book"), **once)
            if name == "Label" and ctx.parameters.get("Flaky") and ctx.attempt <= 2:
                raise ConnectionError("the printer is away")
            self.ledger.effect(ctx, name)
            ctx.parameters[f"{name}Done"] = ctx.parameters.get(f"{name}Done", 0) + 1

        return act

    def _hang(self) -> None:
        self.hangs -= 1
        self.hung.release()
        threading.Event().wait()

    def overdue(self, process_id: UUID, command: str, times: int) -> None:
        """The command, whose action is given up so often."""
        self.hangs = times
        thread = threading.Thread(target=self.command, args=(process_id, command))
        thread.start()
        for _ in range(times):
            assert self.hung.acquire(timeout=30)
            self.clock.advance(30)
        thread.join()

    def _drain(self) -> None:
        """The server begins to shut down while this action runs."""
        engine = self._engine
        threading.Thread(target=self.runtime.shutdown, daemon=True).start()
        while not engine.draining:
            self.draining.wait(0.001)

    def __enter__(self) -> Trade:
        self.runtime.start()
        self._engine = self.runtime._parts.engine
        return self

    def __exit__(self, *_: object) -> None:
        self.runtime.shutdown()

    def create(self, number: int, **parameters: Any) -> UUID:
        process_id = UUID(int=number)
        self.runtime.create_instance("Trade", process_id=process_id, parameters=parameters)
        self.ledger.acknowledge("create", process_id)
        return process_id

    def command(self, process_id: UUID, name: str) -> None:
        with suppress(ActionFailed):
            self.runtime.execute_command(process_id, name)
            self.ledger.acknowledge(name, process_id)


# -- what the server that is killed was doing -------------------------------------------------------------


def life(server: Trade) -> None:
    """Creations, commands, automatic walks, timers that fire and one that leads nowhere."""
    one, held, other = (server.create(number) for number in (1, 2, 3))
    server.command(one, "Pack")
    server.command(held, "Hold")
    for _ in range(3):
        server.clock.advance(HOUR)
    server.command(one, "Close")
    server.command(other, "Pack")


def verbs(server: Trade) -> None:
    """What operators do, an action that fails, one that is repeated, and a shutdown in the middle of a run."""
    runtime, acknowledge = server.runtime, server.ledger.acknowledge
    for number in (1, 2, 3):
        one = server.create(number)
        runtime.cancel_process(one, **WHO)
        acknowledge("cancel", one)
    for number in (4, 5, 6):
        one = server.create(number)
        runtime.delete_process(one, **WHO)
        acknowledge("delete", one)
    for number in (7, 8, 9):
        one = server.create(number, Fail=True)
        server.command(one, "Pack")
        runtime.set_parameter(one, "Fail", None, **WHO)
        acknowledge("set_parameter", one)
    runtime.set_activity(UUID(int=8), "Labelled", **WHO)
    runtime.resume_process(UUID(int=7), **WHO)
    server.command(server.create(11, Flaky=True), "Pack")
    for _ in range(2):
        server.clock.advance(2)
    server.command(server.create(10, Drain=True), "Pack")


def deadlines(server: Trade) -> None:
    """Actions that do not end in time: repeated and done, repeated and failed, and led elsewhere."""
    for number, command, times in ((1, "Seal", 1), (2, "Seal", 2), (3, "Stamp", 1)):
        server.overdue(server.create(number), command, times)


def recovery(server: Trade) -> None:
    """Decides about what an earlier server left."""
    server.runtime.recover(wait=True)


def left_behind(server: Trade, count: int = 3, **first: Any) -> None:
    """Dies with ``count`` processes in the middle of an activity, by itself."""
    ids = [server.create(number, **first if number == 1 else {}) for number in range(1, count + 1)]
    server.barrier = threading.Barrier(count)
    threads = [threading.Thread(target=server.command, args=(one, "Pack")) for one in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def left_alone(server: Trade) -> None:
    """The same with one process."""
    left_behind(server, 1)


def poisoned(server: Trade) -> None:
    """The same with three, of which the first kills every server that executes it."""
    left_behind(server, 3, Poison=True)


SCRIPTS: dict[str, Callable[[Trade], None]] = {one.__name__: one for one in (life, verbs, deadlines, recovery, left_behind, left_alone, poisoned)}
