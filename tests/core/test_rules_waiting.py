"""Rules of a process that waits: an attempt that failed, the wait, what is handed back, and who takes it up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from factories import NOW, walk
from ruled import ERROR, SCHEME, after, executed

from workflow_runtime.core import rules, waiting
from workflow_runtime.core.attempts import Attempts, counted, failures
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import ChangeKind, EntryKind, ProcessStatus, Timer, TimerKind

SOON = NOW + timedelta(seconds=8)
FAILED = (Attempts(1, 2, NOW),)


def test_an_attempt_that_failed_is_counted_and_told_and_the_process_stays_mine() -> None:
    running = executed(walk(step=1, actor="olga"), last_seq=6)
    change = waiting.attempted(running, FAILED, ERROR, "attempt 2 failed", server="me", now=NOW)
    told = after(change)
    assert (told.walk, told.last_error, told.owner, told.token) == (replace(running.walk, attempts=FAILED), ERROR, "me", running.token)  # type: ignore[type-var]
    (entry,) = change.entries
    assert (entry.kind, entry.seq, told.last_seq, entry.error, entry.actor, entry.walk_id) == (EntryKind.RETRY, 7, 7, ERROR, "olga", running.walk.id)  # type: ignore[union-attr]
    assert entry.reason == "attempt 2 failed"
    assert (change.arm, change.release) == ((), False)


def test_what_is_ignored_is_told_all_the_same() -> None:
    running = executed(walk(step=1), last_seq=6)
    change = waiting.ignored(running, ERROR, "a handler ignores it", server="me", now=NOW)
    (entry,) = change.entries
    assert (entry.kind, entry.seq, entry.status, entry.error, entry.reason) == (EntryKind.FAILED, 7, ProcessStatus.RUNNING, ERROR, "a handler ignores it")
    assert (after(change).walk, after(change).owner, after(change).last_seq) == (running.walk, "me", 7)


def test_what_waits_is_nobodys_and_has_a_row_that_brings_it_back() -> None:
    running = executed(walk(step=1, attempts=FAILED), deaths=2, deaths_step="B#1")
    change = waiting.wait(running, SOON, now=NOW)
    assert (change.kind, after(change).status, after(change).walk) == (ChangeKind.WAIT, ProcessStatus.RUNNING, running.walk)
    assert (after(change).owner, after(change).token, after(change).waiting_until, after(change).is_waiting) == (None, running.token + 1, SOON, True)
    assert (after(change).deaths, change.arm) == (2, (Timer(name="retry", kind=TimerKind.RETRY, due=SOON),))


def test_released_work_is_anybodys_at_once_and_counts_nothing() -> None:
    running = executed(walk(step=1, tries=1), deaths=2, deaths_step="B#1")
    change = waiting.release(running, now=NOW)
    assert (change.kind, after(change).owner, after(change).token, after(change).walk) == (ChangeKind.RELEASE, None, running.token + 1, running.walk)
    assert (after(change).deaths, after(change).is_waiting, after(change).waiting_until) == (2, True, NOW)
    assert change.arm == (Timer(name="retry", kind=TimerKind.RETRY, due=NOW),)


def test_what_is_queued_is_born_nobodys_and_any_server_starts_it() -> None:
    born = rules.create(SCHEME, process_id=UUID(int=7), token=99, owner="me", walk_id="w", now=NOW, persistent=FrozenDict({"a": 1}))
    change = waiting.queue(born)
    assert (change.kind, change.before, after(change)) == (ChangeKind.CREATE, None, replace(after(born), owner=None))
    assert (after(change).is_waiting, change.arm) == (True, (Timer(name="start", kind=TimerKind.START, due=NOW),))
    begun = after(waiting.take_up(change.result, owner="me", now=SOON))
    assert (begun.walk, begun.token, begun.owner) == (after(born).walk, 100, "me")


def test_any_server_takes_it_up_with_a_new_token_and_the_row_goes() -> None:
    left = executed(owner=None, waiting_until=NOW, token=5)
    change = waiting.take_up(left, owner="me", now=NOW)
    assert (change.kind, change.release, after(change).owner, after(change).token) == (ChangeKind.CLAIM, True, "me", 6)
    assert (after(change).walk, after(change).waiting_until) == (left.walk, None)


def test_failures_are_counted_for_each_action_by_itself_from_its_first() -> None:
    once, first = counted((), 1, NOW)
    twice, again = counted(once, 1, SOON)
    both, other = counted(twice, 2, SOON)
    assert (first, again, other) == (Attempts(1, 1, NOW), Attempts(1, 2, NOW), Attempts(2, 1, SOON))
    assert [failures(both, index) for index in (0, 1, 2)] == [0, 2, 1]
