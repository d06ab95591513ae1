"""One attempt at one action: what it gets, what it may write while it runs, and what its end means."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from workflow_runtime.core import expiring, handling, parameters, recovering, retrying
from workflow_runtime.core.attempts import Attempts
from workflow_runtime.core.process import JournalEntry, Parameters, Process
from workflow_runtime.core.retrying import GiveUp, Wait
from workflow_runtime.core.scheme_elements import ActionRef, Activity, ExceptionHandler
from workflow_runtime.core.scheme_words import Effect
from workflow_runtime.core.stepping import Journal
from workflow_runtime.engine.calling import never
from workflow_runtime.engine.deadlines import Call
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.failures import action_failed, given_up, origin_of
from workflow_runtime.engine.judging import Judge
from workflow_runtime.engine.steps import ActionContext
from workflow_runtime.errors import ActionFailed, ActionTimedOut, ConditionFailed, JournalMismatch, NotResumable, OutcomeUnknown

Record = Callable[[JournalEntry], None]


def perform(engine: Engine, process: Process, action: ActionRef, index: int, **surroundings: Any) -> Parameters:
    """Its parameter changes. ActionFailed where it raised; StoreError: nothing more may be written; JournalMismatch, OutcomeUnknown: by its journal."""
    _, changes = _called(engine, process, action, index, engine.action(action.name), **surroundings)
    return changes


def outcome(engine: Engine, process: Process, action: ActionRef, index: int, **surroundings: Any) -> Parameters | None:
    """Of an action that may have been begun before and must not be repeated: its changes, None where it was not done. OutcomeUnknown."""
    spec = engine.catalogue.actions.get(action.name)
    cause: BaseException | None = None
    if spec is not None and spec.check_outcome is not None:
        try:
            done, changes = _called(engine, process, action, index, spec.check_outcome, **surroundings)
            if isinstance(done, bool):
                return changes if done else None
        except ActionFailed as error:
            cause = error.__cause__
    raise unknown(process, action) from cause


def unknown(process: Process, action: ActionRef) -> OutcomeUnknown:
    activity = process.walk.activity if process.walk else ""
    text = recovering.not_resumable(process, action, at_most_once=True)
    return OutcomeUnknown(text, process_id=process.id, scheme_code=process.scheme_code, activity=activity, action=action.name)


def _called(
    engine: Engine,
    process: Process,
    action: ActionRef,
    index: int,
    function: Callable[..., Any],
    *,
    journal: Journal,
    record: Record,
    now: Callable[[], datetime],
    call: Call[Any] | None = None,
) -> tuple[Any, Parameters]:
    """``call``: how it is watched, where it has a deadline."""
    walk = process.walk
    assert walk is not None

    def require_hold() -> None:
        """It spares work that would be in vain; the proof is the token that ``record`` asks for."""
        if call is not None and call.given_up:
            raise given_up(process, walk.activity, action.name)

    judge = Judge(engine, engine.compiled(process), process, walk, journal.changes)
    engine.require_right(process)
    before = judge.view.plain()
    draft = parameters.Draft(copy.deepcopy(before), require_hold)
    deadline = walk.deadline if call else None
    surroundings: dict[str, Any] = {"journal": journal, "record": record, "now": now, "limits": engine.limits}
    context = ActionContext(process, walk, draft, action, index, deadline=deadline, require_hold=require_hold, **surroundings)
    try:
        parameter = judge.text(action.parameter)  # may ask users' code, as may the values: either may take long
        require_hold()
        with engine.progress.of(process.id, walk.activity, action.name):
            result = engine.caller.call(function, context, parameter, on_give_up=call.on_give_up if call else never)
        changes = parameters.changed(before, context.parameters, process.pinned, engine.limits)
    except Exception as error:
        if context.lost is None and not _is_of_the_journal(error, process):
            raise action_failed(process, walk.activity, action.name, error, step=context.doubtful(error)) from error
        if context.lost is None:
            raise
    finally:
        context.end()
    if context.lost is not None:  # even if the action has swallowed it: nothing more may be written
        raise context.lost
    return result, changes


# ------------------------------------------------------------------ what scheme and registration say; the scheme's word wins


def is_journaled(engine: Engine, action: ActionRef) -> bool:
    """What is to be done at most once always is: without its row nobody would know that it was done."""
    spec = engine.catalogue.actions.get(action.name)
    declared = action.journal if action.journal is not None else (spec is None or spec.journal)
    return declared or is_at_most_once(engine, action)


def is_at_most_once(engine: Engine, action: ActionRef) -> bool:
    spec = engine.catalogue.actions.get(action.name)
    return (action.effect or (spec.effect if spec else Effect.AT_LEAST_ONCE)) is Effect.AT_MOST_ONCE


class Obstacle(NamedTuple):
    """The action that a resume must not begin again, and why; empty: none."""

    action: str = ""
    reason: str = ""


def obstacle(engine: Engine, process: Process) -> Obstacle:
    """What stands against a resume of the walk. A client knows no registrations.

    Any action may have been begun from the one the walk stands at to the next that is journaled.
    """
    walk, first = process.walk, recovering.action_in_flight(process)
    activity = process.pinned.activity(walk.activity) if walk else None
    for action in activity.implementation[walk.step :] if first and activity and walk else ():
        spec = engine.catalogue.actions.get(action.name)
        resumable = action.resumable if action.resumable is not None else (spec is None or spec.resumable)
        unknown = is_at_most_once(engine, action) and (spec is None or spec.check_outcome is None)
        if unknown or not resumable:
            return Obstacle(action.name, recovering.not_resumable(process, action, at_most_once=unknown))
        if is_journaled(engine, action):
            break
    return Obstacle()


def require_resumable(engine: Engine, process: Process) -> None:
    """NotResumable names process, activity and action. What waits for its next attempt goes on by itself, so a person may let it go on too."""
    action, reason = obstacle(engine, process)
    if not reason or process.walk is None or (process.is_waiting and not process.walk.in_doubt):
        return
    activity = process.walk.activity
    raise NotResumable(
        f"{reason}; look what it did, then set_activity or set_state moves the process on, and set_activity to {activity!r} begins that activity anew",
        process_id=process.id,
        activity=activity,
        action=action,
    )


# ------------------------------------------------------------------ after a failure


def what_follows(engine: Engine, process: Process, action: ActionRef, failed: Attempts, error: ActionFailed, now: datetime) -> Wait | GiveUp:
    """What the nearest retry policy says after this failure."""
    if reason := unrepeatable(engine, action, error):
        return GiveUp(reason)
    spec = engine.catalogue.actions.get(action.name)
    policy = retrying.policy_of(process, action, spec.retry if spec else None)
    if policy is None:
        return GiveUp("no retry policy")
    return retrying.after_failure(policy, failed, type(origin_of(error)), now=now, chance=engine.chance())


def unrepeatable(engine: Engine, action: ActionRef, error: ActionFailed) -> str:
    """Why neither a policy nor a handler begins the action again after this failure; empty: they may."""
    if is_at_most_once(engine, action):
        return "it is to be done at most once"
    step = error.nouns.get("step")
    return f"its step {step!r} is to be done at most once" if step else ""


def handler_of(process: Process, error: ActionFailed | ConditionFailed, retried: Mapping[int, int] | None) -> ExceptionHandler | None:
    """The exception handler that acts now; ``retried`` as in core.handling."""
    return handling.handler_of(_activity(process, error), type(origin_of(error)), retried)


def way_out(process: Process, error: BaseException) -> tuple[str, str]:
    """The activity that the walk is given up for, and what declares it; empty: nothing does. The execution timeout goes before handlers."""
    if not isinstance(error, ActionFailed | ConditionFailed):
        return "", ""
    if isinstance(error, ActionTimedOut) and (target := expiring.target_of(process)):
        return target, "the execution timeout"
    handler = handling.handler_of(_activity(process, error), type(origin_of(error)), None, handling.ELSEWHERE)
    return (handling.target_of(process.pinned, handler.type, handler.target), f"exception handler {handler.order}") if handler else ("", "")


def _activity(process: Process, error: ActionFailed | ConditionFailed) -> Activity | None:
    return process.pinned.activity(error.nouns.get("activity", ""))


def _is_of_the_journal(error: Exception, process: Process) -> bool:
    """What a step of this process said of its own journal, and not one of another process that the action has moved."""
    return isinstance(error, JournalMismatch | OutcomeUnknown) and error.nouns.get("process_id") == process.id
