"""The document a person writes: the YAML form of a scheme, and JSON in the same shape.

XML is read into this form too, so that one model checks all formats. Every key is optional unless it
has no default; what a key means stands in its description or in the vocabulary page of the docs.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from workflow_runtime.core.reading.neutral import canonical_json, scalar_text
from workflow_runtime.core.reading.spelling import RECOVERIES, parameter_text, seconds

T = TypeVar("T")

# Tags of unions appear in the paths of errors; no key of a person begins with this character.
_TEXT, _LIST, _MAP, _LONG = "\0text", "\0list", "\0map", "\0long"


def _shape(value: Any) -> str | None:
    """Which member of a union a value is meant to be: told by its shape alone, so that errors speak of that member only."""
    if isinstance(value, str):
        return _TEXT
    return _LIST if isinstance(value, list) else _MAP if isinstance(value, dict | BaseModel) else None


def _action_shape(value: Any) -> str | None:
    return _LONG if isinstance(value, dict) and "action" in value else _shape(value)


def _when_shape(value: Any) -> str | None:
    return _LONG if isinstance(value, dict) and ("any" in value or "all" in value) else _shape(value)


def _union(shape: Any, expected: str) -> Discriminator:
    return Discriminator(shape, custom_error_type="wrong_type", custom_error_message=f"expected {expected}")


def _as_text(value: Any) -> Any:
    return scalar_text(value) if isinstance(value, bool | int | float) else value


def _as_value(value: Any) -> Any:
    return canonical_json(value) if isinstance(value, dict | list) else parameter_text(value) if isinstance(value, str) else _as_text(value)


def _as_seconds(value: Any) -> Any:
    return seconds(_as_text(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _as_number(value: Any) -> Any:
    """A number with an exponent is a text in YAML."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[0-9.]{1,20}e[+-]?[0-9]{1,3}", value) else value


_SCALAR = {"type": ["string", "number", "boolean"]}
Text = Annotated[str, BeforeValidator(_as_text), WithJsonSchema(_SCALAR)]
Value = Annotated[str | None, BeforeValidator(_as_value), WithJsonSchema({})]
Seconds = Annotated[float, BeforeValidator(_as_seconds), WithJsonSchema({"type": ["string", "number"], "examples": ["1s", "10m", "1h 30m"]})]
Number = Annotated[float, BeforeValidator(_as_number), Field(ge=0, allow_inf_nan=False), WithJsonSchema({"type": "number", "minimum": 0})]
RecoveryText = Annotated[str, WithJsonSchema({"type": "string", "anyOf": [{"enum": [*RECOVERIES[:-1]]}, {"pattern": "^activity:"}]})]
Texts = dict[str, Text]

#: Things with names: a mapping by name, or a list of mappings with ``name`` (needed only where names repeat).
Section = Annotated[
    Annotated[dict[str, T | None], Tag(_MAP)] | Annotated[list[T], Tag(_LIST)],
    _union(_shape, "a mapping by name, or a list of mappings with 'name'"),
]


