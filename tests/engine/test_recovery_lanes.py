"""Who waits for whom: suspects one at a time, nothing adopted without a worker, passes that join, deaths that count."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from factories import server as server_row
from orphanage import PAYING, SENDING, Answer, Orphanage
from waiting import until

from workflow_runtime.core.process import CancelRequest, ProcessStatus
from workflow_runtime.core.restoring import RestoreDecision
from workflow_runtime.hooks import hookimpl

RUNNING, IDLED, ERROR, TERMINATED = ProcessStatus.RUNNING, ProcessStatus.IDLED, ProcessStatus.ERROR, ProcessStatus.TERMINATED
RESUME = RestoreDecision.resume()


class Gate:
    """Actions that pass only when told, one by one; and who is inside."""

    def __init__(self) -> None:
        self.inside: list[Any] = []
        self._turn, self._lock = threading.Semaphore(0), threading.Lock()
        self.most = 0

    def __call__(self, ctx: Any) -> None:
        with self._lock:
            self.inside.append(ctx.process_id)
            self.most = max(self.most, len(self.inside))
        assert self._turn.acquire(timeout=20)
        with self._lock:
            self.inside.remove(ctx.process_id)

    def open(self, times: int = 1) -> None:
        self._turn.release(times)


def in_background(function: Any) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


# -- deaths -----------------------------------------------------------------------------------------------


def test_a_death_is_counted_by_the_transaction_that_sends_it_back_and_forgotten_when_the_step_is_done(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RESUME)) as home:
        one = home.orphan(PAYING, step=1, deaths=1, deaths_step="Paid#1")
        seen: list[tuple[int, str]] = []
        home.act["Mail"] = home.act["Send"] = lambda ctx: seen.append((ctx.process.deaths, ctx.process.deaths_step))
        home.recover()
        assert seen == [(2, "Paid#1"), (0, "")]
        assert home.runtime.get_process(one).deaths == 0


def test_deaths_at_another_step_count_from_one(tmp_path: Path) -> None:
    restorer = Answer(RESUME)
    with Orphanage(tmp_path, restorer) as home:
        seen: list[int] = []
        home.act["Charge"] = lambda ctx: seen.append(ctx.process.deaths)
        home.orphan(PAYING, deaths=4, deaths_step="Sent#0")
        home.recover()
        assert seen == [1]


def test_a_server_that_was_draining_took_leave_or_is_of_an_old_life_raises_no_deaths(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RESUME)) as home:
        home.store.register(server_row("draining"))
        home.store.drain("draining")
        home.store.declare_dead("draining", beat=0)
        home.store.register(server_row("restored"))
        home.store.declare_dead("restored", beat=0, evidence="restore")
        seen: list[int] = []
        home.act["Charge"] = lambda ctx: seen.append(ctx.process.deaths)
        for owner in ("draining", "took leave", "restored"):
            home.orphan(PAYING, owner=owner, deaths=5, deaths_step="Paid#0")
        assert home.recover().by_decision == {"resume": 3}
        assert seen == [5, 5, 5]


def test_poison_is_terminated_and_nobody_is_asked(tmp_path: Path) -> None:
    restorer = Answer(RESUME)
    with Orphanage(tmp_path, restorer) as home:
        one, other = home.orphan(PAYING, deaths=5, deaths_step="Paid#0"), home.orphan(PAYING)
        made = {decision.process_id: decision for decision in home.recover().decisions}
        assert (home.status(one), made[one].decided_by) == (TERMINATED, "poison")
        assert (home.status(other), [process.id for process in restorer.asked]) == (IDLED, [other])
        home.runtime.resume_process(one, actor="ann", reason="fixed")
        assert (home.status(one), home.runtime.get_process(one).deaths) == (IDLED, 0)


def test_adopted_more_than_five_times_without_a_decision(tmp_path: Path) -> None:
    restorer = Answer(RESUME)
    with Orphanage(tmp_path, restorer) as home:
        five, six = home.orphan(PAYING, adoptions=5), home.orphan(SENDING, adoptions=6)
        made = {decision.process_id: decision.decision for decision in home.recover().decisions}
        assert made == {five: "resume", six: "default"}
        assert (home.status(six), home.runtime.get_process(six).adoptions) == (TERMINATED, 0)


# -- suspects and workers ---------------------------------------------------------------------------------


def test_suspects_are_adopted_and_executed_one_at_a_time_behind_the_others(tmp_path: Path) -> None:
    gate = Gate()
    with Orphanage(tmp_path, Answer(RESUME), workers=4) as home:
        home.act["Charge"] = gate
        suspects = [home.orphan(PAYING, deaths=1, deaths_step="Paid#0") for _ in range(3)]
        others = [home.orphan(PAYING) for _ in range(3)]
        recovering = in_background(home.runtime.recover)
        until(lambda: len(gate.inside) == 4)
        assert set(others) < set(gate.inside)
        waiting = [home.runtime.get_process(one) for one in suspects if one not in gate.inside]
        assert [(process.owner, process.deaths, process.adoptions) for process in waiting] == [("dead", 1, 0)] * 2
        gate.open(6)
        recovering.join(20)
        until(lambda: {home.status(one) for one in suspects + others} == {IDLED})


def test_a_suspect_that_is_past_the_step_in_question_holds_up_no_other(tmp_path: Path) -> None:
    gate, at_once = Gate(), []
    with Orphanage(tmp_path, Answer(RESUME), workers=2) as home:
        home.act["Charge"] = lambda ctx: at_once.append(sum(home.runtime.get_process(one).deaths > 1 for one in suspects))
        home.act["Mail"] = gate
        suspects = [home.orphan(PAYING, deaths=1, deaths_step="Paid#0") for _ in range(4)]
        recovering = in_background(home.runtime.recover)
        until(lambda: len(gate.inside) == 3)  # two in ordinary places, one in that of the suspects
        assert [home.runtime.get_process(one).owner for one in suspects].count("dead") == 1
        gate.open(4)
        recovering.join(20)
        until(lambda: {home.status(one) for one in suspects} == {IDLED})
        assert at_once == [1] * 4


def test_nothing_is_adopted_that_no_worker_has_time_for(tmp_path: Path) -> None:
    gate = Gate()
    with Orphanage(tmp_path, Answer(RESUME), workers=2) as home:
        home.act["Charge"] = gate
        ids = [home.orphan(PAYING) for _ in range(6)]
        recovering = in_background(home.runtime.recover)
        until(lambda: len(gate.inside) == 2)
        assert sorted(home.runtime.get_process(one).owner == "dead" for one in ids) == [False] * 2 + [True] * 4
        gate.open(6)
        recovering.join(20)
        until(lambda: {home.status(one) for one in ids} == {IDLED})
        assert gate.most == 2
        [report] = home.runtime.get_recoveries()
        assert (report.owned, report.decided) == (6, 6)


def test_a_pass_that_waits_for_workers_does_not_hold_up_the_verdicts_of_the_next(tmp_path: Path) -> None:
    gate = Gate()
    with Orphanage(tmp_path, Answer(RESUME, wants=lambda scheme, status: status is ERROR), workers=1) as home:
        home.act["Charge"] = gate
        for _ in range(2):
            home.orphan(PAYING)
        first = in_background(home.runtime.recover)
        until(lambda: gate.inside)
        late = home.orphan(SENDING)
        second = in_background(home.runtime.recover)
        until(lambda: home.status(late) is TERMINATED)
        gate.open(2)
        first.join(20)
        second.join(20)
        assert not first.is_alive()
        assert not second.is_alive()
        assert sorted(report.owned for report in home.runtime.get_recoveries()) == [1, 2]


def test_recover_joins_the_pass_under_way_and_wait_waits_for_the_work(tmp_path: Path) -> None:
    gate, asking = Gate(), threading.Event()

    def answer(process: object) -> RestoreDecision:
        asking.wait(20)
        return RESUME

    with Orphanage(tmp_path, Answer(answer), restorer_timeout=30.0) as home:
        home.act["Charge"] = gate
        one = home.orphan(PAYING)
        reports: list[Any] = []
        threads = [in_background(lambda: reports.append(home.runtime.recover()))]
        until(lambda: one in home.runtime._parts.engine.live)
        until(lambda: home.runtime.get_process(one).adoptions == 1)
        threads.append(in_background(lambda: reports.append(home.runtime.recover())))
        waiting = in_background(lambda: home.runtime.recover(wait=True))
        asking.set()
        for thread in threads:
            thread.join(20)
        assert [(report.owned, report.decided) for report in reports] == [(1, 1), (1, 1)]
        assert reports[0].id == reports[1].id
        until(lambda: gate.inside)
        assert waiting.is_alive()
        gate.open()
        waiting.join(20)
        assert not waiting.is_alive()
        assert home.status(one) is IDLED
        assert len(home.runtime.get_recoveries()) == 1


def test_a_cancel_that_comes_while_it_waits_for_its_turn_is_honoured(tmp_path: Path) -> None:
    gate, restorer = Gate(), Answer(RESUME)
    with Orphanage(tmp_path, restorer, workers=1) as home:
        home.act["Charge"] = gate
        ids = [home.orphan(PAYING) for _ in range(2)]
        recovering = in_background(home.runtime.recover)
        until(lambda: gate.inside)
        [second] = set(ids) - set(gate.inside)
        assert home.store.request_cancel(second, CancelRequest("ann", "not this one"))
        gate.open()
        recovering.join(20)
        until(lambda: home.status(second) is TERMINATED)
        assert len(restorer.asked) == 1


# -- reports ----------------------------------------------------------------------------------------------


def test_the_report_counts_and_times(tmp_path: Path) -> None:
    answers = {"New": RESUME, "Paid": RestoreDecision.delete()}
    with Orphanage(tmp_path, Answer(lambda process: answers[process.activity])) as home:
        home.store.register(server_row("long gone"))
        home.store.declare_dead("long gone", beat=0)
        for way in (PAYING, PAYING, SENDING):
            home.orphan(way)
        report = home.recover()
        assert (report.owned, report.decided, report.skipped, report.by_decision) == (3, 3, 0, {"resume": 2, "delete": 1})
        assert len(report.decisions) == 3
        assert list(report.dead_servers) == ["dead"]
        assert (report.cause, report.server) == ("manual", home.runtime._parts.engine.me)
        assert report.noticed_at == report.adopted_at == report.first_progress_at == report.ended_at == home.clock.now()
        assert list(home.runtime.get_recoveries()) == [report]


@pytest.mark.parametrize("answer", [RESUME, RestoreDecision.default(), RestoreDecision.delete(), None], ids=str)
def test_a_decision_is_named_by_a_plain_text(tmp_path: Path, answer: RestoreDecision | None) -> None:
    with Orphanage(tmp_path, *([Answer(answer)] if answer else [])) as home:
        home.orphan(PAYING)
        assert [type(decision) for decision in home.runtime.recover().by_decision] == [str]


def test_listeners_hear_of_each_recovered_process(tmp_path: Path) -> None:
    heard: list[tuple[Any, str]] = []

    class Listener:
        @hookimpl
        def process_recovered(self, process: Any, decision: Any) -> None:
            heard.append((process.id, decision.decision))

    home = Orphanage(tmp_path)
    home.runtime.with_plugin(Listener())
    with home:
        ids = {home.orphan(PAYING), home.orphan(SENDING)}
        home.recover()
        assert {one for one, _ in heard} == ids
