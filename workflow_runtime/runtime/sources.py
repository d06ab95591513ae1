"""Where schemes come from: a path, a folder, a text, or a Scheme built in code.

The same text is parsed once per process: what was read is kept by its digest.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workflow_runtime.core import reading
from workflow_runtime.core.reading.front import format_of
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.errors import Problem, SchemeError, SchemeNotFound

SchemeSource = str | os.PathLike[str] | Scheme

SUFFIXES = frozenset({".xml", ".yaml", ".yml", ".json"})
LARGEST_FILE = 8 << 20  #: bytes; more is refused before it is read
MOST_KEPT = 512  #: texts in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A scheme with the text that is stored for it."""

    scheme: Scheme
    text: str
    format: reading.Format


class TextCache:
    """Parsed texts by digest, shared by all runtimes of this process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], Scheme] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, text: str | bytes, format: reading.Format, *, path: str = "", code: str | None = None) -> Scheme:
        """SchemeError with every problem of the text."""
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        key = (hashlib.sha256(raw).hexdigest(), path, code or "")
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        scheme = reading.read(text, path=path, format=format, code=code)
        with self._lock:
            self._kept[key] = scheme
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return scheme


TEXTS = TextCache()


def load(source: SchemeSource, code: str | None = None) -> Iterator[Loaded]:
    """The schemes of one source. A string with ``<`` or a line break is a text, any other is a path."""
    if isinstance(source, Scheme):
        yield Loaded(scheme=source, text=reading.write(source, reading.Format.YAML), format=reading.Format.YAML)
    elif isinstance(source, str) and ("<" in source or "\n" in source):
        yield _loaded(source, "", code)
    else:
        for file in _files(Path(source)):
            yield _loaded(file.read_bytes(), str(file), code)


def _loaded(text: str | bytes, path: str, code: str | None) -> Loaded:
    format = format_of(text, path)
    scheme = TEXTS.read(text, format, path=path, code=code or (Path(path).stem if path else None))
    if isinstance(text, bytes):
        text = text.decode("utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    return Loaded(scheme=scheme, text=text, format=format)


def _files(path: Path) -> list[Path]:
    """The file itself, or the schemes of a folder (not of its subfolders), sorted."""
    try:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            return [_inside(file, path) for file in found]
        if path.is_file():
            return [_of_fair_size(path)]
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise SchemeNotFound(f"the scheme file {str(path)!r} cannot be read: {error}", path=str(path)) from error
    raise SchemeNotFound(f"there is no scheme file or folder {str(path)!r}", path=str(path))


def _inside(file: Path, folder: Path) -> Path:
    """A link that leads out of the folder is refused: a folder of schemes is what was allowed, not the disk."""
    if not file.resolve().is_relative_to(folder.resolve()):
        problem = Problem(code="outside_root", message=f"{file.name} leads out of the folder {folder}", path=str(file))
        raise SchemeError(problems=(problem,))
    return _of_fair_size(file)


def _of_fair_size(file: Path) -> Path:
    if file.stat().st_size > LARGEST_FILE:
        raise SchemeError(problems=(Problem(code="too_large", message=f"the file has more than {LARGEST_FILE} bytes", path=str(file)),))
    return file
