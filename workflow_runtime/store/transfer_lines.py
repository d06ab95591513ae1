"""The lines of an export: what stands in them, how they are written, and what is asked of them before they are believed.

Law: a line is believed when it stands in its place and every value of it is sound (transfer_forms.py); a file, when
all its lines are and the last one confirms them.

===========  ==================================================================================================
line         holds
===========  ==================================================================================================
``header``   once, the first: name and number of the format, program, schema revision, epoch, time (microseconds)
``scheme``   one per version that a process of the file is pinned to, and per current version: its row
``current``  which version of a code is the current one
``process``  its row without owner and token, its timers (the reserved ones too), its history, the journal of its
             present walk, the decisions of recovery about it, the idempotency keys of its creation and commands;
             the ids of processes ascend, so none stands twice
``key``      an idempotency key of no process that is there: one that was deleted, or whose creation was refused. Only
             in an export of everything; scope and key ascend
``end``      once, the last: how many schemes, processes and such keys, and the SHA-256 of all lines before it
===========  ==================================================================================================

Lines are JSON objects in ASCII, each ended by one line feed. A file without its last line was cut off. Format 1 had no
keys, and rows of history without theirs; it is read as if there had been none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, BinaryIO, NamedTuple, NoReturn

from workflow_runtime.core.process import Process
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.core.values import Limits, quoted
from workflow_runtime.errors import TransferError, WorkflowError
from workflow_runtime.store import rows
from workflow_runtime.store.rows import Values
from workflow_runtime.store.transfer_forms import CURRENT, KEYS, LOOSE_KEY, SCHEME, check_key, check_keys, check_process, checked_row

FORMAT = "workflow-runtime-export"
NUMBER = 2  #: of the format; a file with a greater one was written by a newer program
LONGEST_LINE = 256 * 1024 * 1024  #: bytes: as much as one process may bring at most

CheckScheme = Callable[[SchemeKey, str, str], None]  #: of key, text and format; ValueError or a WorkflowError where they do not fit

encoded = rows.to_json


class Kind(StrEnum):
    HEADER = "header"
    SCHEME = "scheme"
    CURRENT = "current"
    PROCESS = "process"
    KEY = "key"
    END = "end"


ORDER = tuple(Kind)  #: in which the kinds follow each other
_ONCE = frozenset({Kind.HEADER, Kind.END})


class SchemeLine(NamedTuple):
    key: SchemeKey
    values: Values


class CurrentLine(NamedTuple):
    code: str
    version: str


class ProcessLine(NamedTuple):
    """A process that may be stored. ``form`` is its line without ``kind``; the process itself has no owner and no token."""

    process: Process
    form: Values
    size: int  #: bytes of the line


class KeyLine(NamedTuple):
    values: Values


class EndLine(NamedTuple):
    schemes: int
    processes: int
    keys: int
    sha256: str


Line = SchemeLine | CurrentLine | ProcessLine | KeyLine | EndLine

# -- writing ----------------------------------------------------------------------------------------------


class Writer:
    """Writes lines and counts them. ``digest`` is that of the processes alone: the same processes, the same digest."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._all = hashlib.sha256()
        self._digest = hashlib.sha256()
        self.schemes = self.processes = self.keys = 0
        self._loose_keys = 0

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def header(self, **known: Any) -> None:
        self._write({"kind": Kind.HEADER, "format": FORMAT, "number": NUMBER, **known})

    def scheme(self, values: Values) -> None:
        self._write({"kind": Kind.SCHEME, **values})
        self.schemes += 1

    def current(self, code: str, version: str) -> None:
        self._write({"kind": Kind.CURRENT, "code": code, "version": version})

    def process(self, form: Values) -> int:
        """Bytes of the line. ValueError, and nothing is written, where it would be too long to be read."""
        size = self._write({"kind": Kind.PROCESS, **form})
        self._digest.update(digest_of(form))
        self.processes += 1
        self.keys += len(form[KEYS.name])
        return size

    def key(self, values: Values) -> None:
        self._write({"kind": Kind.KEY, **values})
        self.keys += 1
        self._loose_keys += 1

    def end(self) -> None:
        counts = {"schemes": self.schemes, "processes": self.processes, "keys": self._loose_keys}
        self._write({"kind": Kind.END, **counts, "sha256": self._all.hexdigest()})

    def _write(self, line: Values) -> int:
        raw = encoded(line).encode("ascii") + b"\n"
        if len(raw) > LONGEST_LINE:
            raise ValueError(f"its line would have {len(raw)} bytes, and {LONGEST_LINE} are read")
        self._all.update(raw)
        self._out.write(raw)
        return len(raw)


