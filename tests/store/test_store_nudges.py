"""What servers tell each other of due rows: heard by all who listen on the same tables, and by nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import databases
import pytest
import sqlalchemy as sa
from factories import NOW
from postgres_looking import wire
from stored import ONLY_POSTGRES
from waiting import until

from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store.nudges import Listener
from workflow_runtime.store.writes import Store

PATIENCE = 20.0  #: seconds until what should have come counts as missing
FOR_EVER = 3_600.0
SOON = NOW + timedelta(microseconds=1)

Listen = Callable[..., Listener]
OpenStore = Callable[..., Store]


@pytest.fixture
def listen(store: Store) -> Iterator[Listen]:
    opened: list[Listener] = []

    def listen(at: Store = store) -> Listener:
        listener = at.listen()
        assert listener is not None
        opened.append(listener)
        return listener

    yield listen
    for listener in opened:
        listener.close()


def heard(listener: Listener, count: int = 1) -> list[Any]:
    """At least so many."""
    found: list[Any] = []
    until(lambda: len(found) >= count or found.extend(listener.wait(PATIENCE)), PATIENCE)
    return found


def say(store: Store, words: str) -> None:
    """As any program may that is let in."""
    channel = sa.select(sa.func.concat("wf_due_", sa.cast(sa.func.to_regclass("wf_timer"), sa.dialects.postgresql.OID))).scalar_subquery()
    with store.dialect.single() as transaction:
        transaction.rows(sa.select(sa.func.pg_notify(channel, sa.literal(words))), {})


def test_only_postgresql_carries_messages(store: Store, database: str) -> None:
    """Elsewhere to tell costs nothing, and each server looks for itself."""
    listener = store.listen()
    assert (listener is not None) == store.carries_messages == database.startswith("postgresql")
    store.tell_due(SOON)
    if listener is not None:
        listener.close()


@ONLY_POSTGRES
def test_all_who_listen_hear_what_is_told_to_the_microsecond(store: Store, open_store: OpenStore, listen: Listen) -> None:
    one, other = listen(), listen(open_store())
    store.tell_due(SOON)
    store.tell_due(NOW - timedelta(days=9_999))
    assert heard(one, 2) == heard(other, 2) == [SOON, NOW - timedelta(days=9_999)]


@ONLY_POSTGRES
def test_what_was_told_before_is_missed(store: Store, listen: Listen) -> None:
    store.tell_due(NOW)
    listener = listen()
    store.tell_due(SOON)
    assert heard(listener) == [SOON]


@ONLY_POSTGRES
def test_the_tables_of_another_schema_are_another_matter(store: Store, open_store: OpenStore, listen: Listen, postgresql: databases.Places) -> None:
    neighbour = open_store(databases.upgraded(postgresql.empty()))
    listener, over_there = listen(), listen(neighbour)
    neighbour.tell_due(NOW)
    store.tell_due(SOON)
    assert heard(listener) == [SOON]
    assert heard(over_there) == [NOW]


@ONLY_POSTGRES
def test_a_message_wakes_who_waits(store: Store, listen: Listen) -> None:
    listener, found = listen(), list[Any]()
    waiter = threading.Thread(target=lambda: found.extend(listener.wait(PATIENCE)))
    waiter.start()
    until(listener._gate.locked)
    store.tell_due(SOON)
    waiter.join(PATIENCE)
    assert found == [SOON]


@ONLY_POSTGRES
def test_a_wait_ends_without_a_message_after_its_time_and_when_another_closes(listen: Listen) -> None:
    listener, found = listen(), list[Any]()
    assert listener.wait(0) == []
    waiter = threading.Thread(target=lambda: found.append(listener.wait(FOR_EVER)), daemon=True)
    waiter.start()
    until(listener._gate.locked)
    threading.Thread(target=listener.close, daemon=True).start()
    waiter.join(PATIENCE)
    assert found == [[]]
    listener.close()
    assert listener.wait(PATIENCE) == []


@ONLY_POSTGRES
def test_nonsense_is_not_heard(store: Store, listen: Listen) -> None:
    listener = listen()
    for words in ("", "soon", "1e3", "9" * 30, "-" + "9" * 19, "x" * 5_000):
        say(store, words)
    store.tell_due(SOON)
    assert heard(listener) == [SOON]


@ONLY_POSTGRES
def test_who_has_lost_the_connection_is_told_so_and_listens_anew(store: Store, listen: Listen) -> None:
    listener = listen()
    backend = listener._driver.info.backend_pid
    with store.dialect.connected() as driver:
        driver.execute("SELECT pg_terminate_backend(%s::int)", [backend])
    with pytest.raises(StoreUnavailable):
        heard(listener)
    again = listen()
    store.tell_due(SOON)
    assert heard(again) == [SOON]


@ONLY_POSTGRES
def test_to_tell_is_one_statement_and_one_journey(store: Store, listen: Listen) -> None:
    listener = listen()
    store.tell_due(NOW)
    with wire(store) as found:
        store.tell_due(SOON)
    assert (found.statements, found.journeys) == (1, 1)
    assert heard(listener, 2) == [NOW, SOON]


@ONLY_POSTGRES
def test_where_nothing_can_be_asked_listening_says_so(open_store: OpenStore, database: str) -> None:
    nowhere = open_store(sa.make_url(database).update_query_dict({"host": "127.0.0.1", "port": "1"}).render_as_string(hide_password=False))
    with pytest.raises(StoreUnavailable):
        nowhere.listen()