class Doc(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    markers: ClassVar[frozenset[str]] = frozenset()  #: in a union of mappings, these keys choose this one


class Extended(Doc):
    extra: Texts | None = Field(None, description="Foreign attributes: kept, no effect.")


class Named(Extended):
    name: str | None = Field(None, description="Only in the list form; in the mapping form the key is the name.")


class RetryDoc(Extended):
    attempts: int = Field(5, ge=1)
    delay: Seconds = Field(1.0, ge=0)
    factor: Number = 2.0
    max_delay: Seconds = Field(60.0, ge=0)
    jitter: Number = 0.1
    total: Seconds | None = Field(None, ge=0)
    final: list[str] = Field([], description="Names of exceptions that are never retried.")


class ActorDoc(Named):
    rule: str = ""
    value: Text = ""
    provenance: Texts | None = None


class InputDoc(Named):
    parameter: str | None = Field(None, description="The parameter that it fills; without it the one of the same name.")
    required: bool = False
    default: Value = None


class CommandDoc(Named):
    inputs: Section[InputDoc] | None = None
    comment: Text = ""


class ParameterDoc(Named):
    type: str = Field("any", description="string, int, decimal, float, bool, datetime, timedelta, uuid, bytes, any, list[T], dict[T], optional[T]")
    purpose: Literal["temporary", "persistence"] = "temporary"
    initial: Value = None


class TimerDoc(Named):
    interval: Text | None = None
    time: Text | None = None
    date: Text | None = None
    at: Text | None = None
    expression: Text | None = None
    cron: Text | None = None
    keep_if_set: bool = False
    time_zone: str = ""
    missed: Literal["fire_once", "fire_all", "skip"] = "fire_once"
    late_after: Seconds | None = Field(None, ge=0)


class ActionDoc(Extended):
    markers = frozenset({"action"})
    action: str
    parameter: Value = Field(None, alias="with")
    journal: bool | None = None
    resumable: bool | None = None
    effect: Literal["at_least_once", "at_most_once"] | None = None
    recovery: RecoveryText | None = None
    retry: RetryDoc | None = None


Action = Annotated[
    Annotated[str, Tag(_TEXT)] | Annotated[dict[str, Value], Tag(_MAP)] | Annotated[ActionDoc, Tag(_LONG)],
    _union(_action_shape, "a name, a mapping {name: parameter}, or a mapping with 'action'"),
]


class ReactionDoc(Extended):
    set_activity: str | None = None
    set_state: str | None = None
    retry: int | None = Field(None, ge=0)


class TimeoutDoc(ReactionDoc):
    after: Text


class HandlerDoc(ReactionDoc):
    catch: Annotated[Annotated[str, Tag(_TEXT)] | Annotated[list[str], Tag(_LIST)], _union(_shape, "a list of exception names")] = ["*"]
    ignore: Literal[True] | None = None


class ActivityDoc(Named):
    state: Text = ""
    initial: bool = False
    final: bool = False
    set_state: bool = False
    auto_update: bool = False
    disable_persist_state: bool = False
    disable_persist_transition_history: bool = False
    disable_persist_parameters: bool = False
    inline: str = ""
    actions: list[Action] | None = None
    pre_execution: list[Action] | None = None
    custom: Text | None = None
    annotations: Texts | None = None
    execution_timeout: TimeoutDoc | None = None
    idle_timeout: TimeoutDoc | None = None
    on_error: list[HandlerDoc] | None = None
    recovery: RecoveryText | None = None
    retry: RetryDoc | None = None
    comment: Text = ""
    provenance: Texts | None = None
    designer: Texts | None = None


class TriggerDoc(Extended):
    command: str | None = None
    timer: str | None = None
    auto: Literal[True] | None = None


class ConditionDoc(Extended):
    action: str | None = None
    parameter: Value = Field(None, alias="with")
    expression: Text | None = None
    otherwise: Literal[True] | None = None
    always: Literal[True] | None = None
    inverted: bool = Field(False, alias="not")
    pre_execution: bool | None = None


Condition = Annotated[Annotated[str, Tag(_TEXT)] | Annotated[ConditionDoc, Tag(_MAP)], _union(_shape, "an expression or a mapping")]


class ConditionsDoc(Doc):
    markers = frozenset({"any", "all"})
    any: list[Condition] | None = None
    all: list[Condition] | None = None


When = Annotated[
    Annotated[str, Tag(_TEXT)] | Annotated[list[Condition], Tag(_LIST)] | Annotated[ConditionDoc, Tag(_MAP)] | Annotated[ConditionsDoc, Tag(_LONG)],
    _union(_when_shape, "an expression, a condition, or {any: [...]} or {all: [...]}"),
]


class RestrictionDoc(Extended):
    actor: str


Restriction = Annotated[Annotated[str, Tag(_TEXT)] | Annotated[RestrictionDoc, Tag(_MAP)], _union(_shape, "the name of an actor")]


class RestrictionsDoc(Doc):
    any: list[Restriction] | None = None
    all: list[Restriction] | None = None


Restrictions = Annotated[
    Annotated[str, Tag(_TEXT)] | Annotated[list[Restriction], Tag(_LIST)] | Annotated[RestrictionsDoc, Tag(_MAP)],
    _union(_shape, "the name of an actor, a list of one, or {any: [...]} or {all: [...]}"),
]


class ExceptDoc(Doc):
    names: list[str] = Field(alias="except")


CopyRule = Annotated[
    Annotated[Literal["all", "none"], Tag(_TEXT)] | Annotated[list[str], Tag(_LIST)] | Annotated[ExceptDoc, Tag(_MAP)],
    _union(_shape, "all, none, a list of names, or {except: [names]}"),
]
MergeRule = Annotated[
    Annotated[Literal["missing", "all"], Tag(_TEXT)] | Annotated[list[str], Tag(_LIST)] | Annotated[ExceptDoc, Tag(_MAP)],
    _union(_shape, "missing, all, a list of names, or {except: [names]}"),
]


class SubprocessDoc(Doc):
    name: Text = ""
    id: Text = ""
    startup: Literal["same_thread", "another_thread", "timer_queue"] = "same_thread"
    copying: CopyRule = Field("all", alias="copy")
    merging: MergeRule = Field("missing", alias="merge")
    parameters: list[str] | None = Field(None, description="Names kept for strategies that do not use them.")
    via_set_state: bool = False
    parent_control: bool = True


class TransitionDoc(Extended):
    name: str | None = Field(None, description="Without it: <from>_<to>_<n>, n counting the transitions between the two.")
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    trigger: TriggerDoc | None = Field(None, alias="on", description="Without it the transition is automatic.")
    when: When | None = None
    otherwise: bool = False
    allow: Restrictions | None = None
    deny: Restrictions | None = None
    classifier: Literal["not_specified", "direct", "reverse"] = "not_specified"
    fork: Literal["auto", "start", "finalize"] | None = None
    subprocess: SubprocessDoc | None = None
    leaves: str = Field("", description="Of an inline activity: the final activity of the inlined scheme that it continues from.")
    designer: Texts | None = None


class CommentDoc(Named):
    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    __pydantic_extra__: dict[str, Text]
    value: Text = ""
    designer: Texts | None = None


class CodeActionParameterDoc(Named):
    type: Text = ""
    required: bool = False
    title: Text = ""
    comment: Text = ""
    default: Text = ""


class CodeActionDoc(Named):
    type: Literal["action", "condition", "rule_get", "rule_check"]
    is_global: bool = False
    is_async: bool = False
    source: Text = ""
    usings: Text = ""
    excluded_usings: Text = ""
    parameters: Section[CodeActionParameterDoc] | None = None
    provenance: Texts | None = None


class LocalizedDoc(Extended):
    text: Text
    default: bool | None = None


Localized = Annotated[Annotated[str, Tag(_TEXT)] | Annotated[LocalizedDoc, Tag(_MAP)], _union(_shape, "a text, or {text: ..., default: ...}")]


class CultureDoc(Doc):
    default: bool = False
    state: dict[str, Localized] | None = None
    command: dict[str, Localized] | None = None
    parameter: dict[str, Localized] | None = None
    action: dict[str, Localized] | None = None
    condition: dict[str, Localized] | None = None
    comment: dict[str, Localized] | None = None
    scheme: dict[str, Localized] | None = None


class LocalizeDoc(Extended):
    type: Literal["state", "command", "parameter", "action", "condition", "comment", "scheme"]
    name: Text
    culture: Text
    text: Text
    default: bool = False


Localization = Annotated[
    Annotated[dict[str, CultureDoc], Tag(_MAP)] | Annotated[list[LocalizeDoc], Tag(_LIST)],
    _union(_shape, "a mapping by culture, or a list of mappings"),
]


class SchemeDoc(Extended):
    """A process scheme."""

    scheme: str | None = Field(None, description="The code under which the scheme is known.")
    can_be_inlined: bool = False
    log_enabled: bool = False
    calendar: Text = ""
    tags: list[str] | None = None
    recovery: RecoveryText | None = None
    retry: RetryDoc | None = None
    designer: Texts | None = None
    actors: Section[ActorDoc] | None = None
    parameters: Section[ParameterDoc] | None = None
    commands: Section[CommandDoc] | None = None
    timers: Section[TimerDoc] | None = None
    comments: Section[CommentDoc] | None = None
    activities: Section[ActivityDoc] | None = None
    transitions: list[TransitionDoc] | None = None
    code_actions: Section[CodeActionDoc] | None = None
    usings: Text = ""
    localization: Localization | None = None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the document, for editors."""
    schema = SchemeDoc.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Workflow scheme"}
