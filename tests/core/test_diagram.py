"""Schemes drawn as text: every state and arrow once, and no name that could break out of its label."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from workflow_runtime.core.diagram import DiagramFormat, draw, label
from workflow_runtime.core.reading import read
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, Condition, Transition, TriggerSpec
from workflow_runtime.core.scheme_words import Combine, ConditionType, TriggerType

ORDER = read((Path(__file__).parents[2] / "schemes" / "order.yaml").read_bytes(), path="order.yaml")

NASTY = 'a"b\\c;d#e\nf:g<h>[i]{j}%%k'


def scheme_of(*names: str) -> Scheme:
    activities = tuple(Activity(name=name, is_initial=place == 0, is_final=place == len(names) - 1) for place, name in enumerate(names))
    transitions = tuple(Transition(name=f"t{a}", source=a, target=b) for a, b in pairwise(names))
    return Scheme(code="Drawn", activities=activities, transitions=transitions)


@pytest.mark.parametrize(
    ("format", "arrow", "state"),
    [(DiagramFormat.MERMAID, " --> a", '    state "'), (DiagramFormat.DOT, " -> a", "penwidth"), (DiagramFormat.TEXT, " -> ", "  ")],
)
def test_every_transition_is_one_arrow(format: DiagramFormat, arrow: str, state: str) -> None:
    lines = draw(ORDER, format).splitlines()
    inner = [line for line in lines if arrow in line and "[*] -->" not in line]
    assert len(inner) == len(ORDER.transitions)
    assert any(state in line for line in lines)


def test_mermaid_as_a_person_reads_it() -> None:
    assert draw(scheme_of("Begin", "End"), DiagramFormat.MERMAID) == (
        'stateDiagram-v2\n    state "Begin" as a1\n    state "End" as a2\n    [*] --> a1\n    a1 --> a2 : auto\n    a2 --> [*]\n'
    )


def test_dot_as_a_person_reads_it() -> None:
    assert draw(scheme_of("Begin", "End"), DiagramFormat.DOT) == (
        'digraph "Drawn" {\n'
        "    rankdir=LR;\n"
        "    node [shape=box, style=rounded];\n"
        '    a1 [label="Begin", penwidth=2];\n'
        '    a2 [label="End", peripheries=2];\n'
        '    a1 -> a2 [label="auto"];\n'
        "}\n"
    )


def test_text_as_a_person_reads_it() -> None:
    assert draw(scheme_of("Begin", "Middle", "End"), DiagramFormat.TEXT) == (
        "Drawn\n  Begin, initial\n    auto -> Middle\n  Middle\n    auto -> End\n  End, final\n"
    )


def test_a_state_of_another_name_stands_beside_the_activity() -> None:
    assert '"Charge (Charging)"' in draw(ORDER, DiagramFormat.DOT)
    assert '"Review"' in draw(ORDER, DiagramFormat.DOT)


@pytest.mark.parametrize(
    ("transition", "expected"),
    [
        (Transition(name="t", source="A", target="B"), "auto"),
        (Transition(name="t", source="A", target="B", trigger=TriggerSpec(type=TriggerType.COMMAND, name="Go")), "Go"),
        (Transition(name="t", source="A", target="B", trigger=TriggerSpec(type=TriggerType.TIMER, name="late")), "timer late"),
        (Transition(name="t", source="A", target="B", conditions=(Condition(type=ConditionType.OTHERWISE),)), "[otherwise]"),
        (
            Transition(
                name="t",
                source="A",
                target="B",
                trigger=TriggerSpec(type=TriggerType.COMMAND, name="Go"),
                conditions=(Condition(type=ConditionType.EXPRESSION, expression="@X > 1"), Condition(type=ConditionType.ACTION, name="IsOpen", inverted=True)),
                conditions_combine=Combine.OR,
            ),
            "Go [@X > 1 or not IsOpen]",
        ),
    ],
)
def test_labels(transition: Transition, expected: str) -> None:
    assert label(transition) == expected


@pytest.mark.parametrize("format", DiagramFormat)
def test_a_name_never_breaks_out_of_its_label(format: DiagramFormat) -> None:
    tame, nasty = draw(scheme_of("Begin", "End"), format), draw(scheme_of("Begin", NASTY), format)
    assert len(nasty.splitlines()) == len(tame.splitlines())


def test_mermaid_writes_every_doubtful_character_as_a_code() -> None:
    (line,) = [line for line in draw(scheme_of("Begin", NASTY), DiagramFormat.MERMAID).splitlines() if line.endswith(" as a2")]
    assert line == '    state "a#34;b#92;c#59;d#35;e#10;f#58;g#60;h#62;#91;i#93;#123;j#125;#37;#37;k" as a2'


def test_dot_quotes_quotes_and_backslashes() -> None:
    assert 'label="a\\"b\\\\c;d#e�f:g<h>[i]{j}%%k"' in draw(scheme_of("Begin", NASTY), DiagramFormat.DOT)


def test_an_arrow_to_nowhere_is_left_out() -> None:
    scheme = Scheme(code="Drawn", activities=(Activity(name="A"),), transitions=(Transition(name="t", source="A", target="Nowhere"),))
    assert all("Nowhere" not in draw(scheme, format) for format in DiagramFormat)
