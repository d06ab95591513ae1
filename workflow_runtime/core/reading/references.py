"""References to names: matched exactly first, then without the spaces around them.

Editors leave trailing spaces in names, in a definition or in a reference to it. A reference that meets
a definition only after trimming is given the spelling of the definition, with a warning; names that
nothing defines stay as they are, ``problems`` tells about them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from workflow_runtime.core.reading.findings import Findings, quoted
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, Command, Recovery, Transition
from workflow_runtime.core.scheme_words import Place, ReactionType, TriggerType

E = TypeVar("E", bound=Any)


def resolved(scheme: Scheme, findings: Findings) -> Scheme:
    return _Resolver(scheme, findings).scheme()


class _Names:
    """The defined names of one kind, and what they look like without the spaces around them."""

    def __init__(self, what: str, names: Iterable[str]) -> None:
        self.what = what
        self.exact = frozenset(names)
        self.trimmed = {name.strip(): name for name in sorted(self.exact)}


def _with(element: E, **changes: Any) -> E:
    """The element itself when nothing changes: most schemes need none of this."""
    is_same = all(getattr(element, name) == value for name, value in changes.items())
    return element if is_same else replace(element, **changes)


class _Resolver:
    def __init__(self, scheme: Scheme, findings: Findings) -> None:
        self.given = scheme
        self.findings = findings
        self.activities = _Names("activity", (item.name for item in scheme.activities))
        self.commands = _Names("command", (item.name for item in scheme.commands))
        self.timers = _Names("timer", (item.name for item in scheme.timers))
        self.actors = _Names("actor", (item.name for item in scheme.actors))
        self.parameters = _Names("parameter", (item.name for item in scheme.parameters))

    def name(self, name: str, names: _Names, place: Place | None) -> str:
        if not name or name in names.exact or name.strip() not in names.trimmed:
            return name
        meant = names.trimmed[name.strip()]
        self.findings.warn("trimmed_name", f"found {quoted(name)}, which differs by spaces from the {names.what} {quoted(meant)}; taken for it", place, meant)
        return meant

    def scheme(self) -> Scheme:
        given = self.given
        return _with(
            given,
            activities=tuple(map(self.activity, given.activities)),
            transitions=tuple(map(self.transition, given.transitions)),
            commands=tuple(map(self.command, given.commands)),
            recovery=self.recovery(given.recovery, given.place),
        )

    def activity(self, given: Activity) -> Activity:
        return _with(
            given,
            recovery=self.recovery(given.recovery, given.place),
            execution_timeout=self.reaction(given.execution_timeout),
            idle_timeout=self.reaction(given.idle_timeout),
            handlers=tuple(map(self.reaction, given.handlers)),
            implementation=tuple(_with(action, recovery=self.recovery(action.recovery, action.place)) for action in given.implementation),
        )

    def reaction(self, given: E) -> E:
        if given is None or given.type is not ReactionType.SET_ACTIVITY:
            return given
        return _with(given, target=self.name(given.target, self.activities, given.place))

    def recovery(self, given: Recovery | None, place: Place | None) -> Recovery | None:
        return None if given is None else _with(given, activity=self.name(given.activity, self.activities, place))

    def command(self, given: Command) -> Command:
        return _with(given, inputs=tuple(_with(item, parameter=self.name(item.parameter, self.parameters, item.place)) for item in given.inputs))

    def transition(self, given: Transition) -> Transition:
        trigger, names = given.trigger, {TriggerType.COMMAND: self.commands, TriggerType.TIMER: self.timers}.get(given.trigger.type)
        if names is not None:
            trigger = _with(trigger, name=self.name(trigger.name, names, trigger.place))
        return _with(
            given,
            source=self.name(given.source, self.activities, given.place),
            target=self.name(given.target, self.activities, given.place),
            trigger=trigger,
            restrictions=tuple(_with(item, actor=self.name(item.actor, self.actors, item.place)) for item in given.restrictions),
        )
