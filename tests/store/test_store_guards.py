"""The guard: a change becomes true only if the process is still as it was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from factories import NOW, arrival, claim, creation, decision, deletion, entry, process, retry, server, step, timer, walk
from stored import everything, put, put_running, rows_of

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.keys import Key
from workflow_runtime.core.process import CancelRequest, Change, ChangeKind, Process, ProcessStatus
from workflow_runtime.errors import ProcessAlreadyExists
from workflow_runtime.store import tables
from workflow_runtime.store.changes import Applied, Outcome
from workflow_runtime.store.writes import Store

WANTED = CancelRequest("alice", "wrong order")


def loaded(store: Store, subject: Process) -> Process:
    found = store.load(subject.id)
    assert found is not None
    return found


def test_a_claim_an_arrival_and_what_they_leave(store: Store) -> None:
    rest = put(store, process())
    begun = claim(rest)
    assert store.apply(begun) == Applied(Outcome.APPLIED)
    assert loaded(store, rest) == begun.result
    arrived = arrival(begun.result)
    assert store.apply(arrived) == Applied(Outcome.APPLIED)
    assert loaded(store, rest) == arrived.result
    assert arrived.result.revision == rest.revision + 2


@pytest.mark.parametrize("wrong", [{"owner": "other"}, {"token": 1}, {"revision": 7}, {"id": uuid4()}], ids=lambda wrong: next(iter(wrong)))
@pytest.mark.parametrize("change_of", [arrival, deletion], ids=["arrival", "deletion"])
def test_an_executed_process_is_lost_to_any_difference(store: Store, wrong: dict[str, Any], change_of: Any) -> None:
    running = put_running(store, process(), arm=(timer(),))
    before = everything(store)
    assert store.apply(change_of(replace(running, **wrong))).outcome is Outcome.LOST
    assert everything(store) == before


@pytest.mark.parametrize("wrong", [{"owner": "me"}, {"token": 1}, {"revision": 7}], ids=lambda wrong: next(iter(wrong)))
def test_a_process_at_rest_is_lost_to_any_difference(store: Store, wrong: dict[str, Any]) -> None:
    rest = put(store, process())
    before = everything(store)
    assert store.apply(claim(replace(rest, **wrong))).outcome is Outcome.LOST
    assert everything(store) == before


def test_the_same_change_is_not_applied_twice(store: Store) -> None:
    begun = claim(put(store, process()))
    assert [store.apply(begun).outcome, store.apply(begun).outcome] == [Outcome.APPLIED, Outcome.LOST]


# -- my server row ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["missing", "dead"])
def test_without_a_living_server_row_nothing_is_taken(store: Store, fate: str) -> None:
    rest, theirs = put(store, process()), put_running(store, process(), owner="gone")
    if fate == "dead":
        store.declare_dead("me", beat=0)
    else:
        store.retire("me")
    adoption = replace(claim(rest), before=theirs, after=replace(theirs, owner="me", token=theirs.token + 1), kind=ChangeKind.ADOPT)
    verdict = Change(kind=ChangeKind.VERDICT, before=theirs, after=replace(theirs, owner=None, status=ProcessStatus.ERROR))
    for change in (claim(rest), adoption, verdict, deletion(rest)):
        assert store.apply(change).outcome is Outcome.LOST, change.kind


def test_what_i_execute_i_may_finish_until_it_is_taken_over(store: Store) -> None:
    """The guard of an executed process is owner and token; whoever takes it over changes both."""
    running = put_running(store, process())
    store.declare_dead("me", beat=0)
    assert store.apply(arrival(running)).outcome is Outcome.APPLIED


def test_a_client_needs_no_server_row(store: Store) -> None:
    rest = put(store, process())
    store.bind(None)
    store.retire("me")
    cancelled = Change(kind=ChangeKind.OPERATE, before=rest, after=replace(rest, status=ProcessStatus.TERMINATED))
    assert store.apply(cancelled).outcome is Outcome.APPLIED


def test_adoption_is_a_compare_and_swap_on_the_old_owner(store: Store) -> None:
    theirs = put_running(store, process(), owner="gone")
    adoption = Change(kind=ChangeKind.ADOPT, before=theirs, after=replace(theirs, owner="me", token=theirs.token + 1))
    assert [store.apply(adoption).outcome, store.apply(adoption).outcome] == [Outcome.APPLIED, Outcome.LOST]
    assert store.apply(arrival(theirs)).outcome is Outcome.LOST  # the zombie


# -- cancellation -----------------------------------------------------------------------------------------


def test_an_arrival_to_rest_is_stopped_by_a_cancel_request(store: Store) -> None:
    running = put_running(store, process())
    assert store.request_cancel(running.id, WANTED)
    before = everything(store)
    assert store.apply(arrival(running)) == Applied(Outcome.FLAGGED)
    assert everything(store) == before
    assert loaded(store, running).cancel_requested == WANTED


def test_a_flagged_arrival_with_a_wrong_token_is_lost(store: Store) -> None:
    running = put_running(store, process())
    store.request_cancel(running.id, WANTED)
    assert store.apply(arrival(replace(running, token=1))).outcome is Outcome.LOST


def test_a_write_on_the_way_reads_the_request_back_and_leaves_it(store: Store) -> None:
    running = put_running(store, process())
    store.request_cancel(running.id, WANTED)
    on = Change(kind=ChangeKind.JOURNAL, before=running, after=replace(running, walk=walk(step=1)))
    assert store.apply(on) == Applied(Outcome.APPLIED, WANTED, 0)
    assert loaded(store, running).cancel_requested == WANTED


def broken_off(before: Process, kind: ChangeKind) -> Change:
    return Change(kind=kind, before=before, after=replace(before, status=ProcessStatus.TERMINATED, owner=None))


@pytest.mark.parametrize("kind", [ChangeKind.FAIL, ChangeKind.VERDICT])
def test_a_failure_or_verdict_that_knows_of_no_request_is_stopped_too(store: Store, kind: ChangeKind) -> None:
    running = put_running(store, process())
    store.request_cancel(running.id, WANTED)
    before = everything(store)
    assert store.apply(broken_off(running, kind)) == Applied(Outcome.FLAGGED)
    assert everything(store) == before


@pytest.mark.parametrize("kind", [ChangeKind.CANCEL, ChangeKind.FAIL, ChangeKind.VERDICT])
def test_coming_to_rest_in_knowledge_of_the_request_clears_it(store: Store, kind: ChangeKind) -> None:
    running = put_running(store, process())
    store.request_cancel(running.id, WANTED)
    assert store.apply(broken_off(loaded(store, running), kind)).outcome is Outcome.APPLIED
    assert loaded(store, running).cancel_requested is None


def test_only_what_is_executed_can_be_flagged_and_the_revision_stays(store: Store) -> None:
    rest, running = put(store, process()), put_running(store, process())
    waiting = put(store, process(status=ProcessStatus.RUNNING), arm=(retry(),))
    assert [store.request_cancel(subject.id, WANTED) for subject in (rest, waiting, running)] == [False, False, True]
    assert not store.request_cancel(uuid4(), WANTED)
    assert loaded(store, running).revision == running.revision


# -- birth and death --------------------------------------------------------------------------------------


def test_the_same_creation_sent_again_has_landed(store: Store) -> None:
    change = creation(process(walk=walk(), status=ProcessStatus.RUNNING, owner="me"), arm=(timer(),))
    assert [store.apply(change), store.apply(change)] == [Applied(Outcome.APPLIED)] * 2
    assert len(store.timers(change.result.id)) == 1


def test_a_creation_that_has_landed_and_moved_on_is_known_by_its_walk(store: Store) -> None:
    change = creation(process(walk=walk(), status=ProcessStatus.RUNNING, owner="gone"))
    store.apply(change)
    store.apply(Change(kind=ChangeKind.ADOPT, before=change.result, after=replace(change.result, owner="me", token=change.result.token + 1)))
    assert store.apply(change).outcome is Outcome.APPLIED


@pytest.mark.parametrize("gone", [lambda store: store.declare_dead("zombie", beat=0), lambda store: store.retire("zombie")], ids=["dead", "forgotten"])
def test_what_a_zombie_creates_is_an_orphan_at_once_and_not_its_own_when_taken_over(store: Store, gone: Callable[[Store], object]) -> None:
    """A creation has no guard."""
    store.register(server("zombie"))
    gone(store)
    born = creation(process(walk=walk(), status=ProcessStatus.RUNNING, owner="zombie"))
    assert store.apply(born, me="zombie").outcome is Outcome.APPLIED
    assert store.orphans(me="me") == [born.result]
    adopted = Change(kind=ChangeKind.ADOPT, before=born.result, after=replace(born.result, owner="me", token=born.result.token + 1))
    assert store.apply(adopted).outcome is Outcome.APPLIED
    assert store.apply(arrival(born.result), me="zombie").outcome is Outcome.LOST
    assert store.apply(born, me="zombie").outcome is Outcome.APPLIED, "sent again it has landed, and changes nothing"
    assert loaded(store, born.result) == adopted.result


def test_another_process_with_the_same_id_is_refused(store: Store) -> None:
    first = put(store, process())
    before = everything(store)
    with pytest.raises(ProcessAlreadyExists) as caught:
        store.apply(creation(process(id=first.id)))
    assert caught.value.process_id == first.id
    assert everything(store) == before


def test_the_id_of_a_deleted_process_with_history_is_not_used_again(store: Store) -> None:
    first = process(last_seq=1)
    first = put(store, first, entries=(entry(replace(first, last_seq=0)),))
    store.apply(deletion(first))
    for again in (creation(process(id=first.id)), creation(process(id=first.id), entries=(entry(process(id=first.id)),))):
        with pytest.raises(ProcessAlreadyExists, match="was deleted"):
            store.apply(again)
    assert store.load(first.id) is None


def test_deleting_takes_timers_and_journal_and_leaves_history_and_decision(store: Store) -> None:
    running = put_running(store, process(), arm=(timer(),))
    on = Change(kind=ChangeKind.JOURNAL, before=running, after=replace(running, walk=walk(step=1)), journal=(step(running.walk.id),))  # type: ignore[union-attr]
    store.apply(on)
    gone = deletion(on.result, entries=(entry(running),), decision=decision(running))
    assert store.apply(gone).outcome is Outcome.APPLIED
    left = {table.name: len(rows_of(store, table, running.id)) for table in (tables.process, tables.timer, tables.journal, tables.history, tables.decision)}
    assert left == {"wf_process": 0, "wf_timer": 0, "wf_journal": 0, "wf_history": 1, "wf_decision": 1}


# -- many in one transaction ------------------------------------------------------------------------------


def test_in_a_batch_a_lost_row_takes_nothing_from_the_others(store: Store) -> None:
    first, second, third = (put(store, process()) for _ in range(3))
    batch = [claim(first), claim(replace(second, token=1), arm=(timer(),), entries=(entry(second),)), arrival(third)]
    assert [applied.outcome for applied in store.apply_all(batch)] == [Outcome.APPLIED, Outcome.LOST, Outcome.APPLIED]
    assert loaded(store, second) == second
    assert (store.timers(second.id), rows_of(store, tables.history, second.id)) == ((), [])
    assert len(rows_of(store, tables.history, third.id)) == 1
    assert loaded(store, third) == batch[2].result
    assert store.apply_all([]) == []


def born(process_id: UUID | None = None, **fields: Any) -> Change:
    """A process with a timer and a row of history."""
    subject = process(id=process_id, last_seq=1, **fields)
    return creation(subject, arm=(timer(),), entries=(entry(subject, seq=1),))


def test_many_are_created_with_all_that_follows(store: Store) -> None:
    """Also where each has something else to write, and where other changes stand between them."""
    rest = put(store, process())
    keyed = creation(process(status=ProcessStatus.RUNNING, owner="me", walk=walk()), journal=(step("w"),), opens=Key("s", "k", "d"))
    batch = [born(parameters={"a": 1}), claim(rest), creation(process()), keyed, *(born() for _ in range(5))]
    assert store.apply_all(batch) == [Applied(Outcome.APPLIED)] * len(batch)
    for change in batch:
        assert loaded(store, change.result) == change.result
        assert store.timers(change.result.id) == change.arm
        assert len(rows_of(store, tables.history, change.result.id)) == len(change.entries)
    assert len(store.journal(keyed.result.id, "w")) == 1
    assert store.key_row(Key("s", "k", "d")) is not None


def test_history_of_many_is_in_the_order_of_the_batch(store: Store) -> None:
    batch = [born() for _ in range(20)]
    store.apply_all(batch)
    with store.dialect.read() as transaction:
        told = transaction.rows_built(sa.select(tables.history.c.process_id).order_by(tables.history.c.id))
    assert [text for (text,) in told] == [str(change.result.id) for change in batch]


@pytest.mark.parametrize("way", ["there", "deleted", "twice"])
def test_of_a_batch_with_an_id_that_is_in_use_nothing_is_written(store: Store, way: str) -> None:
    first = born()
    store.apply(first)
    if way == "deleted":
        store.apply(deletion(first.result))
    again = creation(process(id=first.result.id)) if way == "deleted" else born(first.result.id)  # without a row that meets one of the earlier life
    batch = [born(), born(), again, born()]
    batch = [batch[0], batch[1], batch[0]] if way == "twice" else batch
    before = everything(store)
    with pytest.raises(ProcessAlreadyExists, match={"there": "exists already", "deleted": "was deleted", "twice": "in the same batch"}[way]) as caught:
        store.apply_all(batch)
    assert caught.value.process_id == batch[2].result.id
    assert everything(store) == before


def test_unchanged_parameters_are_kept_and_changed_ones_stored(store: Store) -> None:
    rest = put(store, process(parameters={"a": 1}))
    kept = claim(rest)
    store.apply(kept)
    changed = arrival(replace(kept.result))
    changed = replace(changed, after=replace(changed.result, revision=0, parameters=FrozenDict({"a": 2, "at": NOW})))
    store.apply(changed)
    assert loaded(store, rest).parameters == {"a": 2, "at": NOW}


def test_children_open_is_read_back_and_never_written(store: Store) -> None:
    running = put_running(store, process(children_open=2))
    on = Change(kind=ChangeKind.JOURNAL, before=running, after=replace(running, children_open=0))
    assert store.apply(on).children_open == 2


def test_a_living_server_takes_over_what_a_client_left(store: Store) -> None:
    store.register(server("other"))
    left = put(store, process(status=ProcessStatus.RUNNING, walk=walk()), arm=(retry(),))
    taken = Change(kind=ChangeKind.CLAIM, before=left, after=replace(left, owner="me", token=left.token + 1), release=True)
    assert [store.apply(taken).outcome, store.apply(taken).outcome] == [Outcome.APPLIED, Outcome.LOST]
    assert store.timers(left.id) == ()
