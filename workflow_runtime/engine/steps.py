"""What a user's action, condition or step sees: the contexts, and the journal seen from inside an action.

A step is found by (walk, action, name, occurrence). Its effect key is made of the same four, never of the
attempt, the token or the server, so that a receiver can tell a repetition from new work.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any
from uuid import UUID

from workflow_runtime.core import values
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.process import JournalEntry, Parameters, Process, TriggerKind, Walk
from workflow_runtime.core.scheme_elements import ActionRef
from workflow_runtime.errors import Fenced, JournalMismatch, ParameterError, StoreError

log = logging.getLogger("workflow_runtime.action")


AWAITED = "awaited"  #: stands in the digest of a step whose function returned an awaitable

#: the step under way in this thread or task: whose, its name, its occurrence
_under_way: ContextVar[tuple[object, str, int] | None] = ContextVar("step", default=None)


class Journal:
    """The rows of one walk: the outcomes of its finished actions and steps."""

    def __init__(self, entries: Iterable[JournalEntry] = ()) -> None:
        self.steps: dict[tuple[int, str, int], JournalEntry] = {}
        self.changes: Parameters = EMPTY  #: of all finished actions, later ones win
        for entry in entries:
            if entry.step:
                self.steps[entry.index, entry.step, entry.occurrence] = entry
            elif entry.changes:
                self.changes = FrozenDict({**self.changes, **entry.changes})


class Context:
    """What a condition sees: the process and the trigger, to read. ``parameters`` is a mapping."""

    def __init__(self, process: Process, walk: Walk | None, parameters: Mapping[str, Any], *, activity: str, transition: str | None) -> None:
        self.process = process
        self.process_id: UUID = process.id
        self.parameters = parameters
        self.identity = walk.identity if walk else None
        self.impersonated_identity = walk.impersonated_identity if walk else None
        self.command = walk.run.name if walk and walk.run.kind is TriggerKind.COMMAND else None
        self.timer = walk.run.name if walk and walk.run.kind is TriggerKind.TIMER else None
        self.activity = activity  #: where the transition leads
        self.transition = transition or None

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that names the process."""
        return logging.LoggerAdapter(log, {"process_id": str(self.process_id)})


Record = Callable[[JournalEntry], None]


class ActionContext(Context):
    """What an action sees. ``parameters`` is a copy of its own; what it changes there is journaled with it."""

    parameters: dict[str, Any]

    def __init__(
        self,
        process: Process,
        walk: Walk,
        parameters: dict[str, Any],
        action: ActionRef,
        index: int,
        *,
        journal: Journal,
        record: Record,
        now: Callable[[], datetime],
    ) -> None:
        super().__init__(process, walk, parameters, activity=walk.activity, transition=walk.transition)
        self.attempt = walk.tries + 1  #: counts from 1; a resume after a crash is another attempt
        self.deadline: datetime | None = None  #: set by a later release with activity timeouts
        self.lost: StoreError | None = None  #: a step could not be journaled; kept in case the action swallows it
        self._walk, self._action, self._index = walk, action, index
        self._journal, self._record, self._now = journal, record, now
        self._occurrences: Counter[str] = Counter()
        self._ended = False
        self._lock = threading.RLock()

    @property
    def idempotency_key(self) -> str:
        """The effect key of this action, inside the function of a step that of the step: equal over attempts, servers and resumes of its walk."""
        whose, step, occurrence = _under_way.get() or (None, "", 0)
        if whose is not self:
            step, occurrence = "", 0
        return effect_key(self._walk, self._action.name, self._index, step, occurrence)

    def step(self, name: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """``function(*arguments, **named)``, run once per walk; its result is journaled and returned.

        A later attempt gets the stored result. The result must be JSON of the closed list of types (tuples
        come back as lists). Where the function returns an awaitable, so does the call, on every attempt.
        Errors: ParameterError (a result or argument that cannot be stored), JournalMismatch (the same step
        with other arguments), Fenced. One transaction of its own, after the function has returned.
        """
        values.check_name(name)
        called = [*map(_digestible, arguments), {name: _digestible(argument) for name, argument in named.items()}]
        digests = values.digest(called), values.digest([called, AWAITED])
        with self._lock:
            occurrence = self._occurrences[name]
            self._occurrences[name] += 1
        stored = self._journal.steps.get((self._index, name, occurrence))
        if stored is not None:
            result = self._stored(stored, digests)
            return _awaitable(result) if stored.digest == digests[1] else result
        with self._inside(name, occurrence):
            outcome = function(*arguments, **named)
        if inspect.isawaitable(outcome):
            return self._awaited(name, occurrence, digests[1], outcome)
        return self._finish(name, occurrence, digests[0], outcome)

    async def _awaited(self, name: str, occurrence: int, digest: str, outcome: Awaitable[Any]) -> Any:
        with self._inside(name, occurrence):
            result = await outcome
        return self._finish(name, occurrence, digest, result)

    @contextmanager
    def _inside(self, name: str, occurrence: int) -> Iterator[None]:
        token = _under_way.set((self, name, occurrence))
        try:
            yield
        finally:
            _under_way.reset(token)

    def _finish(self, name: str, occurrence: int, digest: str, result: Any) -> Any:
        text = values.encode(result)
        entry = JournalEntry(
            walk_id=self._walk.id,
            activity=self._walk.activity,
            action=self._action.name,
            index=self._index,
            step=name,
            occurrence=occurrence,
            digest=digest,
            result=text,
            at=self._now(),
        )
        with self._lock:
            self._commit(entry)
        return values.decode(text)

    def _commit(self, entry: JournalEntry) -> None:
        if self._ended:
            text = f"action {entry.action!r} has ended; the result of step {entry.step!r}, which it left behind in a thread or task, is not journaled"
            raise Fenced(text, process_id=self.process_id)
        if self.lost is not None:
            raise self.lost
        try:
            self._record(entry)
        except StoreError as error:
            self.lost = error
            raise

    def end(self) -> None:
        """The action has returned or raised: what it left behind in other threads writes nothing more."""
        with self._lock:
            self._ended = True

    def _stored(self, entry: JournalEntry, digests: tuple[str, str]) -> Any:
        if entry.digest not in digests:
            raise JournalMismatch(
                f"step {entry.step!r} of action {entry.action!r} (activity {entry.activity!r}) was journaled with other arguments; "
                "give it another name, or pass it the same arguments on every attempt",
                process_id=self.process_id,
                activity=entry.activity,
                action=entry.action,
                step=entry.step,
            )
        return values.decode(entry.result)


def effect_key(walk: Walk, action: str, index: int, step: str = "", occurrence: int = 0) -> str:
    """The walk's id and a digest of what is done in it: 49 characters of hexadecimal digits and one dash."""
    what = values.digest([walk.activity, index, action, step, occurrence])
    return f"{walk.id}-{what[:16]}"


def _digestible(argument: Any) -> Any:
    """Arguments that cannot be stored (clients, sessions) count by their type only."""
    try:
        values.encode(argument)
    except ParameterError:
        return f"<{type(argument).__module__}.{type(argument).__qualname__}>"
    return argument


async def _awaitable(result: Any) -> Any:
    return result
