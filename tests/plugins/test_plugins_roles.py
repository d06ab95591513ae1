"""The rules that come with the package."""

from __future__ import annotations

from typing import Any

import pytest
from interrupted import process

from workflow_runtime.catalogue import Catalogue, gather
from workflow_runtime.plugin_loading import Plugins


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    plugins = Plugins()
    plugins.add_builtin()
    return gather(plugins.sources())


@pytest.mark.parametrize(
    ("rule", "value", "parameters", "listed"),
    [
        ("Identity", "bob", {}, ["bob"]),
        ("Identity", " bob ", {}, ["bob"]),
        ("Identity", "", {}, []),
        ("Identity", None, {}, []),
        ("IdentityIn", "alice, bob,", {}, ["alice", "bob"]),
        ("IdentityIn", "Bob", {}, ["Bob"]),
        ("IdentityIn", None, {}, []),
        ("IdentityInParameter", "Author", {"Author": "bob"}, ["bob"]),
        ("IdentityInParameter", "Author", {"Author": ["alice", "", 5]}, ["alice"]),
        ("IdentityInParameter", "Author", {"Author": "bobby"}, ["bobby"]),
        ("IdentityInParameter", "Author", {}, []),
        ("IdentityInParameter", None, {"Author": "bob"}, []),
    ],
)
def test_a_rule_allows_exactly_whom_it_lists(catalogue: Catalogue, rule: str, value: str | None, parameters: dict[str, Any], listed: list[str]) -> None:
    spec, one = catalogue.rule(rule), process(**parameters)
    assert spec.identities is not None
    assert spec.identities(one, value) == listed
    assert [who for who in ("alice", "bob", "Bob", "bobby", "", None) if spec.check(one, who, value)] == listed


@pytest.mark.parametrize("identity", ["bob", "", None])
def test_anyone_allows_everybody_and_cannot_be_listed(catalogue: Catalogue, identity: str | None) -> None:
    assert catalogue.rule("Anyone").check(process(), identity, None) is True
    assert catalogue.rule("Anyone").identities is None
