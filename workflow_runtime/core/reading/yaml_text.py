"""YAML text to the neutral document, with places, and back.

The loader is the pure Python one, guarded: no anchors, aliases, tags or merges (they build more than
was written, or call things), no duplicate keys, bounded depth and node count. Of bare words only
``true``, ``false``, ``null`` and decimal numbers are no strings: ``no`` is Norway, ``12:30:45`` a text.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

from workflow_runtime.core.reading.findings import Findings, quoted
from workflow_runtime.core.reading.limits import MAX_DEPTH, MAX_NODES, MAX_TEXT, UNWRITABLE, place_at
from workflow_runtime.core.reading.neutral import Neutral, Path, WrittenFloat
from workflow_runtime.core.scheme_words import Place

_TAG = "tag:yaml.org,2002:"
_NOT_A_NUMBER = re.compile(r"[-+]?\.(?:nan|inf)$", re.IGNORECASE)
_WORD = re.compile(r"[^\s,\[\]{}\0]*")
_FLOAT = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,18}$")
_BARE_WORDS = (
    ("null", re.compile(r"(?:null|~|)$"), ["n", "~", ""]),
    ("bool", re.compile(r"(?:true|false)$"), ["t", "f"]),
    ("int", re.compile(r"(?:0|-?[1-9][0-9]{0,17})$"), [*"-0123456789"]),
    ("float", _FLOAT, [*"-0123456789"]),
)


class _GuardedLoader(yaml.SafeLoader):
    """Composes nodes and never constructs: what the nodes mean is decided below."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - the base class declares it so

    def __init__(self, text: str, findings: Findings) -> None:
        self.findings = findings
        self.depth = self.nodes = 0
        super().__init__(text)

    def refuse(self, code: str, message: str, mark: Any) -> NoReturn:
        self.findings.fatal(code, message, _place(mark))

    def fetch_flow_collection_start(self, token: Any) -> None:
        """Bounds the scanner, which runs ahead of the composer."""
        if self.flow_level >= MAX_DEPTH:
            self.refuse("too_deep", f"found a nesting deeper than {MAX_DEPTH}", self.get_mark())
        super().fetch_flow_collection_start(token)

    def fetch_tag(self) -> None:
        """Here, not in the composer: what is forbidden is refused before the value behind it is scanned."""
        self.refuse("tag_forbidden", f"found the tag {quoted(self.word())}, expected a value without a tag", self.get_mark())

    def fetch_anchor(self) -> None:
        self.refuse("alias_forbidden", f"found the anchor {quoted(self.word())}, expected the value alone; write it out where it is meant", self.get_mark())

    def fetch_alias(self) -> None:
        self.refuse("alias_forbidden", f"found the alias {quoted(self.word())}, expected the value itself; write it out", self.get_mark())

    def fetch_plain(self) -> None:
        if len(word := self.word()) > MAX_TEXT:  # the scanner takes its time over each character
            self.refuse("too_large", f"found a value of {len(word):,} characters, expected at most {MAX_TEXT:,}", self.get_mark())
        super().fetch_plain()

    def word(self) -> str:
        match = _WORD.match(self.buffer, self.pointer)
        return match[0] if match else ""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH:
            self.refuse("too_deep", f"found a nesting deeper than {MAX_DEPTH}", event.start_mark)
        if self.nodes > MAX_NODES:
            self.refuse("too_many", f"found more than {MAX_NODES:,} nodes", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _name, _pattern, _first in _BARE_WORDS:
    _GuardedLoader.add_implicit_resolver(_TAG + _name, _pattern, _first)


def parse(text: str, findings: Findings) -> Neutral:
    """The neutral document of a YAML text. Any problem of syntax is fatal."""
    neutral = Neutral(data=None)
    node = _composed(text, findings)
    neutral.places[()] = _place(node.start_mark)
    neutral.data = _Values(neutral, findings).value(node, ())
    return neutral


def _composed(text: str, findings: Findings) -> Any:
    loader = None
    try:
        loader = _GuardedLoader(text, findings)
        node = loader.get_node() if loader.check_node() else None
        if node is None:
            findings.fatal("empty_document", "the text holds no value, expected a scheme")
        if loader.check_node():
            loader.refuse("one_document_only", "found a second document, expected one; put it into a text of its own", loader.get_mark())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        findings.fatal("not_well_formed", f"{error.problem or error.context or 'cannot be read'}, expected YAML", _place(mark))
    except yaml.reader.ReaderError as error:
        findings.fatal("bad_character", f"found the character U+{ord(text[error.position]):04X}, expected printable text", place_at(text, error.position))
    except (ValueError, OverflowError):  # the scanner turns escapes and version numbers into integers unguarded
        findings.fatal("not_well_formed", "found an escape or a version outside its range", _place(loader.get_mark()) if loader else None)
    return node


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark is not None else Place(1, 1)


class _Values:
    """Nodes to plain data; the depth is bounded by the composer."""

    def __init__(self, neutral: Neutral, findings: Findings) -> None:
        self.places = neutral.places
        self.findings = findings

    def value(self, node: Any, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.item(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.scalar(node)

    def item(self, node: Any, path: Path) -> Any:
        self.places[path] = _place(node.start_mark)
        return self.value(node, path)

    def mapping(self, node: Any, path: Path) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for key, value in node.value:
            name = self.key(key, entries)
            self.places[(*path, name)] = _place(key.start_mark)
            entries[name] = self.value(value, (*path, name))
        return entries

    def key(self, key: Any, entries: dict[str, Any]) -> str:
        place = _place(key.start_mark)
        if key.tag != _TAG + "str":
            self.findings.fatal("bad_key", f"found the key {quoted(key.value)}, expected a name; put it in quotes", place)
        if key.value == "<<" and key.style is None:
            self.findings.fatal("merge_forbidden", "found a merge (<<), expected the entries themselves; write them out", place)
        if key.value in entries:
            self.findings.fatal("duplicate_key", f"found the key {quoted(key.value)} twice, expected it once", place)
        return str(self.text(key))

    def scalar(self, node: Any) -> Any:
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return node.value == "true"
            case "int":
                return int(node.value)
            case "float":
                return WrittenFloat(node.value)
        if node.style is None and _NOT_A_NUMBER.match(node.value):
            self.findings.fatal("not_a_number", f"found {node.value}, expected a number or a text in quotes", _place(node.start_mark))
        return self.text(node)

    def text(self, node: Any) -> str:
        if len(node.value) > MAX_TEXT:
            self.findings.fatal("too_large", f"found a value of {len(node.value):,} characters, expected at most {MAX_TEXT:,}", _place(node.start_mark))
        if (bad := UNWRITABLE.search(node.value)) is not None:
            self.findings.fatal("bad_character", f"found the character U+{ord(bad[0]):04X}, expected only what XML can hold", _place(node.start_mark))
        return str(node.value)
