"""``wfr process create --count`` and ``--from``: many processes by one command."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from wfr_calls import Shop, Terminal, wfr

from workflow_runtime import ProcessFilter

LARGE = ("-p", "Amount=5000")  #: comes to rest at Review; a small order is charged at once


def amounts(shop: Shop, ids: list[str]) -> list[object]:
    with shop.client() as runtime:
        return [runtime.get_parameter(one, "Amount") for one in ids]


def test_so_many_with_the_same_parameters(shop: Shop) -> None:
    made = wfr("process", "create", "Order", "--count", "25", *LARGE, "--as", "alice", "-o", "json")
    assert made.code == 0, made.err
    assert (made.json["created"], made.json["queued"], made.json["scheme_code"]) == (25, 0, "Order")
    assert made.err == "create: 25 created\n"
    with shop.client() as runtime:
        assert runtime.count_processes(ProcessFilter(activity="Review", identity="alice")) == 25 + 1


def test_the_answer_for_people(shop: Shop) -> None:
    made = wfr("process", "create", "Order", "--count", "2", *LARGE)
    assert [line.split()[0] for line in made.lines] == ["scheme_code:", "scheme_version:", "created:", "queued:"]


def test_one_for_each_line_and_the_line_goes_before_what_is_said_for_all(shop: Shop) -> None:
    Path("orders.jsonl").write_text('{"Amount": 2000}\n\n{}\n{"Amount": 3000, "Clerks": ["anna"]}\n')
    made = wfr("process", "create", "Order", "--from", "orders.jsonl", *LARGE, "-o", "ids")
    assert (made.code, len(made.lines)) == (0, 3)
    assert amounts(shop, made.lines) == [2000, 5000, 3000]


def test_from_stdin_into_the_next_command(shop: Shop) -> None:
    made = wfr("process", "create", "Order", "--from", "-", "-o", "ids", stdin="".join(json.dumps({"Amount": 2000 + n}) + "\n" for n in range(3)))
    assert amounts(shop, made.lines) == [2000, 2001, 2002]
    gone = wfr("process", "cancel", "-", "--yes", "--actor", "olga", "--reason", "test", stdin=made.out)
    assert gone.code == 0
    assert [shop.status(one) for one in made.lines] == ["Terminated"] * 3


def test_beside_a_server_which_takes_up_what_acts(shop: Shop) -> None:
    from workflow_runtime import WorkflowRuntime

    with (
        WorkflowRuntime(shop.url)
        .with_schemes(str(Path(__file__).parents[2] / "schemes" / "order.yaml"))
        .with_actions({"ChargePayment": lambda ctx, parameter: None, "ShipOrder": lambda ctx, parameter: None})
    ):
        made = wfr("process", "create", "Order", "--count", "3", "-p", "Amount=5", "-o", "json")
        assert (made.code, made.json["created"], made.json["queued"]) == (0, 3, 3)
        assert "3 of them left to the servers" in made.err


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('{"Amount": 2000}\n{"Amount": }\n', "line 2 of 'orders.jsonl'"),
        ('{"Amount": 2000}\n\n[1]\n', "line 3 of 'orders.jsonl': no JSON object"),
        ('{"Amount": 2000}\n{"Amount": "much"}\n', "Amount"),
    ],
)
def test_a_line_that_cannot_be_created_is_named(shop: Shop, lines: str, said: str) -> None:
    Path("orders.jsonl").write_text(lines)
    made = wfr("process", "create", "Order", "--from", "orders.jsonl", "-o", "json")
    assert made.code == 1
    assert (made.problem["code"], made.problem["index"], made.problem["created"]) == ("ParameterError", 1, 0)
    assert said in made.problem["detail"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--count", "2", "--from", "-"), "give one of them"),
        (("--count", "2", "--key", "k"), "are for one process"),
        (("--from", "-", "--id", "7f3a21c0-0000-4000-8000-000000000001"), "are for one process"),
        (("--from", "-", "--params", "-"), "both read stdin"),
        (("--from", "missing.jsonl"), "'missing.jsonl' cannot be read"),
        (("--count", "-1"), "--count"),
    ],
)
def test_what_does_not_go_together_is_usage(shop: Shop, arguments: tuple[str, ...], said: str) -> None:
    refused = wfr("process", "create", "Order", *arguments)
    assert refused.code == 2
    assert said in refused.err


def test_a_file_that_is_no_text(shop: Shop) -> None:
    Path("orders.jsonl").write_bytes(b"\xff\xfe{}")
    made = wfr("process", "create", "Order", "--from", "orders.jsonl")
    assert made.code == 1
    assert "of 'orders.jsonl': 'utf-8' codec" in made.err


def test_a_scheme_that_is_not_stored(shop: Shop) -> None:
    refused = wfr("process", "create", "Ordr", "--count", "2")
    assert refused.code == 4
    assert "there is no scheme 'Ordr'" in refused.err


def test_somebody_who_watches_sees_a_bar(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from workflow_runtime.cli.creating import create_many
    from workflow_runtime.cli.options import Call

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("TERM", "xterm")
    assert create_many(Call(), "Order", {"Amount": 5000}, count=3, source=None, identity=None) == 0
    assert "created" in terminal.getvalue()
