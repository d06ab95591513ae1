"""Programs of activities, actions and steps whose every effect is written down outside of the database, and how their servers die and are followed.

A program goes by itself from its first activity to its last, once the command ``go`` was given. Each step, and each action behind
its steps, has one effect: a line with its place and its key. A client sends its two requests again, with the same keys,
until it has an answer, as it would after a crash.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from crash_scheme import START

from workflow_runtime.core.attempts import failures
from workflow_runtime.core.process import EntryKind, ErrorInfo, HistoryEntry, Process, ProcessStatus
from workflow_runtime.core.stepping import Done
from workflow_runtime.core.watching import Evidence
from workflow_runtime.engine.steps import ActionContext
from workflow_runtime.errors import CommandInProgress, ExecutionError
from workflow_runtime.plugins.restorers import Resume
from workflow_runtime.runtime import WorkflowRuntime
from workflow_runtime.store.writes import Store
from workflow_runtime.testing.clock import FakeClock
from workflow_runtime.testing.crash import CrashingRuntime

PLAIN, CHECKED, ONCE = "plain", "checked", "once"  #: steps at least once; at most once, with a check and without
PROCESS = UUID(int=1)
WAIT = 60  #: seconds of a long wait between two attempts
ROUNDS = 40  #: of driving; each passes one such wait


class Act(NamedTuple):
    """An action: its steps by kind, and how many of its attempts fail, behind that many steps; ``delay`` is the wait after each."""

    steps: tuple[str, ...]
    fails: int = 0
    behind: int = 0
    delay: int = 0


Program = tuple[tuple[Act, ...], ...]  #: the actions of each activity
Die = Callable[..., int]  #: (folder, program, url, *, point, phase) -> exit code, negative for a signal

#: five actions with two steps each
FIVE: Program = ((Act((PLAIN, CHECKED)),) * 5,)
FIVE_ONCE: Program = ((Act((PLAIN, ONCE)),) * 5,)


def read(told: Any) -> Program:
    """From JSON."""
    return tuple(tuple(Act(tuple(steps), *rest) for steps, *rest in activity) for activity in told)


def scheme_of(program: Program) -> str:
    names = [*(f"A{number}" for number in range(len(program))), "End"]
    lines = ["scheme: Program", "parameters: {Sum: {type: int, purpose: persistence, initial: 0}}", "commands: {go: {}}", "activities:"]
    lines += ["  Rest: {initial: true, state: Resting}"]
    for name, acts in zip(names, program, strict=False):
        actions = [_action(f"{name} {index}", act) for index, act in enumerate(acts)]
        lines.append(f"  {name}: {{state: {name}, actions: [{', '.join(actions)}]}}")
    lines += ["  End: {final: true, state: Over}", "transitions:", f"  - {{from: Rest, to: {names[0]}, on: {{command: go}}}}"]
    return "\n".join([*lines, *(f"  - {{from: {one}, to: {two}}}" for one, two in pairwise(names))])


def _action(place: str, act: Act) -> str:
    return f"{{action: Act, with: {place}, retry: {{attempts: {act.fails + 1}, delay: {act.delay}s, factor: 1, jitter: 0}}}}"


class Effect(NamedTuple):
    place: str
    key: str
    server: str  #: which of those that followed one another


class Receives(Protocol):
    def write(self, place: str, key: str) -> int: ...

    def has(self, key: str) -> bool: ...


class Book:
    """Who receives the effects writes them down, one line each, at once."""

    def __init__(self, folder: Path, server: str) -> None:
        self._path, self._server = folder / "effects.jsonl", server

    def write(self, place: str, key: str) -> int:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, (json.dumps(Effect(place, key, self._server)) + "\n").encode())
        os.close(file)
        return len(place)

    def has(self, key: str) -> bool:
        return any(effect.key == key for effect in effects_in(self._path.parent))


def effects_in(folder: Path) -> list[Effect]:
    path = folder / "effects.jsonl"
    return [Effect(*json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


class Programmed:
    """A server that executes one program. ``url``: where its database is; ``book``: who receives its effects, by default a file of the folder."""

    def __init__(self, folder: Path, server: str, program: Program, url: str, *, crashing: bool = False, book: Receives | None = None) -> None:
        self.book, self.program, self.clock = book or Book(folder, server), program, FakeClock(START)
        make = CrashingRuntime if crashing else WorkflowRuntime
        self.runtime = make(url, clock=self.clock).with_schemes(scheme_of(program)).with_actions({"Act": self._act})
        self.runtime.with_settings(workers=2, sqlite_synchronous="NORMAL", shutdown_grace=30.0)
        self.runtime.with_process_restorer(Resume())

    def __enter__(self) -> Programmed:
        self.runtime.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.runtime.shutdown()

    def _act(self, ctx: ActionContext, parameter: str | None) -> None:
        assert parameter is not None
        activity, index = parameter.split()
        act = self.program[int(activity[1:])][int(index)]
        fails = failures(ctx._walk.attempts, ctx._index) < act.fails  # what was counted before a crash counts behind it
        for number, kind in enumerate(act.steps):
            if fails and number == act.behind:
                raise ConnectionError(f"{parameter} fails")
            ctx.parameters["Sum"] += self._step(ctx, f"{parameter} s{number}", kind)
        if fails:
            raise ConnectionError(f"{parameter} fails")
        ctx.parameters[f"{activity}_{index}"] = self.book.write(parameter, ctx.idempotency_key)

    def _step(self, ctx: ActionContext, place: str, kind: str) -> int:
        options: dict[str, Any] = {} if kind == PLAIN else {"effect": "at_most_once"}
        if kind == CHECKED:
            options["check_outcome"] = lambda: Done(len(place)) if self.book.has(ctx.idempotency_key) else False
        done: int = ctx.step(place, lambda: self.book.write(place, ctx.idempotency_key), **options)
        return done

    # ------------------------------------------------------------------ what a client does

    def ask(self) -> None:
        """Both requests, each with its key; an error of the run is an answer too."""
        with suppress(ExecutionError, CommandInProgress):
            self.runtime.create_instance("Program", process_id=PROCESS, idempotency_key="create")
            self.runtime.execute_command(PROCESS, "go", idempotency_key="go")

    def drive(self) -> Process:
        """Asks, and lets the waits between attempts pass."""
        self.ask()
        for _ in range(ROUNDS):
            process = self.runtime.get_process(PROCESS)
            if process.status is not ProcessStatus.RUNNING:
                return process
            self.clock.advance(WAIT)
        raise AssertionError(f"still moving: {process}")


# ------------------------------------------------------------------ the end of a program


@dataclass(frozen=True)
class Ending:
    """All that must be equal, whatever died on the way."""

    stands: tuple[str, str, str]  #: activity, state, status
    parameters: dict[str, Any]
    history: list[tuple[Any, ...]]
    effects: set[str]  #: places

    @classmethod
    def of(cls, server: Programmed, folder: Path) -> Ending:
        process, entries = server.runtime.get_process(PROCESS), server.runtime.get_history(PROCESS, limit=1000)
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        told = [_told(entry) for entry in entries if entry.kind is not EntryKind.RECOVERED]
        stands = (process.activity, process.state, str(process.status))
        return cls(stands, dict(process.parameters), told, {effect.place for effect in effects_in(folder)})


def _told(entry: HistoryEntry) -> tuple[Any, ...]:
    """Without ids, moments and servers."""
    cause = (entry.error.type, entry.error.message, entry.error.action) if entry.error else None
    moved = (entry.from_activity, entry.to_activity, entry.from_state, entry.to_state, entry.transition)
    return (str(entry.kind), *moved, str(entry.status), entry.trigger, entry.is_final, cause)


def bury(url: str) -> None:
    """Whoever was killed is dead, and the test knows it: the next server need not watch its row for a lease."""
    store = Store.open(url, clock=lambda: START, new_token=lambda: 1)
    for server in store.servers():
        store.declare_dead(server.id, beat=server.beat, evidence=Evidence.START)
    store.close()


class After(NamedTuple):
    """What another server made of it."""

    ending: Ending
    finished: set[str]  #: places that were journaled when it came
    effects: list[Effect]
    error: ErrorInfo | None


def finish(folder: Path, program: Program, url: str) -> After:
    """Another server recovers what there is, and the client asks again."""
    bury(url)
    with Programmed(folder, "last", program, url) as server:
        finished = journaled(server)
        server.runtime.recover(wait=True)
        error = server.drive().last_error
        return After(Ending.of(server, folder), finished, effects_in(folder), error)


def journaled(server: Programmed) -> set[str]:
    """The places whose rows were committed, in this walk and in those before it: of steps, and of actions behind their steps."""
    found = server.runtime.find_processes()
    if not found:
        return set()
    walk = found[0].walk
    rows = server.runtime._parts.engine.store.journal(PROCESS, walk.id) if walk else ()
    arrived = {entry.to_activity for entry in server.runtime.get_history(PROCESS, limit=1000) if entry.kind is EntryKind.MOVED}
    own = {f"{row.activity} {row.index}" for row in rows if not row.step}
    return own | {row.step for row in rows if row.step and not row.intent} | {place for place in places(server.program) if place.split()[0] in arrived}


def places(program: Program) -> dict[str, str]:
    """Every place that has an effect, in their order -> the kind of the step; of an action: plain."""
    acts = [(f"A{number} {index}", act) for number, activity in enumerate(program) for index, act in enumerate(activity)]
    return {name: kind for place, act in acts for name, kind in [*((f"{place} s{number}", kind) for number, kind in enumerate(act.steps)), (place, PLAIN)]}


def check_effects(after: After, program: Program, *, crashes: int = 1) -> None:
    """One key per place. What was finished is not started again, what is to be done at most once neither; of all else what a crash met in flight."""
    keys = {(effect.place, effect.key) for effect in after.effects}
    assert len(keys) == len({place for place, _ in keys}) == len({key for _, key in keys}), "one place, one key"
    assert {effect.place for effect in after.effects if effect.server == "last"} & after.finished == set(), "a finished step was started again"
    again = {place: count - 1 for place, count in Counter(effect.place for effect in after.effects).items() if count > 1}
    assert {places(program)[place] for place in again} <= {PLAIN}, f"what is to be done at most once was repeated: {again}"
    assert sum(again.values()) <= crashes, f"more than what was in flight was repeated: {again}"
