"""What one server leaves behind, others take over: several runtimes over one database, driven by hand on one clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from factories import NOW
from waiting import until

from workflow_runtime import Fenced, IProcessRestorer, RestoreDecision, WorkflowRuntime
from workflow_runtime.core.process import Process, ProcessStatus
from workflow_runtime.core.restoring import InterruptedProcess, RecoveryReport
from workflow_runtime.engine.clock import Clock, SystemClock
from workflow_runtime.engine.clockwork import Job
from workflow_runtime.engine.presence import Presence
from workflow_runtime.store import tables
from workflow_runtime.store.postgres import Postgres
from workflow_runtime.testing.clock import FakeClock

BEAT = 0.5

SCHEME = """\
scheme: Order
commands: {Pay: {}}
activities:
  New: {state: New, initial: true}
  Paid: {state: Paid, actions: [Charge, Mail]}
  Done: {state: Done, final: true}
transitions:
  - {from: New, to: Paid, on: {command: Pay}}
  - {from: Paid, to: Done}
"""

LETTER = """\
scheme: Letter
activities:
  Sent: {initial: true, final: true, actions: [Mail]}
"""


class Resume(IProcessRestorer):
    def need_custom_restore(self, scheme_code: str, status: ProcessStatus) -> bool:
        return True

    def get_custom_restore_decision(self, process: InterruptedProcess) -> RestoreDecision:
        return RestoreDecision.resume().because("it goes on where it stood")


class Node:
    """One server; Mail hangs in it while ``hang`` is given, until ``freed``. ``done`` lists (action, process)."""

    def __init__(self, url: str, name: str, clock: Clock, *, hang: bool, restorers: tuple[IProcessRestorer, ...], **settings: Any) -> None:
        self.name, self.done, self._hang = name, list[tuple[str, UUID]](), hang
        self.entered, self.freed, self.outcomes = threading.Semaphore(0), threading.Event(), list[object]()
        self._calls: list[threading.Thread] = []
        self.runtime = WorkflowRuntime(url, clock=clock).as_multi_server(name).with_schemes(SCHEME)
        self.runtime.with_actions({"Charge": self._charge, "Mail": self._mail}).with_settings(**{"workers": 2, "shutdown_grace": 5} | settings)
        for restorer in restorers:
            self.runtime.with_process_restorer(restorer)

    def _charge(self, ctx: Any, parameter: str | None) -> None:
        self.done.append(("Charge", ctx.process_id))

    def _mail(self, ctx: Any, parameter: str | None) -> None:
        self.done.append(("Mail", ctx.process_id))
        self.entered.release()
        if self._hang:
            self.freed.wait(60)

    @property
    def presence(self) -> Presence:
        presence = self.runtime._parts.engine.presence
        assert isinstance(presence, Presence)
        return presence

    def pay(self) -> Process:
        """A process that stands in Mail, with Charge journaled."""
        process = self.runtime.create_instance("Order")
        self.begin(lambda: self.runtime.execute_command(process.id, "Pay"))
        return process

    def begin(self, call: Callable[[], object]) -> None:
        """Returns when it stands in Mail."""
        self._calls.append(threading.Thread(target=self._note, args=(call,), daemon=True))
        self._calls[-1].start()
        assert self.entered.acquire(timeout=20)

    def _note(self, call: Callable[[], object]) -> None:
        try:
            self.outcomes.append(call())
        except Exception as error:
            self.outcomes.append(error)

    def ends(self) -> list[object]:
        """What the calls came to, now that nothing hangs any more."""
        self.freed.set()
        for call in self._calls:
            call.join(20)
        self.settle()
        return self.outcomes

    def settle(self) -> None:
        """Until recovery is done, and what it sent back to work is at rest."""
        if self.runtime._started is not None and self.runtime._started.recovery is not None:
            self.runtime._started.recovery.wait_for_work()
            assert self.runtime._started.recovery.wait_for_passes(20)

    def turn(self, *jobs: Job) -> None:
        clockwork = self.runtime._server.clockwork
        assert clockwork is not None
        clockwork.run_once(*jobs)

    def die(self) -> None:
        """As a killed process does: without a word, and its lock goes. Returns when the database has noticed."""
        store, server, clockwork = self.runtime._parts.engine.store, self.presence.incarnation, self.runtime._server.clockwork
        assert clockwork is not None
        clockwork.stop(wait=False)
        self.presence.stop(clean=False)
        session = store.open_session(patience=5)
        assert session is not None
        until(lambda: [one.lock_free for one in session.look() if one.server.id == server] in ([], [True]))
        session.close()

    def reports(self) -> list[RecoveryReport]:
        return list(self.runtime.get_recoveries())


class Cluster:
    """``cluster("a")`` starts a server; ``beats(3, a, b)`` lets time pass in which these beat and sweep."""

    def __init__(self, url: str, ended: ExitStack) -> None:
        self.url, self.clock, self._ended = url, FakeClock(NOW), ended

    def __call__(
        self, name: str, *, hang: bool = False, restorers: tuple[IProcessRestorer, ...] = (Resume(),), clock: Clock | None = None, **settings: Any
    ) -> Node:
        node = Node(self.url, name, clock or self.clock, hang=hang, restorers=restorers, **settings)
        node.runtime.start()
        self._ended.callback(node.runtime.shutdown)
        self._ended.callback(node.ends)
        return node

    def beats(self, count: int, *living: Node) -> None:
        for _ in range(count):
            self.clock.advance(BEAT)
            for node in living:
                node.turn(Job.BEAT)
            for node in living:
                node.turn(Job.SWEEP)
            for node in living:
                node.settle()


@pytest.fixture
def cluster(shared_database: str) -> Iterator[Cluster]:
    with ExitStack() as ended:
        yield Cluster(shared_database, ended)


def test_what_a_killed_server_had_in_flight_goes_on_elsewhere(cluster: Cluster) -> None:
    survivor, victim = cluster("a"), cluster("b", hang=True)
    process = victim.pay()
    cluster.beats(2, survivor, victim)
    server, last_beat, owner = victim.presence.incarnation, cluster.clock.now(), survivor.presence.incarnation
    victim.die()
    cluster.beats(1, survivor)
    assert survivor.done == [], "its beat is not overdue yet"
    cluster.beats(1, survivor)
    assert survivor.done == [("Mail", process.id)], "the step in flight again, and no finished one"
    assert survivor.runtime.get_process(process.id).status is ProcessStatus.FINALIZED
    [report] = survivor.reports()
    [death] = report.deaths
    assert (death.server, death.name, death.evidence, death.declared_by, death.last_beat_at) == (server, "b", "lock", owner, last_beat)
    assert report.dead_servers == {server: last_beat}
    assert (report.owned, report.decided, report.by_decision) == (1, 1, {"resume": 1})
    assert report.noticed_at == death.declared_at == report.adopted_at == report.first_progress_at == cluster.clock.now()


def test_one_that_stopped_is_taken_over_and_its_late_writes_are_refused(cluster: Cluster) -> None:
    survivor, zombie = cluster("a"), cluster("b", hang=True)
    process = zombie.pay()
    cluster.beats(2, survivor, zombie)
    cluster.beats(9, survivor)
    assert survivor.done == []
    cluster.beats(1, survivor)
    assert survivor.done == [("Mail", process.id)]
    assert survivor.reports()[0].deaths[0].evidence == "lease"
    old = zombie.presence.incarnation
    zombie.turn(Job.BEAT)  # it wakes up
    assert zombie.presence.incarnation != old
    before = survivor.runtime.get_process(process.id)
    [outcome] = zombie.ends()
    assert isinstance(outcome, Fenced)
    assert survivor.runtime.get_process(process.id) == before


def test_what_a_zombie_creates_is_taken_over_with_the_next_sweep(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was stopped behind its last look at its own lease. A creation has no guard, and needs none."""
    survivor, zombie = cluster("a"), cluster("b", hang=True)
    for node in (survivor, zombie):
        node.runtime.add_scheme(LETTER)
    cluster.beats(2, survivor, zombie)
    cluster.beats(10, survivor)
    monkeypatch.setattr(zombie.presence, "may_execute", lambda: True)
    zombie.begin(lambda: zombie.runtime.create_instance("Letter"))
    [(_, process)] = zombie.done
    assert survivor.runtime.get_process(process).owner == zombie.presence.incarnation
    cluster.beats(1, survivor)
    assert survivor.done == [("Mail", process)]
    before = survivor.runtime.get_process(process)
    [outcome] = zombie.ends()
    assert isinstance(outcome, Fenced)
    assert survivor.runtime.get_process(process) == before
    assert before.status is ProcessStatus.FINALIZED


