"""Names and the callables behind them.

Law: a name is bound once per registry, and whatever is wrong with a callable is said when it is
registered, not when a process meets it.

=========  ======================================  ==============================================
kind       called as                               answers
=========  ======================================  ==============================================
action     ``action(ctx, parameter)``              nothing; it changes ``ctx.parameters``
condition  ``condition(ctx, parameter)``           true or false
rule       ``check(process, identity, parameter)`` true or false
rule       ``identities(process, parameter)``      who they are; optional
outcome    ``check_outcome(ctx, parameter)``       True: it was done, False: not; optional
=========  ======================================  ==============================================

``parameter`` is a text or None. Every one of them may be ``async def``. A Registry needs no runtime: modules
fill one at import time and the host hands it over with ``with_registry``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from workflow_runtime.core import retrying
from workflow_runtime.core.scheme_elements import RetryPolicy
from workflow_runtime.core.scheme_words import Effect
from workflow_runtime.errors import RegistrationError

__all__ = ["GIVEN", "ActionSpec", "AnyFunction", "ConditionSpec", "Registry", "RuleSpec", "Spec", "check_callable", "duplicate", "place_of"]

AnyFunction = Callable[..., Any]
F = TypeVar("F", bound=AnyFunction)

GIVEN = "given to the runtime"  #: the origin of what the host registers itself

_ACTION = ("ctx", "parameter")
_CHECK = ("process", "identity", "parameter")
_IDENTITIES = ("process", "parameter")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """A registered action; a scheme's own words (``journal``, ``resumable``) win over these."""

    name: str
    function: AnyFunction
    journal: bool = True  #: False: costs no commit and runs again after a crash
    resumable: bool = True  #: False: an interrupted run of it ends by the status rule
    effect: Effect = Effect.AT_LEAST_ONCE
    retry: RetryPolicy | None = None  #: where scheme, activity and action declare none
    check_outcome: AnyFunction | None = None  #: of what is done at most once: whether it was done; None: that cannot be told
    origin: str = field(default=GIVEN, compare=False)
    is_async: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        _check_name("action", self.name)
        check_callable("action", self.name, self.function, _ACTION)
        if self.check_outcome is not None:
            check_callable("check_outcome of the action", self.name, self.check_outcome, _ACTION)
        if self.retry is not None and (fault := retrying.fault(self.retry)):
            raise RegistrationError(f"the retry policy of the action {self.name!r}: {fault}", kind="action", wanted=self.name)
        object.__setattr__(self, "is_async", _is_async(self.function))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionSpec:
    """A registered condition. It gets the read-only part of the context."""

    name: str
    function: AnyFunction
    origin: str = field(default=GIVEN, compare=False)
    is_async: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        _check_name("condition", self.name)
        check_callable("condition", self.name, self.function, _ACTION)
        object.__setattr__(self, "is_async", _is_async(self.function))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """A registered rule: ``check`` says whether somebody is one of them, ``identities`` who they are."""

    name: str
    check: AnyFunction
    identities: AnyFunction | None = None
    origin: str = field(default=GIVEN, compare=False)
    is_async: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        _check_name("rule", self.name)
        check_callable("rule", self.name, self.check, _CHECK)
        if self.identities is not None:
            check_callable("identities of the rule", self.name, self.identities, _IDENTITIES)
        object.__setattr__(self, "is_async", _is_async(self.check))

    @property
    def function(self) -> AnyFunction:
        return self.check


Spec = ActionSpec | ConditionSpec | RuleSpec
S = TypeVar("S", ActionSpec, ConditionSpec, RuleSpec)


