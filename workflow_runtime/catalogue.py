"""All names of a runtime, gathered once at its start: from the host, from plugins, from what is built in.

Law: the level decides who wins a name; two on the same level are an error that names both, unless a
higher level has settled the name already.

=====  =====================  =================================================
level  who                    registered by
=====  =====================  =================================================
0      given to the runtime   decorators, ``with_*``, ``with_plugin``
1      plugins folder         ``with_plugins_folder``, sorted by file name
2      entry point            an installed distribution, sorted by name
3      built in               ``workflow_runtime.plugins``
=====  =====================  =================================================

Restorers, providers and translators have no names to fight for: all stay, in this order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.nearness import nearest
from workflow_runtime.core.problems import Names
from workflow_runtime.core.process import Process
from workflow_runtime.core.restoring import IProcessRestorer
from workflow_runtime.errors import ActionNotFound, PluginError, RegistrationError
from workflow_runtime.hooks import ExternalParameters, TimerValues
from workflow_runtime.registry import GIVEN, ActionSpec, ConditionSpec, Registry, RuleSpec, check_callable, duplicate

__all__ = ["Catalogue", "Level", "Restorer", "Source", "gather", "read_answers"]

S = TypeVar("S", ActionSpec, ConditionSpec, RuleSpec)
Answer = tuple[str, Any]  #: the name of a gathering hook and what a plugin returned


class Level(IntEnum):
    """Who brought a name; the lower number wins."""

    RUNTIME = 0
    FOLDER = 1
    ENTRY_POINT = 2
    BUILT_IN = 3


class Restorer(NamedTuple):
    """A restorer under the name and version that history and reports show."""

    name: str
    version: str
    restorer: IProcessRestorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What one contributor brings: the host itself, or one plugin. RegistrationError for what does not fit."""

    level: Level = Level.RUNTIME
    origin: str = GIVEN
    version: str = ""  #: of the distribution, where one is known
    registry: Registry = field(default_factory=Registry)
    restorers: tuple[IProcessRestorer, ...] = ()
    external_parameters: tuple[ExternalParameters, ...] = ()
    timer_values: tuple[TimerValues, ...] = ()

    def __post_init__(self) -> None:
        for restorer in self.restorers:
            _check_restorer(restorer)
        for provider in self.external_parameters:
            check_callable("provider of external parameters", self.origin, provider, ("process", "name"))
        for translate in self.timer_values:
            check_callable("translator of timer values", self.origin, translate, ("process", "timer", "value"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything that schemes may name, and whom the engine asks. It never changes; each spec knows its origin."""

    actions: Mapping[str, ActionSpec] = EMPTY
    conditions: Mapping[str, ConditionSpec] = EMPTY
    rules: Mapping[str, RuleSpec] = EMPTY
    restorers: tuple[Restorer, ...] = ()  #: in the order they are asked
    external_parameters: tuple[ExternalParameters, ...] = ()
    timer_values: tuple[TimerValues, ...] = ()

    def action(self, name: str) -> ActionSpec:
        """ActionNotFound, with the near name, where nobody registered it."""
        return _looked_up("action", self.actions, name)

    def condition(self, name: str) -> ConditionSpec:
        """ActionNotFound, with the near name, where nobody registered it."""
        return _looked_up("condition", self.conditions, name)

    def rule(self, name: str) -> RuleSpec:
        """ActionNotFound, with the near name, where nobody registered it."""
        return _looked_up("rule", self.rules, name)

    def names(self) -> Names:
        """The names that a scheme is checked against. This release registers no activity types of its own."""
        return Names(actions=frozenset(self.actions), conditions=frozenset(self.conditions), rules=frozenset(self.rules), activities=frozenset())

    def external(self, process: Process, name: str) -> Any:
        """The value of an external parameter, from the first provider that knows it; KeyError where none does."""
        for provider in self.external_parameters:
            try:
                return provider(process, name)
            except LookupError:
                continue
        raise KeyError(name)

    def timer_value(self, process: Process, timer: str, value: str) -> str | None:
        """A custom timer value in words the timer's type understands, from the first translator that knows it."""
        for translate in self.timer_values:
            answer = translate(process, timer, value)
            if answer is not None and not isinstance(answer, str):
                raise PluginError(f"the value {value!r} of timer {timer!r} was translated to {answer!r}; expected a text such as '1d 12h', or None")
            if answer is not None:
                return answer
        return None


def gather(sources: Iterable[Source]) -> Catalogue:
    """One catalogue of all sources; within a level their order stays. RegistrationError names two equals."""
    ordered = sorted(sources, key=lambda source: source.level)
    return Catalogue(
        actions=_merged("action", [(source.level, source.registry.actions) for source in ordered]),
        conditions=_merged("condition", [(source.level, source.registry.conditions) for source in ordered]),
        rules=_merged("rule", [(source.level, source.registry.rules) for source in ordered]),
        restorers=tuple(_named(restorer, source) for source in ordered for restorer in source.restorers),
        external_parameters=tuple(provider for source in ordered for provider in source.external_parameters),
        timer_values=tuple(translate for source in ordered for translate in source.timer_values),
    )


def read_answers(answers: Iterable[Answer], *, level: Level, origin: str, version: str = "") -> Source:
    """What the gathering hooks of one plugin returned, as a Source. RegistrationError for an answer that does not fit."""
    registry = Registry(origin=origin)
    parts: dict[str, list[Any]] = {hook: [] for hook in _READERS}
    for hook, answer in answers:
        if hook in _ADDERS:
            for name, offered in _items(hook, answer):
                _ADDERS[hook](registry, name, offered)
        else:
            parts[hook].extend(_READERS[hook](hook, answer))
    restorers, providers, translators = (tuple(parts[hook]) for hook in _READERS)
    return Source(level=level, origin=origin, version=version, registry=registry, restorers=restorers, external_parameters=providers, timer_values=translators)


def _items(hook: str, answer: Any) -> list[tuple[str, Any]]:
    if not isinstance(answer, Mapping):
        raise RegistrationError(f"{hook}() returned {answer!r}; expected a mapping from names to callables")
    return list(answer.items())


def _listed(hook: str, answer: Any) -> list[Any]:
    if isinstance(answer, (str, Mapping)) or not isinstance(answer, Iterable):
        raise RegistrationError(f"{hook}() returned {answer!r}; expected a list")
    return list(answer)


def _one_or_listed(hook: str, answer: Any) -> list[Any]:
    return [answer] if callable(answer) else _listed(hook, answer)


def _translators(hook: str, answer: Any) -> list[TimerValues]:
    if callable(answer):
        return [answer]
    by_timer = dict(_items(hook, answer))
    for timer, translate in by_timer.items():
        check_callable("translator of the timer", timer, translate, ("process", "value"))
    return [_by_timer(by_timer)]


def _by_timer(translators: Mapping[str, Callable[[Process, str], str | None]]) -> TimerValues:
    def translate(process: Process, timer: str, value: str) -> str | None:
        return translators[timer](process, value) if timer in translators else None

    return translate


_ADDERS: Mapping[str, Callable[[Registry, str, Any], None]] = {
    "register_actions": Registry.add_action,
    "register_conditions": Registry.add_condition,
    "register_rules": Registry.add_rule,
}

_READERS: Mapping[str, Callable[[str, Any], list[Any]]] = {
    "register_process_restorers": _listed,
    "register_external_parameters": _one_or_listed,
    "register_timer_values": _translators,
}


def _merged(kind: str, layers: Iterable[tuple[Level, Mapping[str, S]]]) -> Mapping[str, S]:
    winners: dict[str, tuple[Level, S]] = {}
    for level, specs in layers:
        for name, spec in specs.items():
            if name not in winners:
                winners[name] = (level, spec)
            elif winners[name][0] is level:
                raise duplicate(kind, winners[name][1], spec)
    return FrozenDict({name: spec for name, (_, spec) in winners.items()})


def _looked_up(kind: str, specs: Mapping[str, S], name: str) -> S:
    if name in specs:
        return specs[name]
    meant = nearest(name, specs)
    advice = f"did you mean {meant!r}?" if meant else "register it and start again"
    raise ActionNotFound(f"the {kind} {name!r} is not registered on this server; {advice}", kind=kind, wanted=name, suggestion=meant)


def _named(restorer: IProcessRestorer, source: Source) -> Restorer:
    name = getattr(restorer, "name", None) or type(restorer).__name__
    version = source.version or getattr(restorer, "version", "")
    return Restorer(str(name), str(version), restorer)


def _check_restorer(restorer: object) -> None:
    if isinstance(restorer, type):
        raise RegistrationError(f"the restorer {restorer.__name__} is a class; expected an object: {restorer.__name__}(...)")
    name = type(restorer).__name__
    for method, expected in (("need_custom_restore", ("scheme_code", "status")), ("get_custom_restore_decision", ("process",))):
        function = getattr(restorer, method, None)
        check_callable(f"{method} of the restorer", name, function, expected)
        if inspect.iscoroutinefunction(function):
            raise RegistrationError(f"{method} of the restorer {name!r} is async; restorers are asked synchronously, write it with def")
