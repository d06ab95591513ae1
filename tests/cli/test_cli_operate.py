"""The operator's verbs: whom they mean, what they ask, what they report."""

from __future__ import annotations

import getpass

import pytest
from wfr_calls import Shop, Terminal, wfr

from workflow_runtime.cli import orders
from workflow_runtime.cli.orders import Deed

GONE = "dddddddd-0000-4000-8000-000000000003"
BECAUSE = ("--reason", "INC-77")
VERBS = (["resume"], ["cancel"], ["delete"], ["set-state", "--to", "Review"], ["set-activity", "--to", "Review"])
PLANNED = {
    "resume": "goes on to 'Charge' with its action 'ChargePayment' (1 of 1), as attempt 1, on any server that executes its scheme",
    "cancel": "is Terminated at once, from Error; it stands at 'Review'",
    "delete": "is deleted with its timers and its journal; its history stays",
    "set-state": "enters 'Review', which has no actions, on any server that executes its scheme; its walk to 'Charge' is given up",
    "set-activity": "enters 'Review', which has no actions, on any server that executes its scheme; its walk to 'Charge' is given up",
}
each_verb = pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])


def last_entry(shop: Shop, process_id: str) -> dict[str, object]:
    entry: dict[str, object] = wfr("process", "history", process_id, "-o", "json").json[-1]
    return entry


@each_verb
def test_a_dry_run_changes_nothing(shop: Shop, verb: list[str]) -> None:
    before = wfr("process", "show", shop.declined, "-o", "json").json
    told = wfr("process", *verb, shop.declined, *BECAUSE, "--dry-run", "-o", "json")
    assert told.code == 0
    planned = {shop.declined: PLANNED[verb[0]]}
    assert told.json == {"verb": verb[0], "dry_run": True, "matched": [shop.declined], "planned": planned, "done": [], "requested": [], "failed": {}}
    assert wfr("process", "show", shop.declined, "-o", "json").json == before


@each_verb
def test_nobody_to_ask_is_usage(shop: Shop, verb: list[str]) -> None:
    refused = wfr("process", *verb, shop.declined, *BECAUSE)
    assert refused.code == 2
    assert "--yes" in refused.err
    assert shop.status(shop.declined) == "Error"


@each_verb
def test_a_reason_is_required(shop: Shop, verb: list[str]) -> None:
    refused = wfr("process", *verb, shop.declined, "--yes")
    assert refused.code == 2
    assert "--reason" in refused.err


def test_cancel_names_actor_and_reason_in_history(shop: Shop) -> None:
    done = wfr("process", "cancel", shop.resting, *BECAUSE, "--actor", "anna", "--yes")
    assert done.code == 0
    assert done.lines[1].split(maxsplit=2) == [shop.resting, "done", "Terminated at Review"]
    assert "cancel: 1 done" in done.err
    assert (last_entry(shop, shop.resting)["actor"], last_entry(shop, shop.resting)["reason"]) == ("anna", "INC-77")


def test_the_actor_is_the_login_name(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "boris")
    wfr("process", "cancel", shop.resting, *BECAUSE, "--yes")
    assert last_entry(shop, shop.resting)["actor"] == "boris"


def test_without_a_login_name_somebody_must_be_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    refused = wfr("process", "cancel", shop.resting, *BECAUSE, "--yes")
    assert refused.code == 2
    assert "--actor" in refused.err


def test_set_activity_and_set_state(shop: Shop) -> None:
    stood = wfr("process", "set-activity", shop.delivered, "--to", "Draft", "--no-execute", *BECAUSE, "--yes")
    assert stood.lines[1].endswith("Idled at Draft")
    left = wfr("process", "set-state", shop.resting, "--to", "Shipping", *BECAUSE, "--yes")
    assert left.lines[1].endswith("Running at Review, waits for a server to take it up")
    assert wfr("process", "set-state", shop.delivered, "--to", "Nowhere", *BECAUSE, "--yes").code == 4
    assert wfr("process", "set-activity", shop.delivered, "--to", "Revew", *BECAUSE, "--yes", "-o", "json").problem["code"] == "ActivityNotFound"


def test_resume_leaves_the_work_to_a_server(shop: Shop) -> None:
    assert wfr("process", "resume", shop.declined, *BECAUSE, "--yes").code == 0
    assert shop.status(shop.declined) == "Running"
    assert "start" in [row["timer"]["kind"] for row in wfr("timer", "list", "-o", "json").json if row["process_id"] == shop.declined]


def test_delete_by_filter_keeps_history(shop: Shop) -> None:
    done = wfr("process", "rm", "--where", "status=Finalized,Error", *BECAUSE, "--yes", "-o", "ids")
    assert done.lines == [shop.declined, shop.delivered]
    assert wfr("process", "list", "-o", "ids").lines == [shop.resting]
    assert last_entry(shop, shop.declined)["kind"] == "deleted"


