"""The operator's verbs, each with actor and reason in history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from bench import NOW, WHO, Bench, history, last, path_of
from test_actions import Once

from workflow_runtime import Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.errors import (
    ActionFailed,
    ActivityNotFound,
    ConditionFailed,
    NotResumable,
    ParameterError,
    ProcessBusy,
    ProcessNotFound,
    StaleRevision,
    StateNotFound,
    StatusNotAllowed,
    TimerNotFound,
    WorkflowError,
)

TEXT = """
scheme: S
parameters: {N: {type: int, purpose: persistence, initial: 0}, Passing: {type: int, purpose: temporary}}
timers: {late: {interval: 1h}, once: {at: "2030-01-01 02:00:00"}}
commands: {go: {}, out: {}}
activities:
  A: {initial: true, state: Open, set_state: true}
  B: {state: Busy, set_state: true, actions: [Note, Again, Note]}
  B2: {state: Busy, set_state: true}
  C: {state: Hidden}
  D: {state: Dead, set_state: true}
  End: {final: true, state: Done, set_state: true}
transitions:
  - {from: A, to: B, on: {command: go}}
  - {from: B, to: C, when: "@N < 5"}
  - {from: C, to: End, on: {timer: late}}
  - {from: C, to: End, on: {timer: once}, when: "1 = 2"}
  - {from: D, to: A, when: {action: Open}}
