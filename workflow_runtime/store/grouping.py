"""Group commit: what threads of one process want to write at the same moment is committed together.

Law: nobody returns before the COMMIT that holds its change has returned. A commit waits for the disk, and whoever comes
meanwhile stands in line. The first of them leads as soon as the lead is free: in one transaction it does its own work, then that of
all who stand there, at most ``MOST``, each guarded on its own. Who comes while nobody stands or leads pays for none of this.

======================================  ===========================================================================
in a group                              becomes of the others in it
======================================  ===========================================================================
the commit returns                      STORED: each has what its own work returned
the work of one fails, also on its      ALONE: all is rolled back, and each goes by itself, so that each meets
guard of uniqueness (Conflict)          its own error and nobody that of another
the commit is refused (a full disk)     ALONE: nothing was stored, see sqlite.py; who tries it again is refused too
the leader is interrupted before that   ALONE
the leader is interrupted in a commit   UNKNOWN: each looks what became of its change, see looking.py
nothing is heard of the leader          UNKNOWN
the lead or the turn does not come      nothing: the others are not taken out of the line before a transaction has begun
======================================  ===========================================================================

The line is a deque, since each of its operations is atomic: who leads takes a waiter out, or the waiter goes away. So one
who gives up is certain that nobody will do its work. Nobody waits for ever, whatever becomes of a leader: whose work has been
taken and who hears nothing looks as well. To look takes the turn, which that leader has until its transaction has ended.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from workflow_runtime.errors import StoreError, StoreUnavailable
from workflow_runtime.store import trouble
from workflow_runtime.store.dialects import Dialect, Transaction
from workflow_runtime.store.trouble import Trouble

T = TypeVar("T")

MOST = 64  #: others in one group: what is done for them holds up every other writer


class Word(Enum):
    """What a waiter is told of its work."""

    STORED = auto()
    ALONE = auto()
    UNKNOWN = auto()


class Waiter:
    """One that stands in line. Its ``bell`` rings when it has its ``word``, or may find the lead free."""

    __slots__ = ("answer", "bell", "word", "work")

    def __init__(self, work: Callable[[Transaction], Any]) -> None:
        self.work = work
        self.answer: Any = None
        self.word: Word | None = None
        self.bell: SimpleQueue[None] = SimpleQueue()

    def tell(self, word: Word) -> None:
        self.word = word
        self.bell.put(None)


class Line:
    """The writers of this process to one database."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._lead = threading.Lock()
        self._waiting: deque[Waiter] = deque()

    def run(self, work: Callable[[Transaction], T], patience: float) -> T:
        """What ``work`` returns, which may be begun anew. StoreUnavailable when no lead comes within ``patience`` seconds."""
        if not self._waiting and self._lead.acquire(blocking=False):
            return self._leading(work)
        return self._standing(work, patience)

    # -- in the lead --

    def _leading(self, work: Callable[[Transaction], T]) -> T:
        try:
            return self._together(work)
        finally:
            self._lead.release()
            if self._waiting:
                self._call()

    def _together(self, work: Callable[[Transaction], T]) -> T:
        """The own work comes first: if that fails, nobody else has been taken out of the line."""
        group: list[Waiter] = []
        word = Word.ALONE
        try:
            with self._dialect.write() as transaction:
                answer = work(transaction)
                if self._waiting:
                    self._serve(transaction, group)
                word = Word.UNKNOWN
            word = Word.STORED
            return answer
        except Exception as error:
            if not group or (word is Word.UNKNOWN and not isinstance(error, StoreError)):
                raise
            word = Word.ALONE
        finally:
            for waiter in group:
                waiter.tell(word)
        return self._alone(work)

    def _serve(self, transaction: Transaction, group: list[Waiter]) -> None:
        """Also those who come while others are served."""
        while self._waiting and len(group) < MOST:
            try:
                waiter = self._waiting.popleft()
            except IndexError:  # it has just gone away
                return
            group.append(waiter)
            waiter.answer = waiter.work(transaction)

    def _alone(self, work: Callable[[Transaction], T]) -> T:
        with self._dialect.write() as transaction:
            return work(transaction)

    # -- in line --

    def _standing(self, work: Callable[[Transaction], T], patience: float) -> T:
        waiter = Waiter(work)
        self._waiting.append(waiter)
        try:
            leads = self._waits(waiter, patience)
        except BaseException:
            self._goes(waiter)
            self._call()
            raise
        return self._leading(work) if leads else self._told(waiter)

    def _waits(self, waiter: Waiter, patience: float) -> bool:
        """Until its work is done by another, or it is to lead: True. Only the first in line looks for the lead, so it gets it when it is called."""
        while waiter.word is None:
            if self._is_first(waiter) and self._lead.acquire(blocking=False):
                if self._goes(waiter):
                    return True
                self._lead.release()  # whoever had the lead has just done its work
                self._call()
            try:
                waiter.bell.get(timeout=patience)
            except Empty:
                self._give_up(waiter, patience)
        return False

    def _give_up(self, waiter: Waiter, patience: float) -> None:
        if self._goes(waiter):
            raise busy(self._dialect.place, patience)
        waiter.word = waiter.word or Word.UNKNOWN

    def _told(self, waiter: Waiter) -> Any:
        if waiter.word is Word.UNKNOWN:
            raise trouble.meaning(Trouble.LOST, "the thread that committed for several was interrupted", self._dialect.place, committing=True)
        return waiter.answer if waiter.word is Word.STORED else self._alone(waiter.work)

    def _is_first(self, waiter: Waiter) -> bool:
        try:
            return self._waiting[0] is waiter
        except IndexError:
            return False

    def _goes(self, waiter: Waiter) -> bool:
        """Out of the line; False: it stands there no more."""
        try:
            self._waiting.remove(waiter)
        except ValueError:
            return False
        return True

    def _call(self) -> None:
        """The first in line looks whether the lead is free: after each release, and when the first has gone away."""
        try:
            self._waiting[0].bell.put(None)
        except IndexError:
            return


def busy(place: str, seconds: float) -> StoreUnavailable:
    return StoreUnavailable(f"the database {place} has been busy for {seconds:.0f} s; repeat the call")
