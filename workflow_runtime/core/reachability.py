"""What the graph of a scheme tells before any process runs: where nobody gets to, and where nobody gets out.

Law: one activity is left by the first transition in document order that matches and holds. All below
follows from it; a fork starts a child and moves nobody, so it joins activities only for reachability.

======================  ========  =============================================================
finding                 severity  an activity ...
======================  ========  =============================================================
unreachable_activity    warning   no way leads to: neither from the initial activity nor from
                                  an entry point (set_state, a declared reaction)
dead_end                warning   is not final and no transition leads out
no_path_to_final        warning   has ways out, and none of them ever ends at a final activity
no_final_activity       warning   (the scheme) has no final activity at all
final_with_exit         warning   is final, yet an automatic transition leads out
no_way_on               warning   is left by conditional automatic transitions only: where none
                                  holds, the process rests and nothing will move it
automatic_loop          error     starts a ring of automatic walks that nothing can leave
never_taken             error     has an automatic transition behind one that always holds;
                                  warning if the later one has conditions or another trigger
otherwise_alone         warning   has an Otherwise that is otherwise to nothing
======================  ========  =============================================================
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from workflow_runtime.core.arming import IDLE_TIMEOUT
from workflow_runtime.core.finding import Finding, listed, owners
from workflow_runtime.core.handling import target_of
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, ExceptionHandler, Timeout, Transition
from workflow_runtime.core.scheme_words import ConditionType, TriggerType
from workflow_runtime.core.timing import IMMEDIATE
from workflow_runtime.core.values import quoted

__all__ = ["quiet_timers", "reachability", "reactions"]


def reachability(scheme: Scheme) -> Iterator[Finding]:
    """Every finding of the table above, activity by activity."""
    yield from _entrances(scheme)
    yield from _exits(scheme)
    yield from _ends(scheme)
    for group in _rivals(scheme):
        yield from _never_taken(group)
        yield from _otherwise_alone(scheme, group)
    yield from _loops(scheme)


# What acts


def quiet_timers(scheme: Scheme) -> frozenset[str]:
    """Names of the timers behind which no action is run before the next rest, whichever way is taken."""
    automatic = ((t.target, t.source) for t in scheme.transitions if t.trigger.type is TriggerType.AUTO or _fires_at_once(scheme, t))
    acting = _closure([a.name for a in scheme.activities if a.implementation], _neighbours(automatic))
    ways = [(t.trigger.name, t.target) for t in scheme.transitions if t.trigger.type is TriggerType.TIMER]
    ways += [(IDLE_TIMEOUT, target_of(scheme, idle.type, idle.target)) for a in scheme.activities if (idle := a.idle_timeout)]
    return frozenset({name for name, _ in ways} - {name for name, target in ways if target in acting})


# Ways in and ways to an end


def reactions(activity: Activity) -> tuple[Timeout | ExceptionHandler, ...]:
    """The declared time-outs and exception handlers."""
    return tuple(reaction for reaction in (activity.execution_timeout, activity.idle_timeout, *activity.handlers) if reaction)


def _entry_points(scheme: Scheme) -> set[str]:
    """Activities where a process may come to stand without a transition."""
    declared = {a.name for a in scheme.activities if a.is_initial or a.is_for_set_state}
    recovered = {owner.recovery.activity for owner in owners(scheme) if owner.recovery}
    targets = {reaction.target for activity in scheme.activities for reaction in reactions(activity)} - {""}
    return declared | recovered | {a.name for a in scheme.activities if {a.name, a.state} & targets}


def _neighbours(pairs: Iterable[tuple[str, str]]) -> Mapping[str, set[str]]:
    neighbours: dict[str, set[str]] = defaultdict(set)
    for one, other in pairs:
        neighbours[one].add(other)
    return neighbours


def _closure(starts: Iterable[str], neighbours: Mapping[str, set[str]]) -> set[str]:
    """All that can be reached from ``starts``, itself included."""
    found, waiting = set(starts), list(starts)
    while waiting:
        fresh = neighbours.get(waiting.pop(), set()) - found
        found |= fresh
        waiting.extend(fresh)
    return found


def _entrances(scheme: Scheme) -> Iterator[Finding]:
    if not any(a.is_initial for a in scheme.activities):
        return  # everything would be unreachable, and the missing initial activity has a finding of its own
    reached = _reached(scheme)
    for activity in scheme.activities:
        if activity.name not in reached:
            message = f"activity {quoted(activity.name)} cannot be reached from the initial activity; add a transition to it or set_state, or remove it"
            yield Finding(activity, "unreachable_activity", message, "warning")


def _reached(scheme: Scheme) -> set[str]:
    return _closure(_entry_points(scheme), _neighbours((t.source, t.target) for t in scheme.transitions))


def _exits(scheme: Scheme) -> Iterator[Finding]:
    for activity in scheme.activities:
        leaving = _ordinary(scheme, activity.name)
        automatic = [t for t in leaving if t.trigger.type is TriggerType.AUTO]
        if activity.is_final:
            yield from _final_exits(activity, automatic)
        elif not _is_left(scheme, activity):
            message = f"activity {quoted(activity.name)} is not final and no transition leads out of it; add one, or declare it final"
            yield Finding(activity, "dead_end", message, "warning")
        elif leaving and leaving == automatic and not any(_is_certain(t) for t in automatic):
            message = (
                f"activity {quoted(activity.name)} is left by automatic transitions with conditions only; where none of them holds, "
                "the process rests and nothing moves it on; add one with otherwise, a command or a timer"
            )
            yield Finding(activity, "no_way_on", message, "warning")


def _is_left(scheme: Scheme, activity: Activity) -> bool:
    return bool(scheme.leaving(activity.name)) or any(reaction.target for reaction in reactions(activity))


def _final_exits(activity: Activity, automatic: list[Transition]) -> Iterator[Finding]:
    for transition in automatic[:1]:
        message = f"activity {quoted(activity.name)} is final, yet the automatic transition {quoted(transition.name)} leads out of it; remove one of the two"
        yield Finding(transition, "final_with_exit", message, "warning")


def _ends(scheme: Scheme) -> Iterator[Finding]:
    finals = [a.name for a in scheme.activities if a.is_final]
    if scheme.activities and not finals:
        yield Finding(scheme, "no_final_activity", "no activity is final, so no process ever ends; declare at least one final", "warning")
        return
    ending = _closure(finals, _neighbours((t.target, t.source) for t in scheme.transitions))
    trapped = _reached(scheme) - ending
    for activity in scheme.activities:
        if activity.name in trapped and _is_left(scheme, activity):
            message = f"no way leads from activity {quoted(activity.name)} to a final activity; a process that gets there never ends"
            yield Finding(activity, "no_path_to_final", message, "warning")


# The choice among the transitions of one activity


def _ordinary(scheme: Scheme, activity: str) -> list[Transition]:
    return [t for t in scheme.leaving(activity) if not t.fork]


def _is(transition: Transition, kind: ConditionType) -> bool:
    return any(condition.type is kind for condition in transition.conditions)


def _is_otherwise(transition: Transition) -> bool:
    return _is(transition, ConditionType.OTHERWISE)


def _is_certain(transition: Transition) -> bool:
    """Taken whenever its turn comes: no condition of its own, and no right that might be missing."""
    free = transition.trigger.type is not TriggerType.COMMAND or not transition.restrictions
    return free and (_is(transition, ConditionType.ALWAYS) or _is_otherwise(transition))


def _rivals(scheme: Scheme) -> list[list[Transition]]:
    """The ordinary transitions with the same source and trigger, in the order in which they are tried."""
    groups: dict[tuple[str, TriggerType, str], list[Transition]] = defaultdict(list)
    for transition in scheme.transitions:
        if not transition.fork:
            groups[transition.source, transition.trigger.type, transition.trigger.name].append(transition)
    return [sorted(group, key=_is_otherwise) for group in groups.values()]  # stable: document order, Otherwise last


def _never_taken(group: list[Transition]) -> Iterator[Finding]:
    certain = next((place for place, t in enumerate(group) if _is_certain(t)), len(group))
    for transition in group[certain + 1 :]:
        twice = _is(transition, ConditionType.ALWAYS) and transition.trigger.type is TriggerType.AUTO
        message = (
            f"transition {quoted(transition.name)} is never taken: {quoted(group[certain].name)} leaves {quoted(transition.source)} by the same trigger, "
            "is tried before it and always holds; give that one a condition, or remove this one"
        )
        yield Finding(transition, "never_taken", message, "error" if twice else "warning")


def _otherwise_alone(scheme: Scheme, group: list[Transition]) -> Iterator[Finding]:
    transition = group[0]
    if len(group) == 1 and _is_otherwise(transition) and not _polls(scheme, transition):
        message = (
            f"transition {quoted(transition.name)} is taken otherwise, yet no other transition leaves {quoted(transition.source)} by the same trigger; "
            "drop the condition, or add the transition that this one is the alternative of"
        )
        yield Finding(transition, "otherwise_alone", message, "warning")


def _polls(scheme: Scheme, transition: Transition) -> bool:
    """The polling idiom: a timer's Otherwise is the alternative of the conditional automatic transitions beside it."""
    beside = (t for t in _ordinary(scheme, transition.source) if t.trigger.type is TriggerType.AUTO)
    return transition.trigger.type is TriggerType.TIMER and any(not _is_certain(t) for t in beside)


