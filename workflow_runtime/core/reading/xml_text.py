"""XML text to a tree with places, and back; expat alone, and less of XML than it offers.

No DOCTYPE (so no entities), no processing instruction, no encoding but UTF-8 and UTF-16, bounded depth
and counts. Nothing outside the text is ever opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from workflow_runtime.core.reading.findings import Findings
from workflow_runtime.core.reading.limits import MAX_ATTRIBUTES, MAX_DEPTH, MAX_ELEMENTS, check_text
from workflow_runtime.core.scheme_words import Place
from workflow_runtime.errors import SchemeError

OURS = "urn:workflow-runtime"  #: namespace of our additions
_LAYOUT = " \t\r\n"
_PREFIXES = {OURS: "wfr", "http://www.w3.org/XML/1998/namespace": "xml", "http://www.w3.org/2001/XMLSchema-instance": "xsi"}


@dataclass(slots=True)
class XmlElement:
    """``tag`` and attribute names are ``Name`` or ``{namespace}Name``."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[XmlElement] = field(default_factory=list)
    text: str = ""
    place: Place | None = None


def parse(data: bytes, findings: Findings, *, is_text: bool) -> XmlElement:
    """The root of a document. ``is_text``: the bytes are UTF-8 whatever they declare."""
    return _XmlReader(findings, "UTF-8" if is_text else None).root(data)


class _XmlReader:
    def __init__(self, findings: Findings, encoding: str | None) -> None:
        self.findings = findings
        self.path: list[XmlElement] = []
        self.runs: list[_Run] = []
        self.top: XmlElement | None = None
        self.elements = self.namespaces = 0
        self.parser = parser = expat.ParserCreate(encoding, "}")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self.start, self.end
        parser.CharacterDataHandler = self.characters
        parser.StartCdataSectionHandler, parser.EndCdataSectionHandler = self.section, self.section_ended
        parser.CommentHandler = self.comment
        parser.StartNamespaceDeclHandler, parser.XmlDeclHandler = self.namespace, self.declaration
        parser.StartDoctypeDeclHandler = self.doctype
        parser.ProcessingInstructionHandler = self.instruction

    def root(self, data: bytes) -> XmlElement:
        try:
            self.parser.Parse(data, True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code) or "cannot be read"
            self.findings.fatal("not_well_formed", f"{reason}, expected well-formed XML", Place(error.lineno, error.offset + 1))
        except (LookupError, ValueError):  # an encoding that is unknown, or that takes several bytes for a character
            self.refuse("bad_encoding", "found an encoding that cannot be read, expected UTF-8 or UTF-16")
        assert self.top is not None
        return self.top

    def here(self) -> Place:
        return Place(self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1)

    def refuse(self, code: str, message: str) -> NoReturn:
        self.findings.fatal(code, message, self.here())

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        if len(self.path) >= MAX_DEPTH:
            self.refuse("too_deep", f"found a nesting deeper than {MAX_DEPTH}")
        if self.elements > MAX_ELEMENTS:
            self.refuse("too_many", f"found more than {MAX_ELEMENTS:,} elements")
        if len(attributes) > MAX_ATTRIBUTES:
            self.refuse("too_many", f"found {len(attributes):,} attributes on one element, expected at most {MAX_ATTRIBUTES}")
        place = self.here()
        for value in attributes.values():
            check_text(value, place, self.findings)
        element = XmlElement(_full(tag), {_full(name): value for name, value in attributes.items()}, place=place)
        if self.path:
            self.path[-1].children.append(element)
        self.top = self.top or element
        self.path.append(element)
        self.runs.append(_Run())

    def end(self, _tag: str) -> None:
        element, run = self.path.pop(), self.runs.pop()
        element.text = run.text()
        check_text(element.text, element.place, self.findings)
        if run.comment is not None and element.text.strip():
            self.findings.error(
                "comment_in_text", f"found a comment inside the text of <{element.tag}>, expected the text in one piece; move it out", run.comment
            )

    def characters(self, data: str) -> None:
        self.runs[-1].parts.append(data)

    def section(self) -> None:
        run = self.runs[-1]
        run.first = len(run.parts) if run.first is None else run.first

    def section_ended(self) -> None:
        self.runs[-1].last = len(self.runs[-1].parts)

    def comment(self, _data: str) -> None:
        if self.runs:
            self.runs[-1].comment = self.here()

    def namespace(self, *_: Any) -> None:
        self.namespaces += 1
        if self.namespaces > MAX_ATTRIBUTES:
            self.refuse("too_many", f"found more than {MAX_ATTRIBUTES} namespace declarations")

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if (encoding or "UTF-8").upper() not in ("UTF-8", "UTF-16"):
            self.refuse("bad_encoding", f"found the encoding {encoding!r}, expected UTF-8 or UTF-16; save the text as UTF-8")

    def doctype(self, *_: Any) -> None:
        self.refuse("dtd_forbidden", "found a DOCTYPE, expected none; take it out")

    def instruction(self, target: str, _data: str) -> None:
        self.refuse("pi_forbidden", f"found the processing instruction <?{target[:80]}?>, expected none; take it out")


