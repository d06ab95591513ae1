"""The document to an XML text in the vocabulary of the scheme format; our additions in their namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workflow_runtime.core import types
from workflow_runtime.core.reading import xml_text
from workflow_runtime.core.reading.spelling import xml_date, xml_name
from workflow_runtime.core.reading.xml_document import COPY_WORDS, MERGE_WORDS, STYLED
from workflow_runtime.core.reading.xml_shapes import EXTRA, ours, shape_of
from workflow_runtime.core.reading.xml_text import XmlElement
from workflow_runtime.core.scheme_words import TimerType
from workflow_runtime.errors import ParameterError, SchemeError

Values = dict[str, Any]

# Written even where they are the default: other tools of this format always write them.
_EXPLICIT: dict[str, Values] = {
    "Actor": {"rule": "", "value": ""},
    "Parameter": {"purpose": "temporary"},
    "Activity": {"initial": False, "final": False, "set_state": False, "auto_update": False},
    "Transition": {"classifier": "not_specified", "allow_combine": "and", "deny_combine": "and", "when_combine": "and", "is_fork": False},
}
_TIMER_WORDS = {"interval": "interval", "time": "time", "date": "date", "at": "date_and_time", "expression": "expression", "cron": "cron"}


def emit(document: Values) -> str:
    return xml_text.emit(_process(document))


# ── one element ──────────────────────────────────────────────────────────────────────────────────────


def _element(tag: str, values: Values, kind: str = "") -> XmlElement:
    """An element with the attributes that its shape knows of the values; what is kept, and extra, beside them."""
    element = XmlElement(tag)
    values = {**_EXPLICIT.get(kind or tag, {}), **values}
    for name, (key, way) in shape_of(kind or tag).attributes.items():
        if values.get(key) is not None:
            element.attributes[name] = way.write(values[key])
    element.attributes.update({xml_name(key): text for key, text in values.get("provenance", {}).items()})
    _put_extra(element, values.get("extra", {}))
    _put_retry(element, values)
    if "designer" in values:
        _put_kept(_child(element, "Designer"), {xml_name(key): text for key, text in values["designer"].items()})
    return element


def _child(parent: XmlElement, tag: str, text: str = "") -> XmlElement:
    child = XmlElement(tag, text=text)
    parent.children.append(child)
    return child


def _put_extra(element: XmlElement, extra: dict[str, str]) -> None:
    """Foreign attributes as attributes and foreign elements as elements; what XML cannot spell in an element of ours."""
    known = shape_of(element.tag).known
    for name, text in extra.items():
        if name in known or not _put_one(element, name, text):
            child = _child(element, EXTRA, text)
            child.attributes["name"] = name


def _put_kept(element: XmlElement, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        if not _put_one(element, name, text):
            raise SchemeError(f"the drawing attribute {name[:80]!r} cannot be written as XML; rename it or take it out")


def _put_one(element: XmlElement, name: str, text: str) -> bool:
    if (child := xml_text.kept_element(name, text)) is not None:
        element.children.append(child)
        return True
    if not xml_text.is_attribute(name) or name in element.attributes:
        return False
    element.attributes[name] = text
    return True


def _put_retry(element: XmlElement, values: Values) -> None:
    if isinstance(values.get("retry"), dict):
        element.children.append(_element(ours("Retry"), values["retry"]))


def _put_all(parent: XmlElement, section: str, items: list[Any], make: Callable[[Any], XmlElement]) -> None:
    if items:
        _child(parent, section).children = [make(item) for item in items]


def _put_text(parent: XmlElement, tag: str, text: str | None) -> None:
    if text is not None:
        _child(parent, tag, text)


# ── the sections ─────────────────────────────────────────────────────────────────────────────────────


def _process(document: Values) -> XmlElement:
    root = _element("Process", document)
    sections: list[tuple[str, str, Callable[[Any], XmlElement]]] = [
        ("Actors", "actors", lambda item: _element("Actor", item)),
        ("Parameters", "parameters", _parameter),
        ("Commands", "commands", _command),
        ("Timers", "timers", _timer),
        ("Comments", "comments", _comment),
        ("Activities", "activities", _activity),
        ("Transitions", "transitions", _transition),
        ("CodeActions", "code_actions", _code_action),
        ("Localization", "localization", lambda item: _element("Localize", item)),
    ]
    for section, key, make in sections:
        if section == "Localization" and document.get("usings"):
            _put_text(root, "CodeActionsCommonUsings", document["usings"])
        _put_all(root, section, document.get(key, []), make)
    return root


def _parameter(values: Values) -> XmlElement:
    try:
        written = types.written_type(values.get("type", "any"))
    except ParameterError:  # a spelling that is not ours
        written = values["type"]
    return _element("Parameter", {**values, "type": written})


def _command(values: Values) -> XmlElement:
    element = _element("Command", values)
    _put_all(element, "InputParameters", values.get("inputs", []), lambda item: _element("ParameterRef", item))
    return element


def _timer(values: Values) -> XmlElement:
    key = next(key for key in _TIMER_WORDS if key in values)
    kind = _TIMER_WORDS[key]
    return _element("Timer", {**values, "type": kind, "value": xml_date(TimerType[kind.upper()], values[key])})


def _comment(values: Values) -> XmlElement:
    element = _element("Comment", values)
    _put_kept(element, {xml_name(key): text for key, text in values.items() if key not in STYLED})
    return element


def _code_action(values: Values) -> XmlElement:
    element = _element("CodeAction", values)
    for tag, key in (("ActionCode", "source"), ("Usings", "usings"), ("ExcludedUsings", "excluded_usings")):
        _put_text(element, tag, values.get(key))
    _put_all(element, "Parameters", values.get("parameters", []), _form_parameter)
    return element


def _form_parameter(values: Values) -> XmlElement:
    element = _element("Parameter", values, "CodeActionParameter")
    _put_text(element, "DefaultValue", values.get("default"))
    return element


# ── activities ───────────────────────────────────────────────────────────────────────────────────────


def _activity(values: Values) -> XmlElement:
    element = _element("Activity", values)
    if "inline" in values:
        element.attributes.update(ActivityType="Inline", SchemeCode=values["inline"])
    for section, key in (("Implementation", "actions"), ("PreExecutionImplementation", "pre_execution")):
        _put_all(element, section, list(enumerate(values.get(key, []), 1)), _action)
    _put_all(element, "Annotations", list(values.get("annotations", {}).items()), _annotation)
    for tag, key in (("ExecutionTimeout", "execution_timeout"), ("IdleTimeout", "idle_timeout")):
        if key in values:
            element.children.append(_reaction(tag, values[key]))
    handlers = list(enumerate(values.get("on_error", []), 1))
    _put_all(element, "ExceptionsHandlers", handlers, lambda item: _reaction("ExceptionsHandler", {**item[1], "order": item[0]}))
    return element


def _action(numbered: tuple[int, Values]) -> XmlElement:
    order, values = numbered
    element = _element("ActionRef", {**values, "order": order})
    _put_text(element, "ActionParameter", values.get("with"))
    return element


def _annotation(item: tuple[str, str]) -> XmlElement:
    return XmlElement("Annotation", {"Name": item[0]}, text=item[1])


def _reaction(tag: str, values: Values) -> XmlElement:
    kind = next(key for key in ("retry", "set_activity", "set_state", "ignore") if key in values)
    detail = {"retry": {"retries": values.get("retry")}, "ignore": {}}.get(kind, {"target": values.get(kind)})
    return _element(tag, {**{key: value for key, value in values.items() if key != kind}, "type": kind, **detail})


# ── transitions ──────────────────────────────────────────────────────────────────────────────────────


def _transition(values: Values) -> XmlElement:
    combined = {f"{key}_combine": "or" for key in ("when", "allow", "deny") if "any" in values.get(key, {})}
    element = _element("Transition", {**{key: value for key, value in values.items() if key != "fork"}, **combined, **_fork(values)})
    rights = [("allow", item) for item in _items(values, "allow")] + [("restrict", item) for item in _items(values, "deny")]
    _put_all(element, "Restrictions", rights, lambda right: _element("Restriction", {**right[1], "type": right[0]}))
    _put_all(element, "Triggers", [values.get("on", {"auto": True})], _trigger)
    _put_all(element, "Conditions", _items(values, "when") or [{"always": True}], _condition)
    return element


def _items(values: Values, key: str) -> list[Values]:
    given = values.get(key, {})
    return list(given.get("any") or given.get("all") or [])


def _trigger(values: Values) -> XmlElement:
    kind = next(key for key in ("command", "timer", "auto") if key in values)
    return _element("Trigger", {**values, "type": kind, "name": values[kind] if kind != "auto" else None})


def _condition(values: Values) -> XmlElement:
    kind = next(key for key in ("action", "expression", "otherwise", "always") if key in values)
    element = _element("Condition", {**values, "type": kind})
    _put_text(element, "ActionParameter", values.get("with"))
    _put_text(element, "Expression", values.get("expression"))
    return element


def _fork(values: Values) -> Values:
    if "fork" not in values:
        return {}
    given = values.get("subprocess", {})
    copied, merged = (_strategy(given.get(key), known) for key, known in (("copy", COPY_WORDS), ("merge", MERGE_WORDS)))
    names = next((names for _, names in (copied, merged) if names is not None), given.get("parameters"))
    return {
        "is_fork": True,
        "fork": values["fork"],
        "subprocess_name": given.get("name"),
        "subprocess_id": given.get("id"),
        "startup": given.get("startup"),
        "copy": copied[0],
        "merge": merged[0],
        "parameters": names or None,
        "via_set_state": given.get("via_set_state"),
        "no_parent_control": True if given.get("parent_control") is False else None,
    }


def _strategy(rule: Any, known: dict[str, str | None]) -> tuple[str | None, list[str] | None]:
    """The XML word of a rule, and its names."""
    words = {word: name for name, word in known.items()}
    if rule is None or isinstance(rule, str):
        return (None if rule is None else str(words[rule])), None
    return (str(words[None]), rule) if isinstance(rule, list) else (str(words["except"]), rule["except"])
