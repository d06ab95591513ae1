"""After a renewal nothing that was known of the database before can write it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from factories import NOW, arrival, claim, decision, deletion, process, retry, server, timer
from stored import ONLY_SQLITE, damage, everything, put, put_running
from transferred import ignored, stored

from workflow_runtime.core.answers import RenewalReport
from workflow_runtime.core.process import CancelRequest, Change, ChangeKind, ErrorInfo, Process, ProcessStatus
from workflow_runtime.store import renewing, tables
from workflow_runtime.store.backup import backup
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.rows import UnreadableRow, micros
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]
FORMER = "00000000-2222-4333-8444-555555555555"
EPOCH = "11111111-2222-4333-8444-555555555555"


def renewed(store: Store, step: int = 12_345) -> RenewalReport:
    return renewing.renew(store.dialect, epoch=EPOCH, new_token=lambda: step, actor="olga", reason="restored")


def of_the_old_life(store: Store) -> dict[str, Change]:
    """Changes that were built before, each of them sound until then."""
    rest, running, waiting = put(store, process()), put_running(store, process()), put(store, process(status=ProcessStatus.RUNNING), arm=(retry(),))
    theirs = put_running(store, process(), owner="gone")
    return {
        "claim from rest": claim(rest),
        "operator": Change(kind=ChangeKind.OPERATE, before=rest, after=replace(rest, status=ProcessStatus.TERMINATED)),
        "deletion": deletion(rest),
        "arrival": arrival(running),
        "journal": Change(kind=ChangeKind.JOURNAL, before=running, after=replace(running, updated_at=NOW)),
        "release": Change(kind=ChangeKind.RELEASE, before=running, after=replace(running, owner=None, token=running.token + 1), arm=(retry(),)),
        "taking up what waits": Change(kind=ChangeKind.CLAIM, before=waiting, after=replace(waiting, owner="me", token=waiting.token + 1), release=True),
        "adoption": Change(kind=ChangeKind.ADOPT, before=theirs, after=replace(theirs, owner="me", token=theirs.token + 1)),
        "verdict": Change(
            kind=ChangeKind.VERDICT, before=theirs, after=replace(theirs, owner=None, status=ProcessStatus.ERROR), decision=decision(theirs), arm=(timer(),)
        ),
    }


@pytest.mark.parametrize("who", ["me", "another server", "client"])
def test_every_write_of_the_old_life_is_lost(store: Store, who: str) -> None:
    """Also by a server that has registered since, and by a client, which needs no server row."""
    late = of_the_old_life(store)
    renewed(store)
    store.register(server("another server"))
    store.bind({"me": "me", "another server": "another server", "client": None}[who])
    before = everything(store)
    assert {name: store.apply(change).outcome for name, change in late.items()} == dict.fromkeys(late, Outcome.LOST)
    assert [applied.outcome for applied in store.apply_all(list(late.values()))] == [Outcome.LOST] * len(late)
    assert everything(store) == before


def test_the_same_writes_pass_where_nothing_was_renewed(store: Store) -> None:
    """What the test above refuses is refused by the renewal and by nothing else."""
    for name in of_the_old_life(store):
        assert store.apply(of_the_old_life(store)[name]).outcome is Outcome.APPLIED, name


def test_a_row_that_could_not_be_read_is_not_marked_by_the_old_life_either(store: Store) -> None:
    subject = put_running(store, process(), owner="gone")
    damage(store, subject.id, walk="{")
    (found,) = store.orphans(me="me")
    assert isinstance(found, UnreadableRow)
    renewed(store)
    store.register(server("new"))
    store.bind("new")
    assert not store.mark_unreadable(found, ErrorInfo(type="RowUnreadable", message=""))


def test_servers_are_dead_by_the_clock_of_the_database_and_register_anew(store: Store, clock: Any) -> None:
    store.register(server("dead before"))
    store.declare_dead("dead before", beat=0, evidence="lock")
    clock.advance(7)
    report = renewed(store)
    rows = {row.id: row for row in store.servers()}
    assert (report.servers, [row for row in store.servers() if row.dead_at is None]) == (1, [])
    assert (rows["me"].dead_at, rows["me"].death, rows["me"].declared_by) == (NOW + timedelta(seconds=7), "restore", "")
    assert (rows["dead before"].dead_at, rows["dead before"].death) == (NOW, "lock")
    assert not store.beat("me", lease=timedelta(seconds=5))


def test_what_was_executed_is_an_orphan_that_a_new_server_adopts(store: Store) -> None:
    running = put_running(store, process())
    renewed(store)
    store.register(server("new"))
    store.bind("new")
    (orphan,) = store.orphans(me="new")
    assert isinstance(orphan, Process)
    assert (orphan.id, orphan.owner) == (running.id, "me")
    adoption = Change(kind=ChangeKind.ADOPT, before=orphan, after=replace(orphan, owner="new", token=orphan.token + 1))
    assert store.apply(adoption).outcome is Outcome.APPLIED


def test_all_else_of_a_process_stays(store: Store) -> None:
    running = put_running(store, process(parameters={"a": 1}), arm=(timer(),))
    store.request_cancel(running.id, CancelRequest("anna", "no"))
    before = stored(store, running)
    renewed(store, step=99)
    assert stored(store, running) == replace(before, token=before.token + 99, revision=before.revision + 1)
    assert [each.name for each in store.timers(running.id)] == ["remind"]


def test_every_process_is_renewed_whatever_its_id(store: Store) -> None:
    """One of each range of ids, their bounds, and an id that is none."""
    ids = [UUID(int=number << 120) for number in range(256)] + [UUID(int=(number << 124) - 1) for number in range(1, 17)]
    store.apply_all([_creation(process(id=each, token=1_000)) for each in ids])
    damage(store, put(store, process(token=1_000)).id, id="zzz")
    report = renewed(store, step=5)
    with store.dialect.read() as transaction:
        found = transaction.rows_built(sa.select(tables.process.c.token, tables.process.c.revision, sa.func.count()).group_by("token", "revision"))
    assert [tuple(row) for row in found] == [(1_005, 2, len(ids) + 1)]
    assert report.processes == len(ids) + 1


def _creation(subject: Process) -> Change:
    return Change(kind=ChangeKind.CREATE, before=None, after=subject)


@pytest.mark.parametrize("token", [0, 2**62 - 1, 2**62, 2**63 - 1])
def test_no_token_leaves_its_column_and_none_stays(store: Store, token: int) -> None:
    subject = put(store, process(token=token))
    for _ in range(3):
        before = stored(store, subject).token
        renewed(store, step=2**48 - 1)
        assert 0 <= stored(store, subject).token < 2**63
        assert stored(store, subject).token != before


def test_a_step_is_never_nothing(store: Store) -> None:
    subject = put(store, process())
    renewed(store, step=0)
    assert stored(store, subject).token != subject.token


def test_the_epoch_is_another_and_the_last_renewal_is_noted(store: Store) -> None:
    assert renewing.renew(store.dialect, epoch=FORMER, new_token=lambda: 1, actor="x", reason="y").epoch == store.epoch() == FORMER
    renewed(store)
    with store.dialect.read() as transaction:
        notes = dict(transaction.rows_built(sa.select(tables.meta.c.key, tables.meta.c.value)))
    assert json.loads(notes["renewal"]) == {"actor": "olga", "reason": "restored", "at": micros(NOW), "epoch_before": FORMER}
    assert notes == {"epoch": EPOCH, "renewal": notes["renewal"]}


@ONLY_SQLITE
def test_a_restored_copy_meets_the_servers_of_before(store: Store, open_store: OpenStore, tmp_path: Path) -> None:
    """The copy is older than what they know. Counted on by one from the copy's state, a new life could meet them; a random step cannot."""
    rest = put(store, process())
    backup(store.dialect, tmp_path / "copy.db", force=False, progress=ignored)
    begun = claim(rest)
    store.apply(begun)  # the old life goes on, and what it does is in no copy
    copy = open_store(f"sqlite:///{tmp_path / 'copy.db'}")
    renewed(copy)
    copy.register(server("me too"))
    copy.bind("me too")
    anew = claim(stored(copy, rest), owner="me")  # even under the same name
    assert copy.apply(anew).outcome is Outcome.APPLIED
    assert (begun.result.revision, anew.result.revision - 1) == (rest.revision + 1, rest.revision + 1)
    assert copy.apply(arrival(begun.result)).outcome is Outcome.LOST


def test_a_renewal_is_whole_or_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_running(store, process())
    before = everything(store)

    class Ended(Exception):
        pass

    def end(*_: object) -> None:
        raise Ended

    monkeypatch.setattr(renewing, "_note", end)
    with pytest.raises(Ended):
        renewed(store)
    assert everything(store) == before