def test_of_two_that_take_over_each_process_is_decided_by_one(cluster: Cluster) -> None:
    first, second, victim = cluster("a"), cluster("b"), cluster("c", hang=True)
    processes = [victim.pay().id for _ in range(12)]
    cluster.beats(2, first, second, victim)
    victim.die()
    cluster.clock.advance(2 * BEAT)
    for node in (first, second):
        node.turn(Job.BEAT)
    first.presence.look()
    sweeps = [threading.Thread(target=node.turn, args=(Job.SWEEP,)) for node in (first, second)]
    for sweep in sweeps:
        sweep.start()
    for sweep in sweeps:
        sweep.join(30)
    for node in (first, second):
        node.settle()
    assert sorted(first.done + second.done) == sorted(("Mail", process) for process in processes)
    reports = first.reports()
    assert sum(report.decided for report in reports) == 12
    assert {death.declared_by for report in reports for death in report.deaths} == {first.presence.incarnation}
    for process in processes:
        assert first.runtime.get_process(process).status is ProcessStatus.FINALIZED


def test_what_a_living_server_works_on_is_left_alone(cluster: Cluster) -> None:
    idle, busy = cluster("a"), cluster("b", hang=True)
    process = busy.pay()
    cluster.beats(12, idle, busy)
    assert (idle.done, idle.reports()) == ([], [])
    busy.ends()
    assert idle.runtime.get_process(process.id).status is ProcessStatus.FINALIZED