@dataclass(slots=True)
class _Run:
    """The text of one element. What stands in CDATA counts to the letter; outside it, white space at both ends is layout."""

    parts: list[str] = field(default_factory=list)
    first: int | None = None  #: index of the first part inside CDATA
    last: int = 0  #: index after the last part inside CDATA
    comment: Place | None = None

    def text(self) -> str:
        if self.first is None:
            return "".join(self.parts).strip(_LAYOUT)
        inside = "".join(self.parts[self.first : self.last])
        return "".join(self.parts[: self.first]).lstrip(_LAYOUT) + inside + "".join(self.parts[self.last :]).rstrip(_LAYOUT)


def _full(name: str) -> str:
    return "{" + name if "}" in name else name


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────

_ATTRIBUTE_SPACE = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_NEEDS_CDATA = re.compile(r"[<>&\r]|^\s|\s$")


_ATTRIBUTE = re.compile(r"(?:\{[^{}\s]+\})?[A-Za-z_][\w.-]*$", re.ASCII)
_LETTERS = re.compile(r"[^\W\d][\w.-]*$")


def kept_element(name: str, text: str) -> XmlElement | None:
    """The element that a kept name such as ``<Grid>`` stands for; None when it stands for none."""
    if not name.startswith("<"):
        return None
    try:
        return parse(text.encode(), Findings(), is_text=True)
    except SchemeError:
        return None


def is_attribute(name: str) -> bool:
    """Whether XML can spell it as an attribute."""
    if name.isascii() or not _LETTERS.match(name):
        return _ATTRIBUTE.match(name) is not None and name != "xmlns"
    return kept_element("<a>", f'<a {name}="" />') is not None  # other scripts: the parser knows the letters


def emit(root: XmlElement) -> str:
    prefixes = _prefixes(root)
    lines: list[str] = []
    _write(root, prefixes, "", lines, declarations="".join(f" xmlns:{prefix}={quoteattr(uri)}" for uri, prefix in prefixes.items() if prefix != "xml"))
    return "\n".join(lines) + "\n"


def _prefixes(root: XmlElement) -> dict[str, str]:
    found: dict[str, str] = {}
    elements = [root]
    for element in elements:
        for name in (element.tag, *element.attributes):
            if name.startswith("{"):
                uri = name[1:].partition("}")[0]
                found.setdefault(uri, _PREFIXES.get(uri) or f"n{len(found) + 1}")
        elements.extend(element.children)
    return found


def _short(name: str, prefixes: dict[str, str]) -> str:
    uri, closed, local = name[1:].partition("}")
    return f"{prefixes[uri]}:{local}" if name.startswith("{") and closed else name


def _write(element: XmlElement, prefixes: dict[str, str], indent: str, lines: list[str], declarations: str = "") -> None:
    tag = _short(element.tag, prefixes)
    head = f"{indent}<{tag}{declarations}" + "".join(
        f" {_short(name, prefixes)}={quoteattr(value, _ATTRIBUTE_SPACE)}" for name, value in element.attributes.items()
    )
    if element.children:
        lines.append(f"{head}>{_text(element.text)}")
        for child in element.children:
            _write(child, prefixes, indent + "  ", lines)
        lines.append(f"{indent}</{tag}>")
    else:
        lines.append(f"{head}>{_text(element.text)}</{tag}>" if element.text else f"{head} />")


def _text(text: str) -> str:
    """Plain where plain text survives reading; a carriage return must be a reference, and those do not exist inside CDATA."""
    if not _NEEDS_CDATA.search(text):
        return escape(text)
    inside = text.replace("]]>", "]]]]><![CDATA[>").replace("\r", "]]>&#13;<![CDATA[")
    return f"<![CDATA[{inside}]]>"
