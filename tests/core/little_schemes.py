"""Small schemes in code for the tests of what is wrong with a scheme."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workflow_runtime.core.problems import problems
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, Command, Condition, TimerSpec, Transition, TriggerSpec
from workflow_runtime.core.scheme_words import ConditionType, Place, TimerType, TriggerType
from workflow_runtime.errors import Problem

START = Activity(name="Start", is_initial=True)
END = Activity(name="End", is_final=True)
OTHERWISE = (Condition(type=ConditionType.OTHERWISE),)


def when(expression: str) -> tuple[Condition, ...]:
    return (Condition(type=ConditionType.EXPRESSION, expression=expression),)


def asks(*names: str) -> tuple[Condition, ...]:
    return tuple(Condition(type=ConditionType.ACTION, name=name) for name in names)


def on(kind: TriggerType, name: str) -> TriggerSpec:
    return TriggerSpec(type=kind, name=name)


def way(source: str, target: str, name: str = "", *, command: str = "", timer: str = "", **more: Any) -> Transition:
    """A transition, automatic unless it names a command or a timer."""
    if command:
        more["trigger"] = on(TriggerType.COMMAND, command)
    if timer:
        more["trigger"] = on(TriggerType.TIMER, timer)
    return Transition(name=name or f"{source}_{target}", source=source, target=target, **more)


def clock(name: str, value: str = "1h", kind: TimerType = TimerType.INTERVAL, **more: Any) -> TimerSpec:
    return TimerSpec(name=name, type=kind, value=value, **more)


def scheme(*parts: Activity | Transition | TimerSpec | str, **more: Any) -> Scheme:
    """A scheme of activities (or their names), transitions, timers and whatever else; commands in use are declared."""
    activities = [part if isinstance(part, Activity) else Activity(name=part) for part in parts if isinstance(part, (Activity, str))]
    transitions = tuple(part for part in parts if isinstance(part, Transition))
    used = {t.trigger.name: None for t in transitions if t.trigger.type is TriggerType.COMMAND}
    more.setdefault("commands", tuple(Command(name=name) for name in used))
    timers = tuple(part for part in parts if isinstance(part, TimerSpec))
    return Scheme(code="Little", activities=tuple(activities), transitions=transitions, timers=timers, **more)


def sound(*parts: Activity | Transition | TimerSpec | str, **more: Any) -> Scheme:
    """The same, with Start and End and a command that leads from one to the other."""
    return scheme(START, END, way("Start", "End", "finish", command="finish"), *parts, **more)


def codes(found: Iterable[Problem], severity: str = "") -> list[str]:
    return [problem.code for problem in found if severity in ("", problem.severity)]


def only(found: Iterable[Problem], code: str) -> Problem:
    """The one problem with this code."""
    (problem,) = [problem for problem in found if problem.code == code]
    return problem


def check(*parts: Activity | Transition | TimerSpec | str, **more: Any) -> tuple[Problem, ...]:
    """The problems of ``sound(...)``."""
    return problems(sound(*parts, **more))


HERE = Place(7, 3)
