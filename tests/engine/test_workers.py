"""Places, lanes and the end of the workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from waiting import until

from workflow_runtime.engine.calling import Caller
from workflow_runtime.engine.workers import Workers


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
