"""Idempotency keys travel with their processes: what was answered once is answered the same after a move."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from factories import claim, deletion, process, server, walk
from stored import put, rows_of
from transferred import exported, imported, rewritten, schemes

from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.keys import Answer, Key
from workflow_runtime.core.process import Process
from workflow_runtime.errors import TransferError
from workflow_runtime.store import tables
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]
Lines = list[dict[str, Any]]


@pytest.fixture
def source(open_store: OpenStore, upgraded_file: Path, tmp_path: Path) -> Store:
    shutil.copy(upgraded_file, tmp_path / "source.db")
    source = open_store(f"sqlite:///{tmp_path / 'source.db'}")
    source.register(server("me"))
    source.bind("me")
    schemes(source)
    return source


def born(store: Store, name: str, **fields: Any) -> Process:
    """Created by a request with this key, and at rest."""
    subject = process(**fields)
    return put(store, subject, opens=Key(subject.tenant_id or "", name, "c" * 64))


def commanded(store: Store, subject: Process, name: str) -> Process:
    """In hand, by a command with this key, which is open."""
    key = Key(str(subject.id), name, "d" * 64)
    begun = claim(subject, opens=key)
    assert begun.after is not None
    change = replace(begun, after=evolve(begun.after, walk=walk(key=key)))
    assert store.apply(change).outcome is Outcome.APPLIED
    return change.result


def all_keys(store: Store) -> set[tuple[Any, ...]]:
    with store.dialect.read() as transaction:
        return {tuple(row) for row in transaction.rows_built(sa.select(tables.idempotency))}


def kinds(data: bytes) -> list[str]:
    return [json.loads(line)["kind"] for line in data.splitlines()]


def test_keys_of_creations_and_commands_come_along_open_ones_too(source: Store, store: Store) -> None:
    first = born(source, "order-7", tenant_id="nord")
    born(source, "Schlüssel ☃ \\")
    running = commanded(source, first, "payment-7")
    source.refuse(Key(str(first.id), "no-1", "e" * 64), Answer(process_id=first.id, reason="not now"))
    data, report = exported(source)
    assert (report.keys, kinds(data).count("key")) == (4, 0)
    assert imported(store, data).keys == 4
    assert all_keys(store) == all_keys(source)
    found = store.key_row(Key(str(first.id), "payment-7", ""))
    assert found is not None
    assert (found.is_settled, found.answer.process_id) == (False, running.id)
    assert exported(store)[1].digest == report.digest


def test_a_filter_takes_the_keys_of_its_processes_and_no_others(source: Store, store: Store) -> None:
    wanted = born(source, "a", tenant_id="nord")
    born(source, "b", tenant_id="sued")
    source.refuse(Key("", "never born", "e" * 64), Answer(error="ParameterError", message="no"))
    data, report = exported(source, ProcessFilter(tenant_id="nord"))
    assert (report.processes, report.keys, kinds(data).count("key")) == (1, 1, 0)
    imported(store, data)
    assert {(scope, key, about) for scope, key, *_, about in all_keys(store)} == {("nord", "a", str(wanted.id))}


def test_keys_of_no_process_that_is_there_come_with_an_export_of_everything(source: Store, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A creation that was refused, and one whose process was deleted: sent again they must not create anything."""
    monkeypatch.setattr("workflow_runtime.store.transfer.PAGE", 2)
    gone = born(source, "deleted")
    source.refuse(Key(str(gone.id), "pay", "e" * 64), Answer(process_id=gone.id, executed=True))
    assert source.apply(deletion(gone)).outcome is Outcome.APPLIED
    for number in range(3):
        source.refuse(Key("", f"refused {number}", "e" * 64), Answer(error="ParameterError", message="no"))
    data, report = exported(source)
    assert (report.processes, report.keys, kinds(data).count("key")) == (0, 5, 5)
    dry = imported(store, data, dry_run=True)
    assert (dry.keys, all_keys(store)) == (5, set())
    assert imported(store, data).keys == 5
    assert all_keys(store) == all_keys(source)
    again = imported(store, data, skip_existing=True)
    assert (again.keys, dict(again.failed)) == (5, {})


def test_a_process_whose_key_is_in_use_here_is_refused_by_name_and_stops_nobody(source: Store, store: Store) -> None:
    schemes(store)
    there = born(store, "order-7")
    clash, free = born(source, "order-7"), born(source, "order-8")
    for dry_run in (True, False):
        report = imported(store, exported(source)[0], dry_run=dry_run, skip_existing=True)
        assert (report.processes, report.keys, report.skipped) == (1, 1, 0)
        assert dict(report.failed) == {str(clash.id): "IdempotencyConflict: the key 'order-7' of its creation is in use here"}
    assert {about for *_, about in all_keys(store)} == {str(there.id), str(free.id)}
    assert rows_of(store, tables.history, clash.id) == []


