"""Beside a server that works, and on the database of one that was killed: who looks changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from wfr_calls import dump, wfr

from workflow_runtime import Death, RecoveryReport, WorkflowRuntime
from workflow_runtime.cli.recovery import summary

NOON = datetime(2031, 5, 6, 12, 0, 0, tzinfo=UTC)

SCHEME = """
scheme: Slow
commands: {Back: {}}
activities:
  Start: {initial: true}
  Work: {actions: [Work]}
  Done: {final: true}
transitions:
  - {from: Start, to: Work}
  - {from: Start, to: Start, on: {command: Back}}
  - {from: Work, to: Done}
"""

#: Ends with its standard input, in the middle of its action.
SERVER = """
import sys, threading
from workflow_runtime import WorkflowRuntime

runtime = WorkflowRuntime().with_schemes("slow.yaml").as_single_server("the one that dies")


@runtime.action("Work")
def work(ctx, parameter):
    print(ctx.process_id, flush=True)
    sys.stdin.read()


with runtime:
    runtime.create_instance("Slow")
"""

#: The same application as its operator knows it: the action ends.
APP = """
from workflow_runtime import IProcessRestorer, RestoreDecision, WorkflowRuntime


class Again(IProcessRestorer):
    def need_custom_restore(self, scheme_code, status):
        return True

    def get_custom_restore_decision(self, process):
        return RestoreDecision.resume().because("work may be repeated")


runtime = WorkflowRuntime().with_schemes("slow.yaml").with_actions({"Work": lambda ctx, parameter: None}).with_process_restorer(Again())
"""

LOOKING = (
    ["process", "list"],
    ["recovery", "plan"],
    ["recovery", "plan", "--app", "shopapp:runtime"],
    ["server", "list"],
    ["timer", "list"],
    ["scheme", "list"],
    ["db", "check"],
)


class Working:
    """A real server in the middle of an action."""

    def __init__(self, folder: Path) -> None:
        (folder / "slow.yaml").write_text(SCHEME)
        (folder / "shopapp.py").write_text(APP)
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, "-c", SERVER], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.process_id = self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Working]:
    server = Working(tmp_path_factory.mktemp("working"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a server that was killed in the middle of its action, and the process it left."""
    server = Working(tmp_path_factory.mktemp("fallen"))
    server.kill()
    assert server.process.returncode == -signal.SIGKILL
    return server.folder, server.process_id


