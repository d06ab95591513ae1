"""Whatever ends the run of a request with a key settles its answer: rest, an error, a verdict, a cancellation, a deletion."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from bench import WHO, Bench, engine_of, history
from keyed import open_keys, order, served
from orphanage import Answer as Restorer
from orphanage import Orphanage
from test_commits import LOOP
from waiting import until

from workflow_runtime import (
    ActionFailed,
    CommandInProgress,
    ConditionFailed,
    ErrorDecision,
    ExecutionError,
    IdempotencyConflict,
    LoopLimitExceeded,
    ProcessBusy,
    ProcessNotFound,
    RestoreDecision,
    WorkflowRuntime,
    hookimpl,
)
from workflow_runtime.core import keys
from workflow_runtime.core.process import CancelRequest, ProcessStatus
from workflow_runtime.engine import keyring

# ------------------------------------------------------------------ every end of a run


def test_an_action_that_failed_is_an_answer(bench: Bench) -> None:
    runtime, one = order(bench)
    seen = []
    for _ in range(2):
        with pytest.raises(ActionFailed) as caught:
            runtime.execute_command(one, "fail", idempotency_key="k")
        seen.append((caught.value.message, caught.value.nouns))
    assert seen[0] == seen[1]
    assert [entry.kind for entry in history(runtime, one)].count("failed") == 1


def test_resume_does_not_change_the_answer(bench: Bench) -> None:
    broken = [True]

    def pay(ctx: Any, parameter: str | None) -> None:
        if broken.pop():
            raise ValueError("no money")

    runtime, one = order(bench, actions={"Fail": pay})
    with pytest.raises(ActionFailed):
        runtime.execute_command(one, "fail", idempotency_key="k")
    broken.append(False)
    assert runtime.resume_process(one, **WHO).status is ProcessStatus.IDLED
    with pytest.raises(ActionFailed, match="no money"):
        runtime.execute_command(one, "fail", idempotency_key="k")


def test_a_failure_that_a_listener_suppressed_was_executed(bench: Bench) -> None:
    class Calm:
        @hookimpl
        def workflow_error(self, process: Any, error: BaseException) -> ErrorDecision:
            return ErrorDecision(suppress=True)

    runtime, one = order(bench, plugin=Calm())
    first = runtime.execute_command(one, "fail", idempotency_key="k")
    again = runtime.execute_command(one, "fail", idempotency_key="k")
    assert (first.was_executed, again.was_executed, again.process) == (True, True, first.process)
    assert first.process.status is ProcessStatus.ERROR


def test_a_failure_that_a_listener_led_elsewhere_ends_where_it_leads(bench: Bench) -> None:
    class Elsewhere:
        @hookimpl
        def workflow_error(self, process: Any, error: BaseException) -> ErrorDecision:
            return ErrorDecision(activity="Plain")

    runtime, one = order(bench, plugin=Elsewhere(), conditions={"Ask": lambda ctx, parameter: 1 / 0})
    for command in ("fail", "ask"):  # within the run, and before it could begin
        first = runtime.execute_command(one, command, idempotency_key=command)
        again = runtime.execute_command(one, command, idempotency_key=command)
        assert (first.process.activity, again.was_executed, again.process) == ("Plain", True, first.process)
        runtime.execute_command(one, "again")


def test_a_condition_that_raises_is_an_answer(bench: Bench) -> None:
    runtime, one = order(bench, conditions={"Ask": lambda ctx, parameter: 1 / 0})
    for _ in range(2):
        with pytest.raises(ConditionFailed):
            runtime.execute_command(one, "ask", idempotency_key="k")
    assert [entry.kind for entry in history(runtime, one)].count("failed") == 1


def test_a_loop_without_end_is_an_answer(bench: Bench) -> None:
    runtime = bench(LOOP, max_automatic_steps=10, conditions={"Always": lambda ctx, parameter: True})
    one = runtime.create_instance("Loop").id
    for _ in range(2):
        with pytest.raises(LoopLimitExceeded):
            runtime.execute_command(one, "go", idempotency_key="k")
    assert [entry.kind for entry in history(runtime, one)].count("failed") == 1


def test_a_creation_that_failed_is_an_answer_and_the_process_stays(bench: Bench) -> None:
    runtime = bench("scheme: S\nactivities:\n  A: {initial: true, actions: [Fail]}")
    ids = []
    for _ in range(2):
        with pytest.raises(ActionFailed) as caught:
            runtime.create_instance("S", idempotency_key="k")
        ids.append(caught.value.process_id)
    assert ids[0] == ids[1]
    assert runtime.count_processes() == 1


LONG = """
scheme: Long
commands: {go: {}}
activities:
  Rest: {initial: true}
  A: {actions: [Hold, Note]}
  End: {final: true}
