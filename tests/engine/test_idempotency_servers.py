"""Equal requests sent to several servers of one database at the same moment, and answers that are kept for a time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from bench import Bench, engine_of

from workflow_runtime import CommandInProgress, WorkflowError, WorkflowRuntime
from workflow_runtime.core.keys import Answer, Key
from workflow_runtime.engine.retention import BATCH, EVERY, Retention
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store.changes import Applied, Outcome

SCHEME = """
scheme: Order
commands: {go: {}, no: {}, fail: {}}
activities:
  A: {initial: true}
  B: {actions: [Count]}
  C: {actions: [Fail]}
transitions:
  - {from: A, to: B, on: {command: go}}
  - {from: B, to: A}
  - {from: A, to: C, on: {command: fail}}
  - {from: A, to: C, on: {command: no}, when: {action: Never}}
"""
SERVERS, COPIES, ROUNDS = 3, 2, 4


class Servers:
    """Three of one database. ``counted``: the processes in which Count has run, on whichever server."""

    def __init__(self, url: str) -> None:
        self.counted: list[Any] = []
        actions = {"Count": lambda ctx, parameter: self.counted.append(ctx.process_id), "Fail": _fail}
        self.runtimes = [
            WorkflowRuntime(url)
            .with_schemes(SCHEME)
            .with_actions(actions)
            .with_conditions({"Never": lambda ctx, parameter: False})
            .as_multi_server(f"server {number}")
            .start()
            for number in range(SERVERS)
        ]

    def at_once(self, send: Callable[[WorkflowRuntime], Any]) -> list[Any]:
        """What each sender was told."""
        gate, told = threading.Barrier(SERVERS * COPIES), list[Any]()

        def call(runtime: WorkflowRuntime) -> None:
            gate.wait(20)
            while True:
                try:
                    told.append(send(runtime))
                except CommandInProgress:
                    continue
                except WorkflowError as error:
                    told.append((error.name, error.message))
                return

        threads = [threading.Thread(target=call, args=(runtime,), daemon=True) for runtime in self.runtimes for _ in range(COPIES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(told) == SERVERS * COPIES
        return told


def _fail(ctx: Any, parameter: str | None) -> None:
    raise ValueError("broken on purpose")


@pytest.fixture
def servers(shared_database: str) -> Iterator[Servers]:
    found = Servers(shared_database)
    yield found
    for runtime in found.runtimes:
        runtime.shutdown()


def test_equal_commands_sent_to_three_servers_at_once_are_one(servers: Servers) -> None:
    process_id = servers.runtimes[0].create_instance("Order").id
    for number in range(ROUNDS):
        for command in ("go", "no", "fail"):

            def send(runtime: WorkflowRuntime, command: str = command, number: int = number) -> Any:
                result = runtime.execute_command(process_id, command, idempotency_key=f"{command} {number}", wait=20)
                return result.was_executed, result.reason

            assert len(set(servers.at_once(send))) == 1
    history = servers.runtimes[1].get_history(process_id)
    assert Counter(entry.kind.value for entry in history) == {"moved": 1 + 2 * ROUNDS, "failed": ROUNDS}
    assert servers.counted == [process_id] * ROUNDS


def test_equal_creations_sent_to_three_servers_at_once_are_one(servers: Servers) -> None:
    for number in range(ROUNDS):
        ids = servers.at_once(lambda runtime, number=number: runtime.create_instance("Order", idempotency_key=f"order {number}", wait=20).id)  # type: ignore[misc]
        assert len(set(ids)) == 1
    assert servers.runtimes[0].count_processes() == ROUNDS


def test_creations_of_one_id_and_one_key_are_one(servers: Servers) -> None:
    for number in range(ROUNDS):
        one = uuid4()
        ids = servers.at_once(
            lambda runtime, number=number, one=one: runtime.create_instance("Order", process_id=one, idempotency_key=f"order {number}", wait=20).id  # type: ignore[misc]
        )
        assert set(ids) == {one}


def test_the_answer_of_another_server_is_found(servers: Servers) -> None:
    first, second, _ = servers.runtimes
    process = first.create_instance("Order", idempotency_key="order")
    assert second.create_instance("Order", idempotency_key="order") == process
    done = first.execute_command(process.id, "go", idempotency_key="k")
    again = second.execute_command(process.id, "go", idempotency_key="k")
    assert (again.was_executed, again.replayed, again.process) == (True, True, done.process)


def served(bench: Bench) -> WorkflowRuntime:
    never = {"Never": lambda ctx, parameter: False}
    return bench(SCHEME, actions={"Count": bench.note}, conditions=never, idempotency_retention=timedelta(days=2))


def test_who_lost_the_database_behind_the_claim_asks_for_the_answer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run has gone on elsewhere; whoever sent it is told what its row says, and not that it was fenced."""
    runtime = served(bench)
    store, process_id = engine_of(runtime).store, runtime.create_instance("Order").id
    apply = store.apply

    def fenced(change: Any, **given: Any) -> Applied:
        return apply(change, **given) if change.opens else Applied(Outcome.LOST)

    with monkeypatch.context() as patched:
        patched.setattr(store, "apply", fenced)
        with pytest.raises(CommandInProgress):
            runtime.execute_command(process_id, "go", idempotency_key="k")
    with monkeypatch.context() as patched:
        patched.setattr(store, "key_row", _away)
        patched.setattr(store, "load", _away)
        with pytest.raises(StoreUnavailable):
            runtime.execute_command(process_id, "go", idempotency_key="k")


def _away(*_: object) -> Any:
    raise StoreUnavailable("away")


# ------------------------------------------------------------------ retention


def test_answers_are_kept_for_the_retention_and_cleared_away_in_batches(bench: Bench) -> None:
    engine = engine_of(served(bench))
    retention, keys = Retention(engine), [Key("s", str(number), "d") for number in range(BATCH + 1)]
    for key in keys:
        engine.store.refuse(key, Answer())
        if key is keys[-2]:
            bench.clock.advance(timedelta(microseconds=1))
    assert retention.clear() == 0
    bench.clock.advance(timedelta(days=2) - timedelta(microseconds=1))
    assert retention.clear() == 0, "not older than that yet"
    bench.clock.advance(EVERY - 1)
    assert retention.clear() == 0, "not looked at so soon again"
    bench.clock.advance(1)
    assert [retention.clear() for _ in range(3)] == [BATCH, 1, 0]


def test_a_sweep_clears_away_what_is_old(bench: Bench) -> None:
    runtime = served(bench)
    process_id = runtime.create_instance("Order").id
    runtime.execute_command(process_id, "go", idempotency_key="k")
    bench.clock.advance(timedelta(days=3))
    sweep(runtime)
    assert not runtime.execute_command(process_id, "go", idempotency_key="k").replayed


def sweep(runtime: WorkflowRuntime) -> None:
    clockwork = runtime._parts.clockwork
    assert clockwork is not None
    clockwork.run_once()
