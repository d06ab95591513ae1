"""Several servers over one database, each with a session of its own: who sees whom die, and who does not."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from factories import NOW
from stored import break_off
from waiting import until

from workflow_runtime.core.restoring import Server
from workflow_runtime.engine.presence import Presence
from workflow_runtime.errors import ServerAlreadyRunning, StoreUnavailable
from workflow_runtime.settings import Settings
from workflow_runtime.store.sessions import Session
from workflow_runtime.store.writes import Store
from workflow_runtime.testing.clock import FakeClock

BEAT, LEASE = 0.5, 5.0
tokens = random.SystemRandom()  # not counted: locks under keys that are drawn here are seen by all tests that share a server


class Crew:
    """Servers over one database and on one clock. ``crew("a")`` starts one, which then has the id ``a1``, next ``a2``."""

    def __init__(self, url: str, ended: ExitStack) -> None:
        self.url, self.clock, self._ended = url, FakeClock(NOW), ended
        self.fenced: list[tuple[str, str]] = []

    def store(self, kind: type[Store] = Store) -> Store:
        store = kind.open(self.url, clock=self.clock.now, new_token=lambda: tokens.getrandbits(48))
        self._ended.callback(store.close)
        return store

    def __call__(self, name: str, *, mode: str = "multi", kind: type[Store] = Store, **settings: Any) -> Presence:
        numbers = itertools.count(1)
        presence = Presence(
            store=self.store(kind),
            settings=Settings(**{"beat": BEAT, "lease": LEASE} | settings),
            clock=self.clock,
            name="any",
            mode=mode,
            new_id=lambda: f"{name}{next(numbers)}",
            version="1",
            on_fenced=lambda old, new: self.fenced.append((old, new)),
            pause=self.clock.advance,
        )
        self._ended.callback(presence.stop, clean=False)
        presence.start()
        return presence

    def row(self, server_id: str) -> Server:
        return next(server for server in self.store().servers() if server.id == server_id)

    def pass_beats(self, count: int, *living: Presence) -> None:
        """Each gives a sign of life and looks, again and again."""
        for _ in range(count):
            self.clock.advance(BEAT)
            for presence in living:
                presence.beat()
            for presence in living:
                presence.look()

    def kill(self, presence: Presence) -> None:
        """Its connection goes without a word; returns when the database has noticed."""
        key = session_of(presence).key
        presence.stop(clean=False)
        session = self.store().open_session(patience=LEASE)
        assert session is not None
        until(lambda: [one.lock_free for one in session.look() if one.server.lock_key == key] in ([], [True]))
        session.close()

    def dead(self) -> dict[str, tuple[str, str]]:
        return {server.id: (server.death, server.declared_by) for server in self.store().servers() if server.dead_at is not None}


@pytest.fixture
def crew(shared_database: str) -> Iterator[Crew]:
    with ExitStack() as ended:
        yield Crew(shared_database, ended)


def session_of(presence: Presence) -> Session:
    session = presence._session
    assert session is not None
    return session


def cut(presence: Presence) -> None:
    """Its connection is gone; it does not know yet."""
    break_off(presence._store, session_of(presence))


# ---------------------------------------------------------------------- life


def test_the_first_row_shows_the_lock_and_the_pace(crew: Crew) -> None:
    presence = crew("a")
    row = crew.row("a1")
    assert row.lock_key == session_of(presence).key != ""
    assert (row.lock_ok, row.beat_every, row.mode) == (True, timedelta(seconds=BEAT), "multi")


def test_servers_that_live_are_peers_whatever_their_name(crew: Crew) -> None:
    first = crew("b")
    assert first.peers == ("b1",)
    second = crew("a")
    crew.pass_beats(1, first, second)
    assert first.peers == second.peers == ("a1", "b1")


def test_one_that_drains_is_no_peer_any_more(crew: Crew) -> None:
    first, second = crew("a"), crew("b")
    second.drain()
    crew.pass_beats(1, first, second)
    assert first.peers == ("a1",)


def test_one_that_takes_leave_is_gone_and_not_dead(crew: Crew) -> None:
    first, second = crew("a"), crew("b")
    crew.pass_beats(1, first, second)
    second.stop(clean=True)
    crew.pass_beats(12, first)
    assert first.peers == ("a1",)
    assert [server.id for server in crew.store().servers()] == ["a1"]
    assert crew.dead() == {}


def test_a_single_server_has_a_session_too_and_looks_at_nobody(crew: Crew) -> None:
    presence = crew("a", mode="single")
    assert crew.row("a1").lock_key == session_of(presence).key != ""
    crew.pass_beats(1, presence)
    assert (presence.look(), presence.peers) == (None, ("a1",))
    assert crew.row("a1").beat == 1


# ---------------------------------------------------------------------- death


def test_a_freed_lock_is_noticed_when_the_beat_is_overdue_and_once(crew: Crew) -> None:
    first, second, victim = crew("a"), crew("b"), crew("c")
    crew.pass_beats(2, first, second, victim)
    crew.kill(victim)
    again = first.look()
    assert again is not None
    assert again == pytest.approx(1.2 * BEAT)
    assert crew.dead() == {}
    crew.clock.advance(again)
    assert first.look() is None
    second.look()
    assert crew.dead() == {"c1": ("lock", "a1")}
    assert first.peers == ("a1", "b1")


def test_one_that_hangs_is_noticed_by_its_lease(crew: Crew) -> None:
    first, victim = crew("a"), crew("b")
    crew.pass_beats(2, first, victim)
    crew.pass_beats(9, first)
    assert crew.dead() == {}
    assert victim.may_execute() is False, "it must stop by itself before others take over"
    crew.pass_beats(1, first)
    assert crew.dead() == {"b1": ("lease", "a1")}


def test_one_that_beat_since_it_was_seen_is_not_declared_dead(crew: Crew) -> None:
    class Late(Store):
        def declare_dead(self, server_id: str, *, beat: int, evidence: str = "") -> bool:
            victim.beat()
            return super().declare_dead(server_id, beat=beat, evidence=evidence)

    first, victim = crew("a", kind=Late), crew("b")
    crew.pass_beats(2, first, victim)
    crew.pass_beats(10, first)
    assert crew.dead() == {}


# ---------------------------------------------------------------------- no death


def test_after_a_cut_the_next_beat_has_a_new_key_and_nobody_dies(crew: Crew) -> None:
    first, other = crew("a"), crew("b")
    crew.pass_beats(2, first, other)
    before = session_of(other).key
    cut(other)
    crew.pass_beats(1, first, other)
    row = crew.row("b1")
    assert row.lock_key == session_of(other).key != before
    assert row.lock_ok
    crew.pass_beats(12, first, other)
    assert crew.dead() == {}
    assert crew.fenced == []


def test_a_look_that_finds_the_session_cut_connects_and_beats_at_once(crew: Crew) -> None:
    first, other = crew("a"), crew("b")
    crew.pass_beats(2, first, other)
    before = crew.row("a1")
    cut(first)
    first.look()
    after = crew.row("a1")
    assert (after.beat, after.lock_key == before.lock_key) == (before.beat + 1, False)
    assert first.peers == ("a1", "b1")


def test_a_restart_of_the_database_kills_nobody(crew: Crew) -> None:
    """Every session breaks, and nobody could beat for longer than a lease."""
    servers = [crew(name) for name in "abc"]
    crew.pass_beats(12, *servers)
    for presence in servers:
        cut(presence)
    crew.clock.advance(60)
    for presence in servers:
        presence.look()
    crew.pass_beats(12, *servers)
    assert crew.dead() == {}
    assert servers[0].peers == ("a1", "b1", "c1")


@pytest.mark.parametrize("step", [3_600, -3_600])
def test_a_step_of_the_databases_clock_kills_nobody(step: float, crew: Crew) -> None:
    servers = [crew(name) for name in "ab"]
    crew.pass_beats(3, *servers)
    crew.clock.set(crew.clock.now() + timedelta(seconds=step))
    for presence in servers:
        presence.look()
    crew.pass_beats(12, *servers)
    assert crew.dead() == {}


def test_an_observer_that_was_stopped_itself_watches_anew(crew: Crew) -> None:
    """Both stood still, as with the machine they run on."""
    first, other = crew("a"), crew("b")
    crew.pass_beats(2, first, other)
    crew.clock.advance(60)
    first.look()
    first.beat()
    first.look()
    assert crew.dead() == {}
    other.beat()
    crew.pass_beats(12, first, other)
    assert crew.dead() == {}


# ---------------------------------------------------------------------- fenced


def test_one_that_was_declared_dead_goes_on_as_a_new_incarnation(crew: Crew) -> None:
    first, victim = crew("a"), crew("b")
    crew.pass_beats(2, first, victim)
    crew.pass_beats(10, first)
    victim.beat()
    [(old, new)] = crew.fenced
    assert (old, victim.incarnation) == ("b1", new)
    assert (victim.peers, victim.may_execute()) == ((new,), True)
    crew.pass_beats(12, first, victim)
    assert crew.dead()["b1"] == ("lease", "a1")
    assert new not in crew.dead()
    assert first.peers == victim.peers == ("a1", new)
    crew.kill(victim)
    crew.pass_beats(2, first)
    assert crew.dead()[new] == ("lock", "a1"), "its lock was seen held in the new name"


def test_a_connection_that_breaks_while_it_registers_anew_does_not_keep_it_out(crew: Crew) -> None:
    """Whoever declared it dead has just ended its connections."""
    tried: list[str] = []

    class Broken(Store):
        def register(self, server: Server) -> None:
            tried.append(server.id)
            if len(tried) == 2:
                raise StoreUnavailable("the connection broke off")
            super().register(server)

    victim = crew("b", kind=Broken)
    assert crew.store().declare_dead("b1", beat=0, evidence="lease")
    victim.beat()
    assert (victim.incarnation, tried, crew.fenced) == ("b3", ["b1", "b2", "b3"], [("b1", "b3")])


def test_what_it_saw_before_it_was_declared_dead_counts_no_more(crew: Crew) -> None:
    first, second, victim = crew("a"), crew("b"), crew("c")
    crew.pass_beats(2, first, second, victim)
    crew.pass_beats(10, first, second)
    crew.kill(second)  # while the victim stands still
    crew.clock.advance(2 * BEAT)
    victim.beat()
    victim.look()
    assert crew.dead() == {"c1": ("lease", "a1")}


# ---------------------------------------------------------------------- single beside multi


@pytest.mark.parametrize(("woken", "successor"), [("single", "single"), ("single", "multi"), ("multi", "single")])
def test_one_that_hung_gives_way_to_who_came_meanwhile(woken: str, successor: str, crew: Crew) -> None:
    victim = crew("a", mode=woken)
    other = crew("b", mode=successor)  # which waited for a lease
    assert crew.dead() == {"a1": ("start", "")}
    crew.pass_beats(3, victim, other)
    assert (victim.incarnation, victim.may_execute(), victim._session, crew.fenced) == (None, False, None, [])
    assert [server.id for server in crew.store().servers() if server.dead_at is None] == ["b1"]
    assert other.incarnation == "b1"


@pytest.mark.parametrize(("running", "starting"), [("multi", "single"), ("single", "multi"), ("single", "single")])
def test_a_single_server_lives_alone(running: str, starting: str, crew: Crew) -> None:
    other = crew("a", mode=running)
    crew.clock.on_advance(other.beat)
    with pytest.raises(ServerAlreadyRunning):
        crew("b", mode=starting)
    assert [server.id for server in crew.store().servers()] == ["a1"]


def test_a_single_server_waits_a_lease_for_one_that_was_killed(crew: Crew) -> None:
    crew.kill(crew("a"))
    began = crew.clock.monotonic()
    crew("b", mode="single")
    assert crew.clock.monotonic() - began == LEASE
    assert crew.dead() == {"a1": ("start", "")}


# ---------------------------------------------------------------------- turns


def test_the_beat_and_the_look_never_speak_at_once(crew: Crew) -> None:
    presence, errors = crew("a"), []

    def often(work: Callable[[], object]) -> None:
        try:
            for _ in range(40):
                work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=often, args=(work,)) for work in (presence.beat, presence.look, presence.beat)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert crew.row("a1").beat == 80
    assert crew.row("a1").lock_key == session_of(presence).key


def test_while_it_says_that_it_drains_the_beats_go_on(crew: Crew) -> None:
    """Its word may hang in a call; a beat must neither wait for it nor end the session over it."""
    drained: list[bool] = []

    class Slow(Store):
        def drain(self, server_id: str) -> None:
            drained.append(in_another_thread(presence.beat))
            super().drain(server_id)

    presence = crew("a", kind=Slow)
    session = session_of(presence)
    presence.drain()
    assert drained == [True]
    assert session_of(presence) is session
    row = crew.row("a1")
    assert (row.beat, row.draining) == (1, True)


def test_one_that_is_fenced_before_it_could_say_that_it_drains_still_drains(crew: Crew) -> None:
    class Slow(Store):
        def drain(self, server_id: str) -> None:
            super().declare_dead(server_id, beat=0, evidence="lease")
            assert in_another_thread(presence.beat)
            super().drain(server_id)

    presence = crew("a", kind=Slow)
    presence.drain()
    assert presence.incarnation == "a2"
    assert crew.row("a2").draining


def test_the_row_goes_after_the_last_beat_before_the_lock_and_not_in_turn(crew: Crew) -> None:
    seen: list[tuple[bool, bool, bool]] = []
    looking = crew.store().open_session(patience=LEASE)
    assert looking is not None
    look = looking.look

    class Slow(Store):
        def retire(self, server_id: str) -> None:
            free = [sighting.lock_free for sighting in look() if sighting.server.id == server_id]
            seen.append((in_another_thread(presence.beat), in_another_thread(presence.look), free == [False]))
            super().retire(server_id)

    presence = crew("a", kind=Slow)
    presence.stop(clean=True)
    assert looking.look() == []
    looking.close()
    assert seen == [(True, True, True)]
    assert presence._session is None


def in_another_thread(work: Callable[[], object]) -> bool:
    """Whether it came to an end, while this one waits."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    return not thread.is_alive()
