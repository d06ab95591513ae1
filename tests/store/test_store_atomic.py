"""All or nothing, also when something fails late; and what opening a store imports."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from factories import arrival, claim, decision, entry, process, step, timer
from stored import broken, everything, put, put_running

from workflow_runtime.core.process import Change, ChangeKind, Process
from workflow_runtime.errors import ParameterError, StoreError
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.writes import Store


def full(before: Process) -> Change:
    """A change with something for every table."""
    change = arrival(before, arm=(timer("a"), timer("b", keep=True)), journal=(step("w"),), decision=decision(before), drop=("c",), release=True)
    return replace(change, kind=ChangeKind.VERDICT)


@pytest.mark.parametrize("table", ["wf_journal", "wf_timer", "wf_history", "wf_decision"])
@pytest.mark.parametrize("in_batch", [False, True], ids=["alone", "in a batch"])
def test_when_a_later_statement_fails_nothing_was_written(store: Store, table: str, in_batch: bool) -> None:
    rest, running = put(store, process()), put_running(store, process(), arm=(timer("c"),))
    before = everything(store)
    with broken(store, table), pytest.raises(StoreError, match="broken"):
        store.apply_all([claim(rest), full(running)]) if in_batch else store.apply(full(running))
    assert everything(store) == before
    assert store.apply(full(running)).outcome is Outcome.APPLIED


def test_a_text_that_no_database_takes_is_refused_before_anything_is_written(store: Store) -> None:
    rest = put(store, process())
    before = everything(store)
    with pytest.raises(ParameterError) as caught:
        store.apply(claim(rest, entries=(entry(rest, reason="\udc80"),)))
    assert caught.value.code == "bad_character"
    assert everything(store) == before


def test_importing_the_package_imports_no_database() -> None:
    code = "import workflow_runtime, sys; assert not [m for m in sys.modules if m.startswith(('sqlalchemy', 'alembic', 'workflow_runtime.store'))]"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_opening_and_upgrading_what_is_up_to_date_imports_no_alembic(database: str, store: Store) -> None:
    assert store.schema_revision()
    code = f"""
import datetime, sys
from workflow_runtime.store.writes import Store
store = Store.open({database!r}, clock=lambda: datetime.datetime.now(datetime.UTC), new_token=lambda: 1)
assert store.upgrade() is False
assert not [m for m in sys.modules if m.startswith('alembic')]
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
