"""A change as one statement after the other, in one transaction: the form of every database that has no better one.

Law: the guarded statement comes first and takes the lock of the row; where it matched no row, nothing follows.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from workflow_runtime.store import followers, tables
from workflow_runtime.store.dialects import NOTHING_READ, Dialect, Guarded, Row, Statement, Transaction, Values
from workflow_runtime.store.trouble import Conflict

_APPENDED = frozenset({followers.INSERT_HISTORY, followers.INSERT_DECISION})  #: nothing else in a change depends on these rows


class Portable(Dialect):
    put_timer: Statement  #: arms a timer, over the row that may be there
    keep_timer: Statement  #: arms a timer only where none is

    @abstractmethod
    def written(self, transaction: Transaction, statement: Statement, values: Values) -> Row | None:
        """Run a guarded statement, and read cancel_requested and children_open of the row that it matched."""

    def is_free(self, transaction: Transaction, change: Guarded) -> bool:
        """Whether nobody else has locked the row; it is locked then. Where writers queue up anyway, this is not asked."""
        return True

    def created(self, transaction: Transaction, creations: Sequence[Guarded]) -> None:
        """The rows of each table together, those of processes first: a batch costs no more statements than one."""
        had_life, ids = _had_life([creation.followers.process_id for creation in creations])
        if found := transaction.row(had_life, ids):
            raise Conflict(f"history of a process {found[0]} is there")
        together: dict[Statement, list[Values]] = {}
        for creation in creations:
            together.setdefault(creation.statement, []).append(creation.values)
        for creation in creations:
            for statement, values in followers.steps(creation.followers, self.put_timer, self.keep_timer):
                together.setdefault(statement, []).extend(values)
        transaction.follow(together.items())

    def guarded(self, transaction: Transaction, change: Guarded) -> Row | None:
        found = self._written(transaction, change)
        if found is not None:
            transaction.follow(followers.steps(change.followers, self.put_timer, self.keep_timer))
        return found

    def _written(self, transaction: Transaction, change: Guarded) -> Row | None:
        if change.skips and not self.is_free(transaction, change):
            return None
        if change.reads_back:
            return self.written(transaction, change.statement, change.values)
        return NOTHING_READ if transaction.run(change.statement, change.values) else None

    def guarded_all(self, transaction: Transaction, changes: Sequence[Guarded]) -> list[Row | None]:
        """Rows that are only appended wait, so that those of all changes go in together."""
        appended: dict[Statement, list[Any]] = {}
        results = []
        for change in changes:
            results.append(self._written(transaction, change))
            if results[-1] is not None:
                for statement, values in followers.steps(change.followers, self.put_timer, self.keep_timer):
                    if statement in _APPENDED:
                        appended.setdefault(statement, []).extend(values)
                    else:
                        transaction.run_many(statement, values)
        transaction.follow(appended.items())
        return results


def _had_life(ids: Sequence[str]) -> tuple[Statement, Values]:
    size = 1 << (len(ids) - 1).bit_length()
    return _lived_of(size), {f"id{number}": ids[min(number, len(ids) - 1)] for number in range(size)}


@cache
def _lived_of(size: int) -> Statement:
    """One statement per power of two, so that their number is bounded; spare places repeat an id."""
    lived = sa.select(tables.history.c.process_id).where(tables.history.c.process_id.in_([bindparam(f"id{number}") for number in range(size)]))
    return lived.limit(sa.literal_column("1"))
