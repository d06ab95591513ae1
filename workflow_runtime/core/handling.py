"""What the exception handlers of an activity make of an action or a condition that raised.

Law: retry policies come first. Then the first handler in the order of the scheme that knows the exception and is not used
up acts; where none does, the hook ``workflow_error`` and the status rule follow. The activity is the one whose action
raised, or the one that the transition of the condition leaves.

===========  ==============================================  ================================================
handler      an action raised                                a condition raised
===========  ==============================================  ================================================
Retry        it is called again at once, so often            it is asked again at once, so often
Ignore       it counts as done, without changes              its transition cannot be taken, inverted or not
SetActivity  the walk is given up for one into the activity  the same; it stays where it stands until then
SetState     the same, into the first that has the state     the same
===========  ==============================================  ================================================

The execution timeout of an activity has a reaction of its own (expiring.py). Only where that repeats no more it is a failure
like another, of the class ActionTimedOut, for the handlers of the last two kinds: neither time nor a result can be given back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from workflow_runtime.core.retrying import names_of
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, ExceptionHandler
from workflow_runtime.core.scheme_words import ReactionType

ALL = "*"  #: a handler of this name knows every exception


#: reactions that give the walk up for one into another activity
ELSEWHERE = (ReactionType.SET_ACTIVITY, ReactionType.SET_STATE)


def handler_of(
    activity: Activity | None, error: type[BaseException], retried: Mapping[int, int] | None, among: Collection[ReactionType] = tuple(ReactionType)
) -> ExceptionHandler | None:
    """The handler that acts now. ``retried``: how often each one (by its order) has let repeat this call before; None: as often as it may."""
    known = {*names_of(error), ALL}
    for handler in sorted((each for each in activity.handlers if each.type in among) if activity else (), key=lambda handler: handler.order):
        used_up = handler.type is ReactionType.RETRY and (retried is None or retried.get(handler.order, 0) >= handler.retries)
        if not used_up and known.intersection(handler.exceptions):
            return handler
    return None


def target_of(scheme: Scheme, type: ReactionType, target: str) -> str:
    """The activity that a reaction leads to; empty: nowhere.

    Of a state the first activity in the document that may be set, else the first that has it.
    """
    if type is ReactionType.SET_ACTIVITY:
        return target if scheme.activity(target) else ""
    if type is not ReactionType.SET_STATE or not target:
        return ""
    having = sorted((activity for activity in scheme.activities if activity.state == target), key=lambda activity: not activity.is_for_set_state)
    return having[0].name if having else ""
