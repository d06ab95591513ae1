"""What a call of ``ctx.step`` means, given what the journal of its walk holds.

Law: a step whose result was journaled is never started again within its walk. One that is to be done at most once is
never started again once its intent was journaled, unless its check says that it was not done. A step is found by
(walk, action, name, occurrence); its effect key is made of the same four, never of the attempt, the token or the server.

====================  =============  ====================================================================
the journal holds     the arguments  what follows
====================  =============  ====================================================================
nothing                              the function is called; at most once: behind the commit of an intent
a result              the same       the result
an intent only        the same       the check is asked; without one OutcomeUnknown
either                others         JournalMismatch
====================  =============  ====================================================================

================================  ====================================================================
the check answers                 what follows
================================  ====================================================================
``True``, ``Done(result)``        the result (of ``True``: None) is journaled and returned
``False``                         the function is called, with the same effect key; but OutcomeUnknown where an action of the walk
                                  was given up at its deadline, for a thread that was left behind may still do it
anything else, or it raises       OutcomeUnknown
================================  ====================================================================

An intent counts whatever the code says that runs now, also where the step is no longer said to be done at most once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from workflow_runtime.core import values
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.process import JournalEntry, Parameters, Process, Walk
from workflow_runtime.core.values import LIMITS, Limits, refuse
from workflow_runtime.errors import JournalMismatch, OutcomeUnknown, ParameterError

AWAITED = "awaited"  #: stands in the digest of a step whose function returned an awaitable

Key = tuple[int, str, int]  #: index of the action, name of the step, occurrence


class Done(NamedTuple):
    """What a ``check_outcome`` of ``ctx.step`` answers where the step was done and its result matters."""

    result: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of ``ctx.step``: which step it is, and what its arguments come to."""

    walk_id: str
    activity: str
    action: str
    index: int  #: of the action in its activity
    step: str
    occurrence: int  #: of this name in this attempt at the action, from 0
    digest: str
    awaited_digest: str
    shape: str  #: types of the arguments, for messages

    @property
    def key(self) -> Key:
        return self.index, self.step, self.occurrence

    def intent(self, token: int, now: datetime) -> JournalEntry:
        """With the token of its claim: who took the walk over and makes the same intent at the same moment, writes another row."""
        return self._row(self.digest, values.encode(token), now, intent=True)

    def finished(self, text: str, now: datetime, *, awaited: bool) -> JournalEntry:
        """``text`` is the stored form of the result."""
        return self._row(self.awaited_digest if awaited else self.digest, text, now, intent=False)

    def _row(self, digest: str, result: str, now: datetime, *, intent: bool) -> JournalEntry:
        return JournalEntry(
            walk_id=self.walk_id,
            activity=self.activity,
            action=self.action,
            index=self.index,
            step=self.step,
            occurrence=self.occurrence,
            digest=digest,
            result=result,
            intent=intent,
            at=now,
        )


class Journal:
    """The rows of one walk: what its actions have changed, its finished steps, and the intents of others."""

    def __init__(self, entries: Iterable[JournalEntry] = ()) -> None:
        self.changes: Parameters = EMPTY  #: of all finished actions, later ones win
        self._finished: dict[Key, JournalEntry] = {}
        self._intents: dict[Key, JournalEntry] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: JournalEntry) -> None:
        if entry.step:
            (self._intents if entry.intent else self._finished)[entry.index, entry.step, entry.occurrence] = entry
        elif entry.changes:
            self.changes = FrozenDict({**self.changes, **entry.changes})

    def of(self, process: Process, call: Call) -> JournalEntry | None:
        """The row of its result, else that of its intent. JournalMismatch where it was called with other arguments."""
        row = self._finished.get(call.key) or self._intents.get(call.key)
        if row is not None and row.digest not in (call.digest, call.awaited_digest):
            raise _mismatch(process, call, row)
        return row


def call_of(walk: Walk, action: str, index: int, name: str, occurrence: int, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Call:
    called = [*map(_digestible, arguments), {each: _digestible(argument) for each, argument in named.items()}]
    return Call(
        walk_id=walk.id,
        activity=walk.activity,
        action=action,
        index=index,
        step=name,
        occurrence=occurrence,
        digest=values.digest(called),
        awaited_digest=values.digest([called, AWAITED]),
        shape=_shape(arguments, named),
    )


def effect_key(walk: Walk, action: str, index: int, step: str = "", occurrence: int = 0) -> str:
    """The walk's id and a digest of what is done in it: 49 characters of hexadecimal digits and one dash."""
    what = values.digest([walk.activity, index, action, step, occurrence])
    return f"{walk.id}-{what[:16]}"


def stored_form(call: Call, result: Any, limits: Limits = LIMITS) -> str:
    """ParameterError for a result that cannot be stored, with the name of its step."""
    try:
        text = values.encode(result)
    except ParameterError as error:
        raise ParameterError(f"the result of step {call.step!r}: {error.message}", **error.nouns | {"step": call.step}) from error
    size = len(text) if text.isascii() else len(text.encode())
    if size > limits.value_bytes:
        told = f"the result of step {call.step!r} has {size} bytes and {limits.value_bytes} are allowed; return a reference to it"
        refuse("too_large", told, step=call.step, limit=limits.value_bytes)
    return text


def outcome_unknown(process: Process, call: Call) -> OutcomeUnknown:
    """As an operator would want to read it."""
    return OutcomeUnknown(
        f"process {process.id}: step {call.step!r} of action {call.action!r} of activity {call.activity!r} is to be done at most once and "
        "may have been started: outcome unknown; look what it did, then set_activity or set_state moves the process on",
        process_id=process.id,
        scheme_code=process.scheme_code,
        activity=call.activity,
        action=call.action,
        step=call.step,
        occurrence=call.occurrence,
    )


def _mismatch(process: Process, call: Call, row: JournalEntry) -> JournalMismatch:
    return JournalMismatch(
        f"process {process.id}: step {call.step!r} (call {call.occurrence + 1} of this name) of action {call.action!r} of activity {call.activity!r} "
        f"was journaled at {row.at.isoformat()} with other arguments, of digest {row.digest[:12]}; now it is called with {call.shape}, "
        f"of digest {call.digest[:12]}; give it another name, or pass it the same arguments on every attempt",
        process_id=process.id,
        scheme_code=process.scheme_code,
        activity=call.activity,
        action=call.action,
        step=call.step,
        occurrence=call.occurrence,
        journaled=row.digest,
        called=call.digest,
    )


def _digestible(argument: Any) -> Any:
    """Arguments that cannot be stored (clients, sessions) count by their type only."""
    try:
        values.encode(argument)
    except ParameterError:
        return f"<{type(argument).__module__}.{type(argument).__qualname__}>"
    return argument


def _shape(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    """Types and names only: values may be secrets, and messages go to history."""
    parts = [*(type(each).__name__ for each in arguments), *(f"{name}: {type(each).__name__}" for name, each in named.items())]
    return f"({', '.join(parts)})"