def digest_of(form: Values) -> bytes:
    """In whatever order the names stand."""
    return hashlib.sha256(_SORTED(form).encode("ascii")).digest()


_SORTED = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode

# -- reading ----------------------------------------------------------------------------------------------


class Reading:
    """One pass over a file that can be sought; ``number`` is the line that was read last."""

    def __init__(self, file: BinaryIO, *, check_scheme: CheckScheme, limits: Limits) -> None:
        self._file = file
        self._check_scheme = check_scheme
        self._limits = limits
        self._sha = hashlib.sha256()
        self._schemes: set[SchemeKey] = set()
        self._codes: set[str] = set()
        self._processes = 0
        self._last_id = ""
        self._keys = 0
        self._last_key = ("", "")
        self._format = NUMBER
        self.number = 0
        self._readers: Mapping[Kind, Callable[[Values, int], Line | None]] = {
            Kind.HEADER: self._header,
            Kind.SCHEME: self._scheme,
            Kind.CURRENT: self._current,
            Kind.PROCESS: self._process,
            Kind.KEY: self._key,
            Kind.END: self._end,
        }

    def lines(self) -> Iterator[Line]:
        """Every line but the header, checked. TransferError says which line cannot be believed, and why."""
        self._file.seek(0)
        before: Kind | None = None
        while raw := self._file.readline(LONGEST_LINE + 1):
            self.number += 1
            try:
                before, found = _parsed(raw, before)
                line = self._readers[before](found, len(raw))
            except TransferError:
                raise
            except (ValueError, OverflowError, WorkflowError) as error:
                raise self._refused(str(error), "bad_line") from error
            self._sha.update(raw)
            if line is not None:
                yield line
        if before is not Kind.END:
            self.number += 1
            raise self._refused(f"the file has no line {Kind.END.value!r} here: it was cut off, or is no export", "cut_off")

    def _header(self, found: Values, _size: int) -> None:
        if found.get("format") != FORMAT:
            raise self._refused(f"this is no export of workflow_runtime: its format is {quoted(found.get('format'))}, not {FORMAT!r}", "foreign")
        number = found.get("number")
        if type(number) is int and number > NUMBER:
            text = f"the export has format {number}, and this version reads up to {NUMBER}; upgrade this installation of workflow_runtime"
            raise self._refused(text, "too_new")
        check_keys(found, ("format", "number", "program", "schema", "epoch", "at"))
        if type(number) is not int or number < 1:
            raise ValueError(f"{quoted(number)} is no format number")
        self._format = number

    def _scheme(self, found: Values, _size: int) -> SchemeLine:
        values = checked_row(SCHEME, found)
        key = SchemeKey(values["code"], values["version"])
        rows.moment(values["added_at"])
        if key in self._schemes:
            raise ValueError(f"the scheme {key.code!r} in version {key.version[:12]} stands twice")
        self._check_scheme(key, values["text"], values["format"])
        self._schemes.add(key)
        return SchemeLine(key, values)

    def _current(self, found: Values, _size: int) -> CurrentLine:
        values = checked_row(CURRENT, found)
        self._require_scheme(SchemeKey(values["code"], values["version"]))
        if values["code"] in self._codes:
            raise ValueError(f"the code {values['code']!r} has two current versions")
        self._codes.add(values["code"])
        return CurrentLine(values["code"], values["version"])

    def _process(self, found: Values, size: int) -> ProcessLine:
        found = _with_keys(found) if self._format == 1 else found
        line = ProcessLine(check_process(found, limits=self._limits), found, size)
        self._require_scheme(line.process.key)
        process_id = str(line.process.id)
        if process_id <= self._last_id:
            raise ValueError(f"the process {process_id} stands twice" if process_id == self._last_id else "the ids of processes do not ascend")
        self._last_id = process_id
        self._processes += 1
        return line

    def _key(self, found: Values, _size: int) -> KeyLine:
        values = checked_row(LOOSE_KEY, found)
        check_key(values)
        place = (values["scope"], values["key"])
        if self._keys and place <= self._last_key:
            raise ValueError(f"the key {quoted(values['key'])} stands twice" if place == self._last_key else "the keys do not ascend")
        self._last_key, self._keys = place, self._keys + 1
        return KeyLine(values)

    def _require_scheme(self, key: SchemeKey) -> None:
        if key not in self._schemes:
            raise ValueError(f"the file has no scheme {key.code!r} in version {key.version[:12]}, which is named here")

    def _end(self, found: Values, _size: int) -> EndLine:
        found = {"keys": 0, **found} if self._format == 1 else found
        check_keys(found, ("schemes", "processes", "keys", "sha256"))
        written, here = (found["schemes"], found["processes"], found["keys"]), (len(self._schemes), self._processes, self._keys)
        if written != here:
            counts = " and ".join(f"{schemes} schemes, {processes} processes, {keys} keys" for schemes, processes, keys in (written, here))
            raise self._refused(f"the last line and the lines before it disagree: {counts}", "wrong_count")
        if found["sha256"] != self._sha.hexdigest():
            raise self._refused("the digest of the file is not the one that was written: it was changed since, or damaged", "wrong_digest")
        return EndLine(*here, found["sha256"])

    def _refused(self, message: str, code: str) -> TransferError:
        return TransferError(f"line {self.number}: {message}", line=self.number, code=code)


