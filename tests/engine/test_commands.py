"""Commands: what is executed, what is refused and how, who may, with which values, and two at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from bench import NOW, WHO, Bench, engine_of, history, last

from workflow_runtime import CommandResult, Process, ProcessStatus
from workflow_runtime.errors import (
    CommandNotFound,
    ParameterError,
    ProcessAlreadyExists,
    ProcessBusy,
    ProcessNotFound,
    SchemeNotFound,
    StaleRevision,
    StatusNotAllowed,
    WorkflowError,
)

TEXT = """
scheme: Order
parameters:
  Amount: {type: decimal, purpose: persistence}
  Hint: {type: string, purpose: temporary}
commands:
  Approve: {inputs: {amount: {parameter: Amount, required: true, default: "10.50"}, note: {parameter: Hint}}}
  Reject: {inputs: {why: {parameter: Hint, required: true}}}
  Later: {}
  Work: {}
  Close: {}
activities:
  Draft: {initial: true, state: Draft}
  Review: {state: Review, actions: [{Note: "@Amount"}]}
  Busy: {actions: [Wait]}
  Done: {final: true, state: Done}
transitions:
  - {from: Draft, to: Review, on: {command: Approve}, classifier: direct}
  - {from: Draft, to: Draft, on: {command: Reject}}
  - {from: Draft, to: Busy, on: {command: Work}}
  - {from: Busy, to: Draft}
  - {from: Review, to: Done, on: {command: Close}}
"""


class Gate:
    """An action that waits until the test lets it go."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        self.entered.set()
        assert self.open.wait(20)


def started(bench: Bench, **given: Any) -> tuple[Any, Process]:
    runtime = bench(TEXT, **{"actions": {"Wait": Gate()}} | given)
    return runtime, runtime.create_instance("Order", identity="ann")


# ------------------------------------------------------------------ executed


def test_an_executed_command_answers_with_the_process_as_it_stands(bench: Bench) -> None:
    runtime, process = started(bench)
    result = runtime.execute_command(str(process.id).upper(), "Approve", identity="ann", impersonated_identity="bob")
    assert isinstance(result, CommandResult)
    assert (result.was_executed, result.reason, result.waiting_until) == (True, "", None)
    assert result.process == runtime.get_process(process.id)
    assert (result.process.activity, result.process.state, result.process.status) == ("Review", "Review", ProcessStatus.IDLED)
    assert (result.process.previous_activity, result.process.revision) == ("Draft", 3)
    entry = last(runtime, process.id)
    assert (entry.trigger.name, entry.identity, entry.impersonated_identity, entry.classifier, entry.at) == ("Approve", "ann", "bob", "Direct", NOW)
    assert (entry.from_state, entry.to_state, entry.transition, entry.status) == ("Draft", "Review", "Draft_Review_1", ProcessStatus.IDLED)


def test_a_new_process_is_told_in_history(bench: Bench) -> None:
    runtime, process = started(bench)
    (entry,) = history(runtime, process.id)
    assert (entry.trigger.kind, entry.from_activity, entry.to_activity, entry.identity, entry.seq) == ("Initializing", "", "Draft", "ann", 1)


def test_an_id_can_be_chosen_once(bench: Bench) -> None:
    runtime, _ = started(bench)
    mine = uuid4()
    assert runtime.create_instance("Order", process_id=str(mine), parameters={"a": 1}).id == mine
    with pytest.raises(ProcessAlreadyExists, match=str(mine)):
        runtime.create_instance("Order", process_id=mine, parameters={"a": 2})
    assert runtime.get_process(mine).parameters["a"] == 1
    runtime.delete_process(mine, **WHO)
    with pytest.raises(ProcessAlreadyExists, match="deleted"):
        runtime.create_instance("Order", process_id=mine)


# ------------------------------------------------------------------ refused: nothing is written


def refused(runtime: Any, process: Process, error: type[WorkflowError], name: str, **given: Any) -> WorkflowError:
    before, rows = runtime.get_process(process.id), history(runtime, process.id)
    with pytest.raises(error) as caught:
        runtime.execute_command(process.id, name, **given)
    assert runtime.get_process(process.id) == before
    assert history(runtime, process.id) == rows
    return caught.value


def test_an_undeclared_command_is_not_found_with_a_suggestion(bench: Bench) -> None:
    runtime, process = started(bench)
    error = refused(runtime, process, CommandNotFound, "Aprove")
    assert error.suggestion == "Approve"
    assert "did you mean 'Approve'" in error.message
    assert (error.process_id, error.command) == (process.id, "Aprove")
    assert refused(runtime, process, CommandNotFound, "approve").suggestion == "Approve"  # names are exact


@pytest.mark.parametrize("name", ["Later", "Close"])
def test_a_declared_command_that_leads_nowhere_from_here_is_not_executed(bench: Bench, name: str) -> None:
    runtime, process = started(bench)
    result = runtime.execute_command(process.id, name)
    assert (result.was_executed, result.process) == (False, process)
    assert name in result.reason
    assert "Draft" in result.reason
    assert len(history(runtime, process.id)) == 1


def test_a_missing_or_wrong_input_is_refused_before_anything_runs(bench: Bench) -> None:
    runtime, process = started(bench)
    assert refused(runtime, process, ParameterError, "Reject").code == "missing_input"
    assert refused(runtime, process, ParameterError, "Approve", parameters={"amount": "ten"}).code == "wrong_type"
    assert refused(runtime, process, ParameterError, "Approve", parameters={"ProcessId": 1}).code == "bad_name"
    assert bench.said == []


