"""What an operator does with processes: each verb names its actor and its reason, and both stay in history.

Each takes one id, or a filter and then answers with an OperationReport; ``dry_run`` lists and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, overload
from uuid import UUID

from workflow_runtime.core.answers import OperationReport
from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.process import Process
from workflow_runtime.engine.operator import activity_of_state, require_activity
from workflow_runtime.errors import WorkflowError
from workflow_runtime.runtime import given
from workflow_runtime.runtime.verbs import Verbs

Target = UUID | str | ProcessFilter
Act = Callable[[UUID], object]

PAGE = 500  #: processes listed at once


class Operators(Verbs):
    def set_activity(
        self,
        process_id: UUID | str,
        activity: str,
        *,
        actor: str,
        reason: str,
        parameters: Mapping[str, Any] | None = None,
        execute: bool = True,
        dry_run: bool = False,
    ) -> Process | OperationReport:
        """Enters the activity with its actions; ``execute=False`` only stands there. ActivityNotFound, ProcessBusy."""
        order, process = given.order("set_activity", actor, reason), self._parts.engine.load(given.process_id(process_id))
        require_activity(process, activity)
        if dry_run:
            return OperationReport(verb=order.verb, dry_run=True, matched=(process.id,))
        return self._parts.operator.set_activity(process.id, activity, order, given.values(parameters), execute=execute)

    def set_state(
        self,
        process_id: UUID | str,
        state: str,
        *,
        actor: str,
        reason: str,
        parameters: Mapping[str, Any] | None = None,
        execute: bool = True,
        dry_run: bool = False,
    ) -> Process | OperationReport:
        """Enters the first activity with this state that may be set. StateNotFound, ProcessBusy."""
        order, process = given.order("set_state", actor, reason), self._parts.engine.load(given.process_id(process_id))
        activity_of_state(process, state)
        if dry_run:
            return OperationReport(verb=order.verb, dry_run=True, matched=(process.id,))
        return self._parts.operator.set_state(process.id, state, order, given.values(parameters), execute=execute)

    @overload
    def resume_process(self, target: UUID | str, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool = False) -> Process: ...
    @overload
    def resume_process(self, target: ProcessFilter, *, actor: str, reason: str, dry_run: bool = False) -> OperationReport: ...
    def resume_process(
        self, target: Target, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool = False
    ) -> Process | OperationReport:
        """An interrupted or failed walk goes on, finished steps are skipped, deaths count anew."""
        order, revision = given.order("resume", actor, reason), given.revision(expected_revision)
        return self._on(target, order.verb, dry_run, lambda one: self._parts.operator.resume(one, order, revision))

    @overload
    def cancel_process(self, target: UUID | str, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool = False) -> Process: ...
    @overload
    def cancel_process(self, target: ProcessFilter, *, actor: str, reason: str, dry_run: bool = False) -> OperationReport: ...
    def cancel_process(
        self, target: Target, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool = False
    ) -> Process | OperationReport:
        """At rest or waiting at once; a Running process at its next step boundary (the answer is still Running)."""
        order, revision = given.order("cancel", actor, reason), given.revision(expected_revision)
        return self._on(target, order.verb, dry_run, lambda one: self._parts.operator.cancel(one, order, revision))

    @overload
    def delete_process(self, target: UUID | str, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool = False) -> Process: ...
    @overload
    def delete_process(self, target: ProcessFilter, *, actor: str, reason: str, dry_run: bool = False) -> OperationReport: ...
    def delete_process(
        self, target: Target, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool = False
    ) -> Process | OperationReport:
        """Process, timers and journal go, history stays. The answer for one id is the process as it was."""
        order, revision = given.order("delete", actor, reason), given.revision(expected_revision)
        return self._on(target, order.verb, dry_run, lambda one: self._parts.operator.delete(one, order, revision))

    def set_timer(self, process_id: UUID | str, name: str, due: datetime | timedelta, *, actor: str, reason: str) -> Process:
        """The timer falls due at ``due`` (aware, or from now). TimerNotFound."""
        operator, when = self._parts.operator, given.moment(due, self._parts.engine.now())
        return operator.set_timer(given.process_id(process_id), given.name(name, "a timer"), when, given.order("set_timer", actor, reason))

    def fire_timer(self, process_id: UUID | str, name: str, *, actor: str | None = None, reason: str | None = None) -> Process:
        """Fires a timer that is set, even if it is not yet due; a client makes it due for any server. TimerNotFound."""
        order = given.order("fire_timer", actor or "runtime", reason or "fire_timer")
        return self._parts.operator.fire_timer(given.process_id(process_id), given.name(name, "a timer"), order)

    def set_parameter(self, process_id: UUID | str, name: str, value: Any, *, actor: str, reason: str) -> Process:
        """Stores a persistent value; None removes it. ParameterError."""
        order = given.order("set_parameter", actor, reason)
        return self._parts.operator.set_parameter(given.process_id(process_id), name, value, order)

    # ------------------------------------------------------------------ one or many

    def _on(self, target: Target, verb: str, dry_run: bool, act: Callable[[UUID], Process]) -> Process | OperationReport:
        if not isinstance(target, ProcessFilter):
            process_id = given.process_id(target)
            return self.get_process(process_id) if dry_run else act(process_id)
        matched = tuple(self._matching(target))
        if dry_run:
            return OperationReport(verb=verb, dry_run=True, matched=matched)
        return _each(verb, matched, act)

    def _matching(self, filter: ProcessFilter) -> Iterator[UUID]:
        cursor: str | None = None
        while True:
            page = self._parts.reader.find(filter, limit=PAGE, after=cursor)
            yield from (process.id for process in page)
            cursor = page.next
            if cursor is None:
                return


def _each(verb: str, ids: tuple[UUID, ...], act: Act) -> OperationReport:
    """One that fails does not stop the others."""
    done, failed = [], {}
    for process_id in ids:
        try:
            act(process_id)
            done.append(process_id)
        except WorkflowError as error:
            failed[process_id] = f"{error.name}: {error.message}"
    return OperationReport(verb=verb, dry_run=False, matched=ids, done=tuple(done), failed=failed)
