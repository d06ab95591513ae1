"""Two servers of the command line over one PostgreSQL database: one is killed in its work, the other takes over; what is told of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import databases
import pytest
from waiting import until
from wfr_calls import wfr

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

#: Its action tells who has begun it, and ends when the file ``go`` is there.
APP = '''
import os, sys, threading
from pathlib import Path
from workflow_runtime import WorkflowRuntime

SCHEME = """
scheme: Slow
recovery: resume
activities:
  Rest: {initial: true}
  Work: {actions: [Work]}
  Done: {final: true}
transitions:
  - {from: Work, to: Done}
"""
runtime = WorkflowRuntime().with_schemes(SCHEME).as_multi_server("short-lived")


@runtime.action("Work")
def work(ctx, parameter):
    Path(f"begun-{os.getpid()}").touch()
    for _ in range(6_000):
        if Path("go").exists():
            break
        threading.Event().wait(0.01)
'''


@contextmanager
def server(name: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "workflow_runtime", "server", "run", "--app", "slowapp:runtime", "--multi", "--name", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def listed() -> dict[str, Any]:
    return {row["name"]: row for row in wfr("server", "list", "-o", "json").json}


def test_a_server_is_killed_and_the_other_one_takes_over(here: Path, postgresql: databases.Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKFLOW_RUNTIME_URL", databases.upgraded(postgresql.empty()))
    (here / "slowapp.py").write_text(APP)
    (resting,) = wfr("process", "create", "Slow", "--app", "slowapp:runtime", "-o", "ids").lines
    with server("eu-1") as one, server("eu-2") as two:
        for process in (one, two):
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready: eu-")
        until(lambda: min(row["beat"] for row in listed().values()) >= 4, 30)
        assert {row["lock_ok"] for row in listed().values()} == {True}
        assert re.search(r"^\w+ +eu-1 .* \d\.\d\d s ago +held +alive$", wfr("server", "list").out, re.MULTILINE)

        wfr("process", "set-activity", resting, "--to", "Work", "--reason", "INC-77", "--yes")
        until(lambda: list(here.glob("begun-*")), 30)
        (begun,) = here.glob("begun-*")
        victim, heir = (one, two) if begun.name == f"begun-{one.pid}" else (two, one)
        dead, alive = ("eu-1", "eu-2") if victim is one else ("eu-2", "eu-1")
        victim.kill()
        until(lambda: (here / f"begun-{heir.pid}").exists(), 30)

        rows = listed()
        assert (rows[dead]["condition"], rows[dead]["death"], rows[dead]["declared_by"]) == ("dead", "lock", rows[alive]["id"])
        assert (rows[dead]["declared_by_name"], rows[alive]["condition"]) == (alive, "alive")
        told = wfr("server", "list").out
        assert re.search(rf"{dead} .* its lock was freed: declared dead by {alive} \d\.\d\d s after its last beat +dead$", told, re.MULTILINE)

        until(lambda: wfr("recovery", "report").code == 0, 30)
        report = wfr("recovery", "report", "latest", "-o", "json").json
        (death,) = report["deaths"]
        assert (death["name"], death["pid"], death["evidence"], death["declared_by"]) == (dead, victim.pid, "lock", rows[alive]["id"])
        assert death["last_beat_at"] < death["declared_at"] <= report["adopted_at"] <= report["first_progress_at"]
        told = wfr("recovery", "report").lines
        assert re.fullmatch(rf"{dead} \(\w{{8}} on \S+, pid {victim.pid}\) died: its lock was freed, declared dead by server \w{{8}}", told[1])
        assert re.fullmatch(r"  last beat \S+ \S+; noticed after \d\.\d\d s, adopted after \d\.\d\d s, first progress after \d\.\d\d s", told[2])
        assert told[3] == "1 owned = 1 decided: 1 resume"

        (here / "go").touch()
        until(lambda: wfr("process", "show", resting, "-o", "json").json["status"] == "Finalized", 30)
        heir.send_signal(signal.SIGTERM)
        _, words = heir.communicate(timeout=60)
        assert heir.returncode == 0, words
    assert list(listed()) == [dead], "who ends in an orderly way leaves no row"
