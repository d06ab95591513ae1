"""The rows of idempotency keys: written with the first change of a run, settled with the last, all or nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from factories import arrival, claim, creation, deletion, entry, process, server, walk
from postgres_looking import wire
from stored import ONLY_POSTGRES, ONLY_SQLITE, Counted, counting, damage, everything, put

from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.keys import Answer, Key
from workflow_runtime.core.keys import Row as KeyRow
from workflow_runtime.core.process import Change, ErrorInfo, Process, ProcessStatus
from workflow_runtime.errors import ProcessAlreadyExists, RowUnreadable, StoreUnavailable
from workflow_runtime.store import rows, tables
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.rows import UnreadableRow
from workflow_runtime.store.writes import Store

KEY = Key("scope", "k-1", "d" * 64)
OTHER = Key("scope", "k-2", "d" * 64)
DAY = timedelta(days=1)


def begun(before: Process, key: Key = KEY) -> Change:
    """A claim whose walk carries the key."""
    change = claim(before, opens=key)
    assert change.after is not None
    return replace(change, after=evolve(change.after, walk=walk(key=key)))


def at_once(before: Process, key: Key = KEY) -> Change:
    """A run of one commit."""
    return begun(before, key).then(replace_before(arrival(begun(before, key).result), begun(before, key)))


def replace_before(change: Change, first: Change) -> Change:
    return replace(change, before=first.after, after=evolve(change.after, revision=first.after.revision))  # type: ignore[arg-type, union-attr]


def in_hand(store: Store, key: Key = KEY) -> Process:
    change = begun(put(store, process()), key)
    assert store.apply(change).outcome is Outcome.APPLIED
    return change.result


def row(store: Store, key: Key = KEY) -> KeyRow:
    found = store.key_row(key)
    assert found is not None
    return found


# ------------------------------------------------------------------ with the change, or not at all


def test_a_claim_opens_its_key_and_tells_whose_it_is(store: Store) -> None:
    assert store.key_row(KEY) is None
    running = in_hand(store)
    assert row(store) == (KEY.digest, False, Answer(process_id=running.id))
    assert store.key_row(OTHER) is None


def test_the_walk_that_carries_a_key_comes_back(store: Store) -> None:
    stored = store.load(in_hand(store).id)
    assert stored is not None
    assert stored.walk is not None
    assert stored.walk.key == KEY


def test_an_arrival_settles_it_with_where_the_process_stands(store: Store) -> None:
    change = arrival(in_hand(store))
    assert store.apply(change).outcome is Outcome.APPLIED
    assert row(store) == (KEY.digest, True, Answer(process_id=change.result.id, executed=True, status="Idled", activity="B", revision=change.result.revision))


def test_a_run_of_one_commit_writes_one_row(store: Store) -> None:
    change = at_once(put(store, process()))
    assert store.apply(change).outcome is Outcome.APPLIED
    assert (row(store).is_settled, row(store).answer.revision) == (True, change.result.revision)


def test_a_creation_opens_its_key(store: Store) -> None:
    subject = process(status=ProcessStatus.RUNNING, owner="me", walk=walk(key=KEY))
    assert store.apply(creation(subject, opens=KEY)).outcome is Outcome.APPLIED
    assert row(store) == (KEY.digest, False, Answer(process_id=subject.id))


def test_a_deletion_settles_the_key_of_the_run_under_way(store: Store) -> None:
    waiting = evolve(in_hand(store), owner=None)
    damage(store, waiting.id, owner=sa.null())
    assert store.apply(deletion(waiting, entries=(entry(waiting, reason="gone"),))).outcome is Outcome.APPLIED
    assert (row(store).is_settled, row(store).answer.deleted, row(store).answer.reason) == (True, True, "gone")


@pytest.mark.parametrize("make", [begun, at_once])
def test_a_key_that_has_a_row_keeps_the_whole_change_out(store: Store, make: Callable[[Process, Key], Change]) -> None:
    rest = put(store, process())
    in_hand(store)
    before = everything(store)
    for key in (KEY, KEY._replace(digest="e" * 64)):
        assert store.apply(make(rest, key)).outcome is Outcome.TAKEN
    assert everything(store) == before
    assert store.apply(make(rest, OTHER)).outcome is Outcome.APPLIED


def test_a_creation_with_a_key_that_has_a_row_creates_nothing(store: Store) -> None:
    in_hand(store)
    before = everything(store)
    assert store.apply(creation(process(), opens=KEY)).outcome is Outcome.TAKEN
    assert everything(store) == before


def test_a_creation_under_the_same_id_is_told_of_its_key_first(store: Store) -> None:
    subject = process()
    assert store.apply(creation(subject, opens=KEY)).outcome is Outcome.APPLIED
    again = evolve(subject, token=subject.token + 1)
    assert store.apply(creation(again, opens=KEY)).outcome is Outcome.TAKEN
    with pytest.raises(ProcessAlreadyExists):
        store.apply(creation(again, opens=OTHER))
    assert store.key_row(OTHER) is None


def test_a_guard_that_fails_writes_no_key(store: Store) -> None:
    rest = put(store, process())
    before = everything(store)
    assert store.apply(begun(replace(rest, token=1))).outcome is Outcome.LOST
    assert everything(store) == before


def test_what_is_settled_is_not_written_again(store: Store) -> None:
    running = in_hand(store)
    assert not store.refuse(KEY, Answer(reason="no"))
    change = arrival(running)
    store.apply(change)
    first = row(store)
    resumed = replace(change.result, walk=walk(key=KEY))  # as no rule would leave it
    damage(store, running.id, owner="me", status=ProcessStatus.RUNNING.id)
    assert store.apply(arrival(replace(resumed, owner="me", status=ProcessStatus.RUNNING))).outcome is Outcome.APPLIED
    assert row(store) == first


def test_a_lost_verdict_settles_nothing_and_a_batch_settles_each(store: Store) -> None:
    first, second = in_hand(store, KEY), in_hand(store, OTHER)
    outcomes = store.apply_all([arrival(first), arrival(replace(second, token=1))])
    assert [applied.outcome for applied in outcomes] == [Outcome.APPLIED, Outcome.LOST]
    assert (row(store, KEY).is_settled, row(store, OTHER).is_settled) == (True, False)


# ------------------------------------------------------------------ refusals, and rows that cannot be read


def test_a_refusal_is_one_settled_row(store: Store) -> None:
    assert store.refuse(KEY, Answer(reason="no transition"))
    assert not store.refuse(KEY, Answer(reason="another"))
    assert row(store) == (KEY.digest, True, Answer(reason="no transition"))


def test_a_refused_key_keeps_a_claim_out(store: Store) -> None:
    store.refuse(KEY, Answer(reason="no"))
    assert store.apply(begun(put(store, process()))).outcome is Outcome.TAKEN


def test_keys_that_differ_in_a_blank_or_in_case_are_others(store: Store) -> None:
    names = ["a", "A", "a ", "á", "x" * 255, "é" * 127]
    assert all(store.refuse(Key(scope, name, "d"), Answer()) for scope in ("s", "S", "s ") for name in names)


def orphan(store: Store) -> UnreadableRow:
    (found,) = store.orphans(me="me")
    assert isinstance(found, UnreadableRow)
    return found


@pytest.mark.parametrize("scope_is_process", [True, False])
def test_a_process_that_cannot_be_read_ends_its_run(store: Store, scope_is_process: bool) -> None:
    rest = put(store, process())
    key = Key(str(rest.id), "k", "d") if scope_is_process else KEY
    change = begun(rest, key)
    store.apply(change)
    columns = {"walk": "{", "owner": sa.null()} if scope_is_process else {"parameters": "[", "owner": sa.null()}
    damage(store, rest.id, **columns)
    assert store.mark_unreadable(orphan(store), ErrorInfo(type="RowUnreadable", message="m"))
    answer = row(store, key).answer
    assert (row(store, key).is_settled, answer.error, answer.process_id) == (True, "ExecutionError", rest.id)
    assert "cannot be read" in answer.message


def test_an_answer_that_cannot_be_read_is_told(store: Store) -> None:
    store.refuse(KEY, Answer())
    with store.dialect.write() as transaction:
        transaction.run(sa.update(tables.idempotency).values(answer=sa.literal("[")), {})
    with pytest.raises(RowUnreadable, match="idempotency key 'k-1'"):
        store.key_row(KEY)


# ------------------------------------------------------------------ retention


def test_settled_keys_go_in_batches_and_open_ones_stay(store: Store) -> None:
    now = store.now()
    in_hand(store, OTHER)
    for number in range(7):
        store.refuse(Key("old", str(number), "d"), Answer())
        age(store, Key("old", str(number), "d"), now - 3 * DAY + timedelta(seconds=number))
    store.refuse(Key("new", "1", "d"), Answer())
    assert [store.forget_keys(kept=2 * DAY, limit=3) for _ in range(4)] == [3, 3, 1, 0]
    assert store.key_row(Key("new", "1", "d")) is not None
    assert not row(store, OTHER).is_settled


def test_the_oldest_go_first(store: Store) -> None:
    now = store.now()
    for number in (2, 0, 1):
        store.refuse(Key("old", str(number), "d"), Answer())
        age(store, Key("old", str(number), "d"), now - 3 * DAY + timedelta(seconds=number))
    assert store.forget_keys(kept=DAY, limit=2) == 2
    assert [number for number in range(3) if store.key_row(Key("old", str(number), "d"))] == [2]


def age(store: Store, key: Key, settled: datetime) -> None:
    c = tables.idempotency.c
    with store.dialect.write() as transaction:
        statement = (
            sa.update(tables.idempotency)
            .where(c.scope == sa.literal(key.scope), c.key == sa.literal(key.name))
            .values(settled=sa.literal(rows.micros(settled)))
        )
        assert transaction.run(statement, {}) == 1


# ------------------------------------------------------------------ two at the same moment


def test_of_two_creations_at_the_same_moment_one_is_the_first(store: Store, open_store: Callable[..., Store]) -> None:
    stores = [store, open_store()]
    stores[1].register(server("you"))
    stores[1].bind("you")
    for attempt in range(5):
        key, gate = KEY._replace(name=f"race-{attempt}"), threading.Barrier(2)
        outcomes: list[Outcome] = []

        def create(one: Store, key: Key = key, gate: threading.Barrier = gate, outcomes: list[Outcome] = outcomes) -> None:
            gate.wait()
            outcomes.append(one.apply(creation(process(), opens=key)).outcome)

        threads = [threading.Thread(target=create, args=(one,)) for one in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(outcomes) == [Outcome.APPLIED, Outcome.TAKEN]


# ------------------------------------------------------------------ an answer that was lost


class Broken:
    """The next transaction is committed, and its answer is lost."""

    def __init__(self, store: Store) -> None:
        self.inner, self.store, self.left = store._in, store, 1

    def __call__(self, block: Any, work: Any) -> Any:
        found = self.inner(block, work)
        if self.left:
            self.left -= 1
            raise StoreUnavailable("the connection broke off", outcome="unknown")
        return found


@pytest.mark.parametrize("make", [begun, at_once])
def test_a_change_whose_answer_was_lost_is_found_to_be_mine(store: Store, make: Callable[[Process], Change], monkeypatch: pytest.MonkeyPatch) -> None:
    rest = put(store, process())
    monkeypatch.setattr(store, "_in", Broken(store))
    assert store.apply(make(rest)).outcome is Outcome.APPLIED


def test_a_creation_whose_answer_was_lost_is_found_to_be_mine(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_in", Broken(store))
    assert store.apply(creation(process(), opens=KEY)).outcome is Outcome.APPLIED


@pytest.mark.parametrize("creates", [True, False])
def test_a_change_that_did_not_arrive_meets_the_key_of_another(store: Store, creates: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it was looked up an equal request, sent to another server, has become the first."""
    change = creation(process(), opens=KEY) if creates else begun(put(store, process()))
    inner, sent = store._in, []

    def lost(block: Any, work: Any) -> Any:
        if not sent:
            sent.append(work)
            raise StoreUnavailable("the connection broke off", outcome="unknown")
        return inner(block, work)

    store.refuse(KEY, Answer(reason="of another"))
    monkeypatch.setattr(store, "_in", lost)
    assert store.apply(change).outcome is Outcome.TAKEN


