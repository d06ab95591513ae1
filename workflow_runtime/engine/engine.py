"""What every part of the engine works with: one value instead of ten arguments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import partial
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from workflow_runtime.catalogue import Catalogue
from workflow_runtime.core import arming, parameters, recovering, settling, timing
from workflow_runtime.core.arming import DueOf
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.process import CancelRequest, Change, EntryKind, Process, ProcessStatus, Walk
from workflow_runtime.core.scheme_elements import TimerSpec
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.core.values import Limits
from workflow_runtime.engine.bell import Bell
from workflow_runtime.engine.bystander import Bystander
from workflow_runtime.engine.calling import Caller
from workflow_runtime.engine.clock import Clock
from workflow_runtime.engine.cron import cron_next
from workflow_runtime.engine.deadlines import Deadlines
from workflow_runtime.engine.live import LiveWork
from workflow_runtime.engine.pausing import Pauses
from workflow_runtime.engine.presence import Presence
from workflow_runtime.engine.progress import Progress
from workflow_runtime.engine.schemes import Compiled, SchemeCache, unbound
from workflow_runtime.errors import ActionNotFound, Fenced, ProcessNotFound, StoreUnavailable, WorkflowError
from workflow_runtime.hooks import ErrorDecision
from workflow_runtime.settings import Settings
from workflow_runtime.store.patience import AWAY, Patience
from workflow_runtime.store.writes import Outcome, Store

log = logging.getLogger("workflow_runtime.engine")

T = TypeVar("T")
Wake = Callable[[datetime], None]


@dataclass(slots=True, kw_only=True)
class Engine:
    """Shared by all threads of one started runtime; nothing in it that a crash could lose."""

    store: Store
    catalogue: Catalogue
    schemes: SchemeCache
    settings: Settings
    presence: Presence | Bystander
    clock: Clock
    caller: Caller
    new_id: Callable[[], str]  #: random, hexadecimal
    new_token: Callable[[], int]  #: random, 48 bits
    notify: Callable[..., None]  #: tells listeners, isolated
    ask_error: Callable[[Process, BaseException], ErrorDecision | None]
    hears: Callable[[str], bool] = field(default=lambda event: True)  #: whether anybody listens to this event
    wake_at: Wake = field(default=lambda when: None)
    nudge: Callable[[], None] = field(default=lambda: None)
    on_cleared: Callable[[], None] = field(default=lambda: None)  #: what the caller works on is suspected no more
    live: LiveWork = field(default_factory=LiveWork)
    draining: bool = False  #: shutting down: work is handed back between steps
    limits: Limits = field(init=False)
    pauses: Pauses = field(init=False)
    progress: Progress = field(init=False)
    deadlines: Deadlines = field(init=False)
    bell: Bell = field(default_factory=Bell)
    _unbound: dict[SchemeKey, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.limits = self.settings.limits
        self.pauses = Pauses(self.clock)
        self.deadlines = Deadlines(self.clock, self.settings.max_abandoned_actions)
        self.progress = Progress(limit=self.settings.progress_warning, monotonic=self.clock.monotonic)

    @property
    def me(self) -> str:
        """This incarnation. Fenced once the server has stopped: a verb that comes so late writes nothing."""
        if self.presence.incarnation is None:
            raise Fenced("this runtime was shut down while the call was under way; nothing was written, start it and call again")
        return self.presence.incarnation

    @property
    def zone(self) -> tzinfo:
        return ZoneInfo(self.settings.time_zone)

    def now(self) -> datetime:
        """The database's clock, aware UTC."""
        return self.store.now()

    # ------------------------------------------------------------------ reading

    def load(self, process_id: UUID) -> Process:
        """The process with its scheme. ProcessNotFound, RowUnreadable, SchemeNotFound, SchemeError."""
        return self.attach(self._stored(process_id))

    def look(self, process_id: UUID) -> Process:
        """The process, also where its scheme cannot be read: for what needs none. ProcessNotFound, RowUnreadable."""
        return self.show(self._stored(process_id))

    def _stored(self, process_id: UUID) -> Process:
        process = self.store.load(process_id)
        if process is None:
            raise ProcessNotFound(f"no process has the id {process_id}; it may have been deleted", process_id=process_id)
        return process

    def attach(self, process: Process) -> Process:
        return evolve(process, scheme=self.schemes.get(process.key).scheme)

    def show(self, process: Process) -> Process:
        """With its scheme where that can be read, else with None."""
        return evolve(process, scheme=self.schemes.readable(process.key))

    def compiled(self, process: Process) -> Compiled:
        return self.schemes.get(process.key)

    def unbound(self, key: SchemeKey) -> list[str]:
        """Names of a version that this server lacks."""
        if key not in self._unbound:
            actions = None if self.settings.ignore_missing_execution_items else self.catalogue.actions
            self._unbound[key] = unbound(self.schemes.get(key).scheme, actions, self.catalogue.conditions)
        return self._unbound[key]

    @property
    def foreign(self) -> list[str]:
        """The versions seen so far that this server cannot execute: others do. What it has does not change while it runs."""
        return [key.version for key, missing in list(self._unbound.items()) if missing]

    def require_bound(self, process: Process) -> None:
        """ActionNotFound when this server cannot execute the version the process is pinned to."""
        if missing := self.unbound(process.key):
            raise ActionNotFound(
                f"this server has no {', '.join(map(repr, missing))}, which scheme {process.scheme_code!r} "
                f"(version {process.scheme_version[:12]}) needs; register it and start again",
                names=missing,
                process_id=process.id,
                scheme_code=process.scheme_code,
            )

    # ------------------------------------------------------------------ writing

    def apply(self, change: Change, *, executing: bool = False) -> tuple[Outcome, CancelRequest | None]:
        """One transaction. A write about a process that this server holds waits for a database that is away, and its guard decides.

        A claim is made only while the beat arrives, and fails at once: StoreUnavailable, nothing stored. Fenced where it
        would be made in the name of an earlier incarnation; ``executing``: also where that one holds the process.
        """
        me, patience = self.presence.incarnation, self.patience()
        owner = change.before.owner if change.before else None
        if (executing and owner not in (None, me)) or (change.after is not None and change.after.owner not in (None, me)):
            raise Fenced("this server was declared dead or has stopped; what was in hand was dropped", process_id=_id_of(change))
        send = partial(self.store.apply, change, me=me, patience=patience)
        if owner is not None and owner == me:
            applied = patience.outlast(send)
        else:
            self._require_beat()
            applied = send()
        if applied.outcome is Outcome.APPLIED and recovering.clears(change):
            self.on_cleared()
        return applied.outcome, applied.cancel_requested

    def apply_all(self, changes: Sequence[Change]) -> list[Outcome]:
        """As ``apply``, for changes from rest to rest, in one transaction: each is guarded on its own. Fenced, StoreUnavailable."""
        self._require_beat()
        return [applied.outcome for applied in self.store.apply_all(changes, me=self.me, patience=self.patience())]

    def patience(self) -> Patience:
        """How long one piece of work in hand waits for the database, from now on."""
        return Patience(self.settings.store_patience, monotonic=self.clock.monotonic, chance=self.chance)

    def chance(self) -> float:
        """A random number from 0 up to 1."""
        return self.new_token() % 1024 / 1024

    def patiently(self, read: Callable[[], T]) -> T:
        """What ``read`` returns, for work in hand: waits for a database that is away."""
        return self.patience().outlast(read)

    def require_right(self, process: Process) -> None:
        """To be asked before each effect: waits for the beat to arrive again. Fenced, StoreUnavailable: nothing may be done.

        It narrows the time in which a server that was taken over still acts; the proof is the guard of the next write.
        """
        if not self.presence.may_execute():
            self.patiently(self._require_beat)
        if process.owner != self.presence.incarnation:
            raise Fenced(process_id=process.id)

    def _require_beat(self) -> None:
        if self.presence.may_execute():
            return
        if self.presence.incarnation is None or self.store.path is not None:
            raise Fenced("this server no longer holds its database; what was in hand was dropped")
        text = "this server has not reached its database for most of a lease and takes nothing new; repeat the call when the database is back"
        raise StoreUnavailable(text, outcome="known", reason=AWAY)

    def tell(self, change: Change) -> None:
        """After the commit: listeners hear of it, the alarm clock of new timers. What goes wrong here changes nothing any more: it is logged."""
        self.announce(change)
        try:
            if change.after is not None and change.after.owner is None:
                self._wake_for(change)
        except Exception:
            log.exception("what became of process %s is committed, but not all could be told of it", _id_of(change))

    def announce(self, change: Change) -> None:
        """As ``tell``, without the alarm clock: after many changes one ``nudge`` does."""
        if (key := settling.settles(change)) is not None:
            self.bell.ring(key)
        try:
            self._tell(change)
        except Exception:
            log.exception("what became of process %s is committed, but not all could be told of it", _id_of(change))

    def _tell(self, change: Change) -> None:
        after, before = change.result if change.after is not None else None, change.before
        for entry in change.entries:
            if entry.kind is EntryKind.MOVED and after is not None:
                self.notify(
                    "process_activity_changed", process=after, previous=entry.from_activity, current=entry.to_activity, transition=entry.transition or None
                )
        old = before.status if before else None
        if after is not None and after.status is not old:
            self.notify("process_status_changed", process=after, old=old, new=after.status)

    def tell_of_damage(self, process_id: UUID) -> Process | None:
        """It was put in Error because its row or its scheme cannot be read. Where the row can be, listeners hear of it as of any
        other; None where there is no process to show them: then the log is all that tells.
        """
        try:
            process = self.look(process_id)
        except WorkflowError as error:
            log.error("process %s is in Error, and no listener hears of it: %s", process_id, error)
            return None
        if process.status is ProcessStatus.ERROR:
            self.notify("process_status_changed", process=process, old=ProcessStatus.RUNNING, new=process.status)
        return process

    # ------------------------------------------------------------------ what users have registered

    def action(self, name: str) -> Callable[..., Any]:
        """The callable of an action; one that does nothing where missing ones are to be ignored. ActionNotFound."""
        if self.settings.ignore_missing_execution_items and name not in self.catalogue.actions:
            log.warning("action %r is not registered and does nothing", name)
            return _nothing
        return self.catalogue.action(name).function

    # ------------------------------------------------------------------ time

    def due_of(self, process: Process, walk: Walk | None, *, now: datetime, quiet: bool = False) -> DueOf:
        """When a timer of this process falls due; TimerValueError, EvaluationError, what users' code raises; never, where ``quiet``."""
        view = parameters.View(process, walk, external=partial(self.catalogue.external, process))

        def due(spec: TimerSpec, value: str) -> datetime | None:
            fired = arming.fired_at(spec, walk)
            base = arming.next_base(spec, fired, now)
            translated = self.catalogue.timer_value(process, spec.name, value)
            next_due = timing.due(spec, translated or value, base, zone=self.zone, cron=cron_next, lookup=view.lookup)
            return None if arming.is_over(spec, next_due, fired, now) else next_due

        def due_or_never(spec: TimerSpec, value: str) -> datetime | None:
            try:
                return due(spec, value)
            except Exception as error:  # translators of timer values and external parameters are users' code
                log.warning("process %s: timer %r is not armed: %s", process.id, spec.name, error)
                return None

        return due_or_never if quiet else due

    def _wake_for(self, change: Change) -> None:
        """Tell the alarm clock. Where rows were kept they may be overdue: one armed now says nothing about them."""
        if not change.drop_others or any(timer.keep for timer in change.arm):
            self.nudge()
        elif change.arm:
            self.wake_at(min(timer.due for timer in change.arm))


def _nothing(ctx: Any, parameter: str | None) -> None:
    """Stands for a missing action."""


def _id_of(change: Change) -> UUID | None:
    process = change.before or change.after
    return process.id if process else None
