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
from enum import Enum, StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar

from workflow_runtime.core.frozen import EMPTY, FrozenDict

Texts = FrozenDict[str, str]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


class SchemeKey(NamedTuple):
    """One version of one scheme."""

    code: str
    version: str


class Place(NamedTuple):
    """Where an element stands in its text; both count from 1."""

    line: int
    column: int


class TriggerType(StrEnum):
    AUTO = "Auto"
    COMMAND = "Command"
    TIMER = "Timer"


class ConditionType(StrEnum):
    ALWAYS = "Always"
    ACTION = "Action"
    EXPRESSION = "Expression"
    OTHERWISE = "Otherwise"


class Combine(StrEnum):
    AND = "And"
    OR = "Or"


class Classifier(StrEnum):
    NOT_SPECIFIED = "NotSpecified"
    DIRECT = "Direct"
    REVERSE = "Reverse"


class RestrictionType(StrEnum):
    ALLOW = "Allow"
    RESTRICT = "Restrict"


class Purpose(StrEnum):
    TEMPORARY = "Temporary"
    PERSISTENCE = "Persistence"


class TimerType(StrEnum):
    INTERVAL = "Interval"
    TIME = "Time"
    DATE = "Date"
    DATE_AND_TIME = "DateAndTime"
    EXPRESSION = "Expression"
    CRON = "Cron"


class Missed(StrEnum):
    """What happens to a timer that fell due while no server ran."""

    FIRE_ONCE = "fire_once"
    FIRE_ALL = "fire_all"
    SKIP = "skip"


class Effect(StrEnum):
    AT_LEAST_ONCE = "at_least_once"
    AT_MOST_ONCE = "at_most_once"


class RecoveryKind(StrEnum):
    ERROR = "error"
    TERMINATED = "terminated"
    RESUME = "resume"
    RERUN = "rerun"
    DELETE = "delete"
    ACTIVITY = "activity"


class ReactionType(StrEnum):
    """What a timeout or an exception handler does."""

    SET_ACTIVITY = "SetActivity"
    SET_STATE = "SetState"
    RETRY = "Retry"
    IGNORE = "Ignore"


class ForkDirection(StrEnum):
    AUTO = "Auto"
    START = "Start"
    FINALIZE = "Finalize"


class Startup(StrEnum):
    SAME_THREAD = "SameThread"
    ANOTHER_THREAD = "AnotherThread"
    TIMER_QUEUE = "TimerQueue"


class CopyStrategy(StrEnum):
    ALL = "CopyAll"
    NONE = "IgnoreAll"
    SPECIFIED = "CopySpecified"
    EXCEPT = "IgnoreSpecified"


class MergeStrategy(StrEnum):
    MISSING = "OverwriteAllNulls"
    ALL = "OverwriteAll"
    SPECIFIED = "OverwriteSpecified"
    EXCEPT = "DontOverwriteSpecified"


class CodeActionType(StrEnum):
    ACTION = "Action"
    CONDITION = "Condition"
    RULE_GET = "RuleGet"
    RULE_CHECK = "RuleCheck"


class LocalizeType(StrEnum):
    STATE = "State"
    COMMAND = "Command"
    PARAMETER = "Parameter"
    ACTION = "Action"
    CONDITION = "Condition"
    COMMENT = "Comment"
    SCHEME = "Scheme"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor(Element):
    name: str
    rule: str = ""
    value: str = ""
    provenance: Texts = field(default=EMPTY, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandInput(Element):
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

    @staticmethod
    def of(scheme: Scheme) -> SchemeIndex:
        leaving: dict[str, list[Transition]] = {}
        for transition in scheme.transitions:
            leaving.setdefault(transition.source, []).append(transition)
        return SchemeIndex(
            version=hashlib.sha256(canonical(scheme).encode()).hexdigest(),
            initial=next((a.name for a in scheme.activities if a.is_initial), ""),
            activities=_by_name(scheme.activities),
            transitions=_by_name(scheme.transitions),
            commands=_by_name(scheme.commands),
            timers=_by_name(scheme.timers),
            parameters=_by_name(scheme.parameters),
            actors=_by_name(scheme.actors),
            leaving={source: tuple(transitions) for source, transitions in leaving.items()},
        )


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
