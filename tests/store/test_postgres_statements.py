"""What a change costs on PostgreSQL (one journey), and that what runs often reads by index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from factories import NOW, arrival, claim, creation, decision, deletion, entry, process, retry, server, step, timer
from postgres_looking import plans, wire
from stored import ONLY_POSTGRES, execute, put, put_running

from workflow_runtime.core import rules
from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.process import CancelRequest, Change, ChangeKind, JournalEntry, Process, ProcessStatus
from workflow_runtime.store import rows, tables
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.waiting import FIRST
from workflow_runtime.store.writes import Store

pytestmark = ONLY_POSTGRES

Act = Callable[[], Any]
Prepare = Callable[[Store], Act]


def full(before: Process) -> Change:
    """A change with something for every table."""
    change = arrival(before, arm=(timer("a"), timer("b", keep=True)), journal=(step("w"),), decision=decision(before), drop=("c",), release=True)
    return replace(change, kind=ChangeKind.VERDICT)


def _full(store: Store) -> Act:
    running = put_running(store, process(), arm=(timer("c"), retry()))
    return lambda: store.apply(full(running))


def _claim(store: Store) -> Act:
    rest = put(store, process())
    return lambda: store.apply(claim(rest))


def _creation(store: Store) -> Act:
    subject = process(last_seq=1)
    return lambda: store.apply(creation(subject, entries=(entry(subject, seq=1),), arm=(timer("a"), timer("b"))))


def _deletion(store: Store) -> Act:
    rest = put(store, process(), arm=(timer(),))
    return lambda: store.apply(deletion(rest, entries=(entry(rest),)))


def _lost(store: Store) -> Act:
    rest = put(store, process())
    return lambda: store.apply(claim(replace(rest, token=1), entries=(entry(rest),)))


def _load(store: Store) -> Act:
    rest = put(store, process())
    return lambda: store.load(rest.id)


def _cancel(store: Store) -> Act:
    running = put_running(store, process())
    return lambda: store.request_cancel(running.id, CancelRequest("alice", "wrong order"))


ONE: dict[str, Prepare] = {
    "full": _full,
    "claim": _claim,
    "creation": _creation,
    "deletion": _deletion,
    "lost": _lost,
    "load": _load,
    "cancel": _cancel,
    "beat": lambda store: lambda: store.beat("me", lease=timedelta(seconds=5)),
    "due": lambda store: lambda: store.due(NOW, 10),
    "orphans": lambda store: lambda: store.orphans(me="me"),
    "orphans and whether they have timers": lambda store: lambda: store.orphan_crowds(me="me"),
}


@pytest.mark.parametrize("name", ONE)
def test_one_statement_and_one_journey(store: Store, name: str) -> None:
    act = ONE[name](store)
    with wire(store) as seen:
        act()
    assert (seen.journeys, seen.statements) == (1, 1)


def test_a_batch_costs_few_journeys_however_many_changes_it_has(store: Store) -> None:
    batch = [claim(put(store, process())) for _ in range(40)]
    store.apply_all([claim(put(store, process())) for _ in range(40)])  # from now on the statement is prepared
    with wire(store) as seen:
        outcomes = [applied.outcome for applied in store.apply_all(batch)]
    assert outcomes == [Outcome.APPLIED] * 40
    assert seen.statements >= 40
    assert seen.journeys <= 4  # BEGIN, the changes, COMMIT


def test_a_batch_of_creations_too(store: Store) -> None:
    def batch() -> list[Change]:
        return [creation(subject := process(last_seq=1), arm=(timer(),), entries=(entry(subject, seq=1),)) for _ in range(40)]

    store.apply_all(batch())
    fresh = batch()
    with wire(store) as seen:
        outcomes = [applied.outcome for applied in store.apply_all(fresh)]
    assert outcomes == [Outcome.APPLIED] * 40
    assert seen.journeys <= 4


def test_the_texts_depend_on_one_row_or_more_and_not_on_their_number(store: Store) -> None:
    dialect: Any = store.dialect
    texts = set[int]()
    for count in (1, 2, 5, 40):
        running = put_running(store, process())
        steps = tuple(step("w", occurrence=number) for number in range(count))
        told = tuple(entry(running, seq=running.last_seq + number + 1) for number in range(count))
        change = arrival(running, arm=tuple(timer(f"t{number}") for number in range(count)), journal=steps)
        assert store.apply(replace(change, entries=told)).outcome is Outcome.APPLIED
        texts.add(len(dialect._whole))
    assert len(texts) == 2


def test_a_step_of_a_walk_changes_no_column_of_an_index(store: Store) -> None:
    """So PostgreSQL writes none of them anew."""
    running = put_running(store, process())
    entry = JournalEntry(walk_id="w", activity="A", action="Call", index=0, at=NOW + timedelta(seconds=1))
    values = [rows.updated_values(one) for one in (running, rules.journal(running, entry, now=entry.at).result)]
    changed = {name for name in values[0] if values[0][name] != values[1][name]} | {"revision"}
    assert changed >= {"walk", "updated_at"}
    assert changed.isdisjoint(column.name for index in tables.process.indexes for column in index.columns)


def test_journal_rows_keep_their_order_in_one_statement(store: Store, reader: Reader) -> None:
    running = put_running(store, process())
    steps = tuple(step("w", step=f"s{number % 7}", occurrence=number) for number in range(50))
    told = tuple(entry(running, seq=number + 1) for number in range(50))
    store.apply(Change(kind=ChangeKind.OPERATE, before=running, after=running, journal=steps, entries=told))
    assert store.journal(running.id, "w") == steps
    ids = [row.id for row in reader.history(running.id)]
    assert ids == sorted(ids)


# -- plans ------------------------------------------------------------------------------------------------

ASKED: dict[str, Callable[[Store, Reader], Any]] = {
    "load": lambda store, _: store.load(uuid4()),
    "load all": lambda store, _: store.load_all([uuid4(), uuid4()]),
    "claim": lambda store, _: store.apply(claim(process())),
    "full": lambda store, _: store.apply(full(process(owner="me", status=ProcessStatus.RUNNING))),
    "create": lambda store, _: store.apply(creation(process(), arm=(timer(),))),
    "delete": lambda store, _: store.apply(deletion(process())),
    "cancel": lambda store, _: store.request_cancel(uuid4(), CancelRequest("a", "r")),
    "journal": lambda store, _: store.journal(uuid4(), "w"),
    "timers": lambda store, _: store.timers(uuid4()),
    "timers of": lambda store, _: store.timers_of([uuid4(), uuid4()]),
    "orphans": lambda store, _: store.orphans(me="me", after=FIRST),
    "orphans when nobody lives": lambda store, _: store.orphans(me="me", nobody_lives=True),
    "orphans and whether they have timers": lambda store, _: store.orphan_crowds(me="me", after=FIRST),
    "due": lambda store, _: store.due(NOW, 100),
    "next due": lambda store, _: store.next_due(after=NOW),
    "by status": lambda _, reader: reader.find(ProcessFilter(status=ProcessStatus.ERROR)),
    "by status, next page": lambda _, reader: reader.find(ProcessFilter(status=ProcessStatus.ERROR), after=f"0.{uuid4()}"),
    "by scheme": lambda _, reader: reader.find(ProcessFilter(scheme_code="order")),
    "by parent": lambda _, reader: reader.find(ProcessFilter(parent_id=uuid4())),
    "by tenant": lambda _, reader: reader.find(ProcessFilter(tenant_id="acme")),
    "first page of all": lambda _, reader: reader.find(),
    "prefix": lambda _, reader: reader.ids_by_prefix("abcdef"),
    "history": lambda _, reader: reader.history(uuid4()),
    "decisions": lambda _, reader: reader.decisions(uuid4()),
    "overdue": lambda _, reader: reader.due_timers(now=NOW, overdue_only=True),
}


def _fill(store: Store) -> None:
    """A few thousand rows of every status; one process in forty belongs to a server that is gone."""
    store.register(server("other"))
    changes = []
    for number in range(2_000):
        status = ProcessStatus.RUNNING if number % 10 == 0 else [ProcessStatus.IDLED, ProcessStatus.FINALIZED, ProcessStatus.ERROR][number % 3]
        owner = None if status is not ProcessStatus.RUNNING else "gone" if number % 40 == 0 else "other"
        subject = process(status=status, owner=owner, created_at=NOW - timedelta(seconds=number), last_seq=1)
        changes.append(creation(subject, arm=(timer(due=NOW + timedelta(seconds=number)), retry()), entries=(entry(subject, seq=1),)))
    store.apply_all(changes)


def test_no_statement_reads_a_table_from_end_to_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh, when PostgreSQL knows nothing of the tables, and analyzed."""
    _fill(store)
    for words in ("SELECT 1", "ANALYZE"):
        execute(store, words)
        for name, (text, plan) in _all_plans(store, monkeypatch):
            scanned = [line for line in plan if "Seq Scan on wf_" in line and "wf_server" not in line]  # of servers there are few
            assert scanned == [], f"{name}, {words}\n{text}\n" + "\n".join(plan)
    for ask, index in ((lambda: store.orphans(me="me"), "wf_process_status"), (lambda: store.due(NOW, 100), "wf_timer_due")):
        ((_, plan),) = plans(store, ask, monkeypatch)
        assert any(f"using {index}" in line for line in plan), "\n".join(plan)
        assert [line for line in plan if "Sort" in line] == [], "in the order of the index\n" + "\n".join(plan)


def test_large_tables_are_read_by_index_also_where_a_scan_is_not_discouraged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(store)
    for words in ("ANALYZE", "SET enable_seqscan = on", "SET enable_bitmapscan = on"):
        execute(store, words)
    for name, (text, plan) in _all_plans(store, monkeypatch):
        scanned = [line for line in plan for table in ("process", "timer", "history") if f"Seq Scan on wf_{table}" in line]
        assert scanned == [], f"{name}\n{text}\n" + "\n".join(plan)


def _all_plans(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    reader = Reader(store)
    for name, ask in ASKED.items():
        yield from ((name, plan) for plan in plans(store, lambda ask=ask: ask(store, reader), monkeypatch))  # type: ignore[misc]


def test_a_scan_would_be_seen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof that the tests above can fail."""
    execute(store, "SET enable_seqscan = on")
    ((_, plan),) = plans(store, lambda: Reader(store).count(ProcessFilter(state="Open")), monkeypatch)
    assert any("Seq Scan on wf_process" in line for line in plan)
