"""Where a value goes, what a name means, and what an action has changed."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from factories import NOW, process, walk
from little_schemes import scheme

from workflow_runtime.core import parameters
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.parameters import SYSTEM, Draft, View
from workflow_runtime.core.process import Process, Trigger, TriggerKind, Walk
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Command, CommandInput, ParameterSpec
from workflow_runtime.core.scheme_words import Purpose
from workflow_runtime.core.values import LIMITS
from workflow_runtime.errors import ParameterError

LASTING = ParameterSpec(name="Lasting", type="int", purpose=Purpose.PERSISTENCE)
PASSING = ParameterSpec(name="Passing", type="int", purpose=Purpose.TEMPORARY)
AMOUNT = ParameterSpec(name="Amount", type="decimal", purpose=Purpose.PERSISTENCE, initial="0.10")


def declared(*specs: ParameterSpec, **more: Any) -> Scheme:
    return scheme("A", "B", parameters=specs or (LASTING, PASSING), **more)


def standing(*specs: ParameterSpec, **values: Any) -> Process:
    return process(scheme=declared(*specs), parameters=FrozenDict(values))


def command(*inputs: CommandInput) -> Command:
    return Command(name="go", inputs=inputs)


def split(pair: tuple[Mapping[str, Any], Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    return dict(pair[0]), dict(pair[1])


# ------------------------------------------------------------------ where a value goes


def test_at_creation_the_declared_purpose_wins_and_the_undeclared_persists() -> None:
    assert split(parameters.at_creation(declared(), {"Lasting": 1, "Passing": 2, "Other": 3}, LIMITS)) == ({"Lasting": 1, "Other": 3}, {"Passing": 2})


def test_with_a_command_the_undeclared_is_temporary() -> None:
    assert split(parameters.of_command(declared(), command(), {"Lasting": 1, "Passing": 2, "Other": 3}, LIMITS)) == ({"Lasting": 1}, {"Passing": 2, "Other": 3})


def test_an_operators_values_are_sorted_like_those_of_a_command() -> None:
    assert split(parameters.of_operator(declared(), {"Lasting": 1, "Other": 3}, LIMITS)) == ({"Lasting": 1}, {"Other": 3})


def test_initial_values_come_first_and_what_is_passed_wins() -> None:
    assert split(parameters.at_creation(declared(AMOUNT), {}, LIMITS)) == ({"Amount": Decimal("0.10")}, {})
    assert split(parameters.at_creation(declared(AMOUNT), {"Amount": "2.50"}, LIMITS)) == ({"Amount": Decimal("2.50")}, {})


def test_none_at_creation_removes_an_initial_value_and_stores_nothing() -> None:
    assert split(parameters.at_creation(declared(AMOUNT), {"Amount": None, "Other": None}, LIMITS)) == ({}, {})


@pytest.mark.parametrize("name", sorted(SYSTEM))
def test_system_names_are_refused_wherever_a_value_comes_from(name: str) -> None:
    for bring in (
        lambda: parameters.at_creation(declared(), {name: 1}, LIMITS),
        lambda: parameters.of_command(declared(), command(), {name: 1}, LIMITS),
        lambda: parameters.of_operator(declared(), {name: 1}, LIMITS),
        lambda: parameters.changed({}, {name: 1}, declared(), LIMITS),
    ):
        with pytest.raises(ParameterError, match=name) as caught:
            bring()
        assert (caught.value.code, caught.value.parameter) == ("bad_name", name)


def test_a_declared_type_converts_and_a_wrong_one_names_the_parameter() -> None:
    with pytest.raises(ParameterError, match=r"'Lasting'.*int") as caught:
        parameters.of_command(declared(), command(), {"Lasting": "seven"}, LIMITS)
    assert (caught.value.code, caught.value.parameter) == ("wrong_type", "Lasting")


# ------------------------------------------------------------------ inputs of a command


NOTE = CommandInput(name="note", parameter="Note", required=True)


@pytest.mark.parametrize("given", [{}, {"note": None}])
def test_a_missing_required_input_names_itself_and_its_command(given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="'go' needs the input 'note'") as caught:
        parameters.of_command(declared(), command(NOTE), given, LIMITS)
    assert (caught.value.code, caught.value.parameter, caught.value.command) == ("missing_input", "note", "go")


def test_an_input_fills_the_parameter_it_names() -> None:
    assert split(parameters.of_command(declared(), command(NOTE), {"note": "x"}, LIMITS)) == ({}, {"Note": "x"})


def test_inputs_that_exchange_their_names_both_arrive() -> None:
    crossed = command(CommandInput(name="a", parameter="b"), CommandInput(name="b", parameter="a"))
    assert split(parameters.of_command(declared(), crossed, {"a": 1, "b": 2}, LIMITS)) == ({}, {"b": 1, "a": 2})


@pytest.mark.parametrize(("default", "value"), [("7", 7), ('"7"', ParameterError), ("seven", ParameterError)])
def test_a_default_is_read_by_the_declared_type(default: str, value: Any) -> None:
    wanted = command(CommandInput(name="n", parameter="Lasting", required=True, default=default))
    if value is ParameterError:
        with pytest.raises(ParameterError):
            parameters.of_command(declared(), wanted, {}, LIMITS)
    else:
        assert split(parameters.of_command(declared(), wanted, {}, LIMITS)) == ({"Lasting": value}, {})
        assert split(parameters.of_command(declared(), wanted, {"n": 1}, LIMITS)) == ({"Lasting": 1}, {})


def test_a_default_of_an_undeclared_parameter_is_json_or_a_text() -> None:
    wanted = command(CommandInput(name="a", parameter="A", default="[1]"), CommandInput(name="b", parameter="B", default="ok"))
    assert split(parameters.of_command(declared(), wanted, {}, LIMITS)) == ({}, {"A": [1], "B": "ok"})


# ------------------------------------------------------------------ limits count for the whole process


SMALL = replace(LIMITS, parameters=3, value_bytes=1_024, process_bytes=2_048)


@pytest.mark.parametrize(("new", "code"), [({"c": 1, "d": 2}, "too_many"), ({"c": "x" * 900}, "too_large")])
def test_what_is_added_must_fit_together_with_what_is_there(new: dict[str, Any], code: str) -> None:
    there = FrozenDict({"a": "x" * 900, "b": "y" * 900})
    specs = tuple(replace(LASTING, name=name, type="any") for name in "cd")
    for add in (
        lambda: parameters.of_command(declared(*specs), command(), new, SMALL, present=there),
        lambda: parameters.of_operator(declared(*specs), new, SMALL, present=there),
        lambda: parameters.changed(there, {**there, **new}, declared(*specs), SMALL),
    ):
        with pytest.raises(ParameterError) as caught:
            add()
        assert caught.value.code == code


def test_what_makes_room_may_be_replaced() -> None:
    there = {"a": "x" * 900, "b": "y" * 900, "c": 1}
    assert parameters.changed(there, {"a": "x" * 900, "c": 1, "d": "z" * 900}, declared(), SMALL) == {"b": None, "d": "z" * 900}


# ------------------------------------------------------------------ what an action has changed


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1, "b": 2}, {"b": 2}, {"a": None}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": 1}, {"a": True}, {"a": True}),
        ({"a": 1}, {"a": 1.0}, {"a": 1.0}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3]}),
        ({"a": [1]}, {"a": [True]}, {"a": [True]}),
        ({"a": {"b": [1]}}, {"a": {"b": [1.0]}}, {"a": {"b": [1.0]}}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, {"a": {"y": 2, "x": 1}}),
        ({"a": Decimal("1.0")}, {"a": Decimal("1.00")}, {"a": Decimal("1.00")}),
        ({"a": Decimal("1.0")}, {"a": Decimal("1.0")}, {}),
        ({"a": {"b": {}}}, {"a": {"b": {}}}, {}),
    ],
)
def test_only_what_differs_in_value_or_type_is_a_change(before: dict[str, Any], after: dict[str, Any], changes: dict[str, Any]) -> None:
    found = parameters.changed(before, after, declared(), LIMITS)
    assert repr(dict(found)) == repr(changes)


@pytest.mark.parametrize(
    ("assign", "names"),
    [
        (lambda draft: draft.__setitem__("a", 1), {"a"}),
        (lambda draft: draft.update({"a": 1}, b=2), {"a", "b"}),
        (lambda draft: draft.update([("b", 2)]), {"b"}),
        (lambda draft: draft.__ior__({"b": 2}), {"b"}),
        (lambda draft: (draft.pop("a"), draft.setdefault("a", 1)), {"a"}),
        (lambda draft: (draft.clear(), draft.update(a=1, b=2)), {"a", "b"}),
        (lambda draft: (draft["a"], draft.get("b"), draft.setdefault("a", 5), draft.copy().update(a=1)), set()),
        (lambda draft: copy.deepcopy(draft).update(a=1), set()),
    ],
)
def test_what_is_assigned_is_a_change_even_if_the_value_is_the_same(assign: Callable[[Draft], Any], names: set[str]) -> None:
    before = {"a": 1, "b": 2}
    draft = Draft(before)
    assign(draft)
    assert parameters.changed(before, draft, declared(), LIMITS) == {name: before[name] for name in names}


def test_a_draft_finds_what_is_removed_and_what_is_changed_in_its_depth() -> None:
    before = {"a": [1], "b": 2, "c": 3, "d": 4}
    draft = Draft(copy.deepcopy(before))
    draft["a"].append(2)
    del draft["b"]
    draft["c"] = 4
    draft.pop("c")
    assert parameters.changed(before, draft, declared(), LIMITS) == {"a": [1, 2], "b": None, "c": None}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda draft: pickle.loads(pickle.dumps(draft))])
def test_a_copy_of_a_draft_is_a_plain_dictionary(copied: Callable[[Draft], Any]) -> None:
    draft = Draft({"a": [1]})
    assert (type(copied(draft)), copied(draft), json.dumps(draft)) == (dict, {"a": [1]}, '{"a": [1]}')


@pytest.mark.parametrize(
    ("name", "value", "changes"),
    [("Lasting", 7, {"Lasting": 7}), ("Other", 1, {"Other": 1}), ("Lasting", None, {"Lasting": None}), ("Passing", None, {"Passing": None})],
)
def test_an_operator_sets_for_good_what_may_be_stored(name: str, value: Any, changes: dict[str, Any]) -> None:
    assert parameters.for_good(standing(Lasting=1), name, value, LIMITS) == changes


def test_what_is_declared_temporary_is_not_set_for_good() -> None:
    with pytest.raises(ParameterError, match="declared temporary") as caught:
        parameters.for_good(standing(), "Passing", 1, LIMITS)
    assert (caught.value.code, caught.value.parameter) == ("not_persistent", "Passing")


def test_a_change_is_a_copy_that_the_action_cannot_touch_any_more() -> None:
    mine = {"a": [1]}
    found = parameters.changed({}, mine, declared(), LIMITS)
    mine["a"].append(2)
    assert found["a"] == [1]


def test_a_change_that_cannot_be_stored_is_refused() -> None:
    with pytest.raises(ParameterError) as caught:
        parameters.changed({}, {"a": object()}, declared(), LIMITS)
    assert caught.value.code == "type_error"


# ------------------------------------------------------------------ arrival


def arrival(of: Process, step: Walk, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return split(parameters.at_arrival(of, step, FrozenDict(changes)))


def test_at_arrival_inputs_and_changes_become_the_processes() -> None:
    step = walk(inputs=FrozenDict({"Lasting": 1}), temporary=FrozenDict({"Other": 2}))
    assert arrival(standing(Kept=0), step, New=3) == ({"Kept": 0, "Lasting": 1, "New": 3}, {"Other": 2})


def test_a_change_wins_over_an_input_and_over_what_is_there() -> None:
    step = walk(inputs=FrozenDict({"Lasting": 1}))
    assert arrival(standing(Lasting=0), step, Lasting=2) == ({"Lasting": 2}, {})


def test_a_declared_temporary_value_stays_in_the_run() -> None:
    assert arrival(standing(), walk(temporary=FrozenDict({"Passing": 1})), Passing=2) == ({}, {"Passing": 2})


def test_an_undeclared_temporary_value_that_an_action_changes_becomes_the_processes_and_hides_no_more() -> None:
    assert arrival(standing(), walk(temporary=FrozenDict({"Comment": "old"})), Comment="new") == ({"Comment": "new"}, {})


def test_none_removes_a_value_wherever_it_is() -> None:
    step = walk(inputs=FrozenDict({"Lasting": 1}), temporary=FrozenDict({"Comment": "old", "Passing": 1}))
    assert arrival(standing(Kept=0), step, Kept=None, Lasting=None, Comment=None, Passing=None) == ({}, {})


def test_without_changes_the_very_same_values_stay() -> None:
    of = standing(Kept=0)
    assert parameters.at_arrival(of, walk(), EMPTY)[0] is of.parameters  # by this the store knows that nothing is to be written


# ------------------------------------------------------------------ what a name means


def test_a_name_is_looked_up_from_the_newest_layer_to_the_provider() -> None:
    step = walk(inputs=FrozenDict({"a": "input", "b": "input"}), temporary=FrozenDict({"a": "t", "b": "t", "c": "t"}))
    of = standing(**dict.fromkeys("abcd", "process"))
    view = View(of, step, {"a": "change"}, {"e": "external"}.__getitem__)
    assert [view[name] for name in "abcde"] == ["change", "input", "t", "process", "external"]
    assert view.plain() == {"a": "change", "b": "input", "c": "t", "d": "process"}
    assert dict(view.items()) == view.plain()
    assert list(view.values()) == list(view.plain().values())
    assert len(view) == 4


def test_a_removed_value_is_not_there() -> None:
    view = View(standing(gone=1, Lasting=1), walk(), {"gone": None, "Lasting": None})
    assert "gone" not in view
    assert view.get("gone", "default") == "default"
    with pytest.raises(KeyError):
        view.lookup("gone")
    assert view.lookup("Lasting") is None  # declared


def test_an_unknown_name_is_a_key_error_and_a_declared_one_without_value_is_none() -> None:
    view = View(standing(), None)
    assert view.lookup("Lasting") is None
    with pytest.raises(KeyError):
        view.lookup("Unheard")


def test_system_names_win_over_a_provider_and_are_not_among_the_plain_values() -> None:
    view = View(standing(), None, external=lambda name: pytest.fail(f"asked for {name}"))
    assert view["CurrentActivity"] == "A"
    assert "ProcessId" not in view.plain()


def test_every_system_parameter_has_its_value() -> None:
    trigger = Trigger(TriggerKind.COMMAND, "go")
    step = walk(run=trigger, identity="ann", impersonated_identity="bob")
    of = replace(standing(), previous_activity="P", previous_state_for_direct="D", previous_activity_for_reverse="R", tenant_id="t", previous_state="PS")
    view = View(of, step)
    expected = {
        "ProcessId": of.id,
        "PreviousState": "PS",
        "CurrentState": "Open",
        "PreviousActivity": "P",
        "PreviousStateForDirect": "D",
        "PreviousActivityForReverse": "R",
        "SchemeCode": "order",
        "IsPreExecution": False,
        "ParentProcessId": None,
        "RootProcessId": of.id,
        "TenantId": "t",
        "CreationDate": NOW,
        "LastTransitionDate": NOW,
        "IdentityId": "ann",
        "ImpersonatedIdentityId": "bob",
        "CurrentCommand": "go",
        "ExecutedTimer": None,
        "StartTransitionTime": NOW,
        "LogEnabled": False,
    }
    assert {name: view[name] for name in expected} == expected
    assert {name: View(of, None)[name] for name in ("IdentityId", "CurrentCommand", "StartTransitionTime")} == dict.fromkeys(
        ("IdentityId", "CurrentCommand", "StartTransitionTime")
    )
    assert View(of, walk(run=Trigger(TriggerKind.TIMER, "late")))["ExecutedTimer"] == "late"
    assert all(isinstance(view[name], object) for name in SYSTEM)


def test_values_of_time_keep_their_type() -> None:
    specs = (
        ParameterSpec(name="When", type="datetime", purpose=Purpose.PERSISTENCE),
        ParameterSpec(name="Long", type="timedelta", purpose=Purpose.PERSISTENCE),
    )
    lasting, _ = parameters.at_creation(declared(*specs), {"When": "2031-12-24T09:00:00Z", "Long": "P1D"}, LIMITS)
    assert lasting == {"When": datetime(2031, 12, 24, 9, tzinfo=UTC), "Long": timedelta(days=1)}
