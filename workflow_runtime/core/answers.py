"""What the verbs answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from workflow_runtime.core.process import Process, Timer
from workflow_runtime.core.scheme_elements import CommandInput


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The answer to a command. Not executed means: nothing was changed, and ``reason`` says why.

    ``replayed``: the request was known by its idempotency key, and this is the answer of the first; ``process`` is as it stands now.
    """

    was_executed: bool
    process: Process
    reason: str = ""
    waiting_until: datetime | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableCommand:
    """A command that may be given now. ``classifiers`` are those of its transitions, without repetition."""

    name: str
    localized_name: str
    parameters: tuple[CommandInput, ...] = ()
    classifiers: tuple[str, ...] = ()


class DueTimer(NamedTuple):
    """A row of whatever kind, and whose it is."""

    process_id: UUID
    timer: Timer


class Match(NamedTuple):
    """What a filter found, without having read it: what cannot be read is found too. ``process_id`` is a text where it is no id.

    ``revision`` is to be expected by who acts on it later; None while a server executes it, for then it moves on by itself.
    """

    process_id: UUID | str
    revision: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationReport:
    """What an operator's verb did, or with ``dry_run`` would do; each id that matched stands in one other place.

    ``planned`` says what would be done, of a dry run. ``requested``: it breaks off at its next step boundary, which is yet
    to come. ``failed`` says why it was refused or went wrong, or would be refused: the name of the error and its message.
    """

    verb: str
    dry_run: bool
    matched: tuple[UUID | str, ...] = ()
    planned: Mapping[UUID | str, str] = field(default_factory=dict)
    done: tuple[UUID | str, ...] = ()
    requested: tuple[UUID | str, ...] = ()
    failed: Mapping[UUID | str, str] = field(default_factory=dict)


#: Called with what is being done, how much of it is done, and of how much (0: not known yet).
Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreationReport:
    """What a bulk creation stored, all of one version.

    ``queued`` of the ``created`` were left to any server: they act before they come to rest for the first time, or fail.
    """

    scheme_code: str
    scheme_version: str
    created: int = 0
    queued: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferReport:
    """What an export wrote or an import stored, or with ``dry_run`` would store.

    ``schemes`` counts the versions, on import those that were new. ``keys`` counts idempotency keys, those of its processes
    and those of none that is there. ``skipped`` counts processes that existed, ``failed`` names what could not be
    transferred, and why. ``digest`` is that of the processes transferred: of an export and
    of an import that took all of it the same.
    """

    verb: str  #: export or import
    dry_run: bool = False
    schemes: int = 0
    processes: int = 0
    keys: int = 0
    skipped: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)  #: by the text of the id; of a key ``key 'its name'``
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalReport:
    """What a renewal did: the new epoch of the database, how many servers it declared dead, how many processes it gave new tokens."""

    epoch: str
    servers: int
    processes: int
