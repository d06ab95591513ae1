"""``wfr demo``: the promise of its last line, and that the line would not hide a broken promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from workflow_runtime import ProcessStatus, WorkflowRuntime
from workflow_runtime.cli import demo_seen, demo_worker
from workflow_runtime.cli.demo_ledger import Counts, Ledger
from workflow_runtime.cli.demo_seen import Tally, tally
from workflow_runtime.cli.demo_story import Story

LAST_LINE = "orders 12 · finished 12 · lost 0 · paid twice 0"


def order(number: int, status: ProcessStatus = ProcessStatus.FINALIZED, activity: str = "Done") -> SimpleNamespace:
    return SimpleNamespace(parameters={"Order": demo_worker.order_name(number)}, status=status, activity=activity)


DELIVERED = [order(number) for number in range(1, 13)]
PAID = {demo_worker.order_name(number): 1 for number in range(1, 13)}


@pytest.fixture(scope="module")
def told() -> subprocess.CompletedProcess[str]:
    """The real thing, once: two workers and one SIGKILL."""
    return subprocess.run([sys.executable, "-m", "workflow_runtime", "demo"], capture_output=True, encoding="utf-8", timeout=120, check=False)


def test_the_demo_keeps_its_promise(told: subprocess.CompletedProcess[str]) -> None:
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.splitlines()[-1] == LAST_LINE
    assert told.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_sigkill_was_sent_in_the_middle_of_payments(told: subprocess.CompletedProcess[str]) -> None:
    """What is printed is read from the return code of the worker."""
    assert "12 orders in flight   payments made: 5" in told.stdout
    assert re.search(r"worker-1 killed with SIGKILL, 7 payments in flight", told.stdout)


def test_what_stands_in_running_is_shown_with_the_doubt_about_each(told: subprocess.CompletedProcess[str]) -> None:
    assert "7 orders stand in Running:" in told.stdout
    assert told.stdout.count("payment: made, the answer never came") == 4
    assert told.stdout.count("payment: asked for, not made") == 3


def test_the_report_has_one_line_per_process(told: subprocess.CompletedProcess[str]) -> None:
    assert "recovery #1: 7 owned = 7 decided" in told.stdout
    line = r"^ +(order-\d\d) +Charge / ChargePayment +resume +demo\.ResumePayment +the provider deduplicates on the key$"
    decided = re.findall(line, told.stdout, flags=re.MULTILINE)
    assert len(decided) == 7
    assert decided == sorted(decided)


# Counting


@pytest.mark.parametrize(
    ("processes", "bookings", "expected"),
    [
        (DELIVERED, PAID, Tally(orders=12, finished=12, lost=0, paid_twice=0)),
        (DELIVERED, PAID | {"order-03": 2}, Tally(orders=12, finished=12, lost=0, paid_twice=1)),
        (DELIVERED[1:], PAID, Tally(orders=12, finished=11, lost=1, paid_twice=0)),
        ([*DELIVERED[1:], order(1, ProcessStatus.ERROR, "Review")], PAID, Tally(orders=12, finished=11, lost=1, paid_twice=0)),
        ([*DELIVERED[1:], order(1, activity="Cancelled")], PAID, Tally(orders=12, finished=11, lost=1, paid_twice=0)),
        (DELIVERED, {name: number for name, number in PAID.items() if name != "order-07"}, Tally(orders=12, finished=12, lost=1, paid_twice=0)),
        ([*DELIVERED[1:], DELIVERED[1]], PAID, Tally(orders=12, finished=11, lost=1, paid_twice=0)),
    ],
)
def test_tally(processes: list[object], bookings: dict[str, int], expected: Tally) -> None:
    counted = tally(processes, bookings)  # type: ignore[arg-type]
    assert counted == expected
    assert counted.is_kept == (counted.line == LAST_LINE)


def delivered(folder: Path) -> WorkflowRuntime:
    """Twelve orders, each paid once, without any drama."""
    Ledger(folder / "ledger.db").create()
    with demo_worker.build(folder, url_of(folder)) as runtime:
        for number in range(1, 13):
            demo_worker.place(runtime, number)
    return WorkflowRuntime(url_of(folder)).as_client()


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'workflow.db'}"


def test_a_payment_made_twice_ends_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("workflow_runtime.cli.demo_ledger.MOMENT", 0)
    ledger = Ledger(tmp_path / "ledger.db")
    with delivered(tmp_path) as client:
        assert demo_seen.settle(client, ledger) == 0
        ledger.pay("another key", "order-05", 50)
        assert demo_seen.settle(client, ledger) == 1
    assert capsys.readouterr().out.splitlines() == [LAST_LINE, LAST_LINE.replace("twice 0", "twice 1")]


# The provider


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setattr("workflow_runtime.cli.demo_ledger.MOMENT", 0)
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.create()
    return ledger


def test_every_request_is_recorded_and_a_key_is_booked_once(ledger: Ledger) -> None:
    assert ledger.pay("key-1", "order-01", 10) == ledger.pay("key-1", "order-01", 10)
    assert ledger.counts() == Counts(requests=2, booked=1, answered=2)
    assert ledger.bookings() == {"order-01": 1}
    ledger.pay("key-2", "order-01", 10)
    assert ledger.bookings() == {"order-01": 2}


def test_a_held_provider_answers_some_books_some_and_keeps_the_rest(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflow_runtime.cli.demo_ledger.PATIENCE", 0)
    ledger.hold(after_answers=1, after_bookings=2)
    ledger.pay("key-1", "order-01", 10)
    for number in (2, 3):
        with pytest.raises(TimeoutError):
            ledger.pay(f"key-{number}", f"order-{number:02}", 10)
    assert ledger.counts() == Counts(requests=3, booked=2, answered=1)
    ledger.release()
    ledger.pay("key-2", "order-02", 10)
    assert ledger.counts() == Counts(requests=4, booked=2, answered=2)


def test_a_worker_that_is_gone_ends_the_demo_with_its_words(tmp_path: Path) -> None:
    story = Story(tmp_path, url_of(tmp_path))
    with story.worker("worker-1") as worker:
        worker.kill()
        worker.wait(60)
        (tmp_path / "worker.log").write_text("what it said last")
        with pytest.raises(click.ClickException, match=r"return code -9[^\n]*\nwhat it said last"):
            story.until(worker, lambda: False)


def test_a_worker_does_not_outlive_its_block(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Story(tmp_path, url_of(tmp_path)).worker("worker-1") as worker:
        raise KeyboardInterrupt
    assert worker.poll() is not None
