"""Places, lanes and the end of the workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from waiting import until

from workflow_runtime.engine.calling import Caller
from workflow_runtime.engine.workers import Place, Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2)
    made.start()
    yield made
    made.close(5)


def test_a_reserved_place_is_kept_until_work_is_given_or_it_is_left(workers: Workers) -> None:
    one, two = workers.reserve(), workers.reserve()
    assert one is not None
    assert two is not None
    assert workers.reserve(wait=False) is None
    assert not workers.offer(lambda: None)
    assert not workers.wait_until_idle(0)
    two.leave()
    assert workers.offer(lambda: None)
    done = threading.Event()
    one.give(done.set)
    assert done.wait(5)
    assert workers.wait_until_idle(5)


def test_suspects_have_one_place_of_their_own(workers: Workers) -> None:
    first = workers.reserve(suspect=True)
    assert first is not None
    assert workers.reserve(suspect=True, wait=False) is None
    ran = threading.Event()
    assert workers.offer(ran.set)
    assert ran.wait(5)
    first.leave()
    again = workers.reserve(suspect=True, wait=False)
    assert again is not None
    again.leave()


def test_one_that_is_cleared_makes_room_for_the_next_suspect(workers: Workers) -> None:
    on, ended = threading.Event(), threading.Event()

    def suspect() -> None:
        workers.clear()
        on.set()
        assert ended.wait(5)

    assert workers.submit(suspect, suspect=True)
    assert on.wait(5)
    for _ in range(2):  # of the two ordinary places it has one now
        assert workers.offer(lambda: None, suspect=True)
        assert workers.offer(lambda: None)
        until(lambda: workers._open == 1)
    assert workers.offer(ended.wait)
    assert not workers.offer(lambda: None)
    ended.set()
    assert workers.wait_until_idle(5)
    assert [workers.reserve(wait=False, suspect=suspect) is not None for suspect in (True, True, False, False, False)] == [True, False, True, True, False]


def test_one_that_is_cleared_stays_where_it_is_while_no_other_place_is_free(workers: Workers) -> None:
    others, ended, cleared = [workers.reserve(), workers.reserve()], threading.Event(), threading.Semaphore(0)

    def suspect() -> None:
        for _ in range(2):
            workers.clear()
            cleared.release()
            assert ended.wait(5)
            ended.clear()

    assert workers.submit(suspect, suspect=True)
    assert cleared.acquire(timeout=5)
    assert workers.reserve(wait=False, suspect=True) is None
    for place in others:
        assert place
        place.leave()
    ended.set()
    assert cleared.acquire(timeout=5)
    after = workers.reserve(wait=False, suspect=True)
    assert after is not None
    after.leave()
    ended.set()
    assert workers.wait_until_idle(5)


def test_who_is_no_suspect_or_no_worker_has_nothing_to_clear(workers: Workers) -> None:
    workers.clear()
    assert workers.submit(workers.clear)
    assert workers.wait_until_idle(5)
    assert [workers.reserve(wait=False, suspect=suspect) is not None for suspect in (True, True, False, False, False)] == [True, False, True, True, False]


@pytest.mark.parametrize("error", [ValueError("bang"), SystemExit(3)])
def test_work_that_raises_frees_its_place(workers: Workers, error: BaseException) -> None:
    def bang() -> None:
        raise error

    for _ in range(5):
        assert workers.submit(bang)
    assert workers.wait_until_idle(5)


def test_a_worker_knows_that_it_is_one(workers: Workers) -> None:
    said: list[bool] = []
    workers.submit(lambda: said.append(workers.am_one))
    assert workers.wait_until_idle(5)
    assert (said, workers.am_one) == ([True], False)


def test_closing_wakes_everybody_who_waits_for_a_place() -> None:
    workers, release, answers = Workers(1), threading.Event(), []
    workers.start()
    assert workers.submit(lambda: release.wait(20))
    waiting = [threading.Thread(target=lambda: answers.append(workers.submit(lambda: None))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    closing = threading.Thread(target=lambda: answers.append(workers.close(20)))
    closing.start()
    until(lambda: len(answers) == 3)
    assert answers == [False] * 3
    release.set()
    closing.join(20)
    assert answers[-1] is True


def test_closing_says_when_something_still_runs() -> None:
    workers, release = Workers(1), threading.Event()
    workers.start()
    workers.submit(lambda: release.wait(20))
    assert workers.close(0) is False
    release.set()


def test_after_the_grace_nothing_is_taken_and_nobody_waits(workers: Workers) -> None:
    place, waited = workers.reserve(), []
    assert place is not None
    waiting = threading.Thread(target=lambda: waited.append(workers.wait_until(lambda: False)), daemon=True)
    waiting.start()
    assert workers.close(0) is False
    waiting.join(5)
    assert waited == [False]
    ran: list[str] = []
    assert place.give(lambda: ran.append("work")) is False
    place.leave()
    assert workers.wait_until_idle(0)
    assert ran == []


def test_what_the_work_awaits_elsewhere_is_work_too(workers: Workers) -> None:
    """An async action runs on the loop of another thread, and the worker waits for it."""
    caller, said = Caller(), []

    async def act() -> None:
        said.append(workers.am_one)

    workers.submit(lambda: caller.call(act))
    assert workers.wait_until_idle(5)
    caller.call(act)
    caller.close()
    assert said == [True, False]


def shares(workers: Workers, count: int) -> list[Place]:
    """So many places that recovery holds."""
    places = [place for _ in range(count) if (place := workers.reserve(wait=False, share=True)) is not None]
    assert len(places) == count
    return places


def waiting_for_share(workers: Workers) -> tuple[threading.Thread, list[Place | None]]:
    """Somebody of recovery who waits for a worker."""
    got: list[Place | None] = []
    thread = threading.Thread(target=lambda: got.append(workers.reserve(share=True)), daemon=True)
    thread.start()
    return thread, got


@pytest.mark.parametrize(("count", "share"), [(1, 1), (2, 1), (3, 2), (8, 6)])
def test_recovery_leaves_some_workers_to_those_who_were_refused(count: int, share: int) -> None:
    workers = Workers(count)
    held = shares(workers, count)
    assert not workers.offer(lambda: None)
    held.pop().leave()
    assert (workers.reserve(wait=False, share=True) is not None) is (len(held) < share)


def test_while_nobody_was_refused_recovery_takes_them_all() -> None:
    workers = Workers(8)
    shares(workers, 8)


def test_a_timer_that_was_refused_gets_the_next_worker_though_recovery_waits() -> None:
    workers = Workers(2)
    held = shares(workers, 2)
    assert not workers.offer(lambda: None)
    thread, got = waiting_for_share(workers)
    held.pop().leave()
    timer = workers.reserve(wait=False)
    assert timer is not None
    assert got == []
    held.pop().leave()
    thread.join(10)
    assert len(got) == 1, "what recovery holds is below its share again"


def test_who_is_served_holds_recovery_back_no_longer() -> None:
    workers = Workers(3)
    shares(workers, 2)
    timer = workers.reserve(wait=False)
    assert timer is not None
    assert not workers.offer(lambda: None)
    thread, got = waiting_for_share(workers)
    timer.leave()
    again = workers.reserve(wait=False)
    assert again is not None
    again.leave()
    thread.join(10)
    assert len(got) == 1


def test_closing_wakes_recovery_that_waits_for_its_share() -> None:
    workers = Workers(2)
    shares(workers, 1)[0].leave()
    held = shares(workers, 2)
    assert not workers.offer(lambda: None)
    held[0].leave()
    thread, got = waiting_for_share(workers)
    workers.close(0)
    thread.join(10)
    assert got == [None]
