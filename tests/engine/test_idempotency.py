"""A request with a key is done once: duplicates get the answer of the first, a definite no stays, and what passes is not stored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from bench import WHO, Bench, engine_of
from keyed import order, row, served
from test_commits import costs

from workflow_runtime import (
    ActionFailed,
    CommandNotAllowed,
    CommandNotFound,
    IdempotencyConflict,
    ParameterError,
    ProcessAlreadyExists,
    ProcessBusy,
    ProcessNotFound,
    StaleRevision,
    StatusNotAllowed,
)
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.errors import StoreUnavailable

# ------------------------------------------------------------------ executed once


def test_a_command_that_is_sent_again_is_not_executed_again(bench: Bench) -> None:
    runtime, one = order(bench)
    first = runtime.execute_command(one, "pay", parameters={"Amount": 3}, idempotency_key="k")
    again = [runtime.execute_command(one, "pay", parameters={"Amount": 3}, idempotency_key="k") for _ in range(2)]
    assert (first.was_executed, first.replayed) == (True, False)
    assert [(answer.was_executed, answer.replayed, answer.process) for answer in again] == [(True, True, first.process)] * 2
    assert bench.said == ["paid"]


def test_a_duplicate_is_not_executed_where_it_could_be(bench: Bench) -> None:
    """The process has come back to where the command leads out of."""
    runtime, one = order(bench)
    runtime.execute_command(one, "pay", idempotency_key="k")
    back = runtime.execute_command(one, "again")
    again = runtime.execute_command(one, "pay", idempotency_key="k")
    assert (again.was_executed, again.replayed, again.process) == (True, True, back.process)
    assert bench.said == ["paid"]
    assert runtime.execute_command(one, "pay", idempotency_key="other").was_executed
    assert bench.said == ["paid", "paid"]


def test_a_creation_that_is_sent_again_creates_nothing(bench: Bench) -> None:
    runtime = served(bench)
    first = runtime.create_instance("Order", parameters={"Amount": 1}, idempotency_key="k")
    moved = runtime.execute_command(first.id, "plain").process
    again = runtime.create_instance("Order", parameters={"Amount": 1}, idempotency_key="k")
    assert again == moved
    assert runtime.count_processes() == 1


def test_a_creation_under_a_given_id_is_told_of_its_key_first(bench: Bench) -> None:
    runtime, process_id = served(bench), uuid4()
    first = runtime.create_instance("Order", process_id=process_id, idempotency_key="k")
    assert runtime.create_instance("Order", process_id=process_id, idempotency_key="k") == first
    with pytest.raises(ProcessAlreadyExists):
        runtime.create_instance("Order", process_id=process_id, idempotency_key="other")
    assert row(runtime, "", "other") is None


def test_the_scope_of_a_creation_is_the_tenant_and_that_of_a_command_the_process(bench: Bench) -> None:
    runtime = served(bench)
    ids = [runtime.create_instance("Order", tenant_id=tenant, idempotency_key="k").id for tenant in (None, "north", "south")]
    assert len(set(ids)) == 3
    assert all(runtime.execute_command(one, "plain", idempotency_key="k").was_executed for one in ids)
    assert not any(runtime.execute_command(one, "plain", idempotency_key="k").process.revision > 2 for one in ids)


@pytest.mark.parametrize(
    "other",
    [{"name": "plain"}, {"parameters": {"Amount": 4}}, {"parameters": None}, {"identity": "ann"}, {"impersonated_identity": "ann"}],
    ids=str,
)
def test_the_same_key_for_another_request_is_a_conflict(bench: Bench, other: dict[str, Any]) -> None:
    runtime, one = order(bench)
    usual: dict[str, Any] = {"name": "pay", "parameters": {"Amount": 3}, "idempotency_key": "k"}
    runtime.execute_command(one, **usual)
    with pytest.raises(IdempotencyConflict, match="was used before for another request"):
        runtime.execute_command(one, **usual | other)
    assert bench.said == ["paid"]


def test_the_same_key_for_another_creation_is_a_conflict(bench: Bench) -> None:
    runtime = served(bench)
    runtime.create_instance("Order", idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        runtime.create_instance("Order", parameters={"Amount": 1}, idempotency_key="k")
    assert runtime.count_processes() == 1


@pytest.mark.parametrize("key", ["", "x" * 12_000, "a\nb", 7])
@pytest.mark.parametrize("creates", [True, False])
def test_a_bad_key_is_refused_before_anything_else(bench: Bench, key: Any, creates: bool) -> None:
    runtime, one = order(bench)
    with pytest.raises(ParameterError) as caught:
        runtime.create_instance("Order", idempotency_key=key) if creates else runtime.execute_command(one, "pay", idempotency_key=key)
    assert caught.value.code == "bad_key"
    assert (runtime.count_processes(), bench.said) == (1, [])


# ------------------------------------------------------------------ a definite no, and what passes


def test_not_executed_is_an_answer_that_stays(bench: Bench) -> None:
    answers = iter([False, True, True])
    runtime, one = order(bench, conditions={"Ask": lambda ctx, parameter: next(answers)})
    first = runtime.execute_command(one, "ask", idempotency_key="k")
    again = runtime.execute_command(one, "ask", idempotency_key="k")
    assert (first.was_executed, again.was_executed, again.replayed) == (False, False, True)
    assert again.reason == first.reason
    assert runtime.execute_command(one, "ask").was_executed


def test_forbidden_is_an_answer_that_stays(bench: Bench) -> None:
    bosses: list[str] = []
    runtime, one = order(bench, rules={"Boss": lambda process, identity, parameter: identity in bosses})
    seen = []
    for _ in range(2):
        with pytest.raises(CommandNotAllowed) as caught:
            runtime.execute_command(one, "deny", identity="ann", check_restrictions=True, idempotency_key="k")
        bosses.append("ann")
        seen.append((caught.value.message, caught.value.nouns))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("creates", [True, False])
def test_bad_parameters_are_an_answer_that_stays(bench: Bench, creates: bool) -> None:
    runtime, one = order(bench)

    def send() -> Any:
        given: dict[str, Any] = {"parameters": {"Amount": "three"}, "idempotency_key": "k"}
        return runtime.create_instance("Order", **given) if creates else runtime.execute_command(one, "pay", **given)

    seen = []
    for _ in range(2):
        with pytest.raises(ParameterError) as caught:
            send()
        seen.append((caught.value.message, caught.value.nouns))
    assert seen[0] == seen[1]
    stored = row(runtime, "" if creates else one)
    assert stored is not None
    assert (stored.is_settled, stored.answer.error) == (True, "ParameterError")


def _as_running(load: Callable[[UUID], Any]) -> Callable[[UUID], Any]:
    return lambda process_id: replace(load(process_id), status=ProcessStatus.RUNNING)


def test_what_passes_is_not_stored(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, one = order(bench)
    with pytest.raises(StaleRevision):
        runtime.execute_command(one, "pay", expected_revision=77, idempotency_key="k")
    with pytest.raises(CommandNotFound):
        runtime.execute_command(one, "buy", idempotency_key="k")
    with pytest.raises(ProcessNotFound):
        runtime.execute_command(uuid4(), "pay", idempotency_key="k")
    store = engine_of(runtime).store
    for error, patches in ((ProcessBusy, {"load": _as_running(store.load)}), (StoreUnavailable, {"load": _away, "key_row": _away})):
        with monkeypatch.context() as patched:
            for name, patch in patches.items():
                patched.setattr(store, name, patch)
            with pytest.raises(error):
                runtime.execute_command(one, "pay", idempotency_key="k")
    assert row(runtime, one) is None
    assert runtime.execute_command(one, "pay", idempotency_key="k").was_executed


def _away(*_: object) -> Any:
    raise StoreUnavailable("away")


def test_a_status_that_takes_no_commands_is_not_stored(bench: Bench) -> None:
    runtime, one = order(bench)
    runtime.cancel_process(one, **WHO)
    with pytest.raises(StatusNotAllowed):
        runtime.execute_command(one, "pay", idempotency_key="k")
    runtime.resume_process(one, **WHO)
    assert runtime.execute_command(one, "pay", idempotency_key="k").was_executed


def test_a_duplicate_with_a_revision_that_was_overtaken_by_its_first_gets_its_answer(bench: Bench) -> None:
    runtime, one = order(bench)
    given: dict[str, Any] = {"expected_revision": 1, "idempotency_key": "k"}
    assert runtime.execute_command(one, "pay", **given).was_executed
    assert runtime.execute_command(one, "pay", **given).replayed


# ------------------------------------------------------------------ what it costs


@pytest.mark.parametrize(
    ("command", "commits"), [("plain", 1), ("pay", 2), ("fail", 2), ("ask", 1), ("deny", 1)], ids=["action-free", "action", "failure", "refused", "forbidden"]
)
def test_a_key_costs_no_commit_but_that_of_a_refusal(bench: Bench, command: str, commits: int) -> None:
    runtime, one = order(bench)
    with costs(runtime) as cost, suppress(ActionFailed, CommandNotAllowed):
        runtime.execute_command(one, command, identity="ann", check_restrictions=True, idempotency_key="k")
    assert cost.commits == commits


def test_a_command_with_a_key_looks_at_nothing_more(bench: Bench) -> None:
    runtime, one = order(bench)
    with costs(runtime) as cost:
        runtime.execute_command(one, "plain", idempotency_key="k")
    assert (cost.commits, cost.reads) == (1, 1)
    assert cost.written == {"UPDATE": 1, "INSERT": 2}  # the process; its history and the settled key


def test_a_creation_with_a_key_costs_no_commit_more(bench: Bench) -> None:
    runtime = served(bench)
    runtime.get_scheme("Order")
    with costs(runtime) as cost:
        runtime.create_instance("Order", idempotency_key="k")
    assert cost.commits == 1
    with costs(runtime) as cost:
        runtime.create_instance("Order", idempotency_key="k")
    assert cost.commits == 0


@pytest.mark.parametrize("command", ["plain", "ask"])
def test_a_duplicate_commits_nothing(bench: Bench, command: str) -> None:
    runtime, one = order(bench)
    runtime.execute_command(one, command, idempotency_key="k")
    with costs(runtime) as cost:
        runtime.execute_command(one, command, idempotency_key="k")
    assert cost.commits == 0
