"""What is shown: a table for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.measuring import Figure, Row, Verdict
from workflow_runtime import __version__

FORMAT = 2  #: of the JSON; raised when a key goes or changes its meaning

_STYLES = {Verdict.MET: "green", Verdict.MISSED: "red", Verdict.REPORTED: "", Verdict.TESTED: "dim", Verdict.SKIPPED: "dim"}


def table(rows: Sequence[Row], database: str) -> Table:
    """Medians with their ranges."""
    drawn = Table(title=f"workflow_runtime {__version__} on {database}", caption="median (lowest to highest of the rounds)", title_justify="left")
    for title in ("", "measure", "runtime", "floor", "ratio", "target", "verdict", "notes"):
        drawn.add_column(title, overflow="fold")
    for row in rows:
        verdict = f"[{style}]{row.verdict}[/]" if (style := _STYLES[row.verdict]) else str(row.verdict)
        drawn.add_row(row.code, row.measure, *map(shown, (row.subject, row.floor, row.ratio)), row.target, verdict, _noted(row))
    return drawn


def shown(figure: Figure | None) -> str:
    if figure is None:
        return ""
    median = f"{_number(figure.median)} {figure.unit}"
    return median if len(figure.values) == 1 else f"{median} ({_number(figure.low)} to {_number(figure.high)})"


def _number(value: float) -> str:
    """Three digits that mean something."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.095 else f"{value:.2g}"


def _noted(row: Row) -> str:
    return "\n".join(f"{name}: {_number(note) if isinstance(note, float) else note}" for name, note in (row.notes or {}).items())


def as_json(found: Mapping[str, Sequence[Row]], *, run: Mapping[str, Any]) -> str:
    """``found``: the rows by the name of their database."""
    return json.dumps(
        {
            "format": FORMAT,
            "version": __version__,
            "databases": list(found),
            "machine": {"python": platform.python_version(), "system": sys.platform, "cpus": os.cpu_count()},
            "run": dict(run),
            "rows": [_plain(row, database) for database, rows in found.items() for row in rows],
        },
        indent=2,
        ensure_ascii=False,
    )


def _plain(row: Row, database: str) -> dict[str, Any]:
    figures = {"subject": row.subject, "floor": row.floor, "ratio": row.ratio}
    return {
        "database": database,
        "code": row.code,
        "measure": row.measure,
        **{name: None if figure is None else _figure(figure) for name, figure in figures.items()},
        "target": row.target,
        "verdict": row.verdict.value,
        "notes": dict(row.notes or {}),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {"unit": figure.unit, "median": figure.median, "low": figure.low, "high": figure.high, "samples": len(figure.values)}
