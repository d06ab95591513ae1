"""Recovery by itself: with the machine's clock, in the background, and while the server shuts down."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from factories import server as server_row
from orphanage import ACTIONS, PAYING, SENDING, Answer, Orphanage
from waiting import until

from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.core.restoring import RestoreDecision
from workflow_runtime.runtime import WorkflowRuntime

RUNNING, IDLED, ERROR, TERMINATED = ProcessStatus.RUNNING, ProcessStatus.IDLED, ProcessStatus.ERROR, ProcessStatus.TERMINATED
RESUMES_ERRORS = Answer(RestoreDecision.resume(), wants=lambda scheme, status: status is ERROR)


class Hold:
    """An action that lasts until it is released."""

    def __init__(self) -> None:
        self.inside, self.release = threading.Semaphore(0), threading.Event()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        self.inside.release()
        assert self.release.wait(20)


def server(home: Orphanage, hold: Hold | None = None, **settings: Any) -> WorkflowRuntime:
    """With the machine's clock."""
    runtime = WorkflowRuntime(home.url).with_process_restorer(RESUMES_ERRORS)
    runtime.with_actions({name: hold if hold and name == "Charge" else lambda ctx, parameter: None for name in ACTIONS})
    return runtime.with_settings(**{"sweep": 0.02, "workers": 1, "sqlite_synchronous": "NORMAL"} | settings)


def test_a_start_recovers_by_itself_and_once(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        paying, sending = [home.orphan(PAYING) for _ in range(3)], home.orphan(SENDING)
    with server(home) as runtime:
        until(lambda: {runtime.get_process(one).status for one in paying} == {IDLED})
        until(lambda: [report.ended_at for report in runtime.get_recoveries()] != [None])
        [report] = runtime.get_recoveries()
        assert (report.cause, report.owned, report.decided, report.by_decision) == ("start", 4, 4, {"resume": 3, "default": 1})
        assert runtime.get_process(sending).status is TERMINATED


def test_without_auto_recover_nothing_happens_until_it_is_asked_for(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(SENDING)
    with server(home, auto_recover=False) as runtime:
        assert runtime.get_process(one).status is RUNNING
        assert runtime.recover(wait=True).cause == "manual"
        assert runtime.get_process(one).status is TERMINATED


def test_sweeps_go_on_while_a_pass_waits_for_workers(tmp_path: Path) -> None:
    hold = Hold()
    with Orphanage(tmp_path) as home:
        paying = [home.orphan(PAYING) for _ in range(2)]
    with server(home, hold) as runtime:
        assert hold.inside.acquire(timeout=20)
        late = Orphanage.birth(_Beside(home, runtime), SENDING)
        runtime._parts.engine.store.apply(late)
        until(lambda: runtime.get_process(late.result.id).status is TERMINATED)
        hold.release.set()
        until(lambda: {runtime.get_process(one).status for one in paying} == {IDLED})


class _Beside(Orphanage):
    """Makes orphans in the database of a server that runs already."""

    def __init__(self, home: Orphanage, runtime: WorkflowRuntime) -> None:
        self.clock, self.runtime, self.url = home.clock, runtime, home.url


def test_a_shutdown_ends_a_pass_that_waits_and_leaves_the_rest_to_the_next_server(tmp_path: Path) -> None:
    hold = Hold()
    with Orphanage(tmp_path) as home:
        paying = [home.orphan(PAYING) for _ in range(4)]
    first = server(home, hold)
    first.start()
    assert hold.inside.acquire(timeout=20)
    engine = first._parts.engine
    stopping = threading.Thread(target=first.shutdown)
    stopping.start()
    until(lambda: engine.draining)
    hold.release.set()
    stopping.join(20)
    assert not stopping.is_alive()
    assert len(engine.live) == 0
    with WorkflowRuntime(home.url).as_client() as client:
        left = [client.get_process(one) for one in paying]
    assert sorted((process.owner, process.deaths) for process in left if process.owner) == [("dead", 0)] * 3
    assert sum(process.owner is None for process in left) == 1
    with server(home) as second:
        until(lambda: {second.get_process(one).status for one in paying} == {IDLED})


def test_a_pass_that_finds_nothing_costs_one_query(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        said: list[str] = []
        with home.store.dialect.connected() as driver:
            driver.set_trace_callback(said.append)
        assert home.runtime.recover().owned == 0
        assert [text.split()[0] for text in said] == ["SELECT"]


def test_a_start_forgets_servers_that_died_a_week_ago_and_own_nothing(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(SENDING, owner="owner")
        for name in ("owner", "owns nothing"):
            home.store.register(server_row(name))
            home.store.declare_dead(name, beat=0)
    home.clock.advance(timedelta(days=7, seconds=1))
    with home.runtime:
        assert {server.id for server in home.runtime.get_servers()} == {"owner", home.runtime._parts.engine.me}
        [decision] = home.recover().decisions
        assert (decision.process_id, decision.server) == (one, "owner")
    with home.runtime:
        assert [server.id for server in home.runtime.get_servers()] == [home.runtime._parts.engine.me]


def test_live_work_is_never_taken_for_an_orphan(tmp_path: Path) -> None:
    """Many commands and many sweeps at once: no recovery row, no process in Error."""
    with Orphanage(tmp_path) as home:
        pass
    with server(home, sweep=0.01) as runtime:

        def work() -> None:
            for _ in range(15):
                one = runtime.create_instance("Order").id
                runtime.execute_command(one, "Pay")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert runtime.recover().owned == 0
        assert list(runtime.get_recoveries()) == []
        assert {process.status for process in runtime.find_processes(limit=100)} == {IDLED}
