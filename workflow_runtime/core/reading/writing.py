"""A Scheme to the document: lists with names, every form spelled out, defaults left out.

The counterpart of the builder. ``concise`` makes of it what a person writes; XML is written from it as it is.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from workflow_runtime.core import types
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.reading import spelling
from workflow_runtime.core.reading.findings import Findings
from workflow_runtime.core.reading.limits import check_text
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import (
    ActionRef,
    Activity,
    CodeAction,
    Command,
    Comment,
    Condition,
    Element,
    ExceptionHandler,
    Fork,
    Localization,
    ParameterSpec,
    Restriction,
    RetryPolicy,
    Timeout,
    TimerSpec,
    Transition,
)
from workflow_runtime.core.scheme_words import (
    Classifier,
    Combine,
    ConditionType,
    CopyStrategy,
    MergeStrategy,
    Missed,
    Purpose,
    ReactionType,
    RestrictionType,
    Startup,
    TimerType,
    TriggerType,
)

Values = dict[str, Any]

TIMER_KEYS = {TimerType.DATE_AND_TIME: "at"}
_COMMENT_KEYS = frozenset({"name", "value", "designer", "extra"})


def document_of(scheme: Scheme, findings: Findings) -> Values:
    """The document; texts that no format can hold become findings."""
    _check(scheme, findings)
    return said(
        scheme=scheme.code,
        can_be_inlined=scheme.can_be_inlined,
        log_enabled=scheme.log_enabled,
        calendar=scheme.calendar,
        tags=list(scheme.tags),
        recovery=_recovery(scheme.recovery),
        retry=_retry(scheme.retry),
        designer=_kept(scheme.designer),
        extra=dict(scheme.extra),
        actors=[said(name=a.name, rule=a.rule, value=a.value, provenance=_kept(a.provenance), extra=dict(a.extra)) for a in scheme.actors],
        parameters=list(map(_parameter, scheme.parameters)),
        commands=list(map(_command, scheme.commands)),
        timers=list(map(_timer, scheme.timers)),
        comments=list(map(_comment, scheme.comments)),
        activities=list(map(_activity, scheme.activities)),
        transitions=list(map(_transition, scheme.transitions)),
        code_actions=list(map(_code_action, scheme.code_actions)),
        usings=scheme.usings,
        localization=list(map(_localization, scheme.localization)),
    )


def said(**values: Any) -> Values:
    """Without what says nothing: None, empty, False. A name, a JSON text and a retry say something even when empty."""
    always = ("name", "with", "initial", "retry", "expression")
    return {key: value for key, value in values.items() if value or (key in always and value is not None)}


def _check(value: Any, findings: Findings, element: Element | None = None) -> None:
    """Every text of the scheme, without recursion into anything but its own elements."""
    if isinstance(value, str):
        check_text(value, element.place if element else None, findings)
    elif isinstance(value, tuple):
        for item in value:
            _check(item, findings, element)
    elif isinstance(value, FrozenDict):
        for key, item in value.items():
            _check((key, item), findings, element)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.init and field.name not in ("place", "path"):
                _check(getattr(value, field.name), findings, value if isinstance(value, Element) else element)


def _kept(texts: FrozenDict[str, str], taken: frozenset[str] = frozenset()) -> Values:
    return {spelling.yaml_key(name, taken=taken): text for name, text in texts.items()}


def _recovery(given: Any) -> str | None:
    return None if given is None else str(given)


def _retry(given: RetryPolicy | None) -> Values | None:
    if given is None:
        return None
    default = RetryPolicy()
    numbers = ("attempts", "delay", "factor", "max_delay", "jitter", "total")
    changed = {name: getattr(given, name) for name in numbers if getattr(given, name) != getattr(default, name)}
    for name in ("delay", "max_delay", "total"):
        if name in changed:
            changed[name] = spelling.duration(changed[name])
    for name in ("factor", "jitter"):
        if name in changed and "e" in repr(changed[name]):
            changed[name] = repr(changed[name])  # a number with an exponent is a text in YAML
    return {**changed, **said(final=list(given.final), extra=dict(given.extra))}


def _parameter(given: ParameterSpec) -> Values:
    name = given.type
    if given.written_type and types.type_name(given.written_type) in (given.type, None):
        name = given.written_type
    return said(
        name=given.name,
        type=name,
        purpose="persistence" if given.purpose is Purpose.PERSISTENCE else None,
        initial=given.initial,
        extra=dict(given.extra),
    )


def _command(given: Command) -> Values:
    inputs = [
        {**said(name=item.name, parameter=item.parameter, required=item.required, extra=dict(item.extra)), **_present(default=item.default)}
        for item in given.inputs
    ]
    return said(name=given.name, inputs=inputs, comment=given.comment, extra=dict(given.extra))


def _present(**values: Any) -> Values:
    return {key: value for key, value in values.items() if value is not None}


def _timer(given: TimerSpec) -> Values:
    return {
        "name": given.name,
        TIMER_KEYS.get(given.type, given.type.name.lower()): given.value,
        **said(
            keep_if_set=given.keep_if_set,
            time_zone=given.time_zone,
            missed=given.missed.value if given.missed is not Missed.FIRE_ONCE else None,
            late_after=None if given.late_after is None else spelling.duration(given.late_after),
            extra=dict(given.extra),
        ),
    }


def _comment(given: Comment) -> Values:
    style = _kept(given.style, _COMMENT_KEYS)
    return {**said(name=given.name, value=given.value), **style, **said(designer=_kept(given.designer), extra=dict(given.extra))}


def _code_action(given: CodeAction) -> Values:
    parameters = [
        said(name=p.name, type=p.type, required=p.required, title=p.title, comment=p.comment, default=p.default, extra=dict(p.extra)) for p in given.parameters
    ]
    return said(
        name=given.name,
        type=given.type.name.lower(),
        is_global=given.is_global,
        is_async=given.is_async,
        source=given.source,
        usings=given.usings,
        excluded_usings=given.excluded_usings,
        parameters=parameters,
        provenance=_kept(given.provenance),
        extra=dict(given.extra),
    )


def _localization(given: Localization) -> Values:
    return {
        "type": given.type.name.lower(),
        "name": given.object_name,
        "culture": given.culture,
        "text": given.value,
        **said(default=given.is_default, extra=dict(given.extra)),
    }


# ── activities ───────────────────────────────────────────────────────────────────────────────────────


def _activity(given: Activity) -> Values:
    return said(
        name=given.name,
        state=given.state,
        initial=given.is_initial or None,
        final=given.is_final,
        set_state=given.is_for_set_state,
        auto_update=given.is_auto_scheme_update,
        disable_persist_state=given.disable_persist_state,
        disable_persist_transition_history=given.disable_persist_transition_history,
        disable_persist_parameters=given.disable_persist_parameters,
        inline=given.inline,
        recovery=_recovery(given.recovery),
        retry=_retry(given.retry),
        actions=list(map(_action, given.implementation)),
        pre_execution=list(map(_action, given.pre_execution)),
        annotations=dict(given.annotations),
        execution_timeout=_timeout(given.execution_timeout),
        idle_timeout=_timeout(given.idle_timeout),
        on_error=list(map(_handler, given.handlers)),
        comment=given.comment,
        provenance=_kept(given.provenance),
        designer=_kept(given.designer),
        extra=dict(given.extra),
    )


def _action(given: ActionRef) -> Values:
    return {
        "action": given.name,
        **_present(
            **{"with": given.parameter},
            journal=given.journal,
            resumable=given.resumable,
            effect=given.effect.value if given.effect else None,
            recovery=_recovery(given.recovery),
            retry=_retry(given.retry),
        ),
        **said(extra=dict(given.extra)),
    }


def _timeout(given: Timeout | None) -> Values | None:
    return None if given is None else {"after": given.timer, **_reaction(given), **said(extra=dict(given.extra))}


def _handler(given: ExceptionHandler) -> Values:
    return {"catch": list(given.exceptions), **_reaction(given), **said(extra=dict(given.extra))}


def _reaction(given: Timeout | ExceptionHandler) -> Values:
    match given.type:
        case ReactionType.RETRY:
            return {"retry": given.retries}
        case ReactionType.IGNORE:
            return {"ignore": True}
    return {given.type.name.lower(): given.target}


# ── transitions ──────────────────────────────────────────────────────────────────────────────────────


def _transition(given: Transition) -> Values:
    allowed = [r for r in given.restrictions if r.type is RestrictionType.ALLOW]
    denied = [r for r in given.restrictions if r.type is RestrictionType.RESTRICT]
    conditions = list(map(_condition, given.conditions))
    return {
        "name": given.name,
        "from": given.source,
        "to": given.target,
        **said(
            on=_trigger(given),
            when=_combined([] if conditions == [{"always": True}] else conditions, given.conditions_combine),
            allow=_combined(list(map(_right, allowed)), given.allow_combine),
            deny=_combined(list(map(_right, denied)), given.restrict_combine),
            classifier=given.classifier.name.lower() if given.classifier is not Classifier.NOT_SPECIFIED else None,
            fork=given.fork.direction.name.lower() if given.fork else None,
            subprocess=_subprocess(given.fork) if given.fork else None,
            leaves=given.inlined_final_activity,
            designer=_kept(given.designer),
            extra=dict(given.extra),
        ),
    }


def _trigger(given: Transition) -> Values:
    trigger = given.trigger
    extra = said(extra=dict(trigger.extra))
    if trigger.type is TriggerType.AUTO:
        return {"auto": True, **extra} if extra else {}
    return {trigger.type.name.lower(): trigger.name, **extra}


def _combined(items: list[Values], combine: Combine) -> Values:
    word = "any" if combine is Combine.OR else "all"
    return {word: items} if items or word == "any" else {}


def _condition(given: Condition) -> Values:
    match given.type:
        case ConditionType.ACTION:
            core: Values = {"action": given.name, **_present(**{"with": given.parameter})}
        case ConditionType.EXPRESSION:
            core = {"expression": given.expression}
        case _:
            core = {given.type.name.lower(): True}
    return {**core, **said(**{"not": given.inverted}, extra=dict(given.extra)), **_present(pre_execution=given.result_on_pre_execution)}


def _right(given: Restriction) -> Values:
    return said(actor=given.actor, extra=dict(given.extra))


def _subprocess(given: Fork) -> Values:
    names = list(given.parameters)
    copied, merged = _strategy(given.copy, names), _strategy(given.merge, names)
    is_used = isinstance(copied, list | dict) or isinstance(merged, list | dict)
    return said(
        name=given.name,
        id=given.id,
        startup=given.startup.name.lower() if given.startup is not Startup.SAME_THREAD else None,
        parameters=[] if is_used else names,
        via_set_state=given.via_set_state,
    ) | {
        **({"copy": copied} if given.copy is not CopyStrategy.ALL else {}),
        **({"merge": merged} if given.merge is not MergeStrategy.MISSING else {}),
        **({"parent_control": False} if given.disable_parent_state_control else {}),
    }


def _strategy(given: CopyStrategy | MergeStrategy, names: list[str]) -> Any:
    word = given.name.lower()
    return {"specified": names, "except": {"except": names}}.get(word, word)
