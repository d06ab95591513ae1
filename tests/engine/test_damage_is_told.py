"""What cannot be read comes to Error, and listeners hear of it as of any other end, where there is a process to show them."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from orphanage import PAYING, START, Orphanage

from workflow_runtime import Decision, Process, ProcessStatus, hookimpl
from workflow_runtime.core.process import Timer, TimerKind

GONE = "UPDATE wf_process SET scheme_version = 'gone' WHERE id = ?"
TORN = "UPDATE wf_process SET walk = '{' WHERE id = ?"


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    @hookimpl
    def process_status_changed(self, process: Process, old: ProcessStatus | None, new: ProcessStatus) -> None:
        self.heard.append((process.id, old and str(old), str(new), process.scheme is None))

    @hookimpl
    def process_recovered(self, process: Process, decision: Decision) -> None:
        self.heard.append((process.id, "recovered", decision.decided_by, process.scheme is None))


def told(home: Orphanage) -> Listener:
    listener = Listener()
    home.runtime.with_plugin(listener)
    return listener


def damage(home: Orphanage, statement: str, one: UUID) -> None:
    with home.store.dialect.write() as transaction:
        transaction.driver.execute(statement, (str(one),))


def about(listener: Listener, one: UUID) -> list[tuple[Any, ...]]:
    return [heard[1:] for heard in listener.heard if heard[0] == one]


def test_of_a_recovered_one_the_status_and_the_decision(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = Orphanage(tmp_path)
    listener = told(home)
    with home:
        shown, torn, whole = home.orphan(PAYING), home.orphan(PAYING), home.orphan(PAYING)
        damage(home, GONE, shown)
        damage(home, TORN, torn)
        home.recover()
        assert about(listener, shown) == [("Running", "Error", True), ("recovered", "unreadable", True)]
        assert about(listener, whole) == [("Running", "Error", False), ("recovered", "status rule", False)]
        assert about(listener, torn) == []
        assert [record.levelno for record in caplog.records if str(torn) in record.getMessage()] == [logging.ERROR]


def test_of_a_waiting_one_the_status(tmp_path: Path) -> None:
    home = Orphanage(tmp_path)
    listener = told(home)
    with home:
        row = Timer(name=TimerKind.RETRY, kind=TimerKind.RETRY, due=START + timedelta(hours=1))
        waiting = home.orphan(PAYING, owner=None, arm=(row,))
        damage(home, GONE, waiting)
        home.clock.advance(3600)
        assert about(listener, waiting) == [("Running", "Error", True)]
        home.clock.advance(3600)
        assert len(about(listener, waiting)) == 1, "once"
