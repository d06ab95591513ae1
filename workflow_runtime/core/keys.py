"""Idempotency keys: a request that is sent again gets the answer of the first, and has no second effect.

Law: a key belongs to one request in one scope. The row of a key is written with the first commit of the run and
settled by whichever transaction ends it; the first settled answer is final.

==================  =================================================================================
request             scope of its key
==================  =================================================================================
a creation          the tenant, ``""`` where there is none
a command           the id of the process
==================  =================================================================================

===========================================  ========================================================
what the request met                         what is stored
===========================================  ========================================================
it was executed                              how the run ended, an error of the run too
a definite no: not executed, ParameterError, that no, at once
CommandNotAllowed
anything that passes (ProcessBusy,           nothing: the same key may be sent again
StaleRevision, StoreUnavailable ...)
===========================================  ========================================================
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from uuid import UUID

from workflow_runtime import errors
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.values import decode, digest, encode, quoted
from workflow_runtime.errors import CommandNotAllowed, ExecutionError, ParameterError, WorkflowError

LONGEST_KEY = 255  #: bytes in UTF-8
LONGEST_WAIT = 86_400  #: seconds
LONGEST_TEXT = 2_000  #: characters of a message or a reason that are stored

CREATE, COMMAND = "create", "command"  #: the verbs that take a key

_DEFINITE = (ParameterError, CommandNotAllowed)
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})  #: categories of characters: control characters, halves of pairs, line breaks


class Key(NamedTuple):
    """The key of one request; ``digest`` tells requests that share it apart."""

    scope: str
    name: str
    digest: str


def checked(name: object) -> str:
    """A key as a caller gives it. ParameterError ``bad_key``."""
    if not isinstance(name, str) or not name or any(unicodedata.category(sign) in _UNFIT for sign in name) or len(name.encode()) > LONGEST_KEY:
        text = f"{quoted(name)} cannot be an idempotency key; expected a text of 1 to {LONGEST_KEY} bytes without control characters"
        raise ParameterError(text, code="bad_key")
    return name


def checked_wait(seconds: object) -> float:
    """How long a caller waits for an answer. ParameterError ``bad_wait``."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_WAIT:
        raise ParameterError(f"{quoted(seconds)} is no time to wait; expected seconds from 0 to {LONGEST_WAIT}", code="bad_wait")
    return float(seconds)


def of_creation(name: str, tenant_id: str | None, scheme_code: str, given: Mapping[str, Any], people: tuple[str | None, str | None]) -> Key:
    """``people``: identity and impersonated identity. ParameterError where the values cannot be stored."""
    return _key(tenant_id or "", name, CREATE, scheme_code, given, people)


def of_command(name: str, process_id: UUID, command: str, given: Mapping[str, Any], people: tuple[str | None, str | None]) -> Key:
    """``people``: identity and impersonated identity. ParameterError where the values cannot be stored."""
    return _key(str(process_id), name, COMMAND, command, given, people)


def _key(scope: str, name: str, verb: str, subject: str, given: Mapping[str, Any], people: tuple[str | None, str | None]) -> Key:
    return Key(scope, name, digest([verb, subject, dict(given), *people]))


# ------------------------------------------------------------------ answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is final about a request. Of an open one it holds the process only.

    Where the process stood when the run ended is told by ``status``, ``activity`` and ``revision``; it may have moved since.
    """

    process_id: UUID | None = None
    executed: bool = False
    reason: str = ""  #: why not, or why the run ended as it did
    status: str = ""
    activity: str = ""
    revision: int = 0
    deleted: bool = False  #: the process went while its run was under way
    error: str = ""  #: the name of the error that the caller got
    message: str = ""
    nouns: FrozenDict[str, Any] = EMPTY  #: those of the error that can be stored


class Row(NamedTuple):
    """What is stored for a key."""

    digest: str
    is_settled: bool
    answer: Answer


def to_text(answer: Answer) -> str:
    """JSON of ``core.values``, without what holds its default."""
    found = {name: value for name in _NAMES if (value := getattr(answer, name)) != _DEFAULTS[name]}
    return encode({name: _FORMS[name](value) if name in _FORMS else value for name, value in found.items()})


def of_text(text: str | None) -> Answer:
    """ParameterError ``unreadable`` for what is no answer. Fields of a newer version are left out."""
    found = decode(text or "{}")
    if not isinstance(found, dict) or not isinstance(found.get("nouns", {}), dict):
        raise ParameterError(f"the stored answer {quoted(text)} cannot be read", code="unreadable")
    known = {name: found[name] for name in _NAMES if name in found}
    return Answer(**{**known, "nouns": FrozenDict(found.get("nouns", {}))})


_NAMES = tuple(field.name for field in fields(Answer))
_DEFAULTS = {field.name: field.default for field in fields(Answer)}


def is_definite(error: WorkflowError) -> bool:
    """Whether this refusal stays as it is, however often the request is repeated."""
    return isinstance(error, _DEFINITE)


def not_executed(process_id: UUID, reason: str) -> Answer:
    return Answer(process_id=process_id, reason=reason)


def failed(error: BaseException) -> Answer:
    """An error as its duplicates get it. What is none of ours comes as an ExecutionError that names it."""
    if not isinstance(error, WorkflowError):
        return Answer(error=ExecutionError.__name__, message=f"the process broke off: {type(error).__name__}: {_said(error)}")
    nouns = {name: value for name, value in error.nouns.items() if _is_storable(value)}
    return Answer(error=error.name, message=error.message, nouns=FrozenDict(nouns))


def error_of(answer: Answer) -> WorkflowError:
    """The error that the first caller got, or one of the root where this version does not know it."""
    kind = getattr(errors, answer.error, None) if answer.error in errors.__all__ else None
    known = kind if isinstance(kind, type) and issubclass(kind, WorkflowError) else WorkflowError
    return known(answer.message, **answer.nouns)


def _is_storable(value: Any) -> bool:
    try:
        encode(value)
    except ParameterError:
        return False
    return True


def _cut(text: str) -> str:
    """Texts come from users' code: of a character that no database takes a mark stays."""
    return text[:LONGEST_TEXT].replace("\0", "�").encode("utf-8", "replace").decode()


_FORMS: Mapping[str, Callable[[Any], Any]] = {"nouns": dict, "reason": _cut, "message": _cut}


def _said(error: BaseException) -> str:
    """A foreign ``__str__`` must not hide the error."""
    try:
        return str(error)
    except Exception:
        return "it cannot be shown"
