"""What the status rule makes of orphans nobody asks for; which rows are orphans; how many transactions that costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from factories import server as server_row
from orphanage import FINISHING, GREETING, PAYING, SENDING, START, Answer, Orphanage

from workflow_runtime.core.process import CancelRequest, EntryKind, ProcessStatus, Timer, TimerKind
from workflow_runtime.store import tables

ERROR, TERMINATED, RUNNING = ProcessStatus.ERROR, ProcessStatus.TERMINATED, ProcessStatus.RUNNING
RETRY = Timer(name="retry", kind=TimerKind.RETRY, due=START + timedelta(days=1))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Orphanage]:
    with Orphanage(tmp_path) as home:
        yield home


@pytest.mark.parametrize(
    ("way", "step", "status"),
    [(PAYING, 0, ERROR), (PAYING, 1, ERROR), (SENDING, 0, TERMINATED), (GREETING, 0, TERMINATED), (FINISHING, 0, ERROR)],
)
def test_the_status_rule(home: Orphanage, way: tuple[str, str], step: int, status: ProcessStatus) -> None:
    one = home.orphan(way, step=step)
    before = home.runtime.get_process(one)
    report = home.recover()
    after = home.runtime.get_process(one)
    assert (after.status, after.activity, after.walk) == (status, way[0], before.walk)
    assert (after.owner, after.token, after.revision) == (None, before.token + 1, before.revision + 1)
    [entry] = home.runtime.get_history(one)
    [decision] = report.decisions
    assert (entry.seq, entry.kind, entry.status, entry.reason) == (1, EntryKind.RECOVERED, status, decision.reason)
    assert (decision.decision, decision.decided_by, decision.status_before, decision.status_after) == ("default", "status rule", RUNNING, status)
    assert (decision.activity, decision.server) == (way[1], "dead")
    assert decision.step == {"Paid": ["Charge", "Mail"], "Sent": ["Send"], "New": ["Greet"], "Done": ["Finish"]}[way[1]][step]
    assert home.done == []


def test_a_timer_whose_firing_was_interrupted_is_armed_again_from_now_and_fires_once(home: Orphanage) -> None:
    one = home.orphan(FINISHING, walk={"due": START})
    home.clock.advance(1000)
    home.recover()
    [timer] = home.runtime.get_timers(one)
    assert (timer.name, timer.due) == ("remind", START + timedelta(seconds=4600))
    home.clock.advance(3599)
    assert home.status(one) is ERROR
    home.clock.advance(1)
    assert home.stands(one) == (ProcessStatus.FINALIZED, "Done")
    assert home.names_done == ["Finish"]


def test_a_timer_row_that_is_still_there_stays_as_it_is(home: Orphanage) -> None:
    due = START + timedelta(minutes=5)
    one = home.orphan(("Waiting", "Sent"), arm=(Timer(name="remind", due=due, value="1h"),))
    home.recover()
    assert [timer.due for timer in home.runtime.get_timers(one)] == [due]


def test_an_order_by_command_works_after_error_but_not_after_terminated(home: Orphanage) -> None:
    one = home.orphan(PAYING)
    home.recover()
    assert home.runtime.execute_command(one, "Pay").process.activity == "Waiting"


def test_which_rows_are_orphans(home: Orphanage) -> None:
    home.store.register(server_row("alive"))
    orphans = [home.orphan(), home.orphan(owner="gone"), home.orphan(owner=None)]
    others = [
        home.orphan(owner="alive"),
        home.orphan(owner=None, arm=(RETRY,)),
        home.orphan(owner=None, arm=(Timer(name="start", kind=TimerKind.START, due=RETRY.due),)),
    ]
    mine = home.orphan(owner=home.runtime._parts.engine.me)
    report = home.recover()
    assert {decision.process_id for decision in report.decisions} == {*orphans, mine}
    assert {home.status(one) for one in orphans} == {ERROR}
    assert {home.status(one) for one in others} == {RUNNING}


def test_mine_is_an_orphan_only_when_it_is_not_in_hand(home: Orphanage) -> None:
    mine = home.orphan(owner=home.runtime._parts.engine.me)
    with home.runtime._parts.engine.live.hold(mine):
        assert home.recover().owned == 0
    assert home.recover().owned == 1


def test_work_that_ends_while_orphans_are_read_is_no_orphan(home: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows a row of mine, its work ends, and only then the registry is looked at."""
    one = home.runtime.create_instance("Order").id
    page, read = [], home.store.orphans

    def command_between(**arguments: object) -> object:
        page.append(home.orphan(owner=home.runtime._parts.engine.me))
        found = read(**arguments)  # type: ignore[arg-type]
        home.journaled(page[0], 0)
        return found

    monkeypatch.setattr(home.store, "orphans", command_between)
    assert home.recover().owned == 0
    assert list(home.runtime.get_recoveries()) == []
    assert home.status(one) is ProcessStatus.IDLED


