"""A scheme as a drawing in text: Mermaid, Graphviz, or plain lines.

Law: a name is data. Whatever it holds, it stays inside its label: Mermaid gets every other character than
letters, digits and a few harmless ones as a code, Graphviz a quoted string, plain text no control character.
Nodes are numbered in the order of the document, so that no name is ever an identifier.
"""

from __future__ import annotations

import re
from enum import StrEnum

from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, Condition, Transition
from workflow_runtime.core.scheme_words import ConditionType, TriggerType

__all__ = ["DiagramFormat", "draw"]

_UNSAFE_IN_MERMAID = re.compile(r"[^\w .,@()/+=?!'-]")


class DiagramFormat(StrEnum):
    MERMAID = "mermaid"
    DOT = "dot"
    TEXT = "text"


def draw(scheme: Scheme, format: DiagramFormat) -> str:
    """The drawing, with a line break at its end. Transitions to activities that do not exist are left out."""
    match DiagramFormat(format):
        case DiagramFormat.MERMAID:
            lines = _mermaid(scheme)
        case DiagramFormat.DOT:
            lines = _dot(scheme)
        case DiagramFormat.TEXT:
            lines = _text(scheme)
    return "\n".join(lines) + "\n"


def label(transition: Transition) -> str:
    """What takes it, and when: ``Approve``, ``timer review_late``, ``[@Amount > 5]``, ``auto``."""
    trigger = transition.trigger
    name = {TriggerType.COMMAND: trigger.name, TriggerType.TIMER: f"timer {trigger.name}"}.get(trigger.type, "")
    joint = f" {transition.conditions_combine.value.lower()} "
    guard = joint.join(filter(None, map(_guard, transition.conditions)))
    return " ".join(filter(None, [name, f"[{guard}]" if guard else ""])) or "auto"


def _guard(condition: Condition) -> str:
    if condition.type is ConditionType.ALWAYS:
        return ""
    if condition.type is ConditionType.OTHERWISE:
        return "otherwise"
    return f"{'not ' * condition.inverted}{condition.expression or condition.name}"


def _nodes(scheme: Scheme) -> dict[str, str]:
    return {activity.name: f"a{number}" for number, activity in enumerate(scheme.activities, 1)}


def _drawn(scheme: Scheme) -> list[Transition]:
    names = {activity.name for activity in scheme.activities}
    return [transition for transition in scheme.transitions if {transition.source, transition.target} <= names]


def _title(activity: Activity) -> str:
    return activity.name if activity.state in ("", activity.name) else f"{activity.name} ({activity.state})"


def _mermaid(scheme: Scheme) -> list[str]:
    nodes = _nodes(scheme)
    lines = ["stateDiagram-v2"]
    for activity in scheme.activities:
        lines.append(f'    state "{_for_mermaid(_title(activity))}" as {nodes[activity.name]}')
    lines += [f"    [*] --> {nodes[activity.name]}" for activity in scheme.activities if activity.is_initial]
    for transition in _drawn(scheme):
        lines.append(f"    {nodes[transition.source]} --> {nodes[transition.target]} : {_for_mermaid(label(transition))}")
    return lines + [f"    {nodes[activity.name]} --> [*]" for activity in scheme.activities if activity.is_final]


def _for_mermaid(text: str) -> str:
    return _UNSAFE_IN_MERMAID.sub(lambda found: f"#{ord(found[0])};", text)


def _dot(scheme: Scheme) -> list[str]:
    nodes = _nodes(scheme)
    lines = [f"digraph {_for_dot(scheme.code)} {{", "    rankdir=LR;", "    node [shape=box, style=rounded];"]
    for activity in scheme.activities:
        look = ", penwidth=2" * activity.is_initial + ", peripheries=2" * activity.is_final
        lines.append(f"    {nodes[activity.name]} [label={_for_dot(_title(activity))}{look}];")
    for transition in _drawn(scheme):
        lines.append(f"    {nodes[transition.source]} -> {nodes[transition.target]} [label={_for_dot(label(transition))}];")
    return [*lines, "}"]


def _for_dot(text: str) -> str:
    escaped = _one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(scheme: Scheme) -> list[str]:
    lines = [_one_line(scheme.code)]
    for activity in scheme.activities:
        marks = [mark for mark, holds in (("initial", activity.is_initial), ("final", activity.is_final)) if holds]
        lines.append(f"  {_one_line(_title(activity))}{', ' * bool(marks)}{' and '.join(marks)}")
        lines += [f"    {_one_line(label(t))} -> {_one_line(t.target)}" for t in _drawn(scheme) if t.source == activity.name]
    return lines


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