# ------------------------------------------------------------------ what it costs


@ONLY_SQLITE
def test_a_key_costs_one_statement_more_and_no_transaction(store: Store) -> None:
    rest = put(store, process())
    with counting(store) as counted:
        store.apply(begun(rest))
    assert counted == Counted.of({"BEGIN": 1, "UPDATE": 1, "INSERT": 1, "COMMIT": 1})
    change = arrival(begun(rest).result)
    stored = store.load(rest.id)
    assert stored is not None
    with counting(store) as counted:
        store.apply(replace(change, before=stored))
    assert counted == Counted.of({"BEGIN": 1, "UPDATE": 2, "DELETE": 1, "INSERT": 1, "COMMIT": 1})


@ONLY_SQLITE
def test_a_refusal_is_one_transaction(store: Store) -> None:
    with counting(store) as counted:
        store.refuse(KEY, Answer())
    assert counted == Counted.of({"BEGIN": 1, "INSERT": 1, "COMMIT": 1})


@ONLY_POSTGRES
def test_on_postgresql_it_is_still_one_statement_and_one_journey(store: Store) -> None:
    rest, again = put(store, process()), put(store, process())
    running = in_hand(store, OTHER)
    acts: list[Callable[[], Any]] = [
        lambda: store.apply(begun(rest)),
        lambda: store.apply(at_once(again, Key("s", "at once", "d"))),
        lambda: store.apply(arrival(running)),
        lambda: store.apply(creation(process(), opens=Key("s", "created", "d"))),
        lambda: store.refuse(Key("s", "refused", "d"), Answer()),
        lambda: store.key_row(KEY),
    ]
    for act in acts:
        with wire(store) as seen:
            act()
        assert (seen.statements, seen.journeys) == (1, 1)
