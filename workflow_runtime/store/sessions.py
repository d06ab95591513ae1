"""The connection by which others know that a server is there: it holds a lock that goes when its process goes.

Law: a lock belongs to one connection, and a new connection takes one under a new key: who sees a key free that
was held knows that this connection has ended, and nothing else. Beats travel on that same connection, and each
says whether this very backend still holds the lock. Behind a pooler it may not: then the lock proves nothing,
the row says so (``lock_ok``), and only the lease counts.

============  ======================================  =====================================
              PostgreSQL                              MariaDB, MySQL
============  ======================================  =====================================
lock          advisory lock, a random number          GET_LOCK under a random name
still mine    pg_locks shows it for this backend      IS_USED_LOCK is this connection
free          it can be shared for a moment           IS_FREE_LOCK
============  ======================================  =====================================
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.watching import Sighting
from workflow_runtime.store import records, rows, sockets, tables
from workflow_runtime.store.clock import NOW
from workflow_runtime.store.dialects import Dialect, Transaction

ATTEMPTS = 3  #: to find a key that nobody holds; keys are random, so the first is as good as certain

_server = tables.server
KEY: sa.ColumnElement[str | None] = sa.func.nullif(
    bindparam("lock_key", type_=sa.Text()), sa.literal_column("''")
)  #: in ``Words``: that of this session's lock
SEEN_KEY = _server.c.lock_key  #: in ``Words``: the key of the server that is looked at


class Words(NamedTuple):
    """How one kind of database says it."""

    take: sa.Select[Any]  #: one true value when the lock ``KEY`` is taken
    is_mine: sa.ColumnElement[bool]  #: this connection holds ``KEY``
    is_free: sa.ColumnElement[bool]  #: nobody holds ``SEEN_KEY``


class Statements:
    """Built once per dialect."""

    def __init__(self, words: Words) -> None:
        one: sa.ColumnElement[int] = sa.literal_column("1")
        zero: sa.ColumnElement[int] = sa.literal_column("0")
        shown = sa.and_(_server.c.lock_ok == one, SEEN_KEY.is_distinct_from(sa.literal_column("''")))
        self.take = words.take
        self.beat = (
            sa.update(_server)
            .where(_server.c.id == bindparam("this"), _server.c.dead_at.is_(None))
            .values(
                beat=_server.c.beat + one,
                last_beat_at=NOW,
                lease_until=NOW + bindparam("lease"),
                lock_key=bindparam("lock_key", type_=sa.Text()),
                lock_ok=sa.case((words.is_mine, one), else_=zero),
            )
        )
        self.look = sa.select(_server, sa.case((shown, words.is_free), else_=sa.false()), NOW).where(_server.c.dead_at.is_(None)).order_by(_server.c.id)


class Session:
    """One such connection. Its calls come from one thread at a time, and one that hangs is ended as all others are; see network.py.

    StoreUnavailable: the connection is of no more use; close it and open another.
    """

    def __init__(
        self, dialect: Dialect, statements: Statements, driver: Any, new_key: Callable[[], str], watched: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """``driver``: a connection that nobody else uses; ``watched``: a block for a call on it, out of which errors of the driver come as ours."""
        self._dialect, self._statements, self._driver, self._watched = dialect, statements, driver, watched
        with watched():
            self.key = next(filter(self._taken, (new_key() for _ in range(ATTEMPTS))), "")  #: of the lock that it holds; empty where none can be had

    def _taken(self, key: str) -> bool:
        """False where another program holds that lock."""
        found = self._transaction.row(self._statements.take, {"lock_key": key})
        return bool(found and found[0])

    @property
    def _transaction(self) -> Transaction:
        """Each statement commits by itself."""
        return Transaction(self._driver, self._dialect)

    def beat(self, server_id: str, *, lease: timedelta) -> bool:
        """One sign of life, on the database's clock. False: this incarnation was declared dead, or its row is gone."""
        values = {"this": server_id, "lease": lease // rows.MICROSECOND, "lock_key": self.key, "now": self._dialect.given_now()}
        with self._watched():
            return self._transaction.run(self._statements.beat, values) == 1

    def look(self) -> list[Sighting]:
        """Every server that nobody has declared dead, in one moment of the database. Of one's own lock it says nothing."""
        with self._watched():
            found = self._transaction.rows(self._statements.look, {"now": self._dialect.given_now()})
        return [self._sighting(*row) for row in found]

    def close(self) -> None:
        """The lock goes with the connection."""
        sockets.close(self._driver)

    def _sighting(self, *row: Any) -> Sighting:
        server, now = records.read_server(row[:-2]), rows.moment(int(row[-1]))
        return Sighting(server, bool(row[-2]) and server.lock_key != self.key, now)
