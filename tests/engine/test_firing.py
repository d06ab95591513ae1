"""Timers that fall due together: what one of a batch is, and that the others do not feel it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from belfry import Ear, batch_of, crowd, due, number, watched
from bench import WHO, Bench, engine_of, history, last, path_of, told
from stored import damage
from test_timers_crowds import loop_of
from timed import HOUR, text
from waiting import until

from workflow_runtime import Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.engine import firing
from workflow_runtime.engine.firing import FEWEST, MOST
from workflow_runtime.engine.timers import AT_ONCE
from workflow_runtime.engine.workers import Workers
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store.writes import Store

QUIET = text("{interval: 1h}")
MANY = 2 * FEWEST
ODD = number(FEWEST)  #: one in the midst of them


@pytest.fixture
def sizes() -> Iterator[list[int]]:
    with watched() as found:
        yield found


def activities(runtime: WorkflowRuntime, ids: list[UUID]) -> list[str]:
    return [runtime.get_process(each).activity for each in ids]


def but_odd(ids: list[UUID], ordinary: str, odd: str) -> list[str]:
    return [odd if each == ODD else ordinary for each in ids]


def in_hand(runtime: WorkflowRuntime) -> int:
    return len(engine_of(runtime).live)


# ------------------------------------------------------------------ what goes together


@pytest.mark.parametrize(("count", "together"), [(FEWEST - 1, []), (FEWEST, [FEWEST]), (MOST, [MOST])])
def test_so_many_go_together(bench: Bench, sizes: list[int], count: int, together: list[int]) -> None:
    runtime = bench(QUIET)
    ids = crowd(runtime, count)
    bench.clock.advance(HOUR)
    assert activities(runtime, ids) == ["B"] * count
    assert sizes == together
    assert in_hand(runtime) == 0


def test_more_than_go_together_are_several_batches(bench: Bench, sizes: list[int]) -> None:
    runtime = bench(QUIET)
    ids = crowd(runtime, 5 * MOST)
    bench.clock.advance(HOUR)
    assert activities(runtime, ids) == ["B"] * len(ids)
    assert [len(history(runtime, each)) for each in ids] == [2] * len(ids)
    assert sum(sizes) >= len(ids), "rows may be read while their batch is being committed: who comes second finds nothing to do"
    assert max(sizes) == MOST


@pytest.mark.parametrize(
    ("more", "is_quiet"),
    [
        ("", True),
        ("  - {from: B, to: C}\n", True),
        ("  - {from: B, to: Act}\n", False),
        ('  - {from: B, to: C}\n  - {from: C, to: Act, when: "1 > 2"}\n', False),
    ],
    ids=["rest", "a quiet chain", "one step further", "perhaps"],
)
def test_where_an_action_may_follow_each_has_a_worker_of_its_own(bench: Bench, sizes: list[int], more: str, is_quiet: bool) -> None:
    scheme = QUIET.replace("End: {final: true}}", "End: {final: true}, Act: {actions: [Note]}}") + more + "  - {from: Act, to: End, on: {command: out}}\n"
    runtime = bench(scheme)
    crowd(runtime, MANY)
    bench.clock.advance(HOUR)
    assert sizes == ([MANY] if is_quiet else [])
    assert len(bench.said) == (MANY if "B, to: Act" in more else 0)


def test_idle_timeouts_go_together_too(bench: Bench, sizes: list[int]) -> None:
    scheme = text("{interval: 9h}", a="{initial: true, idle_timeout: {after: 1h, set_activity: C}}")
    runtime = bench(scheme)
    ids = crowd(runtime, MANY)
    bench.clock.advance(HOUR)
    assert activities(runtime, ids) == ["C"] * MANY
    assert sizes == [MANY]


def test_a_version_that_was_not_met_yet_goes_one_by_one(bench: Bench, sizes: list[int]) -> None:
    """Whether its timers are quiet is not known before it is read."""
    first = bench(QUIET)
    ids = crowd(first, MANY)
    first.shutdown()
    runtime = bench.built()
    bench.clock.advance(HOUR)
    runtime.start()
    assert activities(runtime, ids) == ["B"] * MANY
    assert sizes == []


def test_of_two_timers_of_one_process_the_earlier_goes_first(bench: Bench, sizes: list[int]) -> None:
    scheme = QUIET.replace("timers:\n", "timers:\n  u: {interval: 30m}\n") + "  - {from: A, to: C, on: {timer: u}}\n"
    runtime = bench(scheme)
    ids = crowd(runtime, MANY)
    runtime.shutdown()
    bench.clock.advance(HOUR)
    runtime.start()
    assert activities(runtime, ids) == ["C"] * MANY
    assert {len(path_of(runtime, each)) for each in ids} == {2}


# ------------------------------------------------------------------ one that is not ordinary


def test_a_lost_guard_takes_nothing_from_the_others(bench: Bench, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Between decision and commit it was moved by another."""
    runtime, rival = bench(QUIET), bench(client=True)
    ids = crowd(runtime, MANY)
    apply_all = Store.apply_all

    def late(self: Store, *given: Any, **named: Any) -> Any:
        monkeypatch.setattr(Store, "apply_all", apply_all)
        rival.set_activity(ODD, "C", execute=False, **WHO)
        return apply_all(self, *given, **named)

    monkeypatch.setattr(Store, "apply_all", late)
    bench.clock.advance(HOUR)
    assert activities(runtime, ids) == but_odd(ids, "B", "C")
    assert path_of(runtime, ODD) == ["A", "C"]
    assert (sizes, in_hand(runtime)) == ([MANY], 0)


