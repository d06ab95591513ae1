"""Processes from one database into another, of whatever kind: export and import. The file is told of in transfer_lines.py.

Law: an export is one moment of the database. An import stores nothing before all of the file was read and found
sound; then each process becomes true with all that belongs to it, or not at all, and is compared with its line
before it does. It is the one place besides changes.py that writes processes, and it only ever adds them.

=====================  ================================================================================================
of a process           after an import
=====================  ================================================================================================
owner                  none. One that was executed is an orphan, about which the next recovery decides; nobody died
token                  a new random one, so that no server of the old database can write it
all else               as it was: revision, numbers and times of history, due times, the journal of its walk
id that is in use      refused by name, or skipped. So is that of a deleted process whose history is left
idempotency keys       come with their process, so a request that is sent again gets the answer of the first. Where the
                       key of its creation is in use here, the process is refused by name
keys of no process     come with an export of everything; one that is in use here for another request is named
current version        that of the file where the database has none of this code, else it stays
=====================  ================================================================================================

Rows of servers and recoveries stay behind: they tell of another place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple, TypeVar

import sqlalchemy as sa

from workflow_runtime.core.answers import Progress, TransferReport
from workflow_runtime.core.filters import EVERYTHING, ProcessFilter
from workflow_runtime.core.process import Process
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.core.values import Limits
from workflow_runtime.errors import IdempotencyConflict, ParameterError, ProcessAlreadyExists, StoreError, StoreUnavailable, TransferError, WorkflowError
from workflow_runtime.store import followers, migrating, rows, schemes, tables, transfer_rows, trouble
from workflow_runtime.store.dialects import Dialect, Row, Transaction
from workflow_runtime.store.filtering import conditions
from workflow_runtime.store.rows import Values
from workflow_runtime.store.transfer_forms import KEYS, ROW, check_key, check_process
from workflow_runtime.store.transfer_lines import CheckScheme, CurrentLine, EndLine, KeyLine, ProcessLine, Reading, SchemeLine, Writer, digest_of
from workflow_runtime.store.trouble import Conflict, Trouble

T = TypeVar("T")
L = TypeVar("L", ProcessLine, KeyLine)
Tokened = tuple[ProcessLine, int]  #: a process, and its token here

PAGE = 200  #: processes that are read at once
BATCH, BATCH_BYTES = 200, 4 * 1024 * 1024  #: processes that are written in one transaction, and about how much they bring
BETWEEN_SIGNS = 1024 * 1024  #: characters that are looked at between two signs of life

_SIGN: sa.Select[Any] = sa.select(sa.literal_column("1"))
_process, _scheme, _current = tables.process, tables.scheme, tables.scheme_current
_SCHEME = sa.select(_scheme).where(_scheme.c.code == sa.bindparam("code"), _scheme.c.version == sa.bindparam("version"))
_INSERT_SCHEME, _INSERT_CURRENT = followers.insert(_scheme), followers.insert(_current)


# -- export -----------------------------------------------------------------------------------------------


class Export:
    """One export of one moment. What cannot be read, or lacks its scheme, is left out and told in the report."""

    def __init__(self, dialect: Dialect, *, filter: ProcessFilter, progress: Progress) -> None:
        self._dialect = dialect
        self._where = conditions(filter, dialect)
        self._is_whole = filter == EVERYTHING
        self._progress = progress
        self._failed: dict[str, str] = {}

    def write(self, out: BinaryIO, *, program: str) -> TransferReport:
        """``program``: the version that is said to have written it. StoreUnavailable."""
        writer, now = Writer(out), rows.micros(self._dialect.now())
        with self._dialect.snapshot() as transaction:
            writer.header(program=program, schema=migrating.revision(transaction), epoch=migrating.epoch(transaction), at=now)
            known = self._write_schemes(transaction, writer)
            total = int(transaction.rows_built(sa.select(sa.func.count()).select_from(_process).where(*self._where))[0][0])
            pace = _Pace(transaction)
            for form in self._forms(transaction, known, pace):
                pace.note(self._write_process(writer, form))
                self._progress("exported", writer.processes, total)
            if self._is_whole:
                for row in transfer_rows.loose_keys(transaction, PAGE):
                    pace.note(self._write_key(writer, row))
        writer.end()
        counted = TransferReport(verb="export", schemes=writer.schemes, processes=writer.processes, keys=writer.keys)
        return replace(counted, failed=self._failed, digest=writer.digest)

    def _write_schemes(self, transaction: Transaction, writer: Writer) -> set[SchemeKey]:
        """The versions that are pinned and those that are current; which of them there are."""
        pinned = transaction.rows_built(sa.select(_process.c.scheme_code, _process.c.scheme_version).where(*self._where).distinct())
        codes = sorted({code for code, _ in pinned})
        current = {code: version for code in codes if (version := schemes.current_version(transaction, code)) is not None}
        known = set()
        for code, version in sorted({*((code, version) for code, version in pinned), *current.items()}):
            found = transaction.row(_SCHEME, {"code": code, "version": version})
            if found is not None:
                writer.scheme(dict(zip(_scheme.c.keys(), found, strict=True)))
                known.add(SchemeKey(code, version))
        for code, version in current.items():
            if (code, version) in known:
                writer.current(code, version)
        return known

    def _forms(self, transaction: Transaction, known: set[SchemeKey], pace: _Pace) -> Iterator[Values]:
        """Of the processes that can be read, by ascending id."""
        for page in self._pages(transaction):
            readable = []
            for row in page:
                pace.note(sum(len(value) for value in row if isinstance(value, str)))
                if (process := self._readable(row, known)) is not None:
                    readable.append((row, process))
            yield from transfer_rows.forms(transaction, readable)

    def _write_process(self, writer: Writer, form: Values) -> int:
        """Bytes of its line. What an import would refuse is not written."""
        try:
            check_process(form)
            return writer.process(form)
        except (ValueError, OverflowError, WorkflowError) as error:
            self._failed[form[ROW.name]["id"]] = str(error)
            return 0

    def _write_key(self, writer: Writer, row: Values) -> int:
        try:
            check_key(row)
            writer.key(row)
        except (ValueError, OverflowError, WorkflowError) as error:
            self._failed[name_of(row)] = str(error)
        return len(row["answer"] or "")

    def _pages(self, transaction: Transaction) -> Iterator[list[Row]]:
        statement = sa.select(*transfer_rows.COLUMNS).where(*self._where).order_by(_process.c.id).limit(PAGE)
        page = transaction.rows_built(statement)
        while page:
            yield page
            page = transaction.rows_built(statement.where(_process.c.id > page[-1][0])) if len(page) == PAGE else []

    def _readable(self, row: Row, known: set[SchemeKey]) -> Process | None:
        found = rows.read_or_note(row)
        if isinstance(found, rows.UnreadableRow):
            self._failed[str(found.id)] = found.cause.message
            return None
        if found.key not in known:
            self._failed[str(found.id)] = f"the database has no scheme {found.scheme_code!r} in version {found.scheme_version[:12]}"
            return None
        return found


class _Pace:
    """A server ends a transaction that lies idle. Its snapshot is asked something while large values are looked at."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._seen = 0

    def note(self, size: int) -> None:
        self._seen += size
        if self._seen >= BETWEEN_SIGNS:
            self._transaction.row(_SIGN, {})
            self._seen = 0


