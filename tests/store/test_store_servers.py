"""Server rows, recovery rows and schemes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from factories import NOW, decision, process, recovery, server
from stored import put_running

from workflow_runtime.core.process import Change, ChangeKind, ProcessStatus
from workflow_runtime.core.restoring import Death
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.errors import StoreError
from workflow_runtime.store import tables
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.rows import micros
from workflow_runtime.store.writes import Store
from workflow_runtime.testing.clock import FakeClock

LEASE = timedelta(seconds=5)


def living(store: Store) -> set[str]:
    return {row.id for row in store.servers() if row.dead_at is None}


def test_a_beat_counts_and_prolongs_the_lease(store: Store, clock: FakeClock) -> None:
    clock.advance(2)
    assert store.beat("me", lease=LEASE)
    assert store.servers() == [server("me", beat=1, last_beat_at=NOW + timedelta(seconds=2), lease_until=NOW + timedelta(seconds=7))]


def test_the_dead_do_not_beat_and_death_is_declared_once(store: Store, clock: FakeClock) -> None:
    store.beat("me", lease=LEASE)
    clock.advance(1)
    assert [store.declare_dead("me", beat=beat) for beat in (0, 1, 1)] == [False, True, False]
    assert not store.beat("me", lease=LEASE)
    assert store.servers()[0].dead_at == NOW + timedelta(seconds=1)
    assert living(store) == set()


def test_a_retired_server_does_not_beat_either(store: Store) -> None:
    store.register(server("other"))
    store.retire("me")
    assert not store.beat("me", lease=LEASE)
    assert not store.declare_dead("me", beat=0)
    assert living(store) == {"other"}


def test_the_dead_are_forgotten_after_a_while_unless_they_own_something(store: Store, clock: FakeClock) -> None:
    for name in ("owner", "lives", "gone", "died later"):
        store.register(server(name))
    for name in ("owner", "gone"):
        store.declare_dead(name, beat=0)
    put_running(store, process(), owner="owner")
    clock.advance(60)
    store.declare_dead("died later", beat=0)
    assert store.forget_dead(kept=timedelta(seconds=60)) == 0
    clock.advance(1)
    assert store.forget_dead(kept=timedelta(seconds=60)) == 1
    assert {row.id for row in store.servers()} == {"me", "owner", "lives", "died later"}


def test_draining_is_shown(store: Store) -> None:
    store.drain("me")
    assert store.servers()[0].draining


def test_an_incarnation_is_registered_once(store: Store) -> None:
    with pytest.raises(StoreError, match="nothing was stored"):
        store.register(server("me"))


def test_a_recovery_is_opened_then_completed(store: Store, reader: Reader) -> None:
    death = Death(server="gone", name="eu-1", host="h", pid=7, last_beat_at=NOW, declared_at=NOW, evidence="lock", declared_by="me")
    report = recovery("r1", owned=3, deaths=(death,), noticed_at=NOW)
    store.open_recovery(report)
    assert list(reader.recoveries()) == [report]
    done = replace(report, decided=2, skipped=1, by_decision={"default": 2}, adopted_at=NOW, first_progress_at=NOW, ended_at=NOW)
    store.update_recovery(done)
    assert list(reader.recoveries()) == [done]


def test_of_a_recovery_of_an_older_release_the_last_beats_are_known(store: Store, reader: Reader) -> None:
    store.open_recovery(recovery("r1"))
    with store.dialect.write() as transaction:
        transaction.run(sa.update(tables.recovery).values(dead_servers=sa.bindparam("old")), {"old": f'{{"gone": {micros(NOW)}}}'})
    assert dict(reader.recoveries()[0].dead_servers) == {"gone": NOW}


def test_decisions_stand_with_their_recovery_and_with_their_process(store: Store, reader: Reader) -> None:
    store.open_recovery(recovery("r1"))
    store.open_recovery(recovery("r2"))
    running = put_running(store, process(), owner="gone")
    made = decision(running, recovery_id="r2", status_after=None, server="gone", error="hung")
    store.apply(Change(kind=ChangeKind.VERDICT, before=running, after=replace(running, status=ProcessStatus.ERROR, owner=None), decision=made))
    assert [(report.id, report.decisions) for report in reader.recoveries()] == [("r2", (made,)), ("r1", ())]
    assert reader.decisions(running.id) == (made,)
    assert list(reader.decisions_of("r2")) == [made]


def test_recoveries_page_newest_first(store: Store, reader: Reader) -> None:
    for number in range(5):
        store.open_recovery(recovery(f"r{number}"))
    first = reader.recoveries(limit=2)
    second = reader.recoveries(limit=2, after=first.next)
    third = reader.recoveries(limit=2, after=second.next)
    assert [[report.id for report in page] for page in (first, second, third)] == [["r4", "r3"], ["r2", "r1"], ["r0"]]
    assert third.next is None


# -- schemes ----------------------------------------------------------------------------------------------

ONE, TWO = SchemeKey("order", "1" * 64), SchemeKey("order", "2" * 64)


def test_a_scheme_is_new_once_and_adding_an_old_text_makes_it_current_again(store: Store, clock: FakeClock) -> None:
    added = [store.add_scheme(ONE, "<one/>", "xml")]
    clock.advance(1)
    added += [store.add_scheme(TWO, "two: 2", "yaml"), store.add_scheme(ONE, "<one />", "xml")]
    assert added == [True, True, False]
    assert store.current_version("order") == ONE.version
    assert store.scheme_versions("order") == [ONE.version, TWO.version]
    assert store.scheme_text(ONE) == ("<one/>", "xml")  # as it was first written
    assert store.scheme_text(TWO) == ("two: 2", "yaml")


def test_unknown_schemes_are_none(store: Store) -> None:
    assert (store.scheme_text(ONE), store.current_version("order"), store.scheme_codes(), store.scheme_versions("order")) == (None, None, [], [])


def test_codes_differ_by_case_accent_and_blank(store: Store) -> None:
    codes = ["Order", "order", "order ", "ordér"]
    for code in codes:
        assert store.add_scheme(SchemeKey(code, "1"), code, "xml")
    assert store.scheme_codes() == sorted(codes)
    assert [store.scheme_text(SchemeKey(code, "1")) for code in codes] == [(code, "xml") for code in codes]
