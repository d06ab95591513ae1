"""What is printed: aligned columns, JSON-ready values, and nothing that a value could do to a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import pytest
from wfr_calls import Terminal

from workflow_runtime.cli.options import Output
from workflow_runtime.cli.output import Table, aligned, card, first, printable, say, shown, span, write
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.plain import plain

NOON = datetime(2031, 5, 6, 14, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
ID = UUID("aaaaaaaa-0000-4000-8000-000000000001")


class Colour(StrEnum):
    RED = "red"


class Pair(NamedTuple):
    left: int
    right: Colour


@dataclass
class Row:
    id: UUID
    name: str
    scheme: object = None
    token: int = 7


TABLE = Table({"id": lambda row: row.id, "name": lambda row: row.name}, id=lambda row: row.id, empty="nobody; add one")
ROWS = [Row(ID, "Anna [bold]"), Row(ID, "Bo\x1b[31mris")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (NOON, "2031-05-06T12:00:00.123Z"),
        (ID, "aaaaaaaa-0000-4000-8000-000000000001"),
        (Colour.RED, "red"),
        (Pair(1, Colour.RED), {"left": 1, "right": "red"}),
        (Row(ID, "x"), {"id": str(ID), "name": "x"}),
        ({ID: (NOON,)}, {str(ID): ["2031-05-06T12:00:00.123Z"]}),
        (FrozenDict({"a": Decimal("1.10")}), {"a": "1.10"}),
        (frozenset({"a"}), ["a"]),
    ],
)
def test_plain(value: object, expected: object) -> None:
    assert plain(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (NOON, "2031-05-06 12:00:00Z"),
        (Colour.RED, "red"),
        (ID, str(ID)),
        (5, "5"),
        ({"a": [1]}, '{"a": [1]}'),
        ("a\nb\x1b[0m", "a�b�[0m"),
    ],
)
def test_shown(value: object, expected: str) -> None:
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.3149, "0.31 s"),
        (-0.25, "-0.25 s"),
        (9.99, "9.99 s"),
        (10, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "120 min"),
        (7_200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_spans(seconds: float, expected: str) -> None:
    assert span(timedelta(seconds=seconds)) == expected


def test_a_table_is_aligned_and_has_no_blank_ends(capsys: pytest.CaptureFixture[str]) -> None:
    TABLE.show(ROWS, Output.TABLE)
    out = capsys.readouterr().out
    assert out.splitlines() == [f"{'ID':36}  NAME", f"{ID}  Anna [bold]", f"{ID}  Bo�[31mris"]


def test_a_terminal_gets_a_table_without_markup_or_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    drawn = Terminal()
    monkeypatch.setattr("sys.stdout", drawn)
    TABLE.show(ROWS, Output.TABLE)
    assert "Anna [bold]" in drawn.getvalue()
    assert "Bo�[31mris" in drawn.getvalue()


def test_a_narrow_terminal_folds_and_cuts_nothing_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "42")
    drawn = Terminal()
    monkeypatch.setattr("sys.stdout", drawn)
    TABLE.show(ROWS[:1], Output.TABLE)
    assert str(ID) in drawn.getvalue()
    assert "…" not in drawn.getvalue()


def test_other_forms(capsys: pytest.CaptureFixture[str]) -> None:
    TABLE.show(iter(ROWS), Output.IDS)
    assert capsys.readouterr().out == f"{ID}\n{ID}\n"
    TABLE.show(iter(ROWS), Output.JSONL)
    assert capsys.readouterr().out.splitlines()[1] == f'{{"id": "{ID}", "name": "Bo\\u001b[31mris"}}'
    TABLE.show([], Output.JSON)
    assert capsys.readouterr().out == "[]\n"


def test_an_empty_table_says_what_to_do_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    TABLE.show([], Output.TABLE)
    assert capsys.readouterr() == ("", "nobody; add one\n")


def test_a_card_leaves_out_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    card(ROWS[0], {"id": ID, "name": "Anna", "error": None}, Output.TABLE, id=ID)
    assert capsys.readouterr().out.splitlines() == [f"id:    {ID}", "name:  Anna"]
    card(ROWS[0], {}, Output.IDS, id=ID)
    assert capsys.readouterr().out == f"{ID}\n"


def test_aligned_knows_the_widest() -> None:
    assert aligned([["a", "b"], ["ccc", ""]]) == ["a    b", "ccc"]


def test_first_says_that_there_are_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert first(range(3), 3, "more") == [0, 1, 2]
    assert capsys.readouterr().err == ""
    assert first(range(4), 3, "more") == [0, 1, 2]
    assert capsys.readouterr().err == "more\n"


def test_words_keep_their_lines_and_lose_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    say("one\ntwo\a")
    assert capsys.readouterr() == ("", "one\ntwo�\n")
    assert printable("Grüße ✔") == "Grüße ✔"


def test_an_encoding_that_knows_less_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ascii(Terminal):
        encoding = "ascii"

    narrow = Ascii()
    monkeypatch.setattr("sys.stdout", narrow)
    write("Grüße\n")
    assert narrow.getvalue() == "Gr\\xfc\\xdfe\n"


def test_times_of_the_machine_are_never_local() -> None:
    assert shown(datetime(2031, 1, 1, tzinfo=UTC)).endswith("Z")