def test_nothing_to_do_leaves_no_trace(home: Orphanage) -> None:
    home.runtime.create_instance("Order")
    assert home.recover().owned == 0
    assert list(home.runtime.get_recoveries()) == []


def test_flagged_orphans_end_cancelled_and_a_waiting_one_is_left(home: Orphanage) -> None:
    one = home.orphan(cancel_requested=None)
    assert home.store.request_cancel(one, CancelRequest("ann", "no longer needed"))
    report = home.recover()
    [entry] = home.runtime.get_history(one)
    assert home.status(one) is TERMINATED
    assert (entry.kind, entry.actor, entry.reason) == (EntryKind.CANCELLED, "ann", "no longer needed")
    assert report.by_decision == {"cancel": 1}
    assert home.runtime.get_process(one).cancel_requested is None


def test_a_thousand_orphans_take_few_transactions(home: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    births = [home.birth(SENDING if number % 2 else PAYING) for number in range(1000)]
    home.store.apply_all(births)
    ids = [birth.result.id for birth in births]
    writes, write = [], home.store.dialect.write
    monkeypatch.setattr(home.store.dialect, "write", lambda: writes.append(1) or write())  # type: ignore[func-returns-value]
    report = home.runtime.recover()
    assert (report.owned, report.decided, report.by_decision) == (1000, 1000, {"default": 1000})
    assert len(writes) <= 6  # the report begins, two pages of verdicts about two kinds of processes, the report ends
    assert {home.status(one) for one in ids[::2]} == {ERROR}
    assert {home.status(one) for one in ids[1::2]} == {TERMINATED}


def test_a_batch_loses_only_the_row_that_another_server_took(home: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [home.orphan() for _ in range(3)]
    apply_all = home.store.apply_all

    def steal_one(batch: object) -> object:
        home.journaled(ids[1], 0)  # any other write: revision + 1
        return apply_all(batch)  # type: ignore[arg-type]

    monkeypatch.setattr(home.store, "apply_all", steal_one)
    report = home.recover()
    assert (report.owned, report.decided, report.skipped) == (3, 2, 1)
    assert [home.status(one) for one in ids] == [ERROR, RUNNING, ERROR]


def test_a_pass_that_came_to_nothing_leaves_no_row(tmp_path: Path) -> None:
    """Each sweep finds such a process again: others decide about it, or hold its row."""

    def moved_on(scheme: str, status: ProcessStatus) -> bool:
        with home.store.dialect.write() as transaction:  # after it was read, before it is decided
            transaction.run(sa.update(tables.process).values(revision=tables.process.c.revision + 1), {})
        return False

    with Orphanage(tmp_path, Answer(None, wants=moved_on)) as home:
        one = home.orphan(PAYING)
        for _ in range(3):
            report = home.runtime.recover()
            assert (report.owned, report.decided, report.skipped) == (1, 0, 1)
        assert list(home.runtime.get_recoveries()) == []
        assert home.status(one) is RUNNING
