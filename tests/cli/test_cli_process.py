"""``wfr process``: list, show, history, commands, create, execute."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from factories import NOW, process, walk
from wfr_calls import Shop, wfr

from workflow_runtime import ProcessStatus, WorkflowRuntime
from workflow_runtime.cli.process import _lines

RULED = """
scheme: Ruled
actors: {Boss: {rule: IsBoss}}
commands: {Go: {}}
activities: {A: {initial: true}, B: {final: true}}
transitions:
  - {name: go, from: A, to: B, on: {command: Go}, allow: [Boss]}
"""


def test_list_shows_the_newest_first(shop: Shop) -> None:
    listed = wfr("process", "list")
    assert listed.code == 0
    assert listed.lines[0].split() == ["PROCESS", "SCHEME", "STATUS", "ACTIVITY", "STATE", "UPDATED"]
    assert [line.split()[0] for line in listed.lines[1:]] == [shop.declined, shop.delivered, shop.resting]
    assert "Review -> Charge" in listed.lines[1]
    assert listed.err == ""


def test_list_by_filter(shop: Shop) -> None:
    assert wfr("process", "list", "--where", "status=Error scheme_code=Order", "-o", "ids").lines == [shop.declined]
    assert wfr("process", "list", "--where", "parameters.PaymentDeclined=false status=Idled,Finalized", "-o", "ids").lines == [shop.delivered, shop.resting]
    nothing = wfr("process", "list", "--where", "updated_before=1h")
    assert (nothing.code, nothing.out) == (0, "")
    assert "no process matches" in nothing.err


@pytest.mark.parametrize(("where", "said"), [("stats=Error", "did you mean"), ("status=Broken", "there are"), ("status", "field=value")])
def test_a_filter_that_cannot_be_read_is_usage(shop: Shop, where: str, said: str) -> None:
    refused = wfr("process", "list", "--where", where)
    assert refused.code == 2
    assert said in refused.err


def test_a_table_is_cut_with_a_word_and_other_forms_are_whole(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflow_runtime.cli.process.ROWS", 2)
    table = wfr("process", "list")
    assert len(table.lines) == 1 + 2
    assert "there are more than these 2" in table.err
    assert len(wfr("process", "list", "-o", "ids").lines) == 3
    assert len(wfr("process", "list", "-o", "jsonl", "--limit", "1").lines) == 1


def test_pages_are_joined(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflow_runtime.cli.selecting.PAGE", 1)
    assert wfr("process", "list", "-o", "ids").lines == [shop.declined, shop.delivered, shop.resting]


def test_json_of_a_list_and_of_lines_is_the_same(shop: Shop) -> None:
    listed = wfr("process", "list", "-o", "json").json
    assert listed == [json.loads(line) for line in wfr("process", "list", "-o", "jsonl").lines]
    assert listed[2]["id"] == shop.resting
    assert listed[2]["parameters"]["Clerks"] == ["anna"]
    assert listed[2]["created_at"].endswith("Z")
    assert "token" not in listed[2]


def test_show_by_prefix(shop: Shop) -> None:
    shown = wfr("process", "show", shop.resting[:8])
    assert shown.code == 0
    facts = dict(line.split(":", 1) for line in shown.lines)
    assert facts["process"].strip() == shop.resting
    assert facts["status"].strip() == "Idled"
    assert facts["timers"].strip().startswith("review_late at ")
    assert "last error" not in facts


def test_show_tells_the_error_and_what_was_under_way(shop: Shop) -> None:
    shown = wfr("process", "get", shop.declined)
    assert "ValueError: thirteen is declined" in shown.out
    assert "on the way to:  Charge" in shown.out


@pytest.mark.parametrize(
    ("id", "code", "said"),
    [
        ("aaaaaa", 2, "2 ids begin with 'aaaaaa'"),
        ("aaaa", 2, "6 or more"),
        ("bad id", 2, "wfr process list shows the ids"),
        ("dddddd", 4, "no process has an id that begins with 'dddddd'"),
        ("dddddddd-0000-4000-8000-000000000003", 4, "no process has the id"),
    ],
)
def test_an_id_that_names_no_process_or_several(shop: Shop, id: str, code: int, said: str) -> None:
    refused = wfr("process", "show", id)
    assert refused.code == code
    assert said in refused.err
    assert refused.out == ""


def test_history(shop: Shop) -> None:
    told = wfr("process", "history", shop.declined, "-o", "json").json
    assert [entry["kind"] for entry in told] == ["moved", "moved", "failed"]
    assert "thirteen is declined" in wfr("process", "history", shop.declined).out
    assert wfr("process", "history", "dddddddd-0000-4000-8000-000000000003").code == 4


def test_history_names_the_key_of_a_request(shop: Shop) -> None:
    key = ("--key", "approval 7", "--app", "shopapp:runtime", "--as", "anna")
    assert wfr("process", "execute", shop.resting, "Approve", *key).code == 0
    told = wfr("process", "history", shop.resting, "-o", "json").json
    assert [entry["idempotency_key"] for entry in told if entry["trigger"]["kind"] == "Command"] == ["approval 7"]
    assert "Command Approve by anna, key approval 7" in wfr("process", "history", shop.resting).out


def test_commands(shop: Shop) -> None:
    assert wfr("process", "commands", shop.resting, "-o", "ids").lines == ["Approve", "Cancel"]
    assert wfr("process", "commands", shop.resting, "--as", "bob", "-o", "ids").lines == ["Cancel"]
    assert "no command may be given" in wfr("process", "commands", shop.delivered).err


def test_commands_without_the_rule_say_where_it_comes_from(shop: Shop) -> None:
    Path("ruled.yaml").write_text(RULED)
    with WorkflowRuntime(shop.url).with_schemes("ruled.yaml").with_rules({"IsBoss": lambda process, identity, parameter: True}) as runtime:
        id = str(runtime.create_instance("Ruled").id)
    assert wfr("process", "commands", id, "-o", "ids").lines == ["Go"]
    refused = wfr("process", "commands", id, "--as", "alice")
    assert refused.code == 1
    assert "'IsBoss'" in refused.err
    assert "Next:  name your code with --app module:runtime" in refused.err


def test_create_from_pairs_and_a_file(shop: Shop) -> None:
    Path("order.json").write_text('{"Amount": 1, "Note": "from the file"}')
    id = "cccccccc-0000-4000-8000-000000000004"
    made = wfr("process", "create", "Order", "--params", "order.json", "-p", "Amount=7", "--id", id, "--as", "alice", "--app", "shopapp:runtime", "-o", "json")
    assert made.code == 0
    assert made.json["id"] == id
    assert made.json["status"] == "Finalized"
    assert (made.json["parameters"]["Amount"], made.json["parameters"]["Note"]) == ("7", "from the file")
    assert wfr("process", "history", id, "-o", "json").json[0]["identity"] == "alice"


def test_create_with_parameters_on_stdin(shop: Shop) -> None:
    made = wfr("process", "create", "Order", "--params", "-", "--app", "shopapp", "-o", "ids", stdin='{"Amount": 2}')
    assert UUID(made.out.strip())


@pytest.mark.parametrize(
    ("more", "said"),
    [(["-p", "Amount"], "expected name=value"), (["--params", "nowhere.json"], "cannot be read"), (["--params", "-"], "cannot be read")],
)
def test_parameters_that_cannot_be_read_are_usage(shop: Shop, more: list[str], said: str) -> None:
    refused = wfr("process", "create", "Order", *more, "--app", "shopapp")
    assert refused.code == 2
    assert said in refused.err


def test_create_fails_as_the_action_does(shop: Shop) -> None:
    failed = wfr("process", "create", "Order", "-p", "Amount=13", "--app", "shopapp")
    assert failed.code == 1
    assert "ValueError: thirteen is declined" in failed.err
    assert wfr("process", "create", "Ordr", "--app", "shopapp").code == 4


def test_create_without_the_actions_says_where_they_come_from(shop: Shop) -> None:
    failed = wfr("process", "create", "Order", "-p", "Amount=5")
    assert failed.code == 1
    assert "'ChargePayment'" in failed.err
    assert "--app module:runtime" in failed.err


def test_execute(shop: Shop) -> None:
    done = wfr("process", "execute", shop.resting[:8], "Approve", "--as", "anna", "--app", "shopapp:runtime", "-o", "json")
    assert done.code == 0
    assert (done.json["was_executed"], done.json["reason"], done.json["process"]["status"]) == (True, "", "Finalized")


@pytest.mark.parametrize(
    ("command", "more", "code", "name"),
    [
        ("Approve", ["--as", "bob"], 1, "CommandNotAllowed"),
        ("Aprove", [], 4, "CommandNotFound"),
        ("Approve", ["--expected-revision", "77"], 1, "StaleRevision"),
    ],
)
def test_execute_refused(shop: Shop, command: str, more: list[str], code: int, name: str) -> None:
    refused = wfr("process", "execute", shop.resting, command, *more, "--app", "shopapp", "-o", "json")
    assert (refused.code, refused.problem["code"]) == (code, name)
    assert shop.status(shop.resting) == "Idled"


def test_a_command_that_is_not_executed_fails(shop: Shop) -> None:
    refused = wfr("process", "execute", shop.resting, "RetryPayment", "--app", "shopapp", "-o", "ids")
    assert refused.code == 1
    assert refused.out.strip() == shop.resting
    assert "not executed: no transition" in refused.err


def test_json_tells_that_a_command_was_not_executed_and_why(shop: Shop) -> None:
    refused = wfr("process", "execute", shop.resting, "RetryPayment", "--app", "shopapp", "-o", "json")
    assert (refused.code, refused.json["was_executed"], refused.json["process"]["id"]) == (1, False, shop.resting)
    assert refused.json["reason"].startswith("no transition")


def test_json_has_the_timers_that_the_card_has(shop: Shop) -> None:
    (timer,) = wfr("process", "show", shop.resting, "-o", "json").json["timers"]
    assert (timer["name"], timer["value"]) == ("review_late", "2d")
    assert timer["due"].endswith("Z")
    assert wfr("process", "show", shop.delivered, "-o", "json").json["timers"] == []


def test_a_request_with_a_key_is_done_once(shop: Shop) -> None:
    given = ("process", "create", "Order", "-p", "Amount=3", "--key", "order-7", "-o", "ids", "--app", "shopapp")
    assert wfr(*given).lines == wfr(*given, "--wait", "1").lines != []
    other = wfr("process", "create", "Order", "-p", "Amount=4", "--key", "order-7", "--app", "shopapp")
    assert other.code == 1
    assert "used before for another request" in other.err
    told = [json.loads(wfr("process", "execute", shop.resting, "Approve", "--key", "k", "--app", "shopapp", "-o", "json").out) for _ in range(2)]
    assert [(answer["was_executed"], answer["replayed"]) for answer in told] == [(True, False), (True, True)]


def test_the_deadline_is_shown_while_actions_run() -> None:
    running = process(status=ProcessStatus.RUNNING, walk=walk(deadline=NOW))
    assert (_lines(running, "")["deadline"], _lines(replace(running, status=ProcessStatus.ERROR), "")["deadline"]) == (NOW, None)
