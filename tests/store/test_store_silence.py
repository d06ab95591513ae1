"""Calls in a network that has fallen silent: all is acknowledged and nothing answered, so that no timeout of a connection sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from proxy import Mode, Proxy, target_of, through
from stored import ON_SERVERS, ONLY_MYSQL, ONLY_POSTGRES
from waiting import until

from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store import mariadb, network, tables
from workflow_runtime.store.network import Networked
from workflow_runtime.store.sessions import Session
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]
PATIENCE = 3_600.0  #: of sessions: longer than any other call may last, and than this test


class Far:
    """A store behind a proxy, on a clock that the test moves."""

    def __init__(self, open_store: OpenStore, database: str, proxy: Proxy) -> None:
        self.time, self.proxy = 0.0, proxy
        self.store = open_store(through(database, proxy), monotonic=lambda: self.time)

    @property
    def dialect(self) -> Networked:
        assert isinstance(self.store.dialect, Networked)
        return self.store.dialect

    def session(self) -> Session:
        session = self.store.open_session(patience=PATIENCE)
        assert session is not None
        return session

    def fall_silent(self) -> None:
        self.proxy.mode = Mode.STALL

    def hang(self, work: Callable[[], object], limit: float) -> list[StoreUnavailable]:
        """``work`` is in a call that is not answered, and is ended when that has lasted so long and not before: with this error, or none."""
        failed = list[StoreUnavailable]()

        def attempt() -> None:
            try:
                work()
            except StoreUnavailable as error:
                failed.append(error)

        caller = threading.Thread(target=attempt, daemon=True)
        caller.start()
        until(lambda: self.proxy.mode is Mode.STALL and self.dialect._out)
        self.time = limit - 1
        assert self.store.sever_hanging() == 0

        def ended() -> bool:
            self.time += limit + 1
            self.store.sever_hanging()
            return not caller.is_alive()

        until(ended)
        assert self.store.sever_hanging() == 0
        self.proxy.mode = Mode.PASS
        return failed


@pytest.fixture
def far(store: Store, open_store: OpenStore, database: str) -> Iterator[Far]:
    with Proxy(target_of(sa.make_url(database))) as proxy:
        yield Far(open_store, database, proxy)


def lost(failed: list[StoreUnavailable]) -> bool:
    return [(error.outcome, error.reason) for error in failed] == [("known", "lost")]


@ON_SERVERS
def test_a_call_is_ended(store: Store, far: Far) -> None:
    far.store.servers()
    far.fall_silent()
    assert lost(far.hang(far.store.servers, network.HANGING_SECONDS))
    assert far.store.servers() == store.servers()


@ON_SERVERS
@pytest.mark.parametrize("call", [lambda session: session.beat("me", lease=timedelta(seconds=5)), Session.look], ids=["beat", "look"])
def test_a_call_of_a_session_is_ended_when_its_patience_is_over(far: Far, call: Callable[[Session], object]) -> None:
    session = far.session()
    far.fall_silent()
    assert lost(far.hang(lambda: call(session), PATIENCE))
    session.close()


@ON_SERVERS
def test_a_session_that_hangs_while_it_is_opened_is_ended(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is connected, and nobody has it in hand yet."""
    bound = far.dialect.bound

    def silent(driver: Any, seconds: float) -> None:
        far.fall_silent()
        bound(driver, seconds)

    monkeypatch.setattr(far.dialect, "bound", silent)
    assert lost(far.hang(far.session, PATIENCE))
    assert far.dialect._out == {}


@ON_SERVERS
def test_a_session_between_two_calls_is_left_alone(far: Far) -> None:
    session = far.session()
    far.time = 1e6
    assert far.store.sever_hanging() == 0
    assert session.beat("me", lease=timedelta(seconds=5))
    session.close()


@ON_SERVERS
def test_what_is_undone_behind_a_transaction_is_ended_too(store: Store, far: Far) -> None:
    """What the block has read it keeps; the connection is not used again."""

    def read() -> None:
        with far.dialect.snapshot() as transaction:
            transaction.rows(sa.select(tables.server.c.id), {})
            far.fall_silent()

    assert far.hang(read, network.HANGING_SECONDS) == []
    assert far.dialect._idle == []
    assert far.store.servers() == store.servers()


@ONLY_POSTGRES
def test_one_that_begins_to_listen_is_ended(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = far.dialect._connect

    def silent() -> Any:
        driver = connect()
        far.fall_silent()
        return driver

    monkeypatch.setattr(far.dialect, "_connect", silent)
    assert lost(far.hang(far.store.listen, network.HANGING_SECONDS))


@ON_SERVERS
def test_a_connection_that_is_closed_meanwhile_does_no_harm(far: Far) -> None:
    with far.dialect.connected() as driver:
        driver.close()
        far.time = network.HANGING_SECONDS + 1
        assert far.store.sever_hanging() == 1


@ON_SERVERS
def test_a_driver_that_fails_when_it_is_asked_for_its_socket_does_no_harm(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyMySQL's may be gone between two looks at it."""
    with far.dialect.connected():
        far.time = network.HANGING_SECONDS + 1
        monkeypatch.setattr(far.dialect, "socket", lambda driver: None.fileno())  # type: ignore[attr-defined]
        assert far.store.sever_hanging() == 1


@ONLY_MYSQL
def test_a_connection_that_is_accepted_and_then_silent_is_given_up(far: Far, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own bound for connecting ends where the other side has accepted."""
    assert {mariadb._CONNECT[name] for name in mariadb._ANSWER} == {network.CONNECT_SECONDS}
    for name in mariadb._ANSWER:
        monkeypatch.setitem(mariadb._CONNECT, name, 0.2)
    hasty = open_store(far.dialect.engine.url.render_as_string(hide_password=False))
    far.fall_silent()
    with pytest.raises(StoreUnavailable):
        hasty.servers()


@ONLY_MYSQL
@pytest.mark.parametrize(("given", "waits"), [({}, 35), ({"read_timeout": "50"}, 50)])
def test_behind_that_an_answer_is_waited_for_as_long_as_it_may_take(database: str, open_store: OpenStore, given: dict[str, str], waits: int) -> None:
    url = sa.make_url(database).update_query_dict(given)
    with open_store(url.render_as_string(hide_password=False)).dialect.connected() as driver:
        assert (driver._read_timeout, driver._write_timeout) == (waits, 35)


@ON_SERVERS
def test_a_connection_that_lies_idle_is_not_a_call(store: Store, open_store: OpenStore) -> None:
    time = [0.0]
    other = open_store(monotonic=lambda: time[0])
    other.servers()
    time[0] = 1e6
    assert other.sever_hanging() == 0
    other.servers()
    assert other.sever_hanging() == 0


@ON_SERVERS
def test_a_long_transaction_whose_calls_are_answered_does_not_hang(store: Store, open_store: OpenStore) -> None:
    """An export reads one moment of the database for as long as it takes."""
    time = [0.0]
    other = open_store(monotonic=lambda: time[0])
    with other.dialect.snapshot() as transaction:
        for _ in range(3):
            time[0] += network.HANGING_SECONDS - 1
            transaction.rows(sa.select(tables.server.c.id), {})
            time[0] += 2
            assert other.sever_hanging() == 0
