"""What an operator does with processes: each verb names its actor and its reason, and both stay in history.

Each takes one id, or a filter and then answers with an OperationReport; one transaction per process. ``dry_run`` says
of each what would become of it and changes nothing.

==================  ================================================  =============================================
target              the deed                                          the dry run
==================  ================================================  =============================================
one id              the process as it stands, or the error            a report of one, or the error of the deed
a filter            a report; what fails stops nobody                 a report; refusals are in its ``failed``
==================  ================================================  =============================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, overload
from uuid import UUID

from workflow_runtime.core.answers import Match, OperationReport
from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.pages import MOST_ROWS
from workflow_runtime.core.process import Process
from workflow_runtime.engine.operator import Deed
from workflow_runtime.errors import ParameterError, WorkflowError
from workflow_runtime.runtime import given
from workflow_runtime.runtime.verbs import Verbs

Target = UUID | str | ProcessFilter


class Operators(Verbs):
    def set_activity(
        self,
        target: Target,
        activity: str,
        *,
        actor: str,
        reason: str,
        parameters: Mapping[str, Any] | None = None,
        execute: bool = True,
        expected_revision: int | None = None,
        dry_run: bool = False,
    ) -> Process | OperationReport:
        """Enters the activity with its actions; ``execute=False`` only stands there. ActivityNotFound, ProcessBusy, ParameterError."""
        order, name = given.order("set_activity", actor, reason), given.name(activity, "an activity")
        deed = self._parts.operator.set_activity(name, order, given.values(parameters), execute=execute)
        return self._on(target, order.verb, deed, expected_revision, dry_run)

    def set_state(
        self,
        target: Target,
        state: str,
        *,
        actor: str,
        reason: str,
        parameters: Mapping[str, Any] | None = None,
        execute: bool = True,
        expected_revision: int | None = None,
        dry_run: bool = False,
    ) -> Process | OperationReport:
        """Enters the first activity with this state that may be set. StateNotFound, ProcessBusy, ParameterError."""
        order, name = given.order("set_state", actor, reason), given.name(state, "a state")
        deed = self._parts.operator.set_state(name, order, given.values(parameters), execute=execute)
        return self._on(target, order.verb, deed, expected_revision, dry_run)

    @overload
    def resume_process(
        self, target: UUID | str, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: Literal[False] = False
    ) -> Process: ...
    @overload
    def resume_process(
        self, target: UUID | str, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool
    ) -> Process | OperationReport: ...
    @overload
    def resume_process(self, target: ProcessFilter, *, actor: str, reason: str, dry_run: bool = False) -> OperationReport: ...
    def resume_process(
        self, target: Target, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool = False
    ) -> Process | OperationReport:
        """An interrupted or failed walk goes on, finished steps are skipped, deaths and attempts count anew. NotResumable, ProcessBusy."""
        order = given.order("resume", actor, reason)
        return self._on(target, order.verb, self._parts.operator.resume(order), expected_revision, dry_run)

    @overload
    def cancel_process(
        self, target: UUID | str, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: Literal[False] = False
    ) -> Process: ...
    @overload
    def cancel_process(
        self, target: UUID | str, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool
    ) -> Process | OperationReport: ...
    @overload
    def cancel_process(self, target: ProcessFilter, *, actor: str, reason: str, dry_run: bool = False) -> OperationReport: ...
    def cancel_process(
        self, target: Target, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool = False
    ) -> Process | OperationReport:
        """At rest or waiting at once; a Running process at its next step boundary (the answer is still Running)."""
        order = given.order("cancel", actor, reason)
        return self._on(target, order.verb, self._parts.operator.cancel(order), expected_revision, dry_run)

    @overload
    def delete_process(
        self, target: UUID | str, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: Literal[False] = False
    ) -> Process: ...
    @overload
    def delete_process(
        self, target: UUID | str, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool
    ) -> Process | OperationReport: ...
    @overload
    def delete_process(self, target: ProcessFilter, *, actor: str, reason: str, dry_run: bool = False) -> OperationReport: ...
    def delete_process(
        self, target: Target, *, actor: str, reason: str, expected_revision: int | None = None, dry_run: bool = False
    ) -> Process | OperationReport:
        """Process, timers and journal go, history stays. The answer for one id is the process as it was. ProcessBusy."""
        order = given.order("delete", actor, reason)
        return self._on(target, order.verb, self._parts.operator.delete(order), expected_revision, dry_run)

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

    def _on(self, target: Target, verb: str, deed: Deed, expected_revision: int | None, dry_run: bool) -> Process | OperationReport:
        operator, revision = self._parts.operator, given.revision(expected_revision)
        if isinstance(target, ProcessFilter):
            if revision is not None:
                raise ParameterError("expected_revision is that of one process; give its id instead of a filter", code="bad_revision")
            return self._on_all(target, verb, deed, dry_run)
        process_id = given.process_id(target)
        if not dry_run:
            return operator.carry_out(process_id, deed, revision)
        return OperationReport(verb=verb, dry_run=True, matched=(process_id,), planned={process_id: operator.foresee(process_id, deed, revision)})

    def _on_all(self, filter: ProcessFilter, verb: str, deed: Deed, dry_run: bool) -> OperationReport:
        """Ids are read page by page, processes one by one. What has changed since its id was read may not match any more: StaleRevision."""
        operator = self._parts.operator
        matched, planned, done, requested, failed = list[UUID | str](), dict[UUID | str, str](), list[UUID | str](), list[UUID | str](), dict[UUID | str, str]()
        for one, revision in self._matching(filter):
            matched.append(one)
            try:
                process_id = given.process_id(one)
                if dry_run:
                    planned[one] = operator.foresee(process_id, deed, revision)
                else:
                    after = operator.carry_out(process_id, deed, revision)
                    (requested if after.cancel_requested is not None and after.owner is not None else done).append(one)
            except WorkflowError as error:
                failed[one] = f"{error.name}: {error.message}"
        return OperationReport(verb=verb, dry_run=dry_run, matched=tuple(matched), planned=planned, done=tuple(done), requested=tuple(requested), failed=failed)

    def _matching(self, filter: ProcessFilter) -> Iterator[Match]:
        cursor: str | None = None
        while True:
            page = self._parts.reader.matches(filter, limit=MOST_ROWS, after=cursor)
            yield from page
            if (cursor := page.next) is None:
                return
