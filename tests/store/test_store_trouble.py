"""The table of errors, without a database."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.errors import ParameterError, StoreError, StoreUnavailable
from workflow_runtime.store.trouble import ATTEMPTS, LONGEST_PAUSE, Conflict, Contended, Trouble, again, meaning, of_number, of_sqlstate


@pytest.mark.parametrize(
    ("state", "trouble"),
    [
        ("40P01", Trouble.CONTENDED),
        ("40001", Trouble.CONTENDED),
        ("23505", Trouble.DUPLICATE),
        ("23514", Trouble.DUPLICATE),
        ("22021", Trouble.CHARACTER),
        ("22P05", Trouble.CHARACTER),
        ("22001", Trouble.TOO_LONG),
        ("54000", Trouble.TOO_LONG),
        ("42P01", Trouble.NO_TABLES),
        ("25006", Trouble.READ_ONLY),
        ("28P01", Trouble.NO_ENTRY),
        ("3D000", Trouble.NO_ENTRY),
        ("53100", Trouble.DISK_FULL),
        ("53300", Trouble.CROWDED),
        ("55P03", Trouble.TIMEOUT),
        ("57014", Trouble.TIMEOUT),
        (None, Trouble.LOST),
        ("08006", Trouble.LOST),
        ("57P01", Trouble.LOST),
        ("XX000", Trouble.OTHER),
        ("22012", Trouble.OTHER),
    ],
)
def test_a_sqlstate_is_a_trouble(state: str | None, trouble: Trouble) -> None:
    assert of_sqlstate(state) is trouble


@pytest.mark.parametrize(
    ("number", "trouble"),
    [
        (1213, Trouble.CONTENDED),
        (1062, Trouble.DUPLICATE),
        (1366, Trouble.CHARACTER),
        (1406, Trouble.TOO_LONG),
        (1146, Trouble.NO_TABLES),
        (1290, Trouble.READ_ONLY),
        (1045, Trouble.NO_ENTRY),
        (1049, Trouble.NO_ENTRY),
        (1021, Trouble.DISK_FULL),
        (1040, Trouble.CROWDED),
        (1180, Trouble.LOST),
        (1205, Trouble.TIMEOUT),
        (1969, Trouble.TIMEOUT),
        (2006, Trouble.LOST),
        (2013, Trouble.LOST),
        (0, Trouble.LOST),
        (1064, Trouble.OTHER),
        (None, Trouble.OTHER),
        ("2006", Trouble.OTHER),
    ],
)
def test_a_number_is_a_trouble(number: Any, trouble: Trouble) -> None:
    assert of_number(number) is trouble


@pytest.mark.parametrize(
    ("trouble", "kind", "words"),
    [
        (Trouble.CONTENDED, Contended, "repeat the call"),
        (Trouble.DUPLICATE, Conflict, "nothing was stored"),
        (Trouble.CHARACTER, ParameterError, "cannot be stored"),
        (Trouble.TOO_LONG, ParameterError, "longer than"),
        (Trouble.OUT_OF_RANGE, ParameterError, "range"),
        (Trouble.NO_TABLES, StoreUnavailable, "run wfr db upgrade"),
        (Trouble.DISK_FULL, StoreUnavailable, "repeat the call when it is back"),
    ],
)
def test_each_trouble_becomes_an_error_that_says_what_to_do(trouble: Trouble, kind: type[StoreError], words: str) -> None:
    error = meaning(trouble, "the cause", "the place", committing=True)
    assert type(error) is kind
    assert words in str(error)
    assert "the cause" in str(error)


@pytest.mark.parametrize("trouble", [trouble for trouble in Trouble if isinstance(meaning(trouble, "", ""), StoreUnavailable)])
@pytest.mark.parametrize("committing", [False, True])
def test_only_a_commit_whose_connection_was_lost_has_an_unknown_outcome(trouble: Trouble, committing: bool) -> None:
    error: Any = meaning(trouble, "the cause", "the place", committing=committing)
    assert error.outcome == ("unknown" if committing and trouble is Trouble.LOST else "known")
    assert error.reason == trouble.value
    assert ("not known" in str(error)) is (error.outcome == "unknown")


class Work:
    """Contended as often as told, then done."""

    def __init__(self, contended: int) -> None:
        self.contended, self.attempts = contended, 0

    def __call__(self) -> str:
        self.attempts += 1
        if self.attempts <= self.contended:
            raise Contended("again")
        return "done"


@pytest.mark.parametrize("contended", range(ATTEMPTS))
def test_a_contended_transaction_is_begun_anew_with_growing_pauses(contended: int) -> None:
    work, pauses = Work(contended), list[float]()
    assert again(work, lambda: 0.5, pauses.append) == "done"
    assert pauses == [LONGEST_PAUSE * 2**number / 2 for number in range(contended)]


def test_after_five_attempts_it_is_told_and_the_outcome_is_known() -> None:
    work = Work(99)
    with pytest.raises(StoreUnavailable, match="again"):
        again(work, lambda: 0.0, lambda _: None)
    assert work.attempts == ATTEMPTS == 5


def test_another_error_is_not_repeated() -> None:
    def fail() -> None:
        attempts.append(1)
        raise StoreUnavailable("gone")

    attempts: list[int] = []
    with pytest.raises(StoreUnavailable):
        again(fail, lambda: 0.0, lambda _: None)
    assert len(attempts) == 1