def test_a_lost_race_in_which_the_timer_still_stands_is_decided_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, rival = bench(QUIET), bench(client=True)
    ids = crowd(runtime, MANY)
    apply_all = Store.apply_all

    def late(self: Store, *given: Any, **named: Any) -> Any:
        monkeypatch.setattr(Store, "apply_all", apply_all)
        rival.set_parameter(ODD, "Note", "raises the revision", **WHO)
        return apply_all(self, *given, **named)

    monkeypatch.setattr(Store, "apply_all", late)
    bench.clock.advance(HOUR)
    assert activities(runtime, ids) == ["B"] * MANY
    assert path_of(runtime, ODD) == ["A", "B"]


def raising(error: BaseException) -> Callable[..., bool]:
    def condition(ctx: Any, parameter: str | None) -> bool:
        if ctx.process.id == ODD:
            raise error
        return True

    return condition


ASKING = text("{interval: 1h}", "{from: A, to: B, on: {timer: t}, when: {action: Asked}}")


def test_a_condition_that_raises_breaks_off_its_own_process_alone(bench: Bench, sizes: list[int]) -> None:
    runtime = bench(ASKING, conditions={"Asked": raising(ValueError("broken on purpose"))})
    ids = crowd(runtime, MANY)
    bench.clock.advance(HOUR)
    assert activities(runtime, ids) == but_odd(ids, "B", "A")
    assert told(runtime, ODD)[-1] == ("failed", "A", "Error")
    error = last(runtime, ODD).error
    assert error is not None
    assert error.message == "broken on purpose"
    assert sizes[0] == MANY


def test_a_condition_that_ends_threads_ends_the_turn_of_its_own_timer_alone(bench: Bench) -> None:
    runtime = bench(ASKING, conditions={"Asked": raising(SystemExit("broken on purpose"))})
    ids = crowd(runtime, MANY)
    bench.clock.advance(HOUR)
    assert activities(runtime, ids) == but_odd(ids, "B", "A")
    assert runtime.get_process(ODD).status is ProcessStatus.IDLED
    assert in_hand(runtime) == 0


