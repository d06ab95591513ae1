"""The alarm by itself: no thread, no scheduler, a clock that is a number."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workflow_runtime.engine.clockwork import Alarm

EVERY = 5.0


class Bench:
    """An alarm on a table: ``rung`` is what it asked for, ``answers`` what its work returns, run by run."""

    def __init__(self, *answers: float | Callable[[], float | None] | None, by_hand: bool = False) -> None:
        self.now = 100.0
        self.runs = 0
        self.rung: list[float] = []
        self._answers = list(answers)
        self.alarm = Alarm(self._work, every=EVERY, ring=None if by_hand else self.rung.append, monotonic=lambda: self.now)

    def _work(self) -> float | None:
        self.runs += 1
        answer = self._answers.pop(0) if self._answers else None
        return answer() if callable(answer) else answer


def test_before_the_first_run_nothing_needs_to_ring() -> None:
    bench = Bench()
    bench.alarm.wake(bench.now)
    bench.alarm.wake(bench.now + 1)
    assert bench.rung == []


def test_it_rings_when_the_work_wants_it() -> None:
    bench = Bench(103.0)
    bench.alarm.run()
    assert bench.rung == [103.0]


def test_what_the_work_wants_after_the_next_run_needs_no_ring() -> None:
    bench = Bench(100.0 + EVERY)
    bench.alarm.run()
    assert bench.rung == []


def test_only_an_earlier_moment_rings_again() -> None:
    bench = Bench(None)
    bench.alarm.run()
    for moment in (104.0, 104.5, 104.0, 102.0, 103.0, 120.0):
        bench.alarm.wake(moment)
    assert bench.rung == [104.0, 102.0]


def test_a_wake_says_whether_it_is_sooner_than_anything_known() -> None:
    bench = Bench(None)
    assert not bench.alarm.wake(100.5), "the first run comes before that"
    bench.alarm.run()
    assert [bench.alarm.wake(moment) for moment in (105.0, 104.0, 104.0, 104.5, 102.0)] == [False, True, False, False, True]
    bench.alarm.close()
    assert not bench.alarm.wake(101.0)


def test_in_the_middle_of_a_run_only_what_comes_before_the_next_regular_one_is_news() -> None:
    bench, said = Bench(), list[bool]()

    def wishes() -> None:
        said.extend(bench.alarm.wake(moment) for moment in (105.0, 104.0, 104.5, 103.0))

    bench._answers = [wishes]
    bench.alarm.run()
    assert said == [False, True, False, True]


def test_a_moment_that_is_past_rings() -> None:
    bench = Bench(None)
    bench.alarm.run()
    bench.alarm.wake(7.0)
    assert bench.rung == [7.0]


def test_after_a_run_the_next_one_is_not_known_any_more() -> None:
    bench = Bench(101.0, None)
    bench.alarm.run()
    bench.now = 101.0
    bench.alarm.run()
    bench.alarm.wake(104.0)
    assert bench.rung == [101.0, 104.0]


def test_it_goes_round_while_something_is_due() -> None:
    bench = Bench(100.0, 99.0, 100.0, 102.0)
    bench.alarm.run()
    assert bench.runs == 4
    assert bench.rung == [102.0]


def test_a_wish_in_the_middle_of_a_run_makes_it_go_round_again() -> None:
    bench = Bench()
    bench._answers = [lambda: bench.alarm.wake(100.0) and None, 103.0]
    bench.alarm.run()
    assert bench.runs == 2
    assert bench.rung == [103.0]


def test_a_wish_in_the_middle_for_later_is_remembered() -> None:
    bench = Bench()

    def wishes() -> float:
        bench.alarm.wake(102.0)
        bench.alarm.wake(101.0)
        bench.alarm.wake(104.0)
        return 103.0

    bench._answers = [wishes]
    bench.alarm.run()
    assert bench.runs == 1
    assert bench.rung == [101.0]


def test_a_run_in_the_middle_of_a_run_is_left_to_the_first() -> None:
    bench = Bench()
    depth: list[int] = []

    def runs_itself() -> None:
        before = bench.runs
        bench.alarm.run()
        depth.append(bench.runs - before)

    bench._answers = [runs_itself, runs_itself, None]
    bench.alarm.run()
    assert depth == [0, 0]
    assert bench.runs == 3


def test_a_wish_of_an_earlier_run_is_not_kept() -> None:
    bench = Bench()
    bench._answers = [lambda: bench.alarm.wake(102.0) and None, None]
    bench.alarm.run()
    bench.now = 102.0
    bench.alarm.run()
    assert bench.runs == 2
    assert bench.rung == [102.0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_the_work_raises_passes_through_and_leaves_the_job_free(error: type[BaseException]) -> None:
    bench = Bench()

    def breaks() -> None:
        raise error

    bench._answers = [breaks, None]
    with pytest.raises(error):
        bench.alarm.run()
    bench.alarm.run()
    assert bench.runs == 2


def test_closed_it_neither_runs_nor_rings() -> None:
    bench = Bench(None)
    bench.alarm.run()
    bench.alarm.close()
    bench.alarm.run()
    bench.alarm.wake(bench.now)
    bench.alarm.rearm()
    assert bench.runs == 1
    assert bench.rung == []


def test_closed_in_the_middle_it_comes_to_rest_at_once() -> None:
    bench = Bench()

    def closes() -> float:
        bench.alarm.close()
        return bench.now

    bench._answers = [closes, closes]
    bench.alarm.run()
    assert bench.runs == 1
    assert bench.rung == []


def test_rearmed_it_rings_whatever_it_knew() -> None:
    bench = Bench(100.5)
    bench.alarm.run()
    bench.now = 100.6
    bench.alarm.rearm()
    assert bench.rung == [100.5, 100.6]


def test_by_hand_a_wake_runs_what_is_due_and_nothing_else() -> None:
    bench = Bench(by_hand=True)
    bench.alarm.wake(100.5)
    assert bench.runs == 0
    bench.alarm.wake(100.0)
    bench.alarm.wake(99.0)
    assert bench.runs == 2
