"""What is common to all databases, and the seam that each fills with one class.

Law: RETURNING, upserts, pragmas, locks and the error texts of a database appear in its class and nowhere else.

==============  ==============================  ==============================  ===============================
a dialect       SQLite (sqlite.py)              PostgreSQL (postgres.py)        MariaDB, MySQL (mariadb.py)
==============  ==============================  ==============================  ===============================
``write``       BEGIN IMMEDIATE; the threads    BEGIN ... COMMIT                BEGIN ... COMMIT
                of one process queue up
``change``      the same                        autocommit: one statement       the same
``changed``     several threads' together,      alone                           alone
                by one COMMIT: grouping.py
``single``      the same                        autocommit                      autocommit
``read``        one SELECT, which is a transaction by itself; ``snapshot`` for several, of one moment
``guarded``     UPDATE (RETURNING what          one statement: all the rest     UPDATE, SELECT of what strangers
                strangers may have written),    hangs on its guarded part       may have written, then what
                then what follows                                               follows
``now``         the clock that was handed in    clock_timestamp()               SYSDATE(6)
``meaning``     which error of ours an error of the driver is; see trouble.py
==============  ==============================  ==============================  ===============================

Statements are built once at import with SQLAlchemy Core and compiled once per dialect; a call lays out
values and gives them to the driver. SQLAlchemy's result layer is left out of the way of a row: describing
its 32 columns anew for each statement costs several times the query.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import sqlalchemy as sa

if TYPE_CHECKING:
    from workflow_runtime.store.nudges import Listener

T = TypeVar("T")

Statement = sa.Executable
Row = Sequence[Any]
Values = Mapping[str, Any]
Step = tuple[Statement, Sequence[Values]]  #: one statement and the rows it is run with
Bound = tuple[Any, ...] | dict[str, Any]


class Drop(NamedTuple):
    """Which timers of a process go before others are armed."""

    reserved: bool
    others: Sequence[str] | None  #: every scheme timer but these; None: only the named ones
    named: Sequence[str]


class Followers(NamedTuple):
    """All that is written besides the process, each as rows of its table, in the order of writing."""

    process_id: str
    journal: Sequence[Values]
    drop: Drop | None
    put: Sequence[Values]  #: timers that are armed over the row that may be there
    keep: Sequence[Values]  #: timers that are armed only where none is
    history: Sequence[Values]
    decision: Sequence[Values]
    opened: Values | None = None  #: the row of an idempotency key, which must not be there yet: Conflict
    settled: Values | None = None  #: the answer to a key that is open


class Guarded(NamedTuple):
    """One guarded UPDATE or DELETE of a process, or its INSERT, and what hangs on it."""

    statement: Statement
    values: Values
    followers: Followers
    skips: bool = False  #: a row that somebody has locked is left alone, where the database can do that: the guard fails
    reads_back: bool = True  #: it was Running, so strangers may have written to the row; else ``NOTHING_READ`` may be returned for it


NOTHING_READ: Row = (None, 0)  #: in place of what strangers have written


OWN = ("token", "revision", "seq", "walk")  #: what each row of a crowd has for itself: guards, the number of its next row of history, the id of its walk
Own = tuple[int, int, int, str]


class Alike(NamedTuple):
    """One verdict for a crowd (crowds.py): the same ``values`` for all, and by its id what is each one's own."""

    values: dict[str, Any]
    own: Mapping[str, Own]


class Prepared:
    """A statement compiled for one dialect: its text and how to lay out the values."""

    __slots__ = ("_constants", "_names", "_pick", "sql")

    def __init__(self, statement: Statement, dialect: sa.Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})  # type: ignore[attr-defined]
        self.sql = str(compiled)
        self._names: tuple[str, ...] | None = None if compiled.positiontup is None else tuple(compiled.positiontup)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}
        self._pick = itemgetter(*self._names) if self._names and len(self._names) > 1 else None

    def bind(self, values: Values) -> Bound:
        if self._constants:
            values = {**self._constants, **values}
        if self._pick is not None:
            laid_out: tuple[Any, ...] = self._pick(values)
            return laid_out
        return dict(values) if self._names is None else tuple(values[name] for name in self._names)


