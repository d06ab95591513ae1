"""What becomes of those who want the same row at the same moment, on databases with many writers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from factories import arrival, claim, entry, process
from stored import ON_SERVERS, everything, execute, put, put_running
from test_store_connections import BLOCKED, TOUCH, asked, execute_on, kind, may_lie_idle, number_of
from waiting import until

from workflow_runtime.core.process import Change, ChangeKind
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store import tables
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.trouble import again
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]


@ON_SERVERS
def test_a_zombie_that_waited_for_the_takeover_is_lost(store: Store, open_store: OpenStore) -> None:
    """Its guard is asked again after the wait."""
    theirs, other = put_running(store, process(), owner="gone"), open_store()
    adoption = Change(kind=ChangeKind.ADOPT, before=theirs, after=replace(theirs, owner="me", token=theirs.token + 1))
    with store.dialect.connected() as driver:
        number = number_of(driver)
    may_lie_idle(other)
    with ThreadPoolExecutor(1) as pool:
        with other.dialect.write() as transaction:
            values = {"this": str(theirs.id), "owner": "me", "token": theirs.token + 1, "revision": theirs.revision + 1}
            transaction.rows_built(sa.select(tables.process.c.id).where(tables.process.c.id == values["this"]).with_for_update())
            late = pool.submit(store.apply, arrival(theirs), me="gone")
            until(lambda: asked(other, BLOCKED[kind(store)].format(number)))
            c = tables.process.c
            taken = sa.update(tables.process).where(c.id == sa.bindparam("this")).values({name: sa.bindparam(name) for name in ("owner", "token", "revision")})
            assert transaction.run(taken, values) == 1
        assert late.result().outcome is Outcome.LOST
    assert store.load(theirs.id) == adoption.result


@ON_SERVERS
def test_a_lock_that_stays_is_unavailable_and_nothing_of_the_transaction_is_stored(store: Store, open_store: OpenStore) -> None:
    """MariaDB ends only the statement that waited: what stood before it must go too."""
    first, second, other = put(store, process()), put(store, process()), open_store()
    before = everything(store)
    execute(store, {"postgresql": "SET lock_timeout = '50ms'", "mysql": "SET innodb_lock_wait_timeout = 1"}[kind(store)])
    may_lie_idle(other)
    with other.dialect.write() as transaction:
        transaction.rows_built(sa.select(tables.process.c.id).where(tables.process.c.id == str(second.id)).with_for_update())
        with pytest.raises(StoreUnavailable) as caught:
            store.apply_all([claim(first), claim(second)])
        assert (caught.value.outcome, caught.value.reason) == ("known", "timeout")
    assert everything(store) == before
    assert store.apply(claim(second)).outcome is Outcome.APPLIED


@ON_SERVERS
def test_of_two_that_wait_for_each_other_both_end_well(store: Store) -> None:
    """The database ends one of them, which begins anew."""
    one, two, met, attempts = put(store, process()), put(store, process()), Barrier(2), list[int]()

    def touch(ids: list[str]) -> None:
        attempts.append(1)
        with store.dialect.write() as transaction:
            transaction.run(TOUCH, {"this": ids[0]})
            if len(attempts) <= 2:
                met.wait(timeout=5)
            transaction.run(TOUCH, {"this": ids[1]})

    both = [str(one.id), str(two.id)]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(again, partial(touch, ids), lambda: 0.5) for ids in (both, both[::-1])]:
            done.result(timeout=30)
    assert len(attempts) == 3
    assert [store.load(row.id).children_open for row in (one, two)] == [2, 2]  # type: ignore[union-attr]


@ON_SERVERS
def test_a_verb_is_begun_anew_when_the_database_ended_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    held, begun = put_running(store, process()), list[int]()
    fetch = store.dialect.fetch

    def ended_twice(driver: Any, sql: str, values: Any) -> Any:
        begun.append(1)
        found = fetch(driver, sql, values)
        if len(begun) <= 2:
            execute_on(driver, {"postgresql": "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$", "mysql": MYSQL_DEADLOCK}[kind(store)])
        return found

    monkeypatch.setattr(store.dialect, "fetch", ended_twice)
    batch = [Change(kind=ChangeKind.STEP, before=held, after=held, entries=(entry(held),))]
    if kind(store) == "postgresql":
        monkeypatch.setattr(store.dialect, "_sent_together", lambda transaction, prepared, bounds: ended_twice(transaction.driver, prepared.sql, bounds[0]))
    assert [applied.outcome for applied in store.apply_all(batch)] == [Outcome.APPLIED]
    assert len(begun) == 3


MYSQL_DEADLOCK = "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'x'"
