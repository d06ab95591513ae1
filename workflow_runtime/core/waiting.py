"""A failed attempt that is not the last, and the wait for the next one; the wait of a new process for any server.

Law: a process that waits is Running and nobody's, with the walk written and one reserved row that brings it back; any
server takes it up. It is no orphan, and operators treat it as at rest.

=========  ============================  =====================================================================
rule       when                          what becomes true
=========  ============================  =====================================================================
attempted  an attempt raised             it is counted in the walk, the cause stands in history and last_error
ignored    ... and a handler ignores it  the cause stands there all the same
wait       ... and the next is far off   nobody's, token + 1, waiting_until, the row ``retry`` due then
postpone   too many actions run that     the same; the deadline of its actions begins anew with the next attempt
           were given up
release    the server shuts down         the same with a row that is due now
queue      it is created by somebody     born nobody's, the row ``start`` due now
           who does not drive it
take_up    the row is due                mine, token + 1, the row gone
=========  ============================  =====================================================================
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from workflow_runtime.core import entries
from workflow_runtime.core.attempts import Attempts
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.process import Change, ChangeKind, EntryKind, ErrorInfo, Process, Timer, TimerKind, Walk


def attempted(process: Process, attempts: tuple[Attempts, ...], error: ErrorInfo, reason: str, *, server: str | None, now: datetime) -> Change:
    """``reason`` says what follows. Told with whatever is committed next; where that never comes, it was the attempt of a server that died."""
    assert process.walk is not None
    after = evolve(process, walk=evolve(process.walk, attempts=attempts), last_error=error, updated_at=now)
    entry = entries.note(after, EntryKind.RETRY, server=server, now=now, error=error, actor=process.walk.actor, reason=reason, walk=process.walk)
    return Change(kind=ChangeKind.WAIT, before=process, after=evolve(after, last_seq=entry.seq), entries=(entry,))


def ignored(process: Process, error: ErrorInfo, reason: str, *, server: str | None, now: datetime) -> Change:
    """An exception handler lets the walk go on as if the action had done its work; committed with its journal row."""
    after = evolve(process, last_error=error, updated_at=now)
    entry = entries.note(after, EntryKind.FAILED, server=server, now=now, error=error, reason=reason)
    return Change(kind=ChangeKind.JOURNAL, before=process, after=evolve(after, last_seq=entry.seq), entries=(entry,))


def wait(process: Process, until: datetime, *, now: datetime) -> Change:
    """No thread is held meanwhile."""
    return _left(process, ChangeKind.WAIT, until, now, process.walk)


def postpone(process: Process, until: datetime, *, now: datetime) -> Change:
    """Handed back before an action that may have to be given up: until there is room for one more, here or on another server."""
    assert process.walk is not None
    return _left(process, ChangeKind.WAIT, until, now, evolve(process.walk, deadline=None))


def release(process: Process, *, now: datetime) -> Change:
    """Handed back between two steps by a server that shuts down: any server takes it up at once, nothing is counted."""
    return _left(process, ChangeKind.RELEASE, now, now, process.walk)


def queue(born: Change) -> Change:
    """The same creation, left to any server."""
    assert born.after is not None
    row = Timer(name=TimerKind.START, kind=TimerKind.START, due=born.after.created_at)
    return replace(born, after=evolve(born.after, owner=None), arm=(row,))


def _left(process: Process, kind: ChangeKind, until: datetime, now: datetime, walk: Walk | None) -> Change:
    after = evolve(process, owner=None, token=process.token + 1, walk=walk, waiting_until=until, updated_at=now)
    row = Timer(name=TimerKind.RETRY, kind=TimerKind.RETRY, due=until)
    return Change(kind=kind, before=process, after=after, arm=(row,))


def take_up(process: Process, *, owner: str, now: datetime) -> Change:
    """A waiting process becomes mine and its reserved row goes."""
    after = evolve(process, owner=owner, token=process.token + 1, waiting_until=None, updated_at=now)
    return Change(kind=ChangeKind.CLAIM, before=process, after=after, release=True)
