"""Which transition is taken: a scheme version as a stateless ``transitions`` machine.

Law: the machine holds the table and nothing else: no model, no callback, and strings of a scheme never reach it as
callbacks (it would import dotted ones). The first transition in document order whose guard holds is taken; an Otherwise
stands behind its siblings of the same activity and trigger. One machine per version serves all threads.

A trigger of the library moves a model. Here nothing is moved before it is committed, and then a row is: so a decision reads the
candidates of the table and asks the guard itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from transitions import Machine as Table
from transitions import Transition as Edge

from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Transition
from workflow_runtime.core.scheme_words import TriggerType

Holds = Callable[[Transition], bool]

AUTO = "auto"


@lru_cache(maxsize=1_024)
def trigger_key(kind: TriggerType, name: str = "") -> str:
    """The name of an event: ``auto``, ``command:approve``, ``timer:remind``."""
    return AUTO if kind is TriggerType.AUTO else f"{kind.lower()}:{name}"


class _Way(Edge):
    """A transition of the table that knows the one of the scheme."""

    def __init__(self, *ends: Any, declared: Transition) -> None:
        super().__init__(*ends)
        self.declared = declared


class _Table(Table):
    transition_cls = _Way


class Machine:
    """The decision table of one scheme."""

    def __init__(self, scheme: Scheme) -> None:
        self._table = _Table(model=None, states=[_state(activity.name) for activity in scheme.activities], initial=None, auto_transitions=False)
        for transition in _otherwise_last(scheme.transitions):
            trigger = trigger_key(transition.trigger.type, transition.trigger.name)
            self._table.add_transition(trigger, _state(transition.source), _state(transition.target), declared=transition)

    def choose(self, activity: str, trigger: str, holds: Holds) -> Transition | None:
        """The transition that ``trigger`` takes from ``activity``; None when no guard holds.

        ``holds`` is asked in order, and not again after the first that holds; what it raises passes through.
        """
        event = self._table.events.get(trigger)
        ways: Any = event.transitions.get(_state(activity), ()) if event is not None else ()
        for way in ways:
            if holds(way.declared):
                declared: Transition = way.declared
                return declared
        return None


def _otherwise_last(transitions: Iterable[Transition]) -> list[Transition]:
    return sorted(transitions, key=lambda transition: transition.is_otherwise)  # stable: document order stays


def _state(activity: str) -> str:
    return f"@{activity}"  # never one of the machine's own words ("*", "=")
