"""``fill``: mentions inside a parameter that is JSON."""

from __future__ import annotations

import json
from typing import Any

from workflow_runtime.core.substitution import fill

VALUES: dict[str, Any] = {"Title": 'the "big" one \\ with\nlines', "Amount": 12, "Ok": True}


def filled(text: str) -> str:
    return fill(text, VALUES.__getitem__)


def test_a_value_with_quotes_does_not_break_json() -> None:
    assert json.loads(filled('{"Subject": "on @Title", "n": [1, "@Amount"]}')) == {"Subject": f"on {VALUES['Title']}", "n": [1, "12"]}


def test_keys_and_other_values_stay() -> None:
    assert json.loads(filled('{"@Title": 1, "x": null, "y": [true, "@Ok"]}')) == {"@Title": 1, "x": None, "y": [True, "true"]}


def test_what_becomes_json_only_by_being_filled_is_filled_as_text() -> None:
    assert filled('{"Amount": @Amount}') == '{"Amount": 12}'


def test_ordinary_text_is_substituted() -> None:
    assert filled("pay @Amount now") == "pay 12 now"


def test_json_without_mentions_is_untouched() -> None:
    assert filled('{ "a" :  1 }') == '{ "a" :  1 }'