def test_a_death_is_counted_once_by_whoever_sends_the_work_back(cluster: Cluster) -> None:
    survivor, other, victim = cluster("a", hang=True), cluster("b"), cluster("c", hang=True)
    process = victim.pay()
    cluster.beats(2, survivor, other, victim)
    victim.die()
    cluster.clock.advance(2 * BEAT)
    for node in (survivor, other):
        node.turn(Job.BEAT)
    survivor.presence.look()
    recovery = survivor.runtime._server.recovery
    assert recovery is not None
    recovery.begin("sweep")  # it hangs in Mail again
    assert survivor.entered.acquire(timeout=20)
    other.turn(Job.SWEEP)
    assert survivor.runtime.get_process(process.id).deaths == 1
    assert other.done == []


def test_the_death_of_one_that_was_draining_counts_nothing(cluster: Cluster) -> None:
    survivor, victim = cluster("a", hang=True), cluster("b", hang=True)
    process = victim.pay()
    cluster.beats(2, survivor, victim)
    victim.presence.drain()
    victim.die()
    cluster.clock.advance(2 * BEAT)
    survivor.turn(Job.BEAT)
    survivor.presence.look()
    recovery = survivor.runtime._server.recovery
    assert recovery is not None
    recovery.begin("sweep")
    assert survivor.entered.acquire(timeout=20)
    assert survivor.runtime.get_process(process.id).deaths == 0


def test_a_fenced_server_leaves_what_it_still_has_in_hand_and_then_decides_itself(cluster: Cluster) -> None:
    """Alone: nobody else is there to take over."""
    node = cluster("a", hang=True)
    process = node.pay()
    old = node.presence.incarnation
    assert old is not None
    store = node.runtime._parts.engine.store
    assert store.declare_dead(old, beat=store.servers()[0].beat, evidence="lease")
    node.turn(Job.BEAT, Job.SWEEP)
    assert node.presence.incarnation != old
    assert node.runtime.get_process(process.id).owner == old
    assert node.reports() == []
    [outcome] = node.ends()
    assert isinstance(outcome, Fenced)
    cluster.beats(1, node)
    assert node.done.count(("Mail", process.id)) == 2
    assert node.runtime.get_process(process.id).status is ProcessStatus.FINALIZED


def test_who_finds_itself_fenced_sweeps_at_once(cluster: Cluster) -> None:
    """What an earlier write of it left in its old name is nobody's any more."""
    node = cluster("a", clock=SystemClock(), sweep=3_600)
    store, old = node.runtime._parts.engine.store, node.presence.incarnation
    assert old is not None
    looked = threading.Event()
    look = node.presence.look
    until(lambda: node.presence._watch._beaten is not None)

    def noted() -> float | None:
        looked.set()
        return look()

    node.presence.look = noted  # type: ignore[method-assign]
    until(lambda: store.declare_dead(old, beat=next(server.beat for server in store.servers() if server.id == old), evidence="lease"))
    assert looked.wait(20)
    assert node.presence.incarnation != old


