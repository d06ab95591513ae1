"""The clock of the database: aged readings, and who decides what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from factories import NOW, process, server
from stored import ON_SERVERS, ONLY_SQLITE, put

from workflow_runtime.store.clock import FRESH, Aged
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]
SECOND = 1_000_000


class Monotonic:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


def test_a_reading_is_aged_by_monotonic_time(monotonic: Monotonic) -> None:
    aged = Aged(monotonic)
    assert aged.now() is None
    aged.note(5 * SECOND, sent=100.0)
    monotonic.seconds += 1.5
    assert aged.now() == 6.5 * SECOND


def test_a_reading_that_is_too_old_is_none(monotonic: Monotonic) -> None:
    aged = Aged(monotonic)
    aged.note(0, sent=100.0)
    monotonic.seconds += FRESH
    assert aged.now() == FRESH * SECOND
    monotonic.seconds += 0.001
    assert aged.now() is None


def test_time_counts_from_the_arrival_so_that_it_is_never_early(monotonic: Monotonic) -> None:
    aged = Aged(monotonic)
    monotonic.seconds += 2
    aged.note(0, sent=100.0)  # read at some moment of these two seconds
    assert aged.now() == 0


@pytest.mark.parametrize(
    ("read", "known"),
    [
        (10 * SECOND, 10 * SECOND),  # exactly as expected
        (10 * SECOND - 1, 10 * SECOND),  # may have been read 1 to 500,000 microseconds ago: time does not step back
        (9_500_000, 10 * SECOND),
        (9_499_999, 9_499_999),  # it cannot have been: the clock was set, or ours runs fast
        (10 * SECOND + 1, 10 * SECOND + 1),
        (0, 0),
        (99 * SECOND, 99 * SECOND),
    ],
)
def test_a_second_reading_corrects_the_first_where_both_cannot_be_right(monotonic: Monotonic, read: int, known: int) -> None:
    aged = Aged(monotonic)
    aged.note(0, sent=100.0)
    monotonic.seconds += 10
    aged.note(read, sent=109.5)
    assert aged.now() == known


@ONLY_SQLITE
def test_sqlite_keeps_the_clock_that_was_handed_in(open_store: OpenStore) -> None:
    assert open_store(monotonic=time.monotonic).now() == NOW


# -- databases with a clock of their own ------------------------------------------------------------------


def asked(store: Store) -> datetime:
    """What the server says."""
    words = {"postgresql": "SELECT clock_timestamp() AT TIME ZONE 'UTC'", "mysql": "SELECT sysdate(6)"}[store.dialect.engine.dialect.name]
    with store.dialect.connected() as driver:
        cursor = driver.cursor()
        cursor.execute(words)
        found: datetime = cursor.fetchone()[0]
    return found.replace(tzinfo=UTC)


@ON_SERVERS
def test_now_is_that_of_the_server_unless_a_clock_is_bound(store: Store, open_store: OpenStore) -> None:
    assert store.now() == NOW
    real = open_store(monotonic=time.monotonic)
    before = asked(real)
    now = real.now()
    assert before <= now <= asked(real)


@ON_SERVERS
def test_a_load_brings_the_time_along_and_asking_then_needs_no_query(store: Store, open_store: OpenStore, monotonic: Monotonic) -> None:
    rest = put(store, process())
    real = open_store(monotonic=monotonic)
    before = asked(real)
    assert real.load(rest.id) == rest
    real.close()
    taken: list[int] = []
    take = real.dialect.take
    real.dialect.take = lambda: taken.append(1) or take()  # type: ignore[method-assign, func-returns-value]
    first = real.now()
    monotonic.seconds += 3
    assert (real.now() - first, len(taken)) == (timedelta(seconds=3), 0)
    assert before <= first <= asked(real)
    monotonic.seconds += FRESH
    assert real.now() < first + timedelta(seconds=FRESH)  # asked anew: so much time has not really passed
    assert real.load(process().id) is None


@ON_SERVERS
def test_beats_and_deaths_are_dated_by_the_server(store: Store, open_store: OpenStore) -> None:
    real = open_store(monotonic=time.monotonic)
    store.register(server("other"))
    before = asked(real)
    assert real.beat("me", lease=timedelta(seconds=5))
    assert real.declare_dead("other", beat=0)
    after = asked(real)
    me, other = sorted(store.servers(), key=lambda found: found.id)
    assert before <= me.last_beat_at <= after
    assert timedelta(seconds=5) <= me.lease_until - me.last_beat_at < timedelta(seconds=6)
    assert other.dead_at is not None
    assert before <= other.dead_at <= after
