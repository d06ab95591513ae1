"""One page of a longer list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, overload

T_co = TypeVar("T_co", covariant=True)

__all__ = ["MOST_ROWS", "Page"]

MOST_ROWS = 1_000  #: on one page


class Page(Sequence[T_co]):
    """A sequence that cannot change. ``next`` goes on behind its last item; None: this was the last page.

    ``unreadable`` names the rows of this page that are stored but cannot be read: they hide no others.
    """

    __slots__ = ("_items", "next", "unreadable")
    _items: tuple[T_co, ...]
    next: str | None
    unreadable: tuple[str, ...]

    def __init__(self, items: Sequence[T_co] = (), next: str | None = None, unreadable: tuple[str, ...] = ()) -> None:
        object.__setattr__(self, "_items", tuple(items))
        object.__setattr__(self, "next", next)
        object.__setattr__(self, "unreadable", unreadable)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> T_co | tuple[T_co, ...]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Page):
            return NotImplemented
        return (self._items, self.next, self.unreadable) == (other._items, other.next, other.unreadable)

    def __hash__(self) -> int:
        return hash((self._items, self.next, self.unreadable))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Page cannot change; ask for another one")

    def __repr__(self) -> str:
        return f"Page({list(self._items)!r}, next={self.next!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._items, self.next, self.unreadable)