def test_inputs_are_renamed_converted_and_sorted_by_purpose(bench: Bench) -> None:
    runtime, process = started(bench)
    after = runtime.execute_command(process.id, "Approve", parameters={"amount": "12.340", "note": "n", "Other": 1}).process
    assert after.parameters == {"Amount": Decimal("12.340")}
    assert bench.said == ["12.340"]


def test_a_default_fills_a_required_input(bench: Bench) -> None:
    runtime, process = started(bench)
    assert runtime.execute_command(process.id, "Approve").process.parameters == {"Amount": Decimal("10.50")}


def test_an_old_revision_is_stale(bench: Bench) -> None:
    runtime, process = started(bench)
    runtime.set_parameter(process.id, "a", 1, **WHO)
    error = refused(runtime, process, StaleRevision, "Approve", expected_revision=process.revision)
    assert (error.revision, error.expected_revision) == (process.revision + 1, process.revision)
    assert runtime.execute_command(process.id, "Approve", expected_revision=process.revision + 1).was_executed


def test_a_running_process_is_busy(bench: Bench) -> None:
    gate = Gate()
    runtime, process = started(bench, actions={"Wait": gate})
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(runtime.execute_command, process.id, "Work")
        assert gate.entered.wait(20)
        assert refused(runtime, process, ProcessBusy, "Approve").process_id == process.id
        assert runtime.get_available_commands(process.id) == []
        gate.open.set()
        assert working.result(20).process.status is ProcessStatus.IDLED


def test_a_status_that_takes_no_commands_says_so(bench: Bench) -> None:
    runtime, process = started(bench)
    runtime.execute_command(process.id, "Approve")
    runtime.execute_command(process.id, "Close")
    assert refused(runtime, process, StatusNotAllowed, "Close").status is ProcessStatus.FINALIZED
    other = runtime.create_instance("Order")
    runtime.cancel_process(other.id, **WHO)
    assert refused(runtime, other, StatusNotAllowed, "Approve").status is ProcessStatus.TERMINATED


def test_an_unknown_or_deleted_process_is_not_found(bench: Bench) -> None:
    runtime, process = started(bench)
    runtime.delete_process(process.id, **WHO)
    for missing in (process.id, uuid4()):
        with pytest.raises(ProcessNotFound, match=str(missing)):
            runtime.execute_command(missing, "Approve")


def test_an_unknown_scheme_names_those_there_are(bench: Bench) -> None:
    runtime, _ = started(bench)
    with pytest.raises(SchemeNotFound, match="'Order'") as caught:
        runtime.create_instance("Ordre")
    assert caught.value.code == "Ordre"


def test_a_process_in_error_takes_commands_and_an_arrival_clears_the_error(bench: Bench) -> None:
    text = TEXT.replace("actions: [Wait]", "actions: [Fail]")
    runtime = bench(text)
    process = runtime.create_instance("Order")
    with pytest.raises(WorkflowError):
        runtime.execute_command(process.id, "Work")
    broken = runtime.get_process(process.id)
    assert (broken.status, broken.activity) == (ProcessStatus.ERROR, "Draft")
    assert broken.last_error is not None
    assert broken.walk is not None
    after = runtime.execute_command(process.id, "Approve").process
    assert (after.status, after.last_error, after.walk) == (ProcessStatus.IDLED, None, None)


# ------------------------------------------------------------------ two at once


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_equal_commands_at_once_one_is_executed_and_the_other_decided_on_the_new_state(bench: Bench, attempt: int) -> None:
    text = TEXT.replace('[{Note: "@Amount"}]', "[]")
    runtime = bench(text, actions={"Wait": Gate()})
    process, together = runtime.create_instance("Order"), threading.Barrier(2)

    def approve(number: int) -> CommandResult:
        together.wait()
        return runtime.execute_command(process.id, "Approve", parameters={"amount": number})

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(approve, range(2)))
    assert sorted(result.was_executed for result in results) == [False, True]
    loser = next(result for result in results if not result.was_executed)
    assert "Review" in loser.reason
    assert len(history(runtime, process.id)) == 2


def test_the_loser_of_a_race_is_decided_on_what_is_there_then(bench: Bench) -> None:
    """The race is made certain: the condition of the first command gives the second one."""
    text = TEXT.replace("on: {command: Reject}}", "on: {command: Reject}, when: {action: Meanwhile}}")
    calls: list[int] = []

    def meanwhile(ctx: Any, parameter: str | None) -> bool:
        calls.append(ctx.process.revision)
        if len(calls) == 1:
            runtime.execute_command(ctx.process_id, "Approve")
        return True

    runtime = bench(text, actions={"Wait": Gate()}, conditions={"Meanwhile": meanwhile})
    process = runtime.create_instance("Order")
    result = runtime.execute_command(process.id, "Reject", parameters={"why": "x"})
    assert (result.was_executed, result.process.activity) == (False, "Review")
    assert calls == [1], "Review has no such transition, so nothing was asked again"


def test_who_loses_twice_is_told_that_the_process_is_busy(bench: Bench) -> None:
    text = TEXT.replace("on: {command: Reject}}", "on: {command: Reject}, when: {action: Meanwhile}}")

    def meanwhile(ctx: Any, parameter: str | None) -> bool:
        runtime.set_parameter(ctx.process_id, "n", ctx.process.revision, **WHO)
        return True

    runtime = bench(text, actions={"Wait": Gate()}, conditions={"Meanwhile": meanwhile})
    process = runtime.create_instance("Order")
    with pytest.raises(ProcessBusy, match="moved by others"):
        runtime.execute_command(process.id, "Reject", parameters={"why": "x"})
    with pytest.raises(StaleRevision):
        runtime.execute_command(process.id, "Reject", parameters={"why": "x"}, expected_revision=runtime.get_process(process.id).revision)
    assert len(engine_of(runtime).live) == 0
