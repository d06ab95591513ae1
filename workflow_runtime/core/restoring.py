"""What recovery hands to a restorer, what a restorer answers, and what recovery reports.

=======================  =====================================================================
decision                 effect
=======================  =====================================================================
default                  the status rule: Error where a command or timer leads out, else Terminated
delete                   process, timers and journal go; history and this decision stay as a tombstone
run_from_current_...     the last committed activity is entered again, as new work
run_from_new_...         the same with another activity of the pinned version
resume                   the interrupted walk goes on at its first unfinished step
=======================  =====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.process import Decision, Parameters, Process, ProcessStatus


class DecisionKind(StrEnum):
    """The five decisions about an interrupted process; see the table above."""

    DEFAULT = "default"
    DELETE = "delete"
    RERUN = "run_from_current_activity"
    JUMP = "run_from_new_activity"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class RestoreDecision:
    """What is to become of an interrupted process. Build it with the class methods; every method returns a new one."""

    kind: DecisionKind = DecisionKind.DEFAULT
    activity: str = ""
    persistent: Parameters = EMPTY
    temporary: Parameters = EMPTY
    reason: str = ""
    evidence: Parameters = EMPTY

    @classmethod
    def default(cls) -> RestoreDecision:
        """The status rule."""
        return cls(DecisionKind.DEFAULT)

    @classmethod
    def delete(cls) -> RestoreDecision:
        """The process goes; a tombstone stays in history and report."""
        return cls(DecisionKind.DELETE)

    @classmethod
    def run_from_current_activity(cls) -> RestoreDecision:
        """Enter the last committed activity again, its actions from the first."""
        return cls(DecisionKind.RERUN)

    @classmethod
    def run_from_new_activity(cls, activity: str) -> RestoreDecision:
        """Enter another activity of the pinned version."""
        return cls(DecisionKind.JUMP, activity)

    @classmethod
    def resume(cls) -> RestoreDecision:
        """Go on with the interrupted walk at its first unfinished step."""
        return cls(DecisionKind.RESUME)

    def add_persistent_parameter(self, name: str, value: Any) -> RestoreDecision:
        return replace(self, persistent=FrozenDict({**self.persistent, name: value}))

    def add_temporary_parameter(self, name: str, value: Any) -> RestoreDecision:
        return replace(self, temporary=FrozenDict({**self.temporary, name: value}))

    def because(self, reason: str, **evidence: Any) -> RestoreDecision:
        """State the reason, and evidence that is stored with it (JSON values)."""
        return replace(self, reason=reason, evidence=FrozenDict({**self.evidence, **evidence}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One incarnation of one server: ``id`` is random at each start, ``name`` is a label."""

    id: str
    name: str
    host: str
    pid: int
    version: str
    mode: str  #: single or multi
    started_at: datetime
    beat: int = 0
    last_beat_at: datetime
    lease_until: datetime
    dead_at: datetime | None = None
    draining: bool = False
    lock_ok: bool = True  #: at its last beat its session still held the lock; where not, only the lease counts
    lock_key: str = ""  #: of the session lock it holds now; none where there is none
    beat_every: timedelta = timedelta(0)  #: how often it means to beat; 0: it did not say
    death: str = ""  #: how its death was noticed: lock, lease, start or restore
    declared_by: str = ""  #: the incarnation that declared it dead


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A server that died, as a recovery report tells it.

    ``evidence``: how that was noticed: lock (it was freed), lease (it expired), start (of a server),
    restore (of a copy of the database, in which nobody lives); empty: it was not noted.
    """

    server: str
    name: str
    host: str
    pid: int
    last_beat_at: datetime
    declared_at: datetime
    evidence: str = ""
    declared_by: str = ""

    @classmethod
    def of(cls, server: Server) -> Death | None:
        """None: it is not dead."""
        if server.dead_at is None:
            return None
        return cls(
            server=server.id,
            name=server.name,
            host=server.host,
            pid=server.pid,
            last_beat_at=server.last_beat_at,
            declared_at=server.dead_at,
            evidence=server.death,
            declared_by=server.declared_by,
        )


class Interruption(NamedTuple):
    """Where the walk stood: the transition taken, its target, the action in flight and its index."""

    transition: str
    activity: str
    action: str
    step: int


class FinishedStep(NamedTuple):
    """A journaled action, or a ``ctx.step`` inside one (then with its name)."""

    activity: str
    action: str
    step: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptedProcess(Process):
    """A process as recovery found it, with the evidence.

    ``preliminary_status`` is what the status rule would make of it, ``pending_parameters`` are the
    changes of finished actions that have not become the process's, ``server`` is who died (None: unknown).
    """

    preliminary_status: ProcessStatus
    interrupted: Interruption | None
    finished_steps: tuple[FinishedStep, ...] = ()
    pending_parameters: Parameters = EMPTY
    server: Server | None = None

    @classmethod
    def of(cls, process: Process, **evidence: Any) -> InterruptedProcess:
        return cls(**{f.name: getattr(process, f.name) for f in fields(process)}, **evidence)


class IProcessRestorer(Protocol):
    """Decides what becomes of processes that a dead server left in Running.

    Both methods are called without an open transaction, within ``restorer_timeout`` seconds, possibly more
    than once and by a dry run too: they must have no side effects. Subclass it or bring the two methods.
    """

    def need_custom_restore(self, scheme_code: str, status: ProcessStatus) -> bool:
        """Asked once per (scheme, preliminary status) and pass."""
        return False

    def get_custom_restore_decision(self, process: InterruptedProcess) -> RestoreDecision:
        """Asked for each such process."""
        return RestoreDecision.default()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDecision:
    """What recovery would do with one process, and why."""

    process_id: UUID
    scheme_code: str
    activity: str
    step: str
    preliminary_status: ProcessStatus
    decision: DecisionKind
    target: str = ""
    decided_by: str
    reason: str
    status_after: ProcessStatus | None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPlan:
    """The answer of a dry run; nothing was changed. ``notes`` say what the plan could not know."""

    decisions: tuple[PlannedDecision, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryReport:
    """One recovery pass that found something: ``owned`` processes stood in Running, ``decided`` were decided.

    Moments by the database's clock. ``noticed_at``: the first of these servers was declared dead, or the pass began if
    that was before. ``adopted_at``: the first process became the acting server's. ``first_progress_at``: the first verdict
    was committed; an adoption alone is no progress.
    """

    id: str
    cause: str  #: start, sweep or manual
    server: str  #: the incarnation that acts
    deaths: tuple[Death, ...] = ()  #: the servers whose processes it found
    owned: int = 0
    decided: int = 0
    skipped: int = 0  #: another server was first, must decide (this one lacks what the scheme needs), or does so later: the database was away
    by_decision: Mapping[str, int] = field(default_factory=dict)
    noticed_at: datetime | None = None
    adopted_at: datetime | None = None
    first_progress_at: datetime | None = None
    ended_at: datetime | None = None
    decisions: tuple[Decision, ...] = ()
    notes: tuple[str, ...] = ()  #: what was left to other servers and why; told to the caller, not stored

    @property
    def dead_servers(self) -> Mapping[str, datetime]:
        """Id -> last beat."""
        return FrozenDict({death.server: death.last_beat_at for death in self.deaths})
