"""What is wrong with a scheme, all of it at once: each finding with its place and the nearest name.

Law: an error is what would make a run fail, or could never be meant; a warning is what may be meant.
Names are matched exactly. A scheme without errors here and in ``unsupported`` may be started.

==============================  =============================================================
looked at                       findings (errors unless marked)
==============================  =============================================================
activities                      no_initial, several_initial; of the graph: core/reachability.py
names                           bad_name, duplicate_name, similar_name (warning)
references within the scheme    unknown_activity, unknown_state, unknown_command, unknown_timer,
                                unknown_parameter, unused_command, unused_timer (warnings)
registered names                unknown_action (warning where missing actions are ignored),
                                unknown_condition, unknown_rule, predefined_actor (warning)
conditions                      condition_mix, the codes of ExpressionError, unknown_name
values                          the codes of TimerValueError and ParameterError, system_name
                                (warning), interval_as_time, unused_timeout (warnings)
what a later release executes   not_supported: core/unsupported.py
==============================  =============================================================

An actor that no element declares, or whose rule is ``Predefined``, is a rule of its own name: that the host has none
yet is a warning. The bodies of code actions are never looked at.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from workflow_runtime.core import types
from workflow_runtime.core.arming import IDLE_TIMEOUT
from workflow_runtime.core.expression import compile_expression
from workflow_runtime.core.finding import Finding, Names, actions, folded, listed, owners, placed
from workflow_runtime.core.handling import ELSEWHERE
from workflow_runtime.core.parameters import SYSTEM
from workflow_runtime.core.reachability import reachability, reactions
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Condition, Element, Timeout
from workflow_runtime.core.scheme_words import ConditionType, ReactionType, RecoveryKind, TimerType, TriggerType
from workflow_runtime.core.timing import CronNext, check_timer, parse_interval, reads_as_interval
from workflow_runtime.core.unsupported import NOT_SUPPORTED, unsupported
from workflow_runtime.core.values import quoted
from workflow_runtime.errors import ExpressionError, ParameterError, Problem, TimerValueError

__all__ = ["Names", "problems", "unsupported"]

LONGEST_NAME = 200  #: characters of a name
PREDEFINED = "Predefined"  #: the rule of an actor that the host supplies


def problems(
    scheme: Scheme,
    names: Names | None = None,
    *,
    cron: CronNext | None = None,
    external_parameters: bool = False,
    ignore_missing_actions: bool = False,
    custom_timer_values: bool = False,
) -> tuple[Problem, ...]:
    """Everything found, in the order of the text. ``names=None`` leaves registered names unchecked, ``cron=None`` cron patterns.

    With ``external_parameters`` expressions may use names that nobody declares; with ``ignore_missing_actions``
    an unregistered action is a warning, with ``custom_timer_values`` a value that only a plugin may understand. Nothing is raised, whatever the scheme says.
    """
    findings = chain(
        _initial(scheme),
        _names(scheme),
        _references(scheme),
        _unused(scheme),
        _registered(scheme, names, ignore_missing_actions) if names else (),
        _conditions(scheme),
        _expression_names(scheme) if not external_parameters else (),
        _timers(scheme, cron, custom_timer_values),
        _timeouts(scheme),
        _values(scheme),
        reachability(scheme),
    )
    return placed(scheme, findings)


# Activities and names


def _initial(scheme: Scheme) -> Iterator[Finding]:
    initial = [activity for activity in scheme.activities if activity.is_initial]
    if not initial:
        yield Finding(scheme, "no_initial", "no activity is initial, so no process can begin; declare exactly one activity initial")
    for activity in initial[1:]:
        message = f"activity {quoted(activity.name)} is initial, and so is {quoted(initial[0].name)}; exactly one may be"
        yield Finding(activity, "several_initial", message)


def _named(scheme: Scheme) -> Mapping[str, tuple[Any, ...]]:
    """All that has a name, by what it is; the names of one kind must differ."""
    inputs = {f"input of command {quoted(command.name)}": command.inputs for command in scheme.commands}
    return {
        "activity": scheme.activities,
        "transition": scheme.transitions,
        "command": scheme.commands,
        "timer": scheme.timers,
        "parameter": scheme.parameters,
        "actor": scheme.actors,
        **inputs,
    }


def _names(scheme: Scheme) -> Iterator[Finding]:
    for kind, elements in _named(scheme).items():
        for element in elements:
            if trouble := _trouble_with(element.name):
                yield Finding(element, "bad_name", f"the name of the {kind} {quoted(element.name)} {trouble}; choose another name")
        yield from _equal_names(kind, elements)
    for element, who, name in chain(_action_uses(scheme), _condition_uses(scheme)):
        if not name.strip():
            yield Finding(element, "bad_name", f"{who} has an action or condition without a name; name a registered one")


def _trouble_with(name: str) -> str:
    if not name.strip():
        return "is empty"
    if len(name) > LONGEST_NAME:
        return f"has {len(name)} characters, at most {LONGEST_NAME} are allowed"
    hidden = next((c for c in name if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(c) in _BIDI), "")
    return f"holds the invisible character U+{ord(hidden):04X}" if hidden else ""


_BIDI = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def _equal_names(kind: str, elements: tuple[Any, ...]) -> Iterator[Finding]:
    exact: dict[str, str] = {}
    alike: dict[str, str] = {}
    for element in elements:
        name, same, habit = element.name, unicodedata.normalize("NFC", element.name), folded(element.name)
        if same in exact:
            how = "" if exact[same] == name else ", which is the same text in another Unicode form"
            yield Finding(element, "duplicate_name", f"there are two elements of the kind {kind} with the name {quoted(name)}{how}; rename one")
        elif habit in alike:
            message = f"the names of {kind} {quoted(name)} and {quoted(alike[habit])} differ in case or outer spaces only; rename one"
            yield Finding(element, "similar_name", message, "warning")
        exact.setdefault(same, name)
        alike.setdefault(habit, name)


# References within the scheme


class _Reference(NamedTuple):
    element: Element
    who: str
    kind: str  #: what the name should be: activity, state, command, timer, parameter
    name: str


def _references(scheme: Scheme) -> Iterator[Finding]:
    known = {
        "activity": {activity.name for activity in scheme.activities},
        "state": {activity.state for activity in scheme.activities} - {""},
        "command": {command.name for command in scheme.commands},
        "timer": {timer.name for timer in scheme.timers},
        "parameter": {parameter.name for parameter in scheme.parameters},
    }
    for element, who, kind, name in chain(_transition_references(scheme), _other_references(scheme)):
        if name not in known[kind]:
            found = f"{who} names no {kind}" if not name else f"{who} names the {kind} {quoted(name)}, which the scheme does not declare"
            yield Finding(element, f"unknown_{kind}", f"{found}; declare it or correct the name", name=name, known=known[kind])


def _transition_references(scheme: Scheme) -> Iterator[_Reference]:
    for transition in scheme.transitions:
        who = f"transition {quoted(transition.name)}"
        yield _Reference(transition, f"the start of {who}", "activity", transition.source)
        yield _Reference(transition, f"the target of {who}", "activity", transition.target)
        if transition.trigger.type is not TriggerType.AUTO:
            element = transition.trigger if transition.trigger.place else transition
            yield _Reference(element, f"the trigger of {who}", transition.trigger.type.value.lower(), transition.trigger.name)


def _other_references(scheme: Scheme) -> Iterator[_Reference]:
    for command in scheme.commands:
        for wanted in command.inputs:
            yield _Reference(wanted, f"input {quoted(wanted.name)} of command {quoted(command.name)}", "parameter", wanted.parameter)
    for owner in owners(scheme):
        if owner.recovery and owner.recovery.kind is RecoveryKind.ACTIVITY:
            yield _Reference(owner, "a recovery declaration", "activity", owner.recovery.activity)
    kinds = {ReactionType.SET_ACTIVITY: "activity", ReactionType.SET_STATE: "state"}
    for activity in scheme.activities:
        for reaction in reactions(activity):
            if reaction.type in kinds:
                yield _Reference(reaction, f"a reaction of activity {quoted(activity.name)}", kinds[reaction.type], reaction.target)


def _unused(scheme: Scheme) -> Iterator[Finding]:
    for kind, elements in ((TriggerType.COMMAND, scheme.commands), (TriggerType.TIMER, scheme.timers)):
        used = {transition.trigger.name for transition in scheme.transitions if transition.trigger.type is kind}
        for element in elements:
            if element.name not in used:
                word = kind.value.lower()
                message = f"no transition has the {word} {quoted(element.name)} as its trigger; remove it or add the transition"
                yield Finding(element, f"unused_{word}", message, "warning")


# Registered names


def _registered(scheme: Scheme, names: Names, ignore_missing_actions: bool) -> Iterator[Finding]:
    yield from _unregistered(scheme, "action", _action_uses(scheme), names.actions, ignored=ignore_missing_actions)
    yield from _unregistered(scheme, "condition", _condition_uses(scheme), names.conditions)
    yield from _unregistered(scheme, "rule", _rule_uses(scheme), names.rules | {PREDEFINED})
    yield from _predefined_actors(scheme, names.rules)


Use = tuple[Element, str, str]
"""(element, its description, the name it uses)"""


def _action_uses(scheme: Scheme) -> Iterator[Use]:
    for activity, action in actions(scheme):
        yield action, f"activity {quoted(activity.name)}", action.name


def _condition_uses(scheme: Scheme) -> Iterator[Use]:
    for transition in scheme.transitions:
        for condition in transition.conditions:
            if condition.type is ConditionType.ACTION:
                yield condition, f"transition {quoted(transition.name)}", condition.name


def _rule_uses(scheme: Scheme) -> Iterator[Use]:
    for actor in scheme.actors:
        yield actor, f"actor {quoted(actor.name)}", actor.rule


def _unregistered(scheme: Scheme, kind: str, uses: Iterable[Use], registered: frozenset[str], *, ignored: bool = False) -> Iterator[Finding]:
    """One finding per missing name, at its first use, with all its uses."""
    missing: dict[str, list[Use]] = defaultdict(list)
    for use in uses:
        if use[2].strip() and use[2] not in registered:
            missing[use[2]].append(use)
    carried = {code.name for code in scheme.code_actions}
    for name, found in missing.items():
        where = listed(who for _, who, _ in found)
        carries = "; the source that the scheme carries for it is never run" if name in carried else ""
        message = f"no {kind} {quoted(name)} is registered, used by {where}{carries}; register a Python callable under this name"
        yield Finding(found[0][0], f"unknown_{kind}", message, "warning" if ignored else "error", name, registered)


def _predefined_actors(scheme: Scheme, rules: frozenset[str]) -> Iterator[Finding]:
    """Legal, but whoever asks for rights will get an error: told once per actor, at its first restriction."""
    with_rule = {actor.name for actor in scheme.actors if actor.rule not in ("", PREDEFINED)}
    asked = {restriction.actor: restriction for t in reversed(scheme.transitions) for restriction in reversed(t.restrictions)}
    for name, restriction in asked.items():
        if name not in with_rule | rules:
            message = f"the actor {quoted(name)} is left to the host, which registers no rule of this name; register it, or give the actor a rule"
            yield Finding(restriction, "predefined_actor", message, "warning", name, with_rule | rules)


# Conditions and expressions


def _conditions(scheme: Scheme) -> Iterator[Finding]:
    alone = {ConditionType.ALWAYS, ConditionType.OTHERWISE}
    for transition in scheme.transitions:
        kinds = [condition.type for condition in transition.conditions]
        if not kinds or (len(kinds) > 1 and alone & set(kinds)):
            found = " and ".join(kinds) or "no condition at all"
            message = f"transition {quoted(transition.name)} has {found}; expected one Always, or one Otherwise, or only Action and Expression"
            yield Finding(transition, "condition_mix", message)
    known = _known_names(scheme)
    for condition, who in _expressions(scheme):
        try:
            compile_expression(condition.expression, dotted_names=known)
        except ExpressionError as error:
            yield Finding(condition, error.code, f"the condition of {who}: {error.message}")


def _expressions(scheme: Scheme) -> Iterator[tuple[Condition, str]]:
    for transition in scheme.transitions:
        for condition in transition.conditions:
            if condition.type is ConditionType.EXPRESSION:
                yield condition, f"transition {quoted(transition.name)}"


def _known_names(scheme: Scheme) -> frozenset[str]:
    return frozenset([*(parameter.name for parameter in scheme.parameters), *SYSTEM, *(f"TimerValue_{timer.name}" for timer in scheme.timers)])


def _expression_names(scheme: Scheme) -> Iterator[Finding]:
    known = _known_names(scheme)
    legal = {unicodedata.normalize("NFC", name) for name in known} | {name.partition(".")[0] for name in known}
    sources: list[tuple[Element, str, str]] = [(condition, who, condition.expression) for condition, who in _expressions(scheme)]
    sources += [(timer, f"timer {quoted(timer.name)}", timer.value) for timer in scheme.timers if timer.type is TimerType.EXPRESSION]
    for element, who, source in sources:
        for name in sorted(_used_names(source, known)):
            if name not in legal and name.partition(".")[0] not in legal:
                message = f"the expression of {who} uses {quoted(name)}, which is neither a declared nor a system parameter; declare it"
                yield Finding(element, "unknown_name", message, name=name, known=known)


def _used_names(source: str, known: frozenset[str]) -> Iterable[str]:
    try:
        return compile_expression(source, dotted_names=known).names
    except ExpressionError:
        return ()  # a condition that does not compile has a finding; a timer value may be a plain date


# Values


def _timers(scheme: Scheme, cron: CronNext | None, custom: bool) -> Iterator[Finding]:
    for timer in scheme.timers:
        if reads_as_interval(timer):
            message = f"timer {quoted(timer.name)} is of type Time and has the interval {quoted(timer.value)}; it is read as type Interval, so write that"
            yield Finding(timer, "interval_as_time", message, "warning")
        try:
            check_timer(timer, cron)
        except TimerValueError as error:
            if error.code != NOT_SUPPORTED:
                yield Finding(timer, error.code, f"timer {quoted(timer.name)}: {error.message}", "warning" if custom else "error")


def _timeouts(scheme: Scheme) -> Iterator[Finding]:
    for timer in scheme.timers:
        if timer.name == IDLE_TIMEOUT:
            yield Finding(timer, "system_name", f"the name {quoted(timer.name)} is that of idle timeouts of activities; rename the timer")
    for activity in scheme.activities:
        who = f"timeout of activity {quoted(activity.name)}"
        yield from _timeout(f"the idle {who}", activity.idle_timeout, ELSEWHERE)
        yield from _timeout(f"the execution {who}", activity.execution_timeout, (*ELSEWHERE, ReactionType.RETRY))
        if activity.execution_timeout and not activity.implementation:
            message = f"the execution {who} bounds nothing, for the activity has no actions; remove it, or was idle_timeout meant?"
            yield Finding(activity.execution_timeout, "unused_timeout", message, "warning")


def _timeout(who: str, timeout: Timeout | None, allowed: tuple[ReactionType, ...]) -> Iterator[Finding]:
    if timeout is None:
        return
    if timeout.type not in allowed:
        yield Finding(timeout, "bad_value", f"{who} is of type {timeout.type}; expected {' or '.join(allowed)}")
    try:
        parse_interval(timeout.timer)
    except TimerValueError as error:
        yield Finding(timeout, error.code, f"{who}: {error.message}")


def _values(scheme: Scheme) -> Iterator[Finding]:
    typed = {parameter.name: parameter.type for parameter in scheme.parameters}
    for parameter in scheme.parameters:
        who = f"parameter {quoted(parameter.name)}"
        if parameter.name in SYSTEM:
            message = f"{who} has the name of a system parameter, which only the engine sets; rename it"
            yield Finding(parameter, "system_name", message, "warning")
        if types.type_name(parameter.type) != parameter.type:
            yield Finding(parameter, "unknown_type", f"{who}: {types.unknown_type(parameter.type).message}")
        else:
            yield from _unfit(parameter, f"the initial value of {who}", parameter.initial, parameter.type)
    for command in scheme.commands:
        for wanted in command.inputs:
            who = f"the default of input {quoted(wanted.name)} of command {quoted(command.name)}"
            yield from _unfit(wanted, who, wanted.default, typed.get(wanted.parameter, "any"))


def _unfit(element: Element, who: str, text: str | None, kind: str) -> Iterator[Finding]:
    if text is None or types.type_name(kind) != kind:
        return
    try:
        types.read_written(text, kind)
    except ParameterError as error:
        yield Finding(element, error.code, f"{who}: {error.message}")
