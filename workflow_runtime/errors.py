"""Every error of the runtime. The first line of a docstring is the default message.

WorkflowError
├── SettingsError
├── SchemeError                     problems: code, severity, path, line, column, message, suggestion
├── SchemeNotFound
├── ActivityNotFound
├── StateNotFound
├── ProcessNotFound
├── ProcessAlreadyExists
├── TimerNotFound
├── CommandNotFound
├── CommandNotAllowed
├── ProcessBusy
├── StatusNotAllowed
├── NotResumable
├── StaleRevision
├── ParameterError                  code: too_large, bad_name, number_out_of_range ...
├── ExpressionError                 code: syntax_forbidden, call_forbidden ..., column, source
├── EvaluationError                 code: unknown_name, type_clash ..., source, parameter
├── TimerValueError                 code: bad_interval, bad_time, bad_cron, never_fires ..., value
├── FilterError
├── TransferError                   code: bad_line, cut_off, wrong_digest, too_new ..., line
├── ActionNotFound
├── RuleFailed
├── ExecutionError                  what went wrong while a process was executed
│   ├── ActionFailed
│   │   └── ActionTimedOut
│   ├── ConditionFailed
│   ├── LoopLimitExceeded
│   ├── JournalMismatch
│   └── OutcomeUnknown
├── IdempotencyConflict
├── CommandInProgress
├── RegistrationError
├── PluginError
├── RuntimeNotStarted
├── ClientCannotExecute
├── EventLoopBlocked
├── ServerAlreadyRunning
└── StoreError
    ├── Fenced
    ├── StoreUnavailable
    ├── SchemaTooNew
    └── RowUnreadable

Each error carries its nouns as attributes (``error.process_id``) and says what to do next.
All of them pickle. ``error.name`` is the class name, which is what scripts compare.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "ActionFailed",
    "ActionNotFound",
    "ActionTimedOut",
    "ActivityNotFound",
    "ClientCannotExecute",
    "CommandInProgress",
    "CommandNotAllowed",
    "CommandNotFound",
    "ConditionFailed",
    "EvaluationError",
    "EventLoopBlocked",
    "ExecutionError",
    "ExpressionError",
    "Fenced",
    "FilterError",
    "IdempotencyConflict",
    "JournalMismatch",
    "LoopLimitExceeded",
    "NotResumable",
    "OutcomeUnknown",
    "ParameterError",
    "PluginError",
    "Problem",
    "ProcessAlreadyExists",
    "ProcessBusy",
    "ProcessNotFound",
    "RegistrationError",
    "RowUnreadable",
    "RuleFailed",
    "RuntimeNotStarted",
    "SchemaTooNew",
    "SchemeError",
    "SchemeNotFound",
    "ServerAlreadyRunning",
    "SettingsError",
    "StaleRevision",
    "StateNotFound",
    "StatusNotAllowed",
    "StoreError",
    "StoreUnavailable",
    "TimerNotFound",
    "TimerValueError",
    "TransferError",
    "WorkflowError",
]

LONGEST_QUOTE = 200  #: a value quoted in a message is cut to this many characters


class WorkflowError(Exception):
    """The workflow runtime could not do what was asked."""

    def __init__(self, message: str | None = None, **nouns: Any) -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").splitlines()[0]
        self.nouns = nouns
        for noun, value in nouns.items():
            setattr(self, noun, value)
        super().__init__(self.message)

    @property
    def name(self) -> str:
        return type(self).__name__

    def __getattr__(self, noun: str) -> Any:  # only for nouns that a raiser left out
        raise AttributeError(f"{type(self).__name__} carries no {noun!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.nouns)


def _rebuild(kind: type[WorkflowError], message: str, nouns: dict[str, Any]) -> WorkflowError:
    return kind(message, **nouns)


class SettingsError(WorkflowError):
    """A setting is unknown or has a value outside its range; see the reference of settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding about a scheme: where it is, what was found, what was expected.

    ``line`` and ``column`` count from 1; 0 means that the place is not known (a Scheme built in code).
    """

    code: str
    message: str
    severity: Literal["error", "warning"] = "error"
    path: str = ""
    line: int = 0
    column: int = 0
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.path or 'scheme'}:{self.line}:{self.column}"
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        return f"{place}: {self.severity}: {self.message}{hint} [{self.code}]"


class SchemeError(WorkflowError):
    """The scheme cannot be used; ``problems`` lists every finding with its place."""

    problems: tuple[Problem, ...]

    def __init__(self, message: str | None = None, *, problems: tuple[Problem, ...] = (), **nouns: Any) -> None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        head = message or f"the scheme has {len(problems)} problem{'s' * (len(problems) != 1)}:"
        super().__init__(head if not listed or listed in head else f"{head}\n{listed}", problems=problems, **nouns)


class SchemeNotFound(WorkflowError):
    """No scheme is registered under this code; add it with with_schemes(...) or add_scheme(...)."""


class ActivityNotFound(WorkflowError):
    """The scheme version has no activity of this name."""


class StateNotFound(WorkflowError):
    """The scheme version has no activity with this state that may be set."""


class ProcessNotFound(WorkflowError):
    """No process has this id; it may have been deleted."""


class ProcessAlreadyExists(WorkflowError):
    """A process with this id exists already; choose another id or let the runtime choose."""


class TimerNotFound(WorkflowError):
    """The process has no such timer; get_timers(id) lists those it has."""


class CommandNotFound(WorkflowError):
    """The scheme declares no command of this name."""


class CommandNotAllowed(WorkflowError):
    """This identity may not give this command here."""


class ProcessBusy(WorkflowError):
    """The process is Running; repeat the call when it has come to rest."""


class StatusNotAllowed(WorkflowError):
    """The status of the process does not allow this; only operator verbs move it on."""


class NotResumable(WorkflowError):
    """The walk stands at an action that must not be started again; set_activity or set_state moves the process on."""


class StaleRevision(WorkflowError):
    """The process has changed since it was read; read it again and decide once more."""


class ParameterError(WorkflowError):
    """A value that was handed in cannot be accepted; nothing was stored."""

    code: str = "bad_value"


class ExpressionError(WorkflowError):
    """The text is no expression of the condition language; nothing was evaluated."""

    code: str = "syntax_forbidden"
    column: int = 1  #: from 1, in characters
    source: str = ""


class EvaluationError(WorkflowError):
    """The expression could not be evaluated with these parameters."""

    code: str = "type_clash"
    source: str = ""
    parameter: str = ""  #: the name that was looked up, where one was


class TimerValueError(WorkflowError):
    """The value of a timer cannot be read; nothing was armed."""

    code: str = "bad_value"
    value: str = ""


class FilterError(WorkflowError):
    """The filter names an unknown field or has a value that does not fit it."""


class TransferError(WorkflowError):
    """The file is no export that can be imported; nothing was stored."""

    code: str = "bad_line"
    line: int = 0  #: from 1, where one is to blame


class ActionNotFound(WorkflowError):
    """This server lacks a callable that the scheme version names; register it and start again."""


class RuleFailed(WorkflowError):
    """A rule raised, so it is not known who may give the command; nothing was done."""


class ExecutionError(WorkflowError):
    """The process broke off while it was executed; history says where."""


class ActionFailed(ExecutionError):
    """An action raised; the process stands at its last committed activity."""


class ActionTimedOut(ActionFailed):
    """An action had not ended when the execution timeout of its activity passed; what was begun of it may still be done."""


class ConditionFailed(ExecutionError):
    """A condition raised; the process stands at its last committed activity."""


class LoopLimitExceeded(ExecutionError):
    """Too many automatic walks without rest; the scheme goes round in a circle."""


class JournalMismatch(ExecutionError):
    """A journaled step was called again with other arguments than those of its stored result."""


class OutcomeUnknown(ExecutionError):
    """An action or step that is to be done at most once may have been started; nobody knows whether it was done, and it is not repeated."""


class IdempotencyConflict(WorkflowError):
    """This key was used before with another payload; use a new key for a new request."""


class CommandInProgress(WorkflowError):
    """The request with this key has not ended yet; ask again later."""


class RegistrationError(WorkflowError):
    """A name cannot be registered: it is taken, or the runtime has started already."""


class PluginError(WorkflowError):
    """A plugin that was named explicitly could not be loaded."""


class RuntimeNotStarted(WorkflowError):
    """Call start() first, or use the runtime in a with statement."""


class ClientCannotExecute(WorkflowError):
    """A client reads and does operator verbs; to execute, build the runtime with as_single_server() or as_multi_server()."""


class EventLoopBlocked(WorkflowError):
    """A synchronous verb would block the event loop that its async action needs; await runtime.aio.<verb> instead."""


class ServerAlreadyRunning(WorkflowError):
    """Another server holds this database; stop it first, or use as_client() beside it."""


class StoreError(WorkflowError):
    """The store could not do what was asked."""


class Fenced(StoreError):
    """Another server has taken this process over; what was in hand here was dropped."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or refuses to write; repeat the call when it is back."""


class SchemaTooNew(StoreError):
    """The database was upgraded by a newer version of workflow_runtime; upgrade this installation."""


class RowUnreadable(StoreError):
    """A stored row cannot be read; the process needs a person."""
