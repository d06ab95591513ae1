"""``create_instances``: many processes in few transactions, each as one creation would leave it, or queued for a server."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from bench import Bench, engine_of, history, path_of
from test_sketching import ignoring

from workflow_runtime import ProcessFilter, WorkflowRuntime, hookimpl
from workflow_runtime.errors import ParameterError, ProcessAlreadyExists, RuntimeNotStarted, SchemeNotFound, StoreUnavailable

SCHEME = """
scheme: Order
parameters: {Amount: {type: Int32, purpose: persistence}}
commands: {pay: {}}
timers: {remind: {interval: 1h}}
activities:
  New: {initial: true, state: Open}
  Large: {state: Checking}
  Paid: {final: true}
transitions:
  - {from: New, to: Large, when: "@Amount > 100"}
  - {from: New, to: Paid, on: {command: pay}}
  - {from: New, to: Large, on: {timer: remind}}
  - {from: Large, to: Paid, on: {command: pay}}
"""
ACTING = """
scheme: Acting
activities:
  New: {initial: true, actions: [Note]}
  Done: {final: true}
transitions:
  - {from: New, to: Done}
"""


class Told:
    """What was called back."""

    def __init__(self) -> None:
        self.ids: list[UUID] = []
        self.progress: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done: int, of: int) -> None:
        self.progress.append((what, done, of))

    @property
    def both(self) -> dict[str, Any]:
        return {"on_created": self.ids.extend, "progress": self}


def commits(runtime: WorkflowRuntime, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many changes each transaction has that is written from now on."""
    store, sizes = engine_of(runtime).store, list[int]()
    apply_all = store.apply_all
    monkeypatch.setattr(store, "apply_all", lambda batch, **more: sizes.append(len(batch)) or apply_all(batch, **more))
    return sizes


@pytest.mark.parametrize("leads_on", [True, False])
def test_each_stands_as_one_creation_would_have_left_it(bench: Bench, leads_on: bool) -> None:
    scheme = SCHEME if leads_on else re.sub(r".*(@Amount|on: {timer).*\n", "", SCHEME)
    runtime, told = bench(scheme), Told()
    given = [{"Amount": 1}, {"Amount": 500}, {"Amount": 2}]
    report = runtime.create_instances("Order", given, identity="anna", impersonated_identity="bob", tenant_id="north", **told.both)
    assert (report.created, report.queued, report.scheme_code) == (3, 0, "Order")
    assert report.scheme_version == runtime.get_scheme("Order").version
    for process_id, parameters in zip(told.ids, given, strict=True):
        alone = runtime.create_instance("Order", parameters=parameters, identity="anna", impersonated_identity="bob", tenant_id="north")
        assert ignoring(runtime.get_process(process_id)) == ignoring(alone)
        assert [timer.due for timer in runtime.get_timers(process_id)] == [timer.due for timer in runtime.get_timers(alone.id)]
        ours, theirs = (history(runtime, one) for one in (process_id, alone.id))
        assert [(e.seq, e.kind, e.to_activity, e.status, e.identity, e.server) for e in ours] == [
            (e.seq, e.kind, e.to_activity, e.status, e.identity, e.server) for e in theirs
        ]
    assert [runtime.get_process(one).activity for one in told.ids] == ["New", "Large" if leads_on else "New", "New"]


def test_they_move_on_as_any_other(bench: Bench) -> None:
    runtime, told = bench(SCHEME), Told()
    runtime.create_instances("Order", 2, **told.both)
    assert runtime.execute_command(told.ids[0], "pay").process.status == "Finalized"
    bench.clock.advance(3_600)
    assert [runtime.get_process(one).activity for one in told.ids] == ["Paid", "Large"]


