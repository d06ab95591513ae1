"""Restorers for the common wishes: run again, jump, delete, resume.

The file registers nothing by itself. A host chooses, and the first that wants a process decides::

    runtime.with_process_restorer(Resume(schemes="Order"))
    runtime.with_process_restorer(JumpTo("Failed", schemes=["Invoice", "Refund"], statuses="Terminated"))

``schemes`` are scheme codes, ``statuses`` preliminary statuses, that is what the status rule would make of the
process: Error or Terminated. One or several, as text too; without them every process is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable

from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.core.restoring import InterruptedProcess, IProcessRestorer, RestoreDecision

__all__ = ["Delete", "JumpTo", "Rerun", "Resume"]

VERDICTS = (ProcessStatus.ERROR, ProcessStatus.TERMINATED)  #: what the status rule can answer


class _Chosen(IProcessRestorer):
    """Wants the processes of some schemes with some preliminary statuses; a subclass says what becomes of them."""

    def __init__(self, *, schemes: str | Iterable[str] | None = None, statuses: str | Iterable[str] | None = None) -> None:
        self.schemes = _several(schemes)
        self.statuses = frozenset(VERDICTS) if statuses is None else frozenset(_verdict(status) for status in _several(statuses) or ())

    @property
    def name(self) -> str:
        """How history calls it: the class and what it was made for."""
        return f"{type(self).__name__}({', '.join(sorted(self.schemes or ()))})"

    def need_custom_restore(self, scheme_code: str, status: ProcessStatus) -> bool:
        return status in self.statuses and (self.schemes is None or scheme_code in self.schemes)

    def __repr__(self) -> str:
        return self.name


class Rerun(_Chosen):
    """The last committed activity is entered again, its actions from the first: for actions that may safely repeat."""

    def get_custom_restore_decision(self, process: InterruptedProcess) -> RestoreDecision:
        return RestoreDecision.run_from_current_activity().because(f"{_in_flight(process)}; {process.activity or 'the initial activity'} is run again")


class JumpTo(_Chosen):
    """The process goes on in another activity of its version, say one that calls a person."""

    def __init__(self, activity: str, *, schemes: str | Iterable[str] | None = None, statuses: str | Iterable[str] | None = None) -> None:
        super().__init__(schemes=schemes, statuses=statuses)
        self.activity = activity

    def get_custom_restore_decision(self, process: InterruptedProcess) -> RestoreDecision:
        return RestoreDecision.run_from_new_activity(self.activity).because(f"{_in_flight(process)}; it goes on in {self.activity}")


class Delete(_Chosen):
    """The process goes, with its timers and its journal; history keeps the decision."""

    def get_custom_restore_decision(self, process: InterruptedProcess) -> RestoreDecision:
        return RestoreDecision.delete().because(f"{_in_flight(process)}; it is not worth keeping")


class Resume(_Chosen):
    """The interrupted walk goes on at its first unfinished step: for actions that declare themselves resumable."""

    def get_custom_restore_decision(self, process: InterruptedProcess) -> RestoreDecision:
        finished = len(process.finished_steps)
        return RestoreDecision.resume().because(f"{_in_flight(process)}; {finished} finished step{'s' * (finished != 1)} will not be repeated")


def _in_flight(process: InterruptedProcess) -> str:
    server = f"server {process.server.name}" if process.server else "an unknown server"
    if process.interrupted is None:
        return f"{server} stopped between two walks"
    where = f"action {process.interrupted.action} of activity" if process.interrupted.action else "activity"
    return f"{server} stopped in {where} {process.interrupted.activity}"


def _several(given: str | Iterable[str] | None) -> frozenset[str] | None:
    if given is None:
        return None
    return frozenset([given] if isinstance(given, str) else given)


def _verdict(status: str) -> ProcessStatus:
    if status not in VERDICTS:
        raise ValueError(f"{str(status)!r} is no preliminary status; expected {' or '.join(repr(verdict.value) for verdict in VERDICTS)}")
    return ProcessStatus(status)
