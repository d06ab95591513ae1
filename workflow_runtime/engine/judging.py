"""May this transition be taken? Conditions and rights, asked of the user's callables and of the expressions.

A condition that raises is ConditionFailed, an error of the process and never a silent no, unless an exception handler of
the activity ignores it. Allowed = (no Allow,
or the Allow entries combined by their type) and not (the Restrict entries combined by theirs). A rule that raises
is RuleFailed, neither a yes nor a no: nothing is written, for nobody has been let in.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from workflow_runtime.core import handling
from workflow_runtime.core.arming import immediate_timers
from workflow_runtime.core.frozen import EMPTY
from workflow_runtime.core.machine import AUTO, trigger_key
from workflow_runtime.core.parameters import View
from workflow_runtime.core.process import Process, Walk
from workflow_runtime.core.scheme_elements import Condition, Transition
from workflow_runtime.core.scheme_words import Combine, ConditionType, ReactionType, RestrictionType, TriggerType
from workflow_runtime.core.substitution import fill
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.schemes import Compiled
from workflow_runtime.engine.steps import Context
from workflow_runtime.errors import ConditionFailed, EventLoopBlocked, RuleFailed

log = logging.getLogger("workflow_runtime.engine")

PREDEFINED = "Predefined"  #: an actor of this rule, or one that is not declared, is a rule of its own name


class _Ignored(Exception):
    """A condition raised, and the scheme says that its transition is then not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who wants to give a command; None as identity: rights are not looked at."""

    identity: str | None
    impersonated_identity: str | None = None

    @property
    def acting(self) -> str | None:
        return self.impersonated_identity or self.identity


class Judge:
    """Decisions about one process at one moment. ``walk`` brings the inputs and temporary values of the run."""

    def __init__(self, engine: Engine, compiled: Compiled, process: Process, walk: Walk | None, changes: Mapping[str, Any] = EMPTY) -> None:
        self._engine, self._compiled, self._process, self._walk, self._changes = engine, compiled, process, walk, changes
        self._allowed: dict[tuple[str, Asker], bool] = {}  #: a directory may be slow: nobody is asked twice about one moment

    @cached_property
    def view(self) -> View:
        """What conditions see: made for the first that asks, and most transitions have none."""
        return View(self._process, self._walk, self._changes, partial(self._engine.catalogue.external, self._process))

    def choose(self, kind: TriggerType, name: str = "", asker: Asker | None = None) -> Transition | None:
        """The transition this trigger takes from where the process stands; ConditionFailed.

        With an ``asker`` rights filter the candidates before their conditions are asked.
        """

        holds = self.holds if asker is None else partial(self._is_open_to, asker)
        return self._compiled.machine.choose(self._process.activity, trigger_key(kind, name), holds)

    def _is_open_to(self, asker: Asker, transition: Transition) -> bool:
        return self.allows(transition, asker) and self.holds(transition)

    def choose_automatic(self) -> Transition | None:
        """An automatic transition, else the transition of a timer whose value is "0"; nothing leads out of a final activity."""
        process = self._process
        activity = process.pinned.activity(process.activity)
        if activity is None or activity.is_final:
            return None
        if taken := self._compiled.machine.choose(process.activity, AUTO, self.holds):
            return taken
        immediate = immediate_timers(process.pinned, process.activity, process.parameters)
        return next((taken for name in immediate if (taken := self.choose(TriggerType.TIMER, name))), None)

    def holds(self, transition: Transition) -> bool:
        """All its conditions, or one of them, as the transition combines them. No, where an exception handler ignores that one raised."""
        if transition.asks_nothing:
            return True
        combine = any if transition.conditions_combine is Combine.OR else all
        try:
            return combine(self._condition(condition, transition) is not condition.inverted for condition in transition.conditions)
        except _Ignored:
            return False

    def _condition(self, condition: Condition, transition: Transition) -> bool:
        if condition.type in (ConditionType.ALWAYS, ConditionType.OTHERWISE):
            return True
        retried = Counter[int]()
        while True:
            try:
                return self._asked(condition, transition)
            except ConditionFailed as error:
                self._handle(transition, error, retried)

    def _handle(self, transition: Transition, error: ConditionFailed, retried: Counter[int]) -> None:
        """Returns where the condition is to be asked again. ``error``, or _Ignored."""
        activity, cause = self._process.pinned.activity(transition.source), error.__cause__ or error
        handler = handling.handler_of(activity, type(cause), retried)
        if handler is None or handler.type not in (ReactionType.RETRY, ReactionType.IGNORE):
            raise error
        log.warning("process %s: %s; exception handler %s: %s", self._process.id, error, handler.order, handler.type)
        if handler.type is ReactionType.IGNORE:
            raise _Ignored from error
        retried[handler.order] += 1

    def _asked(self, condition: Condition, transition: Transition) -> bool:
        try:
            if condition.type is ConditionType.EXPRESSION:
                return self._compiled.expressions[condition.expression].evaluate_bool(self.view.lookup, now=self._engine.now())
            spec = self._engine.catalogue.condition(condition.name)
            context = Context(self._process, self._walk, self.view, activity=transition.target, transition=transition.name)
            return bool(self._engine.caller.call(spec.function, context, self.text(condition.parameter)))
        except Exception as error:
            raise self._failed(condition, transition, error) from error

    def _failed(self, condition: Condition, transition: Transition, error: Exception) -> ConditionFailed:
        what = condition.expression or condition.name
        return ConditionFailed(
            f"condition {what!r} of transition {transition.name!r} (activity {transition.source!r}): {type(error).__name__}: {error}",
            process_id=self._process.id,
            scheme_code=self._process.scheme_code,
            activity=transition.source,
            transition=transition.name,
            condition=what,
        )

    # ------------------------------------------------------------------ rights

    def allows(self, transition: Transition, asker: Asker) -> bool:
        """Whether ``asker`` may take this transition."""
        case = (transition.name, asker)
        if case not in self._allowed:
            self._allowed[case] = self._may(transition, asker)
        return self._allowed[case]

    def _may(self, transition: Transition, asker: Asker) -> bool:
        allow = [r.actor for r in transition.restrictions if r.type is RestrictionType.ALLOW]
        deny = [r.actor for r in transition.restrictions if r.type is RestrictionType.RESTRICT]
        allowed = not allow or self._combined(allow, transition.allow_combine, transition, asker)
        return allowed and not (deny and self._combined(deny, transition.restrict_combine, transition, asker))

    def _combined(self, actors: Iterable[str], combine: Combine, transition: Transition, asker: Asker) -> bool:
        every = any if combine is Combine.OR else all
        return every(self._is(actor, transition, asker) for actor in actors)

    def _is(self, name: str, transition: Transition, asker: Asker) -> bool:
        actor = self._process.pinned.actor(name)
        rule = name if actor is None or actor.rule in ("", PREDEFINED) else actor.rule
        try:
            check = self._engine.catalogue.rule(rule).check
            return bool(self._engine.caller.call(check, self._process, asker.acting, self.text(actor.value) if actor else None))
        except EventLoopBlocked:  # it was not even asked
            raise
        except Exception as error:
            raise self._rule_failed(rule, name, transition, error) from error

    def _rule_failed(self, rule: str, actor: str, transition: Transition, error: Exception) -> RuleFailed:
        return RuleFailed(
            f"rule {rule!r} of actor {actor!r} (transition {transition.name!r}): {type(error).__name__}: {error}",
            process_id=self._process.id,
            scheme_code=self._process.scheme_code,
            transition=transition.name,
            actor=actor,
            rule=rule,
        )

    def text(self, parameter: str | None) -> str | None:
        """A parameter of an action, condition or rule after ``@Name`` substitution."""
        if parameter is None or "@" not in parameter:
            return parameter
        return fill(parameter, self.view.lookup, names=self._compiled.dotted_names)
