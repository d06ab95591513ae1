"""A walk under way: journal, arrival, rest, cancel, release, and the verbs of operators that execute nothing."""

from __future__ import annotations

from typing import Any

import pytest
from factories import GO, NOW, step, walk
from ruled import ERROR, HOUR, after, executed, in_an_hour, row, standing

from workflow_runtime.core import operating, rules
from workflow_runtime.core.arming import arm
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.operating import Order
from workflow_runtime.core.process import CancelRequest, ChangeKind, EntryKind, Process, ProcessStatus, Timer, Trigger, TriggerKind
from workflow_runtime.core.scheme_words import Classifier

S = ProcessStatus
ORDER = Order("set_parameter", "olga", "test")
WANTED = CancelRequest("olga", "wrong order")


# ------------------------------------------------------------------ journal


def test_an_outcome_moves_the_walk_to_the_next_action() -> None:
    running = executed(walk(step=1, tries=3))
    entry = step("w", index=1, changes=FrozenDict({"a": 1}))
    change = rules.journal(running, entry, now=NOW + HOUR)
    assert (change.kind, change.journal, change.entries) == (ChangeKind.JOURNAL, (entry,), ())
    assert after(change).walk is not None
    assert (after(change).walk.step, after(change).walk.tries) == (2, 0)  # type: ignore[union-attr]
    assert (after(change).parameters, after(change).activity) == (running.parameters, "A"), "changes become the process's at arrival only"


@pytest.mark.parametrize(("deaths_step", "deaths"), [("B#1", 0), ("B#0", 3), ("", 3)])
def test_deaths_are_forgotten_when_the_step_they_were_counted_for_commits(deaths_step: str, deaths: int) -> None:
    change = rules.journal(executed(deaths=3, deaths_step=deaths_step), step("w", index=1), now=NOW)
    assert (after(change).deaths, after(change).deaths_step) == (deaths, deaths_step if deaths else "")


def test_the_result_of_a_step_leaves_the_walk_where_it_is() -> None:
    running = executed()
    change = rules.journal_step(running, step("w", step="mail"), now=NOW)
    assert (change.kind, after(change).walk, len(change.journal)) == (ChangeKind.STEP, running.walk, 1)


# ------------------------------------------------------------------ arrive


def arrived(subject: Process, **values: Any) -> Any:
    return rules.arrive(subject, FrozenDict(values), (row("late"),), server="me", now=NOW + HOUR)


def test_an_arrival_is_one_change_of_everything() -> None:
    running = executed(walk(transition="A-B", identity="ann", impersonated_identity="bob"), last_seq=4, last_error=ERROR)
    change = arrived(running, a=1)
    there = after(change)
    assert change.kind is ChangeKind.ARRIVE
    assert (there.activity, there.state, there.previous_activity, there.previous_state) == ("B", "Paid", "A", "Open")
    assert (dict(there.parameters), there.activity_since, there.walk, there.last_error, there.last_seq) == ({"a": 1}, NOW + HOUR, None, None, 5)
    assert (change.arm, change.drop_others, there.status, there.owner) == ((row("late"),), True, S.RUNNING, "me")
    (entry,) = change.entries
    assert (entry.kind, entry.seq, entry.from_activity, entry.to_activity, entry.from_state, entry.to_state) == (EntryKind.MOVED, 5, "A", "B", "Open", "Paid")
    assert (entry.trigger, entry.transition, entry.classifier, entry.walk_id) == (GO, "A-B", Classifier.DIRECT, running.walk.id)  # type: ignore[union-attr]
    assert (entry.identity, entry.impersonated_identity, entry.started_at, entry.at, entry.server) == ("ann", "bob", NOW, NOW + HOUR, "me")


def test_an_activity_without_a_state_leaves_the_stored_state() -> None:
    there = after(arrived(executed(walk(activity="C", transition=""))))
    assert (there.activity, there.state, there.previous_state) == ("C", "Open", "Open")


def test_direct_and_reverse_remember_where_they_came_from_each_on_its_side() -> None:
    direct = after(arrived(executed(walk(activity="B", transition="A-B"))))
    assert (direct.previous_activity_for_direct, direct.previous_state_for_direct, direct.previous_activity_for_reverse) == ("A", "Open", "")
    reverse = after(arrived(executed(walk(activity="A", transition="B-A"), at="B", state="Paid", previous_activity_for_direct="X")))
    assert (reverse.previous_activity_for_reverse, reverse.previous_state_for_reverse, reverse.previous_activity_for_direct) == ("B", "Paid", "X")
    plain = after(arrived(executed(walk(activity="C", transition="B-C"), at="B")))
    assert (plain.previous_activity_for_direct, plain.previous_activity_for_reverse) == ("", "")


