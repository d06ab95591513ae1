"""Carries out an operator's verbs, or says what they would do. A client leaves what needs actions to any server.

Law: a verb and its dry run ask the same questions in the same order, of the process as it is stored now.

==========================================  ===========================
what stands against it                      the error
==========================================  ===========================
it has changed since the caller read it     StaleRevision
a server executes it (cancel may meet it)   ProcessBusy
there is no such activity or state          ActivityNotFound, StateNotFound
values that do not fit                      ParameterError
an action that must not be begun again      NotResumable
this server lacks names of its scheme       ActionNotFound
==========================================  ===========================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from workflow_runtime.core import arming, foreseeing, operating, parameters, rules, timing
from workflow_runtime.core.frozen import EMPTY
from workflow_runtime.core.nearness import did_you_mean
from workflow_runtime.core.operating import Order
from workflow_runtime.core.process import CancelRequest, ChangeKind, Process, TimerKind, Walk
from workflow_runtime.core.scheme_words import TriggerType
from workflow_runtime.engine import acting
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.executor import Executor, Load, require_revision, require_status
from workflow_runtime.errors import ActivityNotFound, ProcessBusy, StateNotFound, TimerNotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One verb with its arguments, for whichever process. ``refuse`` raises what stands against it, beyond what holds for all verbs."""

    refuse: Callable[[Process], object]
    foresee: Callable[[Process], str]
    act: Callable[[Process], Process]
    needs_rest: bool = True
    needs_scheme: bool = True


class Operator:
    """``set_activity`` ... ``delete`` make deeds, which are for ``carry_out`` or ``foresee``; the others act on one process at once."""

    def __init__(self, engine: Engine, executor: Executor) -> None:
        self.engine, self.executor = engine, executor

    def carry_out(self, process_id: UUID, deed: Deed, expected_revision: int | None = None) -> Process:
        """The process as it stands afterwards; a deleted one as it was."""

        def decide(process: Process) -> Process:
            self._check(process, deed, expected_revision)
            return deed.act(process)

        return self.executor.decide(process_id, decide, load=self._load(deed))

    def foresee(self, process_id: UUID, deed: Deed, expected_revision: int | None = None) -> str:
        """What ``carry_out`` would do now, in words; it raises what that would be refused with. Nothing is written."""
        process = self._load(deed)(process_id)
        self._check(process, deed, expected_revision)
        return deed.foresee(process)

    def _load(self, deed: Deed) -> Load:
        return self.engine.load if deed.needs_scheme else self.engine.look

    def _check(self, process: Process, deed: Deed, expected_revision: int | None) -> None:
        require_revision(process, expected_revision)
        if deed.needs_rest:
            _require_rest(process)
        deed.refuse(process)

    # ------------------------------------------------------------------ deeds

    def set_activity(self, activity: str, order: Order, given: Mapping[str, Any], *, execute: bool) -> Deed:
        """Enters the activity with its actions, or only stands there. ActivityNotFound, ParameterError."""
        return self._entering(partial(require_activity, activity=activity), order, given, execute)

    def set_state(self, state: str, order: Order, given: Mapping[str, Any], *, execute: bool) -> Deed:
        """The first activity in the document with this state that may be set. StateNotFound, ParameterError."""
        return self._entering(partial(activity_of_state, state=state), order, given, execute)

    def _entering(self, activity_of: Callable[[Process], str], order: Order, given: Mapping[str, Any], execute: bool) -> Deed:
        def refuse(process: Process) -> None:
            activity_of(process)
            parameters.of_operator(process.pinned, given, self.engine.limits, present=process.parameters)
            if execute:
                self._require_bound(process)

        return Deed(
            refuse=refuse,
            foresee=lambda process: foreseeing.entered(process, activity_of(process), execute=execute, left=self._server is None),
            act=lambda process: self._enter(process, activity_of(process), order, given, execute),
        )

    def resume(self, order: Order) -> Deed:
        """An interrupted or failed walk goes on; without one automatic transitions are tried, else it waits: Idled. NotResumable."""

        def refuse(process: Process) -> None:
            acting.require_resumable(self.engine, process)
            self._require_bound(process)

        def act(process: Process) -> Process:
            if process.walk is not None:
                return self._begin(process, operating.resume(process, process.walk, order, now=self.engine.now()), order)
            if self._server is None and arming.leads_on(process):
                return self.executor.commit(operating.left(process, order, now=self.engine.now()))
            return self.executor.look_on(process, order)

        return Deed(refuse=refuse, foresee=lambda process: foreseeing.resumed(process, left=self._server is None), act=act)

    def cancel(self, order: Order) -> Deed:
        """At rest or waiting at once; of a Running process at its next step boundary (the answer is still Running)."""
        request = CancelRequest(order.actor, order.reason)

        def act(process: Process) -> Process:
            if process.owner is not None and self.engine.store.request_cancel(process.id, request):
                self.engine.pauses.end(process.id)
                return self.engine.look(process.id)
            return self.executor.commit(rules.cancel(process, request, server=self._server, now=self.engine.now()))

        return Deed(refuse=_nothing, foresee=self._cancelled, act=act, needs_rest=False, needs_scheme=False)

    def _cancelled(self, process: Process) -> str:
        servers = self.engine.store.servers() if process.owner is not None else []
        owner = next((server for server in servers if server.id == process.owner), None)
        name = owner.name or owner.id[:12] if owner else (process.owner or "")[:12]
        return foreseeing.cancelled(process, owner=name, owner_lives=owner is not None and owner.dead_at is None)

    def delete(self, order: Order) -> Deed:
        """The answer is the process as it was."""

        def act(process: Process) -> Process:
            return self.executor.commit(operating.delete(process, order, server=self._server, now=self.engine.now()))

        return Deed(refuse=_nothing, foresee=lambda process: foreseeing.DELETED, act=act, needs_scheme=False)

    # ------------------------------------------------------------------ values and timers

    def set_parameter(self, process_id: UUID, name: str, value: Any, order: Order) -> Process:
        """At once and for good; None removes it. ParameterError for system names, declared temporary ones and wrong types."""

        def decide(process: Process) -> Process:
            changes = parameters.for_good(process, name, value, self.engine.limits)
            return self.executor.commit(operating.set_parameters(process, changes, order, server=self._server, now=self.engine.now()))

        return self._at_rest(process_id, decide)

    def set_timer(self, process_id: UUID, name: str, due: datetime, order: Order) -> Process:
        """The timer falls due then. TimerNotFound unless the scheme has it and it leads out of where the process stands."""
        timing.check_due(due)

        def decide(process: Process) -> Process:
            _require_timer(process, name)
            return self.executor.commit(operating.set_timer(process, name, due, order, server=self._server, now=self.engine.now()))

        return self._at_rest(process_id, decide)

    def fire_timer(self, process_id: UUID, name: str, order: Order) -> Process:
        """Fires a timer that is set, even if it is not yet due; a client makes it due for any server. TimerNotFound, StatusNotAllowed."""
        rows = self.engine.store.timers(self.engine.load(process_id).id)
        timer = next((row for row in rows if row.name == name and row.kind is TimerKind.TIMER), None)
        if timer is None:
            names = [row.name for row in rows if row.kind is TimerKind.TIMER]
            raise TimerNotFound(f"process {process_id} has no timer {name!r}{did_you_mean(name, names)}", process_id=process_id, timer=name)
        if self._server is None:
            require_status(self.engine.load(process_id))
            return self.set_timer(process_id, name, self.engine.now(), order)
        if (fired := self.executor.fire(process_id, timer, order=order)) is not None:
            return fired
        require_status(self.engine.load(process_id))
        raise ProcessBusy(f"timer {name!r} of process {process_id} was fired or dropped by others", process_id=process_id, timer=name)

    # ------------------------------------------------------------------ common

    def _at_rest(self, process_id: UUID, decide: Callable[[Process], Process]) -> Process:
        def checked(process: Process) -> Process:
            _require_rest(process)
            return decide(process)

        return self.executor.decide(process_id, checked)

    def _require_bound(self, process: Process) -> None:
        """A client executes nothing, so it needs no names."""
        if self._server is not None:
            self.engine.require_bound(process)

    def _enter(self, process: Process, activity: str, order: Order, given: Mapping[str, Any], execute: bool) -> Process:
        now = self.engine.now()
        lasting, temporary = parameters.of_operator(process.pinned, given, self.engine.limits, present=process.parameters)
        walk = operating.walk_into(activity, order, walk_id=self.engine.new_id(), temporary=temporary, now=now)
        walk = replace(walk, inputs=lasting)
        return self._begin(process, walk, order) if execute else self._stand(process, walk)

    def _begin(self, process: Process, walk: Walk, order: Order) -> Process:
        """A server drives the walk itself; a client leaves it to any server."""
        begun = operating.begin(process, walk, order, owner=self._server, now=self.engine.now())
        return self.executor.commit(begun) if self._server is None else self.executor.go_on(process, begun)

    def _stand(self, process: Process, walk: Walk) -> Process:
        """One commit: there, timers armed, at rest; no action, no automatic transition."""
        now = self.engine.now()
        begun = replace(rules.begin(process, walk, owner=None, now=now), kind=ChangeKind.OPERATE)
        assert begun.after is not None
        lasting, _ = parameters.at_arrival(process, walk, EMPTY)
        due_of = self.engine.due_of(replace(begun.after, parameters=lasting), walk, now=now)
        armed = arming.arm(process.pinned, walk.activity, lasting, due_of)
        arrived = begun.then(rules.arrive(begun.after, lasting, armed, server=self._server, now=now))
        assert arrived.after is not None
        return self.executor.commit(arrived.then(rules.rest(arrived.after, now=now)))

    @property
    def _server(self) -> str | None:
        return self.engine.presence.incarnation


