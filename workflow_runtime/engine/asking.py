"""Asks restorers: one by one, in order, each within a time limit and with no transaction open.

What raises, hangs or answers nonsense counts as Default, with the cause in history; the pass goes on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from workflow_runtime.catalogue import Restorer
from workflow_runtime.core import parameters
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.core.recovering import Case
from workflow_runtime.core.restoring import InterruptedProcess, RestoreDecision
from workflow_runtime.core.values import check_parameters
from workflow_runtime.errors import WorkflowError

log = logging.getLogger("workflow_runtime.recovery")

T = TypeVar("T")


class Panel:
    """The restorers of one pass. ``need_custom_restore`` is asked once per (scheme, preliminary status)."""

    def __init__(self, restorers: Sequence[Restorer], *, timeout: float) -> None:
        self._restorers, self._timeout = restorers, timeout
        self._wanted: dict[tuple[str, ProcessStatus], tuple[Restorer | None, str]] = {}

    def wanted_by(self, case: Case) -> Restorer | None:
        """The first restorer that wants processes like this one."""
        return self._choice(case)[0]

    def trouble(self, case: Case) -> str:
        """What went wrong while they were asked; empty: nothing."""
        return self._choice(case)[1]

    def decision(self, restorer: Restorer, evidence: Callable[[], InterruptedProcess]) -> tuple[RestoreDecision, str]:
        """Its answer, and why it cannot be taken (then the answer is Default)."""
        try:
            answer = bounded(lambda: restorer.restorer.get_custom_restore_decision(evidence()), self._timeout)
            return _checked(answer), ""
        except BaseException as error:
            log.warning("restorer %s: %s", restorer.name, error, exc_info=error)
            return RestoreDecision.default(), _cause(restorer, error)

    def _choice(self, case: Case) -> tuple[Restorer | None, str]:
        pair = (case.process.scheme_code, case.preliminary_status)
        if pair not in self._wanted:
            self._wanted[pair] = self._ask_all(*pair)
        return self._wanted[pair]

    def _ask_all(self, scheme_code: str, status: ProcessStatus) -> tuple[Restorer | None, str]:
        troubles: list[str] = []
        for restorer in self._restorers:
            try:
                if bounded(lambda asked=restorer: asked.restorer.need_custom_restore(scheme_code, status), self._timeout):  # type: ignore[misc]
                    return restorer, "; ".join(troubles)
            except BaseException as error:
                log.warning("restorer %s: %s", restorer.name, error, exc_info=error)
                troubles.append(_cause(restorer, error))
        return None, "; ".join(troubles)


def bounded(function: Callable[[], T], timeout: float) -> T:
    """``function()`` in a thread of its own; TimeoutError after ``timeout`` seconds, and the thread is left behind."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append((True, function()))
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=work, name="workflow-runtime-restorer", daemon=True)
    thread.start()
    thread.join(timeout)
    if not outcome:
        raise TimeoutError(f"no answer within {timeout:g} s")
    succeeded, value = outcome[0]
    if not succeeded:
        raise value
    answer: T = value
    return answer


def _checked(answer: object) -> RestoreDecision:
    """TypeError or ParameterError for what is no decision or holds what cannot be stored."""
    if not isinstance(answer, RestoreDecision):
        raise TypeError(f"answered {answer!r:.200}; expected a RestoreDecision")
    for given in (answer.persistent, answer.temporary, answer.evidence):
        check_parameters(given)
    parameters.refuse_system_names([*answer.persistent, *answer.temporary])
    if not isinstance(answer.reason, str):
        raise TypeError(f"gave the reason {answer.reason!r:.200}; expected a text")
    return answer


def _cause(restorer: Restorer, error: BaseException) -> str:
    message = error.message if isinstance(error, WorkflowError) else str(error)
    return f"restorer {restorer.name}: {type(error).__name__}: {message}"[:2_000]
