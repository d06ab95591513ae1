"""History names the request whose run a row belongs to, so that the database shows that each key had one effect; and so after a move."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bench import WHO, Bench, engine_of, history
from keyed import ORDER, order, row, served
from orphanage import PAYING, Answer, Orphanage
from retried import Flaky, call, text

from workflow_runtime import ActionFailed, ParameterError, ProcessNotFound, ProcessStatus, RestoreDecision, WorkflowRuntime
from workflow_runtime.core.keys import Key
from workflow_runtime.testing.clock import FakeClock


def named(runtime: WorkflowRuntime, one: UUID) -> list[tuple[str, str, str | None]]:
    """Kind, trigger and key of every row."""
    return [(str(entry.kind), str(entry.trigger.kind), entry.idempotency_key) for entry in history(runtime, one)]


def test_creation_and_command_name_their_keys_and_what_has_none_names_none(bench: Bench) -> None:
    runtime = served(bench)
    one = runtime.create_instance("Order", tenant_id="nord", idempotency_key="order-7").id
    runtime.execute_command(one, "pay", idempotency_key="payment-7")
    runtime.execute_command(one, "again")
    runtime.execute_command(one, "pay", idempotency_key="payment-7")  # a duplicate leaves no row
    assert named(runtime, one) == [("moved", "Initializing", "order-7"), ("moved", "Command", "payment-7"), ("moved", "Command", None)]


def test_all_of_a_run_belongs_to_its_request_and_one_row_is_the_request_itself(bench: Bench) -> None:
    runtime = bench(text(call("attempts: 3, delay: 2s")), actions={"Call": Flaky(1)})
    one = runtime.create_instance("S").id
    runtime.execute_command(one, "go", idempotency_key="k")
    bench.clock.advance(2)
    assert named(runtime, one)[1:] == [("retry", "Command", "k"), ("moved", "Command", "k"), ("moved", "Auto", "k")]


def test_a_refused_request_has_no_row(bench: Bench) -> None:
    runtime, one = order(bench)
    assert not runtime.execute_command(one, "ask", idempotency_key="no").was_executed
    with pytest.raises(ParameterError):
        runtime.execute_command(one, "pay", parameters={"Amount": "much"}, idempotency_key="bad")
    assert [key for *_, key in named(runtime, one)] == [None]
    for name in ("no", "bad"):
        with engine_of(runtime).store.dialect.read() as transaction:
            found = transaction.driver.execute("SELECT process_id FROM wf_idempotency WHERE key = ?", (name,)).fetchall()
        assert found == [(str(one),)]


def test_a_failure_names_it_and_the_work_that_is_resumed_is_no_longer_its(bench: Bench) -> None:
    broken = [True]

    def fail(ctx: Any, parameter: str | None) -> None:
        if broken.pop():
            raise ValueError("no money")

    runtime, one = order(bench, actions={"Fail": fail})
    with pytest.raises(ActionFailed):
        runtime.execute_command(one, "fail", idempotency_key="k")
    broken.append(False)
    runtime.resume_process(one, **WHO)
    assert named(runtime, one)[1:] == [("failed", "Command", "k"), ("operated", "Operator", None), ("moved", "Command", None)]


def test_a_condition_that_raises_before_the_walk_begins_names_it_too(bench: Bench) -> None:
    runtime, one = order(bench, conditions={"Ask": lambda ctx, parameter: 1 / 0})
    with pytest.raises(Exception, match="division"):
        runtime.execute_command(one, "ask", idempotency_key="k")
    assert named(runtime, one)[1:] == [("failed", "Command", "k")]


@pytest.mark.parametrize("verb", ["cancel", "set_activity", "delete"])
def test_who_ends_the_run_of_another_names_it(bench: Bench, verb: str) -> None:
    runtime = bench(text(call("attempts: 3, delay: 2s")), actions={"Call": Flaky(9)})
    one = runtime.create_instance("S").id
    runtime.execute_command(one, "go", idempotency_key="k")
    {
        "cancel": lambda: runtime.cancel_process(one, **WHO),
        "set_activity": lambda: runtime.set_activity(one, "Next", **WHO),
        "delete": lambda: runtime.delete_process(one, **WHO),
    }[verb]()
    ended = {"cancel": "cancelled", "set_activity": "operated", "delete": "deleted"}[verb]
    assert (ended, "Operator", "k") in named(runtime, one)
    assert (kept := row(runtime, one)) is not None
    assert kept.is_settled
    assert sum(kind == "moved" and key == "k" for kind, _, key in named(runtime, one)) == 0


@pytest.mark.parametrize("decision", [RestoreDecision.default(), RestoreDecision.resume(), RestoreDecision.delete()], ids=str)
def test_the_verdict_about_a_dead_servers_run_names_it(tmp_path: Path, decision: RestoreDecision) -> None:
    with Orphanage(tmp_path, Answer(decision)) as home:
        one = home.orphan(PAYING, walk={"key": Key("scope", "k", "d" * 64)})
        home.recover()
        assert named(home.runtime, one)[0][1:] == ("Recovery", "k")


def test_a_row_that_cannot_be_read_names_the_key_that_its_walk_tells(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(PAYING, walk={"key": Key("scope", "k", "d" * 64)})
        with home.store.dialect.write() as transaction:
            transaction.driver.execute("UPDATE wf_process SET scheme_version = 'gone'")
        home.recover()
        assert named(home.runtime, one) == [("recovered", "Recovery", "k")]


# ------------------------------------------------------------------ one key, one effect: asked of the database alone


ONE_EFFECT = """
    SELECT k.scope, k.key, (
        SELECT count(*) FROM wf_history AS h
        WHERE h.process_id = k.process_id AND h.idempotency_key = k.key AND h.kind = 'moved'
          AND h.trigger_kind = CASE WHEN k.scope = k.process_id THEN 'Command' ELSE 'Initializing' END
    ) FROM wf_idempotency AS k ORDER BY 1, 2
