"""Scripted crashes: a server that dies at a named point, to prove what recovery makes of it.

Law: every commit has a point before it and a point after it, and so has every effect.

=================  =========================================================================
point              where
=================  =========================================================================
``<kind>.before``  the change is made and nothing of it is written
``<kind>.after``   it is committed, and the caller does not know it yet
``effect.before``  an action, or the function of a ``ctx.step``, is about to be called
``effect.after``   it has returned; no row tells
=================  =========================================================================

``WF_CRASH_POINT=name:nth:action`` says where, at which passing (counted from 1, per runtime) and what then:
``kill`` (SIGKILL, the default), ``stop`` (SIGSTOP: the server hangs until SIGCONT) or ``lose`` (the connection
is lost: StoreUnavailable, and the server lives on).
"""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from workflow_runtime.catalogue import Catalogue
from workflow_runtime.core.keys import Answer, Key
from workflow_runtime.core.process import Change, ChangeKind
from workflow_runtime.engine.steps import ActionContext
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.registry import AnyFunction
from workflow_runtime.runtime import WorkflowRuntime
from workflow_runtime.settings import Settings
from workflow_runtime.store.patience import Patience
from workflow_runtime.store.writes import Applied, Store

__all__ = ["EFFECT", "POINTS", "CrashAction", "CrashPoint", "CrashPoints", "CrashingRuntime"]

VARIABLE = "WF_CRASH_POINT"
EFFECT = "effect"
POINTS = tuple(f"{what}.{moment}" for what in (*ChangeKind, EFFECT) for moment in ("before", "after"))


class CrashAction(StrEnum):
    KILL = "kill"
    STOP = "stop"
    LOSE = "lose"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashPoint:
    """Where to crash, at which passing, and how."""

    name: str
    nth: int = 1
    action: CrashAction = CrashAction.KILL

    @classmethod
    def read(cls, text: str) -> CrashPoint:
        """``name``, ``name:nth`` or ``name:nth:action``; ValueError."""
        name, _, rest = text.partition(":")
        nth, _, action = rest.partition(":")
        if name not in POINTS:
            raise ValueError(f"{name!r} is no crash point; there are {', '.join(POINTS)}")
        return cls(name=name, nth=int(nth or 1), action=CrashAction(action or CrashAction.KILL))

    def __str__(self) -> str:
        return f"{self.name}:{self.nth}:{self.action}"


class CrashPoints:
    """Counts the points that are passed, and crashes at the one that was named. Thread-safe."""

    def __init__(self, wanted: CrashPoint | None = None) -> None:
        self.passed: Counter[str] = Counter()
        self._wanted, self._lock = wanted, threading.Lock()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> CrashPoints:
        text = environment.get(VARIABLE)
        return cls(CrashPoint.read(text) if text else None)

    def hit(self, name: str) -> None:
        """This point is passed now."""
        with self._lock:
            self.passed[name] += 1
            wanted = self._wanted
            if wanted is None or (wanted.name, wanted.nth) != (name, self.passed[name]):
                return
        _crash(wanted)


def _crash(point: CrashPoint) -> None:
    if point.action is CrashAction.LOSE:
        raise StoreUnavailable(f"the connection was lost on purpose at {point}")
    os.kill(os.getpid(), signal.SIGKILL if point.action is CrashAction.KILL else signal.SIGSTOP)


class CrashingStore(Store):
    """A store whose commits are crash points."""

    def __init__(self, store: Store, points: CrashPoints) -> None:
        super().__init__(store.dialect, new_token=store._new_token)
        self._points = points

    def apply(self, change: Change, *, me: str | None = None, patience: Patience | None = None) -> Applied:
        self._points.hit(f"{change.kind}.before")
        applied = super().apply(change, me=me, patience=patience)
        self._points.hit(f"{change.kind}.after")
        return applied

    def refuse(self, key: Key, answer: Answer) -> bool:
        self._points.hit(f"{ChangeKind.REFUSE}.before")
        refused = super().refuse(key, answer)
        self._points.hit(f"{ChangeKind.REFUSE}.after")
        return refused

    def apply_all(self, batch: Sequence[Change], *, me: str | None = None, patience: Patience | None = None) -> list[Applied]:
        for change in batch:
            self._points.hit(f"{change.kind}.before")
        applied = super().apply_all(batch, me=me, patience=patience)
        for change in batch:
            self._points.hit(f"{change.kind}.after")
        return applied


class CrashingRuntime(WorkflowRuntime):
    """A runtime that crashes where ``points`` say; without them, where the environment says."""

    crash_points: CrashPoints | None = None

    def with_crash_points(self, points: CrashPoints) -> CrashingRuntime:
        self.crash_points = points
        return self

    @property
    def _points(self) -> CrashPoints:
        if self.crash_points is None:
            self.crash_points = CrashPoints.of(os.environ)
        return self.crash_points

    def _open_store(self, settings: Settings) -> Store:
        return CrashingStore(super()._open_store(settings), self._points)

    def _gather(self) -> Catalogue:
        catalogue = super()._gather()
        crashing = {name: replace(spec, function=_crashing_action(spec.function, self._points)) for name, spec in catalogue.actions.items()}
        return replace(catalogue, actions=crashing)


def _crashing_action(function: AnyFunction, points: CrashPoints) -> AnyFunction:
    act = _crashing(function, points)

    def action(ctx: ActionContext, parameter: str | None) -> Any:
        step = ctx.step

        def crashing_step(name: str, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
            return step(name, _crashing(function, points), *arguments, **named)

        ctx.step = crashing_step  # type: ignore[method-assign]
        return act(ctx, parameter)

    return action


def _crashing(function: Callable[..., Any], points: CrashPoints) -> Callable[..., Any]:
    """The same function, with a point before it is called, and one where it has returned, or what it returned was awaited."""

    async def awaited(result: Awaitable[Any]) -> Any:
        value = await result
        points.hit(f"{EFFECT}.after")
        return value

    async def crash_later(*arguments: Any, **named: Any) -> Any:
        points.hit(f"{EFFECT}.before")
        return await awaited(function(*arguments, **named))

    def crash(*arguments: Any, **named: Any) -> Any:
        points.hit(f"{EFFECT}.before")
        result = function(*arguments, **named)
        if inspect.isawaitable(result):
            return awaited(result)
        points.hit(f"{EFFECT}.after")
        return result

    return crash_later if inspect.iscoroutinefunction(function) else crash
