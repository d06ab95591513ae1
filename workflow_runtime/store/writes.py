"""The store: what the engine says to a database, in verbs of the domain.

Law: each verb is one transaction. ``apply`` makes a whole ``Change`` true or nothing of it; see changes.py.
Times come from the clock of the database; see clock.py. A transaction that the database ended in favour of
another is begun anew; see trouble.py. A change whose commit was not answered is looked up; see looking.py.
All verbs may be called from any thread. Errors are ``StoreError``s; nothing of SQLAlchemy comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.core.keys import Answer, Key
from workflow_runtime.core.keys import Row as KeyRow
from workflow_runtime.core.process import CancelRequest, Change, Decision, ErrorInfo, JournalEntry, Process, Timer
from workflow_runtime.core.restoring import RecoveryReport, Server
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.errors import StoreUnavailable
from workflow_runtime.store import changes, crowds, health, keys, looking, migrating, records, rows, schemes, servers, tables, trouble, waiting
from workflow_runtime.store.changes import Applied, Outcome, Plan
from workflow_runtime.store.crowds import Crowd
from workflow_runtime.store.dialects import Block, Dialect, Row, Transaction
from workflow_runtime.store.network import USUAL, Bounds, Networked
from workflow_runtime.store.nudges import Listener
from workflow_runtime.store.opening import open_dialect
from workflow_runtime.store.patience import Patience
from workflow_runtime.store.rows import UnreadableRow
from workflow_runtime.store.sessions import Session
from workflow_runtime.store.trouble import Conflict
from workflow_runtime.store.waiting import DueRow

__all__ = ["Applied", "DueRow", "Outcome", "Store", "UnreadableRow"]

T = TypeVar("T")
Orphans = Process | UnreadableRow | Crowd

_process, _journal = tables.process, tables.journal
_LOAD = sa.select(*(_process.c[name] for name in rows.PROCESS_COLUMNS)).where(_process.c.id == bindparam("id"))
_JOURNAL = (
    sa.select(*(_journal.c[name] for name in records.JOURNAL_COLUMNS))
    .where(_journal.c.process_id == bindparam("id"), _journal.c.walk_id == bindparam("walk_id"))
    .order_by(_journal.c.id)
)


class Store:
    """One open database. ``bind`` says whose writes these are."""

    def __init__(self, dialect: Dialect, *, new_token: Callable[[], int]) -> None:
        self.dialect = dialect
        self._new_token = new_token
        self._me: str | None = None

    @classmethod
    def open(
        cls,
        url: str,
        *,
        clock: Callable[[], datetime],
        new_token: Callable[[], int],
        monotonic: Callable[[], float] | None = None,
        synchronous: str = "FULL",
        bounds: Bounds = USUAL,
    ) -> Store:
        """Connects with the first verb. ``clock`` gives aware UTC; ``new_token`` a random number of 48 bits.

        ``monotonic`` (seconds): a database with a clock of its own is asked for the time instead of ``clock``.
        ``bounds``: for databases on a server.
        """
        return cls(open_dialect(url, clock=clock, monotonic=monotonic, synchronous=synchronous, bounds=bounds), new_token=new_token)

    def close(self) -> None:
        self.dialect.close()

    @property
    def path(self) -> Path | None:
        """The real path of a SQLite file."""
        return self.dialect.path

    def bind(self, incarnation: str | None) -> None:
        """None: a client, which has no server row. Connections made from now on bear the name, where the database shows it."""
        self._me = incarnation
        self.dialect.name_connections(incarnation)

    def now(self) -> datetime:
        return self.dialect.now()

    # -- the schema --

    def upgrade(self) -> bool:
        """True when something was done; SchemaTooNew when the database is ahead of this version."""
        epoch = str(UUID(int=sum(self._new_token() << shift for shift in (0, 40, 80)) % 2**128, version=4))
        return migrating.upgrade(self.dialect, epoch)

    def check(self) -> None:
        """StoreUnavailable or SchemaTooNew unless the tables are those of this version."""
        migrating.check(self.schema_revision(), self.dialect.place)

    def schema_revision(self) -> str | None:
        if self.path is not None and not self.path.exists():  # to look at a file must not create it
            raise StoreUnavailable(f"there is no database {self.path}; create it with wfr db upgrade, or correct the URL")
        with self.dialect.read() as transaction:
            return migrating.revision(transaction)

    def epoch(self) -> str:
        """The random id of this database."""
        with self.dialect.read() as transaction:
            return migrating.epoch(transaction)

    def health(self) -> tuple[str, ...]:
        """A sentence for each promise that this database weakens; see health.py. StoreUnavailable, SettingsError where it cannot be used."""
        with self.dialect.translated(), self.dialect.connected() as driver:
            facts = self.dialect.facts(driver)
        return health.check(facts, self.dialect.place)

    # -- schemes --

    def add_scheme(self, key: SchemeKey, text: str, format: str) -> bool:
        """Makes it the current version; True when the version is new."""
        now = self._now()
        try:
            return self._in(self.dialect.write, lambda transaction: schemes.add(transaction, key, text, format, now))
        except Conflict:  # another server adds it at the same moment
            return self._in(self.dialect.write, lambda transaction: schemes.add(transaction, key, text, format, now))

    def scheme_text(self, key: SchemeKey) -> tuple[str, str] | None:
        """Text and format."""
        with self.dialect.read() as transaction:
            return schemes.text(transaction, key)

    def current_version(self, code: str) -> str | None:
        with self.dialect.read() as transaction:
            return schemes.current_version(transaction, code)

    def scheme_codes(self) -> list[str]:
        with self.dialect.read() as transaction:
            return schemes.codes(transaction)

    def scheme_versions(self, code: str) -> list[str]:
        """The oldest first."""
        with self.dialect.read() as transaction:
            return schemes.versions(transaction, code)

    # -- one process --

    def load(self, process_id: UUID) -> Process | None:
        """One SELECT. RowUnreadable when the row is not what was stored."""
        found = self._row_of(process_id)
        return None if found is None else rows.read_process(found)

    def load_or_note(self, process_id: UUID) -> Process | UnreadableRow | None:
        """As ``load``, but one that cannot be read comes as what ``mark_unreadable`` wants."""
        found = self._row_of(process_id)
        return None if found is None else rows.read_or_note(found)

    def _row_of(self, process_id: UUID) -> Row | None:
        with self.dialect.read() as transaction:
            return self.dialect.timed(transaction, _LOAD, {"id": str(process_id)})

    def load_all(self, ids: Sequence[UUID]) -> dict[UUID, Process]:
        """Those that are there and can be read, in one SELECT."""
        with self.dialect.read() as transaction:
            found = map(rows.read_or_note, waiting.processes(transaction, list(ids)))
        return {process.id: process for process in found if isinstance(process, Process)}

    def apply(self, change: Change, *, me: str | None = None, patience: Patience | None = None) -> Applied:
        """One transaction: the whole change, or nothing. ProcessAlreadyExists when a creation meets another process.

        ``me``: who writes, where it is not for the store to say (``bind``). ``patience``: how long an outcome that
        is not known is looked up; without it once. StoreUnavailable with outcome "unknown" if that fails.
        """
        planned = changes.plan(change, me or self._me)
        try:
            return trouble.again(lambda: self.dialect.changed(lambda transaction: changes.run(transaction, planned)), self._chance)
        except StoreUnavailable as error:
            return self._look(error, [planned], patience)[0]
        except Conflict as met:
            if change.before is not None and change.opens is None:
                raise
            with self.dialect.read() as transaction:
                return looking.met(transaction, change, met)

    def apply_all(self, batch: Sequence[Change], *, me: str | None = None, patience: Patience | None = None) -> list[Applied]:
        """Many changes in one transaction, each guarded on its own: a lost one takes nothing from the others. ProcessAlreadyExists: nothing was written."""
        planned = [changes.plan(change, me or self._me) for change in batch]
        try:
            return self._in(self.dialect.write, lambda transaction: changes.run_all(transaction, planned))
        except StoreUnavailable as error:
            return self._look(error, planned, patience)
        except Conflict as met:
            with self.dialect.read() as transaction:
                raise looking.met_among(transaction, batch, met) from None

    def _look(self, error: StoreUnavailable, batch: list[Plan], patience: Patience | None) -> list[Applied]:
        """What became of a batch whose commit broke off. An ``error`` of which all is known is raised."""
        if error.nouns.get("outcome") != "unknown":
            raise error
        while True:
            try:
                return self._in(self.dialect.write, lambda transaction: looking.settle_all(transaction, batch))
            except (StoreUnavailable, Conflict) as failed:
                if patience is None or not patience.wait():
                    raise looking.still_unknown(failed, self.dialect.place) from error

    def key_row(self, key: Key) -> KeyRow | None:
        """What is stored for an idempotency key, whatever request it belongs to. RowUnreadable."""
        with self.dialect.read() as transaction:
            return keys.row(transaction, key)

    def refuse(self, key: Key, answer: Answer) -> bool:
        """A request that was not executed has its answer at once, in one row; False where the key has one already."""
        values = keys.opened_values(key, answer, self._now(), is_settled=True)
        try:
            return self._in(self.dialect.single, lambda transaction: transaction.run(keys.OPEN, values)) == 1
        except Conflict:
            return False

    def forget_keys(self, *, kept: timedelta, limit: int) -> int:
        """Keys that were settled longer ago go, the oldest first and about ``limit`` at once; how many did. Open ones stay."""
        before = rows.micros(self.now() - kept)
        return self._in(self.dialect.write, lambda transaction: keys.forget(transaction, before, limit))

    def request_cancel(self, process_id: UUID, request: CancelRequest) -> bool:
        """Outside the guard, without a new revision; False unless the process is Running and has an owner."""
        return self._in(self.dialect.single, lambda transaction: changes.request_cancel(transaction, process_id, request))

    def journal(self, process_id: UUID, walk_id: str) -> tuple[JournalEntry, ...]:
        """In the order of writing."""
        with self.dialect.read() as transaction:
            found = transaction.rows(_JOURNAL, {"id": str(process_id), "walk_id": walk_id})
        return tuple(rows.readable(process_id, records.read_journal, row) for row in found)

    def timers(self, process_id: UUID) -> tuple[Timer, ...]:
        """Reserved rows too, the earliest first."""
        with self.dialect.read() as transaction:
            return waiting.timers(transaction, process_id)

    def waits(self, process_id: UUID) -> bool:
        """Whether a retry or start row will bring it back; also where that row cannot be read."""
        with self.dialect.read() as transaction:
            return waiting.waits(transaction, process_id)

    def timers_of(self, ids: Sequence[UUID]) -> dict[UUID, tuple[Timer, ...]]:
        """For each id its timers, in one query."""
        with self.dialect.read() as transaction:
            return waiting.timers_of(transaction, list(ids))

    # -- what waits --

    def orphan_crowds(self, *, me: str | None, after: tuple[int, str] | None = None, limit: int = 100) -> tuple[list[Orphans], tuple[int, str] | None]:
        """As ``orphans``, those that are alike together (crowds.py), where the database takes crowds; and the cursor behind the last."""
        takes_crowds = self.dialect.takes_crowds
        with self.dialect.read() as transaction:
            found = waiting.orphans(transaction, me, after, limit, timers=takes_crowds)
        each = crowds.gathered(found) if takes_crowds else map(rows.read_or_note, found)
        return list(each), crowds.cursor(found[-1]) if found else None

    def apply_alike(self, crowd: Crowd, change: Change, spelled: Callable[[], Sequence[Change]]) -> set[str] | None:
        """The change of the first for all, in one transaction, each guarded on its own: the ids for which it is written. None: it says too much for that.

        ``spelled``: the change of each, for the case that the commit is not answered and must be looked up.
        """
        verdict = crowds.plan(crowd, change, self._me)
        if verdict is None:
            return None
        try:
            return self._in(self.dialect.change, lambda transaction: self.dialect.alike(transaction, verdict))
        except StoreUnavailable as error:
            planned = [changes.plan(each, self._me) for each in spelled()]
            applied = self._look(error, planned, None)
            return {plan.guarded.followers.process_id for plan, one in zip(planned, applied, strict=True) if one.outcome is Outcome.APPLIED}

    def orphans(self, *, me: str | None, after: tuple[int, str] | None = None, limit: int = 100, nobody_lives: bool = False) -> list[Process | UnreadableRow]:
        """The oldest first, behind the cursor ``after`` (``orphan_cursor`` of the last one). See waiting.py.

        ``nobody_lives``: the caller knows that every server is gone, also those that nobody declared dead.
        """
        with self.dialect.read() as transaction:
            found = waiting.orphans(transaction, me, after, limit, nobody_lives)
        return [rows.read_or_note(row) for row in found]

    def mark_unreadable(self, row: UnreadableRow, error: ErrorInfo, decision: Decision | None = None) -> bool:
        """Status Error with the cause, guarded; False when the row has changed since."""
        now = self._now()
        return self._in(self.dialect.write, lambda transaction: changes.mark_unreadable(transaction, row, self._me, error, decision, now))

    def due(self, now: datetime, limit: int, without: Collection[str] = ()) -> list[DueRow]:
        """The earliest first, but none of the scheme versions ``without``; see waiting.py for what counts."""
        with self.dialect.read() as transaction:
            return waiting.due(transaction, rows.micros(now), limit, without)

    def next_due(self, *, after: datetime, without: Collection[str] = ()) -> datetime | None:
        """The earliest that is still to come after this moment."""
        with self.dialect.read() as transaction:
            return rows.maybe_moment(waiting.next_due(transaction, rows.micros(after), without))

    # -- messages: see nudges.py --

    @property
    def carries_messages(self) -> bool:
        """Whether servers can tell each other of due rows; else each finds them when it looks."""
        return self.dialect.telling is not None

    def tell_due(self, due: datetime) -> None:
        """Every server that listens hears of it, where the database carries messages. Call it after the commit. StoreUnavailable."""
        if self.dialect.telling is not None:
            with self.dialect.single() as transaction:
                transaction.rows(self.dialect.telling, {"due": rows.micros(due)})

    def listen(self) -> Listener | None:
        """Hears what is told from now on, over a connection of its own. None where the database carries no messages."""
        return self.dialect.listen()

    # -- servers and recoveries --

    def open_session(self, *, patience: float) -> Session | None:
        """A connection that shows that this server is there, for its beats; no call on it takes longer than ``patience`` seconds.

        None on SQLite, where a file lock does that.
        """
        return self.dialect.open_session(patience, self._new_token) if isinstance(self.dialect, Networked) else None

    def register(self, server: Server) -> None:
        self._in(self.dialect.single, lambda transaction: servers.register(transaction, server))

    def beat(self, server_id: str, *, lease: timedelta) -> bool:
        """False: fenced."""
        return self._in(self.dialect.single, lambda transaction: servers.beat(transaction, server_id, lease))

    def drain(self, server_id: str) -> None:
        self._in(self.dialect.single, lambda transaction: servers.drain(transaction, server_id))

    def retire(self, server_id: str) -> None:
        """The row goes: what it still owns is orphaned."""
        self._in(self.dialect.single, lambda transaction: servers.retire(transaction, server_id))

    def declare_dead(self, server_id: str, *, beat: int, evidence: str = "") -> bool:
        """True if this call made it so; False if it has beaten since ``beat``. ``evidence``: how its death was noticed."""
        return self._in(self.dialect.single, lambda transaction: servers.declare_dead(transaction, server_id, beat, evidence, self._me))

    def terminate_connections(self, server_id: str) -> int:
        """End what the database still does for a server that was declared dead, so that its locks go at once; how many connections.

        0 on MariaDB and MySQL, where no connection shows whose it is: there its idle transactions end by themselves
        (MariaDB within two seconds, MySQL never). StoreUnavailable, also where the user of the URL may not do that.
        """
        return self.dialect.terminate_connections(server_id)

    def sever_hanging(self) -> int:
        """End the calls of this program that a silent network holds up: each fails as if its connection broke off. How many there were.

        To be called now and then from a thread that makes no such calls itself. It ends those of sessions too. 0 on SQLite.
        """
        return self.dialect.sever_hanging()

    def forget_dead(self, *, kept: timedelta) -> int:
        """Rows of servers that died longer ago and own nothing go; how many did."""
        return self._in(self.dialect.single, lambda transaction: servers.forget_dead(transaction, kept))

    def servers(self) -> list[Server]:
        with self.dialect.read() as transaction:
            return servers.servers(transaction)

    def open_recovery(self, report: RecoveryReport) -> None:
        self._in(self.dialect.single, lambda transaction: servers.open_recovery(transaction, report))

    def forget_recovery(self, recovery_id: str) -> None:
        """The row of a pass that came to nothing goes."""
        self._in(self.dialect.single, lambda transaction: servers.forget_recovery(transaction, recovery_id))

    def update_recovery(self, report: RecoveryReport) -> None:
        self._in(self.dialect.single, lambda transaction: servers.update_recovery(transaction, report))

    def _in(self, block: Callable[[], Block], work: Callable[[Transaction], T]) -> T:
        """What ``work`` returns, in one transaction."""

        def attempt() -> T:
            with block() as transaction:
                return work(transaction)

        return trouble.again(attempt, self._chance)

    def _chance(self) -> float:
        return self._new_token() % 1024 / 1024

    def _now(self) -> int:
        return rows.micros(self.now())


def orphan_cursor(row: Process | UnreadableRow) -> tuple[int, str]:
    """Where the next page of orphans begins."""
    return (row.created_at, row.id) if isinstance(row, UnreadableRow) else (rows.micros(row.created_at), str(row.id))
