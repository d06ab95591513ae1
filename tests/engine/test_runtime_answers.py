"""What a runtime tells of its database and of itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import databases
import pytest
import sqlalchemy as sa
from factories import NOW

from workflow_runtime import SchemeNotFound, WorkflowRuntime
from workflow_runtime.testing.clock import FakeClock

SCHEME = """
scheme: Order
activities:
  Begin: {initial: true}
  Work: {actions: [Ship, Charge]}
transitions:
  - {from: Begin, to: Work, when: {action: IsLarge}}
"""


def test_the_time_on_sqlite_is_that_of_the_clock(tmp_path: Path) -> None:
    client = WorkflowRuntime(f"sqlite:///{tmp_path / 'workflow.db'}", clock=FakeClock(NOW)).as_client()
    client.upgrade_database()
    with client:
        assert client.get_time() == NOW


def test_the_time_on_a_server_is_its_own_whatever_this_machine_says(shared_places: Callable[[str], databases.Places]) -> None:
    places = shared_places("postgresql")
    engine = sa.create_engine(places.url, poolclass=sa.NullPool)
    with WorkflowRuntime(databases.upgraded(places.empty())).as_client() as client, engine.connect() as connection:
        for _ in range(2):  # the second is aged from the first
            before = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            told = client.get_time()
            after = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            assert before - timedelta(milliseconds=50) <= told <= after + timedelta(milliseconds=50)
            assert told.utcoffset() == timedelta(0)


def test_names_that_are_missing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'workflow.db'}"
    whole = WorkflowRuntime(url).with_schemes(SCHEME).with_actions({"Ship": print, "Charge": print}).with_conditions({"IsLarge": lambda ctx, parameter: True})
    with whole:
        assert whole.get_missing_names("Order") == []
    with WorkflowRuntime(url).with_actions({"Ship": print}) as other:
        assert other.get_missing_names("Order") == ["Charge", "IsLarge"]
        with pytest.raises(SchemeNotFound):
            other.get_missing_names("Ordre")
