"""A server whose connections fall silent: all that is sent is acknowledged, nothing is answered, and nobody tells it so.

Such a call does not end by itself: a watchdog ends it. See workflow_runtime/engine/watchdog.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import sqlalchemy as sa
from bench import engine_of
from proxy import Proxy, target_of, through
from waiting import until

from workflow_runtime import WorkflowRuntime
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.core.restoring import Server
from workflow_runtime.engine.presence import Presence
from workflow_runtime.errors import ServerAlreadyRunning, StoreUnavailable
from workflow_runtime.store import network

TEXT = """
scheme: Work
commands: {go: {}}
activities:
  Rest: {initial: true}
  End: {final: true}
transitions:
  - {from: Rest, to: End, on: {command: go}}
"""
LEASE = 1.0
SWEEP = "workflow_runtime sweep"  #: the thread


class Bench:
    """One server behind a proxy."""

    def __init__(self, url: str, proxy: Proxy) -> None:
        self.url, self.proxy = url, proxy
        self.runtime: WorkflowRuntime | None = None

    def start(self, mode: str) -> WorkflowRuntime:
        runtime = WorkflowRuntime(through(self.url, self.proxy)).with_schemes(TEXT)
        runtime = runtime.as_multi_server() if mode == "multi" else runtime.as_single_server()
        self.runtime = runtime.with_settings(lease=LEASE, beat=0.1, sweep=0.05, shutdown_grace=1.0).start()
        return self.runtime

    def fall_silent(self, runtime: WorkflowRuntime, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
        """All its connections, while its sweep has one in hand; each beat from then on finds itself in the same case.

        Returns what is set when that call of the sweep has ended.
        """
        dialect = engine_of(runtime).store.dialect
        take, fallen, ended = dialect.take, threading.Event(), threading.Event()

        def taken() -> Any:
            driver = take()
            if threading.current_thread().name == SWEEP:
                if fallen.is_set():
                    ended.set()
                else:
                    self.proxy.strand()
                    fallen.set()
            return driver

        monkeypatch.setattr(dialect, "take", taken)
        assert fallen.wait(30)
        return ended

    def close(self) -> None:
        if self.runtime is not None:
            self.runtime.shutdown()


@pytest.fixture
def bench(shared_database: str) -> Iterator[Bench]:
    with ExitStack() as ended:
        bench = Bench(shared_database, ended.enter_context(Proxy(target_of(sa.make_url(shared_database)))))
        ended.callback(bench.close)
        yield bench


@pytest.mark.parametrize("mode", ["single", "multi"])
def test_a_sweep_and_a_beat_that_are_not_answered_are_ended(bench: Bench, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = bench.start(mode)
    with monkeypatch.context() as impatient:
        impatient.setattr(network, "HANGING_SECONDS", LEASE)
        ended = bench.fall_silent(runtime, impatient)
        assert ended.wait(20)
    before = answered(lambda: row(runtime).beat)
    until(lambda: answered(lambda: row(runtime).beat) > before)
    assert runtime.execute_command(runtime.create_instance("Work").id, "go").process.status is ProcessStatus.FINALIZED


def answered(ask: Callable[[], int]) -> int:
    """Asked again where the call itself met a connection that had fallen silent."""
    answers: list[int] = []

    def asked() -> bool:
        with suppress(StoreUnavailable):
            answers.append(ask())
        return bool(answers)

    until(asked)
    return answers[0]


def row(runtime: WorkflowRuntime) -> Server:
    """Its own, also where it was slow and has registered anew."""
    return next(server for server in runtime.get_servers() if server.id == engine_of(runtime).me)


def test_a_shutdown_in_silence_comes_to_its_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = bench.start("multi")
    monkeypatch.setattr(network, "HANGING_SECONDS", LEASE)
    bench.proxy.strand()

    def shut_down() -> None:
        with suppress(StoreUnavailable):  # it could not say that it drains
            runtime.shutdown()

    leaving = threading.Thread(target=shut_down, daemon=True)
    leaving.start()
    leaving.join(30)
    assert not leaving.is_alive()
    assert watchdogs() == []


# -- the life of the watchdog -----------------------------------------------------------------------------


def watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "workflow-runtime-watchdog"]


@pytest.mark.parametrize("clean", [True, False])
def test_one_watches_from_start_to_stop(bench: Bench, clean: bool) -> None:
    presence = engine_of(bench.start("multi")).presence
    assert isinstance(presence, Presence)
    assert presence._watchdog is not None
    assert presence._watchdog._every == LEASE / 4
    assert watchdogs() == [presence._watchdog._thread]
    presence.stop(clean=clean)
    assert watchdogs() == []


def test_a_server_that_is_refused_leaves_none(bench: Bench) -> None:
    runtime = bench.start("single")
    second = WorkflowRuntime(bench.url).with_schemes(TEXT).as_single_server().with_settings(lease=LEASE, beat=0.1)
    before = watchdogs()
    with pytest.raises(ServerAlreadyRunning):
        second.start()
    assert watchdogs() == before
    runtime.shutdown()
    assert watchdogs() == []


def test_a_client_has_none(bench: Bench) -> None:
    with WorkflowRuntime(bench.url).as_client():
        assert watchdogs() == []
