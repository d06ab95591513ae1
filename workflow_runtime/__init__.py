"""A declarative, durable state-machine workflow runtime that is embedded in an application.

Everything public is here; each name is imported when it is first used, so that ``import workflow_runtime``
costs nothing: no database, no pydantic, no Alembic. ``__init__.pyi`` says the same to type checkers.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from workflow_runtime import errors
from workflow_runtime.version import VERSION

__version__ = VERSION

#: where each public name lives, except the errors
_HOMES = {
    "core.answers": "AvailableCommand CommandResult CreationReport DueTimer Match OperationReport RenewalReport TransferReport",
    "core.filters": "ProcessFilter",
    "core.pages": "Page",
    "core.process": "Decision EntryKind ErrorInfo HistoryEntry Process ProcessStatus Timer Trigger TriggerKind",
    "core.restoring": "Death DecisionKind FinishedStep IProcessRestorer InterruptedProcess Interruption PlannedDecision RecoveryPlan "
    "RecoveryReport RestoreDecision Server",
    "core.scheme": "Scheme",
    "core.scheme_elements": "CommandInput RetryPolicy",
    "core.stepping": "Done",
    "engine.steps": "ActionContext Context",
    "hooks": "ErrorDecision hookimpl",
    "plugin_loading": "PluginRecord",
    "registry": "ActionSpec ConditionSpec Registry RuleSpec",
    "runtime": "WorkflowRuntime",
    "settings": "Settings",
}
_MODULE_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_MODULE_OF, *errors.__all__, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
    elif name in errors.__all__:
        value = getattr(errors, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
