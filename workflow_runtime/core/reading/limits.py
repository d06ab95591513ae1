"""How large a scheme text may be, and which characters names and texts may hold.

| what                     | limit                                                   | code           |
|--------------------------|---------------------------------------------------------|----------------|
| whole text               | 8 MiB (UTF-8)                                           | too_large      |
| one value                | 256 Ki characters                                       | too_large      |
| nesting                  | 64                                                      | too_deep       |
| nodes (YAML, JSON)       | 400,000                                                 | too_many       |
| elements (XML)           | 400,000; 64 attributes each; 64 namespace declarations  | too_many       |
| activities, transitions  | 2,000 and 10,000                                        | too_many       |
| name                     | 1 to 200 characters, no control, no bidi, no ``../``    | bad_name       |
| text                     | what XML 1.0 can hold: the three formats say the same   | bad_character  |
"""

from __future__ import annotations

import re
import unicodedata

from workflow_runtime.core.reading.findings import Findings, quoted
from workflow_runtime.core.scheme_words import Place

MAX_BYTES = 8 << 20
MAX_TEXT = 256 << 10
MAX_DEPTH = 64
MAX_NODES = 400_000
MAX_ELEMENTS = 400_000
MAX_ATTRIBUTES = 64
MAX_ACTIVITIES = 2_000
MAX_TRANSITIONS = 10_000
MAX_NAME = 200

UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_CLIMBING = re.compile(r"(?:^|[\\/])\.\.(?:[\\/]|$)")


def encoded(source: str | bytes, findings: Findings) -> bytes:
    """The text as bytes, if it is not too large and not empty."""
    if len(source) > MAX_BYTES:
        findings.fatal("too_large", f"the text has {len(source):,} bytes, a scheme may have {MAX_BYTES:,}; split it into several schemes")
    try:
        data = source.encode() if isinstance(source, str) else source
    except UnicodeEncodeError as error:
        findings.fatal("bad_character", f"found half of a surrogate pair at character {error.start + 1}, expected Unicode text")
    if len(data) > MAX_BYTES:
        findings.fatal("too_large", f"the text has {len(data):,} bytes, a scheme may have {MAX_BYTES:,}; split it into several schemes")
    if not data.removeprefix(b"\xef\xbb\xbf").strip() or data in (b"\xff\xfe", b"\xfe\xff"):
        findings.fatal("empty_document", "the text is empty, expected a scheme")
    return data


def decoded(data: bytes, findings: Findings) -> str:
    """UTF-8 without its byte order mark: YAML and JSON are read in no other encoding."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = place_at(data[: error.start].decode("utf-8", "replace"), None)
        findings.fatal("bad_encoding", f"found the byte 0x{data[error.start]:02x}, which is no UTF-8; save the text as UTF-8", place)


def place_at(text: str, index: int | None) -> Place:
    """The place of an index of the text, of its end when there is none."""
    head = text if index is None else text[:index]
    return Place(head.count("\n") + 1, len(head) - head.rfind("\n"))


def check_text(text: str, place: Place | None, findings: Findings) -> None:
    """Refuse what cannot be written in every format."""
    if len(text) > MAX_TEXT:
        findings.error("too_large", f"found a value of {len(text):,} characters, expected at most {MAX_TEXT:,}", place)
    elif (bad := UNWRITABLE.search(text)) is not None:
        findings.error("bad_character", f"found the character U+{ord(bad[0]):04X} in a text, expected only what XML can hold; take it out", place)


def check_name(name: str, what: str, place: Place | None, findings: Findings) -> str:
    """The name in NFC. Spaces, dots, colons and any letters are fine; what deceives the eye is not."""
    name = unicodedata.normalize("NFC", name)
    if not name.strip():
        findings.error("bad_name", f"found an empty name, expected a name for this {what}", place)
    elif len(name) > MAX_NAME:
        findings.error("bad_name", f"found a name of {len(name)} characters, expected at most {MAX_NAME}; give this {what} a shorter one", place)
    elif (bad := _INVISIBLE.search(name)) is not None:
        findings.error("bad_name", f"found U+{ord(bad[0]):04X} in the name of a {what}, expected no control or direction characters", place)
    elif _CLIMBING.search(name):
        findings.error("bad_name", f"found {quoted(name)}, expected a name of a {what} that does not climb through folders", place)
    return name
