"""How a check says what it found: an element and a message; the file and the place are added once, here.

Law: a message says what was found, what was expected and what to do next. A name is quoted and cut, so
that a hostile scheme cannot fill a log.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from workflow_runtime.core.nearness import nearest
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import ActionRef, Activity, Element
from workflow_runtime.core.scheme_words import Place
from workflow_runtime.errors import LONGEST_QUOTE, Problem

__all__ = ["Finding", "Names", "actions", "folded", "listed", "owners", "placed"]

MOST_LISTED = 12  #: names in one message
MOST_HINTS = 20  #: looking for the nearest name costs time, and nobody reads further


class Finding(NamedTuple):
    """One finding at one element."""

    element: Element
    code: str
    message: str
    severity: Literal["error", "warning"] = "error"
    name: str = ""  #: what was written ...
    known: Collection[str] = ()  #: ... and what may have been meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the host and its plugins have registered."""

    actions: frozenset[str] = frozenset()
    conditions: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    activities: frozenset[str] = frozenset()  #: types of custom activities


def placed(scheme: Scheme, findings: Iterable[Finding]) -> tuple[Problem, ...]:
    """The findings as problems of this scheme's file, in the order of the text; the first ``MOST_HINTS`` carry the nearest name."""
    ordered = sorted(findings, key=lambda found: _place(scheme, found))
    hints = islice((nearest(found.name[:LONGEST_QUOTE], found.known) for found in ordered if found.name), MOST_HINTS)
    return tuple(_problem(scheme, found, next(hints, "") if found.name else "") for found in ordered)


def _place(scheme: Scheme, found: Finding) -> Place:
    return found.element.place or scheme.place or Place(0, 0)


def _problem(scheme: Scheme, found: Finding, hint: str) -> Problem:
    line, column = _place(scheme, found)
    return Problem(code=found.code, message=found.message, severity=found.severity, path=scheme.path, line=line, column=column, suggestion=hint)


def listed(names: Iterable[str], joint: str = ", ") -> str:
    """Names for a message, each once; of many only the first ``MOST_LISTED``."""
    once = list(dict.fromkeys(names))
    return joint.join([*once[:MOST_LISTED], *(["..."] if len(once) > MOST_LISTED else [])])


def folded(name: str) -> str:
    """What is left of a name when spelling habits are taken away: case, outer spaces, the Unicode form."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def actions(scheme: Scheme) -> Iterator[tuple[Activity, ActionRef]]:
    """Every action that a run may execute, with its activity."""
    return ((activity, action) for activity in scheme.activities for action in activity.implementation)


def owners(scheme: Scheme) -> tuple[Scheme | Activity | ActionRef, ...]:
    """All that may carry a ``recovery:`` or ``retry:`` declaration."""
    return (scheme, *scheme.activities, *(action for _, action in actions(scheme)))
