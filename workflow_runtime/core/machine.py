"""Which transition is taken: a scheme version as a stateless ``transitions`` machine.

Law: the machine decides and nothing else. It holds no model and no callback but our guards; strings of a
scheme never reach it as callbacks (it would import dotted ones). The first transition in document order
whose guard holds is taken; an Otherwise stands behind its siblings of the same activity and trigger.
One machine per version serves all threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from transitions import EventData
from transitions import Machine as Table

from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Transition
from workflow_runtime.core.scheme_words import TriggerType

Holds = Callable[[Transition], bool]

AUTO = "auto"


def trigger_key(kind: TriggerType, name: str = "") -> str:
    """The name of an event: ``auto``, ``command:approve``, ``timer:remind``."""
    return AUTO if kind is TriggerType.AUTO else f"{kind.lower()}:{name}"


class Machine:
    """The decision table of one scheme."""

    def __init__(self, scheme: Scheme) -> None:
        self._table = Table(
            model=None,
            states=[_state(activity.name) for activity in scheme.activities],
            initial=None,
            auto_transitions=False,
            send_event=True,
        )
        for transition in _otherwise_last(scheme.transitions):
            self._table.add_transition(
                trigger_key(transition.trigger.type, transition.trigger.name),
                _state(transition.source),
                _state(transition.target),
                conditions=[_guard(transition)],
            )

    def choose(self, activity: str, trigger: str, holds: Holds) -> Transition | None:
        """The transition that ``trigger`` takes from ``activity``; None when no guard holds.

        ``holds`` is asked in order, and not again after the first that holds; what it raises passes through.
        """
        event = self._table.events.get(trigger)
        if event is None or _state(activity) not in event.transitions:
            return None
        token = _Token(_state(activity))
        event.trigger(token, holds=holds)
        return token.chosen


class _Token:
    """The throw-away model of one decision; never added to the machine."""

    __slots__ = ("chosen", "state")

    def __init__(self, state: str) -> None:
        self.state = state
        self.chosen: Transition | None = None


def _guard(transition: Transition) -> Callable[[EventData], bool]:
    def guard(event: EventData) -> bool:
        token: Any = event.model
        if event.kwargs["holds"](transition):
            token.chosen = transition
        return token.chosen is transition

    return guard


def _otherwise_last(transitions: Iterable[Transition]) -> list[Transition]:
    return sorted(transitions, key=lambda transition: transition.is_otherwise)  # stable: document order stays


def _state(activity: str) -> str:
    return f"@{activity}"  # never one of the machine's own words ("*", "=")
