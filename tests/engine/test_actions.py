"""Actions: what they see, what becomes of the values they set, and how they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from bench import WHO, Bench, engine_of, history

from workflow_runtime import Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.errors import ActionFailed, ParameterError


def text(*actions: str, head: str = "", then: str = "[]") -> str:
    """The command go leads to Work with these actions, and on to Next."""
    return f"""
scheme: S
{head}
commands: {{go: {{}}, out: {{}}}}
activities:
  Rest: {{initial: true, state: Resting}}
  Work: {{state: Working, actions: [{", ".join(actions)}]}}
  Next: {{actions: {then}}}
  End: {{final: true}}
transitions:
  - {{from: Rest, to: Work, on: {{command: go}}}}
  - {{from: Work, to: Next}}
  - {{from: Next, to: End, on: {{command: out}}}}
  - {{from: Rest, to: End, on: {{command: out}}}}
"""


Act = Callable[[Any, Any], Any]


def went(bench: Bench, scheme: str, values: dict[str, Any] | None = None, given: dict[str, Any] | None = None, **actions: Act) -> Process:
    """Created with ``values`` and sent on with ``given``."""
    runtime = bench(scheme, actions=actions)
    process = runtime.create_instance("S", parameters=values, identity="ann")
    return runtime.execute_command(process.id, "go", parameters=given, identity="ann", impersonated_identity="bob").process


def setting(**values: Any) -> Act:
    def act(ctx: Any, parameter: str | None) -> None:
        ctx.parameters.update(values)

    return act


def looking(seen: list[Any], *names: str) -> Act:
    def act(ctx: Any, parameter: str | None) -> None:
        seen.append({name: ctx.parameters.get(name) for name in names} if names else dict(ctx.parameters))

    return act


# ------------------------------------------------------------------ values


HEAD = "parameters: {Lasting: {type: decimal, purpose: persistence, initial: 1}, Passing: {type: int, purpose: temporary}}"


def test_changes_are_visible_to_later_actions_and_become_the_processes_at_arrival(bench: Bench) -> None:
    seen: list[Any] = []

    def stored(ctx: Any, parameter: str | None) -> None:
        runtime = bench.opened[0]
        seen.append(dict(runtime.get_parameters(ctx.process_id)))

    after = went(bench, text("Set", "Look", "Stored", then="[Stored]"), {"a": 1}, Set=setting(a=2, b=[1]), Look=looking(seen), Stored=stored)
    assert seen == [{"a": 2, "b": [1]}, {"a": 1}, {"a": 2, "b": [1]}]
    assert after.parameters == {"a": 2, "b": [1]}


def test_the_declared_purpose_decides_and_the_undeclared_stays(bench: Bench) -> None:
    seen: list[Any] = []
    after = went(
        bench, text("Set", head=HEAD, then="[Look]"), Set=setting(Lasting="2.50", Passing=7, Other=1), Look=looking(seen, "Passing", "Lasting", "Other")
    )
    assert after.parameters == {"Lasting": Decimal("2.50"), "Other": 1}
    assert seen == [{"Passing": 7, "Lasting": Decimal("2.50"), "Other": 1}]


def test_values_given_with_a_command_live_for_the_run(bench: Bench) -> None:
    seen: list[Any] = []
    look = looking(seen, "Comment", "Passing")
    after = went(bench, text("Look", head=HEAD, then="[Look]"), given={"Comment": "sea", "Passing": 3}, Look=look)
    assert seen == [{"Comment": "sea", "Passing": 3}] * 2
    assert after.parameters == {"Lasting": Decimal(1)}


def test_a_temporary_value_that_an_action_changes_is_seen_changed_in_the_rest_of_the_run(bench: Bench) -> None:
    seen: list[Any] = []
    after = went(bench, text("Set", then="[Look]"), given={"Comment": "old"}, Set=setting(Comment="new"), Look=looking(seen, "Comment"))
    assert (seen, dict(after.parameters)) == ([{"Comment": "new"}], {"Comment": "new"})


@pytest.mark.parametrize("comment", [" sea ", "sea"])
def test_a_value_that_an_action_assigns_stays_even_if_it_is_the_same(bench: Bench, comment: str) -> None:
    def strip(ctx: Any, parameter: str | None) -> None:
        ctx.parameters["Comment"] = ctx.parameters["Comment"].strip()

    seen: list[Any] = []
    given = {"Comment": comment, "Other": "passes", "Passing": 3}
    after = went(bench, text("Strip", head=HEAD, then="[Look]"), given=given, Strip=strip, Look=looking(seen, "Comment", "Other"))
    assert after.parameters == {"Lasting": Decimal(1), "Comment": "sea"}
    assert seen == [{"Comment": "sea", "Other": "passes"}]


def test_values_of_every_kind_come_back_as_they_were(bench: Bench) -> None:
    values = {
        "decimal": Decimal("10.500"),
        "moment": datetime(2031, 5, 6, 7, 8, 9, 10, tzinfo=UTC),
        "span": timedelta(days=1, microseconds=1),
        "id": UUID(int=5),
        "bytes": b"\x00\xff",
        "nested": {"list": [1, {"a": Decimal("1.0")}], "none": None, "text": "ü\u2028"},
        "float": 1.5,
        "true": True,
    }
    seen: list[Any] = []
    after = went(bench, text("Set", then="[Look]"), Set=setting(**values), Look=looking(seen))
    assert repr(sorted(after.parameters.items())) == repr(sorted(values.items()))
    assert seen == [values]
    assert bench.opened[0].get_parameter(after.id, "decimal") == Decimal("10.500")


def test_a_value_changed_in_its_depth_is_a_change(bench: Bench) -> None:
    def deepen(ctx: Any, parameter: str | None) -> None:
        ctx.parameters["Order"]["lines"][0]["count"] += 1
        ctx.parameters["Tags"].append("new")

    after = went(bench, text("Deepen"), {"Order": {"lines": [{"count": 1}]}, "Tags": [], "Same": {"a": 1}}, Deepen=deepen)
    assert after.parameters == {"Order": {"lines": [{"count": 2}]}, "Tags": ["new"], "Same": {"a": 1}}


def test_values_are_removed_by_del_and_by_none(bench: Bench) -> None:
    def remove(ctx: Any, parameter: str | None) -> None:
        del ctx.parameters["a"]
        ctx.parameters["b"] = None

    seen: list[Any] = []
    after = went(bench, text("Remove", "Look", then="[Look]"), {"a": 1, "b": 2, "c": 3}, {"a": 4}, Remove=remove, Look=looking(seen))
    assert (seen, dict(after.parameters)) == ([{"c": 3}, {"c": 3}], {"c": 3})
    assert "a" not in bench.opened[0].get_parameters(after.id)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("ProcessId", 1, "bad_name"),
        ("CurrentState", "x", "bad_name"),
        ("__proto__", 1, "bad_name"),
        ("x", object(), "type_error"),
        ("x", float("nan"), "number_out_of_range"),
        ("Lasting", "no number", "wrong_type"),
        ("x", "y" * 300_000, "too_large"),
    ],
)
def test_a_value_that_cannot_be_stored_fails_the_action(bench: Bench, name: str, value: Any, code: str) -> None:
    with pytest.raises(ActionFailed) as caught:
        went(bench, text("Set", head=HEAD), Set=setting(**{name: value}))
    assert isinstance(caught.value.__cause__, ParameterError)
    assert caught.value.__cause__.code == code
    stored = bench.opened[0].get_process(caught.value.process_id)
    assert (stored.activity, stored.status, dict(stored.parameters)) == ("Rest", ProcessStatus.ERROR, {"Lasting": Decimal(1)})


def test_what_grows_from_run_to_run_meets_the_limit_of_the_process(bench: Bench) -> None:
    scheme = text("Grow").replace("- {from: Next, to: End, on: {command: out}}", "- {from: Next, to: Work, on: {command: go}}")

    def grow(ctx: Any, parameter: str | None) -> None:
        ctx.parameters[f"p{len(ctx.parameters)}"] = "x" * 900

    runtime = bench(scheme, actions={"Grow": grow}, max_value_bytes=1024, max_process_bytes=4096)
    process = runtime.create_instance("S")
    for _ in range(4):
        runtime.execute_command(process.id, "go")
    with pytest.raises(ActionFailed, match="ParameterError"):
        runtime.execute_command(process.id, "go")
    stored = runtime.get_process(process.id)
    assert (stored.status, stored.activity, len(stored.parameters)) == (ProcessStatus.ERROR, "Next", 4)


# ------------------------------------------------------------------ a walk given up, a walk resumed


class Once:
    """Fails until it is mended."""

    def __init__(self) -> None:
        self.mended, self.attempts = False, list[tuple[int, str]]()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        self.attempts.append((ctx.attempt, ctx.idempotency_key))
        if not self.mended:
            raise ValueError("not yet")


def half_way(bench: Bench, again: Once, seen: list[Any]) -> tuple[WorkflowRuntime, Process]:
    runtime = bench(text("Set", "Again", "Look"), actions={"Set": setting(a=2, b=3), "Again": again, "Look": looking(seen)})
    process = runtime.create_instance("S", parameters={"a": 1})
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go", parameters={"Comment": "sea"})
    broken = runtime.get_process(process.id)
    assert (dict(broken.parameters), broken.activity, broken.status) == ({"a": 1}, "Rest", ProcessStatus.ERROR)
    again.mended = True
    return runtime, broken


def test_changes_are_kept_when_the_walk_is_resumed_and_finished_actions_are_skipped(bench: Bench) -> None:
    again, seen = Once(), list[Any]()
    runtime, broken = half_way(bench, again, seen)
    after = runtime.resume_process(broken.id, **WHO)
    assert (after.activity, dict(after.parameters), after.walk) == ("Next", {"a": 2, "b": 3}, None)
    assert seen == [{"a": 2, "b": 3, "Comment": "sea"}]
    assert len({key for _, key in again.attempts}) == 1, "a resume keeps the effect keys"


@pytest.mark.parametrize("verb", ["command", "set_activity"])
def test_changes_are_lost_when_the_walk_is_given_up(bench: Bench, verb: str) -> None:
    again, seen = Once(), list[Any]()
    runtime, broken = half_way(bench, again, seen)
    if verb == "command":
        after = runtime.execute_command(broken.id, "out").process
        assert (dict(after.parameters), seen) == ({"a": 1}, [])
    else:
        runtime.set_activity(broken.id, "Work", **WHO)
        after = runtime.get_process(broken.id)
        assert (dict(after.parameters), seen) == ({"a": 2, "b": 3}, [{"a": 2, "b": 3}]), "all actions anew, without the values of the old run"
        assert len({key for _, key in again.attempts}) == 2, "new work has new effect keys"


def test_changes_of_an_action_without_a_journal_row_are_kept_with_the_next_row(bench: Bench) -> None:
    again, seen = Once(), list[Any]()
    scheme = text("{action: Set, journal: false}", "Mark", "Again", "Look")
    runtime = bench(scheme, actions={"Set": setting(a=2), "Mark": setting(m=1), "Again": again, "Look": looking(seen)})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    again.mended = True
    assert runtime.resume_process(process.id, **WHO).parameters == {"a": 2, "m": 1}
    assert seen == [{"a": 2, "m": 1}]


# ------------------------------------------------------------------ what an action sees


def test_the_context_tells_all_there_is_to_know(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    seen: dict[str, Any] = {}

    def look(ctx: Any, parameter: str | None) -> None:
        names = ["process_id", "identity", "impersonated_identity", "command", "timer", "activity", "transition", "attempt", "deadline"]
        seen.update({name: getattr(ctx, name) for name in names}, parameter=parameter, at=ctx.process.activity, status=ctx.process.status)
        with caplog.at_level(logging.INFO):
            ctx.log.info("hello")

    after = went(bench, text('{Look: "@Name of @CurrentState, @ProcessId"}'), {"Name": "Ann"}, Look=look)
    assert seen == {
        "process_id": after.id,
        "identity": "ann",
        "impersonated_identity": "bob",
        "command": "go",
        "timer": None,
        "activity": "Work",
        "transition": "Rest_Work_1",
        "attempt": 1,
        "deadline": None,
        "parameter": f"Ann of Resting, {after.id}",
        "at": "Rest",
        "status": ProcessStatus.RUNNING,
    }
    (record,) = [record for record in caplog.records if record.message == "hello"]
    assert record.process_id == str(after.id)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("written", "parameter"),
    [("Look", None), ("{Look: plain}", "plain"), ("{Look: {b: 1, a: [x]}}", '{"b":1,"a":["x"]}'), ('{Look: "@Missing"}', "")],
)
def test_a_parameter_is_a_text_after_substitution(bench: Bench, written: str, parameter: str | None) -> None:
    seen: list[Any] = []
    head = "parameters: {Missing: {type: string, purpose: persistence}}"
    went(bench, text(written, head=head), Look=lambda ctx, parameter: seen.append(parameter))
    assert [value and value.replace(" ", "") for value in seen] == [parameter]


def test_the_values_of_an_action_are_its_own_copy(bench: Bench) -> None:
    kept: list[Any] = []

    def keep(ctx: Any, parameter: str | None) -> None:
        kept.append(ctx.parameters)

    def late(ctx: Any, parameter: str | None) -> None:
        kept[0]["List"].append("late")
        kept[0]["new"] = 1

    after = went(bench, text("Keep", "Late"), {"List": []}, Keep=keep, Late=late)
    assert after.parameters == {"List": []}


def test_actions_of_several_activities_run_in_their_order(bench: Bench) -> None:
    went(bench, text("{Note: one}", "{Note: two}", then="[{Note: three}, Note]"))
    assert bench.said == ["one", "two", "three", "Next"]


def test_an_unregistered_action_does_nothing_where_that_is_wanted(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    runtime = bench(text("Unheard", "Note"), ignore_missing_execution_items=True)
    process = runtime.create_instance("S")
    assert runtime.execute_command(process.id, "go").process.activity == "Next"
    assert bench.said == ["Work"]
    assert "'Unheard' is not registered" in caplog.text


def test_an_action_may_give_commands_to_other_processes(bench: Bench) -> None:
    other: list[Any] = []

    def order(ctx: Any, parameter: str | None) -> None:
        other.append(bench.opened[0].create_instance("S"))
        bench.opened[0].execute_command(other[0].id, "out")

    after = went(bench, text("Order"), Order=order)
    assert after.activity == "Next"
    assert bench.opened[0].get_process(other[0].id).status is ProcessStatus.FINALIZED
    assert len(engine_of(bench.opened[0]).live) == 0


def test_history_counts_without_a_gap(bench: Bench) -> None:
    after = went(bench, text("Note", then="[Note]"))
    assert [entry.seq for entry in history(bench.opened[0], after.id)] == [1, 2, 3]
