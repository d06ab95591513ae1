"""``evolve`` is ``dataclasses.replace`` for what the rules copy, and ``swift`` leaves a dataclass what it was."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.process import Change, ChangeKind, HistoryEntry, Process, Timer, Walk

NAMES = [field.name for field in fields(Process)]
VALUES: st.SearchStrategy[Any] = st.none() | st.text(max_size=3)  #: neither of the two looks at types
CHANGES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=len(NAMES))
PROCESSES = st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES)).map(lambda values: Process(**values))


def values_of(process: Process) -> list[Any]:
    """Every field, also those that do not count when processes are compared."""
    return [getattr(process, name) for name in NAMES]


@given(PROCESSES, CHANGES)
def test_it_is_what_replace_makes(process: Process, changes: dict[str, Any]) -> None:
    before = values_of(process)
    evolved, replaced = evolve(process, **changes), replace(process, **changes)
    assert values_of(evolved) == values_of(replaced)
    assert all(one is other for one, other in zip(values_of(evolved), values_of(replaced), strict=True))
    assert values_of(process) == before


@given(PROCESSES, CHANGES)
def test_it_is_a_process_like_any_other(process: Process, changes: dict[str, Any]) -> None:
    evolved = evolve(process, **changes)
    assert type(evolved) is Process
    assert hash(evolved) == hash(replace(process, **changes))
    assert repr(evolved) == repr(replace(process, **changes))
    assert pickle.loads(pickle.dumps(evolved)) == evolved
    with pytest.raises(FrozenInstanceError):
        evolved.activity = "Elsewhere"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["activty", "key"])
def test_a_name_that_is_no_field_is_refused(name: str) -> None:
    any_values: dict[str, Any] = dict.fromkeys(NAMES)
    with pytest.raises(AttributeError, match=name):
        evolve(Process(**any_values), **{name: "x"})


@pytest.mark.parametrize("kind", [Process, Walk, HistoryEntry, Timer])
def test_it_leaves_nothing_to_be_done_at_birth(kind: type) -> None:
    assert not hasattr(kind, "__post_init__"), "evolve does not call it"


@pytest.mark.parametrize(
    ("given_names", "said"),
    [
        (["name"], "wants \\['due'\\]"),
        (["name", "due", "dew"], "no field \\['dew'\\]"),
        (["name", "dew"], "no field \\['dew'\\] and wants \\['due'\\]"),  # as many as there should be
    ],
)
def test_made_at_once_it_refuses_what_a_dataclass_refuses(given_names: list[str], said: str) -> None:
    any_values: dict[str, Any] = dict.fromkeys(given_names, "x")
    with pytest.raises(TypeError, match=said):
        Timer(**any_values)


def test_made_at_once_it_is_checked_as_at_every_birth() -> None:
    any_values: dict[str, Any] = dict.fromkeys(NAMES)
    with pytest.raises(AssertionError, match="may not become"):
        Change(kind=ChangeKind.CLAIM, before=None, after=Process(**any_values | {"status": "nonsense"}))