class Transaction:
    """A connection in the hands of one ``with`` block; what runs on it is one transaction.

    ``run``, ``rows`` and ``row`` take statements built at import. ``rows_built`` takes one whose text depends
    on its values (filters, lists of ids); it is compiled for this call alone.
    """

    __slots__ = ("dialect", "driver")

    def __init__(self, driver: Any, dialect: Dialect) -> None:
        self.driver = driver
        self.dialect = dialect

    def run(self, statement: Statement, values: Values) -> int:
        """The number of rows that matched."""
        prepared = self.dialect.prepared(statement)
        cursor = self.dialect.cursor(self.driver)
        cursor.execute(prepared.sql, prepared.bind(values))
        return int(cursor.rowcount)

    def run_many(self, statement: Statement, rows: Sequence[Values]) -> None:
        prepared = self.dialect.prepared(statement)
        if len(rows) == 1:
            self.dialect.cursor(self.driver).execute(prepared.sql, prepared.bind(rows[0]))
        elif rows:
            self.dialect.cursor(self.driver).executemany(prepared.sql, [prepared.bind(values) for values in rows])

    def follow(self, steps: Iterable[Step]) -> None:
        for statement, rows in steps:
            self.run_many(statement, rows)

    def rows(self, statement: Statement, values: Values) -> list[Row]:
        prepared = self.dialect.prepared(statement)
        return self.dialect.fetch(self.driver, prepared.sql, prepared.bind(values))

    def row(self, statement: Statement, values: Values) -> Row | None:
        found = self.rows(statement, values)
        return found[0] if found else None

    def rows_built(self, statement: Statement) -> list[Row]:
        prepared = Prepared(statement, self.dialect.compiling)
        return self.dialect.fetch(self.driver, prepared.sql, prepared.bind({}))


class Block:
    """The ``with`` block of one transaction. A class, because every verb passes through it and generators cost more.

    ``commits``: each statement in it is a commit by itself.
    """

    __slots__ = ("_begin", "_commits", "_dialect", "_driver", "_end")

    def __init__(self, dialect: Dialect, begin: Callable[[Any], None], end: Callable[[Any, bool], None], commits: bool = False) -> None:
        self._dialect = dialect
        self._begin = begin
        self._end = end
        self._commits = commits

    def __enter__(self) -> Transaction:
        dialect = self._dialect
        try:
            self._driver = dialect.take()
            try:
                self._begin(self._driver)
            except BaseException:
                dialect.give_back(self._driver)
                raise
        except dialect.foreign as error:
            raise dialect.meaning(error) from error
        return Transaction(self._driver, dialect)

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        dialect = self._dialect
        try:
            try:
                self._end(self._driver, error is None)
            finally:
                dialect.give_back(self._driver, interrupted=error is not None and not isinstance(error, Exception))
        except dialect.foreign as failed:
            if error is None:
                raise dialect.meaning(failed, committing=True) from failed  # else the rollback failed, and what led to it is told below
        if error is not None and isinstance(error, dialect.foreign):
            raise dialect.meaning(error, committing=self._commits) from error


