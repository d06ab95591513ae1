"""What a process is, and what one step of it changes.

Law: nothing about a process becomes true except by a ``Change``, and ``Store.apply`` makes a whole
Change true in one transaction or not at all. The status moves only along ``MOVES``.

========================  ==================================================================
status                    may move to
========================  ==================================================================
(none)                    Initialized, Running, or straight to rest: Idled, Finalized
Initialized               Running; by an operator: Idled, Finalized, Terminated
Running                   Running, Idled, Finalized, Error, Terminated
Idled, Error              Running, and what a chain of action-free activities reaches
Finalized, Terminated     Running or rest, by an operator's verb only
========================  ==================================================================

Times are aware UTC; a *walk* is one transition being taken, a *run* the walks from one trigger until rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from workflow_runtime.core.attempts import Attempts
from workflow_runtime.core.coalescing import armed, told
from workflow_runtime.core.evolving import evolve, swift
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.keys import Answer, Key
from workflow_runtime.core.plain import plain
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_words import Classifier, SchemeKey

Parameters = FrozenDict[str, Any]


class ProcessStatus(StrEnum):
    """The life cycle of a process; ``id`` is the number in the vocabulary and in the store."""

    INITIALIZED = "Initialized"
    RUNNING = "Running"
    IDLED = "Idled"
    FINALIZED = "Finalized"
    TERMINATED = "Terminated"
    ERROR = "Error"

    @property
    def id(self) -> int:
        return _STATUS_IDS[self]

    @property
    def accepts_commands(self) -> bool:
        """Commands and timers move a process only from these two."""
        return self in (ProcessStatus.IDLED, ProcessStatus.ERROR)

    @staticmethod
    def of(number: int) -> ProcessStatus:
        """The status with this id; ValueError for any other number."""
        return _STATUS_BY_ID[number] if number in _STATUS_BY_ID else ProcessStatus(f"status {number}")


_STATUS_IDS = {status: number for number, status in enumerate(ProcessStatus)}
_STATUS_BY_ID = {number: status for status, number in _STATUS_IDS.items()}

_S = ProcessStatus
_RESTS = frozenset({_S.IDLED, _S.FINALIZED})
_BROKEN = frozenset({_S.ERROR, _S.TERMINATED})

#: The allowed moves; None stands for "no such process yet".
MOVES: Mapping[ProcessStatus | None, frozenset[ProcessStatus]] = {
    None: frozenset({_S.INITIALIZED, _S.RUNNING}) | _RESTS | _BROKEN,
    **dict.fromkeys(ProcessStatus, frozenset({_S.RUNNING}) | _RESTS | _BROKEN),
}


class TriggerKind(StrEnum):
    """What set a walk going."""

    CREATE = "Initializing"
    COMMAND = "Command"
    TIMER = "Timer"
    AUTO = "Auto"
    OPERATOR = "Operator"
    RECOVERY = "Recovery"


class Trigger(NamedTuple):
    kind: TriggerKind
    name: str = ""  #: the command, the timer, the operator's verb or the restorer's decision


@swift
@dataclass(frozen=True, kw_only=True)
class Walk:
    """One transition being taken; holds all that a resume on another server needs."""

    id: str  #: random, hexadecimal
    activity: str  #: where it leads
    trigger: Trigger
    run: Trigger  #: what began the run this walk belongs to
    started_at: datetime
    transition: str = ""  #: empty where no transition is taken: creation, set_activity, rerun, jump
    identity: str | None = None
    impersonated_identity: str | None = None
    inputs: Parameters = EMPTY  #: values that become the process's at arrival
    temporary: Parameters = EMPTY  #: values that live for this run
    step: int = 0  #: index of the first action of the activity that is not journaled yet
    tries: int = 0  #: how often that action did not come to an end: it was in flight when its server died, or was given up
    in_doubt: bool = False  #: it was resumed or given up, so the action it stands at may have been begun before
    attempts: tuple[Attempts, ...] = ()  #: failures of that action, and of those behind it that are not journaled
    deadline: datetime | None = None  #: when its actions must have ended; set as they begin, where the activity has an execution timeout
    timeouts: int = 0  #: how often that has passed and they were begun once more
    automatic: int = 0  #: automatic walks of this run so far
    due: datetime | None = None  #: when the timer that began the run was due
    actor: str | None = None  #: only when an operator set it going
    reason: str | None = None
    key: Key | None = None  #: of the request that began the run; whichever change ends the run settles it


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """What ``last_error`` shows: type, message and traceback as text."""

    type: str
    message: str
    traceback: str = field(default="", repr=False)
    activity: str = ""
    action: str = ""


class CancelRequest(NamedTuple):
    """A flag that a stranger may set on a Running process; honoured at the next step boundary."""

    actor: str
    reason: str


@swift
@dataclass(frozen=True, kw_only=True)
class Process:
    """One process as it was stored: a value that never changes.

    ``parameters`` holds the persistent values. ``scheme`` is the pinned version; it is None only where a
    client shows a process whose scheme it cannot read.
    """

    id: UUID
    scheme_code: str
    scheme_version: str
    activity: str = ""  #: empty until the initial activity was entered
    state: str = ""
    status: ProcessStatus
    previous_activity: str = ""
    previous_state: str = ""
    previous_activity_for_direct: str = ""
    previous_state_for_direct: str = ""
    previous_activity_for_reverse: str = ""
    previous_state_for_reverse: str = ""
    parameters: Parameters = EMPTY
    parent_id: UUID | None = None
    root_id: UUID
    tenant_id: str | None = None
    created_at: datetime
    updated_at: datetime
    status_since: datetime
    activity_since: datetime
    revision: int = 0  #: +1 with every guarded write
    waiting_until: datetime | None = None
    last_error: ErrorInfo | None = None
    owner: str | None = None  #: the incarnation that executes it
    token: int  #: a new one with every claim and adoption
    deaths: int = 0  #: servers that died in a row with the step ``deaths_step`` in flight
    deaths_step: str = ""
    adoptions: int = 0  #: adoptions since the last decision
    cancel_requested: CancelRequest | None = None
    children_open: int = 0
    last_seq: int = 0  #: seq of its newest history row
    walk: Walk | None = None
    scheme: Scheme | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> SchemeKey:
        return SchemeKey(self.scheme_code, self.scheme_version)

    @property
    def pinned(self) -> Scheme:
        """The pinned scheme where it is known to be there (always inside the engine)."""
        assert self.scheme is not None, "the scheme was not attached"
        return self.scheme

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: ids and times as texts, the status by its name, parameters without their types."""
        ready: dict[str, Any] = plain(self)
        return ready

    @property
    def is_waiting(self) -> bool:
        """Running without an owner: a retry or a start row brings it back; operators treat it as at rest."""
        return self.status is ProcessStatus.RUNNING and self.owner is None