def test_a_key_of_no_process_that_is_in_use_here_is_named(source: Store, store: Store) -> None:
    source.refuse(Key("", "k", "e" * 64), Answer(error="ParameterError", message="no"))
    store.refuse(Key("", "k", "f" * 64), Answer(error="ParameterError", message="never"))
    before = all_keys(store)
    report = imported(store, exported(source)[0])
    assert (report.keys, dict(report.failed)) == (0, {"key 'k'": "IdempotencyConflict: it is in use here for another request"})
    assert all_keys(store) == before


def test_an_answer_that_cannot_be_read_is_named_and_its_process_left_out(source: Store) -> None:
    bad = born(source, "bad")
    born(source, "good")
    source.refuse(Key("", "loose", "e" * 64), Answer(error="ParameterError", message="no"))
    c = tables.idempotency.c
    with source.dialect.write() as transaction:
        assert transaction.run(sa.update(tables.idempotency).where(c.key.in_(["bad", "loose"])).values(answer=sa.literal("{")), {}) == 2
    _, report = exported(source)
    assert (report.processes, report.keys) == (1, 1)
    assert {name: "cannot be read" in why for name, why in report.failed.items()} == {str(bad.id): True, "key 'loose'": True}


def without_keys(lines: Lines) -> None:
    lines[0]["number"] = 1
    for line in lines:
        if line["kind"] == "process":
            del line["keys"]
            for row in line["history"]:
                del row["idempotency_key"]
        if line["kind"] == "end":
            del line["keys"]


def test_a_file_of_format_1_is_read_as_one_without_keys(source: Store, store: Store) -> None:
    born(source, "order-7")
    subject = put(source, process(last_seq=0))
    data, _ = exported(source)
    report = imported(store, rewritten(data, without_keys))
    assert (report.processes, report.keys, all_keys(store)) == (2, 0, set())
    assert store.load(subject.id) is not None


WRONG: dict[str, tuple[Callable[[Lines], None], str]] = {
    "of another process": (lambda lines: lines[3]["keys"][0].update(scope=str(UUID(int=1))), "neither the process nor its tenant"),
    "twice": (lambda lines: lines[3]["keys"].append(lines[3]["keys"][0]), "a row of keys stands twice"),
    "an answer that is none": (lambda lines: lines[3]["keys"][0].update(answer="["), "cannot be read"),
    "a time that is none": (lambda lines: lines[3]["keys"][0].update(settled=2**62), ""),
    "a key that is too long": (lambda lines: lines[3]["keys"][0].update(key="k" * 256), "there is room for 255"),
    "keys that do not ascend": (lambda lines: lines.__setitem__(slice(4, 6), [lines[5], lines[4]]), "the keys do not ascend"),
    "a loose key twice": (lambda lines: lines.insert(5, lines[4]), "the key 'a' stands twice"),
    "a loose key before a process": (lambda lines: lines.insert(3, lines.pop(4)), "cannot stand behind a line 'key'"),
    "an unknown column": (lambda lines: lines[4].update(more=1), "'more' is not known"),
}


@pytest.mark.parametrize("name", WRONG)
def test_keys_that_do_not_fit_are_refused(source: Store, store: Store, name: str) -> None:
    born(source, "order-7")
    for key in ("a", "b"):
        source.refuse(Key("", key, "e" * 64), Answer(error="ParameterError", message="no"))
    data, _ = exported(source)
    assert kinds(data) == ["header", "scheme", "current", "process", "key", "key", "end"]
    change, words = WRONG[name]
    with pytest.raises(TransferError) as caught:
        imported(store, rewritten(data, change))
    assert words in caught.value.message
    assert all_keys(store) == set()


def test_a_count_of_keys_that_does_not_fit_is_noticed(source: Store, store: Store) -> None:
    source.refuse(Key("", "a", "e" * 64), Answer(error="ParameterError", message="no"))
    lines = exported(source)[0].splitlines(keepends=True)
    end = json.loads(lines[-1])
    with pytest.raises(TransferError) as caught:
        imported(store, b"".join([*lines[:-1], json.dumps({**end, "keys": 2}).encode() + b"\n"]))
    assert caught.value.code == "wrong_count"
