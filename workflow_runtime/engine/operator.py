"""Carries out an operator's verbs. A client leaves what needs actions to any server; a server does it itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from workflow_runtime.core import arming, operating, parameters, rules, timing
from workflow_runtime.core.frozen import EMPTY
from workflow_runtime.core.nearness import did_you_mean
from workflow_runtime.core.operating import Order
from workflow_runtime.core.process import CancelRequest, ChangeKind, Process, TimerKind, Walk
from workflow_runtime.core.scheme_words import TriggerType
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.executor import Executor, Load, require_revision, require_status
from workflow_runtime.engine.judging import Judge
from workflow_runtime.errors import ActivityNotFound, ConditionFailed, ProcessBusy, StateNotFound, TimerNotFound


class Operator:
    """Each verb acts on one process and returns it as it stands afterwards, or None where it was deleted."""

    def __init__(self, engine: Engine, executor: Executor) -> None:
        self.engine, self.executor = engine, executor

    def set_activity(self, process_id: UUID, activity: str, order: Order, given: Mapping[str, Any], *, execute: bool) -> Process:
        """Enters the activity with its actions, or only stands there. ActivityNotFound, ProcessBusy."""

        def decide(process: Process) -> Process:
            require_activity(process, activity)
            return self._enter(process, activity, order, given, execute)

        return self._at_rest(process_id, decide)

    def set_state(self, process_id: UUID, state: str, order: Order, given: Mapping[str, Any], *, execute: bool) -> Process:
        """The first activity in the document with this state that may be set. StateNotFound."""

        def decide(process: Process) -> Process:
            return self._enter(process, activity_of_state(process, state), order, given, execute)

        return self._at_rest(process_id, decide)

    def resume(self, process_id: UUID, order: Order, expected_revision: int | None) -> Process:
        """An interrupted or failed walk goes on; without one automatic transitions are tried, else it waits: Idled."""

        def decide(process: Process) -> Process:
            now = self.engine.now()
            if process.walk is not None:
                return self._begin(process, operating.resume(process, process.walk, order, now=now), order)
            walk = operating.walk_into(process.activity, order, walk_id=self.engine.new_id(), temporary=EMPTY, now=now)
            try:
                transition = Judge(self.engine, self.engine.compiled(process), process, walk).choose_automatic()
            except ConditionFailed as error:
                return self.executor.break_off(process, walk, error)
            if transition is None:
                return self.executor.commit(operating.settle(process, order, server=self._server, now=now))
            following = rules.next_walk(walk, transition, EMPTY, walk_id=walk.id, now=now)
            return self._begin(process, replace(following, actor=order.actor, reason=order.reason), order)

        return self._at_rest(process_id, decide, expected_revision)

    def cancel(self, process_id: UUID, order: Order, expected_revision: int | None) -> Process:
        """At rest or waiting at once; of a Running process at its next step boundary (the answer is still Running)."""
        request = CancelRequest(order.actor, order.reason)

        def decide(process: Process) -> Process:
            require_revision(process, expected_revision)
            if process.owner is not None and self.engine.store.request_cancel(process.id, request):
                return self.engine.look(process.id)
            return self.executor.commit(rules.cancel(process, request, server=self._server, now=self.engine.now()))

        return self.executor.decide(process_id, decide, load=self.engine.look)

    def delete(self, process_id: UUID, order: Order, expected_revision: int | None) -> Process:
        """The answer is the process as it was."""

        def decide(process: Process) -> Process:
            self.executor.commit(operating.delete(process, order, server=self._server, now=self.engine.now()))
            return process

        return self._at_rest(process_id, decide, expected_revision, load=self.engine.look)

    def set_parameter(self, process_id: UUID, name: str, value: Any, order: Order) -> Process:
        """At once and for good; None removes it. ParameterError for system names, declared temporary ones and wrong types."""

        def decide(process: Process) -> Process:
            changes = parameters.for_good(process, name, value, self.engine.settings.limits)
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

    def _at_rest(self, process_id: UUID, decide: Callable[[Process], Process], expected_revision: int | None = None, *, load: Load | None = None) -> Process:
        def checked(process: Process) -> Process:
            require_revision(process, expected_revision)
            if not operating.is_at_rest(process):
                text = f"process {process.id} is executed by server {process.owner}; cancel_process stops it at its next step"
                raise ProcessBusy(text, process_id=process.id, owner=process.owner)
            return decide(process)

        return self.executor.decide(process_id, checked, load=load)

    def _enter(self, process: Process, activity: str, order: Order, given: Mapping[str, Any], execute: bool) -> Process:
        now = self.engine.now()
        lasting, temporary = parameters.of_operator(process.pinned, given, self.engine.settings.limits, present=process.parameters)
        walk = operating.walk_into(activity, order, walk_id=self.engine.new_id(), temporary=temporary, now=now)
        walk = replace(walk, inputs=lasting)
        return self._begin(process, walk, order) if execute else self._stand(process, walk)

    def _begin(self, process: Process, walk: Walk, order: Order) -> Process:
        """A server drives the walk itself; a client leaves it to any server."""
        begun = operating.begin(process, walk, order, owner=self._server, now=self.engine.now())
        if self._server is None:
            return self.executor.commit(begun)
        self.engine.require_bound(process)
        return self.executor.go_on(process, begun)

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


def require_activity(process: Process, activity: str) -> None:
    if process.pinned.activity(activity) is None:
        known = [a.name for a in process.pinned.activities]
        text = f"scheme {process.scheme_code!r} has no activity {activity!r}{did_you_mean(activity, known)}"
        raise ActivityNotFound(text, process_id=process.id, activity=activity)


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
