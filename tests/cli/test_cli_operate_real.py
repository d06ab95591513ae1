"""The operator's verbs as programs of their own: exit codes, many processes, a progress bar, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from wfr_calls import ORDER, Shop

from workflow_runtime import ProcessFilter, ProcessStatus, WorkflowRuntime

WHY = ("--reason", "INC-77", "--actor", "anna", "--yes")
GONE = "dddddddd-0000-4000-8000-000000000003"


def wfr(*arguments: str, program: Sequence[str] = ("-m", "workflow_runtime"), **more: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "WORKFLOW_RUNTIME_URL"}
    return subprocess.run([sys.executable, *program, *arguments], capture_output=True, text=True, env=environment, timeout=120, **{"input": "", **more})  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    ("code", "verb", "ids", "how"),
    [
        (0, ["set-state", "--to", "Review"], ["resting", "delivered"], WHY),
        (1, ["delete"], [GONE, GONE.replace("d", "e")], WHY),
        (1, ["resume"], ["held"], WHY),
        (2, ["cancel"], ["resting"], WHY[:-1]),
        (2, ["cancel"], ["resting"], WHY[2:]),
        (4, ["resume"], [GONE], WHY),
        (6, ["set-activity", "--to", "Review"], [GONE, "resting"], WHY),
    ],
)
def test_exit_codes(shop: Shop, code: int, verb: list[str], ids: list[str], how: tuple[str, ...]) -> None:
    """The five codes, each of a program of its own: done, failed, usage and nobody to ask, not found, partial."""
    hold(shop, shop.declined)
    named = [{"resting": shop.resting, "delivered": shop.delivered, "held": shop.declined}.get(one, one) for one in ids]
    answer = wfr("process", *verb, *named, *how, "-o", "json")
    assert answer.returncode == code, answer.stderr
    if code == 6:
        told = json.loads(answer.stdout)
        assert (told["matched"], told["done"], list(told["failed"])) == (named, [shop.resting], [GONE])
        assert told["failed"][GONE].startswith("ProcessNotFound: ")
        assert "set-activity: 1 done, 1 failed" in answer.stderr
    if ids == ["held"]:
        assert json.loads(answer.stderr)["code"] == "ProcessBusy"


def hold(shop: Shop, process_id: str) -> None:
    """As if a server executed it."""
    with shop.client() as runtime, runtime._parts.engine.store.dialect.write() as transaction:
        transaction.driver.execute("UPDATE wf_process SET status = 1, owner = 'somebody' WHERE id = ?", (process_id,))


def test_a_dry_run_ends_with_the_code_of_the_deed_and_changes_nothing(shop: Shop) -> None:
    answers = [wfr("process", "cancel", *ids, *WHY, "--dry-run", "-o", "json") for ids in ([shop.resting], [GONE, shop.resting], [GONE])]
    assert [answer.returncode for answer in answers] == [0, 6, 4]
    assert json.loads(answers[1].stdout)["planned"] == {shop.resting: "is Terminated at once, from Idled; it stands at 'Review'"}
    assert "cancel: 1 would be done (dry run, nothing was changed), 1 would be refused" in answers[1].stderr
    assert json.loads(answers[2].stderr)["code"] == "ProcessNotFound"
    assert shop.status(shop.resting) == "Idled"


def test_a_resume_that_is_refused_names_process_activity_and_action(shop: Shop) -> None:
    scheme = Path(ORDER).read_text().replace('{ChargePayment: "@Amount"}', '{action: ChargePayment, with: "@Amount", resumable: false}')
    assert scheme != Path(ORDER).read_text()
    runtime = WorkflowRuntime(shop.url).with_schemes(scheme).with_settings(auto_recover=False)
    runtime.with_actions({"ChargePayment": lambda ctx, amount: 1 / 0, "ShipOrder": lambda ctx, parameter: None})
    with runtime, pytest.raises(Exception, match="ZeroDivisionError"):
        runtime.create_instance("Order", process_id=GONE, parameters={"Amount": 7})
    for more in ((), ("--dry-run",)):
        refused = wfr("process", "resume", GONE, *WHY, *more)
        assert refused.returncode == 1
        for word in (GONE, "'ChargePayment'", "'Charge'", "not resumable", "set_activity"):
            assert word in refused.stderr


def crowd(shop: Shop, count: int) -> list[str]:
    """More processes that rest; the newest first, as they are listed."""
    runtime = WorkflowRuntime(shop.url).with_schemes(ORDER).with_settings(sqlite_synchronous="NORMAL")
    with runtime.with_actions({"ChargePayment": lambda ctx, amount: None, "ShipOrder": lambda ctx, parameter: None}):
        for _ in range(count):
            runtime.create_instance("Order", parameters={"Amount": 5_000}, tenant_id="crowd")
        return [str(process.id) for process in runtime.find_processes(ProcessFilter(tenant_id="crowd"), limit=1_000)]


def test_many_by_filter_are_read_in_pages(shop: Shop) -> None:
    """One page of ids is 1,000 long; those that fail are named, all the others are done."""
    ids = crowd(shop, 1_003)
    held = ids[500]
    hold(shop, held)
    done = wfr("process", "delete", "--where", "tenant_id=crowd", *WHY, "-o", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, len(told["matched"]), len(told["done"]), list(told["failed"])) == (6, 1_003, 1_002, [held])
    assert told["failed"][held].startswith("ProcessBusy: ")
    assert "delete: 1002 done, 1 failed" in done.stderr
    assert "\x1b" not in done.stderr, "no bar without a terminal"
    with shop.client() as runtime:
        assert runtime.count_processes(ProcessFilter(tenant_id="crowd")) == 1


@pytest.mark.skipif(os.name != "posix", reason="a terminal of its own")
def test_a_bar_is_drawn_on_a_terminal(shop: Shop) -> None:
    import pty

    crowd(shop, 25)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "workflow_runtime", "process", "cancel", "--where", "tenant_id=crowd", *WHY, "-o", "ids"]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment) as program:
        os.close(theirs)
        drawn = b""
        while b"25 done" not in drawn:  # its end without these words is an OSError
            drawn += os.read(ours, 65_536)
        out, _ = program.communicate(timeout=60)
    os.close(ours)
    assert (program.returncode, len(out.split())) == (0, 25)
    assert b"\x1b" in drawn
    assert b"100%" in drawn


#: The program itself, with a verb that says when it has begun with the second process and goes on when it is told to.
SLOW = """
import sys
from workflow_runtime import WorkflowRuntime
from workflow_runtime.cli import main

