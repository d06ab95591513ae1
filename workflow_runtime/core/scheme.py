"""What a process may do: one immutable value for XML, YAML and JSON alike.

Every element carries the place it was read from; places never take part in comparison, so that
``from_xml == from_yaml`` says that two texts mean the same. Names are matched exactly.
Vocabulary: the elements and attributes of the WorkflowEngine scheme format, plus our additions
(``recovery``, ``retry``, ``journal``, ``resumable``, ``effect``, cron timers, missed policies).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.scheme_elements import (
    Activity,
    Actor,
    CodeAction,
    Command,
    Comment,
    Drawn,
    Localization,
    ParameterSpec,
    Recovery,
    RetryPolicy,
    TimerSpec,
    Transition,
)
from workflow_runtime.core.scheme_words import (
    LocalizeType,
    SchemeKey,
    TriggerType,
)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme(Drawn):
    """One process definition. Build it with ``core.reading.read`` or in code; check it with ``problems``."""

    code: str
    activities: tuple[Activity, ...] = ()
    transitions: tuple[Transition, ...] = ()
    actors: tuple[Actor, ...] = ()
    commands: tuple[Command, ...] = ()
    parameters: tuple[ParameterSpec, ...] = ()
    timers: tuple[TimerSpec, ...] = ()
    comments: tuple[Comment, ...] = ()
    code_actions: tuple[CodeAction, ...] = ()
    usings: str = ""
    localization: tuple[Localization, ...] = ()
    tags: tuple[str, ...] = ()
    can_be_inlined: bool = False
    log_enabled: bool = False
    calendar: str = ""
    recovery: Recovery | None = None
    retry: RetryPolicy | None = None
    path: str = field(default="", compare=False, repr=False)  #: the file it was read from, for messages
    _index: SchemeIndex | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def key(self) -> SchemeKey:
        return SchemeKey(self.code, self.version)

    @property
    def version(self) -> str:
        """SHA-256 of the canonical form without drawing data and localization."""
        return self._looked_up().version

    @property
    def initial_activity(self) -> str:
        """Name of the initial activity; a checked scheme has exactly one."""
        return self._looked_up().initial

    def activity(self, name: str) -> Activity | None:
        return self._looked_up().activities.get(name)

    def command(self, name: str) -> Command | None:
        return self._looked_up().commands.get(name)

    def timer(self, name: str) -> TimerSpec | None:
        return self._looked_up().timers.get(name)

    def parameter(self, name: str) -> ParameterSpec | None:
        return self._looked_up().parameters.get(name)

    def actor(self, name: str) -> Actor | None:
        return self._looked_up().actors.get(name)

    def transition(self, name: str) -> Transition | None:
        return self._looked_up().transitions.get(name)

    def leaving(self, activity: str) -> tuple[Transition, ...]:
        """The transitions out of an activity, in document order."""
        return self._looked_up().leaving.get(activity, ())

    def timers_leaving(self, activity: str) -> tuple[TimerSpec, ...]:
        """The definitions of the timers with a transition out of an activity, in document order."""
        return self._looked_up().timers_leaving.get(activity, ())

    def leads_on(self, activity: str) -> bool:
        """Whether an automatic transition leads out of an activity."""
        return activity in self._looked_up().automatic

    def localized(self, kind: LocalizeType, name: str, culture: str | None) -> str:
        """The label of a name: the exact culture, then its language, then the default entry, then the name itself."""
        entries = [entry for entry in self.localization if entry.type is kind and entry.object_name == name]
        language = culture.split("-")[0] if culture else None
        for wanted in (culture, language):
            if wanted and (found := next((entry.value for entry in entries if entry.culture == wanted), None)) is not None:
                return found
        return next((entry.value for entry in entries if entry.is_default), name)

    def _looked_up(self) -> SchemeIndex:
        if self._index is None:
            object.__setattr__(self, "_index", SchemeIndex.of(self))  # a cache: two threads may both build the same value
        assert self._index is not None
        return self._index


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeIndex:
    """Look-ups by name, built once per scheme. Of duplicates the first in the document counts."""

    version: str
    initial: str
    activities: dict[str, Activity]
    transitions: dict[str, Transition]
    commands: dict[str, Command]
    timers: dict[str, TimerSpec]
    parameters: dict[str, ParameterSpec]
    actors: dict[str, Actor]
    leaving: dict[str, tuple[Transition, ...]]
    timers_leaving: dict[str, tuple[TimerSpec, ...]]
    automatic: frozenset[str]  #: activities out of which an automatic transition leads

    @staticmethod
    def of(scheme: Scheme) -> SchemeIndex:
        leaving: dict[str, list[Transition]] = {}
        for transition in scheme.transitions:
            leaving.setdefault(transition.source, []).append(transition)
        timers = _by_name(scheme.timers)
        return SchemeIndex(
            version=hashlib.sha256(canonical(scheme).encode()).hexdigest(),
            initial=next((a.name for a in scheme.activities if a.is_initial), ""),
            activities=_by_name(scheme.activities),
            transitions=_by_name(scheme.transitions),
            commands=_by_name(scheme.commands),
            timers=timers,
            parameters=_by_name(scheme.parameters),
            actors=_by_name(scheme.actors),
            leaving={source: tuple(transitions) for source, transitions in leaving.items()},
            timers_leaving={source: _timers_of(transitions, timers) for source, transitions in leaving.items()},
            automatic=frozenset(transition.source for transition in scheme.transitions if transition.trigger.type is TriggerType.AUTO),
        )


def _timers_of(transitions: list[Transition], timers: dict[str, TimerSpec]) -> tuple[TimerSpec, ...]:
    names = dict.fromkeys(transition.trigger.name for transition in transitions if transition.trigger.type is TriggerType.TIMER)
    return tuple(timers[name] for name in names if name in timers)


def _by_name(elements: tuple[N, ...]) -> dict[str, N]:
    return {element.name: element for element in reversed(elements)}


# Drawing, labels, provenance and foreign attributes: two texts that differ in nothing else are the same version.
_LEFT_OUT = frozenset({"designer", "comments", "localization", "provenance", "comment", "extra"})


def canonical(scheme: Scheme) -> str:
    """The text whose digest is the version: sorted JSON of all that matters for a run.

    Values that equal their default are left out, so that a field added by a later release does not
    turn every stored scheme into a new version.
    """
    return json.dumps(_plain(scheme), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (f for f in dataclasses.fields(value) if f.compare and f.name not in _LEFT_OUT)
        return {f.name: _plain(v) for f in fields if (v := getattr(value, f.name)) != f.default}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, FrozenDict):
        return dict(value)
    return value