def _nothing(process: Process) -> None:
    """Nothing more stands against it."""


def _require_rest(process: Process) -> None:
    if not operating.is_at_rest(process):
        text = f"process {process.id} is executed by server {process.owner}; cancel_process stops it at its next step"
        raise ProcessBusy(text, process_id=process.id, owner=process.owner)


def require_activity(process: Process, activity: str) -> str:
    """The same name, if the scheme has it."""
    if process.pinned.activity(activity) is None:
        known = [a.name for a in process.pinned.activities]
        text = f"scheme {process.scheme_code!r} has no activity {activity!r}{did_you_mean(activity, known)}"
        raise ActivityNotFound(text, process_id=process.id, activity=activity)
    return activity


def activity_of_state(process: Process, state: str) -> str:
    """The first activity in the document that has this state and IsForSetState."""
    allowed = [a for a in process.pinned.activities if a.is_for_set_state and a.state]
    found = next((a.name for a in allowed if a.state == state), None)
    if found is None:
        known = [a.state for a in allowed]
        text = f"scheme {process.scheme_code!r} has no activity with the state {state!r} that may be set{did_you_mean(state, known)}"
        raise StateNotFound(text, process_id=process.id, state=state)
    return found


def _require_timer(process: Process, name: str) -> None:
    leading = [t.trigger.name for t in process.pinned.leaving(process.activity) if t.trigger.type is TriggerType.TIMER]
    if name not in leading:
        text = f"no transition of a timer {name!r} leads out of {process.activity!r}{did_you_mean(name, leading)}"
        raise TimerNotFound(text, process_id=process.id, timer=name)
