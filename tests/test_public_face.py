"""The face: every public name is there, sorted, typed, documented, and the same in every place that lists it."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest

import workflow_runtime
from workflow_runtime import WorkflowRuntime, errors
from workflow_runtime.runtime.aio import Aio

ROOT = Path(__file__).parent.parent
STUB = ast.parse((ROOT / "workflow_runtime" / "__init__.pyi").read_text())
API = (ROOT / "docs" / "reference" / "api.md").read_text()

ERRORS = [getattr(errors, name) for name in errors.__all__ if name != "Problem"]


# ------------------------------------------------------------------ names


def test_all_is_sorted_and_every_name_can_be_imported() -> None:
    assert workflow_runtime.__all__ == sorted(set(workflow_runtime.__all__))
    assert [name for name in workflow_runtime.__all__ if not hasattr(workflow_runtime, name)] == []
    assert dir(workflow_runtime) == workflow_runtime.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="WorkflowRuntme"):
        _ = workflow_runtime.WorkflowRuntme  # type: ignore[attr-defined]


def test_the_stub_lists_the_same_names() -> None:
    listed = next(ast.literal_eval(node.value) for node in STUB.body if isinstance(node, ast.Assign))
    assert listed == workflow_runtime.__all__


def test_the_stub_takes_each_name_from_where_it_lives() -> None:
    told = {alias.asname: node.module for node in STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told.keys() == set(workflow_runtime.__all__)
    for name in set(workflow_runtime.__all__) - {"__version__", "hookimpl"}:
        assert getattr(workflow_runtime, name).__module__ == told[name], name


@pytest.mark.parametrize("name", [name for name in workflow_runtime.__all__ if name != "__version__"])
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(workflow_runtime, name)
    doc = inspect.cleandoc(value.__doc__ or "")
    assert doc, f"{name} has no docstring"
    assert not (is_dataclass(value) and doc.startswith(f"{name}(")), f"{name} has only the signature that dataclass writes"
    assert re.search(rf"\b{name}\b", API), f"docs/reference/api.md does not mention {name}"


# ------------------------------------------------------------------ verbs


def verbs() -> Iterator[tuple[str, Any]]:
    """The public methods of a runtime, except those that build it."""
    for name, value in inspect.getmembers(WorkflowRuntime, inspect.isfunction):
        if not name.startswith(("_", "with_", "as_")) and name not in ("action", "condition", "rule"):
            yield name, value


def test_every_verb_has_an_awaitable_twin() -> None:
    twins = {name for name, _ in inspect.getmembers(Aio, callable) if not name.startswith("_")}
    assert twins == {name for name, _ in verbs()}


@pytest.mark.parametrize(("name", "verb"), list(verbs()))
def test_twins_take_and_document_the_same(name: str, verb: Any) -> None:
    twin = getattr(Aio, name)
    assert inspect.iscoroutinefunction(inspect.unwrap(twin, stop=inspect.iscoroutinefunction))
    assert inspect.signature(twin) == inspect.signature(verb)
    assert twin.__doc__ == verb.__doc__


@pytest.mark.parametrize(("name", "method"), [(n, m) for n, m in inspect.getmembers(WorkflowRuntime, inspect.isfunction) if not n.startswith("_")])
def test_every_method_and_argument_is_in_the_reference(name: str, method: Any) -> None:
    rows = [line for line in API.splitlines() if f"`{name}(" in line]
    assert rows, f"docs/reference/api.md does not describe {name}()"
    missing = [argument for argument in inspect.signature(method).parameters if argument not in ("self", "options") and argument not in " ".join(rows)]
    assert not missing, f"docs/reference/api.md does not name the arguments {missing} of {name}()"


# ------------------------------------------------------------------ errors


def drawn_tree() -> dict[str, str]:
    """Error -> its base, as drawn at the top of errors.py."""
    path: list[str] = []
    tree: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"((?:[│ ]   )*)[├└]── (\w+)", line):
            depth = len(match[1]) // 4 + 1
            path[depth:] = [match[2]]
            tree[match[2]] = path[depth - 1]
        elif line == "WorkflowError":
            path = [line]
    return tree


def test_the_drawn_tree_is_the_tree() -> None:
    classes = {name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.WorkflowError)}
    real = {name: value.__mro__[1].__name__ for name, value in classes.items() if value is not errors.WorkflowError}
    assert drawn_tree() == real
    assert {*classes, "Problem"} == set(errors.__all__)


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_say_what_happened_carry_their_nouns_and_pickle(kind: type[errors.WorkflowError]) -> None:
    error = kind(None, process_id="7f3a", activity="Review")
    assert str(error)
    assert error.name == kind.__name__
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.nouns) == (kind, str(error), error.nouns)
    assert back.activity == "Review"


def test_a_noun_that_an_error_does_not_carry_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="ProcessBusy carries no 'colour'"):
        _ = errors.ProcessBusy().colour


def test_a_scheme_error_pickles_with_its_problems() -> None:
    problem = errors.Problem(code="bad_name", message="found an empty name", path="a.yaml", line=3, column=5, suggestion="Draft")
    back = pickle.loads(pickle.dumps(errors.SchemeError(problems=(problem,))))
    assert back.problems == (problem,)
    assert str(back) == "the scheme has 1 problem:\n  a.yaml:3:5: error: found an empty name (did you mean 'Draft'?) [bad_name]"
