"""The words of the vocabulary that have a closed set of values, spelled as in XML."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


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
