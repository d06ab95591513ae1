"""Transitions of the document to those of a Scheme: trigger, conditions, rights, forks."""

from __future__ import annotations

from collections import Counter
from typing import Any

from workflow_runtime.core.reading import document as doc
from workflow_runtime.core.reading.building import Building
from workflow_runtime.core.reading.neutral import Path
from workflow_runtime.core.reading.spelling import generated_name
from workflow_runtime.core.scheme_elements import Condition, Fork, Restriction, Transition, TriggerSpec
from workflow_runtime.core.scheme_words import (
    Classifier,
    Combine,
    ConditionType,
    CopyStrategy,
    ForkDirection,
    MergeStrategy,
    RestrictionType,
    Startup,
    TriggerType,
)


class TransitionBuilder(Building):
    def transitions(self, given: list[doc.TransitionDoc]) -> tuple[Transition, ...]:
        seen: Counter[tuple[str, str]] = Counter()
        return tuple(self.transition(item, seen, ("transitions", index)) for index, item in enumerate(given))

    def transition(self, given: doc.TransitionDoc, seen: Counter[tuple[str, str]], path: Path) -> Transition:
        source = self.name(given.source, "transition's source", (*path, "from"))
        target = self.name(given.target, "transition's target", (*path, "to"))
        seen[source, target] += 1
        conditions, conditions_combine = self.conditions(given, path)
        allowed, allow_combine = self.restrictions(given.allow, RestrictionType.ALLOW, (*path, "allow"))
        denied, restrict_combine = self.restrictions(given.deny, RestrictionType.RESTRICT, (*path, "deny"))
        return Transition(
            name=self.name(given.name or generated_name(source, target, seen[source, target]), "transition", (*path, "name")),
            source=source,
            target=target,
            trigger=self.trigger(given.trigger, (*path, "on")),
            conditions=conditions,
            conditions_combine=conditions_combine,
            restrictions=allowed + denied,
            allow_combine=allow_combine,
            restrict_combine=restrict_combine,
            classifier=Classifier[given.classifier.upper()],
            fork=self.fork(given, path),
            inlined_final_activity=self.name(given.leaves, "final activity", (*path, "leaves")) if given.leaves else "",
            **self.drawing(given, path),
        )

    def trigger(self, given: doc.TriggerDoc | None, path: Path) -> TriggerSpec:
        if given is None:
            return TriggerSpec(place=self.place(path))
        keys = [key for key in ("command", "timer", "auto") if getattr(given, key) is not None]
        if len(keys) != 1:
            shown = " and ".join(keys) or "none of them"
            self.findings.error("one_trigger_only", f"found {shown}, expected one of command, timer, auto", self.place(path))
            return TriggerSpec(place=self.place(path))
        if keys == ["auto"]:
            return TriggerSpec(**self.element(given, path))
        name = self.name(getattr(given, keys[0]), keys[0], path)
        return TriggerSpec(type=TriggerType[keys[0].upper()], name=name, **self.element(given, path))

    # ── conditions ───────────────────────────────────────────────────────────────────────────────────

    def conditions(self, given: doc.TransitionDoc, path: Path) -> tuple[tuple[Condition, ...], Combine]:
        if given.otherwise and given.when is not None:
            self.findings.error("bad_value", "found 'otherwise' beside 'when', expected one of them", self.place((*path, "otherwise")))
        if given.otherwise:
            return (Condition(type=ConditionType.OTHERWISE, place=self.place((*path, "otherwise"))),), Combine.AND
        items, combine, inner = self.combined(given.when, (*path, "when"))
        found = tuple(self.condition(item, where) for item, where in zip(items, inner, strict=True))
        return found or (Condition(place=self.place(path)),), combine

    def combined(self, given: Any, path: Path) -> tuple[list[Any], Combine, list[Path]]:
        """The entries of ``when``, ``allow`` or ``deny``, how they combine, and their paths."""
        if given is None:
            return [], Combine.AND, []
        if isinstance(given, list):
            if len(given) > 1:
                message = f"found a list of {len(given)}, expected {{any: [...]}} or {{all: [...]}} around it: say which is meant"
                self.findings.error("any_or_all", message, self.place(path))
            return given, Combine.AND, [(*path, index) for index in range(len(given))]
        if not isinstance(given, doc.ConditionsDoc | doc.RestrictionsDoc):
            return [given], Combine.AND, [path]
        if (given.any is None) == (given.all is None):
            self.findings.error("any_or_all", "found not exactly one of 'any' and 'all', expected one of them", self.place(path))
        word = "any" if given.any is not None else "all"
        items: list[Any] = getattr(given, word) or []
        return items, Combine.OR if word == "any" else Combine.AND, [(*path, word, index) for index in range(len(items))]

    def condition(self, given: str | doc.ConditionDoc, path: Path) -> Condition:
        if isinstance(given, str):
            return Condition(type=ConditionType.EXPRESSION, expression=given, place=self.place(path))
        keys = [key for key in ("action", "expression", "otherwise", "always") if getattr(given, key) is not None]
        if len(keys) != 1:
            shown = " and ".join(keys) or "none of them"
            self.findings.error("bad_value", f"found {shown}, expected one of action, expression, otherwise, always", self.place(path))
            return Condition(place=self.place(path))
        if given.parameter is not None and keys != ["action"]:
            self.findings.error("bad_value", "found 'with' on a condition that is no action, expected it only there", self.place(path))
        return Condition(
            type=ConditionType[keys[0].upper()],
            name=self.name(given.action, "condition", path) if given.action is not None else "",
            parameter=given.parameter,
            expression=given.expression or "",
            inverted=given.inverted,
            result_on_pre_execution=given.pre_execution,
            **self.element(given, path),
        )

    # ── rights ───────────────────────────────────────────────────────────────────────────────────────

    def restrictions(self, given: Any, kind: RestrictionType, path: Path) -> tuple[tuple[Restriction, ...], Combine]:
        items, combine, paths = self.combined(given, path)
        return tuple(self.restriction(item, kind, where) for item, where in zip(items, paths, strict=True)), combine

    def restriction(self, given: str | doc.RestrictionDoc, kind: RestrictionType, path: Path) -> Restriction:
        if isinstance(given, str):
            return Restriction(type=kind, actor=self.name(given, "actor", path), place=self.place(path))
        return Restriction(type=kind, actor=self.name(given.actor, "actor", path), **self.element(given, path))

    # ── forks ────────────────────────────────────────────────────────────────────────────────────────

    def fork(self, given: doc.TransitionDoc, path: Path) -> Fork | None:
        if given.fork is None:
            if given.subprocess is not None:
                self.findings.error("missing_key", "found 'subprocess' without 'fork', expected both", self.place((*path, "subprocess")))
            return None
        inner = given.subprocess or doc.SubprocessDoc.model_validate({})
        copied, copy_names = _strategy(inner.copying)
        merged, merge_names = _strategy(inner.merging)
        return Fork(
            direction=ForkDirection[given.fork.upper()],
            name=inner.name,
            id=inner.id,
            startup=Startup[inner.startup.upper()],
            copy=CopyStrategy[copied],
            merge=MergeStrategy[merged],
            parameters=self.names([copy_names, merge_names, inner.parameters], (*path, "subprocess")),
            via_set_state=inner.via_set_state,
            disable_parent_state_control=not inner.parent_control,
            place=self.place((*path, "fork")),
        )

    def names(self, lists: list[list[str] | None], path: Path) -> tuple[str, ...]:
        """Copy and merge share one list of names in the vocabulary; two that differ cannot be kept."""
        said = [names for names in lists if names is not None]
        if any(names != said[0] for names in said):
            self.findings.error("bad_value", "found different names in 'copy' and 'merge', expected one list for both", self.place(path))
        return self.words(said[0] if said else [], path)


def _strategy(rule: str | list[str] | doc.ExceptDoc) -> tuple[str, list[str] | None]:
    """The member of the enumeration, and its names."""
    if isinstance(rule, str):
        return rule.upper(), None
    return ("SPECIFIED", rule) if isinstance(rule, list) else ("EXCEPT", rule.names)
