"""Any value of ours as plain JSON: what ``Process.to_dict()`` returns and what the command line prints with ``-o json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from workflow_runtime.core.values import json_ready

#: Of a value's fields: what is no data of its own, or nobody's business.
_LEFT_OUT = frozenset({"scheme", "token", "place", "extra"})


def plain(value: Any) -> Any:
    """JSON-ready: ids as texts, times RFC 3339 in UTC with milliseconds, enums by value, dataclasses as objects."""
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case UUID():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value) if field.name not in _LEFT_OUT}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Sequence | frozenset) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    return json_ready(value)  # what a parameter may hold besides: a Decimal, a duration, bytes
