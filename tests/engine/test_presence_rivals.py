"""Servers on a database without a file lock: who waits for whom, and who is refused."""

from __future__ import annotations

import itertools
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.core.restoring import Server
from workflow_runtime.engine.presence import Presence
from workflow_runtime.errors import ServerAlreadyRunning, StoreUnavailable
from workflow_runtime.settings import Settings
from workflow_runtime.store.writes import Store
from workflow_runtime.testing.clock import FakeClock

SETTINGS = Settings(beat=0.5, lease=5.0)
ids = (f"{number:032x}" for number in itertools.count(1))

Make = Callable[..., Presence]


class Remote(Store):
    """A store that knows of no file, as on a database server."""

    @property
    def path(self) -> None:
        return None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    store = Remote.open(f"sqlite:///{tmp_path / 'workflow.db'}", clock=clock.now, new_token=lambda: 1)
    Store.upgrade(store)
    yield store
    store.close()


@pytest.fixture
def make(store: Store, clock: FakeClock) -> Iterator[Make]:
    """Presences that are stopped after the test; what they wait passes on the fake clock."""
    with ExitStack() as stack:

        def presence(mode: str, **given: Any) -> Presence:
            given = {"store": store, "settings": SETTINGS, "clock": clock, "name": mode, "pause": clock.advance, "version": "1", **given}
            made = Presence(new_id=lambda: next(ids), mode=mode, **given)
            stack.callback(made.stop, clean=False)
            return made

        yield presence


def living(store: Store) -> set[str]:
    return {server.id for server in store.servers() if server.dead_at is None}


def beating(clock: FakeClock, *others: Presence) -> Callable[[float], None]:
    """A pause in which others go on."""

    def pause(seconds: float) -> None:
        clock.advance(seconds)
        for other in others:
            other.beat()

    return pause


@pytest.mark.parametrize(("running", "starting"), [("multi", "single"), ("single", "multi"), ("single", "single")])
def test_a_server_that_beats_refuses_one_that_cannot_live_beside_it(running: str, starting: str, make: Make, store: Store, clock: FakeClock) -> None:
    other = make(running, name="the first")
    other.start()
    presence = make(starting, pause=beating(clock, other))
    with pytest.raises(ServerAlreadyRunning) as caught:
        presence.start()
    error = caught.value
    assert (error.server, error.host, error.pid) == ("the first", socket.gethostname(), os.getpid())
    assert f"the {running} server 'the first' runs on {socket.gethostname()} as process {os.getpid()}" in error.message
    assert living(store) == {other.incarnation}
    assert presence.incarnation is None


@pytest.mark.parametrize(("gone", "starting"), [("multi", "single"), ("single", "multi"), ("single", "single")])
def test_one_that_is_silent_for_a_lease_is_declared_dead(gone: str, starting: str, make: Make, store: Store, clock: FakeClock) -> None:
    other = make(gone)
    other.start()
    other.stop(clean=False)
    before = clock.monotonic()
    presence = make(starting)
    presence.start()
    assert clock.monotonic() - before == 5.0
    assert living(store) == {presence.incarnation}


def test_a_longer_lease_of_the_other_is_respected(make: Make, clock: FakeClock) -> None:
    other = make("single", settings=Settings(lease=20))
    other.start()
    other.stop(clean=False)
    before = clock.monotonic()
    make("single").start()
    assert clock.monotonic() - before == 20.0


def test_what_the_row_says_about_time_proves_nothing(make: Make, clock: FakeClock) -> None:
    """Its lease is over by every clock, and yet it beats."""
    other = make("multi")
    other.start()
    clock.advance(timedelta(hours=1))
    with pytest.raises(ServerAlreadyRunning):
        make("single", pause=beating(clock, other)).start()


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_set_meanwhile_kills_nobody(hours: int, make: Make, store: Store, clock: FakeClock) -> None:
    other = make("single")
    other.start()

    def pause(seconds: float) -> None:
        clock.set(clock.now() + timedelta(hours=hours))
        beating(clock, other)(seconds)

    with pytest.raises(ServerAlreadyRunning):
        make("single", pause=pause).start()
    assert living(store) == {other.incarnation}


def test_one_that_leaves_meanwhile_need_not_be_waited_for(make: Make, clock: FakeClock) -> None:
    other = make("single")
    other.start()

    def pause(seconds: float) -> None:
        clock.advance(seconds)
        other.stop(clean=True)

    before = clock.monotonic()
    make("multi", pause=pause).start()
    assert clock.monotonic() - before == 0.5


def test_where_nobody_is_nobody_waits(make: Make) -> None:
    make("single", pause=None).start()


def test_many_live_side_by_side_and_leave_each_other_alone(make: Make, store: Store) -> None:
    presences = [make("multi", name="eu-1", pause=None) for _ in range(3)]
    started = {presence.start() for presence in presences}
    assert living(store) == started
    assert len(started) == 3
    presences[0].stop(clean=False)  # whether that one is dead is for the sweep to find out
    make("multi", pause=None).start()
    assert started <= living(store)


def test_two_that_start_at_the_same_moment_do_not_both_stay(make: Make, store: Store, clock: FakeClock) -> None:
    second = make("single")

    class Slow(Remote):
        def register(self, server: Server) -> None:
            second.start()  # after the first has looked round and before its row stands
            Store.register(self, server)

    first = make("single", store=Slow(store.dialect, new_token=lambda: 1))
    with pytest.raises(ServerAlreadyRunning):
        first.start()
    assert living(store) == {second.incarnation}


