"""The databases that have a floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.floor import Floor
from benchmarks.floor_sqlite import SqliteFloor

FLOORS: Mapping[str, Callable[[Path], Floor]] = {"sqlite": SqliteFloor}