def test_an_operator_stands_in_the_row_of_the_arrival() -> None:
    (entry,) = arrived(executed(walk(transition="", actor="olga", reason="test"))).entries
    assert (entry.actor, entry.reason, entry.classifier) == ("olga", "test", Classifier.NOT_SPECIFIED)


def test_a_final_activity_is_told_so() -> None:
    (entry,) = arrived(executed(walk(activity="End", transition=""))).entries
    assert (entry.is_final, entry.status) == (True, S.FINALIZED)


# ------------------------------------------------------------------ rest


@pytest.mark.parametrize(("at", "status"), [("A", S.IDLED), ("Dead end", S.IDLED), ("End", S.FINALIZED), ("gone", S.IDLED)])
def test_rest_is_idled_or_finalized_and_nobodys(at: str, status: ProcessStatus) -> None:
    running = executed(at=at, deaths=2, deaths_step="x", adoptions=3, cancel_requested=WANTED, waiting_until=NOW)
    change = rules.rest(running, now=NOW + HOUR)
    rested = after(change)
    assert (rested.status, rested.owner, rested.status_since, rested.token) == (status, None, NOW + HOUR, running.token)
    assert (rested.deaths, rested.deaths_step, rested.adoptions, rested.cancel_requested, rested.waiting_until) == (0, "", 0, None, None)
    assert (change.entries, change.arm, change.drop) == ((), (), ())


# ------------------------------------------------------------------ cancel, release


@pytest.mark.parametrize(
    "subject",
    [standing(), executed(), standing(status=S.ERROR, walk=walk()), executed(owner=None, waiting_until=NOW)],
    ids=["idled", "running", "error", "waiting"],
)
def test_cancel_is_terminated_with_actor_and_reason_and_keeps_the_walk(subject: Process) -> None:
    change = rules.cancel(subject, WANTED, server="me", now=NOW)
    assert (after(change).status, after(change).owner, after(change).walk, after(change).activity) == (S.TERMINATED, None, subject.walk, "A")
    assert (change.release, change.drop_others, change.drop) == (True, False, ()), "a resume finds its timers"
    (entry,) = change.entries
    assert (entry.kind, entry.actor, entry.reason, entry.status) == (EntryKind.CANCELLED, "olga", "wrong order", S.TERMINATED)


# ------------------------------------------------------------------ verbs that execute nothing


def test_values_set_by_an_operator_are_the_processes_at_once_and_told() -> None:
    change = operating.set_parameters(standing(parameters=FrozenDict({"a": 1, "b": 2})), {"a": None, "c": 3}, ORDER, server="me", now=NOW)
    assert (dict(after(change).parameters), after(change).status, change.before.status) == ({"b": 2, "c": 3}, S.IDLED, S.IDLED)  # type: ignore[union-attr]
    (entry,) = change.entries
    assert (entry.kind, entry.actor, entry.reason, entry.trigger) == (EntryKind.OPERATED, "olga", "test", Trigger(TriggerKind.OPERATOR, "set_parameter"))
    assert entry.seq == after(change).last_seq == 1


def test_a_timer_set_by_an_operator_replaces_its_row() -> None:
    change = operating.set_timer(standing(), "late", NOW + HOUR, ORDER, server=None, now=NOW)
    assert change.arm == (Timer(name="late", due=NOW + HOUR, value="1h"),)
    assert (change.drop, change.drop_others, change.entries[0].kind) == ((), False, EntryKind.OPERATED)


def test_what_is_deleted_leaves_a_last_row() -> None:
    change = operating.delete(standing(last_seq=2), Order("delete", "olga", "test"), server="me", now=NOW)
    assert (change.kind, change.after, change.entries[0].kind, change.entries[0].seq) == (ChangeKind.DELETE, None, EntryKind.DELETED, 3)
    with pytest.raises(AssertionError, match="no result"):
        _ = change.result


@pytest.mark.parametrize(("at", "status"), [("A", S.IDLED), ("End", S.FINALIZED)])
def test_resumed_without_a_way_out_it_waits_where_it_stands(at: str, status: ProcessStatus) -> None:
    change = operating.settle(standing(at, status=S.TERMINATED), Order("resume", "olga", "test"), server="me", now=NOW)
    assert (change.kind, after(change).status, change.entries[0].actor, change.entries[0].status) == (ChangeKind.OPERATE, status, "olga", status)


@pytest.mark.parametrize(("subject", "rests"), [(standing(), True), (executed(owner=None), True), (executed(), False)])
def test_at_rest_means_that_no_server_executes_it(subject: Process, rests: bool) -> None:
    assert operating.is_at_rest(subject) is rests


def test_arming_for_an_arrival_is_what_the_arrival_carries() -> None:
    armed = arm(standing().pinned, "A", EMPTY, in_an_hour)
    assert [timer.name for timer in arrived(executed()).arm] == ["late"]
    assert [timer.name for timer in armed] == ["late", "sticky"]