"""


def started(bench: Bench, again: Once | None = None, opened: Callable[..., bool] = lambda ctx, parameter: False) -> tuple[WorkflowRuntime, Process]:
    if again is None:
        again = Once()
        again.mended = True
    runtime = bench(TEXT, actions={"Again": again}, conditions={"Open": opened})
    return runtime, runtime.create_instance("S")


def broken(bench: Bench) -> tuple[WorkflowRuntime, Process, Once]:
    """Failed in the second action of B."""
    again = Once()
    runtime, process = started(bench, again)
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go", identity="ann")
    return runtime, runtime.get_process(process.id), again


# ------------------------------------------------------------------ set_activity, set_state


def test_set_activity_enters_it_with_its_actions_and_what_follows(bench: Bench) -> None:
    runtime, process = started(bench)
    after = runtime.set_activity(process.id, "B", parameters={"N": 1, "Passing": 2, "Other": 3}, **WHO)
    assert isinstance(after, Process)
    assert (after.activity, after.status, dict(after.parameters)) == ("C", ProcessStatus.IDLED, {"N": 1})
    assert bench.said == ["B", "B"]
    ordered, entered, followed = history(runtime, process.id)[1:]
    assert (ordered.kind, ordered.actor, ordered.walk_id, followed.kind) == ("operated", "olga", entered.walk_id, "moved")
    assert (entered.trigger.kind, entered.trigger.name, entered.actor, entered.reason, entered.transition) == ("Operator", "set_activity", "olga", "test", "")
    assert (followed.to_activity, followed.trigger.kind, followed.actor) == ("C", "Auto", None)


def test_to_only_stand_there_runs_nothing_and_leads_no_further(bench: Bench) -> None:
    runtime, process = started(bench)
    after = runtime.set_activity(process.id, "B", execute=False, parameters={"N": 1}, **WHO)
    assert isinstance(after, Process)
    assert (after.activity, after.state, after.status, dict(after.parameters), after.walk, bench.said) == ("B", "Busy", ProcessStatus.IDLED, {"N": 1}, None, [])
    assert (last(runtime, process.id).actor, last(runtime, process.id).status) == ("olga", "Idled")
    stood = runtime.set_activity(process.id, "C", execute=False, **WHO)
    assert [timer.name for timer in runtime.get_timers(stood.id)] == ["late", "once"]  # type: ignore[union-attr]
    ended = runtime.set_state(process.id, "Done", execute=False, **WHO)
    assert isinstance(ended, Process)
    assert (ended.status, runtime.get_timers(process.id)) == (ProcessStatus.FINALIZED, [])


def test_set_state_takes_the_first_activity_of_that_state_that_may_be_set(bench: Bench) -> None:
    runtime, process = started(bench)
    assert runtime.get_available_states(process.id) == ["Open", "Busy", "Dead", "Done"]
    runtime.set_state(process.id, "Busy", **WHO)
    assert path_of(runtime, process.id) == ["A", "B", "C"]
    assert last(runtime, process.id).to_activity == "C"
    with pytest.raises(StateNotFound, match="'Hidden'"):
        runtime.set_state(process.id, "Hidden", **WHO)
    with pytest.raises(StateNotFound, match="did you mean 'Done'"):
        runtime.set_state(process.id, "Dome", **WHO)
    with pytest.raises(ActivityNotFound, match="did you mean 'End'"):
        runtime.set_activity(process.id, "Ende", **WHO)


@pytest.mark.parametrize("status", ["Idled", "Finalized", "Terminated", "Error"])
def test_every_status_at_rest_may_be_moved_on(bench: Bench, status: str) -> None:
    if status == "Error":
        runtime, process, _ = broken(bench)
    else:
        runtime, process = started(bench)
    if status == "Finalized":
        runtime.set_activity(process.id, "End", **WHO)
    if status == "Terminated":
        runtime.cancel_process(process.id, **WHO)
    assert runtime.get_process(process.id).status == status
    after = runtime.set_activity(process.id, "A", **WHO)
    assert isinstance(after, Process)
    assert (after.activity, after.status, after.last_error, after.walk) == ("A", ProcessStatus.IDLED, None, None)


def test_an_activity_that_fails_names_the_operator_in_history(bench: Bench) -> None:
    runtime, process = started(bench, Once())
    with pytest.raises(ActionFailed):
        runtime.set_activity(process.id, "B", **WHO)
    entry = last(runtime, process.id)
    assert (entry.kind, entry.actor, entry.reason, entry.to_activity) == ("failed", "olga", "test", "A")


# ------------------------------------------------------------------ resume


def test_resume_goes_on_at_the_first_unfinished_action(bench: Bench) -> None:
    runtime, process, again = broken(bench)
    assert bench.said == ["B"]
    again.mended = True
    after = runtime.resume_process(process.id, **WHO)
    assert (after.activity, after.status, bench.said) == ("C", ProcessStatus.IDLED, ["B", "B"])
    arrived = history(runtime, process.id)[-2]
    assert (arrived.to_activity, arrived.actor, arrived.reason, arrived.identity, arrived.trigger.name) == ("B", "olga", "test", "ann", "go")


@pytest.mark.parametrize("where", ["scheme", "registration"])
@pytest.mark.parametrize("cancelled", [False, True], ids=["failed", "failed and cancelled"])
def test_resume_is_refused_before_an_action_that_is_not_resumable(bench: Bench, where: str, cancelled: bool) -> None:
    again = Once()
    runtime = bench.built(
        TEXT.replace("Again", "{action: Again, resumable: false}") if where == "scheme" else TEXT, conditions={"Open": lambda ctx, parameter: False}
    )
    runtime.action("Again", resumable=where == "scheme")(again)
    process = runtime.start().create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    if cancelled:
        runtime.cancel_process(process.id, **WHO)
    before = runtime.get_process(process.id)
    with pytest.raises(NotResumable) as caught:
        runtime.resume_process(process.id, **WHO)
    for word in (str(process.id), "'Again'", "'B'", "not resumable", "set_activity"):
        assert word in caught.value.message
    assert (caught.value.nouns["activity"], caught.value.nouns["action"]) == ("B", "Again")
    assert (runtime.get_process(process.id), len(again.attempts)) == (before, 1)
    again.mended = True
    assert runtime.set_activity(process.id, "B", **WHO).activity == "C"  # type: ignore[union-attr]


def test_what_is_not_resumable_does_not_hold_up_the_actions_before_it(bench: Bench) -> None:
    again = Once()
    runtime = bench(
        TEXT.replace("[Note, Again, Note]", "[Again, {action: Note, resumable: false}]"), actions={"Again": again}, conditions={"Open": lambda c, p: False}
    )
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    again.mended = True
    assert runtime.resume_process(process.id, **WHO).activity == "C"


def test_resume_after_a_cancel_goes_on_with_the_walk(bench: Bench) -> None:
    runtime, process, again = broken(bench)
    runtime.cancel_process(process.id, **WHO)
    again.mended = True
    assert runtime.resume_process(process.id, **WHO).activity == "C"


@pytest.mark.parametrize(("opened", "stands"), [(True, "A"), (False, "D")])
def test_resume_without_a_walk_tries_automatic_transitions_else_it_waits(bench: Bench, opened: bool, stands: str) -> None:
    runtime, process = started(bench, opened=lambda ctx, parameter: opened)
    runtime.set_activity(process.id, "D", execute=False, **WHO)
    runtime.cancel_process(process.id, **WHO)
    after = runtime.resume_process(process.id, **WHO)
    assert (after.activity, after.status) == (stands, ProcessStatus.IDLED)
    entry = last(runtime, process.id)
    assert (entry.actor, entry.reason, entry.status) == ("olga", "test", "Idled")
    assert entry.kind == ("moved" if opened else "operated")
    assert bench.said == []


def test_resume_at_rest_asks_the_conditions_again(bench: Bench) -> None:
    answers = [False, False, True]
    runtime, process = started(bench, opened=lambda ctx, parameter: answers.pop(0))
    runtime.set_activity(process.id, "D", **WHO)
    assert [runtime.resume_process(process.id, **WHO).activity for _ in range(2)] == ["D", "A"]


def test_resume_leads_nowhere_from_a_final_activity(bench: Bench) -> None:
    runtime, process = started(bench)
    runtime.set_activity(process.id, "End", **WHO)
    assert runtime.resume_process(process.id, **WHO).status is ProcessStatus.FINALIZED


def test_a_condition_that_raises_at_resume_is_told(bench: Bench) -> None:
    runtime, process = started(bench, opened=lambda ctx, parameter: bool(1 / 0))
    runtime.set_activity(process.id, "D", execute=False, **WHO)
    with pytest.raises(ConditionFailed):
        runtime.resume_process(process.id, **WHO)
    entry = last(runtime, process.id)
    assert (entry.kind, entry.actor, entry.status) == ("failed", "olga", "Terminated")


# ------------------------------------------------------------------ cancel, delete


def test_cancel_at_rest_is_terminated_at_once_and_nothing_moves_it_but_an_operator(bench: Bench) -> None:
    runtime, process = started(bench)
    runtime.set_activity(process.id, "C", execute=False, **WHO)
    after = runtime.cancel_process(process.id, **WHO)
    assert (after.status, after.activity) == (ProcessStatus.TERMINATED, "C")
    assert (last(runtime, process.id).kind, last(runtime, process.id).reason) == ("cancelled", "test")
    bench.clock.advance(timedelta(days=1))
    assert runtime.get_process(process.id) == after


def test_delete_leaves_history_only(bench: Bench) -> None:
    runtime, process = started(bench)
    runtime.set_activity(process.id, "C", **WHO)
    gone = runtime.delete_process(process.id, **WHO)
    assert gone.id == process.id
    with pytest.raises(ProcessNotFound):
        runtime.get_process(process.id)
    assert (last(runtime, process.id).kind, last(runtime, process.id).actor, runtime.get_timers(process.id)) == ("deleted", "olga", [])
    assert runtime.count_processes() == 0


# ------------------------------------------------------------------ values and timers


def test_set_parameter_stores_converts_and_removes(bench: Bench) -> None:
    runtime, process = started(bench)
    assert runtime.set_parameter(process.id, "N", 3, **WHO).parameters == {"N": 3}
    assert runtime.set_parameter(process.id, "Other", [1], **WHO).parameters == {"N": 3, "Other": [1]}
    assert runtime.set_parameter(process.id, "N", None, **WHO).parameters == {"Other": [1]}
    assert runtime.set_parameter(process.id, "Unheard", None, **WHO).parameters == {"Other": [1]}
    assert [(entry.kind, entry.trigger.name, entry.actor) for entry in history(runtime, process.id)[1:]] == [("operated", "set_parameter", "olga")] * 4


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("N", "x", "wrong_type"),
        ("ProcessId", 1, "bad_name"),
        ("ProcessId", None, "bad_name"),
        ("", None, "bad_name"),
        (["x"], None, "bad_name"),
        ("x", {1}, "type_error"),
        ("Passing", 1, "not_persistent"),
    ],
)
def test_set_parameter_refuses_what_cannot_be_stored(bench: Bench, name: Any, value: Any, code: str) -> None:
    runtime, process = started(bench)
    with pytest.raises(ParameterError) as caught:
        runtime.set_parameter(process.id, name, value, **WHO)
    assert caught.value.code == code
    assert runtime.get_process(process.id) == process


def test_set_timer_moves_a_timer_and_arms_one_that_is_not_set(bench: Bench) -> None:
    runtime, process = started(bench)
    runtime.set_activity(process.id, "C", **WHO)
    runtime.set_timer(process.id, "late", timedelta(minutes=5), **WHO)
    assert {timer.name: timer.due - NOW for timer in runtime.get_timers(process.id)} == {"late": timedelta(minutes=5), "once": timedelta(hours=2)}
    assert last(runtime, process.id).actor == "olga"
    bench.clock.advance(timedelta(minutes=5))
    assert runtime.get_process(process.id).activity == "End"
    with pytest.raises(TimerNotFound, match="'late'"):
        runtime.set_timer(process.id, "late", timedelta(0), **WHO)


def test_fire_timer_fires_now_and_says_so(bench: Bench) -> None:
    runtime, process = started(bench)
    runtime.set_activity(process.id, "C", **WHO)
    after = runtime.fire_timer(process.id, "late", **WHO)
    entry = last(runtime, process.id)
    assert (after.activity, entry.trigger.kind, entry.trigger.name, entry.actor, entry.reason) == ("End", "Timer", "late", "olga", "test")
    with pytest.raises(TimerNotFound):
        runtime.fire_timer(process.id, "late")


def test_fire_timer_in_vain_is_told_with_the_operator(bench: Bench) -> None:
    runtime, process = started(bench)
    runtime.set_activity(process.id, "C", **WHO)
    assert runtime.fire_timer(process.id, "once", **WHO).activity == "C"
    entry = last(runtime, process.id)
    assert (entry.kind, entry.actor, entry.reason) == ("not_applicable", "olga", "test")


def test_fire_timer_needs_a_status_that_takes_timers(bench: Bench) -> None:
    runtime, process = started(bench)
    runtime.set_activity(process.id, "C", **WHO)
    runtime.cancel_process(process.id, **WHO)
    with pytest.raises(StatusNotAllowed):
        runtime.fire_timer(process.id, "late", **WHO)


# ------------------------------------------------------------------ what every verb has in common


Verb = Callable[[WorkflowRuntime, UUID], Any]
VERBS: dict[str, Verb] = {
    "set_activity": lambda runtime, one: runtime.set_activity(one, "A", **WHO),
    "set_state": lambda runtime, one: runtime.set_state(one, "Open", **WHO),
    "stand": lambda runtime, one: runtime.set_activity(one, "A", execute=False, **WHO),
    "resume": lambda runtime, one: runtime.resume_process(one, **WHO),
    "delete": lambda runtime, one: runtime.delete_process(one, **WHO),
    "set_parameter": lambda runtime, one: runtime.set_parameter(one, "N", 1, **WHO),
    "cancel": lambda runtime, one: runtime.cancel_process(one, **WHO),
}


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_process_is_not_found(bench: Bench, verb: str) -> None:
    runtime, _ = started(bench)
    with pytest.raises(ProcessNotFound):
        VERBS[verb](runtime, uuid4())


@pytest.mark.parametrize("verb", [name for name in VERBS if name != "cancel"])
def test_a_process_under_way_is_busy_and_only_cancel_reaches_it(bench: Bench, verb: str) -> None:
    caught: list[WorkflowError] = []

    class Meddling(Once):
        def __call__(self, ctx: Any, parameter: str | None) -> None:
            with pytest.raises(ProcessBusy, match="cancel_process stops it") as error:
                VERBS[verb](runtime, ctx.process_id)
            caught.append(error.value)

    runtime, process = started(bench, Meddling())
    runtime.execute_command(process.id, "go")
    assert [error.process_id for error in caught] == [process.id]


@pytest.mark.parametrize("who", [{"actor": "", "reason": "x"}, {"actor": "x", "reason": " "}, {"actor": None, "reason": "x"}, {"actor": "x\n", "reason": "x"}])
def test_actor_and_reason_are_required(bench: Bench, who: dict[str, Any]) -> None:
    runtime, process = started(bench)
    for verb in (runtime.cancel_process, runtime.delete_process, runtime.resume_process):
        with pytest.raises(ParameterError, match="printable"):
            verb(process.id, **who)
    with pytest.raises(TypeError):
        runtime.cancel_process(process.id)  # type: ignore[call-overload]
    assert runtime.get_process(process.id) == process


@pytest.mark.parametrize("verb", ["cancel_process", "delete_process", "resume_process"])
def test_an_old_revision_is_stale(bench: Bench, verb: str) -> None:
    runtime, process = started(bench)
    with pytest.raises(StaleRevision):
        getattr(runtime, verb)(process.id, expected_revision=process.revision + 1, **WHO)
    getattr(runtime, verb)(process.id, expected_revision=process.revision, **WHO)


def test_a_filter_reaches_all_that_match_and_one_that_fails_stops_nobody(bench: Bench) -> None:
    runtime, first = started(bench, Once())
    others = [runtime.create_instance("S", parameters={"N": number}) for number in (7, 7, 8)]
    runtime.set_activity(others[0].id, "End", **WHO)
    seven = ProcessFilter(parameters=FrozenDict({"N": 7}))
    dry = runtime.cancel_process(seven, dry_run=True, **WHO)
    assert (dry.verb, dry.dry_run, set(dry.matched), dry.done, dry.failed) == ("cancel", True, {one.id for one in others[:2]}, (), {})
    assert runtime.count_processes(ProcessFilter(status=ProcessStatus.TERMINATED)) == 0
    done = runtime.cancel_process(seven, **WHO)
    assert (set(done.done), done.failed) == ({one.id for one in others[:2]}, {})
    with pytest.raises(ActionFailed):
        runtime.execute_command(first.id, "go")
    mixed = runtime.resume_process(ProcessFilter(scheme_code="S"), **WHO)
    assert (set(mixed.failed), len(mixed.done)) == ({first.id}, 3)
    assert mixed.failed[first.id].startswith("ActionFailed: ")
