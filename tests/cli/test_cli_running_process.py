"""What is said of a process while a server executes it: each test asks from within its action."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from wfr_calls import ORDER, RESTING, Answer, Shop, wfr

from workflow_runtime import WorkflowRuntime

BECAUSE = ("--reason", "INC-77", "--actor", "anna", "--yes")

Ask = Callable[..., list[Answer]]


@pytest.fixture
def while_it_runs(shop: Shop) -> Ask:
    """Approves the resting order; its payment runs the command lines, and their answers are returned."""

    def ask(*lines: tuple[str, ...]) -> list[Answer]:
        runtime, answers = WorkflowRuntime(shop.url).with_schemes(ORDER).with_settings(auto_recover=False), list[Answer]()

        def charge(ctx: object, amount: str) -> None:
            answers.extend(wfr(*line) for line in lines)

        with runtime.with_actions({"ChargePayment": charge, "ShipOrder": lambda ctx, parameter: None}):
            runtime.execute_command(RESTING, "Approve", identity="anna")
        return answers

    return ask


def test_a_cancel_is_requested_and_show_tells_by_whom(shop: Shop, while_it_runs: Ask) -> None:
    cancelled, shown = while_it_runs(("process", "cancel", shop.resting, *BECAUSE), ("process", "show", shop.resting))
    assert cancelled.code == 0
    assert cancelled.lines[1].split(maxsplit=2) == [shop.resting, "requested", "Running at Review, breaks off at its next step"]
    assert "cancel: 1 requested" in cancelled.err
    assert "cancel requested:  by anna, because INC-77" in shown.out
    assert shop.status(shop.resting) == "Terminated"


def test_what_is_requested_is_not_done_in_json(shop: Shop, while_it_runs: Ask) -> None:
    (cancelled,) = while_it_runs(("process", "cancel", shop.resting, shop.declined, *BECAUSE, "-o", "json"))
    assert (cancelled.json["requested"], cancelled.json["done"]) == ([shop.resting], [shop.declined])


def test_show_names_the_server_and_its_condition(shop: Shop, while_it_runs: Ask) -> None:
    shown, servers = while_it_runs(("process", "show", shop.resting), ("server", "list", "-o", "json"))
    (server,) = servers.json
    assert f"{server['name']} on {server['host']}, pid {server['pid']} (alive, {server['id'][:12]})" in shown.out


@pytest.mark.parametrize("verb", [["delete"], ["resume"], ["set-state", "--to", "Review"], ["set-activity", "--to", "Review"]], ids=lambda verb: verb[0])
def test_a_dry_run_tells_that_the_deed_would_be_refused(shop: Shop, while_it_runs: Ask, verb: list[str]) -> None:
    line = ("process", *verb, shop.resting, *BECAUSE, "-o", "json")
    dry, real, several = while_it_runs((*line, "--dry-run"), line, ("process", *verb, shop.resting, shop.delivered, *BECAUSE, "--dry-run", "-o", "ids"))
    assert (dry.code, dry.problem["code"]) == (real.code, real.problem["code"]) == (1, "ProcessBusy")
    assert (several.code, several.lines) == (6, [shop.delivered])


def test_a_dry_run_of_cancel_is_not_refused(shop: Shop, while_it_runs: Ask) -> None:
    (dry,) = while_it_runs(("process", "cancel", shop.resting, *BECAUSE, "--dry-run", "-o", "json"))
    assert (dry.code, dry.json["matched"], dry.json["failed"]) == (0, [shop.resting], {})
    assert shop.status(shop.resting) == "Finalized"