class TimerKind(StrEnum):
    TIMER = "timer"
    RETRY = "retry"  #: reserved: continues a process that waits
    START = "start"  #: reserved: starts a process or a walk that was left to any server


@swift
@dataclass(frozen=True, kw_only=True)
class Timer:
    """One row: ``name`` falls due at ``due``; ``value`` is the definition as written when it was armed."""

    name: str
    due: datetime
    value: str = ""
    kind: TimerKind = TimerKind.TIMER
    keep: bool = field(default=False, repr=False)  #: NotOverrideIfExists: a row that is there stays as it is


@swift
@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """The outcome of one action (``step`` empty) or of one ``ctx.step`` inside it, or the intent to start that step.

    ``changes`` are the parameter changes of an action (None: removed); ``result`` is JSON of ``core.values``.
    """

    walk_id: str
    activity: str
    action: str
    index: int  #: of the action in its activity
    step: str = ""
    occurrence: int = 0
    digest: str = ""  #: of a step's arguments
    result: str = "null"
    changes: Parameters = EMPTY
    intent: bool = False  #: the step is about to be started, and is to be done at most once
    at: datetime


class EntryKind(StrEnum):
    """What a history row tells. Only MOVED rows change the activity."""

    MOVED = "moved"
    FAILED = "failed"
    RETRY = "retry"  #: an attempt failed and another follows
    RECOVERED = "recovered"
    NOT_APPLICABLE = "not_applicable"
    TIMER_SKIPPED = "timer_skipped"
    TIMER_MISSED = "timer_missed"
    CANCELLED = "cancelled"
    OPERATED = "operated"
    DELETED = "deleted"


