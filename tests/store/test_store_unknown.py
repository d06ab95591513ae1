"""A commit whose answer never came, at each kind of change: it is looked up, and becomes true exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from factories import arrival, claim, creation, decision, deletion, entry, process, retry, server, step, timer, walk
from proxy import COMMIT, Mode, Proxy, Side, target_of, through
from stored import ON_SERVERS, everything, put, put_running, rows_of
from test_store_connections import asked, may_lie_idle
from waiting import until

from workflow_runtime.core.process import CancelRequest, Change, ChangeKind, EntryKind, Process, ProcessStatus
from workflow_runtime.errors import ProcessAlreadyExists, StoreUnavailable
from workflow_runtime.store import changes, looking, tables
from workflow_runtime.store.changes import Applied, Outcome
from workflow_runtime.store.patience import Patience
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]
Make = Callable[[Store], Change]

pytestmark = ON_SERVERS


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    with Proxy(target_of(sa.make_url(database))) as made:
        yield made


@pytest.fixture
def far(store: Store, open_store: OpenStore, database: str, proxy: Proxy) -> Store:
    """The same database by way of the proxy; ``store`` needs no proxy."""
    far = open_store(through(database, proxy))
    far.bind("me")
    far.servers()
    return far


def patience(pauses: int = 20) -> Patience:
    """So many pauses, which take no time."""
    left = iter(range(pauses))
    return Patience(3600.0, monotonic=lambda: 0.0 if next(left, None) is not None else 7200.0, chance=lambda: 0.0, pause=lambda _: None)


# -- the kinds --------------------------------------------------------------------------------------------


def _created(_: Store) -> Change:
    subject = process(last_seq=1)
    return creation(subject, entries=(entry(subject, seq=1, walk_id="w1"),), arm=(timer(),))


def _created_running(_: Store) -> Change:
    return creation(process(status=ProcessStatus.RUNNING, owner="me", walk=walk()), arm=(timer(),))


def _claimed(store: Store) -> Change:
    return claim(put(store, process(), arm=(timer(),)), drop=("remind",))


def _taken_up(store: Store) -> Change:
    waiting = put(store, process(status=ProcessStatus.RUNNING, walk=walk()), arm=(retry(),))
    return Change(kind=ChangeKind.CLAIM, before=waiting, after=replace(waiting, owner="me", token=waiting.token + 1), release=True)


def _refused(store: Store) -> Change:
    rest = put(store, process(), arm=(timer(),))
    return Change(kind=ChangeKind.REFUSE, before=rest, after=replace(rest, last_seq=1), entries=(entry(rest, to_activity="A"),), drop=("remind",))


def _journaled(store: Store, kind: ChangeKind = ChangeKind.JOURNAL, **fields: Any) -> Change:
    running = put_running(store, process())
    assert running.walk is not None
    following = replace(running, walk=replace(running.walk, step=1))
    return Change(kind=kind, before=running, after=following, journal=(step(running.walk.id, **fields),))


def _arrived(store: Store) -> Change:
    return arrival(put_running(store, process()), arm=(timer(),), journal=(step("w"),))


def _failed(store: Store) -> Change:
    running = put_running(store, process())
    after = replace(running, status=ProcessStatus.ERROR, owner=None, last_seq=1)
    return Change(kind=ChangeKind.FAIL, before=running, after=after, entries=(entry(running, status=ProcessStatus.ERROR),), arm=(timer(keep=True),))


def _cancelled(store: Store) -> Change:
    running = put_running(store, process())
    after = replace(running, status=ProcessStatus.TERMINATED, owner=None, last_seq=1)
    return Change(kind=ChangeKind.CANCEL, before=running, after=after, entries=(entry(running, actor="ann", reason="wrong"),), release=True)


def _released(store: Store) -> Change:
    running = put_running(store, process())
    return Change(kind=ChangeKind.RELEASE, before=running, after=replace(running, owner=None, token=running.token + 1), arm=(retry(),))


def _abandoned(store: Store) -> Change:
    running = put_running(store, process())
    assert running.walk is not None
    after = replace(running, token=running.token + 1, walk=replace(running.walk, deadline=running.updated_at, in_doubt=True))
    return Change(kind=ChangeKind.ABANDON, before=running, after=after)


def _waits(store: Store) -> Change:
    running = put_running(store, process())
    after = replace(running, owner=None, token=running.token + 1, last_seq=1)
    return Change(kind=ChangeKind.WAIT, before=running, after=after, entries=(entry(running, kind=EntryKind.RETRY),), arm=(retry(),))


def _adopted(store: Store) -> Change:
    theirs = put_running(store, process(), owner="gone")
    return Change(kind=ChangeKind.ADOPT, before=theirs, after=replace(theirs, owner="me", token=theirs.token + 1, adoptions=1))


def _decided(store: Store) -> Change:
    theirs = put_running(store, process(), owner="gone")
    after = replace(theirs, status=ProcessStatus.ERROR, owner=None, token=theirs.token + 1, last_seq=1)
    return Change(kind=ChangeKind.VERDICT, before=theirs, after=after, entries=(entry(theirs),), decision=decision(theirs))


def _operated(store: Store) -> Change:
    rest = put(store, process())
    return Change(kind=ChangeKind.OPERATE, before=rest, after=replace(rest, last_seq=1), entries=(entry(rest, actor="ann", reason="so"),), arm=(timer(),))


def _deleted(store: Store) -> Change:
    rest = put(store, process(), arm=(timer(),))
    return deletion(rest, entries=(entry(rest),))


KINDS: dict[str, Make] = {
    "create": _created,
    "create, running": _created_running,
    "claim": _claimed,
    "claim of what waits": _taken_up,
    "refuse": _refused,
    "journal": _journaled,
    "step": partial(_journaled, kind=ChangeKind.STEP, step="charge", occurrence=2),
    "intent": partial(_journaled, kind=ChangeKind.INTENT, step="charge", intent=True, result="7"),
    "arrive": _arrived,
    "fail": _failed,
    "cancel": _cancelled,
    "release": _released,
    "abandon": _abandoned,
    "wait": _waits,
    "adopt": _adopted,
    "verdict": _decided,
    "operate": _operated,
    "delete": _deleted,
    "delete without a word": lambda store: deletion(put(store, process())),
}

assert {name.split(",")[0].split()[0] for name in KINDS} == set(ChangeKind), "each kind is to be tried"

NO_ANSWER, NEVER_SENT, CUT_BEHIND = "the answer is lost", "the request is lost", "cut behind the request"
CUTS = {NO_ANSWER: {"forward": True}, NEVER_SENT: {"forward": False}, CUT_BEHIND: {"forward": True, "wait": False}}


def _cut(proxy: Proxy, store: Store, change: Change, how: str) -> None:
    """On PostgreSQL the change is one statement, which names the process; elsewhere its end is a COMMIT."""
    subject = change.before or change.result
    match = str(subject.id).encode() if store.dialect.engine.dialect.name == "postgresql" else COMMIT
    proxy.cut_after(match, side=Side.REQUEST, **CUTS[how])


def _expected(change: Change) -> Process | None:
    return None if change.after is None else replace(change.result, scheme=None)


def _assert_true_once(store: Store, change: Change) -> None:
    process_id = (change.before or change.result).id
    stored = store.load(process_id)
    assert stored == _expected(change)
    assert len(rows_of(store, tables.history, process_id)) == len(change.entries)
    assert len(rows_of(store, tables.journal, process_id)) == len(change.journal)
    assert len(rows_of(store, tables.decision, process_id)) == (change.decision is not None)
    assert {row.name for row in store.timers(process_id)} == ({row.name for row in change.arm} if change.after else set())


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("name", KINDS)
def test_a_change_whose_answer_was_lost_becomes_true_once(store: Store, far: Store, proxy: Proxy, name: str, how: str) -> None:
    change = KINDS[name](store)
    _cut(proxy, store, change, how)
    assert far.apply(change, patience=patience()).outcome is Outcome.APPLIED
    assert proxy.cuts == 1
    _assert_true_once(store, change)


@pytest.mark.parametrize("how", CUTS)
def test_a_batch_whose_answer_was_lost_becomes_true_once(store: Store, far: Store, proxy: Proxy, how: str) -> None:
    """Of five one had lost its race: it stays lost."""
    batch = [make(store) for make in (_decided, _claimed, _created, _released)]
    lost = claim(put(store, process()))
    assert lost.before is not None
    lost = replace(lost, before=replace(lost.before, token=1))
    proxy.cut_after(b"COMMIT", side=Side.REQUEST, **CUTS[how])  # type: ignore[arg-type]
    outcomes = [applied.outcome for applied in far.apply_all([*batch, lost], patience=patience())]
    assert (outcomes, proxy.cuts) == ([Outcome.APPLIED] * 4 + [Outcome.LOST], 1)
    for change in batch:
        _assert_true_once(store, change)


def test_what_strangers_wrote_comes_back_with_the_looking(store: Store, far: Store, proxy: Proxy) -> None:
    change = _journaled(store)
    assert change.before is not None
    store.request_cancel(change.before.id, CancelRequest("ann", "wrong order"))
    _cut(proxy, store, change, NO_ANSWER)
    assert far.apply(change) == Applied(Outcome.APPLIED, CancelRequest("ann", "wrong order"), 0)


def test_a_flag_that_stands_against_coming_to_rest_is_seen_by_the_looking(store: Store, far: Store, proxy: Proxy) -> None:
    change = _arrived(store)
    assert change.before is not None
    store.request_cancel(change.before.id, CancelRequest("ann", "wrong order"))
    _cut(proxy, store, change, NEVER_SENT)
    before = everything(store)
    assert far.apply(change).outcome is Outcome.FLAGGED
    assert everything(store) == before


def test_a_backend_that_is_still_at_work_ends_before_we_look(store: Store, far: Store, proxy: Proxy, open_store: OpenStore) -> None:
    """Its client is gone, and it waits for the lock of the row. A plain SELECT would see nothing of it."""
    if store.dialect.engine.dialect.name != "postgresql":
        pytest.skip("only where a change is one statement can it wait for a lock while it commits")
    change, other = _claimed(store), open_store()
    assert change.before is not None
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%wf_process%'"
    may_lie_idle(other)
    with ThreadPoolExecutor(1) as pool:
        with other.dialect.write() as transaction:
            transaction.rows_built(sa.select(tables.process.c.id).where(tables.process.c.id == str(change.before.id)).with_for_update())
            _cut(proxy, store, change, CUT_BEHIND)
            applied = pool.submit(far.apply, change, patience=patience())
            until(lambda: asked(store, waits) >= 2)  # the old statement, and behind it the looking
        assert applied.result(30).outcome is Outcome.APPLIED
    _assert_true_once(store, change)


# -- what has moved on meanwhile --------------------------------------------------------------------------


def _settled(store: Store, change: Change) -> Applied:
    with store.dialect.write() as transaction:
        return looking.settle(transaction, changes.plan(change, "me"))


def _apply(store: Store, change: Change) -> Process:
    assert store.apply(change).outcome is Outcome.APPLIED
    return change.result


def _with_walk(change: Change, walk_id: str = "w1") -> Change:
    """Its history tells of the walk."""
    return replace(change, entries=tuple(replace(told, walk_id=walk_id) for told in change.entries))


@pytest.mark.parametrize(
    "name", [name for name in KINDS if name not in ("release", "abandon", "adopt", "claim of what waits", "delete", "delete without a word")]
)
def test_what_landed_is_known_also_when_the_process_has_moved_on(store: Store, name: str) -> None:
    change = KINDS[name](store)
    there = _apply(store, change)
    running = there if there.owner == "me" else _apply(store, claim(there))
    assert running.walk is not None
    _apply(store, _with_walk(arrival(running), running.walk.id))
    before = everything(store)
    assert _settled(store, change).outcome is Outcome.APPLIED
    assert everything(store) == before


def test_a_creation_that_landed_is_known_also_when_the_process_is_gone(store: Store) -> None:
    change = _created(store)
    gone = _apply(store, change)
    assert store.apply(deletion(gone, entries=(entry(gone),))).outcome is Outcome.APPLIED
    assert _settled(store, change).outcome is Outcome.APPLIED
    assert store.load(gone.id) is None


def test_a_creation_that_meets_another_process_is_refused(store: Store) -> None:
    there = put(store, process())
    with pytest.raises(ProcessAlreadyExists):
        _settled(store, creation(replace(process(), id=there.id, root_id=there.id)))
    gone = put(store, process())
    assert store.apply(deletion(gone, entries=(entry(gone),))).outcome is Outcome.APPLIED
    with pytest.raises(ProcessAlreadyExists, match="deleted"):
        _settled(store, creation(replace(gone, token=1)))


def _rival_claim(store: Store, mine: Change) -> Change:
    assert mine.before is not None
    return claim(mine.before, owner="me")  # another thread of this very server: only the walk is another


def _rival_step(store: Store, mine: Change) -> Change:
    """Who took the walk over did the same step again."""
    assert mine.before is not None
    adopted = _apply(store, Change(kind=ChangeKind.ADOPT, before=mine.before, after=replace(mine.before, owner="other", token=mine.before.token + 1)))
    return Change(kind=mine.kind, before=adopted, after=adopted, journal=(replace(mine.journal[0], result="7"),))


def _rival_adoption(store: Store, mine: Change) -> Change:
    assert mine.after is not None
    return replace(mine, after=replace(mine.after, owner="other"))


def _rival_arrival(store: Store, mine: Change) -> Change:
    """At the same moment, with the same number of history."""
    assert mine.before is not None
    adopted = _apply(store, Change(kind=ChangeKind.ADOPT, before=mine.before, after=replace(mine.before, owner="other", token=mine.before.token + 1)))
    return replace(arrival(adopted), entries=(replace(mine.entries[0], server="other"),))


RIVALS = {
    "claim": (_claimed, _rival_claim),
    "step": (partial(_journaled, kind=ChangeKind.STEP, step="charge"), _rival_step),
    "intent": (partial(_journaled, kind=ChangeKind.INTENT, step="charge", intent=True, result="6"), _rival_step),
    "adopt": (_adopted, _rival_adoption),
    "arrive": (_arrived, _rival_arrival),
    "verdict": (_decided, lambda store, mine: _rival_adoption(store, _only_adopts(mine))),
}


def _only_adopts(verdict: Change) -> Change:
    assert verdict.before is not None
    return Change(kind=ChangeKind.ADOPT, before=verdict.before, after=replace(verdict.before, token=verdict.before.token + 1))


@pytest.mark.parametrize("name", RIVALS)
def test_the_trace_of_another_is_not_taken_for_mine(store: Store, open_store: OpenStore, name: str) -> None:
    make, rival = RIVALS[name]
    mine, other = make(store), open_store()
    other.register(server("other"))
    other.bind("other" if name != "claim" else "me")
    assert other.apply(rival(other, mine)).outcome is Outcome.APPLIED
    before = everything(store)
    assert _settled(store, mine).outcome is Outcome.LOST
    assert everything(store) == before


# -- patience ---------------------------------------------------------------------------------------------


def test_looking_waits_for_a_database_that_is_away(store: Store, far: Store, proxy: Proxy) -> None:
    change = _claimed(store)
    _cut(proxy, store, change, NO_ANSWER)
    pauses = list[float]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        proxy.mode = Mode.RESET if len(pauses) < 4 else Mode.PASS

    with_cut = Patience(3600.0, monotonic=lambda: 0.0, chance=lambda: 1.0, pause=pause)
    proxy.cut_after(b"FOR UPDATE", side=Side.REQUEST)  # the first looking is cut too
    assert far.apply(change, patience=with_cut).outcome is Outcome.APPLIED
    assert pauses == [0.05, 0.1, 0.2, 0.4]
    _assert_true_once(store, change)


def test_when_patience_is_over_it_is_said_that_nothing_is_known(store: Store, far: Store, proxy: Proxy) -> None:
    change = _claimed(store)
    _cut(proxy, store, change, NO_ANSWER)
    over = Patience(0.0, monotonic=lambda: 0.0, chance=lambda: 1.0)
    proxy.cut_after(b"FOR UPDATE", side=Side.REQUEST)
    with pytest.raises(StoreUnavailable, match="could not be looked up") as caught:
        far.apply(change, patience=over)
    assert (caught.value.outcome, caught.value.reason, proxy.armed) == ("unknown", "lost", 0)
    _assert_true_once(store, change)


def test_a_creation_that_lands_between_two_looks_is_found_to_be_mine(store: Store) -> None:
    """The row was not there yet, and when history is looked at it has landed."""
    subject = process(last_seq=1)
    change = creation(subject, entries=(entry(subject, seq=1),))
    store.apply(change)
    with store.dialect.read() as transaction:
        found = looking._creation(transaction, change, None)
    assert found is not None
    assert found.outcome is Outcome.APPLIED
