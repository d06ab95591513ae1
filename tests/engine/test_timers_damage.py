"""Waiting processes that cannot be read: they come to Error with the cause, and the others go on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from orphanage import PAYING, SCHEME, START, Orphanage

from workflow_runtime.core.process import ProcessStatus, Timer, TimerKind
from workflow_runtime.engine.timers import TimerLoop

IDLED, ERROR = ProcessStatus.IDLED, ProcessStatus.ERROR


def run_sql(home: Orphanage, statement: str, *values: Any) -> list[Any]:
    with home.store.dialect.write() as transaction:
        found: list[Any] = transaction.driver.execute(statement, values).fetchall()
    return found


def handed_back(home: Orphanage, kind: TimerKind, **fields: Any) -> UUID:
    return home.orphan(PAYING, owner=None, arm=(Timer(name=kind, kind=kind, due=START + timedelta(hours=1, seconds=1)),), **fields)


def what_became(home: Orphanage, one: UUID) -> tuple[int, str | None, int]:
    """Status, owner, number of its timer rows."""
    ((status, owner),) = run_sql(home, "SELECT status, owner FROM wf_process WHERE id = ?", str(one))
    ((rows,),) = run_sql(home, "SELECT count(*) FROM wf_timer WHERE process_id = ?", str(one))
    return status, owner, rows


DAMAGES = [
    "UPDATE wf_process SET walk = '{' WHERE id = ?",
    "UPDATE wf_process SET parameters = 'nonsense' WHERE id = ?",
    "UPDATE wf_process SET deaths = 'many' WHERE id = ?",
    "UPDATE wf_process SET root_id = x'ff' WHERE id = ?",
    "UPDATE wf_process SET scheme_version = 'gone' WHERE id = ?",
    "UPDATE wf_journal SET changes = '{' WHERE process_id = ?",
]


@pytest.mark.parametrize("statement", DAMAGES)
@pytest.mark.parametrize("kind", [TimerKind.RETRY, TimerKind.START])
def test_what_waits_and_cannot_be_read_becomes_error(tmp_path: Path, statement: str, kind: TimerKind, caplog: pytest.LogCaptureFixture) -> None:
    with Orphanage(tmp_path, workers=1) as home:
        bad, good = handed_back(home, kind, step=1), handed_back(home, kind)
        run_sql(home, statement, str(bad))
        home.clock.advance(2 * 3600)
        assert what_became(home, bad) == (ERROR.id, None, 0)
        ((cause,),) = run_sql(home, "SELECT last_error FROM wf_process WHERE id = ?", str(bad))
        assert "cannot be read" in cause or "has no scheme" in cause
        assert run_sql(home, "SELECT status FROM wf_history WHERE process_id = ?", str(bad)) == [(ERROR.id,)]
        assert home.status(good) is IDLED
        assert [record for record in caplog.records if str(bad) in record.getMessage()] != []
        caplog.clear()
        home.clock.advance(3600)
        assert caplog.records == []
        assert home.recover().owned == 0


def test_what_waits_for_a_scheme_that_cannot_be_read_becomes_error(tmp_path: Path) -> None:
    with Orphanage(tmp_path, workers=1) as home:
        home.runtime.add_scheme(SCHEME.replace("scheme: Order", "scheme: Lost"))
        for _ in range(5):  # at rest, and due before the others
            home.runtime.set_activity(home.runtime.create_instance("Lost").id, "Waiting", actor="a", reason="b")
        home.clock.advance(1)
        bad, good = [handed_back(home, TimerKind.RETRY, scheme="Lost") for _ in range(5)], handed_back(home, TimerKind.RETRY)
        run_sql(home, "UPDATE wf_scheme SET text = 'scheme: [' WHERE code = 'Lost'")
        home.runtime._parts.engine.schemes._kept.clear()
        home.clock.advance(2 * 3600)
        assert [what_became(home, one) for one in bad] == [(ERROR.id, None, 0)] * 5
        assert home.status(good) is IDLED


def test_one_that_was_broken_off_is_not_broken_off_again(tmp_path: Path) -> None:
    """A poll may come to a row that it read before another ended that wait."""
    with Orphanage(tmp_path) as home:
        one = handed_back(home, TimerKind.RETRY)
        run_sql(home, "UPDATE wf_process SET walk = '{' WHERE id = ?", str(one))
        parts = home.runtime._parts
        loop = TimerLoop(parts.engine, parts.executor, parts.workers, wait=True)
        assert [loop._break_off(one, "cause") for _ in range(2)] == [True, False]
        assert run_sql(home, "SELECT status FROM wf_history WHERE process_id = ?", str(one)) == [(ERROR.id,)]


def test_a_process_that_cannot_be_read_and_is_in_anothers_hands_is_left_alone(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        theirs = home.orphan(PAYING, owner="other", arm=(Timer(name="retry", kind=TimerKind.RETRY, due=START),))
        run_sql(home, "UPDATE wf_process SET walk = '{' WHERE id = ?", str(theirs))
        home.clock.advance(3600)
        assert what_became(home, theirs) == (ProcessStatus.RUNNING.id, "other", 1)


def test_a_timer_of_a_process_that_cannot_be_read_waits_for_a_person(tmp_path: Path) -> None:
    """It is at rest: its status is no lie, and once it is put right its timer fires."""
    with Orphanage(tmp_path) as home:
        one = home.runtime.create_instance("Order").id
        home.runtime.set_activity(one, "Waiting", actor="a", reason="b")
        ((sound,),) = run_sql(home, "SELECT parameters FROM wf_process WHERE id = ?", str(one))
        run_sql(home, "UPDATE wf_process SET parameters = '{' WHERE id = ?", str(one))
        home.clock.advance(2 * 3600)
        assert what_became(home, one) == (IDLED.id, None, 1)
        run_sql(home, "UPDATE wf_process SET parameters = ? WHERE id = ?", sound, str(one))
        home.clock.advance(3600)
        assert home.status(one) is ProcessStatus.FINALIZED
