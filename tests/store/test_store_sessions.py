"""The connection that shows that a server is there: its lock, its beats, and what others see of it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
import sqlalchemy as sa
from factories import NOW, server
from stored import ON_SERVERS, break_off
from waiting import until

from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store.sessions import Session
from workflow_runtime.store.writes import Store
from workflow_runtime.testing.clock import FakeClock

LEASE = timedelta(seconds=5)

Enter = Callable[[str], Session]
OpenStore = Callable[..., Store]


@pytest.fixture
def enter(store: Store) -> Iterator[Enter]:
    """Registers a server of that name, with a session that has given its first beat."""
    opened: list[Session] = []

    def enter(name: str) -> Session:
        session = store.open_session(patience=5)
        assert session is not None
        opened.append(session)
        if name != "me":
            store.register(server(name, mode="multi", lock_key=session.key))
        assert session.beat(name, lease=LEASE)
        return session

    yield enter
    for session in opened:
        session.close()


def seen(observer: Session) -> dict[str, bool]:
    """Whose lock is free."""
    return {sighting.server.id: sighting.lock_free for sighting in observer.look()}


def test_sqlite_has_no_sessions_but_a_file_lock(store: Store) -> None:
    session = store.open_session(patience=5)
    assert (session is None) == (store.path is not None)
    if session is not None:
        session.close()


@ON_SERVERS
def test_a_beat_counts_prolongs_the_lease_and_shows_the_key(store: Store, enter: Enter, clock: FakeClock) -> None:
    session = enter("me")
    clock.advance(2)
    assert session.beat("me", lease=LEASE)
    row = store.servers()[0]
    assert (row.beat, row.last_beat_at, row.lease_until) == (2, NOW + timedelta(seconds=2), NOW + timedelta(seconds=7))
    assert (row.lock_key, row.lock_ok) == (session.key, True)


@ON_SERVERS
def test_a_lock_is_held_while_its_session_lives_and_free_behind_it(enter: Enter) -> None:
    me, other = enter("me"), enter("other")
    assert seen(me) == {"me": False, "other": False}
    assert seen(me)["other"] is False, "to look must not take the lock"
    other.close()
    until(lambda: seen(me)["other"])
    assert seen(me)["me"] is False, "of its own lock a session says nothing"


@ON_SERVERS
def test_two_that_look_at_once_do_not_take_each_other_for_the_holder(enter: Enter) -> None:
    first, second, gone = enter("me"), enter("second"), enter("gone")
    gone.close()
    until(lambda: seen(first)["gone"])
    results: list[bool] = []

    def look_often(observer: Session) -> None:
        results.extend(seen(observer)["gone"] for _ in range(50))

    threads = [threading.Thread(target=look_often, args=(observer,)) for observer in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 100


@ON_SERVERS
def test_each_session_has_a_key_of_its_own(enter: Enter) -> None:
    keys = [enter(name).key for name in ("me", "a", "b")]
    assert all(keys)
    assert len(set(keys)) == 3


@ON_SERVERS
def test_a_key_that_another_program_holds_is_passed_over(open_store: OpenStore, enter: Enter) -> None:
    """Two stores of one seed, so that both draw the same numbers."""
    first = random.SystemRandom().getrandbits(47)
    again = open_store(new_token=iter([first] * 3 + [first + 1, first + 2, first + 3]).__next__)
    sessions = [again.open_session(patience=5) for _ in range(3)]
    assert [session.key != "" for session in sessions if session] == [True, True, True]
    for session in sessions:
        assert session
        session.close()


@ON_SERVERS
def test_the_dead_do_not_beat_and_are_not_seen(store: Store, enter: Enter) -> None:
    me, other = enter("me"), enter("other")
    assert store.declare_dead("other", beat=1, evidence="lock")
    assert not other.beat("other", lease=LEASE)
    assert set(seen(me)) == {"me"}
    row = next(row for row in store.servers() if row.id == "other")
    assert (row.death, row.declared_by, row.beat) == ("lock", "me", 1)


@ON_SERVERS
def test_a_lock_that_another_backend_holds_is_not_called_good(store: Store, enter: Enter) -> None:
    """As behind a pooler, which gives the lock's connection to somebody else."""
    me, other = enter("me"), enter("other")
    with suppress(StoreUnavailable):
        other._driver, me._driver = me._driver, other._driver
        assert other.beat("other", lease=LEASE)
        assert me.beat("me", lease=LEASE)
    assert {row.id: row.lock_ok for row in store.servers()} == {"me": False, "other": False}
    assert seen(me)["other"] is False, "nothing is known of a lock that is not good"


@ON_SERVERS
def test_a_session_that_breaks_off_fails_and_its_lock_is_free(store: Store, enter: Enter) -> None:
    me, other = enter("me"), enter("other")
    break_off(store, other)
    with pytest.raises(StoreUnavailable):
        other.beat("other", lease=LEASE)
    until(lambda: seen(me)["other"])


@ON_SERVERS
def test_no_call_takes_longer_than_its_patience(store: Store, database: str) -> None:
    session = store.open_session(patience=0.2)
    assert session is not None
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    with engine.begin() as stranger:
        stranger.execute(sa.text("UPDATE wf_server SET name = 'locked'"))
        with pytest.raises(StoreUnavailable):
            session.beat("me", lease=LEASE)
    session.close()
