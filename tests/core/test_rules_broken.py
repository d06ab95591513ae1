"""What breaks off: the status rule, fail, divert, and a timer that cannot be taken."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import pytest
from factories import GO, NOW, process, walk
from little_schemes import clock, scheme, way
from ruled import ERROR, HOUR, SCHEME, after, executed, in_an_hour, row, rows_after, standing

from workflow_runtime.core import rules
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import Change, ChangeKind, EntryKind, Process, ProcessStatus, Trigger, TriggerKind, Walk
from workflow_runtime.core.scheme_elements import TimerSpec
from workflow_runtime.core.scheme_words import TimerType

S = ProcessStatus
LATE = Trigger(TriggerKind.TIMER, "late")


# ------------------------------------------------------------------ the status rule


@pytest.mark.parametrize(
    ("activity", "timers", "status"),
    [
        ("A", (), S.ERROR),  # a command leads out
        ("B", (), S.ERROR),  # beside an automatic transition
        ("C", (), S.TERMINATED),  # only timers lead out, and none of them has a row
        ("C", ("late",), S.ERROR),
        ("C", ("sticky",), S.ERROR),
        ("C", ("other",), S.TERMINATED),  # a row for a timer that does not lead out
        ("End", ("late",), S.TERMINATED),
        ("Dead end", (), S.TERMINATED),
        ("", ("late",), S.TERMINATED),  # a creation that has entered nothing yet
        ("no such", (), S.TERMINATED),
    ],
)
def test_error_where_a_command_or_a_timer_row_leads_out_else_terminated(activity: str, timers: Collection[str], status: ProcessStatus) -> None:
    assert rules.broken_status(SCHEME, activity, timers) is status


# ------------------------------------------------------------------ fail


def failed(subject: Process, timers: Collection[str] = (), **more: Any) -> Change:
    return rules.fail(subject, ERROR, timers, more.pop("due_of", in_an_hour), server="me", now=NOW + HOUR / 2, **more)


def test_a_failure_keeps_place_and_walk_and_tells_the_cause() -> None:
    running = executed(walk(step=1, identity="ann"), last_seq=3, deaths=2, deaths_step="x")
    change = failed(running, {"late"})
    broken = after(change)
    assert (change.kind, broken.status, broken.owner, broken.activity, broken.walk) == (ChangeKind.FAIL, S.ERROR, None, "A", running.walk)
    assert (broken.last_error, broken.deaths, change.release, change.drop_others) == (ERROR, 0, True, False)
    (entry,) = change.entries
    assert (entry.kind, entry.seq, entry.status, entry.error, entry.to_activity) == (EntryKind.FAILED, 4, S.ERROR, ERROR, "A")
    assert (entry.trigger, entry.identity, entry.walk_id, entry.server) == (GO, "ann", running.walk.id, "me")  # type: ignore[union-attr]


def test_who_ordered_the_walk_that_failed_stands_in_the_row() -> None:
    (entry,) = failed(executed(walk(actor="olga", reason="the provider is back"))).entries
    assert (entry.actor, entry.reason) == ("olga", "the provider is back")


def test_missing_timers_are_armed_again_and_count_for_the_status() -> None:
    change = failed(executed(walk(activity="End"), at="C"), {"sticky"})
    assert [timer.name for timer in change.arm] == ["late"]
    assert after(change).status is S.ERROR
    assert after(failed(executed(at="C"), due_of=lambda spec, value: None)).status is S.TERMINATED


def test_the_timer_whose_condition_raised_has_had_its_turn() -> None:
    """Else its row would stay due, and fire again at once, for ever."""
    due, attempted = row("late", NOW), walk(trigger=LATE, run=LATE, activity="")
    change = failed(standing("C"), {"late"}, failed_walk=attempted, fired=("late",))
    left = rows_after({"late": due}, change)
    assert left["late"].due == NOW + HOUR
    gone = failed(standing("C"), {"late"}, failed_walk=attempted, fired=("late",), due_of=lambda spec, value: None)
    assert rows_after({"late": due}, gone) == {}
    assert after(gone).status is S.TERMINATED
    assert gone.entries[0].trigger == LATE


def test_a_walk_that_could_not_begin_is_told_and_not_kept() -> None:
    attempted = walk(activity="", identity="ann", impersonated_identity="bob")
    change = failed(standing(), failed_walk=attempted)
    assert after(change).walk is None
    assert (change.entries[0].trigger, change.entries[0].identity, change.entries[0].impersonated_identity) == (GO, "ann", "bob")


# ------------------------------------------------------------------ divert


def test_a_failure_answered_with_an_activity_is_told_and_goes_on_there() -> None:
    running, new = executed(), walk(activity="C", transition="", trigger=Trigger(TriggerKind.AUTO))
    change = rules.divert(running, ERROR, new, server="me", now=NOW)
    assert (after(change).status, after(change).owner, after(change).token, after(change).walk) == (S.RUNNING, "me", running.token, new)
    (entry,) = change.entries
    assert (entry.kind, entry.error, entry.status, entry.walk_id) == (EntryKind.FAILED, ERROR, S.RUNNING, running.walk.id)  # type: ignore[union-attr]


def test_a_condition_that_failed_at_rest_is_diverted_with_a_claim() -> None:
    rest, new = standing("C"), walk(activity="A", transition="", trigger=Trigger(TriggerKind.AUTO))
    attempted: Walk = walk(trigger=LATE, run=LATE, activity="")
    change = rules.divert(rest, ERROR, new, server="me", now=NOW, failed_walk=attempted, fired=("late",))
    assert (change.kind, after(change).token, after(change).owner, change.drop) == (ChangeKind.CLAIM, rest.token + 1, "me", ("late",))
    assert change.entries[0].trigger == LATE


# ------------------------------------------------------------------ a due timer that cannot be taken


TIMERS = scheme(
    "A",
    "B",
    "Only once",
    "Asked",
    way("A", "B", timer="each hour"),
    way("Only once", "B", timer="at noon"),
    way("Asked", "B", timer="at noon"),
    way("Asked", "B", command="go"),
    clock("each hour", "1h"),
    clock("at noon", "2031-05-06 12:00:00", TimerType.DATE_AND_TIME),
)


def due_of(spec: TimerSpec, value: str) -> datetime | None:
    return NOW + HOUR if spec.type is TimerType.INTERVAL else NOW - HOUR


def refused(at: str, name: str, others: Collection[str] = (), **more: Any) -> tuple[Change, dict[str, Any]]:
    subject, timer = process(activity=at, scheme=TIMERS), row(name, NOW - HOUR)
    change = rules.refuse_timer(subject, timer, {name, *others}, due_of, kind=EntryKind.NOT_APPLICABLE, server="me", now=NOW, **more)
    return change, rows_after({name: timer}, change)


def test_an_interval_that_cannot_be_taken_is_told_and_armed_again_from_now() -> None:
    change, rows = refused("A", "each hour")
    assert (change.kind, after(change).status, after(change).activity) == (ChangeKind.REFUSE, S.IDLED, "A")
    assert {name: timer.due for name, timer in rows.items()} == {"each hour": NOW + HOUR}
    (entry,) = change.entries
    assert (entry.kind, entry.trigger, entry.status, entry.reason) == (EntryKind.NOT_APPLICABLE, Trigger(TriggerKind.TIMER, "each hour"), S.IDLED, None)


def test_a_moment_is_dropped_where_a_command_is_left() -> None:
    change, rows = refused("Asked", "at noon")
    assert (rows, after(change).status, change.entries[0].kind) == ({}, S.IDLED, EntryKind.NOT_APPLICABLE)


def test_a_moment_that_was_the_last_exit_terminates_with_timer_missed() -> None:
    change, rows = refused("Only once", "at noon")
    assert (rows, after(change).status) == ({}, S.TERMINATED)
    assert (change.entries[0].kind, change.entries[0].reason, change.entries[0].status) == (EntryKind.TIMER_MISSED, "timer missed", S.TERMINATED)


def test_a_row_of_a_timer_that_the_scheme_does_not_have_is_dropped() -> None:
    _, rows = refused("Asked", "unheard of")
    assert rows == {}


def test_an_operator_who_fired_it_in_vain_is_told() -> None:
    change, _ = refused("A", "each hour", actor="olga", reason="test")
    assert (change.entries[0].actor, change.entries[0].reason) == ("olga", "test")


def test_a_process_in_error_stays_in_error_with_its_walk() -> None:
    subject = process(activity="A", scheme=TIMERS, status=S.ERROR, walk=walk(), last_error=ERROR, parameters=FrozenDict({"a": 1}))
    change = rules.refuse_timer(subject, row("each hour"), {"each hour"}, due_of, kind=EntryKind.TIMER_SKIPPED, server="me", now=NOW)
    assert (after(change).status, after(change).walk, after(change).last_error) == (S.ERROR, subject.walk, ERROR)
    assert (change.entries[0].kind, change.entries[0].transition) == (EntryKind.TIMER_SKIPPED, "")
