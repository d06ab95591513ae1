"""The evidence of death: every clause by itself. Each test falls when its clause is taken out of the rule.

The observer looks at ``at``, seconds of its own clock, with a beat of its own each half second; the database's clock
agrees with it unless a test says otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import NOW, server

from workflow_runtime.core.restoring import Server
from workflow_runtime.core.watching import Evidence, Judgement, Sighting, Watch

BEAT, LEASE = 0.5, 5.0
ME = server("me", mode="multi")


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class Observer:
    """``sees(at, ...)`` one other server as it looks then; beats of the observer go on in between, unless it is ``stunned``."""

    def __init__(self) -> None:
        self.watch = Watch(BEAT)
        self.watch.began()
        self.stunned(0)
        self.other = server("other", mode="multi", lock_key="k1", beat_every=seconds(BEAT), lease_until=NOW + seconds(LEASE))

    def beats(self, at: float, *, last_at: float | None = None) -> None:
        """The other beats then."""
        last = NOW + seconds(at if last_at is None else last_at)
        self.other = replace(self.other, beat=self.other.beat + 1, last_beat_at=last, lease_until=last + seconds(LEASE))

    def lives_until(self, at: float) -> None:
        while self.time + BEAT <= at:
            self.time += BEAT
            self.watch.beaten(self.time)

    def stunned(self, at: float) -> None:
        """No beat of the observer arrives before then."""
        self.time = at
        self.watch.beaten(at)

    def sees(self, at: float, *, free: bool = False, ahead: float = 0, without_beats: bool = False, **fields: Any) -> Judgement:
        if not without_beats:
            self.lives_until(at)
        self.other = replace(self.other, **fields)
        now = NOW + seconds(at + ahead)
        mine = replace(ME, last_beat_at=now, lease_until=now + seconds(LEASE))
        return self.watch.judge([Sighting(mine, False, now), Sighting(self.other, free, now)], me="me", at=at)


@pytest.fixture
def observer() -> Observer:
    return Observer()


def evidence(judgement: Judgement) -> list[tuple[str, Evidence]]:
    return [(finding.server.id, finding.evidence) for finding in judgement.deaths]


BY_LOCK, BY_LEASE = [("other", Evidence.LOCK)], [("other", Evidence.LEASE)]


# ---------------------------------------------------------------------- by lock


def test_a_lock_that_was_held_and_is_free_is_a_death_once_the_beat_is_overdue(observer: Observer) -> None:
    assert evidence(observer.sees(0.1)) == []
    assert evidence(observer.sees(0.61, free=True)) == BY_LOCK


def test_a_held_lock_is_no_death_however_old_the_beat(observer: Observer) -> None:
    observer.sees(0.1)
    assert evidence(observer.sees(4.9)) == []


def test_a_free_lock_waits_until_the_beat_is_overdue_and_says_when(observer: Observer) -> None:
    observer.sees(0.1)
    judgement = observer.sees(0.25, free=True)
    assert evidence(judgement) == []
    assert judgement.again is not None
    assert judgement.again == pytest.approx(0.35)
    assert observer.sees(0.25 + judgement.again + 0.001, free=True).deaths


def test_overdue_is_counted_in_the_beats_of_the_other(observer: Observer) -> None:
    observer.sees(0.1, beat_every=seconds(2))
    assert observer.sees(2.3, free=True).again == pytest.approx(0.1)
    assert evidence(observer.sees(2.41, free=True)) == BY_LOCK


def test_one_that_does_not_say_how_often_it_beats_is_measured_by_mine(observer: Observer) -> None:
    observer.sees(0.1, beat_every=seconds(0))
    assert observer.sees(0.5, free=True).again == pytest.approx(0.1)
    assert evidence(observer.sees(0.61, free=True)) == BY_LOCK


def test_a_lock_that_i_never_saw_held_proves_nothing_by_being_free(observer: Observer) -> None:
    judgement = observer.sees(0.7, free=True)
    assert evidence(judgement) == []
    assert judgement.again is None


def test_what_an_earlier_session_of_mine_saw_counts_no_more(observer: Observer) -> None:
    """After a restart of the database all locks are free and all sessions new: nobody has died."""
    observer.sees(0.1)
    observer.watch.began()
    assert evidence(observer.sees(0.7, free=True)) == []


def test_a_new_key_must_be_seen_held_again(observer: Observer) -> None:
    observer.sees(0.1)
    assert evidence(observer.sees(0.7, free=True, lock_key="k2")) == []
    observer.sees(0.8)
    assert evidence(observer.sees(0.9, free=True)) == BY_LOCK


def test_a_key_that_was_seen_held_before_another_must_be_seen_held_again(observer: Observer) -> None:
    observer.sees(0.1)
    observer.sees(0.2, free=True, lock_key="k2")
    assert evidence(observer.sees(0.7, free=True, lock_key="k1")) == []


@pytest.mark.parametrize("lost", [{"lock_ok": False}, {"lock_key": ""}])
def test_without_a_good_lock_only_the_lease_counts(lost: dict[str, Any], observer: Observer) -> None:
    """The store says of such a lock that it is not free; and it was not seen held."""
    observer.sees(0.1, **lost)
    assert not Sighting(observer.other, False, NOW).lock_held
    assert evidence(observer.sees(0.7)) == []
    assert evidence(observer.sees(0.8, free=True, lock_ok=True, lock_key="k1")) == []
    assert evidence(observer.sees(5.2)) == BY_LEASE


def test_a_clock_set_forward_kills_nobody_who_holds_the_lock(observer: Observer) -> None:
    observer.sees(0.1)
    assert evidence(observer.sees(0.2, ahead=3_600)) == []


def test_a_clock_set_back_does_not_hide_a_death(observer: Observer) -> None:
    observer.sees(0.1)
    assert observer.sees(0.6, free=True, ahead=-3_600).again == pytest.approx(0.1)
    assert evidence(observer.sees(0.71, free=True, ahead=-3_600)) == BY_LOCK


# ---------------------------------------------------------------------- by lease


def test_a_lease_that_passed_over_one_beat_is_a_death(observer: Observer) -> None:
    observer.sees(0)
    assert evidence(observer.sees(4.9)) == []
    assert evidence(observer.sees(5.0)) == BY_LEASE


def test_a_lease_that_passed_before_i_looked_is_not_enough(observer: Observer) -> None:
    observer.sees(10)
    assert evidence(observer.sees(14.9)) == []
    assert evidence(observer.sees(15)) == BY_LEASE


def test_each_beat_begins_the_watch_anew(observer: Observer) -> None:
    """Also where the database's clock was set forward, so that every lease seems to have passed."""
    for at in range(1, 12):
        observer.beats(at)
        assert evidence(observer.sees(at, ahead=3_600)) == []
    assert evidence(observer.sees(15.9, ahead=3_600)) == []
    assert evidence(observer.sees(16, ahead=3_600)) == BY_LEASE