cancel, met = WorkflowRuntime.cancel_process, []


def slow(self, target, **more):
    met.append(target)
    if len(met) == 2:
        print("second", file=sys.stderr, flush=True)
        sys.stdin.readline()
    return cancel(self, target, **more)


WorkflowRuntime.cancel_process = slow
sys.argv[0] = "wfr"
sys.exit(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_leaves_a_truthful_summary(shop: Shop, presses: int) -> None:
    """The process in hand is finished first; whoever presses again does not wait for that."""
    ids = crowd(shop, 4)
    command = [sys.executable, "-c", SLOW, "process", "cancel", "--where", "tenant_id=crowd", *WHY, "-o", "json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stderr is not None
            assert program.stderr.readline() == "second\n"
            program.send_signal(signal.SIGINT)
            if presses == 2:
                until_noted(program)
                program.send_signal(signal.SIGINT)
                out, err = program.communicate(timeout=60)
            else:
                out, err = program.communicate("\n", timeout=60)
        finally:
            program.kill()
    told = json.loads(out)
    assert program.returncode == -signal.SIGINT
    assert told["done"] == ids[: 3 - presses]
    assert ([*told["failed"]], told["matched"]) == (ids[1:2] if presses == 2 else [], ids[:2])
    assert ("cancel: 2 done, 2 not begun" if presses == 1 else "cancel: 1 done, 1 interrupted in the middle, 2 not begun") in err
    with shop.client() as runtime:
        ended = runtime.find_processes(ProcessFilter(tenant_id="crowd", status=ProcessStatus.TERMINATED))
        assert {str(process.id) for process in ended} == set(told["done"])


def until_noted(program: subprocess.Popen[str]) -> None:
    """The first signal was taken: none is pending any more."""
    from waiting import until

    status = Path(f"/proc/{program.pid}/status")
    if status.exists():
        until(lambda: "SigPnd:\t0000000000000000" in status.read_text() and "ShdPnd:\t0000000000000000" in status.read_text())