transitions:
  - {from: Rest, to: A, on: {command: go}}
  - {from: A, to: End}
"""


class Held:
    """An action that waits until the test lets it go on."""

    def __init__(self, bench: Bench, text: str = LONG) -> None:
        self.entered, self.freed = threading.Event(), threading.Event()
        self.runtime = bench(text, actions={"Hold": self._hold})
        self.id = self.runtime.create_instance("Long").id
        self.answers: list[Any] = []
        self.threads: list[threading.Thread] = []

    def _hold(self, ctx: Any, parameter: str | None) -> None:
        self.entered.set()
        assert self.freed.wait(20)

    def send(self, **given: Any) -> None:
        def call() -> None:
            try:
                self.answers.append(self.runtime.execute_command(self.id, "go", idempotency_key="k", **given))
            except Exception as error:
                self.answers.append(error)

        self.threads.append(threading.Thread(target=call, daemon=True))
        self.threads[-1].start()

    def end(self) -> list[Any]:
        self.freed.set()
        for thread in self.threads:
            thread.join(20)
        return self.answers


def test_while_it_is_under_way_a_duplicate_is_told_so(bench: Bench) -> None:
    held = Held(bench)
    held.send()
    assert held.entered.wait(20)
    with pytest.raises(CommandInProgress, match="has not ended yet") as caught:
        held.runtime.execute_command(held.id, "go", idempotency_key="k")
    assert caught.value.process_id == held.id
    with pytest.raises(IdempotencyConflict):
        held.runtime.execute_command(held.id, "go", identity="ann", idempotency_key="k")
    with pytest.raises(ProcessBusy):
        held.runtime.execute_command(held.id, "go", idempotency_key="another")
    (first,) = held.end()
    assert held.runtime.execute_command(held.id, "go", idempotency_key="k").process == first.process


def test_duplicates_that_wait_get_the_answer_when_it_is_there(bench: Bench) -> None:
    held = Held(bench)
    held.send()
    assert held.entered.wait(20)
    held.send(wait=60)
    held.send(wait=60)
    until(lambda: len(engine_of(held.runtime).bell._waiting.get(_key_of(held), ())) == 2)
    answers = held.end()
    assert len(answers) == 3
    assert sorted(answer.replayed for answer in answers) == [False, True, True]
    assert len({answer.process for answer in answers}) == 1
    assert engine_of(held.runtime).bell._waiting == {}


def _key_of(held: Held) -> keys.Key:
    return keys.of_command("k", held.id, "go", {}, (None, None))


def test_a_duplicate_waits_no_longer_than_it_was_told_to(bench: Bench) -> None:
    """By the clock: it stands still until the test moves it."""
    held = Held(bench)
    held.send()
    assert held.entered.wait(20)
    held.send(wait=5)
    until(lambda: _key_of(held) in engine_of(held.runtime).bell._waiting)
    bench.clock.advance(4)
    assert held.answers == []
    bench.clock.advance(1)
    until(lambda: held.answers)
    assert isinstance(held.answers[0], CommandInProgress)
    held.end()


def test_a_run_that_was_cancelled_was_executed(bench: Bench) -> None:
    held = Held(bench)
    held.send()
    assert held.entered.wait(20)
    held.runtime.cancel_process(held.id, **WHO)
    (first,) = held.end()
    again = held.runtime.execute_command(held.id, "go", idempotency_key="k")
    assert (again.was_executed, again.reason, again.process) == (first.was_executed, first.reason, first.process)
    assert again.process.status is ProcessStatus.TERMINATED


# ------------------------------------------------------------------ runs that others end


def waiting_order(runtime: WorkflowRuntime, orphanage: Orphanage, *, owner: str | None = "dead") -> UUID:
    """As a server has left it that died in the first action of a command with the key k, sent by nobody in particular."""
    process_id = uuid4()
    key = keys.of_command("k", process_id, "Pay", {}, (None, None))
    birth = orphanage.birth(owner=owner, walk={"key": key})
    after = replace(birth.result, id=process_id, root_id=process_id, revision=0)
    assert orphanage.store.apply(replace(birth, after=after, opens=key)).outcome == "applied"
    assert open_keys(runtime, process_id)
    return process_id


def test_the_verdict_of_recovery_is_an_answer(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as orphanage:
        one = waiting_order(orphanage.runtime, orphanage)
        with pytest.raises(CommandInProgress):
            orphanage.runtime.execute_command(one, "Pay", idempotency_key="k")
        orphanage.recover()
        for _ in range(2):
            with pytest.raises(ExecutionError, match="its server is gone and recovery decided default"):
                orphanage.runtime.execute_command(one, "Pay", idempotency_key="k")
        assert orphanage.names_done == []


@pytest.mark.parametrize(
    "decision",
    [RestoreDecision.resume(), RestoreDecision.run_from_current_activity(), RestoreDecision.run_from_new_activity("Paid")],
    ids=lambda d: str(d.kind),
)
def test_a_run_that_goes_on_elsewhere_keeps_its_key_until_it_ends(tmp_path: Path, decision: RestoreDecision) -> None:
    with Orphanage(tmp_path, Restorer(decision)) as orphanage:
        one = waiting_order(orphanage.runtime, orphanage)
        seen: list[bool] = []
        for action in ("Greet", "Charge"):
            orphanage.act[action] = lambda ctx: seen.append(open_keys(orphanage.runtime, one))
        orphanage.recover()
        assert seen == [True]
        again = orphanage.runtime.execute_command(one, "Pay", idempotency_key="k")
        assert (again.was_executed, again.replayed, again.process) == (True, True, orphanage.runtime.get_process(one))


def test_a_process_that_recovery_deleted_answers_deleted(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Restorer(RestoreDecision.delete().because("not wanted"))) as orphanage:
        one = waiting_order(orphanage.runtime, orphanage)
        orphanage.recover()
        for _ in range(2):
            with pytest.raises(ProcessNotFound, match=r"was deleted while the request .* was under way: not wanted"):
                orphanage.runtime.execute_command(one, "Pay", idempotency_key="k")


def test_a_cancelled_orphan_was_executed(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as orphanage:
        one = waiting_order(orphanage.runtime, orphanage)
        orphanage.store.request_cancel(one, CancelRequest("olga", "wrong"))
        orphanage.recover()
        again = orphanage.runtime.execute_command(one, "Pay", idempotency_key="k")
        assert (again.was_executed, again.process.status) == (True, ProcessStatus.TERMINATED)


def test_an_operator_who_gives_a_waiting_run_up_is_named(tmp_path: Path) -> None:
    with Orphanage(tmp_path, auto_recover=False) as orphanage:
        for verb, given in (("set_activity", {"activity": "Done"}), ("set_activity", {"activity": "Done", "execute": False})):
            one = waiting_order(orphanage.runtime, orphanage, owner=None)
            getattr(orphanage.runtime, verb)(one, **given, **WHO)
            with pytest.raises(ExecutionError, match="olga gave it up for set_activity: test"):
                orphanage.runtime.execute_command(one, "Pay", idempotency_key="k")


def test_an_operator_who_lets_a_waiting_run_go_on_ends_nothing(tmp_path: Path) -> None:
    with Orphanage(tmp_path, auto_recover=False) as orphanage:
        one = waiting_order(orphanage.runtime, orphanage, owner=None)
        orphanage.runtime.resume_process(one, **WHO)
        assert orphanage.runtime.execute_command(one, "Pay", idempotency_key="k").was_executed


def test_an_operator_who_deletes_or_cancels_a_waiting_run_ends_it(tmp_path: Path) -> None:
    with Orphanage(tmp_path, auto_recover=False) as orphanage:
        deleted, cancelled = (waiting_order(orphanage.runtime, orphanage, owner=None) for _ in range(2))
        orphanage.runtime.delete_process(deleted, **WHO)
        orphanage.runtime.cancel_process(cancelled, **WHO)
        with pytest.raises(ProcessNotFound, match="was deleted while the request"):
            orphanage.runtime.execute_command(deleted, "Pay", idempotency_key="k")
        assert orphanage.runtime.execute_command(cancelled, "Pay", idempotency_key="k").process.status is ProcessStatus.TERMINATED


def test_a_process_that_was_deleted_afterwards_answers_what_was_done(bench: Bench) -> None:
    runtime, one = order(bench)
    runtime.execute_command(one, "pay", idempotency_key="k")
    runtime.execute_command(one, "pay", idempotency_key="no")
    runtime.delete_process(one, **WHO)
    with pytest.raises(ProcessNotFound, match=r"was deleted after the request .* was executed; it led to 'Paid'"):
        runtime.execute_command(one, "pay", idempotency_key="k")
    with pytest.raises(ProcessNotFound, match=r"was deleted after the request .* was refused: no transition"):
        runtime.execute_command(one, "pay", idempotency_key="no")
    with pytest.raises(ProcessNotFound, match="no process has the id"):
        runtime.execute_command(one, "pay", idempotency_key="new")


def test_a_creation_whose_process_was_deleted_creates_no_other(bench: Bench) -> None:
    runtime = served(bench)
    one = runtime.create_instance("Order", idempotency_key="k").id
    runtime.delete_process(one, **WHO)
    with pytest.raises(ProcessNotFound, match="was deleted after the request") as caught:
        runtime.create_instance("Order", idempotency_key="k")
    assert caught.value.process_id == one
    assert runtime.count_processes() == 0


# ------------------------------------------------------------------ runs that wait, and ends that are heard of

RETRIED = """
scheme: Long
commands: {go: {}}
activities:
  Rest: {initial: true}
  A: {actions: [{action: Call, retry: {attempts: 3, delay: 10s, factor: 1, jitter: 0}}]}
  End: {final: true}
