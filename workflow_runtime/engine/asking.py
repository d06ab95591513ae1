"""Asks restorers: one by one, in order, each within a time limit and with no transaction open.

What raises, hangs or answers nonsense counts as Default, with the cause in history; the pass goes on.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from workflow_runtime.catalogue import Restorer
from workflow_runtime.core import parameters, values
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.process import Parameters, ProcessStatus
from workflow_runtime.core.recovering import Case
from workflow_runtime.core.restoring import DecisionKind, InterruptedProcess, RestoreDecision
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.errors import WorkflowError

log = logging.getLogger("workflow_runtime.recovery")

T = TypeVar("T")

LONGEST_REASON = 2_000  #: characters kept of a reason or a cause
LONGEST_TRACEBACK = 20_000  #: and of where it came from, in the log


class NoAnswer(Exception):
    """What a restorer did instead of answering is its cause. Inside the engine only."""


class Panel:
    """The restorers of one pass. ``need_custom_restore`` is asked once per (scheme, preliminary status)."""

    def __init__(self, restorers: Sequence[Restorer], *, timeout: float, limits: values.Limits) -> None:
        self._restorers, self._timeout, self._limits = restorers, timeout, limits
        self._wanted: dict[tuple[str, ProcessStatus], tuple[Restorer | None, str]] = {}

    def wanted_by(self, case: Case) -> Restorer | None:
        """The first restorer that wants processes like this one."""
        return self._choice(case)[0]

    def trouble(self, case: Case) -> str:
        """What went wrong while they were asked whom they want; empty: nothing."""
        return self._choice(case)[1]

    def decision(self, restorer: Restorer, process: InterruptedProcess) -> tuple[RestoreDecision, str]:
        """Its answer, and why it cannot be taken (then the answer is Default)."""
        try:
            answer = bounded(lambda: restorer.restorer.get_custom_restore_decision(process), self._timeout)
            return self._checked(answer, process.pinned), ""
        except Exception as error:
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
                if bounded(lambda asked=restorer: bool(asked.restorer.need_custom_restore(scheme_code, status)), self._timeout):  # type: ignore[misc]
                    return restorer, "; ".join(troubles)
            except Exception as error:
                troubles.append(_cause(restorer, error))
        return None, "; ".join(troubles)

    def _checked(self, answer: object, scheme: Scheme) -> RestoreDecision:
        """As it can be carried out and stored; TypeError, ValueError or ParameterError for what is no decision."""
        if not isinstance(answer, RestoreDecision):
            raise TypeError(f"answered {answer!r:.200}; expected a RestoreDecision")
        for text, what in ((answer.activity, "activity"), (answer.reason, "reason")):
            if not isinstance(text, str):
                raise TypeError(f"named the {what} {text!r:.200}; expected a text")
            values.encode(text)
        return replace(
            answer,
            kind=DecisionKind(answer.kind),
            reason=answer.reason[:LONGEST_REASON],
            persistent=self._values(answer.persistent, scheme),
            temporary=self._values(answer.temporary, scheme),
            evidence=FrozenDict(values.check_parameters(answer.evidence, limits=self._limits)),
        )

    def _values(self, given: Parameters, scheme: Scheme) -> Parameters:
        """In the types that the scheme declares; None stays and removes the value."""
        return parameters.changed(EMPTY, given, scheme, self._limits)


def bounded(function: Callable[[], T], timeout: float) -> T:
    """``function()`` in a thread of its own; after ``timeout`` seconds the thread is left behind.

    NoAnswer for whatever it raises, so that an interruption of the calling thread remains one.
    """
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
        raise NoAnswer() from TimeoutError(f"no answer within {timeout:g} s")
    succeeded, value = outcome[0]
    if not succeeded:
        raise NoAnswer() from value
    answer: T = value
    return answer


def _cause(restorer: Restorer, error: BaseException) -> str:
    origin = error.__cause__ if isinstance(error, NoAnswer) and error.__cause__ is not None else error
    text = storable(f"restorer {restorer.name}: {type(origin).__name__}: {message_of(origin)}")
    log.warning("%s\n%s", text, storable("".join(traceback.format_exception(origin)), LONGEST_TRACEBACK))
    return text


def message_of(error: BaseException) -> str:
    """What it says; also of an error that cannot say it."""
    try:
        return error.message if isinstance(error, WorkflowError) else str(error)
    except Exception as worse:
        return f"(its message raises {type(worse).__name__})"


def storable(text: str, longest: int = LONGEST_REASON) -> str:
    """Without the characters that no database and no log takes, and not too long."""
    return text[:longest].encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
