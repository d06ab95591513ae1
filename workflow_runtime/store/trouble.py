"""What an error of a database means: one table for all of them.

Law: a dialect says which trouble an error is, and nothing else; this page says what becomes of it.

============  =======================  ==================  ==========================================  =======
trouble       PostgreSQL SQLSTATE      MariaDB, MySQL      becomes                                     in hand
============  =======================  ==================  ==========================================  =======
CONTENDED     40001, 40P01             1020, 1213          the whole transaction again, up to 5 times  waits
DUPLICATE     23...                    1062, 1451 ...      Conflict                                    ends
CHARACTER     22021, 22P02, 22P05      1300, 1366          ParameterError bad_character                ends
TOO_LONG      22001, 54000             1406                ParameterError too_large                    ends
OUT_OF_RANGE  22003                    1264                ParameterError number_out_of_range          ends
NO_TABLES     42P01, 42703, 3F000 ...  1146, 1054          StoreUnavailable: upgrade                   ends
READ_ONLY     25006                    1290, 1792, 1836    StoreUnavailable; connections are closed:   waits
                                                           the next one may find the promoted server
DISK_FULL     53100                    3, 28, 1021, 1114   StoreUnavailable                            waits
CROWDED       53300                    1040, 1203          StoreUnavailable: no connection was free    waits
TIMEOUT       55P03, 57014, 25P03      1205, 1969, 3024    StoreUnavailable; 1205 ends only the        waits
                                                           statement, so every error is rolled back
NO_ENTRY      28..., 3D000             1044, 1045, 1049    StoreUnavailable: permanent; what to mend   ends
CANNOT_OPEN   (SQLite only)                                the same: the folder of the file            ends
NO_DATABASE   (SQLite only)                                the same: the file                          ends
LOST          none, 08..., 57P0.       1180, 2006, 2013 .. StoreUnavailable; the outcome of a commit   waits
                                                           is unknown: see looking.py
OTHER         everything else          everything else     StoreUnavailable                            ends
============  =======================  ==================  ==========================================  =======

"In hand" is a step of a process that this server executes: it waits for what passes by itself, see patience.py.
All else is reported at once. Nothing new is begun meanwhile, since a claim is a write, and the first one.

A StoreUnavailable carries ``outcome``: "known" means that nothing of the call was stored, "unknown" that
the connection broke off while a commit was under way. ``reason`` is the trouble.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum
from pathlib import PurePath
from typing import TypeVar

from workflow_runtime.errors import ParameterError, StoreError, StoreUnavailable

T = TypeVar("T")

ATTEMPTS = 5
LONGEST_PAUSE = 0.05  #: seconds, before the second attempt; twice as long before each further one


class Conflict(StoreError):
    """A row that may exist only once is there already; nothing was stored."""


class Contended(StoreUnavailable):
    """The database ended this transaction in favour of another; nothing was stored."""


class Trouble(StrEnum):
    CONTENDED = "contended"
    DUPLICATE = "duplicate"
    CHARACTER = "character"
    TOO_LONG = "too_long"
    OUT_OF_RANGE = "out_of_range"
    NO_TABLES = "no_tables"
    READ_ONLY = "read_only"
    DISK_FULL = "disk_full"
    CROWDED = "crowded"
    TIMEOUT = "timeout"
    NO_ENTRY = "no_entry"
    CANNOT_OPEN = "cannot_open"
    NO_DATABASE = "no_database"
    LOST = "lost"
    OTHER = "other"


#: What passes by itself: a call of which nothing was stored may succeed a little later.
PASSING = frozenset({Trouble.CONTENDED, Trouble.READ_ONLY, Trouble.DISK_FULL, Trouble.CROWDED, Trouble.TIMEOUT, Trouble.LOST})

#: Whole SQLSTATEs first, then their classes.
BY_SQLSTATE: dict[str, Trouble] = {
    "40001": Trouble.CONTENDED,
    "40P01": Trouble.CONTENDED,
    "22001": Trouble.TOO_LONG,
    "54000": Trouble.TOO_LONG,
    "22003": Trouble.OUT_OF_RANGE,
    "22021": Trouble.CHARACTER,
    "22P02": Trouble.CHARACTER,
    "22P05": Trouble.CHARACTER,
    "3F000": Trouble.NO_TABLES,
    "42P01": Trouble.NO_TABLES,
    "42703": Trouble.NO_TABLES,
    "42883": Trouble.NO_TABLES,  # our function
    "25006": Trouble.READ_ONLY,
    "3D000": Trouble.NO_ENTRY,
    "28": Trouble.NO_ENTRY,
    "25P03": Trouble.TIMEOUT,
    "53100": Trouble.DISK_FULL,
    "53300": Trouble.CROWDED,
    "55P03": Trouble.TIMEOUT,
    "57014": Trouble.TIMEOUT,
    "57P01": Trouble.LOST,
    "57P02": Trouble.LOST,
    "57P03": Trouble.LOST,
    "57P05": Trouble.LOST,
    "08": Trouble.LOST,
    "23": Trouble.DUPLICATE,
}

BY_NUMBER: dict[int, Trouble] = {
    1020: Trouble.CONTENDED,
    1213: Trouble.CONTENDED,
    1022: Trouble.DUPLICATE,
    1048: Trouble.DUPLICATE,
    1062: Trouble.DUPLICATE,
    1451: Trouble.DUPLICATE,
    1452: Trouble.DUPLICATE,
    1300: Trouble.CHARACTER,
    1366: Trouble.CHARACTER,
    1406: Trouble.TOO_LONG,
    1264: Trouble.OUT_OF_RANGE,
    1054: Trouble.NO_TABLES,
    1146: Trouble.NO_TABLES,
    1044: Trouble.NO_ENTRY,
    1045: Trouble.NO_ENTRY,
    1049: Trouble.NO_ENTRY,
    1290: Trouble.READ_ONLY,
    1792: Trouble.READ_ONLY,
    1836: Trouble.READ_ONLY,
    3: Trouble.DISK_FULL,
    28: Trouble.DISK_FULL,
    1021: Trouble.DISK_FULL,
    1114: Trouble.DISK_FULL,
    1040: Trouble.CROWDED,
    1203: Trouble.CROWDED,
    1205: Trouble.TIMEOUT,
    1969: Trouble.TIMEOUT,
    3024: Trouble.TIMEOUT,
    0: Trouble.LOST,  # PyMySQL: the connection was closed before
    1053: Trouble.LOST,
    1159: Trouble.LOST,
    1161: Trouble.LOST,
    1180: Trouble.LOST,  # an error during the commit itself
    1927: Trouble.LOST,
    2002: Trouble.LOST,
    2003: Trouble.LOST,
    2006: Trouble.LOST,
    2013: Trouble.LOST,
    2014: Trouble.LOST,
    2055: Trouble.LOST,
    4031: Trouble.LOST,
}


def of_sqlstate(state: str | None) -> Trouble:
    """None: the driver itself gave up, since the connection broke off (or was never made)."""
    if state is None:
        return Trouble.LOST
    return BY_SQLSTATE.get(state) or BY_SQLSTATE.get(state[:2], Trouble.OTHER)


def of_number(number: object) -> Trouble:
    return BY_NUMBER.get(number, Trouble.OTHER) if isinstance(number, int) else Trouble.OTHER


def meaning(trouble: Trouble, cause: str, place: str, *, committing: bool = False) -> Exception:
    """The error to raise. ``committing``: should the connection be lost, a commit was under way."""
    refusal = _REFUSALS.get(trouble)
    if refusal is not None:
        return refusal(cause)
    outcome = "unknown" if committing and trouble is Trouble.LOST else "known"
    if trouble is Trouble.NO_TABLES:
        message = f"the database {place} has not the tables of this version ({cause}); run wfr db upgrade"
    elif outcome == "unknown":
        message = f"the connection to {place} broke off during a commit: {cause}; whether it was stored is not known: read the process again"
    else:
        message = f"the database {place} cannot be used: {cause}; {_advice(trouble, place)}"
    kind = Contended if trouble is Trouble.CONTENDED else StoreUnavailable
    return kind(message, outcome=outcome, reason=trouble.value)


def _advice(trouble: Trouble, place: str) -> str:
    """What helps: a permanent cause is mended, all others pass by themselves."""
    match trouble:
        case Trouble.CANNOT_OPEN:
            return f"see to it that the folder {PurePath(place).parent} exists and that this program may write there, or name another database"
        case Trouble.NO_DATABASE:
            return f"the file {place} is no SQLite database or is damaged: name another, or put a copy that is whole in its place"
        case Trouble.NO_ENTRY:
            return "see to it that the database exists, and that the user and password of the URL may use it"
    return "repeat the call when it is back"


_REFUSALS: dict[Trouble, Callable[[str], Exception]] = {
    Trouble.DUPLICATE: lambda cause: Conflict(f"nothing was stored: {cause}"),
    Trouble.CHARACTER: lambda cause: ParameterError(f"a text cannot be stored: {cause}", code="bad_character"),
    Trouble.TOO_LONG: lambda cause: ParameterError(f"a text is longer than the database takes: {cause}", code="too_large"),
    Trouble.OUT_OF_RANGE: lambda cause: ParameterError(f"a number is out of the database's range: {cause}", code="number_out_of_range"),
}


def again(work: Callable[[], T], chance: Callable[[], float], pause: Callable[[float], object] | None = None) -> T:
    """What ``work`` returns; begun anew when the database ended it in favour of another transaction, at most 5 times in all.

    ``chance`` gives numbers from 0 to 1: two that met once should not meet again. Contended when all attempts failed.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return work()
        except Contended:
            (pause or threading.Event().wait)(LONGEST_PAUSE * 2**attempt * chance())
    return work()
