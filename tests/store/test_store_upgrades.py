"""A database of an earlier revision is brought to this one with all that is in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from factories import process
from stored import execute

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.keys import Answer, Key, to_text
from workflow_runtime.store import migrations, rows, tables
from workflow_runtime.store.followers import insert
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]


def at(store: Store, revision: str) -> None:
    """Its tables as an earlier version of the program made them."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    with store.dialect.migration() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    assert store.schema_revision() == revision


def key_row(store: Store, scope: str, name: str, answer: str | None) -> None:
    values = {"scope": scope, "key": name, "digest": "d" * 64, "answer": answer, "created": 1, "settled": 2}
    with store.dialect.write() as transaction:
        transaction.run(insert(tables.idempotency, "process_id"), values)


def history_row(store: Store, process_id: str, seq: int = 1, **given: int) -> None:
    texts = dict.fromkeys(("from_activity", "to_activity", "from_state", "to_state", "transition", "walk_id", "trigger_name"), "")
    values: dict[str, Any] = {
        "process_id": process_id,
        "seq": seq,
        "kind": "moved",
        "at": 0,
        "status": 2,
        "trigger_kind": "Initializing",
        "is_final": 0,
        **texts,
    }
    values |= {"classifier": "NotSpecified"} | dict.fromkeys(("identity", "impersonated_identity", "actor", "reason", "server", "started_at", "error"))
    with store.dialect.write() as transaction:
        transaction.run(insert(tables.history, "idempotency_key", *(() if given else ("id",))), values | given)


def test_from_0003_keys_find_their_processes_and_history_is_kept(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands by their scope, creations by what was answered; of what names none nothing is guessed. More than one page of them."""
    from workflow_runtime.store.migrations.versions import r0004_requests

    monkeypatch.setattr(r0004_requests, "PAGE", 2)
    store = open_store()
    at(store, "0003")
    subject, deleted = process(parameters=FrozenDict({"a": 1})), uuid4()
    with store.dialect.write() as transaction:
        transaction.run(insert(tables.process), rows.process_values(subject))
    history_row(store, str(subject.id))
    one = str(subject.id)
    key_row(store, one, "command", to_text(Answer(process_id=subject.id, executed=True)))
    key_row(store, one, "refused command", to_text(Answer(error="ParameterError", message="no")))
    key_row(store, "", "creation", to_text(Answer(process_id=subject.id, executed=True)))
    key_row(store, "nord", "deleted since", to_text(Answer(process_id=deleted, executed=True)))
    for number, text in enumerate(
        (None, to_text(Answer(error="ParameterError", message="no")), "{", "[]", '{"process_id":7}', '{"process_id":{"$":["uuid","x"]}}')
    ):
        key_row(store, "", f"none {number}", text)
    assert [store.upgrade(), store.upgrade()] == [True, False]
    store.check()
    with store.dialect.read() as transaction:
        found = {row[0]: row[1] for row in transaction.rows_built(sa.select(tables.idempotency.c.key, tables.idempotency.c.process_id))}
    assert found == {
        "command": one,
        "refused command": one,
        "creation": one,
        "deleted since": str(deleted),
        **{f"none {number}": None for number in range(6)},
    }
    [entry] = Reader(store).history(subject.id)
    assert (entry.seq, entry.idempotency_key, store.load(subject.id)) == (1, None, subject)
    kept = store.key_row(Key("", "creation", ""))
    assert kept is not None
    assert kept.answer == Answer(process_id=subject.id, executed=True)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_from_0005_history_keeps_its_numbers_and_counts_on(open_store: OpenStore) -> None:
    store = open_store()
    at(store, "0005")
    subject = process()
    for number in (7, 9):
        history_row(store, str(subject.id), seq=number, id=number * 100)
    assert store.upgrade()
    history_row(store, str(subject.id), seq=10)
    entries = Reader(store).history(subject.id)
    assert [(entry.id, entry.seq) for entry in entries] == [(700, 7), (900, 9), (901, 10)]


def test_from_0001_on_every_step_can_be_taken(open_store: OpenStore) -> None:
    store = open_store()
    for revision in migrations.REVISIONS:
        at(store, revision)
    assert store.upgrade(), "the epoch is written last"
    store.check()


@pytest.mark.parametrize("database", ["mysql"], indirect=True)
def test_an_upgrade_to_0004_that_broke_off_is_completed(open_store: OpenStore) -> None:
    store = open_store()
    at(store, "0003")
    key_row(store, "", "creation", to_text(Answer(process_id=(subject := process()).id, executed=True)))
    execute(store, "ALTER TABLE wf_history ADD COLUMN idempotency_key VARCHAR(255)")
    execute(store, "ALTER TABLE wf_idempotency ADD COLUMN process_id VARCHAR(36)")
    assert store.upgrade()
    with store.dialect.read() as transaction:
        assert transaction.rows_built(sa.select(tables.idempotency.c.process_id)) == [(str(subject.id),)]
    store.check()
