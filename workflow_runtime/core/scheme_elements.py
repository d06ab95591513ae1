"""The parts of a scheme: every element and attribute of the vocabulary as a frozen value.

Each carries the place it was read from; places never take part in comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.scheme_words import (
    Classifier,
    CodeActionType,
    Combine,
    ConditionType,
    CopyStrategy,
    Effect,
    ForkDirection,
    LocalizeType,
    MergeStrategy,
    Missed,
    Place,
    Purpose,
    ReactionType,
    RecoveryKind,
    RestrictionType,
    Startup,
    TimerType,
    TriggerType,
)

Texts = FrozenDict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """Common to all: the place in the text, and foreign attributes that are kept and have no effect."""

    place: Place | None = field(default=None, compare=False, repr=False)
    extra: Texts = field(default=EMPTY, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn(Element):
    """An element with a place on a canvas; ``designer`` holds its attributes as written."""

    designer: Texts = field(default=EMPTY, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What recovery does with a walk in flight when no restorer wants the process."""

    kind: RecoveryKind
    activity: str = ""  #: only with kind ACTIVITY

    def __str__(self) -> str:
        return f"activity:{self.activity}" if self.kind is RecoveryKind.ACTIVITY else self.kind.value


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy(Element):
    """How a raising action is repeated; all times in seconds."""

    attempts: int = 5
    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.1
    total: float | None = None
    final: tuple[str, ...] = ()  #: names of exceptions that are never retried


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRef(Element):
    """One action of an activity. ``None`` leaves the choice to the registration of the callable."""

    name: str
    order: int = 0
    parameter: str | None = None
    journal: bool | None = None
    resumable: bool | None = None
    effect: Effect | None = None
    recovery: Recovery | None = None
    retry: RetryPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout(Element):
    type: ReactionType
    timer: str  #: interval as written
    target: str = ""
    retries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionHandler(Element):
    order: int
    type: ReactionType
    exceptions: tuple[str, ...]  #: ("*",) catches all
    target: str = ""
    retries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity(Drawn):
    name: str
    state: str = ""  #: empty: the stored state stays as it was
    is_initial: bool = False
    is_final: bool = False
    is_for_set_state: bool = False
    is_auto_scheme_update: bool = False
    disable_persist_state: bool = False
    disable_persist_transition_history: bool = False
    disable_persist_parameters: bool = False
    inline: str = ""  #: code of the scheme this activity stands for
    implementation: tuple[ActionRef, ...] = ()
    pre_execution: tuple[ActionRef, ...] = ()
    annotations: Texts = EMPTY
    execution_timeout: Timeout | None = None
    idle_timeout: Timeout | None = None
    handlers: tuple[ExceptionHandler, ...] = ()
    recovery: Recovery | None = None
    retry: RetryPolicy | None = None
    comment: str = ""
    provenance: Texts = field(default=EMPTY, repr=False)  #: WasInlined, OriginalName ...: kept, no effect

    @property
    def custom_type(self) -> str:
        """The plug-in type of a custom activity, empty for an ordinary one."""
        return self.annotations.get("__customtype", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSpec(Element):
    type: TriggerType = TriggerType.AUTO
    name: str = ""  #: the command or the timer


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition(Element):
    type: ConditionType = ConditionType.ALWAYS
    name: str = ""  #: the registered condition of an Action condition
    parameter: str | None = None
    expression: str = ""
    inverted: bool = False
    result_on_pre_execution: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction(Element):
    type: RestrictionType
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork(Element):
    """What a transition with IsFork="true" does; executed by a later release, refused at start by this one."""

    direction: ForkDirection = ForkDirection.AUTO
    name: str = ""
    id: str = ""
    startup: Startup = Startup.SAME_THREAD
    copy: CopyStrategy = CopyStrategy.ALL
    merge: MergeStrategy = MergeStrategy.MISSING
    parameters: tuple[str, ...] = ()
    via_set_state: bool = False
    disable_parent_state_control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition(Drawn):
    name: str
    source: str
    target: str
    trigger: TriggerSpec = TriggerSpec()
    conditions: tuple[Condition, ...] = (Condition(),)
    conditions_combine: Combine = Combine.AND
    restrictions: tuple[Restriction, ...] = ()
    allow_combine: Combine = Combine.AND
    restrict_combine: Combine = Combine.AND
    classifier: Classifier = Classifier.NOT_SPECIFIED
    fork: Fork | None = None
    inlined_final_activity: str = ""

    @property
    def is_otherwise(self) -> bool:
        return self.conditions[0].type is ConditionType.OTHERWISE

    @property
    def is_unconditional(self) -> bool:
        return self.conditions[0].type is ConditionType.ALWAYS

    @property
    def asks_nothing(self) -> bool:
        """Whether it can be taken whatever the values of the process are."""
        first = self.conditions[0]
        return len(self.conditions) == 1 and not first.inverted and first.type in (ConditionType.ALWAYS, ConditionType.OTHERWISE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor(Element):
    name: str
    rule: str = ""
    value: str = ""
    provenance: Texts = field(default=EMPTY, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandInput(Element):
    """One input of a command: the name in the call and the parameter that it fills."""

    name: str  #: the name in the call
    parameter: str  #: the parameter that it fills
    required: bool = False
    default: str | None = None  #: JSON, else taken as a string


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Element):
    name: str
    inputs: tuple[CommandInput, ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSpec(Element):
    name: str
    type: str = "any"  #: our type name: string, int, decimal, list[string] ...; see core/types.py
    written_type: str = field(default="", compare=False, repr=False)  #: as the XML spelled it
    purpose: Purpose = Purpose.TEMPORARY
    initial: str | None = None  #: JSON, else taken as a string


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerSpec(Element):
    name: str
    type: TimerType
    value: str  #: as written
    keep_if_set: bool = False  #: NotOverrideIfExists
    time_zone: str = ""  #: IANA name, empty: the runtime's
    missed: Missed = Missed.FIRE_ONCE
    late_after: float | None = None  #: seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment(Drawn):
    name: str
    value: str = ""
    style: Texts = EMPTY  #: Alignment, Rotation, Width, FontSize ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeActionParameter(Element):
    name: str
    type: str = ""
    required: bool = False
    title: str = ""
    comment: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeAction(Element):
    """A name with foreign source code: the name binds to a registered callable, the source never runs."""

    name: str
    type: CodeActionType
    is_global: bool = False
    is_async: bool = False
    source: str = ""
    usings: str = ""
    excluded_usings: str = ""
    parameters: tuple[CodeActionParameter, ...] = ()
    provenance: Texts = field(default=EMPTY, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Localization(Element):
    type: LocalizeType
    object_name: str
    culture: str
    value: str
    is_default: bool = False