class Dialect(ABC):
    """One open database."""

    engine: sa.Engine
    compiling: sa.Dialect  #: how statements are written
    path: Path | None = None  #: the real path of a SQLite file
    takes_crowds = False  #: it can write one verdict for many rows by one text; see crowds.py
    telling: Statement | None = None  #: tells every server that listens of a ``due`` time; None where the database carries no messages

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.compiling = engine.dialect
        self._prepared: dict[Statement, Prepared] = {}

    @property
    def place(self) -> str:
        """The database in messages, without its password."""
        return str(self.path or self.engine.url.set(query={}).render_as_string())

    @abstractmethod
    def close(self) -> None: ...

    # -- transactions --

    def write(self) -> Block:
        """Everything in the block becomes true together, or nothing does."""
        return Block(self, self.begin_write, self.end_write)

    def change(self) -> Block:
        """For one guarded write with all that follows; the same as ``write``, or less where one statement does it."""
        return self.write()

    def changed(self, work: Callable[[Transaction], T]) -> T:
        """What ``work`` returns in a ``change``; together with that of other threads where it pays (grouping.py), so it may be begun anew."""
        with self.change() as transaction:
            return work(transaction)

    def single(self) -> Block:
        """For one statement that writes."""
        return self.write()

    def read(self) -> Block:
        """For one SELECT, which is a transaction by itself."""
        return Block(self, begin_nothing, end_nothing)

    def snapshot(self) -> Block:
        """For several SELECTs that must see the same moment."""
        return Block(self, self.begin_snapshot, end_nothing)

    @abstractmethod
    def migration(self) -> AbstractContextManager[sa.Connection]:
        """The same as ``write``, alone against every other migration, as a connection for Alembic."""

    @contextmanager
    def connected(self) -> Iterator[Any]:
        """A connection of the driver, outside every transaction."""
        driver = self.take()
        try:
            yield driver
        finally:
            self.give_back(driver)

    @abstractmethod
    def take(self) -> Any:
        """A connection of the driver, with no transaction on it."""

    @abstractmethod
    def give_back(self, driver: Any, *, interrupted: bool = False) -> None:
        """Follows every ``take``; what was begun and not committed is rolled back.

        ``interrupted``: perhaps within a call of the driver, of which something may be left on the connection: it is closed.
        """

    @abstractmethod
    def begin_write(self, driver: Any) -> None: ...

    @abstractmethod
    def end_write(self, driver: Any, commit: bool) -> None:
        """Follows every ``begin_write`` that succeeded."""

    @abstractmethod
    def begin_snapshot(self, driver: Any) -> None: ...

    def listen(self) -> Listener | None:
        """See nudges.py. None where the database carries no messages."""
        return None

    @abstractmethod
    def facts(self, driver: Any) -> Mapping[str, str]:
        """Its settings as far as promises hang on them, by its own names, in lower case; see health.py."""

    # -- connections of servers that are gone, or calls that hang: only a server has them --

    def name_connections(self, incarnation: str | None) -> None:  # noqa: B027
        """Whose connections these are, where the database shows it."""

    def terminate_connections(self, incarnation: str) -> int:
        return 0

    def sever_hanging(self) -> int:
        return 0

    # -- statements --

    def cursor(self, driver: Any) -> Any:
        return driver.cursor()

    def prepared(self, statement: Statement) -> Prepared:
        found = self._prepared.get(statement)
        if found is None:
            found = self._prepared[statement] = Prepared(statement, self.compiling)
        return found

    def fetch(self, driver: Any, sql: str, values: Bound) -> list[Row]:
        cursor = self.cursor(driver)
        cursor.execute(sql, values)
        found: list[Row] = cursor.fetchall()
        return found

    @abstractmethod
    def created(self, transaction: Transaction, creations: Sequence[Guarded]) -> None:
        """The INSERTs of processes and all that follows. Conflict where one of them has lived before: the transaction must not be committed then."""

    @abstractmethod
    def guarded(self, transaction: Transaction, change: Guarded) -> Row | None:
        """A guarded UPDATE or DELETE of one process and, if it matched, all that follows.

        Returns what strangers wrote (cancel_requested, children_open) where the change ``reads_back``, or None: the guard failed, nothing was written.
        """

    @abstractmethod
    def guarded_all(self, transaction: Transaction, changes: Sequence[Guarded]) -> list[Row | None]:
        """The same for many processes, each guarded on its own."""

    def alike(self, transaction: Transaction, verdict: Alike) -> set[str]:
        """One verdict for a crowd, each row guarded on its own: the ids for which it was written. Only where ``takes_crowds``."""
        raise NotImplementedError

    @abstractmethod
    def has_parameter(self, name: str, value: Any) -> sa.ColumnElement[bool]:
        """A condition: the process has this parameter with exactly this value, by type too."""

    @abstractmethod
    def has_parameter_like(self, name: str, pattern: str) -> sa.ColumnElement[bool]:
        """A condition: the JSON text of this parameter, with or without blanks after ``:`` and ``,``, matches the regular expression."""

    @abstractmethod
    def has_table(self, transaction: Transaction, name: str) -> bool: ...

    # -- time: see clock.py --

    @abstractmethod
    def now(self) -> datetime:
        """The clock of the database, aware UTC."""

    @abstractmethod
    def given_now(self) -> int | None:
        """The value of ``NOW`` in a statement; None: the database looks at its own clock."""

    def timed(self, transaction: Transaction, statement: sa.Select[Any], values: Values) -> Row | None:
        """The first row of a SELECT, which brings the time along from a database that has its own."""
        return transaction.row(statement, values)

    # -- errors --

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except self.foreign as error:
            raise self.meaning(error) from error

    @property
    def foreign(self) -> tuple[type[Exception], ...]:
        """The errors that must not come out of this package."""
        return (self.engine.dialect.loaded_dbapi.Error, sa.exc.SQLAlchemyError, UnicodeEncodeError)

    @abstractmethod
    def meaning(self, error: Exception, *, committing: bool = False) -> Exception:
        """Conflict, ParameterError or StoreUnavailable for an error of the driver or of SQLAlchemy; see trouble.py."""


def begin_nothing(driver: Any) -> None:
    """A SELECT is a transaction by itself."""


def end_nothing(driver: Any, commit: bool) -> None:
    """Nothing was written; a snapshot ends with ``give_back``."""
