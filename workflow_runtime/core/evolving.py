"""Frozen values that are made and copied with every step: dataclasses without slots, since those are copied in a third of the time."""

from __future__ import annotations

from typing import Any, TypeVar

V = TypeVar("V")

_put = object.__setattr__


def evolve(value: V, **changes: Any) -> V:
    """``dataclasses.replace`` in a tenth of its time, for dataclasses without slots; ``__post_init__`` is not called again.

    AttributeError for a name that is no field.
    """
    fields = value.__dict__
    changed = {**fields, **changes}
    if len(changed) != len(fields):
        raise AttributeError(f"{type(value).__name__} has no field {', '.join(sorted(changed.keys() - fields.keys()))}")
    return whole(type(value), changed)


def whole(kind: type[V], fields: dict[str, Any]) -> V:
    """A value of all its fields, each named; the dictionary is its own from now on."""
    made: V = object.__new__(kind)
    _put(made, "__dict__", fields)
    return made
