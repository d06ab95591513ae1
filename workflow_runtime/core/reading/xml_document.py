"""The XML tree to the document: lists with names, every form spelled out; the builder knows the short ones too.

What XML says in its own way is translated here: Order, comma lists, forks spread over attributes,
combinations beside the things they combine. What is unknown is refused, or kept in soft reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from workflow_runtime.core.nearness import nearest
from workflow_runtime.core.reading.findings import Findings, quoted
from workflow_runtime.core.reading.limits import MAX_ACTIVITIES, MAX_TRANSITIONS
from workflow_runtime.core.reading.neutral import Neutral, Path
from workflow_runtime.core.reading.spelling import yaml_key
from workflow_runtime.core.reading.xml_shapes import EXTRA, Shape, Unfit, expected_of, ours, shape_of
from workflow_runtime.core.reading.xml_text import OURS, XmlElement, emit
from workflow_runtime.core.scheme_words import CopyStrategy, MergeStrategy

STYLED = frozenset({"name", "value", "designer", "extra"})  #: keys of a comment that are no style
COPY_WORDS: dict[str, str | None] = {CopyStrategy.ALL: "all", CopyStrategy.NONE: "none", CopyStrategy.SPECIFIED: None, CopyStrategy.EXCEPT: "except"}
MERGE_WORDS: dict[str, str | None] = {
    MergeStrategy.MISSING: "missing",
    MergeStrategy.ALL: "all",
    MergeStrategy.SPECIFIED: None,
    MergeStrategy.EXCEPT: "except",
}
_REFUSED_TRIGGERS = ("CommandAndTimer", "TimerExpired")

Values = dict[str, Any]


def to_document(root: XmlElement, findings: Findings) -> Neutral:
    if root.tag != "Process":
        findings.fatal("unknown_root", f"found the root <{root.tag[:80]}>, expected <Process> without a namespace", root.place)
    reading = _Reading(findings)
    reading.neutral.data = reading.process(root)
    return reading.neutral


class _Reading:
    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.neutral = Neutral(data=None)
        # section -> (element, key of the document, how to read one, how many there may be)
        self.sections: dict[str, tuple[str, str, Callable[[XmlElement, Path], Values], int]] = {
            "Actors": ("Actor", "actors", self.opened, 0),
            "Parameters": ("Parameter", "parameters", self.opened, 0),
            "Commands": ("Command", "commands", self.command, 0),
            "Timers": ("Timer", "timers", self.timer, 0),
            "Comments": ("Comment", "comments", self.drawn, 0),
            "Activities": ("Activity", "activities", self.activity, MAX_ACTIVITIES),
            "Transitions": ("Transition", "transitions", self.transition, MAX_TRANSITIONS),
            "CodeActions": ("CodeAction", "code_actions", self.code_action, 0),
            "Localization": ("Localize", "localization", self.localize, 0),
        }

    # ── one element ──────────────────────────────────────────────────────────────────────────────────

    def opened(self, element: XmlElement, path: Path | None = None, kind: str = "") -> Values:
        """The attributes of an element as values of the document; everything unknown in it is reported."""
        shape, values = shape_of(kind or element.tag), Values()
        if path is not None:
            self.mark(path, element)
        for name, text in element.attributes.items():
            self.attribute(element, shape, name, text, values)
        for name in sorted(shape.required - element.attributes.keys()):
            self.findings.error("missing_attribute", f"found <{_tag(element)}> without {name}, expected that attribute", element.place)
        for child in element.children:
            if child.tag == EXTRA:
                values.setdefault("extra", {})[child.attributes.get("name", "")] = child.text
            elif child.tag not in shape.children:
                self.stray(child, _tag(element), sorted(shape.children), values)
        if element.text and not shape.has_text:
            self.findings.unknown("unknown_text", f"found the text {quoted(element.text)} in <{_tag(element)}>, expected none", element.place)
        return values

    def mark(self, path: Path, element: XmlElement) -> None:
        if element.place is not None:
            self.neutral.places[path] = element.place

    def attribute(self, element: XmlElement, shape: Shape, name: str, text: str, values: Values) -> None:
        if name in shape.attributes:
            key, kind = shape.attributes[name]
            try:
                values[key] = kind.read(text)
            except Unfit as error:
                self.findings.error("bad_value", expected_of(name.replace(f"{{{OURS}}}", "wfr:"), error, text), element.place, error.suggestion)
        elif name in shape.kept:
            values.setdefault("provenance", {})[yaml_key(name)] = text
        elif element.tag == "Comment" and not name.startswith("{"):
            values[yaml_key(name, taken=STYLED)] = text
        else:
            values.setdefault("extra", {})[name] = text
            if not name.startswith("{") or name.startswith(f"{{{OURS}}}"):
                self.unknown_attribute(element, shape, name)

    def unknown_attribute(self, element: XmlElement, shape: Shape, name: str) -> None:
        known = [attribute.replace(f"{{{OURS}}}", "wfr:") for attribute in shape.known]
        shown = name.replace(f"{{{OURS}}}", "wfr:")[:80]
        message = f"found the unknown attribute {shown} on <{_tag(element)}>, expected one of {', '.join(known) or 'none'}"
        self.findings.unknown("unknown_attribute", message, element.place, nearest(shown, known))

    def stray(self, child: XmlElement, inside: str, known: list[str], values: Values) -> None:
        """A child outside the vocabulary; in soft reading its text is kept."""
        names = [name.replace(f"{{{OURS}}}", "wfr:") for name in known]
        message = f"found the unknown element <{_tag(child)}> in <{inside}>, expected one of {', '.join(names) or 'none'}"
        self.findings.unknown("unknown_element", message, child.place, nearest(_tag(child), names))
        extra = values.setdefault("extra", {})
        extra[_free(f"<{child.tag}>", extra)] = emit(child).strip()

    def inner(self, element: XmlElement, section: str, item: str, values: Values) -> Iterator[XmlElement]:
        """The items of a child that does nothing but hold them; anything else in it is reported and kept with the owner."""
        for container in element.children:
            if container.tag == section:
                rest = self.opened(XmlElement(section, container.attributes, [], container.text, container.place))
                for child in container.children:
                    if child.tag == item:
                        yield child
                    else:
                        self.stray(child, section, [item], rest)
                if rest:
                    values.setdefault("extra", {}).update(rest["extra"])

    def text(self, element: XmlElement, tag: str, default: str | None = None) -> str | None:
        """The text of a child; the first counts."""
        found = next((child for child in element.children if child.tag == tag), None)
        if found is None:
            return default
        self.opened(XmlElement(tag, found.attributes, found.children, "", found.place))
        return found.text

    def designer(self, element: XmlElement, values: Values) -> None:
        for child in element.children:
            if child.tag == "Designer":
                kept = values.setdefault("designer", {})
                kept.update({yaml_key(name): text for name, text in child.attributes.items()})
                for inside in child.children:
                    kept[_free(f"@<{inside.tag}>", kept)] = emit(inside).strip()

    def retry(self, element: XmlElement, path: Path, values: Values) -> None:
        for child in element.children:
            if child.tag == ours("Retry"):
                values["retry"] = self.opened(child, (*path, "retry"))

    # ── the sections ─────────────────────────────────────────────────────────────────────────────────

    def process(self, root: XmlElement) -> Values:
        data = self.opened(root, ())
        self.designer(root, data)
        self.retry(root, (), data)
        if (usings := self.text(root, "CodeActionsCommonUsings")) is not None:
            data["usings"] = usings
        for section, (tag, key, read, most) in self.sections.items():
            elements = list(self.inner(root, section, tag, data))
            if most and len(elements) > most:
                self.findings.fatal("too_many", f"found {len(elements):,} {key}, expected at most {most:,}", elements[most].place)
            if elements:
                data[key] = [read(element, (key, index)) for index, element in enumerate(elements)]
        return data

    def drawn(self, element: XmlElement, path: Path) -> Values:
        if element.tag != "Comment":
            values = self.opened(element, path)
        else:  # inside a comment everything is drawing
            inside = [child for child in element.children if child.tag not in ("Designer", EXTRA)]
            spelled = [child for child in element.children if child.tag == EXTRA]
            values = self.opened(XmlElement(element.tag, element.attributes, spelled, "", element.place), path)
            for child in inside:
                values[_free(f"@<{child.tag}>", values)] = emit(child).strip()
        self.designer(element, values)
        return values

    def command(self, element: XmlElement, path: Path) -> Values:
        values = self.opened(element, path)
        inputs = list(self.inner(element, "InputParameters", "ParameterRef", values))
        if inputs:
            values["inputs"] = [self.opened(child, (*path, "inputs", index)) for index, child in enumerate(inputs)]
        for given in values.get("inputs", ()):
            given.setdefault("name", given.get("parameter", ""))
        return values

    def timer(self, element: XmlElement, path: Path) -> Values:
        values = self.opened(element, path)
        kind, value = values.pop("type", "interval"), values.pop("value", "")
        return {**values, "at" if kind == "date_and_time" else kind: value}

    def activity(self, element: XmlElement, path: Path) -> Values:
        values = self.drawn(element, path)
        if values.pop("disable_persist", False):
            values.update(disable_persist_state=True, disable_persist_transition_history=True, disable_persist_parameters=True)
        self.inlining(element, values)
        self.retry(element, path, values)
        for section, key in (("Implementation", "actions"), ("PreExecutionImplementation", "pre_execution")):
            actions = [(child, self.opened(child)) for child in self.inner(element, section, "ActionRef", values)]
            if actions:
                values[key] = [self.action(child, given, (*path, key, index)) for index, (child, given) in enumerate(_ordered(actions))]
        self.annotations(element, values)
        self.reactions(element, path, values)
        return values

    def inlining(self, element: XmlElement, values: Values) -> None:
        if element.attributes.get("ActivityType", "").strip().lower() == "inline":
            kept = values["provenance"]
            kept.pop("activity_type")
            values["inline"] = kept.pop("scheme_code", "")
            if not values["inline"]:
                self.findings.error("missing_attribute", "found an inline activity without SchemeCode, expected the code of a scheme", element.place)

    def action(self, element: XmlElement, values: Values, path: Path) -> Values:
        self.mark(path, element)
        values["with"] = self.text(element, "ActionParameter")
        self.retry(element, path, values)
        return values

    def annotations(self, element: XmlElement, values: Values) -> None:
        found: Values = {}
        for child in self.inner(element, "Annotations", "Annotation", values):
            name = self.opened(child).get("name", "")
            if name in found:
                self.findings.unknown("duplicate_name", f"found the annotation {quoted(name)} twice, expected it once", child.place)
            found.setdefault(name, child.text)
        if found:
            values["annotations"] = found

    def reactions(self, element: XmlElement, path: Path, values: Values) -> None:
        for tag, key in (("ExecutionTimeout", "execution_timeout"), ("IdleTimeout", "idle_timeout")):
            for child in element.children:
                if child.tag == tag:
                    values[key] = _reaction(self.opened(child, (*path, key)))
        handlers = [(child, self.opened(child)) for child in self.inner(element, "ExceptionsHandlers", "ExceptionsHandler", values)]
        for index, (child, given) in enumerate(_ordered(handlers)):
            self.mark((*path, "on_error", index), child)
            values.setdefault("on_error", []).append(_reaction(given))

    def transition(self, element: XmlElement, path: Path) -> Values:
        values = self.drawn(element, path)
        self.trigger(element, path, values)
        self.combined(values, "when", [self.condition(child) for child in self.inner(element, "Conditions", "Condition", values)], path)
        rights = [(child, self.opened(child)) for child in self.inner(element, "Restrictions", "Restriction", values)]
        types = [given.pop("type", "") for _, given in rights]
        for key, kind in (("allow", "allow"), ("deny", "restrict")):
            self.combined(values, key, [right for right, found in zip(rights, types, strict=True) if found == kind], path)
        self.fork(values, element)
        return values

    def combined(self, values: Values, key: str, found: list[tuple[XmlElement, Values]], path: Path) -> None:
        word = "any" if values.pop(f"{key}_combine", "and") == "or" else "all"
        for index, (child, _) in enumerate(found):
            self.mark((*path, key, word, index), child)
        if found or word == "any":
            values[key] = {word: [given for _, given in found]}

    def condition(self, element: XmlElement) -> tuple[XmlElement, Values]:
        values = self.opened(element)
        kind = values.pop("type", "always")
        name, parameter, expression = values.pop("action", ""), self.text(element, "ActionParameter"), self.text(element, "Expression", "")
        given = {"action": {"action": name, "with": parameter}, "expression": {"expression": expression}}.get(kind, {kind: True})
        if name and kind != "action":
            self.findings.warn("ignored", f"found the name {quoted(name)} on a condition of type {kind}, which has no use for it", element.place)
        return element, {**values, **given}

    def trigger(self, element: XmlElement, path: Path, values: Values) -> None:
        triggers = list(self.inner(element, "Triggers", "Trigger", values))
        if len(triggers) > 1:
            self.findings.error("one_trigger_only", f"found {len(triggers)} triggers, expected one; write a transition for each", triggers[1].place)
        for child in triggers[:1]:
            if child.attributes.get("Type") in _REFUSED_TRIGGERS:
                message = f"found the trigger type {child.attributes['Type']}, expected Auto, Command or Timer; write a transition for each"
                self.findings.error("bad_value", message, child.place)
                continue
            given = self.opened(child, (*path, "on"))
            kind, name = given.pop("type", "auto"), given.pop("name", "")
            values["on"] = {**given, kind: True if kind == "auto" else name}

    def fork(self, values: Values, element: XmlElement) -> None:
        """A transition that is no fork drops what it says about subprocesses: editors write that everywhere, it has no effect."""
        names = values.pop("parameters", [])
        words = {key: values.pop(key, None) for key in ("copy", "merge")}
        given = {key: values.pop(f"subprocess_{key}", "") for key in ("name", "id")}
        given |= {"startup": values.pop("startup", "same_thread"), "via_set_state": values.pop("via_set_state", False)}
        given["parent_control"] = not values.pop("no_parent_control", False)
        direction = values.pop("fork", "auto")
        if not values.pop("is_fork", False):
            return
        given["parameters"] = names
        for key, known in (("copy", COPY_WORDS), ("merge", MERGE_WORDS)):
            if words[key]:
                given[key] = self.strategy(words[key], known, names, element)
        values.update(fork=direction, subprocess=given)

    def strategy(self, word: str, known: dict[str, str | None], names: list[str], element: XmlElement) -> Any:
        if word not in known:
            message = f"found the strategy {quoted(word)}, expected {', '.join(known)}"
            self.findings.error("bad_value", message, element.place, nearest(word, known, cutoff=0.4))
            return []
        rule = known[word]
        return names if rule is None else {"except": names} if rule == "except" else rule

    def code_action(self, element: XmlElement, path: Path) -> Values:
        values = self.opened(element, path)
        for tag, key in (("ActionCode", "source"), ("Usings", "usings"), ("ExcludedUsings", "excluded_usings")):
            values[key] = self.text(element, tag, "")
        parameters = list(self.inner(element, "Parameters", "Parameter", values))
        if parameters:
            values["parameters"] = [self.form_parameter(child, (*path, "parameters", index)) for index, child in enumerate(parameters)]
        return values

    def form_parameter(self, element: XmlElement, path: Path) -> Values:
        values = self.opened(element, path, "CodeActionParameter")
        return {**values, "default": self.text(element, "DefaultValue", "")}

    def localize(self, element: XmlElement, path: Path) -> Values:
        return {"name": "", "culture": "", "text": "", **self.opened(element, path)}


def _tag(element: XmlElement) -> str:
    return element.tag.replace(f"{{{OURS}}}", "wfr:")[:80]


def _free(key: str, taken: Values) -> str:
    """The key, numbered where it is taken already."""
    count = 1
    while (candidate := key if count == 1 else f"{key}{count}") in taken:
        count += 1
    return candidate


def _ordered(found: list[tuple[XmlElement, Values]]) -> list[tuple[XmlElement, Values]]:
    """By Order, which then has no gaps; an element without one stays behind its predecessor."""
    keyed, last = [], 0
    for child, given in found:
        last = given.pop("order", last)
        keyed.append((last, child, given))
    return [(child, given) for _, child, given in sorted(keyed, key=lambda item: item[0])]


def _reaction(values: Values) -> Values:
    """Type, NameForSet and RetryCount become the one key that says what happens."""
    kind, target, retries = values.pop("type", None), values.pop("target", ""), values.pop("retries", 1)
    done: Values = {"retry": retries} if kind == "retry" else {"ignore": True} if kind == "ignore" else {kind: target} if kind else {}
    return {**values, **done}