def test_the_same_beat_for_a_lease_is_not_enough_while_the_lease_runs(observer: Observer) -> None:
    """My clock may go too fast."""
    observer.sees(0)
    assert evidence(observer.sees(6, ahead=-1.5)) == []
    assert evidence(observer.sees(6, ahead=-1)) == BY_LEASE


def test_a_lease_that_was_granted_by_a_clock_that_was_set_back_says_nothing(observer: Observer) -> None:
    observer.sees(0, ahead=-3_600)
    assert evidence(observer.sees(4.9, ahead=-3_600)) == []
    assert evidence(observer.sees(5, ahead=-3_600)) == BY_LEASE


def test_the_lease_is_that_of_the_other(observer: Observer) -> None:
    observer.sees(2, lease_until=NOW + seconds(9))
    assert evidence(observer.sees(10.9)) == []
    assert evidence(observer.sees(11)) == BY_LEASE


def test_a_new_session_of_mine_begins_the_watch_anew(observer: Observer) -> None:
    observer.sees(0)
    observer.lives_until(4)
    observer.watch.began()
    observer.sees(4.1)
    assert evidence(observer.sees(9)) == []
    assert evidence(observer.sees(9.1)) == BY_LEASE


def test_a_gap_of_more_than_two_of_my_beats_begins_the_watch_anew(observer: Observer) -> None:
    """I was stopped, or cut off: what I read after that may be old news of before."""
    observer.sees(0)
    observer.lives_until(2)
    observer.stunned(3.1)
    observer.sees(3.25)
    assert evidence(observer.sees(8.1)) == []
    assert evidence(observer.sees(8.25)) == BY_LEASE


