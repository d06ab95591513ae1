"""Group commit on SQLite: who comes while another commits is committed together with the others who came; see grouping.py."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import Empty
from threading import Barrier, Event, get_ident
from typing import Any

import pytest
import sqlalchemy as sa
from factories import arrival, claim, creation, entry, process
from stored import ONLY_SQLITE, everything, put
from waiting import until

from workflow_runtime.core.process import Change
from workflow_runtime.errors import ParameterError, ProcessAlreadyExists, StoreUnavailable
from workflow_runtime.store import changes, grouping
from workflow_runtime.store.changes import Applied, Outcome
from workflow_runtime.store.grouping import Line, Waiter
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.sqlite import Sqlite
from workflow_runtime.store.trouble import Trouble
from workflow_runtime.store.writes import Store

pytestmark = ONLY_SQLITE

Work = Callable[[], Any]
Ending = Callable[[Sqlite, Any, bool], None]
end_write, begin_write = Sqlite.end_write, Sqlite.begin_write


def sqlite_of(store: Store) -> Sqlite:
    assert isinstance(store.dialect, Sqlite)
    return store.dialect


def line_of(store: Store) -> Line:
    return sqlite_of(store)._line


def together(store: Store, *works: Work) -> list[Future[Any]]:
    """The first leads and the others stand behind it in this order before the first can begin; all are done when this returns."""
    line = line_of(store)
    with ThreadPoolExecutor(len(works)) as pool, sqlite_of(store)._turn:
        futures = [pool.submit(works[0])]
        until(line._lead.locked)
        for number, work in enumerate(works[1:], start=1):
            futures.append(pool.submit(work))
            until(lambda number=number: len(line._waiting) == number)
    assert not line._lead.locked()
    assert not line._waiting
    return futures


def applied(store: Store, *given: Change) -> list[Work]:
    return [partial(store.apply, change) for change in given]


def traced(store: Store) -> Counter[str]:
    """Statements by their first word, of all connections, from now on."""
    seen: Counter[str] = Counter()

    def note(text: str) -> None:
        seen[text.split()[0]] += 1

    with store.dialect.connected() as driver:
        driver.set_trace_callback(note)
    sa.event.listen(store.dialect.engine, "connect", lambda driver, _: driver.set_trace_callback(note))
    return seen


def outcomes(futures: list[Future[Applied]]) -> list[Outcome]:
    return [future.result().outcome for future in futures]


def is_stored(store: Store, change: Change) -> bool:
    return store.load(change.result.id) == change.result


def claims(store: Store, number: int) -> list[Change]:
    return [claim(put(store, process())) for _ in range(number)]


# -- one commit --


def test_those_who_come_while_another_leads_are_committed_with_it(store: Store) -> None:
    given = claims(store, 5)
    seen = traced(store)
    assert outcomes(together(store, *applied(store, *given))) == [Outcome.APPLIED] * 5
    assert (seen["BEGIN"], seen["COMMIT"], seen["ROLLBACK"]) == (1, 1, 0)
    assert all(is_stored(store, change) for change in given)


def test_nobody_returns_before_the_commit_has(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    given, returned, at_commit = claims(store, 4), Counter[str](), []

    def watched(dialect: Sqlite, driver: Any, commit: bool) -> None:
        end_write(dialect, driver, commit)
        at_commit.append(returned.total())

    def apply(change: Change) -> None:
        store.apply(change)
        returned["all"] += 1

    monkeypatch.setattr(Sqlite, "end_write", watched)
    together(store, *(partial(apply, change) for change in given))
    assert at_commit == [0]
    assert returned.total() == 4


def test_a_group_has_a_largest_size_and_the_next_leads_the_rest(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "MOST", 2)
    given = claims(store, 5)
    seen = traced(store)
    assert outcomes(together(store, *applied(store, *given))) == [Outcome.APPLIED] * 5
    assert seen["COMMIT"] == 2


def test_who_comes_alone_has_a_transaction_of_its_own_and_stands_in_no_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(grouping, "Waiter")
    given = claims(store, 3)
    seen = traced(store)
    assert [store.apply(change).outcome for change in given] == [Outcome.APPLIED] * 3
    assert seen["BEGIN"] == seen["COMMIT"] == 3


# -- each for itself --


def test_one_that_loses_its_guard_takes_nothing_from_the_others(store: Store) -> None:
    first, second = claims(store, 2)
    again = claim(first.before)  # type: ignore[arg-type]
    seen = traced(store)
    assert outcomes(together(store, *applied(store, first, again, second))) == [Outcome.APPLIED, Outcome.LOST, Outcome.APPLIED]
    assert seen["COMMIT"] == 1
    assert is_stored(store, first)
    assert is_stored(store, second)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["leads", "in the middle", "last"])
def test_one_that_meets_a_conflict_is_told_so_and_the_others_are_stored(store: Store, place: int) -> None:
    there, given = put(store, process()), claims(store, 2)
    given.insert(place, creation(process(id=there.id, activity="Elsewhere")))
    futures = together(store, *applied(store, *given))
    assert isinstance(futures.pop(place).exception(), ProcessAlreadyExists)
    del given[place]
    assert outcomes(futures) == [Outcome.APPLIED] * 2
    assert all(is_stored(store, change) for change in given)
    assert store.load(there.id) == there


def test_two_that_fail_have_each_its_own_error(store: Store) -> None:
    there, rest, given = put(store, process()), put(store, process()), claims(store, 2)
    spoiled = claim(rest, entries=(entry(rest, reason="\udc80"),))
    met = creation(process(id=there.id, activity="Elsewhere"))
    first, unreadable, meets, last = together(store, *applied(store, given[0], spoiled, met, given[1]))
    assert isinstance(unreadable.exception(), ParameterError)
    assert isinstance(meets.exception(), ProcessAlreadyExists)
    assert outcomes([first, last]) == [Outcome.APPLIED] * 2
    assert store.load(rest.id) == rest


# -- the commit --


def disk_full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def refusing(times: int) -> Ending:
    left = Counter(refusals=times)

    def refused(dialect: Sqlite, driver: Any, commit: bool) -> None:
        refuses = commit and left["refusals"] > 0
        end_write(dialect, driver, commit and not refuses)
        if refuses:
            left["refusals"] -= 1
            raise disk_full()

    return refused


def test_a_disk_that_stays_full_is_told_to_each_and_nothing_is_stored(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    given, before = claims(store, 3), everything(store)
    monkeypatch.setattr(Sqlite, "end_write", refusing(99))
    errors = [future.exception() for future in together(store, *applied(store, *given))]
    assert len({id(error) for error in errors}) == 3
    for error in errors:
        assert isinstance(error, StoreUnavailable)
        assert (error.nouns["outcome"], error.nouns["reason"]) == ("known", Trouble.DISK_FULL)
    assert everything(store) == before


def test_a_commit_that_is_refused_once_is_tried_by_each_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    given = claims(store, 3)
    monkeypatch.setattr(Sqlite, "end_write", refusing(1))
    first, *others = together(store, *applied(store, *given))
    assert outcomes([first, *others]) == [Outcome.APPLIED] * 3
    assert all(is_stored(store, change) for change in given)


# -- interrupted --


def test_a_leader_interrupted_in_the_work_of_others_leaves_them_to_themselves(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    given, run, by = claims(store, 3), changes.run, Counter[int]()

    def interrupted(transaction: Any, planned: Any) -> Applied:
        by[get_ident()] += 1
        if by[get_ident()] == 2:
            raise KeyboardInterrupt
        return run(transaction, planned)

    monkeypatch.setattr(changes, "run", interrupted)
    leader, *others = together(store, *applied(store, *given))
    assert isinstance(leader.exception(), KeyboardInterrupt)
    assert outcomes(others) == [Outcome.APPLIED] * 2
    assert [is_stored(store, change) for change in given] == [False, True, True]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, TimeoutError])
@pytest.mark.parametrize("is_committed", [True, False], ids=["behind it", "before it"])
def test_when_a_leader_is_interrupted_in_its_commit_the_others_look(
    store: Store, monkeypatch: pytest.MonkeyPatch, is_committed: bool, interruption: type[BaseException]
) -> None:
    given, left = claims(store, 3), [interruption]

    def ended(dialect: Sqlite, driver: Any, commit: bool) -> None:
        if not left:
            return end_write(dialect, driver, commit)
        end_write(dialect, driver, commit and is_committed)
        raise left.pop()

    monkeypatch.setattr(Sqlite, "end_write", ended)
    leader, *others = together(store, *applied(store, *given))
    assert isinstance(leader.exception(), interruption)
    assert outcomes(others) == [Outcome.APPLIED] * 2
    assert [is_stored(store, change) for change in given] == [is_committed, True, True]


def test_who_is_not_told_any_more_looks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(store)

    class Bell(grouping.SimpleQueue):  # type: ignore[type-arg]
        def get(self, block: bool = True, timeout: float | None = None) -> None:
            until(lambda: not line._lead.locked())
            raise Empty

    def interrupted(waiter: Waiter, word: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(grouping, "SimpleQueue", Bell)
    monkeypatch.setattr(Waiter, "tell", interrupted)
    given = claims(store, 2)
    leader, other = together(store, *applied(store, *given))
    assert isinstance(leader.exception(), KeyboardInterrupt)
    assert other.result().outcome is Outcome.APPLIED
    assert all(is_stored(store, change) for change in given)


class InterruptedBell(grouping.SimpleQueue):  # type: ignore[type-arg]
    """Whoever stood in line first is interrupted when it is called."""

    made: list[InterruptedBell]

    def __init__(self) -> None:
        self.made.append(self)

    def get(self, block: bool = True, timeout: float | None = None) -> None:
        super().get(block, timeout)
        if self is self.made[0]:
            raise KeyboardInterrupt


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[InterruptedBell]:
    monkeypatch.setattr(InterruptedBell, "made", [], raising=False)
    monkeypatch.setattr(grouping, "SimpleQueue", InterruptedBell)
    return InterruptedBell.made


def test_a_waiter_that_is_interrupted_goes_and_its_change_is_not_made(store: Store, bells: list[InterruptedBell]) -> None:
    given, line = claims(store, 3), line_of(store)
    with ThreadPoolExecutor(3) as pool, sqlite_of(store)._turn:
        leader = pool.submit(store.apply, given[0])
        until(line._lead.locked)
        stands = pool.submit(store.apply, given[1])
        until(lambda: len(bells) == 1 and line._waiting)
        bells[0].put(None)
        assert isinstance(stands.exception(timeout=10), KeyboardInterrupt)
        behind = pool.submit(store.apply, given[2])
        until(lambda: len(line._waiting) == 1)
    assert outcomes([leader, behind]) == [Outcome.APPLIED] * 2
    assert [is_stored(store, change) for change in given] == [True, False, True]


def test_one_that_is_interrupted_when_it_is_to_lead_calls_the_next(store: Store, bells: list[InterruptedBell], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "MOST", 0)
    given = claims(store, 3)
    leader, interrupted, behind = together(store, *applied(store, *given))
    assert isinstance(interrupted.exception(), KeyboardInterrupt)
    assert outcomes([leader, behind]) == [Outcome.APPLIED] * 2
    assert [is_stored(store, change) for change in given] == [True, False, True]


# -- patience --


def test_a_waiter_that_gives_up_does_so_in_time_and_its_change_is_not_made_behind_its_back(store: Store) -> None:
    given, line = claims(store, 3), line_of(store)
    planned = changes.plan(given[1], "me")
    with ThreadPoolExecutor(3) as pool, sqlite_of(store)._turn:
        leader = pool.submit(store.apply, given[0])
        until(line._lead.locked)
        stands = pool.submit(line.run, lambda opened: changes.run(opened, planned), 0.01)
        error = stands.exception(timeout=10)
        behind = pool.submit(store.apply, given[2])
        until(lambda: len(line._waiting) == 1)
    assert isinstance(error, StoreUnavailable)
    assert "has been busy" in str(error)
    assert outcomes([leader, behind]) == [Outcome.APPLIED] * 2
    assert [is_stored(store, change) for change in given] == [True, False, True]


def test_who_loses_patience_when_a_leader_has_its_change_looks_behind_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    line, gave_up = line_of(store), Event()

    class Bell(grouping.SimpleQueue):  # type: ignore[type-arg]
        def get(self, block: bool = True, timeout: float | None = None) -> None:
            until(lambda: not line._waiting)
            gave_up.set()
            raise Empty

    def ended(dialect: Sqlite, driver: Any, commit: bool) -> None:
        assert gave_up.wait(10)
        end_write(dialect, driver, commit)

    given = claims(store, 2)
    monkeypatch.setattr(grouping, "SimpleQueue", Bell)
    monkeypatch.setattr(Sqlite, "end_write", ended)
    assert outcomes(together(store, *applied(store, *given))) == [Outcome.APPLIED] * 2
    assert all(is_stored(store, change) for change in given)


def test_a_leader_that_cannot_begin_takes_nobody_along_and_the_next_leads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    given, left = claims(store, 3), ["locked"]

    def begun(dialect: Sqlite, driver: Any) -> None:
        begin_write(dialect, driver)
        if left:
            dialect._turn.release()
            raise sqlite3.OperationalError(left.pop())

    monkeypatch.setattr(Sqlite, "begin_write", begun)
    seen = traced(store)
    leader, *others = together(store, *applied(store, *given))
    assert isinstance(leader.exception(), StoreUnavailable)
    assert outcomes(others) == [Outcome.APPLIED] * 2
    assert seen["COMMIT"] == 1


# -- all at once --


def test_many_threads_over_few_processes_lose_nothing_and_write_nothing_twice(store: Store, reader: Reader) -> None:
    subjects, start = [put(store, process()) for _ in range(4)], Barrier(12)

    def move(number: int) -> Counter[Any]:
        start.wait()
        made: Counter[Any] = Counter()
        for turn in range(25):
            if (number + turn) % 10 == 0:
                with pytest.raises(ProcessAlreadyExists):
                    store.apply(creation(process(id=subjects[0].id, activity="Elsewhere")))
            found = store.load(subjects[(number + turn) % 4].id)
            assert found is not None
            made[found.id] += store.apply(arrival(found)).outcome is Outcome.APPLIED
        return made

    with ThreadPoolExecutor(12) as pool:
        made = sum(pool.map(move, range(12)), Counter[Any]())
    for subject in subjects:
        found = store.load(subject.id)
        assert found is not None
        assert found.revision == subject.revision + made[subject.id]
        assert [row.seq for row in reader.history(subject.id)] == list(range(1, found.last_seq + 1))