def test_one_transaction_per_batch_and_the_progress_of_each(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, told = bench(SCHEME), Told()
    sizes = commits(runtime, monkeypatch)
    assert runtime.create_instances("Order", 25, batch=10, **told.both).created == 25
    assert sizes == [10, 10, 5]
    assert told.progress == [("created", 10, 25), ("created", 20, 25), ("created", 25, 25)]
    assert len(set(told.ids)) == runtime.count_processes() == 25


def test_what_is_given_is_read_batch_by_batch(bench: Bench) -> None:
    runtime, told = bench(SCHEME), Told()
    stored = list[int]()

    def given() -> Iterator[dict[str, int] | None]:
        for number in range(5):
            stored.append(runtime.count_processes())
            yield {"Amount": number} if number else None

    runtime.create_instances("Order", given(), batch=2, **told.both)
    assert stored == [0, 0, 2, 2, 4]
    assert told.progress[-1] == ("created", 5, 0), "nobody knows how many a generator has"
    assert [dict(runtime.get_parameters(one)) for one in told.ids] == [{}, *({"Amount": number} for number in range(1, 5))]


def test_none_is_created_of_none(bench: Bench) -> None:
    runtime = bench(SCHEME)
    assert [runtime.create_instances("Order", given).created for given in (0, [])] == [0, 0]
    with pytest.raises(SchemeNotFound):
        runtime.create_instances("Ordr", 0)


# ------------------------------------------------------------------ what acts


def test_what_acts_is_left_to_the_timer_loop_which_runs_it_to_its_end(bench: Bench) -> None:
    runtime, told = bench(ACTING), Told()
    report = runtime.create_instances("Acting", 5, identity="anna", **told.both)
    assert (report.created, report.queued) == (5, 5)
    assert bench.said == ["New"] * 5, "each once"
    assert [path_of(runtime, one) for one in told.ids] == [["New", "Done"]] * 5
    assert {entry.identity for one in told.ids for entry in history(runtime, one)} == {"anna"}
    assert runtime.find_timers() == []


def test_the_caller_executes_nothing(bench: Bench) -> None:
    """Not even where a listener or an action would create many: all is done by workers."""
    threads = set[str]()
    runtime = bench(ACTING, actions={"Note": lambda ctx, parameter: threads.add(threading.current_thread().name)})
    runtime.create_instances("Acting", 3)
    assert threads
    assert threading.current_thread().name not in threads


def test_what_fails_is_left_too_and_its_failure_is_stored(bench: Bench) -> None:
    scheme = SCHEME.replace("@Amount > 100", "@Amount > 'x'")
    runtime, told = bench(scheme), Told()
    assert runtime.create_instances("Order", [{"Amount": 1}], **told.both).queued == 1
    process = runtime.get_process(told.ids[0])
    assert (process.status, process.activity) == ("Error", "New")
    assert process.last_error is not None
    assert process.last_error.type.endswith("EvaluationError")


def test_a_client_creates_and_a_server_takes_up_what_acts(bench: Bench) -> None:
    server = bench(SCHEME, ACTING)
    client, told = bench(client=True), Told()
    assert client.create_instances("Order", [{"Amount": 200}], **told.both).queued == 0
    assert client.create_instances("Acting", 2, **told.both).queued == 2
    queued = client.get_process(told.ids[1])
    assert (queued.status, queued.is_waiting, bench.said) == ("Running", True, [])
    assert [str(timer.timer.kind) for timer in client.find_timers()] == ["start"] * 2
    assert server.recover().owned == 0, "what waits for its start is no orphan"
    bench.clock.advance(60)
    assert [server.get_process(one).activity for one in told.ids] == ["Large", "Done", "Done"]


def test_what_a_client_cannot_decide_is_left_to_a_server(bench: Bench) -> None:
    scheme = ACTING.replace("actions: [Note]", "state: Open").replace("to: Done}", "to: Done, when: {action: Ready}}")
    server = bench(scheme, conditions={"Ready": lambda ctx, parameter: True})
    client, told = bench(client=True), Told()
    assert client.create_instances("Acting", 2, **told.both).queued == 2
    bench.clock.advance(60)
    assert [server.get_process(one).activity for one in told.ids] == ["Done"] * 2


def test_listeners_hear_of_each_after_its_commit(bench: Bench) -> None:
    heard = list[tuple[str, int]]()

    class Listener:
        @hookimpl
        def process_activity_changed(self, process: Any, current: str) -> None:
            heard.append((current, runtime.count_processes()))

    runtime = bench(SCHEME, plugin=Listener())
    runtime.create_instances("Order", [{"Amount": 1}, {"Amount": 101}, None], batch=2)
    assert heard == [("New", 2), ("New", 2), ("Large", 2), ("New", 3)]


# ------------------------------------------------------------------ what cannot be created


def test_a_bad_item_is_named_and_what_stands_before_its_batch_stays(bench: Bench) -> None:
    runtime, told = bench(SCHEME), Told()
    given: list[Any] = [{"Amount": 1}] * 5 + [{"Amount": "much"}, {"Amount": 2}]
    with pytest.raises(ParameterError, match=r"^item 5: .*; 4 created before stay$") as caught:
        runtime.create_instances("Order", given, batch=2, **told.both)
    assert (caught.value.index, caught.value.created, caught.value.code) == (5, 4, "wrong_type")
    assert len(told.ids) == runtime.count_processes() == 4


@pytest.mark.parametrize("bad", [5, "x", ["Amount"]])
def test_an_item_that_is_no_mapping(bench: Bench, bad: Any) -> None:
    with pytest.raises(ParameterError, match=r"item 1: .* are no parameters") as caught:
        bench(SCHEME).create_instances("Order", [None, bad])
    assert caught.value.created == 0


def test_ids_are_those_given_and_one_in_use_takes_its_batch_with_it(bench: Bench) -> None:
    runtime, ids = bench(SCHEME), [uuid4() for _ in range(7)]
    told = Told()
    runtime.create_instances("Order", 3, process_ids=map(str, ids), **told.both)
    assert told.ids == ids[:3]
    again = [*(uuid4() for _ in range(3)), ids[1], uuid4()]
    with pytest.raises(ProcessAlreadyExists, match=r"^item 3: ") as caught:
        runtime.create_instances("Order", 5, process_ids=again, batch=2)
    assert (caught.value.index, caught.value.created, caught.value.process_id) == (3, 2, ids[1])
    assert runtime.count_processes() == 5


def test_one_id_twice(bench: Bench) -> None:
    runtime, one = bench(SCHEME), uuid4()
    with pytest.raises(ProcessAlreadyExists, match=r"item 2: .*stands in the same batch") as caught:
        runtime.create_instances("Order", 3, process_ids=[one, uuid4(), one])
    assert (caught.value.index, runtime.count_processes()) == (2, 0)


def test_too_few_ids_and_what_is_no_id(bench: Bench) -> None:
    runtime = bench(SCHEME)
    with pytest.raises(ParameterError, match="item 1: there are fewer ids than processes") as caught:
        runtime.create_instances("Order", 2, process_ids=[uuid4()])
    assert caught.value.index == 1
    with pytest.raises(ParameterError, match="item 0: 'x' is no process id"):
        runtime.create_instances("Order", 2, process_ids=["x", "y"])
    assert runtime.count_processes() == 0


@pytest.mark.parametrize(
    ("given", "more"),
    [(-1, {}), (True, {}), ("many", {}), ({"Amount": 1}, {}), (2.5, {}), (1, {"batch": 0}), (1, {"batch": 10_001}), (1, {"batch": True})],
)
def test_arguments_that_do_not_fit(bench: Bench, given: Any, more: dict[str, Any]) -> None:
    runtime = bench(SCHEME)
    with pytest.raises(ParameterError, match="expected"):
        runtime.create_instances("Order", given, **more)
    assert runtime.count_processes() == 0


def test_a_database_that_is_away_ends_the_call_and_the_error_tells_what_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, told = bench(SCHEME), Told()

    def away_after_the_first(ids: Any) -> None:
        told.ids.extend(ids)
        monkeypatch.setattr(engine_of(runtime).store, "apply_all", gone)

    def gone(batch: Any, **more: Any) -> None:
        raise StoreUnavailable("away", outcome="known")

    with pytest.raises(StoreUnavailable, match="one of the items 2 to 3: away; 2 created before stay") as caught:
        runtime.create_instances("Order", 5, batch=2, on_created=away_after_the_first)
    assert (caught.value.created, caught.value.outcome, len(told.ids)) == (2, "known", 2)


def test_a_server_that_shuts_down_begins_no_other_batch(bench: Bench) -> None:
    runtime, told = bench(SCHEME), Told()

    def stop(ids: list[UUID]) -> None:
        told.ids.extend(ids)
        runtime.shutdown()

    with pytest.raises(RuntimeNotStarted) as caught:
        runtime.create_instances("Order", 5, batch=2, on_created=stop)
    assert caught.value.created == 2
    assert bench(SCHEME).count_processes() == 2


# ------------------------------------------------------------------ every database


def test_on_every_database_from_server_and_client(any_database: str) -> None:
    told = Told()
    with WorkflowRuntime(any_database).with_schemes(SCHEME, ACTING).with_actions({"Note": lambda ctx, parameter: None}) as runtime:
        report = runtime.create_instances("Order", ({"Amount": number} for number in range(120)), batch=50, **told.both)
        assert (report.created, report.queued) == (120, 0)
        large = runtime.find_processes(ProcessFilter(state="Checking"), limit=1_000)
        assert sorted(process.parameters["Amount"] for process in large) == list(range(101, 120))
        with WorkflowRuntime(any_database).as_client() as client:
            assert client.create_instances("Order", 10).created == 10
            assert client.create_instances("Acting", 10).queued == 10
            with pytest.raises(ProcessAlreadyExists) as caught:
                client.create_instances("Order", 3, process_ids=[uuid4(), told.ids[7], uuid4()])
            assert caught.value.index == 1
        assert runtime.count_processes(ProcessFilter(scheme_code="Order")) == 130