def test_two_beats_of_mine_are_no_gap(observer: Observer) -> None:
    observer.sees(0)
    observer.lives_until(2)
    observer.stunned(3)
    assert evidence(observer.sees(5)) == BY_LEASE


def test_while_no_beat_of_mine_arrives_nobody_dies_by_lease(observer: Observer) -> None:
    observer.sees(0)
    observer.lives_until(3)
    assert evidence(observer.sees(5.5, without_beats=True)) == []
    observer.stunned(5.5)
    assert evidence(observer.sees(10.4)) == []


def test_an_observer_that_has_never_beaten_sees_nobody_die_by_lease(observer: Observer) -> None:
    observer.watch = Watch(BEAT)
    observer.sees(0, without_beats=True)
    assert evidence(observer.sees(9, without_beats=True)) == []


def test_a_gap_of_mine_does_not_hide_a_free_lock(observer: Observer) -> None:
    """The session did not break."""
    observer.sees(0.1)
    observer.stunned(60)
    assert evidence(observer.sees(60, free=True)) == BY_LOCK


# ---------------------------------------------------------------------- and besides


def test_i_never_declare_myself_dead() -> None:
    watch = Watch(BEAT)
    watch.began()
    me = replace(ME, lock_key="k0")
    for at in (0, 0.5, 1, 1.5, 2):
        watch.beaten(at)
        assert watch.judge([Sighting(me, at > 0, NOW + seconds(at * 100))], me="me", at=at).deaths == ()


def test_of_several_each_has_its_own_watch(observer: Observer) -> None:
    early, late = observer.other, server("late", mode="multi", lock_key="k9", lease_until=NOW + seconds(LEASE))

    def look(at: float, *others: Server) -> list[tuple[str, Evidence]]:
        observer.lives_until(at)
        return evidence(observer.watch.judge([Sighting(other, False, NOW + seconds(at)) for other in others], me="me", at=at))

    assert look(0, early) == []
    assert look(1, early, late) == []
    assert look(5, early, late) == BY_LEASE
    assert look(6, early, late) == [*BY_LEASE, ("late", Evidence.LEASE)]


def test_one_whose_row_was_gone_is_watched_anew(observer: Observer) -> None:
    observer.sees(0)
    observer.lives_until(4)
    observer.watch.judge([], me="me", at=4)
    observer.sees(4.5)
    assert evidence(observer.sees(9)) == []
    assert evidence(observer.sees(9.5)) == BY_LEASE


@pytest.mark.parametrize(
    ("at", "fields", "expected"),
    [
        (1, {}, ("me", "other")),
        (1, {"draining": True}, ("me",)),
        (5, {}, ("me",)),
        (1, {"id": "a"}, ("a", "me")),
    ],
    ids=["lives", "draining", "lease passed", "sorted"],
)
def test_peers_live_and_take_new_work(at: float, fields: dict[str, Any], expected: tuple[str, ...], observer: Observer) -> None:
    assert observer.sees(at, **fields).peers == expected


def test_the_dead_are_no_peers(observer: Observer) -> None:
    observer.sees(0.1)
    assert observer.sees(0.7, free=True).peers == ("me",)


def test_of_two_free_locks_the_sooner_says_when_to_look_again(observer: Observer) -> None:
    other = replace(observer.other, id="another", last_beat_at=NOW + seconds(0.1))

    def look(at: float, free: bool) -> Judgement:
        return observer.watch.judge([Sighting(one, free, NOW + seconds(at)) for one in (other, observer.other)], me="me", at=at)

    look(0.2, False)
    assert look(0.4, True).again == pytest.approx(0.2)
