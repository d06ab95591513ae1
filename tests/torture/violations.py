"""What a check of the evidence finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from evidence import Run


class Violation(NamedTuple):
    invariant: str
    process: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.process}: {self.text}"


Check = Callable[[Run], Iterator[Violation]]
