"""Many threads, and several stores, on one database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from factories import arrival, claim, process
from stored import put

from workflow_runtime.core.process import Change
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]


@pytest.mark.parametrize("racers", [2, 8])
def test_of_racing_claims_exactly_one_wins(store: Store, racers: int) -> None:
    for _ in range(20):
        rest, together = put(store, process()), Barrier(racers)
        changes = [claim(rest) for _ in range(racers)]

        def race(change: Change, together: Barrier = together) -> Outcome:
            together.wait()
            return store.apply(change).outcome

        with ThreadPoolExecutor(racers) as pool:
            outcomes = list(pool.map(race, changes))
        assert sorted(outcomes) == sorted([Outcome.APPLIED] + [Outcome.LOST] * (racers - 1))
        won = changes[outcomes.index(Outcome.APPLIED)]
        assert store.load(rest.id) == won.result


def test_two_stores_on_one_file_race_the_same_way(store: Store, open_store: OpenStore) -> None:
    other = open_store()
    other.bind("me")
    for _ in range(20):
        rest, together = put(store, process()), Barrier(2)

        def race(racer: Store, rest: object = claim(rest), together: Barrier = together) -> Outcome:
            together.wait()
            assert isinstance(rest, Change)
            return racer.apply(rest).outcome

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(race, (store, other))) == [Outcome.APPLIED, Outcome.LOST]


def test_history_is_gapless_when_threads_move_one_process(store: Store, reader: Reader) -> None:
    subject, together = put(store, process()), Barrier(4)

    def move() -> None:
        together.wait()
        for _ in range(15):
            found = store.load(subject.id)
            assert found is not None
            store.apply(arrival(found))

    with ThreadPoolExecutor(4) as pool:
        for moved in [pool.submit(move) for _ in range(4)]:
            moved.result()
    found = store.load(subject.id)
    assert found is not None
    assert found.last_seq == found.revision - 1 >= 15
    assert [row.seq for row in reader.history(subject.id)] == list(range(1, found.last_seq + 1))


def test_readers_do_not_wait_for_a_writer(store: Store) -> None:
    rest = put(store, process())
    with store.dialect.write(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(store.load, rest.id).result(timeout=5) == rest
