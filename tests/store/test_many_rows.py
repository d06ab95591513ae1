"""What is asked of large tables is answered by an index: the plan of every statement of a busy server, on each database.

The rows come from one statement, from a row that the store itself has written. A small table proves the plans while one
works; the large one, that they do not turn as it grows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from factories import NOW, arrival, claim, creation, decision, deletion, entry, process, server, timer
from stored import execute, put, put_running

from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.store import records, tables
from workflow_runtime.store.dialects import Alike
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.waiting import FIRST
from workflow_runtime.store.writes import Store

FEW, MANY = 5_000, 200_000
SORTED_WHILE_SMALL = "first page of all"  #: on MariaDB, which reads a small table whole and sorts it
LARGE = ("wf_process", "wf_timer", "wf_history")

ASKED: dict[str, Callable[[Store, Reader], Any]] = {
    "load": lambda store, _: store.load(uuid4()),
    "claim": lambda store, _: store.apply(claim(process())),
    "arrive": lambda store, _: store.apply(arrival(put_running(store, process()), arm=(timer("a"),))),
    "create": lambda store, _: store.apply(creation(process(), arm=(timer(),))),
    "delete": lambda store, _: store.apply(deletion(put(store, process(), arm=(timer(),)))),
    "one verdict for many": lambda store, _: alike(store),
    "journal": lambda store, _: store.journal(uuid4(), "w"),
    "timers of": lambda store, _: store.timers_of([uuid4() for _ in range(100)]),
    "orphans": lambda store, _: store.orphans(me="me", after=FIRST, limit=500),
    "orphans when nobody lives": lambda store, _: store.orphans(me="me", nobody_lives=True, limit=500),
    "due": lambda store, _: store.due(NOW, 100),
    "next due": lambda store, _: store.next_due(after=NOW),
    "by status": lambda _, reader: reader.find(ProcessFilter(status=ProcessStatus.ERROR)),
    "first page of all": lambda _, reader: reader.find(),
    "history": lambda _, reader: reader.history(uuid4()),
}


def alike(store: Store) -> None:
    """For as many as a page of recovery has; the guard of none holds."""
    if store.dialect.takes_crowds:
        given = [{"id": str(uuid4()), "token": 1, "revision": 1, "seq": 1, "walk": "w"} for _ in range(500)]
        told, decided = records.history_values(entry(process())), records.decision_values(decision(process()))
        values = {"owner": "gone", "me": "me", "status": 5, "now": 1, "since": 1}
        values |= {f"h_{name}": value for name, value in told.items()} | {f"d_{name}": value for name, value in decided.items()}
        with store.dialect.change() as transaction:
            assert store.dialect.alike(transaction, Alike(values, json.dumps(given), len(given))) == set()
    else:
        store.load(uuid4())


#: n: the number of a row, and an id made of it
_NUMBERS = {
    "sqlite": ("WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {most}) {insert}", "printf('%08x', n)"),
    "postgresql": ("{insert}", "lpad(to_hex(n), 8, '0')"),
    "mysql": ("{insert}", "lpad(lower(hex(n)), 8, '0')"),
}
_SOURCE = {"sqlite": "numbers", "postgresql": "generate_series(1, {most}) AS numbers(n)", "mysql": "(SELECT seq AS n FROM seq_1_to_{most}) AS numbers"}


def multiply(store: Store, table: Any, pattern: UUID, most: int) -> None:
    """So many rows more, each as that of one process, with other ids and other times."""
    kind = store.dialect.engine.dialect.name
    text, number = _NUMBERS[kind]
    names = [column.name for column in table.c if not (table.name == "wf_history" and column.name == "id")]
    new_id = f"{number} || '-0000-4000-8000-000000000000'" if kind != "mysql" else f"concat({number}, '-0000-4000-8000-000000000000')"
    made = {"id": new_id, "root_id": new_id, "process_id": new_id, **{name: f"{name} + n" for name in ("created_at", "updated_at", "due")}}
    source = _SOURCE[kind].format(most=most)
    key = "id" if table is tables.process else "process_id"
    insert = f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(made.get(name, name) for name in names)} FROM {table.name}, {source}"
    execute(store, text.format(most=most, insert=f"{insert} WHERE {key} = '{pattern}'"))


@pytest.fixture(params=[FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=str)
def crowded(store: Store, request: pytest.FixtureRequest) -> Store:
    """Processes at rest, each with a timer and a row of history; and a few that a server left that is gone."""
    rest = process(last_seq=1)
    put(store, rest, arm=(timer(due=NOW),), entries=(entry(rest, seq=1),))
    for table in (tables.process, tables.timer, tables.history):
        multiply(store, table, rest.id, request.param)
    store.register(server("gone"))
    store.declare_dead("gone", beat=0)
    for _ in range(20):
        put_running(store, process(), owner="gone")
    for table in LARGE:
        execute(store, f"ANALYZE TABLE {table}" if store.dialect.engine.dialect.name == "mysql" else f"ANALYZE {table}")
    return store


def test_every_question_is_answered_by_an_index(crowded: Store) -> None:
    reader = Reader(crowded)
    for name, ask in ASKED.items():
        if name == SORTED_WHILE_SMALL and crowded.dialect.engine.dialect.name == "mysql" and reader.count() < MANY:
            continue
        with noted(crowded) as sent:
            ask(crowded, reader)
        assert sent
        for text, values in sent:
            assert scans(crowded, text, values) == [], f"{name}\n{text}"


def test_a_scan_would_be_seen(crowded: Store) -> None:
    """The proof that the test above can fail."""
    with noted(crowded) as sent:
        Reader(crowded).count(ProcessFilter(state="Nowhere"))
    ((text, values),) = sent
    assert scans(crowded, text, values)


@contextmanager
def noted(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are sent within it, with their values."""
    sent: list[tuple[str, Any]] = []
    cursor = store.dialect.cursor

    class Noting:
        def __init__(self, real: Any) -> None:
            self.real = real

        def execute(self, text: str, values: Any = None) -> Any:
            sent.append((text, values))
            return self.real.execute(text, values) if values is not None else self.real.execute(text)

        def executemany(self, text: str, many: Any, **options: Any) -> Any:
            sent.append((text, next(iter(many))))
            return self.real.executemany(text, many, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.dialect, "cursor", lambda driver: Noting(cursor(driver)))
        yield sent


def scans(store: Store, text: str, values: Any) -> list[str]:
    """The parts of its plan that go through a large table from end to end."""
    kind = store.dialect.engine.dialect.name
    word = "EXPLAIN QUERY PLAN" if kind == "sqlite" else "EXPLAIN"
    with store.dialect.connected() as driver:
        cursor = store.dialect.cursor(driver)
        cursor.execute(f"{word} {text}", values)
        rows = cursor.fetchall()
    if kind == "mysql":  # id, select_type, table, type ...: an INSERT of values shows its table and no rows to read
        return [str(row) for row in rows if row[2] in LARGE and row[3] == "ALL" and row[1] != "INSERT"]
    if kind == "sqlite":  # an index that is gone through from its newest end is a page
        return [row[3] for row in rows if row[3].startswith("SCAN wf_") and row[3].split()[1] in LARGE and "wf_process_created" not in row[3]]
    return [row[0] for row in rows if any(f"Seq Scan on {table}" in row[0] for table in LARGE)]
