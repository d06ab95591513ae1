"""What callers hand in, checked at the edge: ids, revisions, people, texts. ParameterError says what was wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from datetime import datetime, timedelta
from itertools import repeat
from typing import Any
from uuid import UUID, uuid4

from workflow_runtime.core import keys
from workflow_runtime.core.operating import Order
from workflow_runtime.core.values import INT_RANGE, quoted
from workflow_runtime.errors import ParameterError

LONGEST_IDENTITY = 200
LONGEST_REASON = 2_000
LARGEST_BATCH = 10_000


def process_id(value: object) -> UUID:
    """A UUID or its text in any case."""
    if isinstance(value, UUID):
        return value
    if isinstance(value, str) and len(value) == 36:
        try:
            return UUID(value)
        except ValueError:
            pass
    raise ParameterError(f"{quoted(value)} is no process id; expected a UUID", code="bad_id")


def revision(value: object) -> int | None:
    if value is None or (type(value) is int and value > 0 and value in INT_RANGE):
        return value
    raise ParameterError(f"{quoted(value)} is no revision; expected a positive integer", code="bad_revision")


def identity(value: object) -> str | None:
    """A text that names somebody."""
    if value is None:
        return None
    return _text(value, "an identity", "bad_identity", LONGEST_IDENTITY)


def name(value: object, what: str) -> str:
    return _text(value, what, "bad_name", 200)


def key(value: object) -> str | None:
    """An idempotency key."""
    return None if value is None else keys.checked(value)


def values(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ParameterError(f"{quoted(value)} are no parameters; expected a mapping of names to values", code="type_error")
    return value


def instances(value: object) -> tuple[Iterable[object], int]:
    """The parameters of many, and how many they are; 0: not known."""
    if type(value) is int and value in INT_RANGE and value >= 0:
        return repeat(None, value), value
    if isinstance(value, Iterable) and not isinstance(value, Mapping | str | bytes):
        return value, len(value) if isinstance(value, Sized) else 0
    raise ParameterError(f"{quoted(value)} says not how many; expected a number, or the parameters of each: a mapping or None", code="type_error")


def process_ids(values: Iterable[object] | None) -> Iterator[UUID]:
    """One for each of many."""
    yield from map(process_id, values) if values is not None else iter(uuid4, None)
    raise ParameterError("there are fewer ids than processes; expected one for each", code="bad_id")


def batch(value: object) -> int:
    if type(value) is int and 1 <= value <= LARGEST_BATCH:
        return value
    raise ParameterError(f"{quoted(value)} is no size of a batch; expected 1 to {LARGEST_BATCH}", code="bad_batch")


def order(verb: str, actor: object, reason: object) -> Order:
    """Actor and reason of an operator's verb; both are required, because history must be able to tell."""
    return Order(verb, _text(actor, "the actor", "bad_identity", LONGEST_IDENTITY), _text(reason, "the reason", "bad_reason", LONGEST_REASON))


def moment(value: object, now: datetime) -> datetime:
    """An aware datetime, or a timedelta from now."""
    try:
        if isinstance(value, timedelta):
            return now + value
        if isinstance(value, datetime) and value.utcoffset() is not None:
            return value
    except OverflowError:
        pass
    raise ParameterError(f"{quoted(value)} is no due time; expected an aware datetime or a timedelta", code="bad_time")


def _text(value: object, what: str, code: str, longest: int) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > longest or not value.isprintable():
        raise ParameterError(f"{quoted(value)} cannot be {what}; expected a text of 1 to {longest} printable characters", code=code)
    return value
