"""Which attribute of which element is which key of the document: one table for both directions.

``BOOL`` is read in any case and written as true/false; ``WORDS`` is an enumeration in XML spelling on
one side and snake_case on the other; ``LIST`` is a comma list. ``KEPT`` goes into ``provenance``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from workflow_runtime.core.nearness import nearest
from workflow_runtime.core.reading.findings import quoted
from workflow_runtime.core.reading.xml_text import OURS
from workflow_runtime.core.scheme_words import (
    Classifier,
    CodeActionType,
    Combine,
    ConditionType,
    ForkDirection,
    LocalizeType,
    Purpose,
    ReactionType,
    RestrictionType,
    Startup,
    TimerType,
    TriggerType,
)


class Unfit(ValueError):
    """A value does not fit its attribute; says what was expected."""

    def __init__(self, expected: str, suggestion: str = "") -> None:
        super().__init__(expected)
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class Kind:
    """How the text of an attribute becomes a value of the document and the other way round."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]


def _boolean(text: str) -> bool:
    found = {"true": True, "false": False}.get(text.strip().lower())
    if found is None:
        raise Unfit("true or false")
    return found


def _optional_boolean(text: str) -> bool | None:
    return None if text.strip().lower() in ("", "null") else _boolean(text)


def _number(kind: type, expected: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return kind(text.strip())
        except ValueError:
            raise Unfit(expected) from None

    return read


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _joined(items: list[str]) -> str:
    return ",".join(items)


def words(enum: type[StrEnum], without: Collection[StrEnum] = ()) -> Kind:
    """An enumeration: NotSpecified in XML, not_specified in the document."""
    known = {word.value: word.name.lower() for word in enum if word not in without}

    def read(text: str) -> str:
        try:
            return known[text.strip()]
        except KeyError:
            raise Unfit(", ".join(known), nearest(text, list(known), cutoff=0.4)) from None

    return Kind(read, lambda word: enum[word.upper()].value)


def _float_text(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


TEXT = Kind(str, str)
BOOL = Kind(_boolean, lambda value: "true" if value else "false")
MAYBE = Kind(_optional_boolean, BOOL.write)
WHOLE = Kind(_number(int, "a whole number"), str)
NUMBER = Kind(_number(float, "a number"), _float_text)
LIST = Kind(_split, _joined)

REACTION = words(ReactionType)
TIMER = words(TimerType)
TRIGGER = words(TriggerType)
CONDITION = words(ConditionType)
RESTRICTION = words(RestrictionType)
COMBINE = words(Combine)
DIRECTION = words(ForkDirection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One element: attributes with their keys, those it must have, those kept without effect, and known children."""

    attributes: dict[str, tuple[str, Kind]]
    required: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()
    has_text: bool = False

    @property
    def known(self) -> list[str]:
        return [*self.attributes, *self.kept]


def ours(name: str) -> str:
    return f"{{{OURS}}}{name}"


def _set(*names: str) -> frozenset[str]:
    return frozenset(names)


_RECOVERY = {ours("recovery"): ("recovery", TEXT)}
_NAME = {"Name": ("name", TEXT)}
_RETRY = ours("Retry")
#: our element for extra values that cannot be attributes of XML
EXTRA = ours("Extra")
_ORIGIN = _set("WasInlined", "OriginalName", "OriginalSchemeCode")
_INLINING = _ORIGIN | _set("FirstTimeInlineName", "LastTimeInlineName", "InlinedSchemeCode", "NestingLevel", "ActivityType", "SchemeCode")
_REACTION = {"Type": ("type", REACTION), "NameForSet": ("target", TEXT), "RetryCount": ("retries", WHOLE)}
_TIMEOUT = {**_REACTION, "Type": ("type", words(ReactionType, without=(ReactionType.IGNORE,))), "Timer": ("after", TEXT)}
_SECTIONS = _set("Actors", "Parameters", "Commands", "Timers", "Comments", "Activities", "Transitions", "CodeActions", "Localization")

SHAPES: dict[str, Shape] = {
    "Process": Shape(
        attributes={
            "Name": ("scheme", TEXT),
            "CanBeInlined": ("can_be_inlined", BOOL),
            "Tags": ("tags", LIST),
            "LogEnabled": ("log_enabled", BOOL),
            "CalendarName": ("calendar", TEXT),
            **_RECOVERY,
        },
        children=_SECTIONS | _set("Designer", "CodeActionsCommonUsings", _RETRY),
    ),
    "Actor": Shape(attributes={**_NAME, "Rule": ("rule", TEXT), "Value": ("value", TEXT)}, required=_set("Name"), kept=_ORIGIN),
    "Command": Shape(attributes={**_NAME, "Comment": ("comment", TEXT)}, required=_set("Name"), children=_set("InputParameters")),
    "ParameterRef": Shape(
        attributes={**_NAME, "NameRef": ("parameter", TEXT), "IsRequired": ("required", BOOL), "DefaultValue": ("default", TEXT)},
    ),
    "Parameter": Shape(
        attributes={**_NAME, "Type": ("type", TEXT), "Purpose": ("purpose", words(Purpose)), "InitialValue": ("initial", TEXT)}, required=_set("Name")
    ),
    "Timer": Shape(
        attributes={
            **_NAME,
            "Type": ("type", TIMER),
            "Value": ("value", TEXT),
            "NotOverrideIfExists": ("keep_if_set", BOOL),
            ours("time_zone"): ("time_zone", TEXT),
            ours("missed"): ("missed", TEXT),
            ours("late_after"): ("late_after", TEXT),
        },
        required=_set("Name", "Type"),
    ),
    "Activity": Shape(
        attributes={
            **_NAME,
            "State": ("state", TEXT),
            "IsInitial": ("initial", BOOL),
            "IsFinal": ("final", BOOL),
            "IsForSetState": ("set_state", BOOL),
            "IsAutoSchemeUpdate": ("auto_update", BOOL),
            "DisablePersistState": ("disable_persist_state", BOOL),
            "DisablePersistTransitionHistory": ("disable_persist_transition_history", BOOL),
            "DisablePersistParameters": ("disable_persist_parameters", BOOL),
            "DisablePersist": ("disable_persist", BOOL),
            "UserComment": ("comment", TEXT),
            **_RECOVERY,
        },
        required=_set("Name"),
        kept=_INLINING,
        children=_set(
            "Implementation", "PreExecutionImplementation", "Annotations", "ExecutionTimeout", "IdleTimeout", "ExceptionsHandlers", "Designer", _RETRY
        ),
    ),
    "ActionRef": Shape(
        attributes={
            "Order": ("order", WHOLE),
            "NameRef": ("action", TEXT),
            ours("journal"): ("journal", BOOL),
            ours("resumable"): ("resumable", BOOL),
            ours("effect"): ("effect", TEXT),
            **_RECOVERY,
        },
        required=_set("NameRef"),
        children=_set("ActionParameter", _RETRY),
    ),
    _RETRY: Shape(
        attributes={
            "attempts": ("attempts", WHOLE),
            "delay": ("delay", TEXT),
            "factor": ("factor", NUMBER),
            "max_delay": ("max_delay", TEXT),
            "jitter": ("jitter", NUMBER),
            "total": ("total", TEXT),
            "final": ("final", LIST),
        },
    ),
    "Annotation": Shape(attributes=_NAME, required=_set("Name"), has_text=True),
    "ExecutionTimeout": Shape(attributes=_TIMEOUT, required=_set("Type", "Timer")),
    "IdleTimeout": Shape(attributes=_TIMEOUT, required=_set("Type", "Timer")),
    "ExceptionsHandler": Shape(attributes={"Order": ("order", WHOLE), **_REACTION, "Exceptions": ("catch", LIST)}, required=_set("Type")),
    "Transition": Shape(
        attributes={
            **_NAME,
            "From": ("from", TEXT),
            "To": ("to", TEXT),
            "Classifier": ("classifier", words(Classifier)),
            "AllowConcatenationType": ("allow_combine", COMBINE),
            "RestrictConcatenationType": ("deny_combine", COMBINE),
            "ConditionsConcatenationType": ("when_combine", COMBINE),
            "IsFork": ("is_fork", BOOL),
            "SubprocessInOutDefinition": ("fork", DIRECTION),
            "SubprocessName": ("subprocess_name", TEXT),
            "SubprocessId": ("subprocess_id", TEXT),
            "SubprocessStartupType": ("startup", words(Startup)),
            "SubprocessStartupParameterCopyStrategy": ("copy", TEXT),
            "SubprocessFinalizeParameterMergeStrategy": ("merge", TEXT),
            "SubprocessSpecifiedParameters": ("parameters", LIST),
            "MergeViaSetState": ("via_set_state", BOOL),
            "DisableParentStateControl": ("no_parent_control", BOOL),
            "InlinedFinalActivityName": ("leaves", TEXT),
        },
        required=_set("From", "To"),
        children=_set("Restrictions", "Triggers", "Conditions", "Designer"),
    ),
    "Restriction": Shape(attributes={"Type": ("type", RESTRICTION), "NameRef": ("actor", TEXT)}, required=_set("Type", "NameRef")),
    "Trigger": Shape(attributes={"Type": ("type", TRIGGER), "NameRef": ("name", TEXT)}),
    "Condition": Shape(
        attributes={
            "Type": ("type", CONDITION),
            "NameRef": ("action", TEXT),
            "ConditionInversion": ("not", BOOL),
            "ResultOnPreExecution": ("pre_execution", MAYBE),
        },
        children=_set("ActionParameter", "Expression"),
    ),
    "Comment": Shape(attributes={**_NAME, "Value": ("value", TEXT)}),
    "CodeAction": Shape(
        attributes={**_NAME, "Type": ("type", words(CodeActionType)), "IsGlobal": ("is_global", BOOL), "IsAsync": ("is_async", BOOL)},
        required=_set("Name", "Type"),
        kept=_ORIGIN,
        children=_set("ActionCode", "Usings", "ExcludedUsings", "Parameters"),
    ),
    "CodeActionParameter": Shape(
        attributes={
            "name": ("name", TEXT),
            "type": ("type", TEXT),
            "isRequired": ("required", BOOL),
            "title": ("title", TEXT),
            "comment": ("comment", TEXT),
        },
        required=_set("name"),
        children=_set("DefaultValue"),
    ),
    "Localize": Shape(
        attributes={
            "Type": ("type", words(LocalizeType)),
            "ObjectName": ("name", TEXT),
            "Culture": ("culture", TEXT),
            "Value": ("text", TEXT),
            "IsDefault": ("default", BOOL),
        },
        required=_set("Type"),
    ),
}
_SPARSE = Shape(attributes={})
_TEXTUAL = Shape(attributes={}, has_text=True)
_TEXT_ELEMENTS = _set("ActionParameter", "Expression", "ActionCode", "Usings", "ExcludedUsings", "DefaultValue", "CodeActionsCommonUsings")


def shape_of(tag: str) -> Shape:
    return SHAPES.get(tag) or (_TEXTUAL if tag in _TEXT_ELEMENTS else _SPARSE)


def expected_of(name: str, error: Unfit, found: str) -> str:
    return f"found {quoted(found)} in the attribute {name}, expected {error}"