def test_by_threads_and_the_real_clock_a_takeover_needs_nobody(cluster: Cluster) -> None:
    survivor, victim = cluster("a", clock=SystemClock()), cluster("b", clock=SystemClock(), hang=True)
    process = victim.pay()
    until(lambda: len(survivor.presence.peers) == 2)
    victim.die()
    until(lambda: survivor.runtime.get_process(process.id).status is ProcessStatus.FINALIZED, seconds=30)
    assert survivor.done == [("Mail", process.id)]
    until(survivor.reports)
    assert survivor.reports()[0].deaths[0].evidence == "lock"


def test_a_lock_that_is_free_too_early_is_looked_at_again_without_waiting_for_the_sweep(cluster: Cluster) -> None:
    """Its regular sweep would come in an hour."""
    survivor, victim = cluster("a", clock=SystemClock(), sweep=3_600), cluster("b", clock=SystemClock())
    clockwork, server = survivor.runtime._server.clockwork, victim.presence.incarnation
    assert clockwork is not None
    survivor.presence.look()
    until(lambda: len(survivor.presence.peers) == 2)
    victim.presence.beat()
    victim.die()
    clockwork.sweep_now()
    until(lambda: any(row.id == server and row.dead_at is not None for row in survivor.runtime.get_servers()))


def test_one_that_takes_leave_hands_back_at_once(cluster: Cluster) -> None:
    """Between two steps: nobody has to wait for a lease or counts a death."""
    survivor, leaver = cluster("a"), cluster("b", hang=True, shutdown_grace=20)
    process = leaver.pay()
    leaving = threading.Thread(target=leaver.runtime.shutdown)
    leaving.start()
    until(lambda: leaver.runtime._started is None or leaver.runtime._parts.engine.draining)
    leaver.freed.set()
    leaving.join(30)
    cluster.beats(1, survivor)
    survivor.turn(Job.POLL)
    assert survivor.runtime.get_process(process.id).status is ProcessStatus.FINALIZED
    assert survivor.runtime.get_process(process.id).deaths == 0


@pytest.mark.parametrize("deciding", [True, False], ids=["restorer", "status rule"])
def test_many_orphans_of_one_server(deciding: bool, cluster: Cluster) -> None:
    restorers: tuple[IProcessRestorer, ...] = (Resume(),) if deciding else ()
    nodes = [cluster(name, restorers=restorers) for name in "ab"]
    victim = cluster("c", hang=True)
    processes = [victim.pay().id for _ in range(30)]
    cluster.beats(2, *nodes, victim)
    victim.die()
    cluster.beats(3, *nodes)
    expected = ProcessStatus.FINALIZED if deciding else ProcessStatus.ERROR
    assert {nodes[0].runtime.get_process(process).status for process in processes} == {expected}
    assert sum(report.decided for report in nodes[0].reports()) == 30


def test_a_storm_of_recovered_work_leaves_a_worker_to_a_timer_that_wants_one(cluster: Cluster) -> None:
    survivor, victim = cluster("a", hang=True, workers=2), cluster("b", hang=True)
    for _ in range(3):
        victim.pay()
    cluster.beats(2, survivor, victim)
    victim.die()
    workers, recovery, other = survivor.runtime._server.workers, survivor.runtime._server.recovery, threading.Event()
    assert workers is not None
    assert recovery is not None
    assert workers.offer(lambda: other.wait(60))
    cluster.clock.advance(2 * BEAT)
    survivor.turn(Job.BEAT)
    survivor.presence.look()
    recovery.begin("sweep")
    assert survivor.entered.acquire(timeout=20)
    assert not workers.offer(other.set), "both are at work, and recovery waits for one"
    other.set()
    until(lambda: workers._many._free == 1)
    fired = threading.Event()
    assert workers.offer(fired.set)
    assert fired.wait(20)


def test_row_locks_of_one_that_stopped_do_not_hold_up_the_takeover(cluster: Cluster) -> None:
    """It stands in the middle of a transaction, here one that does not end by itself. PostgreSQL: who declares it dead ends that."""
    survivor, zombie = cluster("a"), cluster("b", hang=True)
    process, dialect = zombie.pay(), zombie.runtime._parts.engine.store.dialect
    if not isinstance(dialect, Postgres):
        pytest.skip("here idle transactions end by themselves, in seconds")
    cluster.beats(2, survivor, zombie)
    its = sa.create_engine(cluster.url, connect_args={"application_name": dialect._name}, poolclass=sa.NullPool)
    with its.connect() as stopped:
        stopped.execute(sa.select(tables.process.c.id).where(tables.process.c.id == str(process.id)).with_for_update())
        cluster.beats(10, survivor)
        assert survivor.done == [("Mail", process.id)]
        stopped.invalidate()
