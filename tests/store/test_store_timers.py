"""Timers and the journal within a change: what is dropped, kept, armed and refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from factories import NOW, claim, process, retry, step, timer, walk
from hypothesis import given
from hypothesis import strategies as st
from stored import everything, examples, put, put_running

from workflow_runtime.core.process import Change, ChangeKind, Process, ProcessStatus, Timer, TimerKind
from workflow_runtime.errors import StoreError
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.writes import Store

LATER = NOW + timedelta(hours=1)


def touch(before: Process, **fields: Any) -> Change:
    """A change of nothing but what is named."""
    return Change(kind=ChangeKind.OPERATE, before=before, after=before, **fields)


def names(store: Store, subject: Process) -> list[str]:
    return [row.name for row in store.timers(subject.id)]


def test_a_timer_is_armed_over_the_row_that_is_there(store: Store) -> None:
    rest = put(store, process(), arm=(timer("remind", NOW, value="1h"),))
    store.apply(touch(rest, arm=(timer("remind", LATER, value="2h"),)))
    assert store.timers(rest.id) == (timer("remind", LATER, value="2h"),)


def test_keep_leaves_the_row_that_is_there_and_arms_where_none_is(store: Store) -> None:
    rest = put(store, process(), arm=(timer("remind", NOW),))
    store.apply(touch(rest, arm=(timer("remind", LATER, keep=True), timer("late", LATER, keep=True))))
    assert [(row.name, row.due) for row in store.timers(rest.id)] == [("remind", NOW), ("late", LATER)]


def test_dropped_names_go_and_others_stay(store: Store) -> None:
    rest = put(store, process(), arm=tuple(map(timer, "abc")))
    store.apply(touch(rest, drop=("a", "c", "unknown")))
    assert names(store, rest) == ["b"]


def test_a_name_that_is_dropped_and_armed_is_armed_even_with_keep(store: Store) -> None:
    rest = put(store, process(), arm=(timer("a", NOW),))
    store.apply(touch(rest, drop=("a",), arm=(timer("a", LATER, keep=True),)))
    assert store.timers(rest.id)[0].due == LATER


def test_an_arrival_drops_all_that_it_does_not_arm(store: Store) -> None:
    rest = put(store, process(), arm=(*map(timer, "abcde"), retry()))
    store.apply(touch(rest, drop_others=True, arm=(timer("b", LATER), timer("d", LATER, keep=True), timer("x"))))
    assert sorted((row.name, row.due) for row in store.timers(rest.id)) == [("b", LATER), ("d", NOW), ("retry", NOW), ("x", NOW)]


def test_an_arrival_that_arms_nothing_drops_all_but_reserved_rows(store: Store) -> None:
    rest = put(store, process(), arm=(*map(timer, "ab"), retry()))
    store.apply(touch(rest, drop_others=True))
    assert names(store, rest) == ["retry"]


@pytest.mark.parametrize(("others", "left"), [(False, ["a"]), (True, [])])
def test_release_removes_the_reserved_rows(store: Store, others: bool, left: list[str]) -> None:
    waiting = put(store, process(status=ProcessStatus.RUNNING), arm=(timer("a"), retry(), retry(name="s", kind=TimerKind.START)))
    store.apply(touch(waiting, release=True, drop_others=others))
    assert names(store, waiting) == left


def test_a_release_may_arm_the_next_wait(store: Store) -> None:
    waiting = put(store, process(status=ProcessStatus.RUNNING), arm=(retry(NOW),))
    store.apply(touch(waiting, release=True, arm=(retry(LATER),)))
    assert store.timers(waiting.id) == (retry(LATER),)


def test_a_reserved_row_does_not_spare_a_timer_of_its_name(store: Store) -> None:
    rest = put(store, process(), arm=(timer("retry"),))
    store.apply(touch(rest, drop_others=True, arm=(retry(LATER),)))
    assert store.timers(rest.id) == (retry(LATER),)


def test_timers_of_other_processes_are_never_touched(store: Store) -> None:
    one, other = put(store, process(), arm=(timer("a"),)), put(store, process(), arm=(timer("a"), retry()))
    store.apply(touch(one, drop=("a",), drop_others=True, release=True))
    assert store.timers_of([one.id, other.id, (stranger := uuid4())]) == {one.id: (), other.id: (timer("a"), retry()), stranger: ()}
    assert store.timers_of([]) == {}


NAMES = st.lists(st.sampled_from([f"t{number}" for number in range(40)]), unique=True, max_size=40)


def test_any_set_of_names_ends_as_the_model_says(store: Store) -> None:
    @examples(store, 40)
    @given(first=NAMES, second=NAMES, kept=st.sets(st.integers(0, 39)))
    def ends_so(first: list[str], second: list[str], kept: set[int]) -> None:
        rest = put(store, process(), arm=tuple(timer(name, NOW) for name in first))
        arm = tuple(timer(name, LATER, keep=int(name[1:]) in kept) for name in second)
        store.apply(touch(rest, drop_others=True, arm=arm))
        model = {row.name: NOW if row.keep and row.name in first else LATER for row in arm}
        assert {row.name: row.due for row in store.timers(rest.id)} == model

    ends_so()


# -- the journal ------------------------------------------------------------------------------------------


def test_the_journal_comes_back_in_the_order_of_writing(store: Store) -> None:
    running = put_running(store, process())
    assert running.walk
    steps = [step(running.walk.id, step="mail", digest="d", result='{"a":1}'), step(running.walk.id, step="mail", occurrence=1)]
    steps += [step(running.walk.id, changes={"paid": True, "old": None}), step(running.walk.id, index=1, action="Ship")]
    for entry in steps:
        change = touch(running, journal=(entry,))
        assert store.apply(change).outcome is Outcome.APPLIED
        running = change.result
    assert list(store.journal(running.id, running.walk.id)) == steps  # type: ignore[union-attr]
    assert store.journal(running.id, "another walk") == ()


@pytest.mark.parametrize("differs", [{}, {"digest": "other", "result": "2"}])
def test_one_step_is_journaled_once(store: Store, differs: dict[str, Any]) -> None:
    running = put_running(store, process())
    change = touch(running, journal=(step("w"),))
    store.apply(change)
    before = everything(store)
    with pytest.raises(StoreError, match="nothing was stored"):
        store.apply(touch(change.result, journal=(step("w", **differs),), arm=(timer(),)))
    assert everything(store) == before


@pytest.mark.parametrize("differs", [{"walk_id": "v"}, {"activity": "C"}, {"index": 1}, {"step": "s"}, {"occurrence": 1}, {"intent": True}])
def test_steps_that_differ_in_any_part_of_the_key_are_others(store: Store, differs: dict[str, Any]) -> None:
    running = put_running(store, process())
    both = (step("w"), replace(step("w"), **differs))
    assert store.apply(touch(running, journal=both)).outcome is Outcome.APPLIED


def test_a_claim_takes_the_row_of_its_timer_in_the_same_transaction(store: Store) -> None:
    rest = put(store, process(), arm=(timer("remind"), timer("stays")))
    fired = claim(rest, drop=("remind",))
    assert [store.apply(fired).outcome, store.apply(fired).outcome] == [Outcome.APPLIED, Outcome.LOST]
    assert names(store, rest) == ["stays"]


def test_a_timer_row_gives_back_every_field(store: Store) -> None:
    rows: tuple[Timer, ...] = (timer("ä b", LATER, value="0 9 * * 1-5"), retry(NOW, value=""), retry(NOW, name="", kind=TimerKind.START))
    subject = put(store, process(walk=walk(), status=ProcessStatus.RUNNING), arm=rows)
    assert sorted(store.timers(subject.id), key=repr) == sorted(rows, key=repr)
