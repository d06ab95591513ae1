"""Which timers an activity has, and when they are armed.

Law: a timer leads out of an activity or it has no row. What its value is, and that "0" has no row, is said here.

==========  =====================================================================================
rule        what it answers
==========  =====================================================================================
arm         the rows an arrival leaves: for each timer that leads out, unless at once or never
rearm       the rows that are missing after a walk without arrival: a moment only while it is to come
==========  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from workflow_runtime.core import timing
from workflow_runtime.core.process import Parameters, Process, Timer
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import TimerSpec
from workflow_runtime.core.scheme_words import TimerType, TriggerType

#: (definition, value as written) -> when it falls due; None: never
DueOf = Callable[[TimerSpec, str], datetime | None]

TIMER_VALUE = "TimerValue_"  #: prefix of the parameter that overrides a timer's value


def arm(scheme: Scheme, activity: str, parameters: Parameters, due_of: DueOf) -> tuple[Timer, ...]:
    """The rows an arrival leaves: one for each timer that leads out and is not immediate, never or already final."""
    entered = scheme.activity(activity)
    if entered is None or entered.is_final:
        return ()
    armed = []
    for spec in timers_leaving(scheme, activity):
        value = timer_value(spec, parameters)
        if value != timing.IMMEDIATE and (due := due_of(spec, value)) is not None:
            armed.append(Timer(name=spec.name, due=due, value=value, keep=spec.keep_if_set))
    return tuple(armed)


def rearm(process: Process, existing: Collection[str], due_of: DueOf, now: datetime) -> tuple[Timer, ...]:
    """The timers of A that are missing: Interval, Time and Cron from now, a moment only while it is still to come."""
    missing = (timer for timer in arm(process.pinned, process.activity, process.parameters, due_of) if timer.name not in existing)
    return tuple(replace(t, keep=True) for t in missing if timing.rearms(type_of(process, t)) or t.due > now)


def type_of(process: Process, timer: Timer) -> TimerType:
    """Of the definition that the pinned version has for a row."""
    spec = process.pinned.timer(timer.name)
    return spec.type if spec else TimerType.DATE_AND_TIME  # a timer the scheme does not know is for one moment


def timers_leaving(scheme: Scheme, activity: str) -> list[TimerSpec]:
    """The definitions of the timers with a transition out of this activity, in document order."""
    names = dict.fromkeys(t.trigger.name for t in scheme.leaving(activity) if t.trigger.type is TriggerType.TIMER)
    return [spec for name in names if (spec := scheme.timer(name)) is not None]


def immediate_timers(scheme: Scheme, activity: str, parameters: Parameters) -> list[str]:
    """Timers of value "0": their transitions are tried behind the automatic ones."""
    return [spec.name for spec in timers_leaving(scheme, activity) if timer_value(spec, parameters) == timing.IMMEDIATE]


def timer_value(spec: TimerSpec, parameters: Parameters) -> str:
    """The value in force: the one set for this process, else the definition."""
    override = parameters.get(TIMER_VALUE + spec.name)
    return spec.value if override is None else timing.written(override)
