"""What is alike is decided at once: the database then holds exactly what it would hold had each been decided alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from factories import retry, timer
from orphanage import FINISHING, GREETING, PAYING, SENDING, Answer, Orphanage
from stored import damage

from workflow_runtime import ProcessStatus, RestoreDecision, hookimpl
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.keys import Key
from workflow_runtime.core.process import CancelRequest, Process
from workflow_runtime.engine import desk
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store import tables
from workflow_runtime.store.crowds import SMALLEST
from workflow_runtime.store.writes import Store

MANY = 3 * SMALLEST
ASKED = CancelRequest("alice", "wrong order")
COMPARED = (tables.process, tables.timer, tables.journal, tables.history, tables.decision, tables.idempotency)


@pytest.fixture
def orphanage(any_database: str, tmp_path: Path) -> Iterator[Orphanage]:
    with Orphanage(tmp_path, url=any_database, auto_recover=False) as started:
        yield started


def born(orphanage: Orphanage, number: int = MANY, way: tuple[str, str] = SENDING, **fields: Any) -> list[UUID]:
    births = [orphanage.birth(way, **fields) for _ in range(number)]
    orphanage.store.apply_all(births)
    return [birth.result.id for birth in births]


def statuses(orphanage: Orphanage, ids: list[UUID]) -> set[ProcessStatus]:
    return {orphanage.runtime.get_process(each).status for each in ids}


def decided(orphanage: Orphanage) -> int:
    report = orphanage.runtime.recover()
    assert report is not None
    return report.decided


@pytest.fixture
def crowds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were decided at once, each time."""
    found: list[int] = []
    apply = Store.apply_alike

    def noting(self: Store, crowd: Any, *more: Any) -> Any:
        found.append(len(crowd.rows))
        return apply(self, crowd, *more)

    monkeypatch.setattr(Store, "apply_alike", noting)
    return found


# ------------------------------------------------------------------ the same as one by one


def population(orphanage: Orphanage, seed: int) -> None:
    """Whatever may stand in Running; the same for the same seed but for what is random anyway."""
    chance = random.Random(seed)
    suspect: dict[str, Any] = {"deaths": 3, "deaths_step": "Sent#0"}
    for number in range(150):
        way = chance.choice([PAYING, SENDING, SENDING, FINISHING, GREETING])
        walk: dict[str, Any] = {"id": f"{number:032x}"}
        walk |= chance.choice([{}, {}, {}, {}, {"tries": 2}, {"identity": "alice"}, {"actor": "olga", "reason": "why"}])
        if chance.random() < 0.1:
            walk["key"] = Key("", f"key {number}", "d")
        fields = chance.choice([{}, {}, {}, {}, suspect, {**suspect, "deaths": 9}, {"adoptions": 9}, {"cancel_requested": ASKED}])
        arm = chance.choice([(), (), (), (timer("remind"),), (retry(),)])
        owner = chance.choice(["dead", "dead", "dead", "dead", "unknown", None])
        change = orphanage.birth(way, owner=owner, walk=walk, arm=arm, parameters=FrozenDict({"Amount": chance.randrange(3)}), **fields)
        own = UUID(int=number + 1, version=4)
        assert change.after is not None
        orphanage.store.apply(replace(change, after=replace(change.after, id=own, root_id=own)))


