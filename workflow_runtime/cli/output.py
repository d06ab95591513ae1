"""What a command prints: data on stdout, words on stderr.

Law: a value never becomes an instruction. Control characters are shown as replacement characters, in
tables and in words; JSON escapes them. On a terminal tables are drawn by rich (NO_COLOR is honoured);
elsewhere columns are aligned with blanks, and nothing is cut off, coloured or wrapped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import islice
from typing import Any
from uuid import UUID

import click

from workflow_runtime.cli.options import Output
from workflow_runtime.core.plain import plain

Cell = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns by title; ``id`` is what ``-o ids`` prints of a row."""

    columns: Mapping[str, Cell]
    id: Cell
    empty: str = "nothing found"  #: said instead of an empty table: what to do next

    def show(self, rows: Iterable[Any], output: Output) -> None:
        """Rows may come page by page; only a table needs them all at once."""
        match output:
            case Output.JSON:
                _print(json_text([plain(row) for row in rows]))
            case Output.JSONL:
                for row in rows:
                    _print(json_text(plain(row), indent=None))
            case Output.IDS:
                for row in rows:
                    _print(str(self.id(row)))
            case Output.TABLE:
                self._draw([[shown(cell(row)) for cell in self.columns.values()] for row in rows])

    def _draw(self, cells: list[list[str]]) -> None:
        if not cells:
            say(self.empty)
        elif sys.stdout.isatty():
            _rich_table(list(self.columns), cells)
        else:
            for line in aligned([[title.upper() for title in self.columns], *cells]):
                _print(line)


def card(value: Any, lines: Mapping[str, object], output: Output, *, id: object) -> None:
    """One value: as JSON, its id, or one line per name; lines without a value are left out."""
    match output:
        case Output.JSON:
            _print(json_text(plain(value)))
        case Output.JSONL:
            _print(json_text(plain(value), indent=None))
        case Output.IDS:
            _print(str(id))
        case Output.TABLE:
            for line in aligned([[f"{name}:", shown(line)] for name, line in lines.items() if shown(line)]):
                _print(line)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns with two blanks between them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def shown(value: object) -> str:
    """One line for people; times are UTC."""
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case Enum():
            return printable(str(value.value))
        case str() | UUID() | bool() | int():
            return printable(str(value))
        case _:
            return printable(json_text(plain(value), indent=None))


def span(length: timedelta) -> str:
    """How long, for people: 0.31 s, 12 s, 5 min, 3 h, 2 d."""
    seconds = length.total_seconds()
    if abs(seconds) < 10:
        return f"{seconds:.2f} s"
    for most, unit, name in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if abs(seconds) < most:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"


def printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def say(text: str) -> None:
    """Words, on stderr; several lines stay several."""
    click.echo("\n".join(map(printable, text.split("\n"))), err=True)


def first(rows: Iterable[Any], limit: int, more: str) -> list[Any]:
    """The first rows; where there are others, ``more`` is said."""
    iterator = iter(rows)
    taken = list(islice(iterator, limit))
    if next(iterator, None) is not None:
        say(more)
    return taken


def json_text(value: Any, *, indent: int | None = 2) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False)


def _print(text: str) -> None:
    """Like ``print``, with an encoding that cannot fail on what stdout does not know."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def write(text: str) -> None:
    """A text as it is."""
    _print(text.removesuffix("\n"))


def _rich_table(titles: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=None, pad_edge=False, header_style="bold")
    for place, title in enumerate(titles):
        table.add_column(title, overflow="fold", no_wrap=place == 0)  # the first column is what is copied
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))  # Text: square brackets in a value are no markup
    Console(file=sys.stdout).print(table)
