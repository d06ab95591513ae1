"""``python -m benchmarks.picture FIGURES.json PICTURE.svg``: draws what a run says of P1, P2, P3 and P5, other engines beside P2.

A bar is a ratio to the floor of its row: shorter is faster. The thin line over it is the range of the rounds, the upright one the
target. The scale is logarithmic, so that twice as fast and half as fast lie equally far from the floor.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import click

from benchmarks.measuring import Verdict

Plain = Mapping[str, Any]

WIDTH, LEFT, RIGHT = 860, 360, 70  #: pixels: of the whole, of the words, of the figures
LINE, BAR, TOP = 24, 12, 40
LEAST, MOST = 0.1, 200.0  #: ends of the scale, times the floor
TICKS = (0.1, 0.5, 1, 2, 5, 10, 50, 100)
COLOURS = {Verdict.MET.value: "#2e7d32", Verdict.MISSED.value: "#c62828"}
OTHER = "#78909c"  #: reported, or another engine
WORDS = 'font-family="sans-serif" font-size="12" fill="#37474f"'
_DRAWN = ("P1", "P1 x8", "P2", "P3", "P5")
_TARGET = re.compile(r"at most ([\d.]+) x")


@dataclass(frozen=True, slots=True)
class Bar:
    """``target`` None: nothing was promised in ratios."""

    words: str
    ratio: float
    low: float
    high: float
    target: float | None
    colour: str


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("figures", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("picture", type=click.Path(dir_okay=False, writable=True, path_type=Path))
def main(figures: Path, picture: Path) -> None:
    """Draw the figures of a run as SVG."""
    picture.write_text(drawn(json.loads(figures.read_text())))


def drawn(figures: Plain) -> str:
    """The whole picture."""
    parts, y = [], TOP
    for database in figures["databases"]:
        parts.append(_text(8, y + BAR, database, more='font-weight="bold"'))
        y += LINE
        for bar in bars([row for row in figures["rows"] if row["database"] == database]):
            parts += _line(bar, y)
            y += LINE
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" role="img">'
    title = f"<title>workflow_runtime {escape(figures['version'])}: ratios to the bare database, shorter is faster</title>"
    return "\n".join([head, title, f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>', *_scale(y), *parts, "</svg>", ""])


def bars(rows: list[Plain]) -> Iterator[Bar]:
    """Of one database, in the order of the table."""
    by_hand = next((row["floor"]["median"] for row in rows if row["code"] == "P2" and row["floor"]), None)
    for row in rows:
        if row["ratio"] is None:
            continue
        if row["code"] in _DRAWN:
            target = _TARGET.search(row["target"])
            words, most = f"{row['code']}: {row['measure']}", float(target[1]) if target else None
            yield Bar(words, *_figures(row["ratio"], 1), most, COLOURS.get(row["verdict"], OTHER))
        elif row["code"].startswith("P2 ") and by_hand:
            yield Bar(f"P2: {row['measure'].removeprefix('the same beside ')}", *_figures(row["floor"], by_hand), None, OTHER)


def _figures(figure: Plain, unit: float) -> tuple[float, float, float]:
    return figure["median"] / unit, figure["low"] / unit, figure["high"] / unit


def _x(ratio: float) -> float:
    share = math.log(min(max(ratio, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _scale(height: int) -> Iterator[str]:
    for tick in TICKS:
        yield f'<line x1="{_x(tick)}" y1="{TOP - 8}" x2="{_x(tick)}" y2="{height}" stroke="{"#37474f" if tick == 1 else "#eceff1"}"/>'
        yield _text(_x(tick), TOP - 14, f"{tick:g}", more='text-anchor="middle"')
    yield _text(8, TOP - 14, "times the bare database; shorter is faster")


def _line(bar: Bar, y: int) -> Iterator[str]:
    middle, end = y + BAR / 2, _x(bar.ratio)
    yield _text(LEFT - 8, y + BAR - 1, bar.words, more='text-anchor="end"')
    yield f'<rect x="{LEFT}" y="{y}" width="{round(end - LEFT, 1)}" height="{BAR}" fill="{bar.colour}"/>'
    yield f'<line x1="{_x(bar.low)}" y1="{middle}" x2="{_x(bar.high)}" y2="{middle}" stroke="#000000"/>'
    if bar.target is not None:
        yield f'<line x1="{_x(bar.target)}" y1="{y - 4}" x2="{_x(bar.target)}" y2="{y + BAR + 4}" stroke="#000000" stroke-width="2"/>'
    yield _text(WIDTH - RIGHT + 8, y + BAR - 1, f"{bar.ratio:.2f} x" if bar.ratio < 10 else f"{bar.ratio:.0f} x")


def _text(x: float, y: float, words: str, *, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" {WORDS}{" " if more else ""}{more}>{escape(words)}</text>'


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.picture")
