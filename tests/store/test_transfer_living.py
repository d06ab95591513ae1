"""Renewal and import while a server runs: it finds itself fenced, goes on as another, and takes up what came."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from waiting import until

from workflow_runtime import Fenced, ProcessStatus, WorkflowRuntime

TEXT = """
scheme: Order
commands: {Approve: {}}
activities:
  Draft: {initial: true}
  Review: {state: Review}
  Charge: {state: Charge, actions: [Charge], recovery: terminated}
  Done: {final: true}
transitions:
  - {from: Draft, to: Review}
  - {from: Review, to: Charge, on: {command: Approve}}
  - {from: Charge, to: Done}
"""


class Gate:
    """An action that waits until the test lets it go."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        self.entered.set()
        assert self.open.wait(30)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def server(database: str, gate: Gate) -> Iterator[WorkflowRuntime]:
    """Beats often, so that it soon hears of its death."""
    runtime = WorkflowRuntime(database).with_schemes(TEXT).with_actions({"Charge": gate}).with_settings(beat=0.05, lease=2.0, sweep=0.05)
    with runtime:
        yield runtime


def living(runtime: WorkflowRuntime) -> list[str]:
    return [row.id for row in runtime.get_servers() if row.dead_at is None]


def test_a_server_that_runs_is_fenced_by_a_renewal_and_goes_on_as_another(server: WorkflowRuntime, database: str, gate: Gate) -> None:
    subject = server.create_instance("Order")
    (mine,) = living(server)
    ends: list[BaseException] = []

    def approve() -> None:
        try:
            server.execute_command(subject.id, "Approve")
        except BaseException as error:
            ends.append(error)

    thread = threading.Thread(target=approve)
    thread.start()
    assert gate.entered.wait(10)
    with WorkflowRuntime(database).as_client() as client:
        report = client.renew_database(actor="olga", reason="restored")
    assert (report.servers, report.processes) == (1, 1)
    until(lambda: living(server) not in ([], [mine]), seconds=20)
    gate.open.set()
    thread.join(20)
    assert [type(end) for end in ends] == [Fenced]
    until(lambda: server.get_process(subject.id).status is ProcessStatus.TERMINATED, seconds=20)
    assert {row.id: row.death for row in server.get_servers()}[mine] == "restore"
    assert server.create_instance("Order").status is ProcessStatus.IDLED  # and it works again


def test_what_comes_is_taken_up_by_the_server_that_runs(server: WorkflowRuntime, database: str, tmp_path: Path, gate: Gate) -> None:
    """An orphan of the old place: the next sweep decides it, and no death is counted."""
    gate.open.set()
    home = WorkflowRuntime(f"sqlite:///{tmp_path / 'home.db'}").with_schemes(TEXT).with_actions({"Charge": lambda ctx, _: None})
    with home:
        subject = home.create_instance("Order", process_id=uuid4())
        held = Gate()
        home_again = threading.Thread(target=_approve_and_hold, args=(tmp_path, subject.id, held))
        exported = tmp_path / "all.jsonl"
    home_again.start()
    try:
        assert held.entered.wait(10)
        with WorkflowRuntime(f"sqlite:///{tmp_path / 'home.db'}").as_client() as client:
            assert client.get_process(subject.id).status is ProcessStatus.RUNNING
            client.export_processes(exported)
    finally:
        held.open.set()
        home_again.join(20)
    assert server.import_processes(exported).processes == 1
    until(lambda: server.get_process(subject.id).status is ProcessStatus.TERMINATED, seconds=20)
    assert (server.get_process(subject.id).deaths, server.get_history(subject.id)[-1].reason) == (0, "declared: recovery terminated")


def _approve_and_hold(folder: Path, process_id: Any, held: Gate) -> None:
    with WorkflowRuntime(f"sqlite:///{folder / 'home.db'}").with_actions({"Charge": held}) as runtime:
        runtime.execute_command(process_id, "Approve")