def test_one_that_beats_in_the_last_moment_is_not_buried(make: Make, store: Store, clock: FakeClock) -> None:
    other = make("single")
    other.start()

    class Late(Remote):
        def declare_dead(self, server_id: str, *, beat: int, evidence: str = "") -> bool:
            other.beat()
            return Store.declare_dead(self, server_id, beat=beat, evidence=evidence)

    with pytest.raises(ServerAlreadyRunning):
        make("multi", store=Late(store.dialect, new_token=lambda: 1)).start()
    assert living(store) == {other.incarnation}


def test_one_that_another_declared_dead_in_the_last_moment_is_no_obstacle(make: Make, store: Store) -> None:
    other = make("single")
    other.start()

    class Hasty(Remote):
        def declare_dead(self, server_id: str, *, beat: int, evidence: str = "") -> bool:
            Store.declare_dead(self, server_id, beat=beat)
            return Store.declare_dead(self, server_id, beat=beat, evidence=evidence)

    presence = make("multi", store=Hasty(store.dialect, new_token=lambda: 1))
    presence.start()
    assert living(store) == {presence.incarnation}


# ---------------------------------------------------------------------- one that hung comes back


@pytest.mark.parametrize(("woken", "successor"), [("single", "single"), ("single", "multi"), ("multi", "single")])
def test_one_that_was_declared_dead_gives_way_to_whom_it_cannot_live_beside(
    woken: str, successor: str, make: Make, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    fenced: list[tuple[str, str]] = []
    presence, other = make(woken, name="the first", on_fenced=lambda old, new: fenced.append((old, new))), make(successor, name="the second")
    old = presence.start()
    assert store.declare_dead(old, beat=0)
    other.start()
    presence.beat()
    assert living(store) == {other.incarnation}
    assert (presence.incarnation, presence.may_execute(), presence.peers, fenced) == (None, False, (), [])
    presence.beat()
    presence.drain()
    presence.look()
    assert (living(store), presence.incarnation) == ({other.incarnation}, None)
    [said] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    for word in ("the server the first", "'the second' runs on", "shut it down, or stop the other and start this one again"):
        assert word in said.getMessage()


def test_where_the_other_has_gone_it_can_be_started_again(make: Make, store: Store) -> None:
    presence, other = make("single"), make("single")
    store.declare_dead(presence.start(), beat=0)
    other.start()
    presence.beat()
    other.stop(clean=True)
    new = presence.start()
    presence.beat()
    assert living(store) == {new}


def test_beside_other_multi_servers_it_comes_back(make: Make, store: Store) -> None:
    presence, other = make("multi"), make("multi")
    old = presence.start()
    other.start()
    store.declare_dead(old, beat=0)
    presence.beat()
    assert presence.incarnation not in (None, old)
    assert living(store) == {presence.incarnation, other.incarnation}


@pytest.mark.parametrize("lost", [1, 2])
def test_its_own_row_whose_commit_went_unheard_is_no_rival(lost: int, make: Make, store: Store) -> None:
    """The second time in the same beat, the third in the next."""
    answers = [True] + [False] * lost

    class Unheard(Remote):
        def register(self, server: Server) -> None:
            Store.register(self, server)
            if answers and not answers.pop(0):
                raise StoreUnavailable("the connection broke off")

    presence = make("single", store=Unheard(store.dialect, new_token=lambda: 1))
    old = presence.start()
    store.declare_dead(old, beat=0)
    with ExitStack() as failing:
        if lost == 2:
            failing.enter_context(pytest.raises(StoreUnavailable))
        presence.beat()
    presence.beat()
    assert presence.incarnation not in (None, old)
    assert living(store) == {presence.incarnation}


def test_in_the_new_name_it_claims_nothing_before_it_has_looked_round(make: Make, store: Store) -> None:
    seen: list[tuple[str | None, set[str]]] = []

    class Watched(Remote):
        def servers(self) -> list[Server]:
            seen.append((presence.incarnation, living(store)))
            return Store.servers(self)

    presence = make("single", store=Watched(store.dialect, new_token=lambda: 1))
    old = presence.start()
    store.declare_dead(old, beat=0)
    seen.clear()
    presence.beat()
    assert seen == [(old, {presence.incarnation})]


# ---------------------------------------------------------------------- what it says of itself


def test_it_beats_as_the_settings_say(make: Make, store: Store, clock: FakeClock) -> None:
    presence = make("multi")
    presence.start()
    assert presence.beat_every == 0.5
    presence.beat()
    [server] = store.servers()
    assert server.lease_until == clock.now() + timedelta(seconds=5)


def test_it_may_execute_for_three_quarters_of_a_lease_after_a_beat(make: Make, clock: FakeClock) -> None:
    presence = make("multi")
    presence.start()
    clock.advance(3.7)
    assert presence.may_execute()
    presence.beat()
    clock.advance(3.7)
    assert presence.may_execute()
    clock.advance(0.1)
    assert not presence.may_execute()
    presence.beat()
    assert presence.may_execute()


def test_the_time_counts_from_when_the_beat_was_sent(make: Make, store: Store, clock: FakeClock) -> None:
    class Far(Remote):
        def beat(self, server_id: str, *, lease: timedelta) -> bool:
            clock.advance(4)
            return Store.beat(self, server_id, lease=lease)

    presence = make("multi", store=Far(store.dialect, new_token=lambda: 1))
    presence.start()
    presence.beat()
    assert not presence.may_execute()


def test_one_that_stopped_may_not_execute(make: Make) -> None:
    presence = make("multi")
    presence.start()
    presence.stop(clean=True)
    assert not presence.may_execute()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_may_not_execute_in_the_name_of_its_parent(make: Make) -> None:
    presence = make("multi")
    presence.start()
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writer, repr(presence.may_execute()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == "False"
    assert presence.may_execute()