def test_ids_come_from_stdin(shop: Shop) -> None:
    listed = wfr("process", "list", "--where", "status=Idled,Error", "-o", "ids")
    done = wfr("process", "cancel", "-", *BECAUSE, "--yes", "-o", "ids", stdin=f"{listed.out}\n{shop.resting[:8]} again, by its prefix\n")
    assert done.lines == [shop.declined, shop.resting]
    assert shop.status(shop.resting) == "Terminated"


def test_some_failed_is_partial_and_the_others_are_done(shop: Shop) -> None:
    mixed = wfr("process", "cancel", GONE, shop.declined, *BECAUSE, "--yes", "-o", "json")
    assert mixed.code == 6
    assert mixed.json["matched"] == [GONE, shop.declined]
    assert mixed.json["done"] == [shop.declined]
    assert mixed.json["failed"][GONE].startswith("ProcessNotFound: ")
    assert "1 done, 1 failed" in mixed.err


def test_what_failed_is_not_among_the_ids(shop: Shop) -> None:
    mixed = wfr("process", "cancel", GONE, shop.declined, *BECAUSE, "--yes", "-o", "ids")
    assert (mixed.code, mixed.lines) == (6, [shop.declined])


def test_all_failed_is_failed(shop: Shop) -> None:
    assert wfr("process", "cancel", GONE, GONE.replace("d", "e"), *BECAUSE, "--yes").code == 1


def test_the_only_one_fails_with_its_own_error(shop: Shop) -> None:
    refused = wfr("process", "cancel", GONE, *BECAUSE, "--yes", "-o", "json")
    assert (refused.code, refused.problem["code"]) == (4, "ProcessNotFound")
    assert wfr("process", "resume", "dddddd", *BECAUSE, "--yes").code == 4


@pytest.mark.parametrize("named", [[], ["aaaaaa", "--where", "status=Error"]])
def test_ids_or_a_filter_and_not_both(shop: Shop, named: list[str]) -> None:
    assert wfr("process", "cancel", *named, *BECAUSE, "--yes").code == 2


def test_a_filter_that_matches_nothing_is_done(shop: Shop) -> None:
    done = wfr("process", "cancel", "--where", "scheme_code=Other", *BECAUSE, "--yes")
    assert (done.code, done.out) == (0, "")
    assert "no process matches" in done.err


@each_verb
@pytest.mark.parametrize("where", ["", "  "])
def test_an_empty_filter_does_not_mean_all(shop: Shop, verb: list[str], where: str) -> None:
    refused = wfr("process", *verb, "--where", where, *BECAUSE, "--yes", "--dry-run")
    assert (refused.code, refused.out) == (2, "")
    assert "--where 'status=Error'" in refused.err


# The question


@pytest.mark.parametrize(("typed", "code", "status"), [("y\n", 0, "Terminated"), ("yes\n", 0, "Terminated"), ("n\n", 1, "Idled"), ("", 1, "Idled")])
def test_somebody_is_asked(shop: Shop, typed: str, code: int, status: str) -> None:
    asked = wfr("process", "cancel", shop.resting, *BECAUSE, stdin=Terminal(typed))
    assert asked.code == code
    assert f"cancel of 1 process: they end Terminated\n  {shop.resting}\nGo on? [y/N] " in asked.err
    assert shop.status(shop.resting) == status


@pytest.mark.parametrize(("typed", "code"), [("3\n", 0), ("y\n", 1), ("33\n", 1)])
def test_many_to_destroy_want_their_number_typed(shop: Shop, monkeypatch: pytest.MonkeyPatch, typed: str, code: int) -> None:
    monkeypatch.setattr(orders, "TYPED", 2)
    asked = wfr("process", "delete", "--where", "scheme_code=Order", *BECAUSE, stdin=Terminal(typed))
    assert asked.code == code
    assert "Type 3 to go on: " in asked.err
    assert len(wfr("process", "list", "-o", "ids").lines) == (0 if code == 0 else 3)


def test_resume_of_many_is_not_destructive(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "TYPED", 0)
    assert wfr("process", "resume", shop.declined, *BECAUSE, stdin=Terminal("y\n")).code == 0


def test_the_question_names_the_first_ten(shop: Shop) -> None:
    deed = Deed(verb="cancel", consequence="they end", act=lambda *_: None)
    with shop.client() as runtime:
        found = list(runtime.find_matches()) * 4
    lines = orders.question(found, deed).splitlines()
    assert lines[0] == "cancel of 12 processes: they end"
    assert len(lines) == 1 + 10 + 1
    assert lines[-1] == "  and 2 more"


def test_many_show_a_bar_on_a_terminal_only(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "SHOWN_PROGRESS", 0)
    assert "\x1b" not in wfr("process", "cancel", shop.resting, *BECAUSE, "--yes").err
    drawn = Terminal()
    monkeypatch.setattr("sys.stderr", drawn)
    with orders._progress("cancel", 3) as step:
        step()
    assert "cancel" in drawn.getvalue()
