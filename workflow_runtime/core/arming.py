"""Which timers an activity has, and when they are armed.

Law: a timer leads out of an activity, or bounds the time that a process stands there, or it has no row. What its value is,
and that "0" has no row, is said here.

==========  =====================================================================================
rule        what it answers
==========  =====================================================================================
arm         the rows an arrival leaves: for each timer that leads out, unless at once or never
rearm       the rows that are missing after a walk without arrival, where they are still to come
next_base   from when a due time is computed
is_over     whether a moment was had: the run that led here began with it
==========  =====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from workflow_runtime.core import timing
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.process import Parameters, Process, Timer, Walk
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, TimerSpec
from workflow_runtime.core.scheme_words import Missed, TimerType

#: (definition, value as written) -> when it falls due; None: never
DueOf = Callable[[TimerSpec, str], datetime | None]

#: the name of the row of an idle timeout; a timer of a scheme must not have it
IDLE_TIMEOUT = "idle timeout"

TIMER_VALUE = "TimerValue_"  #: prefix of the parameter that overrides a timer's value


def arm(scheme: Scheme, activity: str, parameters: Parameters, due_of: DueOf) -> tuple[Timer, ...]:
    """The rows an arrival leaves: one for each timer that leads out and is not immediate, never or already final."""
    entered = scheme.activity(activity)
    if entered is None or entered.is_final:
        return ()
    armed = []
    for spec in (*scheme.timers_leaving(activity), *_idle(entered)):
        value = timer_value(spec, parameters)
        if value != timing.IMMEDIATE and (due := due_of(spec, value)) is not None:
            armed.append(Timer(name=spec.name, due=due, value=value, keep=spec.keep_if_set))
    return tuple(armed)


def _idle(activity: Activity) -> list[TimerSpec]:
    """How long a process may stand here, as a timer."""
    timeout = activity.idle_timeout
    return [TimerSpec(name=IDLE_TIMEOUT, type=TimerType.INTERVAL, value=timeout.timer)] if timeout else []


def rearm(process: Process, existing: Collection[str], due_of: DueOf, now: datetime, walk: Walk | None = None) -> tuple[Timer, ...]:
    """The timers of A that are missing and still to come, counted from now: Interval, Time and Cron always are.

    ``walk`` is the one that ``due_of`` knows: with ``fire_all`` the times missed since it fired are still to come.
    """
    scheme = process.pinned
    missing = [timer for timer in arm(scheme, process.activity, process.parameters, due_of) if timer.name not in existing]
    return tuple(evolve(t, keep=True) for t in missing if _is_to_come(t, scheme, walk, now))


def _is_to_come(timer: Timer, scheme: Scheme, walk: Walk | None, now: datetime) -> bool:
    spec = scheme.timer(timer.name)
    return timer.due > (next_base(spec, fired_at(spec, walk), now) if spec else now)


def fired_at(spec: TimerSpec, walk: Walk | None) -> datetime | None:
    """The due time of this timer, where it began the run."""
    return walk.due if walk is not None and walk.run.name == spec.name else None


def next_base(spec: TimerSpec, fired: datetime | None, now: datetime) -> datetime:
    """From when the next due time is computed: now, but with ``fire_all`` the due time that was fired, so that each missed one follows."""
    return fired if fired is not None and spec.missed is Missed.FIRE_ALL and spec.type is TimerType.CRON else now


def is_over(spec: TimerSpec, due: datetime | None, fired: datetime | None, now: datetime) -> bool:
    """Whether a timer has had this moment: it began the run at ``fired``. Else a way back to its activity would make it fire for ever.

    The explicit value of an Interval timer may be a date, so what is past is over under every type. What is still to come is
    not, where the type comes again: an operator had fired it early.
    """
    return fired is not None and due is not None and due <= fired and (due <= now or not timing.rearms(spec.type))


def type_of(process: Process, timer: Timer) -> TimerType:
    """Of the definition that the pinned version has for a row."""
    spec = process.pinned.timer(timer.name)
    return spec.type if spec else TimerType.DATE_AND_TIME  # a timer the scheme does not know is for one moment


def has_timers(scheme: Scheme, activity: str) -> bool:
    """Whether any process that stands there may have a timer of its scheme."""
    entered = scheme.activity(activity)
    return bool(scheme.timers_leaving(activity)) or (entered is not None and entered.idle_timeout is not None)


def leads_on(process: Process) -> bool:
    """Whether it may go on by itself from where it stands, if conditions hold."""
    scheme, name = process.pinned, process.activity
    if not (scheme.leads_on(name) or scheme.timers_leaving(name)):
        return False
    activity = scheme.activity(name)
    if activity is None or activity.is_final:
        return False
    return scheme.leads_on(name) or bool(immediate_timers(scheme, name, process.parameters))


def immediate_timers(scheme: Scheme, activity: str, parameters: Parameters) -> list[str]:
    """Timers of value "0": their transitions are tried behind the automatic ones."""
    return [spec.name for spec in scheme.timers_leaving(activity) if timer_value(spec, parameters) == timing.IMMEDIATE]


def timer_value(spec: TimerSpec, parameters: Parameters) -> str:
    """The value in force: the one set for this process, else the definition."""
    override = parameters.get(TIMER_VALUE + spec.name)
    return timing.written(spec.value if override is None else override)
