"""Birth and begin: what is written before anything is done. And MOVES, which nothing may leave."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from factories import GO, NOW, process, walk
from little_schemes import clock, scheme, way
from ruled import HOUR, SCHEME, after, executed, standing

from workflow_runtime.core import operating, rules
from workflow_runtime.core.attempts import Attempts
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import MOVES, Change, ChangeKind, EntryKind, ProcessStatus, Timer, TimerKind, Trigger, TriggerKind
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import ActionRef, Activity, Timeout
from workflow_runtime.core.scheme_words import ReactionType

ID = UUID(int=7)
LATE = Trigger(TriggerKind.TIMER, "late")
S = ProcessStatus


# ------------------------------------------------------------------ MOVES


ALLOWED: dict[ProcessStatus | None, set[ProcessStatus]] = {
    None: {S.INITIALIZED, S.RUNNING, S.IDLED, S.FINALIZED, S.ERROR, S.TERMINATED},
    **{status: {S.RUNNING, S.IDLED, S.FINALIZED, S.ERROR, S.TERMINATED} for status in S},
}


def test_moves_is_the_table_of_the_design() -> None:
    assert MOVES == ALLOWED
    assert all(S.INITIALIZED not in MOVES[status] for status in S), "nothing becomes Initialized again"


@pytest.mark.parametrize(("old", "new"), list(product([None, *S], S)))
def test_a_change_along_moves_is_made_and_any_other_raises(old: ProcessStatus | None, new: ProcessStatus) -> None:
    before = None if old is None else process(status=old)
    wanted = process(status=new)
    if new in ALLOWED[old]:
        assert Change(kind=ChangeKind.OPERATE, before=before, after=wanted).after is wanted
    else:
        with pytest.raises(AssertionError, match="may not become"):
            Change(kind=ChangeKind.OPERATE, before=before, after=wanted)
        assert before is not None
        assert before.status is old


def test_statuses_have_the_numbers_of_the_vocabulary() -> None:
    assert [(status.value, status.id) for status in S] == [
        ("Initialized", 0),
        ("Running", 1),
        ("Idled", 2),
        ("Finalized", 3),
        ("Terminated", 4),
        ("Error", 5),
    ]
    assert [S.of(number) for number in range(6)] == list(S)
    assert [status for status in S if status.accepts_commands] == [S.IDLED, S.ERROR]
    for number in (6, 254, 255, -1):
        with pytest.raises(ValueError, match=f"status {number}"):
            S.of(number)


# ------------------------------------------------------------------ create


def test_a_process_is_born_running_with_the_walk_into_its_initial_activity() -> None:
    change = rules.create(
        SCHEME,
        process_id=ID,
        token=99,
        owner="me",
        walk_id="w",
        now=NOW,
        persistent=FrozenDict({"a": 1}),
        temporary=FrozenDict({"b": 2}),
        identity="ann",
        impersonated_identity="bob",
        tenant_id="t",
    )
    born = after(change)
    assert (change.kind, change.before, change.result.revision) == (ChangeKind.CREATE, None, 1)
    assert (born.id, born.root_id, born.status, born.owner, born.token, born.activity, born.state) == (ID, ID, S.RUNNING, "me", 99, "", "")
    assert (dict(born.parameters), born.tenant_id, born.key, born.created_at, born.status_since) == ({"a": 1}, "t", SCHEME.key, NOW, NOW)
    assert born.walk is not None
    assert (born.walk.activity, born.walk.transition, born.walk.trigger.kind, dict(born.walk.temporary)) == ("A", "", TriggerKind.CREATE, {"b": 2})
    assert (born.walk.identity, born.walk.impersonated_identity) == ("ann", "bob")
    assert change.entries == (), "nothing has been entered yet"


PLAIN = scheme(Activity(name="New", is_initial=True, state="Open"), Activity(name="B"), way("New", "B", command="go"), way("B", "New"), clock("late"))


def brought_to_rest(**own: Any) -> Change:
    born = rules.create(PLAIN, owner="me", identity="ann", impersonated_identity="bob", tenant_id="t", temporary=FrozenDict({"b": 2}), **own)
    arrived = born.then(rules.arrive(after(born), own["persistent"], (), server="me", now=own["now"]))
    return arrived.then(rules.rest(after(arrived), now=own["now"]))


def test_one_more_is_as_if_it_had_come_to_rest_by_itself() -> None:
    first: dict[str, Any] = {"process_id": ID, "token": 99, "walk_id": "w", "now": NOW, "persistent": FrozenDict({"a": 1})}
    second: dict[str, Any] = {"process_id": UUID(int=8), "token": 7, "walk_id": "v", "now": NOW + HOUR, "persistent": FrozenDict({"c": 3})}
    assert rules.rests_whatever(PLAIN)
    assert rules.alike(brought_to_rest(**first), **second) == brought_to_rest(**second)


@pytest.mark.parametrize(
    "other",
    [
        scheme(Activity(name="New", is_initial=True, implementation=(ActionRef(name="Note"),)), Activity(name="B"), way("New", "B", command="go")),
        scheme(Activity(name="New", is_initial=True), Activity(name="B"), way("New", "B")),
        scheme(Activity(name="New", is_initial=True), Activity(name="B"), way("New", "B", timer="late"), clock("late")),
        scheme(Activity(name="New", is_initial=True, idle_timeout=Timeout(timer="1h", type=ReactionType.SET_ACTIVITY, target="B")), Activity(name="B")),
    ],
    ids=["acts", "leads on", "has a timer", "has an idle timeout"],
)
def test_what_hangs_on_values_or_on_time_is_not_alike(other: Scheme) -> None:
    assert not rules.rests_whatever(other)


# ------------------------------------------------------------------ begin


def test_a_claim_from_rest_makes_it_mine_with_the_next_token() -> None:
    rest, step = standing(), walk()
    change = rules.begin(rest, step, owner="me", now=NOW + HOUR)
    begun = after(change)
    assert change.kind is ChangeKind.CLAIM
    assert (begun.status, begun.owner, begun.token, begun.walk, begun.status_since) == (S.RUNNING, "me", rest.token + 1, step, NOW + HOUR)
    assert (begun.activity, begun.parameters, change.drop, change.arm, change.entries) == ("A", rest.parameters, (), (), ())


def test_the_next_walk_of_a_run_in_hand_keeps_the_token_and_the_beginning() -> None:
    running = executed(updated_at=NOW)
    change = rules.begin(running, walk(), owner="me", now=NOW + HOUR)
    assert change.kind is ChangeKind.ARRIVE
    assert (after(change).token, after(change).status_since) == (running.token, NOW)


def test_firing_a_timer_removes_its_row_with_the_claim() -> None:
    assert rules.begin(standing(), walk(trigger=LATE, run=LATE), owner="me", now=NOW).drop == ("late",)
    assert rules.begin(standing(), walk(trigger=GO), owner="me", now=NOW).drop == ()


def test_a_claim_of_a_waiting_process_takes_its_reserved_row() -> None:
    waiting = executed(owner=None, waiting_until=NOW + HOUR)
    change = rules.begin(waiting, walk(), owner="me", now=NOW)
    assert change.release
    assert after(change).waiting_until is None
    assert not rules.begin(standing(), walk(), owner="me", now=NOW).release


@pytest.mark.parametrize("status", S)
def test_a_walk_may_begin_from_every_status(status: ProcessStatus) -> None:
    assert after(rules.begin(standing(status=status), walk(), owner="me", now=NOW)).status is S.RUNNING


# ------------------------------------------------------------------ the walk that follows


def test_the_automatic_walk_that_follows_is_for_the_same_people_in_the_same_run() -> None:
    done = walk(
        trigger=LATE, run=LATE, identity="ann", impersonated_identity="bob", automatic=3, due=NOW, actor="olga", reason="why", inputs=FrozenDict({"i": 1})
    )
    leading = SCHEME.transition("B-C")
    assert leading is not None
    following = rules.next_walk(done, leading, FrozenDict({"t": 1}), walk_id="n", now=NOW + HOUR)
    assert (following.id, following.activity, following.transition, following.trigger, following.run) == ("n", "C", "B-C", Trigger(TriggerKind.AUTO), LATE)
    assert (following.identity, following.impersonated_identity, following.automatic, following.due) == ("ann", "bob", 4, NOW)
    assert (dict(following.temporary), dict(following.inputs), following.step, following.tries) == ({"t": 1}, {}, 0, 0)
    assert (following.actor, following.reason) == (None, None), "what an operator ordered was the first walk"


def test_a_timer_of_value_zero_follows_as_a_timer_and_counts_as_automatic() -> None:
    leading = SCHEME.transition("C-End")
    assert leading is not None
    following = rules.next_walk(walk(automatic=1), leading, FrozenDict(), walk_id="n", now=NOW)
    assert (following.trigger, following.automatic) == (LATE, 2)


def test_new_work_in_place_of_a_walk_keeps_people_and_values_and_counts_on() -> None:
    old = walk(identity="ann", temporary=FrozenDict({"t": 1}), inputs=FrozenDict({"i": 1}), automatic=7, step=3, tries=2, transition="A-B")
    new = rules.walk_after(old, "C", Trigger(TriggerKind.AUTO), walk_id="n", now=NOW, reason="why")
    assert (new.id, new.activity, new.transition, new.identity, dict(new.temporary), dict(new.inputs)) == ("n", "C", "", "ann", {"t": 1}, {})
    assert (new.run, new.step, new.tries, new.automatic, new.reason) == (old.run, 0, 0, 8, "why")


def test_new_work_without_an_old_walk_begins_a_run() -> None:
    trigger = Trigger(TriggerKind.RECOVERY, "run_from_current_activity")
    new = rules.walk_after(None, "A", trigger, walk_id="n", now=NOW)
    assert (new.run, new.automatic, new.identity) == (trigger, 0, None)


# ------------------------------------------------------------------ what a client leaves to any server


ORDER = operating.Order("set_activity", "olga", "test")


def test_a_client_leaves_a_walk_with_an_empty_owner_and_a_due_start_row() -> None:
    step = operating.walk_into("B", ORDER, walk_id="w", temporary=FrozenDict({"t": 1}), now=NOW)
    change = operating.begin(standing(), step, ORDER, owner=None, now=NOW)
    left = after(change)
    assert (left.status, left.owner, left.walk, left.is_waiting) == (S.RUNNING, None, step, True)
    assert [(entry.kind, entry.actor, entry.server) for entry in change.entries] == [(EntryKind.OPERATED, "olga", None)]
    assert change.arm == (Timer(name="start", kind=TimerKind.START, due=NOW),)
    assert (step.actor, step.reason, step.trigger, dict(step.temporary)) == ("olga", "test", Trigger(TriggerKind.OPERATOR, "set_activity"), {"t": 1})


@pytest.mark.parametrize("owner", ["me", None])
def test_an_ordered_walk_tells_of_the_order_and_counts_deaths_anew(owner: str | None) -> None:
    waiting = executed(owner=None, deaths=3, deaths_step="B#0", token=5, last_seq=4)
    change = operating.begin(waiting, walk(id="w"), ORDER, owner=owner, now=NOW)
    begun = after(change)
    assert (change.kind, begun.owner, begun.token, begun.deaths, begun.deaths_step, begun.last_seq) == (ChangeKind.OPERATE, owner, 6, 0, "", 5)
    assert [(entry.seq, entry.actor, entry.reason, entry.trigger, entry.walk_id) for entry in change.entries] == [(5, "olga", "test", ORDER.trigger, "w")]
    assert change.release is (owner is not None)


def test_a_walk_that_is_resumed_counts_its_tries_anew_and_names_the_operator() -> None:
    old = walk(step=2, tries=4, attempts=(Attempts(2, 3, NOW),))
    assert operating.resume(standing(), old, ORDER, now=NOW) == replace(old, tries=0, attempts=(), in_doubt=True, actor="olga", reason="test")


def test_an_action_that_waits_for_its_next_attempt_is_not_in_doubt() -> None:
    waits = executed(owner=None, waiting_until=NOW)
    assert not operating.resume(waits, walk(), ORDER, now=NOW).in_doubt
    assert operating.resume(waits, walk(in_doubt=True), ORDER, now=NOW).in_doubt
