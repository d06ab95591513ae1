"""What must hold when a server was killed, another was started and everything was driven to its end."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from crash_scheme import HOUR, LEADS_OUT, START, WHO, Trade

from workflow_runtime.core.process import EntryKind, JournalEntry, Process, ProcessStatus, TriggerKind
from workflow_runtime.core.restoring import PlannedDecision, RecoveryReport
from workflow_runtime.errors import ProcessNotFound
from workflow_runtime.testing.clock import FakeClock

ROUNDS = 25  #: of driving; each moves every process by at least one step


@dataclass
class Finished:
    """A second server over the folder of a dead one: what it found, decided, and what became of all processes."""

    folder: Path
    policy: str
    found: dict[UUID, Process] = field(default_factory=dict)  #: Running and owned when it started
    journaled: set[tuple[str, str, str]] = field(default_factory=set)  #: (walk, action, step) that were finished then
    timers: dict[UUID, list[str]] = field(default_factory=dict)  #: of those, as found
    armed: dict[UUID, list[str]] = field(default_factory=dict)  #: of those that are at rest after recovery
    decided: dict[UUID, Process] = field(default_factory=dict)  #: the found ones after recovery, those that are still there
    report: RecoveryReport | None = None

    def run(self) -> Finished:
        with Trade(self.folder, "last", self.policy, clock=FakeClock(START.replace(year=2032))) as server:
            self.look(server)
            self.recover(server)
            self.drive(server)
            self.check(server)
        return self

    def look(self, server: Trade) -> None:
        for process in server.runtime.find_processes(limit=1000):
            rows = server.runtime._parts.engine.store.journal(process.id, process.walk.id) if process.walk else ()
            self.journaled |= {_key(row) for row in rows if not row.intent}
            if process.status is ProcessStatus.RUNNING and process.owner is not None:
                self.found[process.id] = process
                self.timers[process.id] = [timer.name for timer in server.runtime.get_timers(process.id)]

    def recover(self, server: Trade) -> None:
        planned = {plan.process_id: plan for plan in server.runtime.plan_recovery().decisions}
        assert planned.keys() == self.found.keys()
        self.report = server.runtime.recover(wait=True)
        assert self.report.owned == self.report.decided == len(self.found)
        self.decided = {one: found for one in self.found if (found := _get(server, one)) is not None}
        self.armed = {one: [timer.name for timer in server.runtime.get_timers(one)] for one in self.decided}
        if self.found:
            self.check_report(server, planned)

    def check_report(self, server: Trade, planned: dict[UUID, PlannedDecision]) -> None:
        page = server.runtime.get_recoveries(limit=1)[0]
        assert page.owned == page.decided == len(self.found) == len(page.decisions)
        assert page.skipped == 0
        assert {decision.process_id for decision in page.decisions} == self.found.keys()
        for decision in page.decisions:
            assert decision.reason
            plan = planned[decision.process_id]
            assert (plan.decision, plan.status_after, plan.reason) == (decision.decision, decision.status_after, decision.reason)

    # ------------------------------------------------------------------ to the end

    def drive(self, server: Trade) -> None:
        for _ in range(ROUNDS):
            moving = [process for process in server.runtime.find_processes(limit=1000) if not _is_over(server, process)]
            if not moving:
                return
            for process in moving:
                _push(server, process)
            server.clock.advance(HOUR)
        raise AssertionError(f"still moving: {moving}")

    # ------------------------------------------------------------------ invariants

    def check(self, server: Trade) -> None:
        self.check_nothing_lost(server)
        for process in server.runtime.find_processes(limit=1000):
            assert process.status is not ProcessStatus.RUNNING
            assert process.owner is None
            check_history(server, process)
        self.check_effects(server)

    def check_nothing_lost(self, server: Trade) -> None:
        there = Counter(process.id for process in server.runtime.find_processes(limit=1000))
        assert set(there.values()) <= {1}
        deleted = {one for one in self.found if one not in self.decided}
        for verb, one in server.ledger.acknowledged():
            if verb == "create" and one not in deleted:
                assert one in there or _kinds(server, one)[-1] is EntryKind.DELETED
            elif verb == "delete":
                assert one not in there
            elif verb == "cancel":
                assert _kinds(server, one)[-1] is EntryKind.CANCELLED
            elif verb == "set_parameter":
                assert EntryKind.OPERATED in _kinds(server, one)

    def check_effects(self, server: Trade) -> None:
        """A finished step or action is never started again, one in flight at most once more and with the same key."""
        phases: dict[str, list[str]] = defaultdict(list)
        keys: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for effect in server.ledger.effects():
            phases[effect["key"]].append(effect["phase"])
            keys[effect["walk"], effect["action"], effect["step"]].add(effect["key"])
            if effect["phase"] == "last":
                assert (effect["walk"], effect["action"], effect["step"]) not in self.journaled, effect
        assert {len(same) for same in keys.values()} <= {1}, "one step, one key"
        assert len(phases) == len(keys), "one key, one step"
        for key, seen in phases.items():
            assert len(seen) == len(set(seen)), f"{key} was sent twice by one server"
        again = Counter(key.partition("-")[0] for key, seen in phases.items() if len(seen) > 1)
        assert set(again.values()) <= {1}, "only the step in flight may be repeated"


def _key(row: JournalEntry) -> tuple[str, str, str]:
    return row.walk_id, row.action, row.step


def expected_status(process: Process) -> ProcessStatus:
    """The status rule, by hand."""
    return ProcessStatus.ERROR if process.activity in LEADS_OUT else ProcessStatus.TERMINATED


def _get(server: Trade, one: UUID) -> Process | None:
    try:
        return server.runtime.get_process(one)
    except ProcessNotFound:
        return None


def _kinds(server: Trade, one: UUID) -> list[EntryKind]:
    return [entry.kind for entry in server.runtime.get_history(one, limit=1000)]


def _is_over(server: Trade, process: Process) -> bool:
    return process.status is ProcessStatus.FINALIZED or _kinds(server, process.id)[-1] is EntryKind.CANCELLED


def _push(server: Trade, process: Process) -> None:
    runtime = server.runtime
    if process.parameters.get("Fail"):
        runtime.set_parameter(process.id, "Fail", None, **WHO)
    elif process.status in (ProcessStatus.ERROR, ProcessStatus.TERMINATED):
        runtime.resume_process(process.id, **WHO)
    elif process.activity == "Open":
        runtime.execute_command(process.id, "Pack")
    elif process.activity in ("Ready", "Held"):
        runtime.execute_command(process.id, "Close")


def check_history(server: Trade, process: Process) -> None:
    """``seq`` without a gap, and the rows that moved are a path of the scheme; every arrival at Waiting left by its timer, once."""
    entries = server.runtime.get_history(process.id, limit=1000)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert process.last_seq == len(entries)
    moved = [entry for entry in entries if entry.kind is EntryKind.MOVED]
    edges = {(t.source, t.target, t.name) for t in process.pinned.transitions}
    stands = ""
    for entry in moved:
        assert entry.from_activity == stands
        if entry.reason == "the execution timeout":
            assert (entry.transition, entry.to_activity) == ("", "Ready")
        elif entry.trigger.kind in (TriggerKind.COMMAND, TriggerKind.TIMER, TriggerKind.AUTO):
            assert (entry.from_activity, entry.to_activity, entry.transition) in edges
        stands = entry.to_activity
    assert stands == process.activity
    if process.status is ProcessStatus.FINALIZED:
        waited = sum(entry.to_activity == "Waiting" for entry in moved)
        reminded = sum(entry.trigger.kind is TriggerKind.TIMER for entry in moved)
        left_otherwise = sum(entry.from_activity == "Waiting" and entry.trigger.kind is not TriggerKind.TIMER for entry in moved)
        assert waited == reminded + left_otherwise
