"""One loop among several: whose turn a due row is, and that nothing which others leave lying waits for ever."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from bench import NOW, WHO, Bench, engine_of, path_of
from hypothesis import given
from hypothesis import strategies as st
from stored import counting
from test_timers_crowds import loop_of
from timed import HOUR, text

from workflow_runtime import WorkflowRuntime
from workflow_runtime.engine.presence import Presence
from workflow_runtime.engine.timers import ROWS_PER_WORKER, YIELD, turn
from workflow_runtime.engine.workers import Workers

THREE = ("a", "b", "c")
GHOST = "0" * 32  #: another server that lives, as all believe

# ------------------------------------------------------------------ turns

SERVERS = st.sets(st.text("0123456789abcdef", min_size=1, max_size=32), min_size=1, max_size=6)


@given(SERVERS, st.uuids())
def test_all_servers_agree_on_one_order(servers: set[str], process_id: UUID) -> None:
    assert sorted(turn(process_id, server, servers) for server in servers) == list(range(len(servers)))


@given(SERVERS, st.uuids(), st.data())
def test_where_one_goes_those_behind_it_move_up_and_nobody_else(servers: set[str], process_id: UUID, data: Any) -> None:
    gone = data.draw(st.sampled_from(sorted(servers)))
    for server in servers - {gone}:
        behind = turn(process_id, gone, servers) < turn(process_id, server, servers)
        assert turn(process_id, server, servers - {gone}) == turn(process_id, server, servers) - behind


@given(SERVERS, st.uuids())
def test_who_is_not_on_the_list_has_a_place_too(servers: set[str], process_id: UUID) -> None:
    """A server that has registered anew, before others have seen it."""
    assert turn(process_id, "new", servers - {"new"}) == turn(process_id, "new", servers | {"new"})


@pytest.mark.parametrize("servers", [THREE, tuple(f"{number:032x}" for number in range(5))])
def test_the_turns_are_spread_evenly_and_so_are_those_of_one_that_is_gone(servers: tuple[str, ...]) -> None:
    ids = [UUID(int=number) for number in range(4_000)]  # whatever they look like
    first = Counter(server for one in ids for server in servers if turn(one, server, servers) == 0)
    heirs = Counter(server for one in ids if not turn(one, servers[0], servers) for server in servers if turn(one, server, servers) == 1)
    for shares in (first, heirs):
        fair = shares.total() / len(shares)
        assert all(0.8 * fair < share < 1.2 * fair for share in shares.values()), shares


# ------------------------------------------------------------------ one of several


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The servers that live, as this one believes; a test adds itself and others."""
    living: list[str] = []
    monkeypatch.setattr(Presence, "peers", property(lambda presence: tuple(living)))
    return living


def is_mine(runtime: WorkflowRuntime, process_id: UUID, peers: list[str]) -> bool:
    return turn(process_id, engine_of(runtime).me, peers) == 0


def created(runtime: WorkflowRuntime, peers: list[str], *, mine: bool) -> UUID:
    """A process that stands at A, and whose turn is mine or another's."""
    process_id = next(one for one in iter(uuid4, None) if is_mine(runtime, one, peers) is mine)
    return runtime.create_instance("S", process_id=process_id).id


def stand(runtime: WorkflowRuntime, *processes: UUID) -> list[str]:
    return [runtime.get_process(process_id).activity for process_id in processes]


def among(bench: Bench, peers: list[str], *, b: str = "{}", **given: Any) -> WorkflowRuntime:
    runtime = bench(text("{interval: 1h}", b=b), **{"poll": 3_600, **given})
    peers += [engine_of(runtime).me, GHOST]
    return runtime


def test_what_is_anothers_turn_is_begun_one_yield_after_it_was_due(bench: Bench, peers: list[str]) -> None:
    runtime = among(bench, peers)
    mine, theirs = created(runtime, peers, mine=True), created(runtime, peers, mine=False)
    bench.clock.advance(HOUR)
    assert stand(runtime, mine, theirs) == ["B", "A"]
    bench.clock.advance(YIELD - timedelta(microseconds=1))
    assert stand(runtime, theirs) == ["A"]
    bench.clock.advance(timedelta(microseconds=1))
    assert stand(runtime, theirs) == ["B"]


def test_the_loop_asks_to_be_called_when_its_turn_comes(bench: Bench, peers: list[str]) -> None:
    runtime = among(bench, peers)
    created(runtime, peers, mine=False)
    with loop_of(runtime, Workers) as (loop, _):
        bench.clock.advance(HOUR)
        assert loop.poll() == NOW + HOUR + YIELD
        bench.clock.advance(YIELD)
        assert loop.poll() is None


@pytest.mark.parametrize("alone", [True, False])
def test_where_nobody_else_lives_every_row_is_begun_at_once(bench: Bench, peers: list[str], alone: bool) -> None:
    runtime = among(bench, peers)
    theirs = created(runtime, peers, mine=False)
    peers[:] = peers[:1] if alone else []
    bench.clock.advance(HOUR)
    assert stand(runtime, theirs) == ["B"]


class OneAtATime(Workers):
    """Has one worker free, once for each time it is told so."""

    free = False

    def offer(self, work: Any, *, suspect: bool = False) -> bool:
        taken, self.free = self.free, False
        return taken and super().offer(work, suspect=suspect)


