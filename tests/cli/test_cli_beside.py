"""What executes, beside several servers: ``--multi`` makes it one of them, for one deed."""

from __future__ import annotations

from collections.abc import Iterator

import databases
import pytest
from wfr_calls import ORDER, Shop, wfr

from workflow_runtime import WorkflowRuntime

PLUGIN = """
from workflow_runtime import hookimpl


@hookimpl
def register_actions():
    return {"ChargePayment": lambda ctx, amount: None, "ShipOrder": lambda ctx, parameter: None}
"""


@pytest.fixture
def url(shop: Shop, postgresql: databases.Places) -> Iterator[str]:
    """A database with a living server in multi mode, in which nothing is to be done."""
    (shop.folder / "actions.py").write_text(PLUGIN)
    url = postgresql.wiped()
    runtime = WorkflowRuntime(url).with_schemes(ORDER).with_actions({"ChargePayment": lambda ctx, amount: None, "ShipOrder": lambda ctx, parameter: None})
    with runtime.as_multi_server("there"):
        yield url


def test_create_execute_and_recover_beside_a_server(url: str) -> None:
    where = ("--url", url, "--plugins", "actions.py")
    created = wfr("process", "create", "Order", "-p", "Amount=5000", "-o", "ids", "--multi", *where)
    assert created.code == 0, created.err
    done = wfr("process", "execute", created.lines[0], "Approve", "--multi", "-o", "json", *where)
    assert done.code == 0, done.err
    assert done.json["was_executed"]
    recovered = wfr("recovery", "run", "--wait", "--multi", *where)
    assert (recovered.code, "nothing was left behind" in recovered.err) == (0, True)


@pytest.mark.parametrize("line", [("process", "create", "Order"), ("recovery", "run")])
def test_without_it_the_refusal_says_so(url: str, line: tuple[str, ...]) -> None:
    refused = wfr(*line, "--url", url, "--plugins", "actions.py")
    assert refused.code == 1
    assert "beside servers in multi mode say --multi" in refused.err


def test_on_sqlite_there_is_one_server(shop: Shop) -> None:
    refused = wfr("process", "create", "Order", "--multi", "-o", "json")
    assert (refused.code, refused.problem["code"]) == (1, "SettingsError")
