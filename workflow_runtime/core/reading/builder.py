"""The document to a Scheme. The only place that knows what a document means; XML, YAML and JSON all end here.

Normalised on the way: names to NFC, the Order of actions and handlers to 1, 2, 3 ..., the entries of a
transition's restrictions to Allow before Restrict, localization grouped by culture and type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar, cast

from workflow_runtime.core import types
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.reading import document as doc
from workflow_runtime.core.reading import spelling
from workflow_runtime.core.reading.build_transitions import TransitionBuilder
from workflow_runtime.core.reading.building import Building
from workflow_runtime.core.reading.findings import quoted
from workflow_runtime.core.reading.neutral import Path
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import (
    ActionRef,
    Activity,
    Actor,
    CodeAction,
    CodeActionParameter,
    Command,
    CommandInput,
    Comment,
    ExceptionHandler,
    Localization,
    ParameterSpec,
    RetryPolicy,
    Texts,
    Timeout,
    TimerSpec,
)
from workflow_runtime.core.scheme_words import CodeActionType, Effect, LocalizeType, Missed, Purpose, ReactionType, TimerType

D = TypeVar("D", bound=doc.Named)

_TIMER_KEYS = {
    "interval": TimerType.INTERVAL,
    "time": TimerType.TIME,
    "date": TimerType.DATE,
    "at": TimerType.DATE_AND_TIME,
    "expression": TimerType.EXPRESSION,
    "cron": TimerType.CRON,
}
PROVENANCE = (
    "WasInlined",
    "OriginalName",
    "OriginalSchemeCode",
    "FirstTimeInlineName",
    "LastTimeInlineName",
    "InlinedSchemeCode",
    "NestingLevel",
    "ActivityType",
    "SchemeCode",
)


class SchemeBuilder(Building):
    def scheme(self, given: doc.SchemeDoc, code: str | None) -> Scheme:
        return Scheme(
            code=self.code(given, code),
            activities=tuple(self.activity(name, item, path) for name, item, path in self.named(given.activities, "activities", doc.ActivityDoc)),
            transitions=TransitionBuilder(self.neutral, self.findings).transitions(given.transitions or []),
            actors=tuple(self.actor(name, item, path) for name, item, path in self.named(given.actors, "actors", doc.ActorDoc)),
            commands=tuple(self.command(name, item, path) for name, item, path in self.named(given.commands, "commands", doc.CommandDoc)),
            parameters=tuple(self.parameter(name, item, path) for name, item, path in self.named(given.parameters, "parameters", doc.ParameterDoc)),
            timers=tuple(self.timer(name, item, path) for name, item, path in self.named(given.timers, "timers", doc.TimerDoc)),
            comments=tuple(self.comment(name, item, path) for name, item, path in self.named(given.comments, "comments", doc.CommentDoc)),
            code_actions=tuple(self.code_action(name, item, path) for name, item, path in self.named(given.code_actions, "code_actions", doc.CodeActionDoc)),
            usings=given.usings,
            localization=_grouped(tuple(self.localization(given.localization))),
            tags=self.words(given.tags, ("tags",)),
            can_be_inlined=given.can_be_inlined,
            log_enabled=given.log_enabled,
            calendar=given.calendar,
            recovery=self.recovery(given.recovery, ("recovery",)),
            retry=self.retry(given.retry, ("retry",)),
            path=self.findings.path,
            **self.drawing(given, ()),
        )

    def code(self, given: doc.SchemeDoc, code: str | None) -> str:
        name = given.scheme or code
        if name is None or (not given.scheme and not name):
            self.findings.error("missing_name", "found a scheme without a name, expected one; name it, or read it with code=...", self.place(()))
            return ""
        return self.name(name, "scheme", ("scheme",))

    def named(self, section: Any, key: str | Path, kind: type[D]) -> Iterator[tuple[str, D, Path]]:
        """The items of a section in either form: name, item, path."""
        base = (key,) if isinstance(key, str) else key
        what = str(base[-1]).rstrip("s").replace("_", " ").replace("activitie", "activity")
        if isinstance(section, dict):
            for name, item in section.items():
                if item is not None and item.name is not None:
                    self.findings.error("unknown_key", "found the key 'name' beside the name itself, expected one of them", self.place((*base, name, "name")))
                if (full := item or self.empty(kind, what, (*base, name))) is not None:
                    yield self.item_name(name, what, (*base, name)), full, (*base, name)
        for index, item in enumerate(section if isinstance(section, list) else ()):
            yield self.item_name(item.name or "", what, (*base, index)), item, (*base, index)

    def empty(self, kind: type[D], what: str, path: Path) -> D | None:
        """An entry that says nothing but its name."""
        try:
            return kind.model_validate({})
        except ValueError:
            self.findings.error("missing_key", f"found nothing under the name of a {what}, expected a mapping", self.place(path))
            return None

    def item_name(self, name: str, what: str, path: Path) -> str:
        return name if what == "comment" else self.name(name, what, path)  # a comment is drawing: its name is a label

    # ── the sections ─────────────────────────────────────────────────────────────────────────────────

    def actor(self, name: str, given: doc.ActorDoc, path: Path) -> Actor:
        provenance = self.provenance(given.provenance, path, PROVENANCE[:3])
        return Actor(name=name, rule=given.rule, value=given.value, provenance=provenance, **self.element(given, path))

    def command(self, name: str, given: doc.CommandDoc, path: Path) -> Command:
        inputs = tuple(
            CommandInput(
                name=key,
                parameter=self.name(item.parameter or key, "parameter", (*inner, "parameter")),
                required=item.required,
                default=item.default,
                **self.element(item, inner),
            )
            for key, item, inner in self.named(given.inputs, (*path, "inputs"), doc.InputDoc)
        )
        return Command(name=name, inputs=inputs, comment=given.comment, **self.element(given, path))

    def parameter(self, name: str, given: doc.ParameterDoc, path: Path) -> ParameterSpec:
        known = types.type_name(given.type) if given.type.strip() else "any"
        if known is None:
            message = f"found the unknown type {quoted(given.type)}, expected one of ours; values are kept as they come"
            self.findings.warn("unknown_type", message, self.place((*path, "type")))
        return ParameterSpec(
            name=name,
            type=known or "any",
            written_type="" if given.type == known else given.type,
            purpose=Purpose[given.purpose.upper()],
            initial=given.initial,
            **self.element(given, path),
        )

    def timer(self, name: str, given: doc.TimerDoc, path: Path) -> TimerSpec:
        found = [key for key in _TIMER_KEYS if getattr(given, key) is not None]
        if len(found) != 1:
            shown = " and ".join(found) or "none of them"
            self.findings.error("bad_timer", f"found {shown} in the timer {quoted(name)}, expected one of {', '.join(_TIMER_KEYS)}", self.place(path))
        key = found[0] if found else "interval"
        return TimerSpec(
            name=name,
            type=_TIMER_KEYS[key],
            value=spelling.iso_date(_TIMER_KEYS[key], getattr(given, key) or ""),
            keep_if_set=given.keep_if_set,
            time_zone=given.time_zone,
            missed=Missed(given.missed),
            late_after=given.late_after,
            **self.element(given, path),
        )

    def comment(self, name: str, given: doc.CommentDoc, path: Path) -> Comment:
        return Comment(name=name, value=given.value, style=self.drawn(given.__pydantic_extra__, path), **self.drawing(given, path))

    def code_action(self, name: str, given: doc.CodeActionDoc, path: Path) -> CodeAction:
        parameters = tuple(
            CodeActionParameter(
                name=key,
                type=item.type,
                required=item.required,
                title=item.title,
                comment=item.comment,
                default=item.default,
                **self.element(item, inner),
            )
            for key, item, inner in self.named(given.parameters, (*path, "parameters"), doc.CodeActionParameterDoc)
        )
        return CodeAction(
            name=name,
            type=CodeActionType[given.type.upper()],
            is_global=given.is_global,
            is_async=given.is_async,
            source=given.source,
            usings=given.usings,
            excluded_usings=given.excluded_usings,
            parameters=parameters,
            provenance=self.provenance(given.provenance, path, PROVENANCE[:3]),
            **self.element(given, path),
        )

    def localization(self, given: Any) -> Iterator[Localization]:
        for index, item in enumerate(given if isinstance(given, list) else ()):
            kind = LocalizeType[item.type.upper()]
            yield Localization(
                type=kind,
                object_name=item.name,
                culture=item.culture,
                value=item.text,
                is_default=item.default,
                **self.element(item, ("localization", index)),
            )
        for culture, block in (given or {}).items() if not isinstance(given, list) else ():
            for kind in LocalizeType:
                for name, item in (getattr(block, kind.name.lower()) or {}).items():
                    path = ("localization", culture, kind.name.lower(), name)
                    yield self.localized(kind, culture, name, item, block.default, path)

    def localized(self, kind: LocalizeType, culture: str, name: str, item: Any, default: bool, path: Path) -> Localization:
        if isinstance(item, str):
            return Localization(type=kind, object_name=name, culture=culture, value=item, is_default=default, place=self.place(path))
        is_default = default if item.default is None else item.default
        return Localization(type=kind, object_name=name, culture=culture, value=item.text, is_default=is_default, **self.element(item, path))

    # ── activities ───────────────────────────────────────────────────────────────────────────────────

    def activity(self, name: str, given: doc.ActivityDoc, path: Path) -> Activity:
        return Activity(
            name=name,
            state=given.state,
            is_initial=given.initial,
            is_final=given.final,
            is_for_set_state=given.set_state,
            is_auto_scheme_update=given.auto_update,
            disable_persist_state=given.disable_persist_state,
            disable_persist_transition_history=given.disable_persist_transition_history,
            disable_persist_parameters=given.disable_persist_parameters,
            inline=given.inline,
            implementation=self.actions(given.actions, (*path, "actions")),
            pre_execution=self.actions(given.pre_execution, (*path, "pre_execution")),
            annotations=self.annotations(given, path),
            execution_timeout=self.timeout(given.execution_timeout, (*path, "execution_timeout")),
            idle_timeout=self.timeout(given.idle_timeout, (*path, "idle_timeout")),
            handlers=tuple(self.handler(item, index, (*path, "on_error", index)) for index, item in enumerate(given.on_error or ())),
            recovery=self.recovery(given.recovery, (*path, "recovery")),
            retry=self.retry(given.retry, (*path, "retry")),
            comment=given.comment,
            provenance=self.provenance(given.provenance, path, PROVENANCE),
            **self.drawing(given, path),
        )

    def annotations(self, given: doc.ActivityDoc, path: Path) -> Texts:
        found = dict(given.annotations or {})
        if given.custom is not None and found.setdefault("__customtype", given.custom) != given.custom:
            self.findings.error("bad_value", "found 'custom' and another '__customtype' in annotations, expected one of them", self.place((*path, "custom")))
        return FrozenDict(found) if found else EMPTY

    def actions(self, given: list[Any] | None, path: Path) -> tuple[ActionRef, ...]:
        return tuple(self.action(item, index, (*path, index)) for index, item in enumerate(given or ()))

    def action(self, given: Any, index: int, path: Path) -> ActionRef:
        if isinstance(given, doc.ActionDoc):
            return self.long_action(given, index, path)
        if isinstance(given, str):
            given = {given: None}
        if len(given) != 1:
            self.findings.error("bad_value", f"found {len(given)} keys in an action, expected {{name: parameter}} or the key 'action'", self.place(path))
        name = next(iter(given), "?")
        return ActionRef(name=self.name(name, "action", path), order=index + 1, parameter=given.get(name), place=self.place(path))

    def long_action(self, given: doc.ActionDoc, index: int, path: Path) -> ActionRef:
        return ActionRef(
            name=self.name(given.action, "action", path),
            order=index + 1,
            parameter=given.parameter,
            journal=given.journal,
            resumable=given.resumable,
            effect=Effect(given.effect) if given.effect else None,
            recovery=self.recovery(given.recovery, (*path, "recovery")),
            retry=self.retry(given.retry, (*path, "retry")),
            **self.element(given, path),
        )

    def retry(self, given: doc.RetryDoc | None, path: Path) -> RetryPolicy | None:
        if given is None:
            return None
        return RetryPolicy(
            attempts=given.attempts,
            delay=given.delay,
            factor=given.factor,
            max_delay=given.max_delay,
            jitter=given.jitter,
            total=given.total,
            final=self.words(given.final, (*path, "final")),
            **self.element(given, path),
        )

    def timeout(self, given: doc.TimeoutDoc | None, path: Path) -> Timeout | None:
        if given is None:
            return None
        kind, target, retries = self.reaction(given, path)
        return Timeout(type=kind, timer=given.after, target=target, retries=retries, **self.element(given, path))

    def handler(self, given: doc.HandlerDoc, index: int, path: Path) -> ExceptionHandler:
        kind, target, retries = self.reaction(given, path)
        caught = self.words([given.catch] if isinstance(given.catch, str) else given.catch, (*path, "catch"))
        return ExceptionHandler(order=index + 1, type=kind, exceptions=caught or ("*",), target=target, retries=retries, **self.element(given, path))

    def reaction(self, given: doc.ReactionDoc, path: Path) -> tuple[ReactionType, str, int]:
        """Exactly one of the keys says what happens."""
        known = [key for key in ("set_activity", "set_state", "retry", "ignore") if hasattr(given, key)]
        keys = [key for key in known if getattr(given, key) is not None]
        if len(keys) != 1:
            shown = " and ".join(keys) or "none of them"
            self.findings.error("bad_value", f"found {shown}, expected one of {', '.join(known)}", self.place(path))
        match keys[:1]:
            case ["set_activity"]:
                return ReactionType.SET_ACTIVITY, self.name(given.set_activity or "", "activity", path), 1
            case ["set_state"]:
                return ReactionType.SET_STATE, given.set_state or "", 1
            case ["retry"]:
                return ReactionType.RETRY, "", cast(int, given.retry)
        return ReactionType.IGNORE, "", 1


def _grouped(entries: tuple[Localization, ...]) -> tuple[Localization, ...]:
    """By culture and type, in the order of their first appearance: the order of a grouped text."""
    cultures = list(dict.fromkeys(entry.culture for entry in entries))
    kinds = list(LocalizeType)
    position = {culture: index for index, culture in enumerate(cultures)}
    return tuple(sorted(entries, key=lambda entry: (position[entry.culture], kinds.index(entry.type))))
