"""Requests with an idempotency key: done once, and every sender gets the answer of the first.

Law: a request is tried first and its key is looked at where something stood in the way: the insert of the key decides
who is the first, so the usual request costs no look. What the row tells goes before what was met on the way.

=====================================  ==============================================================
the request                            then
=====================================  ==============================================================
was executed                           its answer was stored with the end of its run
met the row of its key                 the stored answer; while it is open, ``wait`` and look again
ended with an error of its run         the error: it was stored with the end of the run
met anything else, and the key has
  a row                                as above: Fenced, ProcessBusy, StaleRevision ... may be due to it
  no row, and it is a definite no      that no is stored; where another was first, its answer counts
  no row                               the error: nothing was stored, the key may be used again
=====================================  ==============================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from workflow_runtime.core import keys
from workflow_runtime.core.answers import CommandResult
from workflow_runtime.core.keys import Answer, Key, Row
from workflow_runtime.core.process import Process
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.executor import Executor
from workflow_runtime.engine.inhand import KeyTaken
from workflow_runtime.engine.judging import Asker
from workflow_runtime.errors import CommandInProgress, ExecutionError, IdempotencyConflict, ProcessBusy, ProcessNotFound, StoreError, WorkflowError

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5  #: seconds between two looks at a key that another server has in hand


class Keyring:
    """Wraps the two verbs of the executor that take a key. Without one it adds nothing."""

    def __init__(self, engine: Engine, executor: Executor) -> None:
        self.engine, self.executor = engine, executor

    def create(
        self,
        scheme: Callable[[], Scheme],
        *,
        process_id: UUID,
        given: Mapping[str, Any],
        asker: Asker,
        tenant_id: str | None,
        key: Key | None,
        wait: float,
    ) -> Process:
        """As ``Executor.create``; of a duplicate the process that the first has created, as it stands now.

        Besides: IdempotencyConflict, CommandInProgress, ProcessNotFound (created once, and deleted since).
        """

        def act() -> Process:
            return self.executor.create(scheme(), process_id=process_id, given=given, asker=asker, tenant_id=tenant_id, key=key)

        return act() if key is None else self._once(key, wait, act, self._created, lambda process: None)

    def command(
        self,
        process_id: UUID,
        name: str,
        *,
        asker: Asker,
        given: Mapping[str, Any],
        check_restrictions: bool,
        expected_revision: int | None,
        key: Key | None,
        wait: float,
    ) -> CommandResult:
        """As ``Executor.command``; of a duplicate the answer of the first, with the process as it stands now.

        Besides: IdempotencyConflict, CommandInProgress, ProcessNotFound (the process was deleted since).
        """

        def act() -> CommandResult:
            return self.executor.command(
                process_id, name, asker=asker, given=given, check_restrictions=check_restrictions, expected_revision=expected_revision, key=key
            )

        def refusal(result: CommandResult) -> Answer | None:
            return None if result.was_executed else keys.not_executed(process_id, result.reason)

        return act() if key is None else self._once(key, wait, act, self._commanded, refusal, about=process_id)

    # ------------------------------------------------------------------ once

    def _once(
        self,
        key: Key,
        wait: float,
        act: Callable[[], T],
        replay: Callable[[Key, Answer], T],
        refusal: Callable[[T], Answer | None],
        about: UUID | None = None,
    ) -> T:
        """``about``: the process, where there is one before the request is executed."""
        try:
            result = act()
        except KeyTaken:
            return replay(key, self._awaited(key, wait))
        except ExecutionError:
            raise
        except WorkflowError as error:
            if not self._stands_for(key, error, about):
                raise
            return self._replayed_after(error, key, wait, replay)
        refused = refusal(result)
        if refused is None or self.engine.store.refuse(key, refused):
            return result
        return replay(key, self._awaited(key, wait))

    def _replayed_after(self, error: WorkflowError, key: Key, wait: float, replay: Callable[[Key, Answer], T]) -> T:
        answer = self._awaited(key, wait)
        if answer.error == error.name and answer.message == error.message:
            raise error  # it was the first itself, and has more to tell than what is stored
        return replay(key, answer)

    def _stands_for(self, key: Key, error: WorkflowError, about: UUID | None) -> bool:
        """Whether the key has a row after this error; a definite no gets one, if there is none. A database that is away has told nothing."""
        try:
            if self.engine.store.key_row(key) is not None:
                return True
            return keys.is_definite(error) and not self.engine.store.refuse(key, replace(keys.failed(error), process_id=about))
        except StoreError:
            if isinstance(error, StoreError):
                return False
            raise

    def _awaited(self, key: Key, wait: float) -> Answer:
        """The settled answer. IdempotencyConflict, CommandInProgress."""
        monotonic, pause = self.engine.clock.monotonic, FIRST_PAUSE
        deadline = monotonic() + wait
        with self.engine.bell.awaiting(key) as settled:
            while True:
                row = self._row(key)
                if row.is_settled:
                    return row.answer
                left = deadline - monotonic()
                if left <= 0:
                    raise _in_progress(key, row.answer)
                settled.wait(min(pause, left))
                settled.clear()
                pause = min(2 * pause, LONGEST_PAUSE)

    def _row(self, key: Key) -> Row:
        row = self.engine.store.key_row(key)
        if row is None:  # settled long ago, and cleared away since it was met
            raise ProcessBusy(f"the answer to the idempotency key {key.name!r} was cleared away just now; repeat the call", key=key.name)
        if row.digest != key.digest:
            text = f"the idempotency key {key.name!r} was used before for another request; give each request a key of its own"
            raise IdempotencyConflict(text, key=key.name, scope=key.scope)
        return row

    # ------------------------------------------------------------------ answers of the first

    def _created(self, key: Key, answer: Answer) -> Process:
        return self._process(key, answer)

    def _commanded(self, key: Key, answer: Answer) -> CommandResult:
        process = self._process(key, answer)
        return CommandResult(was_executed=answer.executed, process=process, reason=answer.reason, replayed=True)

    def _process(self, key: Key, answer: Answer) -> Process:
        """As it stands now, unless the answer is an error."""
        if answer.error:
            raise keys.error_of(answer)
        if answer.process_id is not None and not answer.deleted:
            with suppress(ProcessNotFound):
                return self.engine.look(answer.process_id)
        raise _deleted(key, answer)


def _deleted(key: Key, answer: Answer) -> ProcessNotFound:
    process_id, name = answer.process_id, key.name
    if answer.deleted:
        why = f": {answer.reason}" if answer.reason else ""
        text = f"process {process_id} was deleted while the request with the idempotency key {name!r} was under way{why}"
    elif answer.executed:
        text = f"process {process_id} was deleted after the request with the idempotency key {name!r} was executed; it led to {answer.activity!r}"
    else:
        text = f"process {process_id} was deleted after the request with the idempotency key {name!r} was refused: {answer.reason}"
    return ProcessNotFound(text, process_id=process_id, key=name, deleted=True)


def _in_progress(key: Key, answer: Answer) -> CommandInProgress:
    text = f"the request with the idempotency key {key.name!r} has not ended yet at process {answer.process_id}; send it again later, or with wait=SECONDS"
    return CommandInProgress(text, process_id=answer.process_id, key=key.name)
