"""The door of reading: which format a text has, what happens to findings. Formats are imported when needed."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from workflow_runtime.core.reading.findings import Findings
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.errors import Problem

if TYPE_CHECKING:
    from workflow_runtime.core.reading.neutral import Neutral


class Format(StrEnum):
    XML = "xml"
    YAML = "yaml"
    JSON = "json"


_SUFFIXES = {".xml": Format.XML, ".yaml": Format.YAML, ".yml": Format.YAML, ".json": Format.JSON}
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # byte order marks of UTF-8 and UTF-16


def read(
    source: str | bytes,
    *,
    path: str = "",
    format: Format | None = None,
    strict: bool = True,
    code: str | None = None,
    report: list[Problem] | None = None,
) -> Scheme:
    """The scheme of a text. Raises SchemeError with every problem found; never opens ``path``, it is for messages.

    Without ``format`` the suffix of ``path`` tells, else the first character. ``code`` names a scheme whose text
    does not. With ``strict=False`` what is outside the vocabulary is kept in ``extra`` and reported as a warning.
    Warnings are added to ``report`` in either case, also when the text is refused.
    """
    findings = Findings(path, strict=strict)
    try:
        return _read(source, Format(format) if format else format_of(source, path), code, findings)
    finally:
        if report is not None:
            report.extend(findings.warnings)


def write(scheme: Scheme, format: Format) -> str:
    """The text of a scheme: ``read(write(scheme, format)) == scheme``. SchemeError when it holds what no text can hold."""
    from workflow_runtime.core.reading.writing import document_of

    findings = Findings(scheme.path)
    document = document_of(scheme, findings)
    findings.refuse_if_any("the scheme cannot be written:")
    match Format(format):
        case Format.XML:
            from workflow_runtime.core.reading.xml_writing import emit as emit_xml

            return emit_xml(document)
        case Format.YAML:
            from workflow_runtime.core.reading.concise import concise
            from workflow_runtime.core.reading.yaml_writing import emit as emit_yaml

            return emit_yaml(concise(document))
        case Format.JSON:
            from workflow_runtime.core.reading.concise import concise
            from workflow_runtime.core.reading.json_text import emit as emit_json

            return emit_json(concise(document))


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the YAML and JSON form, for editors."""
    from workflow_runtime.core.reading.document import json_schema as schema

    return schema()


def format_of(source: str | bytes, path: str = "") -> Format:
    """By the suffix of the path, else by the first character that is not blank."""
    for suffix, found in _SUFFIXES.items():
        if path.lower().endswith(suffix):
            return found
    head = source[:4096]
    if isinstance(head, bytes):
        for mark in _MARKS:
            head = head.removeprefix(mark)
        head = head.replace(b"\0", b"").decode("latin-1")
    first = head.lstrip("\ufeff \t\r\n")[:1]
    return {"<": Format.XML, "{": Format.JSON}.get(first, Format.YAML)


def _read(source: str | bytes, form: Format, code: str | None, findings: Findings) -> Scheme:
    from workflow_runtime.core.reading.builder import SchemeBuilder
    from workflow_runtime.core.reading.references import resolved
    from workflow_runtime.core.reading.validation import validated

    neutral = _neutral(source, form, findings)
    document = validated(neutral, findings)
    if document is None:
        findings.refuse_if_any()
        raise AssertionError("a document is refused with a reason")
    scheme = SchemeBuilder(neutral, findings).scheme(document, code)
    findings.refuse_if_any()
    return resolved(scheme, findings)


def _neutral(source: str | bytes, form: Format, findings: Findings) -> Neutral:
    from workflow_runtime.core.reading.limits import decoded, encoded

    data = encoded(source, findings)
    match form:
        case Format.XML:
            from workflow_runtime.core.reading import xml_document, xml_text

            return xml_document.to_document(xml_text.parse(data, findings, is_text=isinstance(source, str)), findings)
        case Format.YAML:
            from workflow_runtime.core.reading import yaml_text

            return yaml_text.parse(decoded(data, findings), findings)
        case Format.JSON:
            from workflow_runtime.core.reading import json_text

            return json_text.parse(decoded(data, findings), findings)
