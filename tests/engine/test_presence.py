"""One server's presence on SQLite: lock, row, beats, fencing, the end."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from workflow_runtime.core.restoring import Server
from workflow_runtime.engine.presence import Presence
from workflow_runtime.errors import RuntimeNotStarted, ServerAlreadyRunning, SettingsError, StoreUnavailable
from workflow_runtime.settings import Settings
from workflow_runtime.store.writes import Store
from workflow_runtime.testing.clock import FakeClock

SETTINGS = Settings(beat=0.5, lease=5.0)
ids = (f"{number:032x}" for number in itertools.count(1))

Make = Callable[..., Presence]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'workflow.db'}", clock=clock.now, new_token=lambda: 1)
    store.upgrade()
    yield store
    store.close()


@pytest.fixture
def make(store: Store, clock: FakeClock) -> Iterator[Make]:
    """Presences that are stopped after the test."""
    with ExitStack() as stack:

        def presence(**given: Any) -> Presence:
            given = {"store": store, "settings": SETTINGS, "clock": clock, "name": "eu-1", "mode": "single", "version": "1.2.3", **given}
            made = Presence(new_id=lambda: next(ids), **given)
            stack.callback(made.stop, clean=False)
            return made

        yield presence


def only(store: Store) -> Server:
    [server] = store.servers()
    return server


def row(store: Store, server_id: str | None) -> Server:
    return next(server for server in store.servers() if server.id == server_id)


def test_a_start_makes_an_incarnation(make: Make, store: Store, clock: FakeClock) -> None:
    presence = make()
    assert presence.incarnation is None
    incarnation = presence.start()
    assert presence.incarnation == incarnation
    server = only(store)
    assert (server.id, server.name, server.host, server.pid) == (incarnation, "eu-1", socket.gethostname(), os.getpid())
    assert (server.version, server.mode, server.draining, server.dead_at) == ("1.2.3", "single", False, None)
    assert server.started_at == server.last_beat_at == clock.now()
    assert server.lease_until > clock.now() + timedelta(seconds=5)


def test_without_a_name_it_is_that_of_the_host(make: Make, store: Store) -> None:
    make(name=None).start()
    assert only(store).name == socket.gethostname()


def test_starting_twice_is_starting_once(make: Make, store: Store) -> None:
    presence = make()
    assert presence.start() == presence.start()
    assert only(store).id == presence.incarnation


def test_the_name_is_a_label_and_the_id_is_new_each_time(make: Make, store: Store) -> None:
    presence = make()
    first = presence.start()
    presence.stop(clean=False)
    second = presence.start()
    assert first != second
    assert {server.name for server in store.servers()} == {"eu-1"}


def test_a_start_declares_every_earlier_incarnation_dead_at_once(make: Make, store: Store, clock: FakeClock) -> None:
    presence = make(pause=None)  # which would fail if anyone waited
    earlier = []
    for _ in range(3):
        earlier.append(presence.start())
        presence.beat()
        presence.stop(clean=False)
    clock.advance(1)
    now = presence.start()
    dead = {server.id: server.dead_at for server in store.servers() if server.dead_at}
    assert set(dead) == set(earlier)
    assert dead[earlier[-1]] == clock.now()
    assert row(store, now).dead_at is None


def test_a_second_server_in_this_process_is_refused(make: Make, store: Store) -> None:
    first = make()
    first.start()
    second = make()
    with pytest.raises(ServerAlreadyRunning, match="another runtime in this process") as caught:
        second.start()
    assert caught.value.pid == os.getpid()
    assert second.incarnation is None
    assert not second.may_execute()
    second.stop(clean=True)  # takes nothing away from the first
    assert first.may_execute()
    assert only(store).id == first.incarnation


def test_a_server_in_another_process_is_refused_and_after_kill_9_its_place_is_free(make: Make, store: Store) -> None:
    script = dedent("""
        import sys
        from workflow_runtime.engine.clock import SystemClock
        from workflow_runtime.engine.presence import Presence
        from workflow_runtime.settings import Settings
        from workflow_runtime.store.writes import Store
        clock = SystemClock()
        store = Store.open("sqlite:///" + sys.argv[1], clock=clock.now, new_token=lambda: 1)
        presence = Presence(store=store, settings=Settings(), clock=clock, name="other", mode="single", new_id=lambda: "e" * 32, version="1")
        print(presence.start(), flush=True)
        sys.stdin.readline()
    """)
    command = [sys.executable, "-c", script, str(store.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "e" * 32
        presence = make(pause=None)
        with pytest.raises(ServerAlreadyRunning) as caught:
            presence.start()
        assert caught.value.pid == other.pid
        assert row(store, "e" * 32).dead_at is None
        other.send_signal(signal.SIGKILL)
        other.wait(timeout=30)
        presence.start()
    assert row(store, "e" * 32).dead_at is not None
    assert presence.may_execute()


def test_sqlite_is_not_for_many(make: Make, store: Store) -> None:
    with pytest.raises(SettingsError, match="several servers cannot share a SQLite database"):
        make(mode="multi").start()
    assert store.servers() == []


def test_an_unknown_mode_is_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="double"):
        make(mode="double")


def test_a_start_that_fails_leaves_no_lock(make: Make, tmp_path: Path, clock: FakeClock) -> None:
    empty = Store.open(f"sqlite:///{tmp_path / 'empty.db'}", clock=clock.now, new_token=lambda: 1)
    presence = make(store=empty)
    with pytest.raises(StoreUnavailable):
        presence.start()
    assert presence.incarnation is None
    empty.upgrade()
    assert presence.start()
    presence.stop(clean=True)
    empty.close()


def test_a_beat_is_written(make: Make, store: Store, clock: FakeClock) -> None:
    presence = make()
    presence.start()
    clock.advance(5)
    presence.beat()
    server = only(store)
    assert (server.beat, server.last_beat_at) == (1, clock.now())
    assert server.lease_until > clock.now() + timedelta(seconds=5)


def test_behind_a_file_lock_beats_come_once_per_lease_and_the_lease_is_longer(make: Make, store: Store, clock: FakeClock) -> None:
    presence = make()
    presence.start()
    assert presence.beat_every == 5.0
    clock.advance(presence.beat_every)
    assert only(store).lease_until > clock.now()


def test_behind_a_file_lock_it_may_execute_without_beats(make: Make, clock: FakeClock) -> None:
    presence = make()
    assert not presence.may_execute()
    presence.start()
    clock.advance(timedelta(days=1))
    assert presence.may_execute()


def test_without_its_lock_file_it_may_not(make: Make, store: Store) -> None:
    presence = make()
    presence.start()
    assert store.path is not None
    store.path.with_name("workflow.db.lock").unlink()
    assert not presence.may_execute()


def test_whoever_was_declared_dead_goes_on_as_another(make: Make, store: Store) -> None:
    fenced: list[tuple[str, str]] = []
    presence = make(on_fenced=lambda old, new: fenced.append((old, new)))
    old = presence.start()
    presence.beat()
    assert store.declare_dead(old, beat=1)
    presence.beat()
    new = presence.incarnation
    assert fenced == [(old, new)]
    assert new not in (None, old)
    assert row(store, old).dead_at is not None
    assert row(store, new).dead_at is None
    presence.beat()
    assert row(store, new).beat == 1
    assert len(fenced) == 1


def test_the_new_incarnation_is_there_when_the_fence_is_told(make: Make, store: Store) -> None:
    seen: list[tuple[str | None, bool]] = []

    def fenced(old: str, new: str) -> None:
        seen.append((presence.incarnation, presence.may_execute()))

    presence = make(on_fenced=fenced)
    old = presence.start()
    store.declare_dead(old, beat=0)
    presence.beat()
    assert seen == [(presence.incarnation, True)]


def test_a_row_that_is_gone_counts_as_fenced(make: Make, store: Store) -> None:
    presence = make()
    old = presence.start()
    store.retire(old)
    presence.beat()
    assert only(store).id == presence.incarnation != old


def test_a_draining_server_that_is_fenced_still_drains(make: Make, store: Store) -> None:
    presence = make()
    old = presence.start()
    presence.drain()
    assert only(store).draining
    store.declare_dead(old, beat=0)
    presence.beat()
    assert row(store, presence.incarnation).draining
    presence.stop(clean=True)
    assert not row(store, presence.start()).draining


def test_a_clean_stop_takes_the_row_along(make: Make, store: Store) -> None:
    presence = make()
    presence.start()
    presence.stop(clean=True)
    presence.stop(clean=True)
    assert store.servers() == []
    assert presence.incarnation is None
    assert not presence.may_execute()
    assert make().start()  # the lock is free


def test_another_stop_leaves_the_row_to_recovery_and_frees_the_lock(make: Make, store: Store) -> None:
    presence = make()
    old = presence.start()
    presence.stop(clean=False)
    assert only(store).id == old
    assert only(store).dead_at is None
    assert make().start()


def test_a_beat_after_the_end_does_not_come_back(make: Make, store: Store) -> None:
    presence = make()
    presence.beat()
    presence.start()
    presence.stop(clean=True)
    presence.beat()
    presence.drain()
    assert store.servers() == []


def test_the_lock_is_freed_even_if_the_database_fails(make: Make, tmp_path: Path, clock: FakeClock) -> None:
    broken = Store.open(f"sqlite:///{tmp_path / 'broken.db'}", clock=clock.now, new_token=lambda: 1)
    broken.upgrade()
    presence = make(store=broken)
    presence.start()
    broken.close()
    assert broken.path is not None
    broken.path.write_bytes(b"this is no database any more")
    with pytest.raises(StoreUnavailable):
        presence.stop(clean=True)
    assert not presence.may_execute()
    broken.path.unlink()
    again = Store.open(f"sqlite:///{broken.path}", clock=clock.now, new_token=lambda: 1)
    again.upgrade()
    assert make(store=again).start()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_no_server(make: Make, store: Store) -> None:
    presence = make()
    presence.check_fork()
    presence.start()
    presence.check_fork()

    def child() -> str:
        presence.stop(clean=True)
        try:
            presence.check_fork()
        except RuntimeNotStarted as error:
            return f"{error.pid} {presence.may_execute()} {'in the child' in error.message}"
        return "not noticed"

    reader, writer = os.pipe()
    with presence._gate:  # as another thread may hold it at the moment of the fork
        if (pid := os.fork()) == 0:
            os.write(writer, child().encode())
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == f"{os.getpid()} False True"
    assert presence.may_execute()
    assert only(store).id == presence.incarnation