# Loops that cannot rest


def _loops(scheme: Scheme) -> Iterator[Finding]:
    forced = {a.name: t for a in scheme.activities if (t := _forced(scheme, a.name))}
    told: set[str] = set()
    for start in forced:
        ring = _ring(start, forced, told)
        if ring:
            names = listed((quoted(t.source) for t in ring), " -> ")
            message = f"a process would go round {names} -> {quoted(ring[0].source)} and never rest; put a condition, a command or a timer into it"
            yield Finding(ring[0], "automatic_loop", message)


def _ring(start: str, forced: dict[str, Transition], told: set[str]) -> list[Transition]:
    """The ring that the only way from ``start`` runs into, unless it was told before."""
    path: dict[str, Transition] = {}
    here = start
    while here in forced and here not in told:
        told.add(here)
        path[here] = forced[here]
        here = forced[here].target
    return list(path.values())[list(path).index(here) :] if here in path else []


def _forced(scheme: Scheme, activity: str) -> Transition | None:
    """The transition that every process takes from here at once, or None where it may rest or choose.

    Choosing counts: a condition that stands before an unconditional transition may lead out of the ring
    one day, and the loop guard watches over it at run time.
    """
    leaving = _ordinary(scheme, activity)
    automatic = [t for t in leaving if t.trigger.type is TriggerType.AUTO] or [t for t in leaving if _fires_at_once(scheme, t)]
    first = min(automatic, key=_is_otherwise, default=None)
    return first if first and _is_certain(first) and not _polls(scheme, first) else None


def _fires_at_once(scheme: Scheme, transition: Transition) -> bool:
    timer = scheme.timer(transition.trigger.name) if transition.trigger.type is TriggerType.TIMER else None
    return timer is not None and timer.value.strip() == IMMEDIATE  # it fires before the process rests
