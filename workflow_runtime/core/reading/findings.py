"""What is wrong with a text: all of it at once, each finding with its place and the nearest name."""

from __future__ import annotations

from typing import NoReturn

from workflow_runtime.core.scheme_words import Place
from workflow_runtime.errors import LONGEST_QUOTE, Problem, SchemeError

MOST_PROBLEMS = 100  #: a text with more errors is refused with these; nobody reads further
_CONSEQUENCES = ("missing_key", "bad_name")  # of a missing attribute: told once


def quoted(found: object) -> str:
    """A value as messages show it, cut so that a hostile text cannot fill a log."""
    text = repr(found[: LONGEST_QUOTE + 1]) if isinstance(found, str) else repr(found)
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "..."


class Findings:
    """Gathers problems while one text is read. Strict reading refuses what soft reading only reports."""

    def __init__(self, path: str = "", *, strict: bool = True) -> None:
        self.path = path
        self.strict = strict
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def error(self, code: str, message: str, place: Place | None = None, suggestion: str = "") -> None:
        line, column = place or (0, 0)
        if code in _CONSEQUENCES and any(known.code == "missing_attribute" and (known.line, known.column) == (line, column) for known in self.errors):
            return
        self.errors.append(Problem(code=code, message=message, path=self.path, line=line, column=column, suggestion=suggestion))
        if len(self.errors) >= MOST_PROBLEMS:
            self.refuse_if_any(f"the scheme has many problems, the first {MOST_PROBLEMS}:")

    def warn(self, code: str, message: str, place: Place | None = None, suggestion: str = "") -> None:
        line, column = place or (0, 0)
        if len(self.warnings) < MOST_PROBLEMS:
            self.warnings.append(Problem(code=code, message=message, severity="warning", path=self.path, line=line, column=column, suggestion=suggestion))

    def unknown(self, code: str, message: str, place: Place | None = None, suggestion: str = "") -> None:
        """Something outside the vocabulary: an error in strict reading, else kept and reported."""
        (self.error if self.strict else self.warn)(code, message, place, suggestion)

    def fatal(self, code: str, message: str, place: Place | None = None, suggestion: str = "") -> NoReturn:
        """An error after which the text cannot be read any further."""
        self.error(code, message, place, suggestion)
        self.refuse_if_any()
        raise AssertionError("a fatal error is an error")

    def refuse_if_any(self, message: str | None = None) -> None:
        if self.errors:
            raise SchemeError(message, problems=tuple(sorted(self.errors, key=lambda problem: (problem.line, problem.column))))
