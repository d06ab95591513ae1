"""The name a person may have meant: one rule for schemes, settings, plugins, commands and filters."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from workflow_runtime.errors import LONGEST_QUOTE


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The known name that is spelled most alike, or ""; capitals do not count as a difference."""
    folded = {candidate.casefold(): candidate for candidate in reversed(list(known))}
    found = difflib.get_close_matches(name[:LONGEST_QUOTE].casefold(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the near one, else all there are."""
    names = list(dict.fromkeys(known))
    if near := nearest(name, names):
        return f"; did you mean {near!r}?"
    return f"; there are {', '.join(map(repr, names[:12]))}{' ...' if len(names) > 12 else ''}" if names else "; there is none"
