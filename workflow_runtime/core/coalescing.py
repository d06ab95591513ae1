"""Two changes in a row as one: what becomes of their history rows and of the timers that they arm."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, TypeVar

from workflow_runtime.core.evolving import evolve

Row = TypeVar("Row", bound=Any)


def told(first: tuple[Row, ...], second: tuple[Row, ...], *, status: object) -> tuple[Row, ...]:
    """History of both; where the second tells nothing of its own, the last row shows the ``status`` it leads to (None: it deletes)."""
    if second or not first or status is None:
        return first + second
    return (*first[:-1], evolve(first[-1], status=status))


def armed(first: tuple[Row, ...], second: tuple[Row, ...], *, fresh: bool, drop: Container[str], drop_others: bool) -> tuple[Row, ...]:
    """Timers armed by both: an arrival drops what it does not name, ``keep`` respects what is there.

    ``fresh``: the first has dropped every row that stood before; ``drop`` and ``drop_others`` are those of the second.
    """
    if not first and not second:
        return ()
    earlier = {timer.name: timer for timer in first}
    both = {} if drop_others else {name: timer for name, timer in earlier.items() if name not in drop}
    for timer in second:
        if timer.keep and timer.name in earlier:
            timer = earlier[timer.name]
        elif timer.keep and fresh:
            timer = evolve(timer, keep=False)  # the first arrival has dropped the row that could have stayed
        both[timer.name] = timer
    return tuple(both.values())
