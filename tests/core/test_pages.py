"""A page is a sequence that cannot change."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import pytest

from workflow_runtime.core.pages import Page

PAGE = Page([1, 2, 3], "cursor", ("bad",))


def test_it_is_a_sequence() -> None:
    assert isinstance(PAGE, Sequence)
    assert (len(PAGE), list(PAGE), PAGE[0], PAGE[-1], PAGE[1:], 2 in PAGE, PAGE.index(3)) == (3, [1, 2, 3], 1, 3, (2, 3), True, 2)
    assert not Page()
    assert Page().next is None


def test_it_does_not_follow_the_list_it_was_made_of() -> None:
    items = [1]
    page = Page(items)
    items.append(2)
    assert list(page) == [1]


@pytest.mark.parametrize("name", ["next", "unreadable", "_items", "other"])
def test_nothing_of_it_can_be_set(name: str) -> None:
    with pytest.raises(AttributeError, match="cannot change"):
        setattr(PAGE, name, None)


def test_equal_pages_are_equal_in_all_parts() -> None:
    assert Page([1, 2, 3], "cursor", ("bad",)) == PAGE
    assert hash(Page([1, 2, 3], "cursor", ("bad",))) == hash(PAGE)
    for other in (Page([1, 2, 3]), Page([1, 2], "cursor", ("bad",)), Page([1, 2, 3], "cursor"), [1, 2, 3]):
        assert other != PAGE


def test_it_pickles() -> None:
    assert pickle.loads(pickle.dumps(PAGE)) == PAGE


def test_it_shows_itself() -> None:
    assert repr(PAGE) == "Page([1, 2, 3], next='cursor')"