def left(orphanage: Orphanage, recovery: str) -> dict[str, list[str]]:
    """All rows without their numbers, and without what is random."""
    names = {orphanage.runtime._parts.engine.me: "me", recovery: "this pass"}
    found = {}
    with orphanage.store.dialect.snapshot() as transaction:
        for table in COMPARED:
            columns = [column for column in table.c if not (column.primary_key and column.name == "id" and table is not tables.process)]
            rows = transaction.rows_built(sa.select(*columns))
            found[table.name] = sorted(repr([names.get(value, value) for value in row]) for row in rows)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_tables_are_as_if_each_had_been_decided_alone(
    any_database: str, kind: str, tmp_path: Path, seed: int, crowds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_runtime.store.crowds.SMALLEST", 4)  # the population is mixed: few are alike
    found = []
    for number, takes_crowds in enumerate((True, False)):
        url = any_database
        if number:
            (tmp_path / "again").mkdir()
            url = ""
        with Orphanage(tmp_path / "again" if number else tmp_path, url=url, auto_recover=False) as orphanage:
            monkeypatch.setattr(orphanage.store.dialect, "takes_crowds", takes_crowds and kind != "mysql")
            population(orphanage, seed)
            report = orphanage.runtime.recover()
            assert report is not None
            found.append((left(orphanage, report.id), report.owned, report.decided, dict(report.by_decision)))
    assert found[0] == found[1]
    assert kind == "mysql" or crowds, "nothing was alike"


# ------------------------------------------------------------------ who belongs to a crowd


def test_many_that_are_alike_are_one_write(orphanage: Orphanage, kind: str, crowds: list[int]) -> None:
    ids = born(orphanage)
    assert decided(orphanage) == MANY
    assert statuses(orphanage, ids) == {ProcessStatus.TERMINATED}
    assert crowds == ([] if kind == "mysql" else [MANY])
    for each in ids:
        (entry,) = orphanage.runtime.get_history(each)
        assert (entry.kind, entry.seq, entry.walk_id) == ("recovered", 1, walk_id(orphanage, each))


def walk_id(orphanage: Orphanage, process_id: UUID) -> str:
    process = orphanage.store.load(process_id)
    assert process is not None
    assert process.walk is not None
    return process.walk.id


@pytest.mark.parametrize(
    "columns",
    [{"parameters": "nonsense"}, {"walk": "{}"}, {"root_id": "nobody"}, {"updated_at": 2**62}, {"created_at": -(2**62)}],
    ids=["parameters", "walk", "root", "future", "past"],
)
def test_a_row_that_cannot_be_read_is_not_decided_with_those_that_can(orphanage: Orphanage, columns: dict[str, Any]) -> None:
    ids = born(orphanage)
    damage(orphanage.store, ids[1], **columns)
    assert decided(orphanage) == MANY
    with orphanage.store.dialect.read() as transaction:
        table = tables.process.c
        found = dict(map(tuple, transaction.rows_built(sa.select(table.id, table.status))))
    assert found.pop(str(ids[1])) == ProcessStatus.ERROR.id
    assert set(found.values()) == {ProcessStatus.TERMINATED.id}


def test_who_has_a_timer_is_decided_alone(orphanage: Orphanage, kind: str, crowds: list[int]) -> None:
    born(orphanage)
    (other,) = born(orphanage, 1, arm=(timer("remind"),))
    assert decided(orphanage) == MANY + 1
    assert crowds == ([] if kind == "mysql" else [MANY])
    assert statuses(orphanage, [other]) == {ProcessStatus.TERMINATED}
    assert orphanage.store.timers(other), "a timer of the scheme stays"


def test_where_a_restorer_wants_them_each_is_asked(any_database: str, tmp_path: Path, crowds: list[int]) -> None:
    restorer = Answer(RestoreDecision.default().because("asked"))
    with Orphanage(tmp_path, restorer, url=any_database, auto_recover=False) as orphanage:
        ids = born(orphanage)
        assert decided(orphanage) == MANY
    assert sorted(each.id for each in restorer.asked) == sorted(ids)
    assert crowds == []


def test_where_somebody_listens_each_is_told(any_database: str, tmp_path: Path, crowds: list[int]) -> None:
    told: list[UUID] = []

    class Listener:
        @hookimpl
        def process_recovered(self, process: Process) -> None:
            told.append(process.id)

    orphanage = Orphanage(tmp_path, url=any_database, auto_recover=False)
    orphanage.runtime.with_plugin(Listener())
    with orphanage:
        ids = born(orphanage)
        assert decided(orphanage) == MANY
    assert sorted(told) == sorted(ids)
    assert crowds == []


# ------------------------------------------------------------------ how much at once


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_no_more_are_written_at_once_than_a_page_holds(orphanage: Orphanage, crowds: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "CROWD_PAGE", 2 * SMALLEST)
    born(orphanage)
    assert decided(orphanage) == MANY
    assert crowds == [2 * SMALLEST, SMALLEST]


def test_of_what_is_decided_one_by_one_less_is_written_at_once(orphanage: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes its time, and other writers wait."""
    monkeypatch.setattr(desk, "PAGE", 5)
    born(orphanage, 12, arm=(timer("remind"),))
    written, apply_all = list[int](), orphanage.store.apply_all
    monkeypatch.setattr(Store, "apply_all", lambda self, changes: (written.append(len(changes)), apply_all(changes))[1])
    assert decided(orphanage) == 12
    assert written == [5, 5, 2]


# ------------------------------------------------------------------ races and breakages


def instead(monkeypatch: pytest.MonkeyPatch, orphanage: Orphanage, act: Callable[..., Any]) -> None:
    monkeypatch.setattr(orphanage.store.dialect, "alike", act)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("taken", [1, MANY])
def test_what_another_server_was_first_with_is_skipped(orphanage: Orphanage, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, alike = born(orphanage), orphanage.store.dialect.alike
    other = [orphanage.store.load(each) for each in ids[:taken]]

    def late(transaction: Any, verdict: Any) -> set[str]:
        with monkeypatch.context() as patch:
            patch.undo()
        for process in other:
            assert process is not None
            statement = sa.update(tables.process).where(tables.process.c.id == str(process.id)).values(token=tables.process.c.token + 1)
            assert transaction.run(statement, {"token_1": 1, "id_1": str(process.id)}) == 1
        return alike(transaction, verdict)

    instead(monkeypatch, orphanage, late)
    report = orphanage.runtime.recover()
    monkeypatch.undo()
    assert report is not None
    assert (report.owned, report.decided, report.skipped) == (MANY, MANY - taken, taken)
    assert statuses(orphanage, ids[:taken]) == {ProcessStatus.RUNNING}
    assert taken == MANY or statuses(orphanage, ids[taken:]) == {ProcessStatus.TERMINATED}
    assert all(len(orphanage.runtime.get_history(each)) == (number >= taken) for number, each in enumerate(ids))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_where_the_one_write_fails_each_is_written_alone(orphanage: Orphanage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(transaction: Any, verdict: Any) -> set[str]:
        raise ValueError("broken on purpose")

    ids = born(orphanage)
    instead(monkeypatch, orphanage, broken)
    assert decided(orphanage) == MANY
    assert statuses(orphanage, ids) == {ProcessStatus.TERMINATED}


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize("landed", [True, False])
def test_a_write_that_is_not_answered_is_looked_up(orphanage: Orphanage, landed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    alike = orphanage.store.dialect.alike

    def unanswered(transaction: Any, verdict: Any) -> set[str]:
        if landed:
            alike(transaction, verdict)
        raise StoreUnavailable("the connection broke off", outcome="unknown")

    ids = born(orphanage)
    instead(monkeypatch, orphanage, unanswered)
    assert decided(orphanage) == MANY
    assert statuses(orphanage, ids) == {ProcessStatus.TERMINATED}
    assert all(len(orphanage.runtime.get_history(each)) == 1 for each in ids)


def test_what_was_decided_is_no_orphan_any_more(orphanage: Orphanage) -> None:
    born(orphanage)
    assert [decided(orphanage), decided(orphanage)] == [MANY, 0]