@swift
@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One row of history. ``seq`` counts 1, 2, 3 ... per process; ``id`` is given by the store and only grows."""

    process_id: UUID
    seq: int
    kind: EntryKind
    at: datetime
    from_activity: str = ""
    to_activity: str = ""
    from_state: str = ""
    to_state: str = ""
    status: ProcessStatus  #: after this row
    trigger: Trigger
    transition: str = ""
    classifier: Classifier = Classifier.NOT_SPECIFIED
    identity: str | None = None
    impersonated_identity: str | None = None
    actor: str | None = None
    reason: str | None = None
    walk_id: str = ""
    server: str | None = None
    started_at: datetime | None = None
    is_final: bool = False
    error: ErrorInfo | None = None
    idempotency_key: str | None = None  #: of the request whose run it belongs to: a command of this process, or its creation
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision of recovery: a row in the same transaction as the status it explains."""

    recovery_id: str
    process_id: UUID
    scheme_code: str
    decision: str  #: default, delete, run_from_current_activity, run_from_new_activity, resume, cancel
    decided_by: str  #: the restorer's name, "declared", "status rule", "poison", "cancel", "unreadable"; "..., then status rule"
    reason: str
    activity: str
    step: str  #: the action in flight, "" when none was
    status_before: ProcessStatus
    status_after: ProcessStatus | None  #: None: deleted
    evidence: Parameters = EMPTY
    error: str = ""  #: why a restorer's answer was not taken
    server: str | None = None  #: the dead incarnation
    at: datetime


class ChangeKind(StrEnum):
    """Each kind is a crash point, before and after its commit."""

    CREATE = "create"
    CLAIM = "claim"
    REFUSE = "refuse"
    JOURNAL = "journal"
    STEP = "step"
    INTENT = "intent"
    ABANDON = "abandon"
    WAIT = "wait"
    ARRIVE = "arrive"
    FAIL = "fail"
    CANCEL = "cancel"
    RELEASE = "release"
    ADOPT = "adopt"
    VERDICT = "verdict"
    OPERATE = "operate"
    DELETE = "delete"


@swift
@dataclass(frozen=True, kw_only=True)
class Change:
    """Everything that must become true together.

    The guard follows from ``before``: with an owner, the row must still have that owner, token and
    revision; without one, it must still be at rest with that token and revision.
    """

    kind: ChangeKind
    before: Process | None  #: as committed; None creates
    after: Process | None  #: None deletes
    entries: tuple[HistoryEntry, ...] = ()
    journal: tuple[JournalEntry, ...] = ()
    arm: tuple[Timer, ...] = ()
    drop: tuple[str, ...] = ()  #: scheme timers to remove, before ``arm``
    drop_others: bool = False  #: remove every scheme timer that ``arm`` does not name
    release: bool = False  #: remove the reserved rows (retry, start)
    decision: Decision | None = None
    opens: Key | None = None  #: the key of a request that begins here: all or nothing is written with it
    failure: Answer | None = None  #: the error that the caller gets, where the run ends with one

    def __post_init__(self) -> None:
        status = self.before.status if self.before else None
        assert self.after is None or self.after.status in MOVES[status], f"{status} may not become {self.after.status}"

    @property
    def result(self) -> Process:
        """The process as it stands once the change is committed."""
        assert self.after is not None, "a deleted process has no result"
        return evolve(self.after, revision=self.before.revision + 1 if self.before else 1)

    def then(self, following: Change) -> Change:
        """Both as one: coalesced arrivals are committed together with the next thing that must be."""
        kind = self.kind if self.kind in (ChangeKind.CREATE, ChangeKind.OPERATE) else following.kind
        return Change(
            kind=kind,
            before=self.before,
            after=following.after,
            entries=told(self.entries, following.entries, status=following.after.status if following.after else None),
            journal=self.journal + following.journal,
            arm=armed(self.arm, following.arm, fresh=self.drop_others, drop=following.drop, drop_others=following.drop_others),
            drop=self.drop + following.drop,
            drop_others=self.drop_others or following.drop_others,
            release=self.release or following.release,
            decision=self.decision or following.decision,
            opens=self.opens or following.opens,
            failure=following.failure or self.failure,
        )
