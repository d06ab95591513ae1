"""A dictionary that cannot change: it hashes, compares with any mapping and pickles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V", covariant=True)

__all__ = ["EMPTY", "FrozenDict"]


class FrozenDict(Mapping[K, V]):
    __slots__ = ("_data",)
    _data: dict[K, V]

    def __init__(self, data: Mapping[K, V] | None = None) -> None:
        object.__setattr__(self, "_data", dict(data or {}))

    def __getitem__(self, key: K) -> V:
        return self._data[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a FrozenDict cannot change; build a new one")

    def __hash__(self) -> int:
        return hash(frozenset((key, repr(value)) for key, value in self._data.items()))

    def __repr__(self) -> str:
        return f"FrozenDict({self._data!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (self._data,)


EMPTY: FrozenDict[str, Any] = FrozenDict()
