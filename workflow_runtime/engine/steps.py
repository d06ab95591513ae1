"""What a user's action, condition or step sees: the contexts, and the journal seen from inside an action.

What a call of ``step`` means is decided by ``core.stepping``; here functions are called and rows are committed.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from workflow_runtime.core import stepping, values
from workflow_runtime.core.attempts import failures
from workflow_runtime.core.process import JournalEntry, Process, TriggerKind, Walk
from workflow_runtime.core.scheme_elements import ActionRef
from workflow_runtime.core.scheme_words import Effect
from workflow_runtime.core.stepping import Call, Done, Journal
from workflow_runtime.core.values import Limits, refuse
from workflow_runtime.errors import Fenced, StoreError

log = logging.getLogger("workflow_runtime.action")


#: the step under way in this thread or task: whose, and which call
_under_way: ContextVar[tuple[object, Call] | None] = ContextVar("step", default=None)

Check = Callable[..., Any]  #: called like the function: True, Done(result), False, or what cannot be told


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
        limits: Limits,
        deadline: datetime | None = None,
        require_hold: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(process, walk, parameters, activity=walk.activity, transition=walk.transition)
        self.attempt = walk.tries + failures(walk.attempts, index) + 1  #: counts from 1; a resume after a crash is another attempt too
        self.deadline = deadline  #: when it is given up if it still runs, aware UTC; None: it may take as long as it likes
        self.lost: StoreError | None = None  #: a step could not be journaled; kept in case the action swallows it
        self._walk, self._action, self._index = walk, action, index
        self._journal, self._record, self._now, self._limits, self._require_hold = journal, record, now, limits, require_hold
        self._occurrences: Counter[str] = Counter()
        self._doubts: list[tuple[BaseException, str]] = []  #: what at-most-once steps that nobody can check have raised, and their names
        self._ended = False
        self._lock = threading.RLock()

    @property
    def idempotency_key(self) -> str:
        """The effect key of this action, inside the function of a step (or its check) that of the step: equal over attempts, servers and resumes
        of its walk."""
        whose, call = _under_way.get() or (None, None)
        step, occurrence = (call.step, call.occurrence) if call is not None and whose is self else ("", 0)
        return stepping.effect_key(self._walk, self._action.name, self._index, step, occurrence)

    def step(
        self,
        name: str,
        function: Callable[..., Any],
        /,
        *arguments: Any,
        effect: Effect | str = Effect.AT_LEAST_ONCE,
        check_outcome: Check | None = None,
        **named: Any,
    ) -> Any:
        """``function(*arguments, **named)``, run once per walk; its result is journaled and returned.

        A later attempt gets the stored result. The result must be JSON of the closed list of types (tuples
        come back as lists). Where the function returns an awaitable, so does the call, on every attempt.
        One transaction of its own, after the function has returned.

        ``effect="at_most_once"``: an intent is committed before the function is called, so two transactions. Where that
        stands without a result (a crash, an exception), the function is not called again, unless ``check_outcome``, called with
        the same arguments, says that it was not done: ``False``. ``True`` or ``Done(result)``: it was. Anything else is OutcomeUnknown.

        Errors: ParameterError (a result, name or effect that cannot be taken; a step inside a step), JournalMismatch
        (the same step with other arguments), OutcomeUnknown, Fenced (also where the action has ended).
        """
        once = _admitted(name, function, effect, check_outcome, self._limits)
        call = stepping.call_of(self._walk, self._action.name, self._index, name, self._occurrence(name), arguments, named)
        run = partial(function, *arguments, **named)
        check = None if check_outcome is None else partial(check_outcome, *arguments, **named)
        perform = partial(self._perform, call, run, check, once=once)
        return _awaited(perform) if inspect.iscoroutinefunction(run) else perform()

    def _perform(self, call: Call, run: Callable[[], Any], check: Check | None, *, once: bool) -> Any:
        with self._lock:
            self._require_open(call.step)
        row = self._journal.of(self.process, call)
        if row is None:
            if once:
                self._commit(call.intent(self.process.token, self._now()))
            return self._start(call, run, unchecked=once and check is None)
        if row.intent:
            return self._ask(call, run, check)
        result = values.decode(row.result)
        return _awaitable(result) if row.digest == call.awaited_digest else result

    def _occurrence(self, name: str) -> int:
        """Counted where the call is made, and not where it is awaited, so that it is the same on every attempt."""
        whose, outer = _under_way.get() or (None, None)
        if outer is not None and whose is self:
            text = f"step {name!r} was called inside step {outer.step!r}; call it before or behind it: where that one is finished, it would not be met"
            refuse("nested_step", text, step=name)
        with self._lock:
            occurrence = self._occurrences[name]
            self._occurrences[name] += 1
        return occurrence

    # ------------------------------------------------------------------ to call the function

    def _start(self, call: Call, run: Callable[[], Any], *, unchecked: bool = False, awaited: bool = False) -> Any:
        """``unchecked``: where it raises, nobody can tell whether it was done. ``awaited``: the call is awaited whatever the function returns."""
        with self._inside(call, unchecked=unchecked):
            outcome = run()
            if not inspect.isawaitable(outcome):
                return self._finish(call, outcome, awaited=awaited)
        return self._started(call, outcome, unchecked)

    async def _started(self, call: Call, outcome: Awaitable[Any], unchecked: bool) -> Any:
        with self._inside(call, unchecked=unchecked):
            return self._finish(call, await outcome, awaited=True)

    @contextmanager
    def _inside(self, call: Call, *, unchecked: bool = False) -> Iterator[None]:
        token = _under_way.set((self, call))
        try:
            yield
        except BaseException as error:  # a task that is cancelled, too, has begun what nobody can check
            if unchecked:
                self._doubts.append((error, call.step))
            raise
        finally:
            _under_way.reset(token)

    def doubtful(self, error: BaseException | None) -> str:
        """The at-most-once step whose function raised this error, or one that it came of; empty: none that nobody can check."""
        came_of: list[BaseException] = []
        while error is not None and all(error is not each for each in came_of):
            came_of.append(error)
            error = error.__cause__ or error.__context__
        # a time limit does not say which cancellation it came of
        return next((step for raised, step in self._doubts if not isinstance(raised, Exception) or any(raised is each for each in came_of)), "")

    # ------------------------------------------------------------------ to ask whether it was done

    def _ask(self, call: Call, run: Callable[[], Any], check: Check | None) -> Any:
        if check is None:
            raise stepping.outcome_unknown(self.process, call)
        try:
            with self._inside(call):
                answer = check()
        except Exception as error:
            raise stepping.outcome_unknown(self.process, call) from error
        if inspect.isawaitable(answer):
            return self._asked(call, run, answer)
        return self._answered(call, run, answer, awaited=inspect.iscoroutinefunction(run))

    async def _asked(self, call: Call, run: Callable[[], Any], answer: Awaitable[Any]) -> Any:
        try:
            with self._inside(call):
                told = await answer
        except Exception as error:
            raise stepping.outcome_unknown(self.process, call) from error
        result = self._answered(call, run, told, awaited=True)
        return await result if inspect.isawaitable(result) else result

    def _answered(self, call: Call, run: Callable[[], Any], answer: Any, *, awaited: bool) -> Any:
        if isinstance(answer, Done):
            return self._finish(call, answer.result, awaited=awaited)
        if answer is True:
            return self._finish(call, None, awaited=awaited)
        if answer is False and not self._walk.timeouts:  # else a thread that was left behind may still do it
            return self._start(call, run, awaited=awaited)
        raise stepping.outcome_unknown(self.process, call)

    # ------------------------------------------------------------------ rows

    def _finish(self, call: Call, result: Any, *, awaited: bool) -> Any:
        text = stepping.stored_form(call, result, self._limits)
        self._commit(call.finished(text, self._now(), awaited=awaited))
        return values.decode(text)

    def _commit(self, entry: JournalEntry) -> None:
        with self._lock:
            self._require_open(entry.step)
            try:
                self._record(entry)
            except StoreError as error:
                self.lost = error
                raise

    def _require_open(self, step: str) -> None:
        if self._ended:
            text = f"action {self._action.name!r} has ended; of step {step!r}, which it left behind in a thread or task, nothing is started or journaled"
            raise Fenced(text, process_id=self.process_id)
        if self.lost is not None:
            raise self.lost
        self._require_hold()

    def end(self) -> None:
        """The action has returned or raised: what it left behind in other threads starts and writes nothing more."""
        with self._lock:
            self._ended = True


def _admitted(name: str, function: object, effect: Effect | str, check: object, limits: Limits) -> bool:
    """Whether the step is to be done at most once. ParameterError for what is no step."""
    values.check_name(name, limits=limits)
    if effect not in tuple(Effect):
        refuse("bad_value", f"the effect of step {name!r} is {effect!r}; expected one of {', '.join(repr(each.value) for each in Effect)}", step=name)
    if check is not None and effect != Effect.AT_MOST_ONCE:
        refuse("bad_value", f"step {name!r} has a check_outcome, which is asked only where effect='at_most_once'; give it that effect too", step=name)
    for what, given in (("function", function), ("check_outcome", check)):
        if given is not None and not callable(given):
            refuse("type_error", f"the {what} of step {name!r} is of type {type(given).__name__}; hand in the callable and its arguments one by one", step=name)
    return effect == Effect.AT_MOST_ONCE


async def _awaited(perform: Callable[[], Any]) -> Any:
    """Of an ``async def`` function nothing happens before the call is awaited; so what is wrong with one of several does not keep the others from it."""
    result = perform()
    return await result if inspect.isawaitable(result) else result


async def _awaitable(result: Any) -> Any:
    return result
