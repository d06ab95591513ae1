"""Rows, journals and schemes that cannot be read, and names that are not there: the others go on."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from orphanage import ACTIONS, FINISHING, PAYING, SCHEME, SENDING, START, Answer, Orphanage

from workflow_runtime.core.process import EntryKind, ProcessStatus, Timer, TimerKind
from workflow_runtime.core.restoring import RestoreDecision
from workflow_runtime.runtime import WorkflowRuntime

ERROR, RUNNING, IDLED = ProcessStatus.ERROR, ProcessStatus.RUNNING, ProcessStatus.IDLED
RESUME = RestoreDecision.resume()
RETRY = Timer(name="retry", kind=TimerKind.RETRY, due=START.replace(hour=1))


def damage(home: Orphanage, statement: str, *values: Any) -> None:
    with sqlite3.connect(home.url.removeprefix("sqlite:///")) as database:
        database.execute("PRAGMA foreign_keys=OFF")
        database.execute(statement, values)
    database.close()


def row_of(home: Orphanage, column: str, one: Any) -> Any:
    database = sqlite3.connect(home.url.removeprefix("sqlite:///"))
    [found] = database.execute(f"SELECT {column} FROM wf_process WHERE id = ?", (str(one),)).fetchone()
    database.close()
    return found


@pytest.mark.parametrize(
    ("column", "garbage"),
    [
        ("walk", "{"),
        ("walk", '{"id": 1}'),
        ("parameters", "nonsense"),
        ("parameters", b"\xff\xfe"),
        ("deaths", "many"),
        ("root_id", "x"),
        ("updated_at", "then"),
        ("created_at", "then"),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_a_row_that_cannot_be_read_becomes_error_and_the_others_go_on(tmp_path: Path, column: str, garbage: object, asked: bool) -> None:
    restorer = Answer(RESUME, wants=lambda scheme, status: asked)
    with Orphanage(tmp_path, restorer) as home:
        one, bad, two = (home.orphan(PAYING) for _ in range(3))
        damage(home, f"UPDATE wf_process SET {column} = ? WHERE id = ?", garbage, str(bad))
        planned = {plan.process_id: plan.decided_by for plan in home.runtime.plan_recovery().decisions}
        report = home.recover()
        assert row_of(home, "status", bad) == ERROR.id
        assert (report.owned, report.decided) == (3, 3)
        made = {decision.process_id: decision for decision in report.decisions}
        assert {process: decision.decided_by for process, decision in made.items()} == planned
        assert (made[bad].decided_by, made[bad].status_after) == ("unreadable", ERROR)
        assert "cannot be read" in made[bad].reason
        assert {home.status(one), home.status(two)} == ({IDLED} if asked else {ERROR})
        assert bad not in [process.id for process in restorer.asked]
        assert home.recover().owned == 0


def test_a_row_without_a_sound_id_becomes_error_too(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one, bad = home.orphan(PAYING), home.orphan(PAYING)
        damage(home, "UPDATE wf_process SET id = 'nobody' WHERE id = ?", str(bad))
        report = home.recover()
        assert (report.owned, report.decided) == (2, 2)
        assert (home.status(one), row_of(home, "status", "nobody")) == (ERROR, ERROR.id)


@pytest.mark.parametrize("change", ["UPDATE wf_scheme SET text = 'scheme: [' WHERE code = 'Lost'", "DELETE FROM wf_scheme WHERE code = 'Lost'"])
def test_a_scheme_that_cannot_be_read_makes_error_and_the_others_go_on(tmp_path: Path, change: str) -> None:
    with Orphanage(tmp_path) as home:
        home.runtime.add_scheme(SCHEME.replace("scheme: Order", "scheme: Lost"))
        one, bad = home.orphan(PAYING), home.orphan(PAYING, scheme="Lost")
        damage(home, change)
        home.runtime._parts.engine.schemes._kept.clear()
        report = home.recover()
        made = {decision.process_id: decision for decision in report.decisions}
        assert (made[bad].decided_by, made[one].decided_by) == ("unreadable", "status rule")
        assert "scheme" in made[bad].reason
        assert row_of(home, "status", bad) == ERROR.id
        [told] = home.runtime.get_history(bad)
        assert (told.seq, told.kind, told.status, told.to_activity) == (1, EntryKind.RECOVERED, ERROR, "New")
        assert told.error is not None
        assert made[bad].reason == told.error.message


def test_what_is_mended_goes_on_and_so_does_its_history(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(PAYING)
        walk = row_of(home, "walk", one)
        damage(home, "UPDATE wf_process SET walk = '{' WHERE id = ?", str(one))
        home.recover()
        damage(home, "UPDATE wf_process SET walk = ? WHERE id = ?", walk, str(one))
        home.runtime.resume_process(one, actor="ann", reason="mended")
        assert home.status(one) is IDLED
        history = list(home.runtime.get_history(one))
        assert [entry.seq for entry in history] == list(range(1, len(history) + 1))


def test_a_journal_that_cannot_be_read_is_for_a_person(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RESUME)) as home:
        one, bad = home.orphan(PAYING, step=1), home.orphan(SENDING)
        home.journaled(bad, 0)
        damage(home, "UPDATE wf_journal SET changes = '{' WHERE process_id = ?", str(bad))
        made = {decision.process_id: decision for decision in home.recover().decisions}
        assert (home.status(one), home.status(bad)) == (IDLED, ERROR)
        assert made[bad].decided_by == "unreadable"


def test_a_timer_row_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one, bad = home.orphan(PAYING), home.orphan(FINISHING, arm=(Timer(name="remind", due=START.replace(year=2040), value="1h"),))
        damage(home, "UPDATE wf_timer SET due = 'soon' WHERE process_id = ?", str(bad))
        report = home.recover()
        assert (report.owned, report.decided) == (2, 2)
        assert (home.status(one), row_of(home, "status", bad)) == (ERROR, ERROR.id)


def test_a_verdict_that_cannot_be_stored_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    """A cancel request with a character that no text column takes."""
    with Orphanage(tmp_path) as home:
        one, bad, two = (home.orphan(PAYING) for _ in range(3))
        damage(home, """UPDATE wf_process SET cancel_requested = '{"actor": "a", "reason": "\\ud800"}' WHERE id = ?""", str(bad))
        report = home.recover()
        assert (home.status(one), home.status(two), row_of(home, "status", bad)) == (ERROR, ERROR, ERROR.id)
        assert (report.owned, report.decided) == (3, 3)
        assert home.recover().owned == 0


def test_users_code_that_raises_while_timers_are_computed_harms_one_timer_only(tmp_path: Path) -> None:
    home = Orphanage(tmp_path, scheme=SCHEME.replace("remind: {interval: 1h}", "remind: {expression: '@Deadline'}"))
    home.runtime.with_external_parameters(lambda process, name: 1 / 0)
    with home:
        one, two = home.orphan(FINISHING), home.orphan(PAYING)
        assert home.recover().decided == 2
        assert (home.status(one), home.status(two)) == (ProcessStatus.TERMINATED, ERROR)


# -- names that are not there -----------------------------------------------------------------------------


def without(home: Orphanage, *names: str, restorer: Any = None) -> WorkflowRuntime:
    """Another server of the same database, which has not these actions."""
    runtime = WorkflowRuntime(home.url, clock=home.clock).with_settings(sqlite_synchronous="NORMAL")
    runtime.with_actions({name: lambda ctx, parameter: None for name in ACTIONS if name not in names})
    return runtime.with_process_restorer(restorer) if restorer else runtime


def test_a_server_without_an_action_neither_adopts_nor_fires_until_it_is_back(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one, released = home.orphan(SENDING), home.orphan(PAYING, owner=None, arm=(RETRY,))
        waiting = home.runtime.create_instance("Order").id
        home.runtime.set_activity(waiting, "Waiting", actor="a", reason="b")
        before = home.runtime.get_process(one)
    with without(home, "Send", restorer=Answer(RestoreDecision.delete())) as poorer:
        assert poorer.plan_recovery().decisions == ()
        [told] = poorer.plan_recovery().notes
        assert told == "this program has no 'Send', which scheme 'Order' needs: 1 process is left to a server that has"
        for _ in range(3):
            report = poorer.recover(wait=True)
            assert (report.id, report.owned, report.decided, report.skipped, report.notes) == ("", 1, 0, 1, (told,))
        home.clock.advance(7200)
        assert poorer.get_process(one) == before
        assert [poorer.get_process(each).activity for each in (waiting, released)] == ["Waiting", "New"]
        assert list(poorer.get_recoveries()) == []
    with without(home, restorer=Answer(RESUME)) as complete:
        assert complete.recover(wait=True).owned == 1
        assert complete.get_process(one).activity == "Waiting"
        home.clock.advance(0)
        assert complete.get_process(waiting).status is ProcessStatus.FINALIZED
        assert complete.get_process(released).status is IDLED


OTHER = """
scheme: Other
activities: {New: {initial: true}, Paid: {actions: [Charge]}, Done: {final: true}}
transitions: [{from: New, to: Paid}, {from: Paid, to: Done}]
"""


def test_what_is_left_to_others_is_counted_beside_what_is_decided_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Orphanage(tmp_path) as home:
        home.runtime.add_scheme(OTHER)
        for _ in range(2):
            home.orphan(SENDING)
        own = home.orphan(PAYING, scheme="Other")
    with without(home, "Send") as poorer:
        report = poorer.recover(wait=True)
        [stored] = poorer.get_recoveries()
        assert (report.owned, report.decided, report.skipped) == (3, 1, 2)
        assert [decision.process_id for decision in stored.decisions] == [own]
        assert (stored.owned, stored.decided, stored.skipped) == (3, 1, 2)
        assert "2 processes are left to a server that has" in poorer.recover().notes[0]
    assert caplog.text.count("are left to a server that has") == 1


def test_missing_actions_that_are_to_be_ignored_do_nothing(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(PAYING)
    with without(home, "Charge", restorer=Answer(RESUME)).with_settings(ignore_missing_execution_items=True) as poorer:
        assert poorer.recover(wait=True).owned == 1
        assert poorer.get_process(one).activity == "Waiting"
