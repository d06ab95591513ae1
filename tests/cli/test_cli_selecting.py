"""Values that are typed: what a parameter becomes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import click
import pytest

from workflow_runtime.cli.selecting import parameters

LONG = "0.12345678901234567890123"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (LONG, Decimal(LONG)),
        (f"-{LONG}e3", Decimal(f"-{LONG}e3")),
        ("8.10", 8.1),
        ("1e3", 1000.0),
        ("100", 100),
        ("true", True),
        ("1e400", "1e400"),
        ("1e-99999999999999999999", 0.0),
        ("NaN", "NaN"),
        ("too late", "too late"),
        (f"[{LONG}, 0.5]", [Decimal(LONG), 0.5]),
    ],
)
def test_no_digit_is_lost_and_floats_stay_floats(written: str, value: object) -> None:
    (given,) = parameters([f"Amount={written}"], None).values()
    assert given == value
    assert type(given) is type(value)


def test_a_file_keeps_its_digits_too(here: Path) -> None:
    Path("order.json").write_text(f'{{"Amount": {LONG}}}')
    assert parameters([], "order.json") == {"Amount": Decimal(LONG)}


@pytest.mark.parametrize("text", ['{"Amount": 1, "Amount": 2}', '{"Amount": NaN}', '{"Amount": 1e400}'])
def test_a_file_is_read_as_strictly_as_ever(here: Path, text: str) -> None:
    Path("order.json").write_text(text)
    with pytest.raises(click.UsageError, match="cannot be read"):
        parameters([], "order.json")