class Registry:
    """Actions, conditions and rules by name. ``origin`` says in messages where they come from."""

    def __init__(self, origin: str = GIVEN) -> None:
        self.origin = origin
        self.actions: dict[str, ActionSpec] = {}
        self.conditions: dict[str, ConditionSpec] = {}
        self.rules: dict[str, RuleSpec] = {}

    def action(
        self,
        name: str | None = None,
        *,
        retry: RetryPolicy | None = None,
        resumable: bool = True,
        effect: Effect | str = Effect.AT_LEAST_ONCE,
        journal: bool = True,
        check_outcome: AnyFunction | None = None,
    ) -> Callable[[F], F]:
        """Decorator: registers ``action(ctx, parameter)`` under ``name``, by default the function's own."""
        _refuse_bare("action", name)

        def register(function: F) -> F:
            own = name or _own_name(function)
            self.add_action(own, function, retry=retry, resumable=resumable, effect=effect, journal=journal, check_outcome=check_outcome)
            return function

        return register

    def condition(self, name: str | None = None) -> Callable[[F], F]:
        """Decorator: registers ``condition(ctx, parameter)``."""
        _refuse_bare("condition", name)

        def register(function: F) -> F:
            self.add_condition(name or _own_name(function), function)
            return function

        return register

    def rule(self, name: str | None = None, *, identities: AnyFunction | None = None) -> Callable[[F], F]:
        """Decorator: registers ``check(process, identity, parameter)``, with ``identities(process, parameter)`` if given."""
        _refuse_bare("rule", name)

        def register(function: F) -> F:
            self.add_rule(name or _own_name(function), (function, identities))
            return function

        return register

    def add_action(
        self,
        name: str,
        action: AnyFunction | ActionSpec,
        *,
        retry: RetryPolicy | None = None,
        resumable: bool = True,
        effect: Effect | str = Effect.AT_LEAST_ONCE,
        journal: bool = True,
        check_outcome: AnyFunction | None = None,
    ) -> None:
        """RegistrationError where the name is taken or the callable does not fit. A spec keeps its own options."""
        if isinstance(action, ActionSpec):
            spec = replace(action, name=name, origin=self.origin)
        else:
            spec = ActionSpec(
                name=name,
                function=action,
                retry=retry,
                resumable=resumable,
                effect=_effect(name, effect),
                journal=journal,
                check_outcome=check_outcome,
                origin=self.origin,
            )
        _bind("action", self.actions, spec)

    def add_condition(self, name: str, condition: AnyFunction | ConditionSpec) -> None:
        """RegistrationError where the name is taken or the callable does not fit."""
        if isinstance(condition, ConditionSpec):
            spec = replace(condition, name=name, origin=self.origin)
        else:
            spec = ConditionSpec(name=name, function=condition, origin=self.origin)
        _bind("condition", self.conditions, spec)

    def add_rule(self, name: str, rule: AnyFunction | tuple[AnyFunction, AnyFunction | None] | RuleSpec) -> None:
        """RegistrationError where the name is taken or a callable does not fit."""
        if isinstance(rule, RuleSpec):
            spec = replace(rule, name=name, origin=self.origin)
        else:
            check, identities = _pair(name, rule)
            spec = RuleSpec(name=name, check=check, identities=identities, origin=self.origin)
        _bind("rule", self.rules, spec)


def place_of(spec: Spec) -> str:
    """Where a callable stands, for messages: its dotted name, file and line, and who brought it."""
    function = inspect.unwrap(spec.function)
    code = getattr(function, "__code__", None)
    named = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    file = f" at {code.co_filename}:{code.co_firstlineno}" if code else ""
    return f"{named}{file} ({spec.origin})"


def _bind(kind: str, names: dict[str, S], spec: S) -> None:
    if spec.name in names:
        raise duplicate(kind, names[spec.name], spec)
    names[spec.name] = spec


def duplicate(kind: str, first: Spec, second: Spec) -> RegistrationError:
    """Two callables with equal rights to one name."""
    return RegistrationError(
        f"the {kind} {first.name!r} is registered twice: {place_of(first)} and {place_of(second)}; rename one of them",
        kind=kind,
        wanted=first.name,
    )


def _check_name(kind: str, name: object) -> None:
    if not isinstance(name, str) or not name or name != name.strip():
        raise RegistrationError(f"the {kind} name {name!r} cannot be used; expected a text that is not empty and has no space at either end", kind=kind)


def check_callable(kind: str, name: str, function: object, expected: tuple[str, ...]) -> None:
    """RegistrationError, showing the expected signature, for what cannot be called with these positional arguments."""
    wanted = f"expected a callable ({', '.join(expected)})"
    if not callable(function) or inspect.isclass(function):
        raise RegistrationError(f"the {kind} {name!r} is {_shown(function)}; {wanted}", kind=kind, wanted=name)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise RegistrationError(f"the {kind} {name!r} is a generator, which would never run; {wanted} without yield", kind=kind, wanted=name)
    try:
        signature = inspect.signature(function)
    except ValueError:  # a builtin that does not tell its signature: believed
        return
    try:
        signature.bind(*expected)
    except TypeError as error:
        raise RegistrationError(f"the {kind} {name!r} takes {signature} ({error}); {wanted}", kind=kind, wanted=name) from None


def _shown(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else repr(value)


def _effect(name: str, effect: Effect | str) -> Effect:
    try:
        return Effect(effect)
    except ValueError:
        known = ", ".join(repr(e.value) for e in Effect)
        raise RegistrationError(f"the action {name!r} has the effect {effect!r}; expected one of {known}", kind="action", wanted=name) from None


def _pair(name: str, rule: object) -> tuple[Any, Any]:
    if not isinstance(rule, tuple):
        return rule, None
    if len(rule) != 2:
        raise RegistrationError(f"the rule {name!r} is a tuple of {len(rule)}; expected (check, identities)", kind="rule", wanted=name)
    return rule


def _refuse_bare(kind: str, name: object) -> None:
    if callable(name):
        raise RegistrationError(f"@{kind} stands without parentheses; write @{kind}() or @{kind}('Name')", kind=kind)


def _own_name(function: AnyFunction) -> str:
    return str(getattr(function, "__name__", ""))


def _is_async(function: AnyFunction) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
