"""What runs often reads by index: no statement goes through all processes, timers or history rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from factories import NOW, arrival, claim, creation, deletion, entry, process, retry, server, timer
from stored import ONLY_SQLITE, counting, put, put_running

from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.process import CancelRequest, ProcessStatus
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.waiting import FIRST
from workflow_runtime.store.writes import Store

pytestmark = ONLY_SQLITE

ASKED: dict[str, Callable[[Store, Reader], Any]] = {
    "load": lambda store, _: store.load(uuid4()),
    "claim": lambda store, _: store.apply(claim(put(store, process()))),
    "arrive": lambda store, _: store.apply(arrival(put_running(store, process()), arm=(timer("a"),))),
    "delete": lambda store, _: store.apply(deletion(put(store, process(), arm=(timer(),)))),
    "cancel": lambda store, _: store.request_cancel(uuid4(), CancelRequest("a", "r")),
    "journal": lambda store, _: store.journal(uuid4(), "w"),
    "timers": lambda store, _: store.timers(uuid4()),
    "timers of": lambda store, _: store.timers_of([uuid4(), uuid4()]),
    "orphans": lambda store, _: store.orphans(me="me", after=FIRST),
    "orphans when nobody lives": lambda store, _: store.orphans(me="me", nobody_lives=True),
    "due": lambda store, _: store.due(NOW, 100),
    "next due": lambda store, _: store.next_due(after=NOW),
    "due, without some versions": lambda store, _: store.due(NOW, 100, ["v", "w", "x"]),
    "next due, without some versions": lambda store, _: store.next_due(after=NOW, without=["v"]),
    "beat": lambda store, _: store.beat("me", lease=timedelta(seconds=5)),
    "by status": lambda _, reader: reader.find(ProcessFilter(status=ProcessStatus.ERROR)),
    "by status, next page": lambda _, reader: reader.find(ProcessFilter(status=ProcessStatus.ERROR), after=f"0.{uuid4()}"),
    "by scheme": lambda _, reader: reader.find(ProcessFilter(scheme_code="order")),
    "by parent": lambda _, reader: reader.find(ProcessFilter(parent_id=uuid4())),
    "by tenant": lambda _, reader: reader.find(ProcessFilter(tenant_id="acme")),
    "next page of all": lambda _, reader: reader.find(after=f"0.{uuid4()}"),
    "prefix": lambda _, reader: reader.ids_by_prefix("abcdef"),
    "history": lambda _, reader: reader.history(uuid4()),
    "decisions": lambda _, reader: reader.decisions(uuid4()),
    "overdue": lambda _, reader: reader.due_timers(now=NOW, overdue_only=True),
}
SORTED = {"timers", "timers of", "journal"}  #: few rows of one process, sorted after reading


@pytest.fixture
def filled(store: Store) -> Store:
    """Some rows of every status, so that ANALYZE has something to count."""
    store.register(server("other"))
    changes = []
    for number in range(120):
        status = list(ProcessStatus)[number % 6]
        subject = process(status=status, owner="other" if status is ProcessStatus.RUNNING else None, created_at=NOW - timedelta(seconds=number), last_seq=1)
        changes.append(creation(subject, arm=(timer(due=NOW + timedelta(seconds=number)), retry()), entries=(entry(subject, seq=1),)))
    store.apply_all(changes)
    return store


@pytest.mark.parametrize("analyzed", [False, True], ids=["fresh", "analyzed"])
@pytest.mark.parametrize("name", ASKED)
def test_no_statement_scans_a_table(filled: Store, name: str, analyzed: bool) -> None:
    if analyzed:
        with filled.dialect.write() as transaction:
            transaction.driver.execute("ANALYZE")
    for text, plan in _plans(filled, lambda: ASKED[name](filled, Reader(filled))):
        assert [line for line in plan if line.startswith("SCAN")] == [], text
        assert name in SORTED or [line for line in plan if "TEMP B-TREE" in line] == [], text


def test_the_first_page_and_the_numbers_are_read_from_an_index(filled: Store) -> None:
    """Nothing narrows them down; but a page ends early, and the numbers need no row of the table."""
    reader = Reader(filled)
    for ask, how in ((reader.find, "INDEX wf_process_created"), (reader.counts, "COVERING INDEX wf_process_status"), (reader.count, "COVERING INDEX")):
        ((_, plan),) = _plans(filled, ask)
        assert [line for line in plan if line.startswith("SCAN") and how not in line] == [], how


def test_orphans_are_read_from_the_index_of_running_processes(filled: Store) -> None:
    ((_, plan),) = _plans(filled, lambda: filled.orphans(me="me"))
    assert any("wf_process_running" in line for line in plan)


def test_a_scan_would_be_seen(filled: Store) -> None:
    """The proof that the tests above can fail."""
    ((_, plan),) = _plans(filled, lambda: Reader(filled).find(ProcessFilter(state="Open")))
    assert any(line.startswith("SCAN") for line in plan)


def _plans(store: Store, act: Callable[[], Any]) -> list[tuple[str, list[str]]]:
    with counting(store) as counted:
        act()
    statements = [text for text in counted.texts if text.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT")]
    assert statements
    with store.dialect.connected() as driver:
        return [(text, [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {text}")]) for text in statements]