"""


def test_the_database_shows_that_each_key_had_at_most_one_effect(bench: Bench) -> None:
    """The statement stands in docs/reference/guarantees.md too."""
    runtime = served(bench)
    one = runtime.create_instance("Order", idempotency_key="order-7").id
    for _ in range(3):
        runtime.create_instance("Order", idempotency_key="order-7")
        runtime.execute_command(one, "pay", idempotency_key="a")
        runtime.execute_command(one, "pay", idempotency_key="no")
        runtime.execute_command(one, "again")
    with sqlite3.connect(bench.url.removeprefix("sqlite:///")) as database:
        found = database.execute(ONE_EFFECT).fetchall()
    database.close()
    assert found == [("", "order-7", 1), (str(one), "a", 1), (str(one), "no", 0)]
    page = (Path(__file__).parents[2] / "docs" / "reference" / "guarantees.md").read_text()
    assert " ".join(ONE_EFFECT.split()) in " ".join(page.split())


# ------------------------------------------------------------------ after a move


def moved(source: WorkflowRuntime, bench: Bench, folder: Path, **given: Any) -> WorkflowRuntime:
    """The same application over another database, into which all was imported."""
    file = io.BytesIO()
    exported = source.export_processes(file)
    source.shutdown()
    there = bench.built(ORDER, conditions={"Ask": lambda ctx, parameter: True}, rules={"Boss": lambda *_: True}, **given)
    there._url = f"sqlite:///{folder / 'there.db'}"
    there.start()
    file.seek(0)
    imported = there.import_processes(file)
    assert (imported.processes, imported.keys, dict(imported.failed)) == (exported.processes, exported.keys, {})
    return there


def test_after_a_move_duplicates_get_the_original_answers(bench: Bench, tmp_path: Path) -> None:
    here = served(bench)
    one = here.create_instance("Order", parameters={"Amount": 1}, idempotency_key="order-7").id
    gone = here.create_instance("Order", idempotency_key="order-8").id
    here.delete_process(gone, **WHO)
    assert not here.execute_command(one, "ask", idempotency_key="asked").was_executed
    paid = here.execute_command(one, "pay", idempotency_key="payment-7")
    here.execute_command(one, "again")
    with pytest.raises(ActionFailed) as first:
        here.execute_command(one, "fail", idempotency_key="fails")
    said, before = list(bench.said), history(here, one)
    there = moved(here, bench, tmp_path)

    assert there.create_instance("Order", parameters={"Amount": 1}, idempotency_key="order-7").id == one
    with pytest.raises(ProcessNotFound, match="deleted"):
        there.create_instance("Order", idempotency_key="order-8")
    asked = there.execute_command(one, "ask", idempotency_key="asked")
    assert (asked.was_executed, asked.replayed, "conditions that hold" in asked.reason) == (False, True, True)
    again = there.execute_command(one, "pay", idempotency_key="payment-7")
    assert (again.was_executed, again.replayed, paid.replayed) == (True, True, False)
    with pytest.raises(ActionFailed) as replayed:
        there.execute_command(one, "fail", idempotency_key="fails")
    assert (replayed.value.message, there.count_processes(), bench.said) == (first.value.message, 1, said)
    assert [(entry.seq, entry.kind, entry.idempotency_key) for entry in history(there, one)] == [(e.seq, e.kind, e.idempotency_key) for e in before]


def test_a_request_that_waited_during_the_move_gets_its_answer_there(bench: Bench, tmp_path: Path) -> None:
    source = WorkflowRuntime(f"sqlite:///{tmp_path / 'here.db'}", clock=bench.clock).with_schemes(text(call("attempts: 3, delay: 9s")))
    flaky, file = Flaky(1), io.BytesIO()
    with source.with_actions({"Call": flaky}) as here:
        one = here.create_instance("S").id
        here.execute_command(one, "go", idempotency_key="k")
        here.export_processes(file)
    file.seek(0)
    there = bench(text(call("attempts: 3, delay: 9s")), actions={"Call": flaky})
    there.import_processes(file)
    bench.clock.advance(9)
    answer = there.execute_command(one, "go", idempotency_key="k")
    assert (answer.was_executed, answer.replayed, answer.process.activity, answer.process.status) == (True, True, "Next", ProcessStatus.IDLED)
    assert isinstance(bench.clock, FakeClock)
    assert flaky.attempts == [1, 2]
