"""``wfr timer``, ``wfr db`` and ``wfr plugins``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from wfr_calls import Shop, wfr

from workflow_runtime import WorkflowRuntime

BECAUSE = ("--reason", "INC-77", "--actor", "anna")


def due(shop: Shop, process_id: str) -> datetime:
    with shop.client() as runtime:
        (timer,) = runtime.get_timers(process_id)
    return timer.due


def test_list_shows_the_earliest_first(shop: Shop) -> None:
    wfr("timer", "set", shop.declined, "review_late", "--at", "1h", *BECAUSE)
    listed = wfr("timer", "list", "-o", "json").json
    assert [row["process_id"] for row in listed] == [shop.declined, shop.resting]
    assert listed[1]["timer"] | {"due": ""} == {"name": "review_late", "due": "", "value": "2d", "kind": "timer", "keep": False}
    assert len(wfr("timer", "list", "--limit", "1").lines) == 1 + 1
    assert wfr("timer", "list", "--limit", "0").code == 2


def test_overdue_are_those_that_are_due(shop: Shop) -> None:
    assert "no timer is set" in wfr("timer", "list", "--overdue").err
    wfr("timer", "set", shop.resting, "review_late", "--at", "2001-01-01T00:00:00Z", *BECAUSE)
    assert wfr("timer", "list", "--overdue", "-o", "ids").lines == [shop.resting]


def test_set_at_a_time_and_from_now(shop: Shop) -> None:
    done = wfr("timer", "set", shop.resting[:8], "review_late", "--at", "2031-12-24T08:00:00+01:00", *BECAUSE)
    assert done.lines[2] == "due:      2031-12-24 07:00:00Z"
    before = datetime.now(UTC)
    wfr("timer", "set", shop.resting, "review_late", "--at", "1d 12h", *BECAUSE)
    assert timedelta(0) <= due(shop, shop.resting) - before - timedelta(hours=36) < timedelta(minutes=5)
    entry = wfr("process", "history", shop.resting, "-o", "json").json[-1]
    assert (entry["actor"], entry["reason"], entry["trigger"]["name"]) == ("anna", "INC-77", "set_timer")


@pytest.mark.parametrize(("at", "said"), [("soon", "is no time"), ("2031-12-24T08:00:00", "add one, for instance 2031-12-24T08:00:00Z"), ("1mm", "is no time")])
def test_a_time_that_is_none_is_usage(shop: Shop, at: str, said: str) -> None:
    before = due(shop, shop.resting)
    refused = wfr("timer", "set", shop.resting, "review_late", "--at", at, *BECAUSE)
    assert refused.code == 2
    assert said in refused.err
    assert due(shop, shop.resting) == before


def test_a_timer_that_is_not_there(shop: Shop) -> None:
    assert wfr("timer", "set", shop.resting, "payment_late", "--at", "1h", *BECAUSE).code == 4
    missing = wfr("timer", "fire", shop.resting, "review_lat", *BECAUSE, "--app", "shopapp:runtime")
    assert missing.code == 4
    assert "did you mean 'review_late'?" in missing.err


@pytest.mark.parametrize("at", ["now", "0", "0s", "0d"])
def test_set_at_once(shop: Shop, at: str) -> None:
    assert wfr("timer", "set", shop.resting, "review_late", "--at", at, *BECAUSE).code == 0
    assert due(shop, shop.resting) <= datetime.now(UTC)


def test_fire_makes_it_due_for_any_server(shop: Shop) -> None:
    fired = wfr("timer", "fire", shop.resting, "review_late", *BECAUSE, "-o", "json")
    assert (fired.code, fired.json["status"]) == (0, "Idled")
    assert "fires it at once" in fired.err
    assert wfr("timer", "list", "--overdue", "-o", "ids").lines == [shop.resting]


def test_fire_works_beside_a_server(shop: Shop) -> None:
    with WorkflowRuntime(shop.url).with_settings(auto_recover=False):
        fired = wfr("timer", "fire", shop.resting, "review_late", *BECAUSE)
    assert fired.code == 0, fired.err


# Databases


def test_upgrade_makes_the_tables_once(here: Path) -> None:
    assert wfr("db", "check").code == 1
    assert not (here / "workflow.db").exists()
    assert wfr("db", "upgrade").out == "upgraded to the tables of this version\n"
    assert wfr("db", "upgrade").out == "nothing to do: the tables are those of this version\n"
    assert wfr("db", "check").out == "ok: the tables are those of this version, 0 processes\n"


def test_a_file_that_is_no_database(here: Path) -> None:
    (here / "workflow.db").write_bytes(b"this is a letter to my mother, and quite a long one\n" * 100)
    assert wfr("db", "check", "-o", "json").problem["code"] == "StoreUnavailable"
    assert wfr("db", "check", "--url", "postgres-of-my-friend").code == 1


# Plugins


def test_plugins_need_no_database(here: Path) -> None:
    listed = wfr("plugins", "list", "-o", "json")
    assert listed.code == 0
    assert {"basic_actions", "restorers", "roles"} <= {plugin["name"] for plugin in listed.json}
    assert wfr("plugins", "-o", "json").json == listed.json
    assert list(here.iterdir()) == []


def test_a_folder_that_is_not_there_says_what_is_expected(here: Path) -> None:
    refused = wfr("plugins", "--plugins", "nofolder")
    assert refused.code == 1
    assert "nofolder does not exist" in refused.err
    assert "--plugins takes a folder" in refused.err
    assert "wfr plugins lists" not in refused.err


def test_a_broken_plugin_is_listed_with_file_and_error(here: Path) -> None:
    folder = here / "mine"
    folder.mkdir(mode=0o700)
    (folder / "broken.py").write_text("from workflow_runtime import hookimpl\n\n1 / 0\n")
    (folder / "whole.py").write_text("from workflow_runtime import hookimpl\n\n\n@hookimpl\ndef register_actions():\n    return {}\n")
    listed = {plugin["name"]: plugin for plugin in wfr("plugins", "--plugins", "mine", "-o", "json").json}
    assert "ZeroDivisionError" in listed["broken"]["error"]
    assert listed["broken"]["file"].endswith("broken.py")
    assert (listed["whole"]["error"], listed["whole"]["hooks"]) == ("", ["register_actions"])
    table = wfr("plugins", "ls", "--plugins", "mine").out
    assert "broken: " in table
    assert "in use" in table
