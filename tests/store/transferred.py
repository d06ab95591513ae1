"""Short cuts of the tests of export and import: processes in every status, and one call for each direction."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from factories import NOW, claim, decision, entry, process, retry, step, timer, walk
from stored import put

from workflow_runtime.core.answers import TransferReport
from workflow_runtime.core.filters import EVERYTHING, ProcessFilter
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import CancelRequest, Change, ChangeKind, EntryKind, ErrorInfo, Process, ProcessStatus, TimerKind, Trigger, TriggerKind
from workflow_runtime.core.scheme_words import Classifier, SchemeKey
from workflow_runtime.core.values import LIMITS
from workflow_runtime.store.changes import Outcome
from workflow_runtime.store.transfer import Export, Import
from workflow_runtime.store.writes import Store

ORDER, OLDER = SchemeKey("order", "0" * 64), SchemeKey("order", "1" * 64)
TYPES: dict[str, Any] = {
    "money": Decimal("1234567890.10"),
    "when": datetime(2031, 5, 6, 7, 8, 9, 10, tzinfo=UTC),
    "day": date(2030, 2, 28),
    "wait": timedelta(days=1, microseconds=1),
    "id": UUID(int=7),
    "raw": b"\x00\xff",
    "größe": "☃ 'quoted' \\ \"too\"",
    "whole": 2**63 - 1,
    "real": 1.0,
    "small": 5e-324,
    "$": {"$": ["dict", None]},
    "list": [1, [True, None, "a"]],
}
DAMAGE = ErrorInfo(type="ValueError", message="half \ud800, NUL \0", traceback="line 1\nline 2\t€", activity="B", action="Charge")


def schemes(store: Store) -> None:
    """Two versions; the newer one is current."""
    store.add_scheme(OLDER, "<old/>", "xml")
    store.add_scheme(ORDER, "new: 'ünïcode'", "yaml")


def populate(store: Store) -> list[Process]:
    """One process of each kind, as they stand; ``store`` is bound to a living server."""
    schemes(store)
    parent = put(
        store, process(activity="Prüfung ☃", state="In Arbeit ", parameters=FrozenDict(TYPES), tenant_id="nord", last_seq=1), arm=(timer(), timer("später"))
    )
    store.apply(Change(kind=ChangeKind.OPERATE, before=parent, after=replace(parent, last_seq=2), entries=(entry(replace(parent, last_seq=1)),)))
    return [
        stored(store, parent),
        put(
            store,
            process(parent_id=parent.id, root_id=parent.id, scheme_version=OLDER.version, activity="", state="", status=ProcessStatus.INITIALIZED),
            arm=(start(),),
        ),
        executed(store),
        put(store, process(status=ProcessStatus.RUNNING, walk=walk(due=NOW), waiting_until=NOW, deaths=2, deaths_step="B#0", adoptions=1), arm=(retry(),)),
        put(store, process(status=ProcessStatus.RUNNING, walk=walk())),
        put(store, process(status=ProcessStatus.FINALIZED, created_at=NOW + timedelta(seconds=1), previous_activity="A", previous_state="a")),
        decided(store),
        put(
            store, process(status=ProcessStatus.ERROR, last_error=DAMAGE, walk=walk(identity="anna", inputs=FrozenDict(TYPES), temporary=FrozenDict({"t": 1})))
        ),
    ]


def start() -> Any:
    return replace(timer("start"), kind=TimerKind.START)


def executed(store: Store) -> Process:
    """By ``me``, with a journal of an earlier walk and one of the present one, and somebody wants its end."""
    running = claim(put(store, process(last_seq=1), arm=(timer(),), journal=(step("earlier"),)))
    assert store.apply(running).outcome is Outcome.APPLIED
    assert running.result.walk is not None
    walk_id = running.result.walk.id
    rows = (step(walk_id), step(walk_id, index=1, step="pay", occurrence=2, digest="d" * 64, result='{"$":["decimal","1.50"]}', changes=FrozenDict(TYPES)))
    on = Change(kind=ChangeKind.JOURNAL, before=running.result, after=replace(running.result, walk=replace(running.result.walk, step=1)), journal=rows)
    assert store.apply(on).outcome is Outcome.APPLIED
    assert store.request_cancel(running.result.id, CancelRequest("olga", "zu spät"))
    return stored(store, running.result)


def decided(store: Store) -> Process:
    """Terminated by recovery, with a row of history that has something in every column."""
    rest = put(store, process())
    told = entry(
        rest,
        kind=EntryKind.RECOVERED,
        trigger=Trigger(TriggerKind.RECOVERY, "resume"),
        classifier=Classifier.REVERSE,
        identity="anna",
        impersonated_identity="böb",
        actor="olga",
        reason="weil",
        walk_id="w1",
        server="gone",
        started_at=NOW - timedelta(days=1),
        is_final=True,
        error=DAMAGE,
    )
    after = replace(rest, status=ProcessStatus.TERMINATED, last_seq=1)
    verdict = Change(kind=ChangeKind.VERDICT, before=rest, after=after, entries=(told,), decision=decision(rest, evidence=FrozenDict(TYPES), status_after=None))
    assert store.apply(verdict).outcome is Outcome.APPLIED
    return stored(store, rest)


def stored(store: Store, subject: Process) -> Process:
    found = store.load(subject.id)
    assert found is not None
    return found


# -- there and back ---------------------------------------------------------------------------------------


def exported(store: Store, filter: ProcessFilter = EVERYTHING) -> tuple[bytes, TransferReport]:
    out = io.BytesIO()
    report = Export(store.dialect, filter=filter, progress=ignored).write(out, program="1.2.3")
    return out.getvalue(), report


_tokens = count(10**6)  #: never the same twice: an import knows by them what it has written itself


def imported(store: Store, data: bytes, **options: Any) -> TransferReport:
    given = {"new_token": _tokens.__next__, "check_scheme": believed, "limits": LIMITS, "skip_existing": False, "dry_run": False}
    return Import(store.dialect, **{**given, "progress": ignored, **options}).read(io.BytesIO(data))


def ignored(_what: str, _done: int, _of: int) -> None: ...


def believed(_key: SchemeKey, _text: str, _format: str) -> None: ...


# -- files that somebody has changed ----------------------------------------------------------------------


def rewritten(data: bytes, change: Callable[[list[dict[str, Any]]], None]) -> bytes:
    """The lines of an export after ``change``, with counts and digest as if they had been written so."""
    lines = [json.loads(line) for line in data.splitlines()]
    change(lines)
    end = lines.pop()
    raw = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    kinds = [line.get("kind") for line in lines]
    end |= {"schemes": kinds.count("scheme"), "processes": kinds.count("process"), "sha256": hashlib.sha256(raw).hexdigest()}
    return raw + json.dumps(end).encode() + b"\n"