@pytest.mark.parametrize("columns", [{"parameters": "{"}, {"walk": "{"}], ids=str)
def test_a_row_that_cannot_be_read_hides_no_other(bench: Bench, columns: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    runtime = bench(QUIET)
    ids = crowd(runtime, MANY)
    damage(engine_of(runtime).store, ODD, **columns)
    bench.clock.advance(HOUR)
    assert activities(runtime, [each for each in ids if each != ODD]) == ["B"] * (MANY - 1)
    assert sum("cannot be fired here" in record.getMessage() for record in caplog.records) == 1
    assert in_hand(runtime) == 0


def test_one_that_is_gone_or_was_moved_is_left_alone(bench: Bench) -> None:
    """Rows are read once for many, and may be old."""
    runtime = bench(QUIET)
    ids = crowd(runtime, MANY)
    rows = due(runtime)
    runtime.delete_process(ids[0], **WHO)
    runtime.set_activity(ids[1], "C", **WHO)
    bench.clock.set(bench.clock.now() + HOUR - HOUR / 60)
    batch = batch_of(runtime)
    batch.fire(rows)
    assert batch.left == {ids[0]}
    assert activities(runtime, ids[1:]) == ["C"] + ["B"] * (MANY - 2)


def test_one_that_acts_is_left_and_nothing_of_it_is_begun(bench: Bench) -> None:
    runtime = bench(
        text(
            "{interval: 1h}",
            '{from: A, to: B, on: {timer: t}, when: "X = 1"}',
            "{from: A, to: C, on: {timer: t}, otherwise: true}",
            b="{actions: [Note]}",
            head="parameters: {X: {type: int, purpose: persistence}}",
        )
    )
    ids = [runtime.create_instance("S", process_id=number(one), parameters={"X": int(number(one) == ODD)}).id for one in range(MANY)]
    batch = batch_of(runtime)
    batch.fire(due(runtime))
    assert batch.left == {ODD}
    assert bench.said == []
    assert activities(runtime, ids) == but_odd(ids, "C", "A")


def test_what_a_batch_takes_too_long_for_is_fired_one_by_one(bench: Bench, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firing, "LONGEST", -1.0)
    runtime = bench(QUIET)
    ids = crowd(runtime, MANY)
    bench.clock.advance(HOUR)
    assert activities(runtime, ids) == ["B"] * MANY
    assert {len(path_of(runtime, each)) for each in ids} == {2}
    assert sizes == [MANY]


# ------------------------------------------------------------------ the whole of it


@pytest.mark.parametrize("error", [ValueError("broken on purpose"), StoreUnavailable("a row is locked", outcome="known", reason="timeout")], ids=repr)
def test_what_the_database_refuses_as_a_whole_is_fired_one_by_one(bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(self: Store, *given: Any, **named: Any) -> Any:
        raise error

    monkeypatch.setattr(Store, "apply_all", refuse)
    runtime = bench(QUIET)
    ids = crowd(runtime, MANY)
    bench.clock.advance(HOUR)
    assert activities(runtime, ids) == ["B"] * MANY
    assert in_hand(runtime) == 0


def test_while_the_database_is_away_all_are_set_aside(bench: Bench, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: Store, *given: Any, **named: Any) -> Any:
        raise StoreUnavailable("away", outcome="known", reason="lost")

    runtime = bench(QUIET, poll=10)
    ids = crowd(runtime, MANY)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "apply_all", away)
        bench.clock.advance(HOUR)
        bench.clock.advance(9)
    assert activities(runtime, ids) == ["A"] * MANY
    assert (sizes, in_hand(runtime)) == ([MANY], 0)
    bench.clock.advance(1)
    assert activities(runtime, ids) == ["B"] * MANY


def test_without_the_right_to_write_nothing_is_fired(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = bench(QUIET)
    ids = crowd(runtime, MANY)
    with monkeypatch.context() as patch:
        patch.setattr(type(engine_of(runtime).presence), "may_execute", lambda presence: False)
        bench.clock.advance(HOUR)
    assert activities(runtime, ids) == ["A"] * MANY
    assert in_hand(runtime) == 0


# ------------------------------------------------------------------ listeners


def test_listeners_are_told_after_the_commit_the_earliest_timer_first(bench: Bench) -> None:
    committed: list[int] = []
    ear = Ear(lambda process: committed.append(runtime.count_processes(ProcessFilter(activity="B"))))
    runtime, ids = bench(QUIET, plugin=ear), list[UUID]()
    for one in range(MANY):
        ids.append(runtime.create_instance("S", process_id=number(MANY - one)).id)
        bench.clock.advance(1)
    batch = batch_of(runtime)
    batch.fire(due(runtime))
    assert ear.heard == []
    batch.tell()
    assert ear.heard == [(each, "A", "B") for each in ids]
    assert committed == [MANY] * MANY


def test_a_listener_that_ends_its_thread_keeps_nobody_from_hearing(bench: Bench) -> None:
    def end(process: Process) -> None:
        if process.id == ODD:
            raise SystemExit

    ear = Ear(end)
    runtime = bench(QUIET, plugin=ear)
    ids = crowd(runtime, MANY)
    bench.clock.advance(HOUR)
    assert [process_id for process_id, _, _ in ear.heard] == ids
    assert in_hand(runtime) == 0


def test_another_batch_begins_while_listeners_take_their_time(bench: Bench, sizes: list[int]) -> None:
    """As many as go at once are committed, and told to listeners who wait for one more."""
    one_more = threading.Event()

    def wait(process: Process) -> None:
        assert len(sizes) > AT_ONCE or one_more.wait(20)

    runtime = bench(QUIET, plugin=Ear(wait))
    crowd(runtime, (AT_ONCE + 1) * MOST)
    with loop_of(runtime, Workers, AT_ONCE + 1) as (loop, nudges):
        bench.clock.advance(HOUR)
        loop.poll()
        until(lambda: nudges)
        loop.poll()
        until(lambda: len(sizes) > AT_ONCE)
        one_more.set()
        assert loop.workers.wait_until_idle(20)


def test_another_timer_of_one_that_is_in_a_batch_is_asked_for_when_that_has_ended(bench: Bench, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its earlier timer had been fired by another, so nobody tells of the later one."""
    scheme = QUIET.replace("timers:\n", "timers:\n  u: {interval: 1h}\n") + "  - {from: B, to: C, on: {timer: u}}\n"
    runtime = bench(scheme)
    crowd(runtime, MANY)
    committing, go_on = threading.Event(), threading.Event()
    apply_all = Store.apply_all

    def late(self: Store, *given: Any, **named: Any) -> Any:
        committing.set()
        assert go_on.wait(20)
        return apply_all(self, *given, **named)

    monkeypatch.setattr(Store, "apply_all", late)
    with loop_of(runtime, Workers, 1) as (loop, nudges):
        bench.clock.advance(HOUR)
        loop.poll()
        assert committing.wait(20)
        with engine_of(runtime).store.dialect.write() as transaction:
            transaction.driver.execute(
                "INSERT INTO wf_timer SELECT process_id, kind, 'other', due, value, armed_at FROM wf_timer WHERE process_id = ?", (str(ODD),)
            )
        loop.poll()
        nudges.clear()
        go_on.set()
        assert loop.workers.wait_until_idle(20)
        assert nudges