def _with_keys(found: Values) -> Values:
    """A process line of format 1 as one of today; what does not fit is left for the checks to find."""
    told = found.get("history")
    if type(told) is list and all(type(row) is dict for row in told):
        told = [{"idempotency_key": None, **row} for row in told]
    return {"keys": [], **found, "history": told}


def _parsed(raw: bytes, before: Kind | None) -> tuple[Kind, Values]:
    """What a line says, if it may stand behind one of the kind ``before``. ValueError."""
    if not raw.endswith(b"\n"):
        raise ValueError(f"the line has no end within {LONGEST_LINE} bytes: it was cut off, or is no line of an export")
    found = _object(raw)
    name = found.pop("kind", None)
    kind = next((known for known in ORDER if known == name), None)
    if before is None and kind is not Kind.HEADER:
        raise ValueError("this is no export of workflow_runtime: it does not begin with a header")
    if kind is None:
        raise ValueError(f"{quoted(name)} is no kind of line that this version knows; a newer one may know it")
    if before is not None and not (ORDER.index(kind) > ORDER.index(before) or (kind is before and kind not in _ONCE)):
        raise ValueError(f"a line {kind.value!r} cannot stand behind a line {before.value!r}")
    return kind, found


def _object(raw: bytes) -> Values:
    try:
        found = _STRICT.decode(raw.decode("ascii"))
    except RecursionError as error:
        raise ValueError("the line nests too deep") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"the line is no JSON: {error.msg} at column {error.colno}") from error
    if type(found) is not dict:
        raise ValueError("the line is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> Values:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{quoted(text)} is no number that stands in an export")


_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_float=_no_number, parse_constant=_no_number)
