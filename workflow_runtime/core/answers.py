"""What the verbs answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from workflow_runtime.core.process import Process
from workflow_runtime.core.scheme_elements import CommandInput


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The answer to a command. Not executed means: nothing was changed, and ``reason`` says why."""

    was_executed: bool
    process: Process
    reason: str = ""
    waiting_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableCommand:
    """A command that may be given now. ``classifiers`` are those of its transitions, without repetition."""

    name: str
    localized_name: str
    parameters: tuple[CommandInput, ...] = ()
    classifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationReport:
    """What an operator's verb did, or with ``dry_run`` would do: the processes, and why some failed."""

    verb: str
    dry_run: bool
    matched: tuple[UUID, ...] = ()
    done: tuple[UUID, ...] = ()
    failed: Mapping[UUID, str] = field(default_factory=dict)