@pytest.fixture
def left(fallen: tuple[Path, str], here: Path) -> str:
    shutil.copytree(fallen[0], here, dirs_exist_ok=True)
    return fallen[1]


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_looking_beside_a_running_server_changes_nothing(working: Working, here: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.chdir(working.folder)
    before = without_beats(dump(Path("workflow.db")))
    looked = wfr(*command)
    assert looked.code == 0, looked.err
    assert without_beats(dump(Path("workflow.db"))) == before


def without_beats(dumped: bytes) -> list[bytes]:
    """A living server says so in its own row, whoever looks."""
    return [line for line in dumped.splitlines() if not line.startswith(b'INSERT INTO "wf_server"')]


def test_beside_a_running_server_nothing_is_to_recover(working: Working, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(working.folder)
    assert wfr("process", "list", "--where", "status=Running", "-o", "ids").lines == [working.process_id]
    assert wfr("recovery", "plan", "-o", "ids").lines == []
    assert wfr("server", "list", "-o", "json").json[0]["name"] == "the one that dies"
    refused = wfr("process", "create", "Slow", "--app", "shopapp", "-o", "json")
    assert (refused.code, refused.problem["code"]) == (1, "ServerAlreadyRunning")


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_looking_after_a_kill_changes_nothing(left: str, command: list[str]) -> None:
    before = dump(Path("workflow.db"))
    looked = wfr(*command)
    assert looked.code == 0, looked.err
    assert dump(Path("workflow.db")) == before


def test_what_was_left_is_listed_and_planned(left: str) -> None:
    (row,) = wfr("process", "list", "-o", "json").json
    assert (row["id"], row["status"], row["walk"]["activity"]) == (left, "Running", "Work")
    (planned,) = wfr("recovery", "plan", "--app", "shopapp:runtime", "-o", "json").json["decisions"]
    assert (planned["process_id"], planned["step"], planned["decision"], planned["decided_by"]) == (left, "Work", "resume", "Again")
    table = wfr("recovery", "plan", "--app", "shopapp:runtime")
    assert "work may be repeated" in table.lines[1]


def test_a_plan_without_the_application_says_what_it_does_not_know(left: str) -> None:
    planned = wfr("recovery", "plan")
    assert "note: this program has no restorers" in planned.err
    assert "note: this program has no 'Work', which scheme 'Slow' needs: 1 process is left to a server that has" in planned.err


def test_a_run_without_the_application_says_what_it_leaves_and_to_whom(left: str) -> None:
    before = wfr("process", "show", left, "-o", "json").json
    ran = wfr("recovery", "run")
    assert (ran.code, ran.out) == (0, "")
    assert "note: this program has no 'Work', which scheme 'Slow' needs: 1 process is left to a server that has" in ran.err
    assert "nothing was left behind" not in ran.err
    counted = wfr("recovery", "run", "-o", "json").json
    assert (counted["owned"], counted["decided"], counted["skipped"]) == (1, 0, 1)
    assert wfr("process", "show", left, "-o", "json").json == before
    assert wfr("recovery", "report").code == 4


def test_run_decides_and_waits(left: str) -> None:
    ran = wfr("recovery", "run", "--wait", "--app", "shopapp:runtime", "-o", "json")
    assert ran.code == 0
    assert (ran.json["owned"], ran.json["decided"], ran.json["by_decision"]) == (1, 1, {"resume": 1})
    assert ran.json["decisions"][0]["process_id"] == left
    assert wfr("process", "show", left, "-o", "json").json["status"] == "Finalized"
    assert wfr("recovery", "report", ran.json["id"][:6], "-o", "json").json == ran.json


def test_the_report_says_it_in_a_sentence(left: str) -> None:
    wfr("recovery", "run", "--wait", "--app", "shopapp:runtime")
    told = wfr("recovery", "report")
    assert told.lines[0].startswith("recovery ")
    assert re.match(r"the one that dies \([0-9a-f]{8} on \S+, pid \d+\) died: it was gone when a server started", told.lines[1])
    assert re.fullmatch(r"  last beat 2.*Z; noticed after .*, adopted after .*, first progress after .*", told.lines[2])
    assert told.lines[3] == "1 owned = 1 decided: 1 resume"
    assert told.lines[5].split()[:6] == [left, "Slow", "Work", "Work", "resume", "Running"]


def test_run_with_nothing_to_do(here: Path) -> None:
    idle = wfr("recovery", "run")
    assert (idle.code, idle.out) == (0, "")
    assert "nothing was left behind" in idle.err
    assert wfr("recovery", "run", "-o", "json").json["owned"] == 0


@pytest.mark.parametrize(("id", "said"), [("latest", "there was no recovery yet"), ("abcdef", "begins with 'abcdef'")])
def test_a_recovery_that_never_was(here: Path, id: str, said: str) -> None:
    wfr("db", "upgrade")
    missing = wfr("recovery", "report", id)
    assert missing.code == 4
    assert said in missing.err


def test_what_executes_leaves_alone_what_dead_servers_left(left: str) -> None:
    """A short command has not the restorers of the server that will come back."""
    made = wfr("process", "create", "Slow", "--app", "shopapp:runtime", "-o", "ids")
    assert made.code == 0, made.err
    assert wfr("process", "show", left, "-o", "json").json["status"] == "Running"
    assert wfr("recovery", "report").code == 4


def test_a_client_creates_no_database_and_says_who_does(here: Path) -> None:
    refused = wfr("process", "list")
    assert refused.code == 1
    assert "wfr db upgrade" in refused.err
    assert os.listdir(here) == []
    with WorkflowRuntime(f"sqlite:///{here / 'workflow.db'}"):
        assert wfr("process", "list").code == 0


# What stands above the decisions

EU_1 = Death(
    server="11" * 16,
    name="eu-1",
    host="box",
    pid=7,
    last_beat_at=NOON,
    declared_at=NOON + timedelta(seconds=0.61),
    evidence="lock",
    declared_by="22" * 16,
)
PASS = RecoveryReport(id="99" * 16, cause="sweep", server="22" * 16, deaths=(EU_1,), owned=3, decided=2, skipped=1, by_decision={"resume": 2}, noticed_at=NOON)


def test_a_summary_says_who_died_how_it_was_noticed_and_how_soon_what_happened() -> None:
    report = replace(PASS, adopted_at=NOON + timedelta(seconds=0.63), first_progress_at=NOON + timedelta(seconds=0.7))
    assert summary(report) == [
        "recovery 99999999 (sweep) by server 22222222 at 2031-05-06 12:00:00Z",
        "eu-1 (11111111 on box, pid 7) died: its lock was freed, declared dead by server 22222222",
        "  last beat 2031-05-06 12:00:00Z; noticed after 0.61 s, adopted after 0.63 s, first progress after 0.70 s",
        "3 owned = 2 decided, 1 left to other servers: 2 resume",
    ]


def test_moments_that_are_not_known_are_left_out() -> None:
    expired = replace(EU_1, name="eu-3", evidence="lease", declared_by="", declared_at=NOON + timedelta(seconds=5.2))
    assert summary(replace(PASS, deaths=(expired,)))[1:3] == [
        "eu-3 (11111111 on box, pid 7) died: its lease expired",
        "  last beat 2031-05-06 12:00:00Z; noticed after 5.20 s",
    ]


def test_a_report_of_an_earlier_release_knows_the_last_beat_only() -> None:
    old = Death(server="11" * 16, name="", host="", pid=0, last_beat_at=NOON, declared_at=NOON)
    assert summary(replace(PASS, deaths=(old,)))[1:3] == [
        "server (11111111) died: how it was noticed is not known",
        "  last beat 2031-05-06 12:00:00Z",
    ]
