"""Which transition is taken: order, Otherwise, strange names, no memory between two decisions."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from little_schemes import OTHERWISE, clock, scheme, way, when

from workflow_runtime.core.machine import AUTO, Machine, trigger_key
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Transition
from workflow_runtime.core.scheme_words import TriggerType

GO = trigger_key(TriggerType.COMMAND, "go")


def chosen(of: Scheme, trigger: str, source: str = "A", *, holding: Iterable[str] | None = None) -> tuple[str | None, list[str]]:
    """The name of the transition taken, and which ones were asked; ``holding`` None: all hold."""
    asked: list[str] = []

    def holds(transition: Transition) -> bool:
        asked.append(transition.name)
        return holding is None or transition.name in holding

    taken = Machine(of).choose(source, trigger, holds)
    return (taken.name if taken else None), asked


def three(**last: Any) -> Scheme:
    return scheme("A", "B", "C", way("A", "B", "one", command="go"), way("A", "C", "two", command="go"), way("A", "A", "three", command="go", **last))


@pytest.mark.parametrize(
    ("holding", "taken", "asked"),
    [
        (None, "one", ["one"]),
        ({"two", "three"}, "two", ["one", "two"]),
        ({"three"}, "three", ["one", "two", "three"]),
        (set(), None, ["one", "two", "three"]),
    ],
)
def test_the_first_in_document_order_that_holds_is_taken_and_no_further_one_is_asked(holding: set[str] | None, taken: str | None, asked: list[str]) -> None:
    assert chosen(three(), GO, holding=holding) == (taken, asked)


def test_otherwise_is_asked_last_wherever_it_stands() -> None:
    parts = (way("A", "B", "else", command="go", conditions=OTHERWISE), way("A", "C", "if", command="go", conditions=when("true")))
    assert chosen(scheme("A", "B", "C", *parts), GO) == ("if", ["if"])
    assert chosen(scheme("A", "B", "C", *parts), GO, holding={"else"}) == ("else", ["if", "else"])


def test_otherwise_is_the_alternative_of_its_own_activity_and_trigger_only() -> None:
    of = scheme(
        "A",
        "B",
        clock("t"),
        way("A", "B", "timer else", timer="t", conditions=OTHERWISE),
        way("A", "B", "command", command="go", conditions=when("true")),
        way("B", "A", "elsewhere", timer="t", conditions=when("true")),
        way("A", "B", "auto", conditions=when("true")),
    )
    assert chosen(of, trigger_key(TriggerType.TIMER, "t")) == ("timer else", ["timer else"])


def test_triggers_of_one_name_are_kept_apart_by_their_kind() -> None:
    of = scheme("A", clock("go"), way("A", "A", "t", timer="go"), way("A", "A", "c", command="go"), way("A", "A", "a"))
    assert [chosen(of, key)[0] for key in (GO, trigger_key(TriggerType.TIMER, "go"), AUTO)] == ["c", "t", "a"]
    assert trigger_key(TriggerType.COMMAND, "auto") != AUTO


@pytest.mark.parametrize("trigger", [GO, AUTO, trigger_key(TriggerType.TIMER, "t"), "command:", "", "no such"])
def test_a_trigger_that_leads_nowhere_from_here_is_no_decision(trigger: str) -> None:
    of = scheme("A", "B", clock("t"), way("B", "A", "back", command="go"), way("B", "A", "auto"), way("B", "A", "late", timer="t"))
    assert chosen(of, trigger) == (None, [])
    assert Machine(of).choose("no such activity", trigger, lambda transition: True) is None


NAMES = [
    "*",
    "=",
    ".",
    "os.system",
    "a b",
    "area: name",
    "@",
    "initial",
    "auto",
    "state",
    "trigger",
    "Prüfung",
    "審査",
    "a_b",
    "A.B",
    "to_*",
    "may_go",
    "x" * 200,
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_may_stand_for_an_activity_a_command_and_a_transition(name: str) -> None:
    of = scheme(name, "other", way(name, "other", name, command=name), way("other", name, "back", command=name))
    key = trigger_key(TriggerType.COMMAND, name)
    assert chosen(of, key, name) == (name, [name])
    assert chosen(of, key, "other") == ("back", ["back"])


def test_all_strange_names_live_in_one_scheme() -> None:
    of = scheme(*NAMES, *(way(name, NAMES[number - 1], f"{number}", command=name) for number, name in enumerate(NAMES)))
    machine = Machine(of)
    taken = [machine.choose(name, trigger_key(TriggerType.COMMAND, name), lambda transition: True) for name in NAMES]
    assert [transition.target for transition in taken if transition] == [NAMES[-1], *NAMES[:-1]]


def test_a_dotted_name_is_never_imported() -> None:
    dotted = "workflow_runtime_no_such_module.function"
    of = scheme(dotted, "this.that", way(dotted, "this.that", "antigravity.fly", command="antigravity.fly"))
    assert chosen(of, trigger_key(TriggerType.COMMAND, "antigravity.fly"), dotted)[0] == "antigravity.fly"
    assert "antigravity" not in sys.modules
    assert "this" not in sys.modules


def test_the_machine_holds_no_model_and_no_memory() -> None:
    machine = Machine(three())
    assert machine._table.models == []
    assert [machine.choose("A", GO, lambda transition: True) for _ in range(3)] == [three().transition("one")] * 3
    assert machine.choose("B", GO, lambda transition: True) is None  # the choice before has moved nothing
    assert machine._table.models == []


class Raised(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), Raised()])
def test_what_a_guard_raises_passes_through_and_the_machine_lives_on(error: BaseException) -> None:
    machine = Machine(three())

    def holds(transition: Transition) -> bool:
        raise error

    with pytest.raises(type(error)) as caught:
        machine.choose("A", GO, holds)
    assert caught.value is error
    assert machine.choose("A", GO, lambda transition: True) == three().transition("one")


def test_one_machine_serves_many_threads() -> None:
    names = ("one", "two", "three")
    machine = Machine(three())

    def decide(number: int) -> bool:
        wanted = names[number % 3]
        taken = machine.choose("A", GO, lambda transition: transition.name == wanted)
        return taken is not None and taken.name == wanted

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(decide, range(2_000)))


def test_a_condition_may_ask_the_same_machine_again() -> None:
    machine = Machine(three())

    def holds(transition: Transition) -> bool:
        inner = machine.choose("A", GO, lambda other: other.name == "three")
        return inner is not None and transition.name == "two"

    taken = machine.choose("A", GO, holds)
    assert taken is not None
    assert taken.name == "two"