class Rounds:
    """A server with one worker: ``entered`` is what came to B, one process in each round."""

    def __init__(self, bench: Bench, peers: list[str], **settings: Any) -> None:
        self.entered: list[UUID] = []
        self.runtime = among(bench, peers, b="{actions: [Enter]}", actions={"Enter": self._enter}, workers=1, **settings)
        self._bench, self._peers = bench, peers

    def _enter(self, ctx: Any, parameter: str | None) -> None:
        self.entered.append(ctx.process.id)

    def create(self, *mine: bool) -> list[UUID]:
        """One a second."""
        made = []
        for turn_is_mine in mine:
            made.append(created(self.runtime, self._peers, mine=turn_is_mine))
            self._bench.clock.advance(1)
        return made

    def go(self, count: int) -> None:
        """A second each, an hour later."""
        with loop_of(self.runtime, OneAtATime) as (loop, _):
            self._bench.clock.advance(HOUR)
            for _ in range(count):
                loop.workers.free = True  # type: ignore[attr-defined]
                loop.poll()
                assert loop.workers.wait_until_idle(20)
                self._bench.clock.advance(1)


def test_mine_go_before_those_of_others_and_the_oldest_first_in_each_group(bench: Bench, peers: list[str]) -> None:
    """First as many of others as are read at once: of these one goes, for nothing of mine is in sight."""
    rounds = Rounds(bench, peers)
    in_sight = 2 * ROWS_PER_WORKER
    theirs = rounds.create(*[False] * in_sight)
    mine = rounds.create(*[True] * 3)
    rounds.go(in_sight + 3)
    assert rounds.entered == [theirs[0], *mine, *theirs[1:]]


def test_what_is_left_to_others_goes_by_its_age_where_there_was_always_more(bench: Bench, peers: list[str]) -> None:
    """The other server lives and has no worker free."""
    rounds = Rounds(bench, peers, poll=4)
    theirs = rounds.create(False, False)
    mine = rounds.create(*[True] * 12)
    rounds.go(12)
    assert rounds.entered == [*mine[:4], theirs[0], *mine[4:7], theirs[1], *mine[7:10]]


def test_a_round_by_age_comes_only_when_for_a_whole_poll_there_was_more(bench: Bench, peers: list[str]) -> None:
    """Else each row would be a race of all who wake up for it."""
    runtime = among(bench, peers, poll=4)
    for _ in range(3):
        theirs = created(runtime, peers, mine=False)
        bench.clock.advance(HOUR)
        assert stand(runtime, theirs) == ["A"]
        bench.clock.advance(YIELD)
        assert stand(runtime, theirs) == ["B"]


# ------------------------------------------------------------------ the clock of the database


def test_after_a_step_of_its_clock_a_row_is_due_when_the_database_says_so(bench: Bench, peers: list[str]) -> None:
    """As after a failover to a machine whose clock is behind: an hour has passed here, and the alarm rings in vain."""
    runtime = among(bench, peers)
    mine, later = created(runtime, peers, mine=True), created(runtime, peers, mine=True)
    bench.clock.set(NOW - HOUR)
    bench.clock.advance(HOUR)
    assert stand(runtime, mine) == ["A"]
    bench.clock.advance(HOUR - timedelta(microseconds=1))
    assert stand(runtime, mine) == ["A"]
    bench.clock.set(NOW + HOUR)
    assert stand(runtime, mine, later) == ["B", "B"]


# ------------------------------------------------------------------ a lost race


def outrun(runtime: WorkflowRuntime, rival: WorkflowRuntime, process_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """Just before this server claims, the process is moved by another: as by a timer, it stands at B then, at rest."""
    store = engine_of(runtime).store
    apply = store.apply

    def late(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(store, "apply", apply)
        rival.set_activity(process_id, "B", execute=False, **WHO)
        return apply(*given, **named)

    monkeypatch.setattr(store, "apply", late)


def test_a_lost_race_costs_one_more_statement(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, rival = bench(text("{interval: 1h}")), bench(client=True)
    process = runtime.create_instance("S")
    (row,) = engine_of(runtime).store.due(NOW + HOUR, 1)
    outrun(runtime, rival, process.id, monkeypatch)
    with counting(engine_of(runtime).store) as counted:
        assert runtime._parts.executor.fire(row.process_id, row.timer) is None
    assert (counted["SELECT"], counted["UPDATE"], counted["INSERT"]) == (3, 1, 0), "process and timers, the claim, timers"
    assert path_of(runtime, process.id) == ["A", "B"]


def test_a_lost_race_is_silent(bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    runtime, rival = bench(text("{interval: 1h}")), bench(client=True)
    process = runtime.create_instance("S")
    outrun(runtime, rival, process.id, monkeypatch)
    caplog.clear()
    bench.clock.advance(HOUR)
    assert path_of(runtime, process.id) == ["A", "B"]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("workflow_runtime.engine")] == []


def test_a_lost_race_in_which_the_timer_still_stands_is_decided_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, rival = bench(text("{interval: 1h}")), bench(client=True)
    process = runtime.create_instance("S")
    store = engine_of(runtime).store
    apply = store.apply

    def late(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(store, "apply", apply)
        rival.set_parameter(process.id, "Note", "raises the revision", **WHO)
        return apply(*given, **named)

    monkeypatch.setattr(store, "apply", late)
    bench.clock.advance(HOUR)
    assert path_of(runtime, process.id) == ["A", "B"]
