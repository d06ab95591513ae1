"""What is kept and told of an error: the one that the user's code raised, as text."""

from __future__ import annotations

import traceback

from workflow_runtime.core.process import ErrorInfo, Process
from workflow_runtime.errors import ActionFailed, ActionTimedOut, ExecutionError, Fenced, OutcomeUnknown

LONGEST_TRACEBACK = 20_000  #: characters kept in history
LONGEST_MESSAGE = 2_000


def error_info(error: BaseException) -> ErrorInfo:
    """What history and ``last_error`` keep: of an error that wraps another, the one that the user's code raised."""
    origin = origin_of(error)
    return ErrorInfo(
        type=f"{type(origin).__module__}.{type(origin).__qualname__}".removeprefix("builtins."),
        message=text_of(origin)[:LONGEST_MESSAGE],
        traceback="".join(traceback.format_exception(origin))[-LONGEST_TRACEBACK:],
        activity=str(getattr(error, "activity", "")),
        action=str(getattr(error, "action", "")),
    )


def action_failed(process: Process, activity: str, action: str, error: Exception, *, step: str = "") -> ActionFailed:
    """What the caller gets, to be chained to the original. ``step`` is to be done at most once, raised, and nobody can check what it did."""
    text = f"{_named(process, activity, action)} raised {type(error).__name__}: {text_of(error)}"
    nouns = {"process_id": process.id, "scheme_code": process.scheme_code, "activity": activity, "action": action}
    if step:
        return ActionFailed(f"{text}; its step {step!r} is to be done at most once: outcome unknown", **nouns, step=step)
    return ActionFailed(text, **nouns)


def timed_out(process: Process, action: str, *, begun: bool) -> ActionTimedOut:
    """What the caller gets, where nothing else is declared. What was begun may still be done."""
    walk = process.walk
    assert walk is not None
    assert walk.deadline is not None
    what = f"{'still ran' if begun else 'had not begun'} at the deadline of its activity, {walk.deadline.isoformat()}"
    nouns = {"scheme_code": process.scheme_code, "activity": walk.activity, "action": action, "deadline": walk.deadline}
    return ActionTimedOut(f"{_named(process, walk.activity, action)} {what}", process_id=process.id, **nouns)


def given_up(process: Process, activity: str, action: str) -> Fenced:
    """What an action gets that still runs."""
    text = f"{_named(process, activity, action)} was given up at its deadline; nothing more of it is stored, and no step of it begins"
    return Fenced(text, process_id=process.id, activity=activity, action=action)


def _named(process: Process, activity: str, action: str) -> str:
    return f"process {process.id} ({process.scheme_code}): action {action!r} of activity {activity!r}"


def origin_of(error: BaseException) -> BaseException:
    """Of an error that wraps another, that one; why a check could not tell an outcome matters less than that it is unknown."""
    wraps = isinstance(error, ExecutionError) and not isinstance(error, OutcomeUnknown)
    return error.__cause__ if wraps and error.__cause__ is not None else error


def text_of(error: BaseException) -> str:
    """What it says; a foreign ``__str__`` must not hide the error that is being reported."""
    try:
        return str(error)
    except Exception:
        return f"<{type(error).__name__} that cannot be shown>"