# -- import -----------------------------------------------------------------------------------------------


class Import:
    """One import of one file. ``new_token`` gives random numbers of 48 bits; ``limits`` hold for what a process brings.

    ``skip_existing``: processes whose id is in use are passed over and counted. ``dry_run``: nothing is stored.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        new_token: Callable[[], int],
        check_scheme: CheckScheme,
        limits: Limits,
        skip_existing: bool,
        dry_run: bool,
        progress: Progress,
    ) -> None:
        self._dialect, self._new_token, self._check_scheme, self._limits = dialect, new_token, check_scheme, limits
        self._skip_existing, self._dry_run, self._progress = skip_existing, dry_run, progress
        self._failed: dict[str, str] = {}
        self._digest = hashlib.sha256()
        self._processes = self._skipped = self._keys = 0

    def read(self, file: BinaryIO) -> TransferReport:
        """``file`` can be sought, and is read twice.

        TransferError: nothing was stored, unless the file changed meanwhile. StoreUnavailable carries ``imported``: how
        many processes are stored; the rest comes with the same file and ``skip_existing``.
        """
        added, current, end = self._verified(file)
        try:
            number = self._schemes_added(added, current)
            for batch in self._batches(file, end):
                self._store([(line, self._new_token()) for line in batch])
                self._progress("imported", self._processes + self._skipped + len(self._failed), end.processes)
            for row in self._again(file, end, KeyLine) if end.keys else ():
                self._store_key(row.values)
        except StoreUnavailable as error:
            text = f"{error.message}; {self._processes} processes were imported before: import the same file again and skip those that exist"
            raise StoreUnavailable(text, **{**error.nouns, "imported": self._processes}) from error
        return TransferReport(
            verb="import",
            dry_run=self._dry_run,
            schemes=number,
            processes=self._processes,
            keys=self._keys,
            skipped=self._skipped,
            failed=self._failed,
            digest=self._digest.hexdigest(),
        )

    # -- the file --

    def _verified(self, file: BinaryIO) -> tuple[list[SchemeLine], list[CurrentLine], EndLine]:
        """All of the file is sound: what it brings besides processes."""
        added: list[SchemeLine] = []
        current: list[CurrentLine] = []
        ends: list[EndLine] = []
        processes = 0
        for line in self._reading(file).lines():
            match line:
                case SchemeLine():
                    added.append(line)
                case CurrentLine():
                    current.append(line)
                case EndLine():
                    ends.append(line)
                case ProcessLine():
                    processes += 1
                    self._progress("checked", processes, 0)
        return added, current, ends[0]

    def _batches(self, file: BinaryIO, end: EndLine) -> Iterator[list[ProcessLine]]:
        """The processes, some hundred at a time, in a second pass."""
        batch: list[ProcessLine] = []
        for line in self._again(file, end, ProcessLine):
            batch.append(line)
            if len(batch) == BATCH or sum(each.size for each in batch) >= BATCH_BYTES:
                yield batch
                batch = []
        if batch:
            yield batch

    def _again(self, file: BinaryIO, end: EndLine, kind: type[L]) -> Iterator[L]:
        """The lines of one kind, in another pass."""
        try:
            for line in self._reading(file).lines():
                if isinstance(line, kind):
                    yield line
                elif isinstance(line, EndLine) and line != end:
                    raise TransferError("it is another export now")
        except TransferError as error:
            text = f"the file was changed while it was imported ({error.message}); {self._processes} processes were stored before"
            raise TransferError(text, code="changed", imported=self._processes) from error

    def _reading(self, file: BinaryIO) -> Reading:
        return Reading(file, check_scheme=self._check_scheme, limits=self._limits)

    # -- the database --

    def _schemes_added(self, added: list[SchemeLine], current: list[CurrentLine]) -> int:
        try:
            return self._in(lambda transaction: self._add_schemes(transaction, added, current))
        except Conflict:  # a server adds one of them at the same moment
            return self._in(lambda transaction: self._add_schemes(transaction, added, current))

    def _add_schemes(self, transaction: Transaction, added: list[SchemeLine], current: list[CurrentLine]) -> int:
        """How many versions are new here."""
        new = [line for line in added if schemes.text(transaction, line.key) is None]
        first = [line for line in current if schemes.current_version(transaction, line.code) is None]
        if not self._dry_run:
            transaction.run_many(_INSERT_SCHEME, [line.values for line in new])
            transaction.run_many(_INSERT_CURRENT, [line._asdict() for line in first])
        return len(new)

    def _store(self, batch: list[Tokened]) -> None:
        """In one transaction; where that is refused, each by itself, so that one takes nothing from the others."""
        try:
            refused = self._in(lambda transaction: self._add(transaction, batch))
        except (ParameterError, StoreError) as error:
            if isinstance(error, StoreUnavailable) and error.nouns.get("reason") != Trouble.OTHER:
                raise  # it is not the fault of a row
            if len(batch) > 1:
                for each in batch:
                    self._store([each])
            else:
                self._failed[str(batch[0][0].process.id)] = error.message
            return
        for line, _ in batch:
            self._count(line, refused.get(str(line.process.id)))

    def _add(self, transaction: Transaction, lines: list[Tokened]) -> Mapping[str, _Refused]:
        """Those that were refused, by id. What has landed already is known by its token."""
        ids = {str(line.process.id): token for line, token in lines}
        taken = transfer_rows.taken(transaction, list(ids))
        refused = {one: _Refused(_exists(one, token), exists=True) for one, token in taken.items() if token != ids[one]}
        new = [(line, token) for line, token in lines if str(line.process.id) not in taken]
        for line, _ in new:
            if name := _key_in_use(transaction, line):
                refused[str(line.process.id)] = _Refused(f"{IdempotencyConflict.__name__}: the key {name!r} of its creation is in use here", exists=False)
        new = [(line, token) for line, token in new if str(line.process.id) not in refused]
        if new and not self._dry_run:
            transfer_rows.insert(transaction, new)
            _compare(transaction, [line for line, _ in new])
        return refused

    def _count(self, line: ProcessLine, refused: _Refused | None) -> None:
        if refused is None:
            self._processes += 1
            self._keys += len(line.form[KEYS.name])
            self._digest.update(digest_of(line.form))
        elif refused.exists and self._skip_existing:
            self._skipped += 1
        else:
            self._failed[str(line.process.id)] = refused.why

    def _store_key(self, row: Values) -> None:
        """One that is there as it is in the file is counted as if it had come with it."""
        try:
            found = self._in(lambda transaction: self._add_key(transaction, row))
        except Conflict:  # a server takes it at the same moment
            found = self._in(lambda transaction: self._add_key(transaction, row))
        if found is None or found == row:
            self._keys += 1
        else:
            self._failed[name_of(row)] = f"{IdempotencyConflict.__name__}: it is in use here for another request"

    def _add_key(self, transaction: Transaction, row: Values) -> Values | None:
        found = transfer_rows.stored_key(transaction, row)
        if found is None and not self._dry_run:
            transfer_rows.insert_key(transaction, row)
        return found

    def _in(self, work: Callable[[Transaction], T]) -> T:
        """In one transaction. ``work`` looks at what is there first, so after a commit that was not answered it is done again."""
        block = self._dialect.snapshot if self._dry_run else self._dialect.write

        def attempt() -> T:
            with block() as transaction:
                return work(transaction)

        try:
            return trouble.again(attempt, self._chance)
        except StoreUnavailable as error:
            if error.nouns.get("outcome") != "unknown":
                raise
            return trouble.again(attempt, self._chance)

    def _chance(self) -> float:
        return self._new_token() % 1024 / 1024


class _Refused(NamedTuple):
    why: str
    exists: bool  #: its id is in use, which may be wanted


def _exists(process_id: str, token: int | None) -> str:
    why = "exists already" if token is not None else "was deleted and its history stays"
    return f"{ProcessAlreadyExists.__name__}: a process {process_id} {why}"


def _key_in_use(transaction: Transaction, line: ProcessLine) -> str:
    """Of its creation; those of its commands are its own."""
    created = [row for row in line.form[KEYS.name] if row["scope"] != str(line.process.id)]
    return next((row["key"] for row in created if transfer_rows.stored_key(transaction, row) is not None), "")


def name_of(row: Values) -> str:
    """How a key of no process is called in a report."""
    return f"key {row['key']!r}"


class _Different(StoreError):
    """What the database has stored is not what was given to it; nothing was stored."""


def _compare(transaction: Transaction, lines: list[ProcessLine]) -> None:
    """Before the commit: what is stored is what stands in the file."""
    for line, stored in zip(lines, transfer_rows.stored(transaction, lines), strict=True):
        if stored != line.form:
            raise _Different(f"process {line.process.id} would not be the same in this database: {_difference(line.form, stored)}")


def _difference(given: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    part = next((name for name in given if given[name] != stored[name]), "")
    if part != ROW.name:
        return f"its {part} differ"
    return f"its {', '.join(name for name, value in given[part].items() if stored[part][name] != value)} differ"
