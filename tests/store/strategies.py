"""Any process, walk, history entry ...: every field with any value that the types allow."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import strategies as st

from workflow_runtime.core.attempts import Attempts
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.keys import Key
from workflow_runtime.core.process import CancelRequest, EntryKind, ErrorInfo, HistoryEntry, JournalEntry, Process, ProcessStatus, Trigger, TriggerKind, Walk
from workflow_runtime.core.scheme_words import Classifier

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)  #: U+0000 is refused by PostgreSQL
ANY_TEXT = st.text(st.characters(), max_size=20)  #: of an exception: lone surrogates and U+0000 too
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), timezones=st.just(UTC))
COUNTS = st.integers(0, 2**31 - 1)
BIG = st.integers(0, 2**63 - 2)
IDS = st.uuids()
KEYS = st.text("0123456789abcdef", min_size=1, max_size=36)

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXT, MOMENTS)
SCALARS |= st.one_of(st.decimals(allow_nan=False, allow_infinity=False, places=3), IDS, st.binary(max_size=8))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3), max_leaves=6
)
PARAMETERS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=8), VALUES, max_size=4).map(FrozenDict)

TRIGGERS = st.builds(Trigger, st.sampled_from(TriggerKind), TEXT)
STATUSES = st.sampled_from(ProcessStatus)


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


ERRORS = st.builds(ErrorInfo, type=ANY_TEXT, message=ANY_TEXT, traceback=ANY_TEXT, activity=ANY_TEXT, action=ANY_TEXT)
CANCELS = st.builds(CancelRequest, ANY_TEXT, ANY_TEXT)
WALKS = st.builds(
    Walk,
    id=KEYS,
    activity=ANY_TEXT,
    trigger=TRIGGERS,
    run=TRIGGERS,
    started_at=MOMENTS,
    transition=ANY_TEXT,
    identity=maybe(ANY_TEXT),
    impersonated_identity=maybe(ANY_TEXT),
    inputs=PARAMETERS,
    temporary=PARAMETERS,
    step=COUNTS,
    tries=COUNTS,
    in_doubt=st.booleans(),
    attempts=st.lists(st.builds(Attempts, COUNTS, COUNTS, MOMENTS), max_size=2).map(tuple),
    deadline=maybe(MOMENTS),
    timeouts=COUNTS,
    automatic=COUNTS,
    due=maybe(MOMENTS),
    actor=maybe(ANY_TEXT),
    reason=maybe(ANY_TEXT),
    key=maybe(st.builds(Key, TEXT, TEXT, KEYS)),  # it stands in columns too
)
PROCESSES = st.builds(
    Process,
    id=IDS,
    scheme_code=TEXT,
    scheme_version=KEYS,
    activity=TEXT,
    state=TEXT,
    status=STATUSES,
    previous_activity=TEXT,
    previous_state=TEXT,
    previous_activity_for_direct=TEXT,
    previous_state_for_direct=TEXT,
    previous_activity_for_reverse=TEXT,
    previous_state_for_reverse=TEXT,
    parameters=PARAMETERS,
    parent_id=maybe(IDS),
    root_id=IDS,
    tenant_id=maybe(TEXT),
    created_at=MOMENTS,
    updated_at=MOMENTS,
    status_since=MOMENTS,
    activity_since=MOMENTS,
    revision=st.just(1),
    waiting_until=maybe(MOMENTS),
    last_error=maybe(ERRORS),
    owner=maybe(KEYS),
    token=BIG,
    deaths=COUNTS,
    deaths_step=TEXT,
    adoptions=COUNTS,
    cancel_requested=maybe(CANCELS),
    children_open=COUNTS,
    last_seq=BIG,
    walk=maybe(WALKS),
    scheme=st.none(),
)


def entries(process_id: UUID) -> st.SearchStrategy[HistoryEntry]:
    return st.builds(
        HistoryEntry,
        process_id=st.just(process_id),
        seq=st.integers(1, 2**63 - 1),
        kind=st.sampled_from(EntryKind),
        at=MOMENTS,
        from_activity=TEXT,
        to_activity=TEXT,
        from_state=TEXT,
        to_state=TEXT,
        status=STATUSES,
        trigger=TRIGGERS,
        transition=TEXT,
        classifier=st.sampled_from(Classifier),
        identity=maybe(TEXT),
        impersonated_identity=maybe(TEXT),
        actor=maybe(TEXT),
        reason=maybe(TEXT),
        walk_id=KEYS,
        server=maybe(KEYS),
        started_at=maybe(MOMENTS),
        is_final=st.booleans(),
        error=maybe(ERRORS),
        id=st.just(0),
    )


STEPS = st.builds(
    JournalEntry,
    walk_id=st.just("w"),
    activity=TEXT,
    action=TEXT,
    index=COUNTS,
    step=TEXT,
    occurrence=COUNTS,
    digest=KEYS,
    result=TEXT,
    changes=PARAMETERS,
    intent=st.booleans(),
    at=MOMENTS,
)