transitions:
  - {from: Rest, to: A, on: {command: go}}
  - {from: A, to: End}
"""


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_run_that_waits_for_a_retry_is_under_way(bench: Bench, succeeds: bool) -> None:
    def call(ctx: Any, parameter: str | None) -> None:
        if ctx.attempt < 3 or not succeeds:
            raise ConnectionError("nobody there")

    runtime = bench(RETRIED, actions={"Call": call})
    one = runtime.create_instance("Long").id
    first = runtime.execute_command(one, "go", idempotency_key="k")
    assert (first.was_executed, first.process.status) == (True, ProcessStatus.RUNNING)
    for _ in range(2):
        assert first.waiting_until is not None
        with pytest.raises(CommandInProgress):
            runtime.execute_command(one, "go", idempotency_key="k")
        bench.clock.advance(10)
    if succeeds:
        again = runtime.execute_command(one, "go", idempotency_key="k")
        assert (again.was_executed, again.replayed, again.process.status) == (True, True, ProcessStatus.FINALIZED)
    else:
        with pytest.raises(ActionFailed, match="nobody there"):
            runtime.execute_command(one, "go", idempotency_key="k")


def test_who_waits_hears_of_the_end_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "FIRST_PAUSE", 60.0)  # longer than anybody waits here for another look
    held = Held(bench)
    held.send()
    assert held.entered.wait(20)
    held.send(wait=100)
    until(lambda: _key_of(held) in engine_of(held.runtime).bell._waiting)
    answers = held.end()
    assert [answer.was_executed for answer in answers] == [True, True]
