"""A run whose database goes away in the middle, whose commits are not answered, or whose server is declared dead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from bench import engine_of, told
from proxy import COMMIT, Mode, Proxy, Side, target_of, through
from waiting import until

from workflow_runtime import WorkflowRuntime
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.errors import Fenced, StoreUnavailable
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.writes import Store

TEXT = """
scheme: Work
commands: {go: {}}
activities:
  Rest: {initial: true}
  First: {actions: [One, Two]}
  Second: {actions: [Three]}
  End: {final: true}
transitions:
  - {from: Rest, to: First, on: {command: go}}
  - {from: First, to: Second}
  - {from: Second, to: End}
"""
PATH = [("moved", "Rest", "Idled"), ("moved", "First", "Running"), ("moved", "Second", "Running"), ("moved", "End", "Finalized")]
LONG = 3_600.0  #: so much patience that a test which uses it up does not end


class Bench:
    """A server whose database stands behind a proxy; what its actions did, by name."""

    def __init__(self, url: str, proxy: Proxy) -> None:
        self.url, self.proxy = url, proxy
        self.done: list[str] = []
        self.within: dict[str, Callable[[], object]] = {}  #: what happens inside an action
        self.runtime: WorkflowRuntime | None = None

    def start(self, **settings: Any) -> WorkflowRuntime:
        runtime = WorkflowRuntime(through(self.url, self.proxy)).as_multi_server().with_schemes(TEXT)
        runtime.with_actions(dict.fromkeys(("One", "Two", "Three"), self._act))
        runtime.with_settings(**{"shutdown_grace": 1.0, "store_patience": LONG, "beat": 0.1, "lease": 5.0, **settings})
        self.runtime = runtime.start()
        return runtime

    def _act(self, ctx: Any, parameter: str | None) -> None:
        name = ctx._action.name
        self.done.append(name)
        ctx.step("charge", self.done.append, f"charge in {name}")
        self.within.get(name, lambda: None)()

    @property
    def is_postgres(self) -> bool:
        return self.url.startswith("postgresql")

    def close(self) -> None:
        self.proxy.mode = Mode.PASS
        if self.runtime is not None:
            self.runtime.shutdown()


@pytest.fixture
def bench(shared_database: str) -> Iterator[Bench]:
    with ExitStack() as ended:
        bench = Bench(shared_database, ended.enter_context(Proxy(target_of(sa.make_url(shared_database)))))
        ended.callback(bench.close)
        yield bench


ALL = [part for name in ("One", "Two", "Three") for part in (name, f"charge in {name}")]


def _count_commits(bench: Bench, runtime: WorkflowRuntime) -> int:
    """Of one whole command: claim, three steps, two actions before their next, the last one with the arrival at rest."""
    process = runtime.create_instance("Work")
    before = runtime.get_process(process.id).revision
    after = runtime.execute_command(process.id, "go").process
    bench.done.clear()
    return after.revision - before


@pytest.mark.parametrize("forward", [True, False], ids=["the answer is lost", "the request is lost"])
def test_a_run_does_each_thing_once_whichever_commit_is_not_answered(bench: Bench, forward: bool) -> None:
    runtime = bench.start()
    commits = _count_commits(bench, runtime)
    assert commits == 7
    for number in range(1, commits + 1):
        process = runtime.create_instance("Work")
        match = str(process.id).encode() if bench.is_postgres else COMMIT
        bench.proxy.cut_after(match, number + bench.is_postgres, side=Side.REQUEST, forward=forward)  # there the first is the load
        result = runtime.execute_command(process.id, "go")
        assert (result.process.status, bench.proxy.cuts) == (ProcessStatus.FINALIZED, number)
        assert (bench.done, told(runtime, process.id)) == (ALL, PATH)
        bench.done.clear()
    assert list(runtime.get_recoveries()) == []


@pytest.mark.parametrize("forward", [True, False], ids=["the answer is lost", "the request is lost"])
def test_a_creation_that_is_not_answered_is_done_once(bench: Bench, forward: bool) -> None:
    runtime = bench.start()
    bench.proxy.cut_after(b"Rest" if bench.is_postgres else COMMIT, side=Side.REQUEST, forward=forward)
    process = runtime.create_instance("Work")
    assert bench.proxy.cuts == 1
    assert told(runtime, process.id) == PATH[:1]


def _away_for(bench: Bench, attempts: int) -> Callable[[], None]:
    """Away until so many connections were tried."""

    def away() -> None:
        bench.proxy.mode = Mode.RESET
        threading.Thread(target=back, args=(bench.proxy.connections + attempts,), daemon=True).start()

    def back(number: int) -> None:
        until(lambda: bench.proxy.connections >= number, 60)
        bench.proxy.mode = Mode.PASS

    return away


def test_a_run_outlasts_a_database_that_is_away(bench: Bench) -> None:
    runtime = bench.start()
    process = runtime.create_instance("Work")
    bench.within = {"One": _away_for(bench, 6), "Three": _away_for(bench, 6)}
    assert runtime.execute_command(process.id, "go").process.status is ProcessStatus.FINALIZED
    assert bench.proxy.resets >= 12
    assert (bench.done, told(runtime, process.id)) == (ALL, PATH)


def test_a_database_that_stays_away_breaks_the_run_off_and_nothing_is_done_twice(bench: Bench) -> None:
    """Patience is over: the process stays Running and mine, and the sweep of this server decides about it."""
    runtime = bench.start(store_patience=0.2)
    process = runtime.create_instance("Work")
    bench.within = {"One": lambda: setattr(bench.proxy, "mode", Mode.RESET)}
    with pytest.raises(StoreUnavailable):
        runtime.execute_command(process.id, "go")
    assert bench.done == ALL[:2]
    bench.proxy.mode = Mode.PASS
    until(lambda: _status(bench, process.id) is not ProcessStatus.RUNNING, 30)
    assert bench.done == ALL[:2]


def _status(bench: Bench, process_id: UUID) -> ProcessStatus:
    """Not by way of the runtime, which may be told that the database is away."""
    store = _beside(bench)
    try:
        process = store.load(process_id)
    finally:
        store.close()
    assert process is not None
    return process.status


def _beside(bench: Bench) -> Store:
    return Store.open(bench.url, clock=_never, new_token=lambda: 1, monotonic=lambda: 0.0)


def _never() -> Any:
    raise AssertionError("the clock of the database counts")


def test_who_only_asks_is_told_at_once(bench: Bench) -> None:
    runtime = bench.start()
    process = runtime.create_instance("Work")
    bench.proxy.mode = Mode.RESET
    for call in (lambda: runtime.create_instance("Work"), lambda: runtime.execute_command(process.id, "go")):
        with pytest.raises(StoreUnavailable) as caught:
            call()
        assert caught.value.outcome == "known"
    bench.proxy.mode = Mode.PASS
    assert bench.done == []
    assert runtime.execute_command(process.id, "go").process.status is ProcessStatus.FINALIZED


# -- fencing ----------------------------------------------------------------------------------------------


def _declared_dead(bench: Bench) -> None:
    """By another; returns when this server has noticed and is somebody else."""
    assert bench.runtime is not None
    engine, store = engine_of(bench.runtime), _beside(bench)
    old = engine.me
    while not store.declare_dead(old, beat=next(row.beat for row in store.servers() if row.id == old)):
        pass
    store.close()
    until(lambda: engine.me != old)


@pytest.mark.parametrize(("where", "done"), [("One", ALL[:2]), ("Three", ALL)], ids=["before another action", "before rest"])
def test_a_run_of_an_earlier_incarnation_does_and_writes_nothing_more(bench: Bench, where: str, done: list[str]) -> None:
    """Nobody has taken the process over yet: the guard of one who takes over from a dead server would let it write."""
    runtime = bench.start(auto_recover=False)
    process = runtime.create_instance("Work")
    bench.within = {where: lambda: _declared_dead(bench)}
    with pytest.raises(Fenced):
        runtime.execute_command(process.id, "go")
    assert bench.done == done
    assert [entry.step for entry in _journal(runtime, process.id)] == ["charge"]
    runtime.recover()
    assert runtime.get_process(process.id).status in (ProcessStatus.ERROR, ProcessStatus.TERMINATED)
    assert bench.done == done


def _journal(runtime: WorkflowRuntime, process_id: UUID) -> Any:
    store = engine_of(runtime).store
    process = store.load(process_id)
    assert process is not None
    assert process.walk is not None
    return store.journal(process_id, process.walk.id)


def _beats(runtime: WorkflowRuntime, monkeypatch: pytest.MonkeyPatch, *answers: bool) -> list[bool]:
    """Whether the beat arrives, as told from now on; then always as the last one says."""
    left, asked = list(answers), list[bool]()

    def may_execute() -> bool:
        asked.append(left.pop(0) if len(left) > 1 else left[0])
        return asked[-1]

    monkeypatch.setattr(engine_of(runtime).presence, "may_execute", may_execute)
    return asked


def test_before_an_effect_the_beat_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = bench.start(auto_recover=False)
    process = runtime.create_instance("Work")
    asked = list[list[bool]]()
    bench.within = {"One": lambda: asked.append(_beats(runtime, monkeypatch, False, False, False, True))}
    assert runtime.execute_command(process.id, "go").process.status is ProcessStatus.FINALIZED
    assert (bench.done, asked[0][:4]) == (ALL, [False, False, False, True])


def test_an_effect_is_not_begun_by_a_server_whose_beat_does_not_arrive(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did before is journaled: nobody has taken over, and the guard alone decides about that."""
    runtime = bench.start(auto_recover=False, store_patience=0.2)
    process = runtime.create_instance("Work")
    bench.within = {"One": lambda: _beats(runtime, monkeypatch, False)}
    with pytest.raises(StoreUnavailable, match="has not reached its database") as caught:
        runtime.execute_command(process.id, "go")
    assert caught.value.outcome == "known"
    assert bench.done == ALL[:2]
    stored = engine_of(runtime).store.load(process.id)
    assert stored is not None
    assert (stored.status, stored.owner) == (ProcessStatus.RUNNING, engine_of(runtime).me)
    assert [entry.step for entry in _journal(runtime, process.id)] == ["charge", ""]


def test_nothing_is_claimed_by_a_server_whose_beat_does_not_arrive(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = bench.start()
    process = runtime.create_instance("Work")
    _beats(runtime, monkeypatch, False)
    for call in (lambda: runtime.create_instance("Work"), lambda: runtime.execute_command(process.id, "go")):
        with pytest.raises(StoreUnavailable, match="takes nothing new"):
            call()
    assert Reader(engine_of(runtime).store).count() == 1
    assert bench.done == []
