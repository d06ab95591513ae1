"""What every part of the engine works with: one value instead of ten arguments."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from workflow_runtime.catalogue import Catalogue
from workflow_runtime.core import arming, parameters, timing
from workflow_runtime.core.arming import DueOf
from workflow_runtime.core.process import CancelRequest, Change, EntryKind, Process, Walk
from workflow_runtime.core.scheme_elements import TimerSpec
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.engine.bystander import Bystander
from workflow_runtime.engine.calling import Caller
from workflow_runtime.engine.clock import Clock
from workflow_runtime.engine.cron import cron_next
from workflow_runtime.engine.live import LiveWork
from workflow_runtime.engine.presence import Presence
from workflow_runtime.engine.schemes import Compiled, SchemeCache, unbound
from workflow_runtime.errors import ActionNotFound, Fenced, ProcessNotFound
from workflow_runtime.hooks import ErrorDecision
from workflow_runtime.settings import Settings
from workflow_runtime.store.writes import Outcome, Store

log = logging.getLogger("workflow_runtime.engine")

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
    wake_at: Wake = field(default=lambda when: None)
    nudge: Callable[[], None] = field(default=lambda: None)
    live: LiveWork = field(default_factory=LiveWork)
    draining: bool = False  #: shutting down: work is handed back between steps
    _unbound: dict[SchemeKey, list[str]] = field(default_factory=dict)

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
        return replace(process, scheme=self.schemes.get(process.key).scheme)

    def show(self, process: Process) -> Process:
        """With its scheme where that can be read, else with None."""
        return replace(process, scheme=self.schemes.readable(process.key))

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

    def apply(self, change: Change) -> tuple[Outcome, CancelRequest | None]:
        """One transaction; Fenced when this server may not write any more."""
        if not self.presence.may_execute():
            raise Fenced("this server no longer holds its database; what was in hand was dropped", process_id=_id_of(change))
        applied = self.store.apply(change)
        return applied.outcome, applied.cancel_requested

    def tell(self, change: Change) -> None:
        """After the commit: listeners hear of it, the alarm clock of new timers. What goes wrong here changes nothing any more: it is logged."""
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
        if after is not None and after.owner is None:
            self._wake_for(change)

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
