"""Which timers an activity has and when they are armed; and arrivals in a row, which one commit must not change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import pytest
from factories import NOW, process, walk
from hypothesis import given
from hypothesis import strategies as st
from little_schemes import clock, scheme, way
from ruled import HOUR, SCHEME, after, executed, in_an_hour, row, rows_after, standing

from workflow_runtime.core import rules
from workflow_runtime.core.arming import TIMER_VALUE, arm, immediate_timers, rearm, timer_value
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.process import CancelRequest, Change, ChangeKind, ProcessStatus, Timer, Trigger, TriggerKind
from workflow_runtime.core.scheme_elements import Activity, TimerSpec
from workflow_runtime.core.scheme_words import Missed, TimerType
from workflow_runtime.errors import TimerValueError

KINDS = {
    "each": (TimerType.INTERVAL, True),
    "daily": (TimerType.TIME, True),
    "cron": (TimerType.CRON, True),
    "day": (TimerType.DATE, False),
    "moment": (TimerType.DATE_AND_TIME, False),
    "formula": (TimerType.EXPRESSION, False),
}
ALL = scheme("A", "B", *(way("A", "B", timer=name) for name in KINDS), *(clock(name, "as written", kind) for name, (kind, _) in KINDS.items()))


# ------------------------------------------------------------------ arm


def test_each_timer_that_leads_out_gets_its_row_once_in_document_order() -> None:
    twice = scheme(
        "A", "B", way("A", "B", timer="t"), way("A", "A", "again", timer="t"), way("A", "B", timer="s", name="s"), clock("s"), clock("t"), clock("idle")
    )
    assert [spec.name for spec in twice.timers_leaving("A")] == ["t", "s"]
    assert [(timer.name, timer.due, timer.value) for timer in arm(twice, "A", EMPTY, in_an_hour)] == [("t", NOW + HOUR, "1h"), ("s", NOW + HOUR, "1h")]
    assert arm(twice, "B", EMPTY, in_an_hour) == ()


def test_a_final_activity_arms_nothing() -> None:
    final = scheme("A", Activity(name="End", is_final=True), way("End", "A", timer="t"), clock("t"))
    assert arm(final, "End", EMPTY, in_an_hour) == ()


def test_keep_if_set_travels_with_the_row() -> None:
    assert {timer.name: timer.keep for timer in arm(SCHEME, "C", EMPTY, in_an_hour)} == {"late": False, "sticky": True}


def test_a_timer_that_is_never_due_has_no_row() -> None:
    assert arm(SCHEME, "A", EMPTY, lambda spec, value: None) == ()


@pytest.mark.parametrize(
    ("value", "effective"),
    [("2d", "2d"), (" 2d ", "2d"), (" 0 ", "0"), (90_000, "90000"), (0, "0"), (-1, "-1"), (timedelta(minutes=1), "60000ms"), (None, "1h")],
)
def test_a_parameter_overrides_the_value_of_a_timer(value: Any, effective: str) -> None:
    values = FrozenDict({TIMER_VALUE + "late": value})
    spec = SCHEME.timer("late")
    assert spec is not None
    assert timer_value(spec, values) == effective
    asked: list[str] = []
    arm(SCHEME, "C", values, lambda spec, value: asked.append(f"{spec.name}={value}"))
    assert asked == ([] if effective == "0" else [f"late={effective}"]) + ["sticky=2h"]


def test_a_value_that_is_no_timer_value_is_an_error() -> None:
    with pytest.raises(TimerValueError):
        arm(SCHEME, "C", FrozenDict({TIMER_VALUE + "late": True}), in_an_hour)


@pytest.mark.parametrize("value", ["0", " 0 ", "0\n"])
def test_a_definition_of_zero_however_it_is_written_has_no_row_and_leads_on_at_once(value: str) -> None:
    at_once = scheme("A", "B", way("A", "B", timer="t"), clock("t", value))
    assert arm(at_once, "A", EMPTY, in_an_hour) == ()
    assert immediate_timers(at_once, "A", EMPTY) == ["t"]


def test_a_value_of_zero_has_no_row_and_leads_on_at_once() -> None:
    zero = FrozenDict({TIMER_VALUE + "late": "0"})
    assert [timer.name for timer in arm(SCHEME, "C", zero, in_an_hour)] == ["sticky"]
    assert immediate_timers(SCHEME, "C", zero) == ["late"]
    assert immediate_timers(SCHEME, "C", EMPTY) == []


# ------------------------------------------------------------------ rearm


@pytest.mark.parametrize(("due", "comes"), [(NOW + HOUR, True), (NOW, False), (NOW - HOUR, False)])
def test_what_is_missing_is_armed_again_but_nothing_that_is_past(due: datetime, comes: bool) -> None:
    """Of no type: the value of an Interval timer may be a date."""
    armed = rearm(process(scheme=ALL), (), lambda spec, value: due, NOW)
    assert [timer.name for timer in armed] == (list(KINDS) if comes else [])
    assert all(timer.keep for timer in armed), "a row that appeared meanwhile stays as it is"


@pytest.mark.parametrize(
    ("missed", "run", "comes"),
    [(Missed.FIRE_ALL, "cron", True), (Missed.FIRE_ALL, "each", False), (Missed.FIRE_ONCE, "cron", False)],
)
def test_of_the_times_that_are_all_to_be_fired_the_next_is_armed_though_it_is_past(missed: Missed, run: str, comes: bool) -> None:
    every = scheme("A", "B", way("A", "B", timer="cron"), replace(clock("cron", "0 * * * *", TimerType.CRON), missed=missed))
    failed = walk(run=Trigger(TriggerKind.TIMER, run), due=NOW - 2 * HOUR)
    assert bool(rearm(process(scheme=every), (), lambda spec, value: NOW - HOUR, NOW, failed)) is comes
    assert not rearm(process(scheme=every), (), lambda spec, value: NOW - 2 * HOUR, NOW, failed), "it has had that one"


def test_what_is_there_is_left_alone() -> None:
    assert rearm(process(scheme=ALL), KINDS, in_an_hour, NOW) == ()
    assert [timer.name for timer in rearm(process(scheme=ALL), set(KINDS) - {"each"}, in_an_hour, NOW)] == ["each"]


# ------------------------------------------------------------------ changes in a row


def in_a_row(*changes: Change) -> Change:
    return reduce(Change.then, changes)


def test_a_chain_is_one_change_from_the_first_to_the_last() -> None:
    rest = standing(last_seq=1)
    begun = rules.begin(rest, walk(), owner="me", now=NOW)
    at_b = rules.arrive(after(begun), FrozenDict({"a": 1}), (row("late"),), server="me", now=NOW)
    on = rules.begin(after(at_b), walk(activity="C", transition="B-C"), owner="me", now=NOW)
    at_c = rules.arrive(after(on), FrozenDict({"a": 1}), (row("sticky", keep=True),), server="me", now=NOW)
    change = in_a_row(begun, at_b, on, at_c, rules.rest(after(at_c), now=NOW))
    assert (change.kind, change.before, change.result.revision) == (ChangeKind.ARRIVE, rest, rest.revision + 1)
    assert (change.result.activity, change.result.status, change.result.owner, change.result.token) == ("C", ProcessStatus.IDLED, None, rest.token + 1)
    assert [(entry.seq, entry.to_activity, entry.status) for entry in change.entries] == [(2, "B", ProcessStatus.RUNNING), (3, "C", ProcessStatus.IDLED)]
    assert [timer.name for timer in change.arm] == ["sticky"]


@pytest.mark.parametrize("first", [ChangeKind.CREATE, ChangeKind.OPERATE])
def test_a_chain_that_creates_or_operates_keeps_that_kind(first: ChangeKind) -> None:
    begun = Change(kind=first, before=None if first is ChangeKind.CREATE else standing(), after=executed())
    assert begun.then(rules.rest(after(begun), now=NOW)).kind is first


def test_a_cancel_behind_collected_arrivals_stands_at_the_last_of_them() -> None:
    arrived = rules.arrive(executed(last_seq=1), EMPTY, (), server="me", now=NOW)
    change = arrived.then(rules.cancel(after(arrived), CancelRequest("olga", "why"), server="me", now=NOW))
    assert (change.kind, change.result.activity, change.result.status) == (ChangeKind.CANCEL, "B", ProcessStatus.TERMINATED)
    assert [(entry.seq, entry.kind) for entry in change.entries] == [(2, "moved"), (3, "cancelled")]


NAMES = ("s", "t", "u")
a_timer = st.builds(Timer, name=st.sampled_from(NAMES), due=st.integers(0, 9).map(lambda hours: NOW + hours * HOUR), keep=st.booleans())
some_timers = st.lists(a_timer, max_size=3, unique_by=lambda timer: timer.name).map(tuple)
arrivals = st.builds(lambda armed: {"arm": armed, "drop_others": True}, some_timers)
firings = st.builds(lambda name: {"drop": (name,)}, st.sampled_from(NAMES))
others = st.builds(lambda armed: {"arm": armed}, some_timers)


@given(st.dictionaries(st.sampled_from(NAMES), st.just(row("", NOW - HOUR)), max_size=3), st.lists(arrivals | firings | others, min_size=1, max_size=5))
def test_one_commit_of_many_changes_leaves_the_rows_that_each_by_itself_would_have_left(there: dict[str, Timer], parts: list[dict[str, Any]]) -> None:
    subject = executed()
    changes = [Change(kind=ChangeKind.ARRIVE, before=subject, after=subject, **part) for part in parts]
    one_by_one = reduce(rows_after, changes, there)
    together = rows_after(there, in_a_row(*changes))
    assert {name: timer.due for name, timer in together.items()} == {name: timer.due for name, timer in one_by_one.items()}


def test_a_kept_timer_survives_a_chain_only_while_each_activity_has_it() -> None:
    there = {"sticky": row("sticky", NOW - HOUR)}

    def arrival(*armed: Timer) -> Change:
        return Change(kind=ChangeKind.ARRIVE, before=executed(), after=executed(), arm=armed, drop_others=True)

    anew = row("sticky", NOW + HOUR, keep=True)
    assert rows_after(there, in_a_row(arrival(anew), arrival(anew)))["sticky"].due == NOW - HOUR
    assert rows_after(there, in_a_row(arrival(), arrival(anew)))["sticky"].due == NOW + HOUR
    assert rows_after(there, in_a_row(arrival(anew), arrival())) == {}


def test_a_timer_that_led_to_itself_starts_anew_even_if_it_is_kept() -> None:
    fired = rules.begin(standing(), walk(trigger=Trigger(TriggerKind.TIMER, "sticky"), activity="A", transition="A-A"), owner="me", now=NOW)
    armed = arm(SCHEME, "A", EMPTY, in_an_hour)
    change = fired.then(rules.arrive(after(fired), EMPTY, armed, server="me", now=NOW))
    assert rows_after({"sticky": row("sticky", NOW)}, change)["sticky"].due == NOW + HOUR


def test_a_definition_may_be_due_at_different_times_by_its_value() -> None:
    def due(spec: TimerSpec, value: str) -> datetime | None:
        return NOW + timedelta(hours=int(value.removesuffix("h")))

    assert [timer.due - NOW for timer in arm(SCHEME, "C", EMPTY, due)] == [HOUR, 2 * HOUR]
