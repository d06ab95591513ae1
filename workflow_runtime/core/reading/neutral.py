"""The document that all formats share: plain data in the shape of the YAML form, and where each part stands."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from workflow_runtime.core.scheme_words import Place

Path = tuple[str | int, ...]


@dataclass(slots=True, kw_only=True)
class Neutral:
    """``data`` holds dicts, lists, str, int, bool, None and WrittenFloat; ``places`` knows the paths into it."""

    data: Any
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place | None:
        """Where the path stands; the nearest known place above it when it has none of its own."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path)


class WrittenFloat(float):
    """A number with its spelling: ``1.50`` stays ``1.50`` where a text is expected."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        number = super().__new__(cls, text)
        number.text = text
        return number


def scalar_text(value: bool | int | float) -> str:
    """A bare value where a text is expected: its spelling in JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.text if isinstance(value, WrittenFloat) else repr(value)


def canonical_json(value: Any) -> str:
    """JSON without spaces, in the order given; numbers keep their spelling."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{canonical_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    if value is None:
        return "null"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else scalar_text(value)
