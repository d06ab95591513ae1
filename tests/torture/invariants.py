"""What must hold after a run, whatever was killed, stopped and cut off: the evidence is compared, the engine is not asked.

=====  ==================================================================================================================
name   holds
=====  ==================================================================================================================
I1     nothing lost: each answered creation is there once and at rest, or has a tombstone
I2     history is a path of the scheme: no gap, each row begins where the one before ended, nothing leaves a final activity
I3     a step is journaled once; the actions of a walk in the order of the scheme, in the transaction of its guarded write
I4     a journaled step is not started again by whoever has the process then
I5     one place, one key, one effect; each effect is journaled, or its walk broke off
I6     who has not the process does not write it; tokens never fall, revisions count, nobody claims after its death
I7     one key, one request: its senders are told the same, it took its transition at most once, and history names it
I8     a timer fires once per time it was armed, never before it is due, and is there while its activity is current
I9     recovery is bounded: deaths are capped, poison ends Terminated, each decision stands in history, owned = decided
I10    what clients were told of a process, and when, fits one order of events (linearizing.py)
I11    trouble stays where it is: who broke off has a cause of its own, and whose restorer answers gets its answer
I12    nothing is left over: no dead thread, no row of a server that took leave, no reserved row of a process at rest, no
       connection, no value of a process in a log
=====  ==================================================================================================================

Not checked: how long global progress may pause (I11), and how threads, descriptors and memory grow (I12): those are measures.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from evidence import DELETE, INSERT, UPDATE, HistoryWrite, JournalWrite, Place, ProcessWrite, Run, Standing, by_process
from told import in_one_order, once_per_key
from violations import Check, Violation

RUNNING, FINALIZED, TERMINATED, ERROR = 1, 3, 4, 5
COMMITTED = 250_000  #: microseconds in which a commit that was begun is seen by all
MOVED, DELETED = "moved", "deleted"
RECOVERY = ("recovered", "cancelled", DELETED)
BROKEN_OFF = ("failed", "recovered", "cancelled", DELETED)
#: what the restorer of a policy decides
ANSWERS = {"resume": "resume", "delete": "delete", "rerun": "run_from_current_activity", "jump": "run_from_new_activity", "default": "default"}
#: restorers that answer nothing: then the status rule decides, with the cause
SILENT = ("raise", "hang", "garbage")


def check(run: Run) -> list[Violation]:
    """All violations, in the order of the table above."""
    return [violation for each in CHECKS for violation in each(run)]


# ------------------------------------------------------------------ I1, I2


def nothing_lost(run: Run) -> Iterator[Violation]:
    there = Counter(one.process for one in run.stored)
    gone = {row.process for row in run.history if row.kind == DELETED}
    for process in sorted(run.created):
        if there[process] + (process in gone) != 1:
            yield Violation("I1", process, f"it was created; {there[process]} rows and {'a' if process in gone else 'no'} tombstone are there")
    for one in run.stored:
        if one.status == RUNNING or one.owner is not None:
            yield Violation("I1", one.process, f"still Running, owner {one.owner}")
        if one.overdue:
            yield Violation("I1", one.process, f"the timers {sorted(one.overdue)} are overdue and nobody fires them")
    decided = {row.process for row in run.decisions if row.decision == "delete"}
    for process in sorted(gone - decided):
        yield Violation("I1", process, "deleted without a decision")


def history_is_a_path(run: Run) -> Iterator[Violation]:
    ends = {one.process: one.activity for one in run.stored}
    for process, rows in by_process(run.history).items():
        yield from _rows_in_order(process, rows)
        stands = ""
        for row in (row for row in rows if row.kind == MOVED):
            if row.source != stands:
                yield Violation("I2", process, f"row {row.number} leaves {row.source!r}, but it stood at {stands!r}")
            yield from _edge(run, row)
            stands = row.target
        if process in ends and ends[process] != stands:
            yield Violation("I2", process, f"it stands at {ends[process]!r}, history ends at {stands!r}")


def _rows_in_order(process: str, rows: list[HistoryWrite]) -> Iterator[Violation]:
    if any(row.operation != INSERT for row in rows):
        yield Violation("I2", process, "a row of history was changed")
    if [row.number for row in rows] != list(range(1, len(rows) + 1)):
        yield Violation("I2", process, f"the rows are numbered {[row.number for row in rows]}")
    for row in rows:
        if row.dated > row.at + COMMITTED:
            yield Violation("I2", process, f"row {row.number} is dated {row.dated - row.at} microseconds after it was written")


def _edge(run: Run, row: HistoryWrite) -> Iterator[Violation]:
    kind, name = row.trigger
    if kind in ("Command", "Timer", "Auto"):
        if not any((e.name, e.source, e.target, e.trigger) == (row.transition, row.source, row.target, (kind, name)) for e in run.plan.edges):
            yield Violation("I2", row.process, f"row {row.number}: no transition {row.source} -> {row.target} by {kind} {name} in the scheme")
        if row.source in run.plan.finals:
            yield Violation("I2", row.process, f"row {row.number} leaves the final activity {row.source} by {kind} {name}")
    elif row.target not in run.plan.activities:
        yield Violation("I2", row.process, f"row {row.number} leads to {row.target!r}, which the scheme does not have")
    elif kind == "Initializing" and (row.source, row.target) != ("", run.plan.initial):
        yield Violation("I2", row.process, f"row {row.number} begins at {row.target!r}")


# ------------------------------------------------------------------ I3, I4, I5


def journaled_once(run: Run) -> Iterator[Violation]:
    written = {(row.process, row.transaction) for row in run.processes if row.operation == INSERT or _guarded(row)}
    for process, rows in by_process(row for row in run.journal if row.operation == INSERT).items():
        for place, times in Counter(row.place for row in rows).items():
            if times > 1:
                yield Violation("I3", process, f"{place} was journaled {times} times")
        actions: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            if not row.place.step:
                actions[row.place.walk].append(row.rank)
            if (process, row.transaction) not in written:
                yield Violation("I3", process, f"{row.place} was journaled outside of a guarded write")
        for walk, indexes in actions.items():
            if indexes != sorted(set(indexes)):
                yield Violation("I3", process, f"the actions of walk {walk} were journaled in the order {indexes}")
    for row in run.journal:
        if row.operation == UPDATE:
            yield Violation("I3", row.process, f"the journal row of {row.place} was changed")


def journaled_is_not_started_again(run: Run) -> Iterator[Violation]:
    journaled = {row.place: row.at for row in run.journal if row.operation == INSERT}
    timeline = {process: Timeline(writes) for process, writes in by_process(run.processes).items()}
    for arrival in run.arrivals:
        if arrival.at <= journaled.get(arrival.place, arrival.at):
            continue
        if arrival.process in timeline and timeline[arrival.process].token(arrival.at) == arrival.token:
            late = arrival.at - journaled[arrival.place]
            yield Violation("I4", arrival.process, f"{arrival.place} was sent by {arrival.server}, which had it, {late} microseconds after its journal row")


class Timeline:
    """Which token a process had when."""

    def __init__(self, writes: list[ProcessWrite]) -> None:
        self._at = [write.at for write in writes]
        self._tokens = [write.after.token if write.after else None for write in writes]

    def token(self, at: int) -> int | None:
        index = bisect_right(self._at, at)
        return self._tokens[index - 1] if index else None


def effect_once(run: Run) -> Iterator[Violation]:
    for key, times in Counter(effect.key for effect in run.effects).items():
        if times > 1:
            yield Violation("I5", "", f"the key {key} was applied {times} times")
    applied = {effect.key for effect in run.effects}
    keys: dict[Place, set[str]] = defaultdict(set)
    places: dict[str, set[Place]] = defaultdict(set)
    processes: dict[Place, str] = {}
    for arrival in run.arrivals:
        keys[arrival.place].add(arrival.key)
        places[arrival.key].add(arrival.place)
        processes[arrival.place] = arrival.process
    for place, found in keys.items():
        if len(found) > 1:
            yield Violation("I5", processes[place], f"{place} was sent with the keys {sorted(found)}")
    for key, meant in places.items():
        if len(meant) > 1:
            yield Violation("I5", processes[next(iter(meant))], f"the key {key} means {sorted(meant)}")
    done = {place for place, found in keys.items() if found & applied}
    yield from _journaled_is_applied(run, done)
    yield from _applied_is_journaled(run, done, processes)


def _journaled_is_applied(run: Run, done: set[Place]) -> Iterator[Violation]:
    for row in run.journal:
        if row.operation == INSERT and (row.place.action, row.place.step) in run.plan.sends and row.place not in done:
            yield Violation("I5", row.process, f"{row.place} is journaled and was never applied")


def _applied_is_journaled(run: Run, done: set[Place], processes: dict[Place, str]) -> Iterator[Violation]:
    """A walk that arrived has journaled all it did; of one that did not, history tells that the process broke off."""
    journaled = {row.place for row in run.journal if row.operation == INSERT}
    arrived = {row.walk for row in run.history if row.kind == MOVED}
    broken = {row.process for row in run.history if row.kind in BROKEN_OFF}
    for place in sorted(done - journaled):
        if place.walk in arrived or processes[place] not in broken:
            yield Violation("I5", processes[place], f"{place} was applied, is not journaled, and its walk did not break off")


# ------------------------------------------------------------------ I6


def who_has_it_not_writes_it_not(run: Run) -> Iterator[Violation]:
    names, ends = run.writers(), run.ends()
    for process, writes in by_process(run.processes).items():
        for earlier, later in pairwise(writes):
            if later.operation != INSERT and later.before != earlier.after:
                yield Violation("I6", process, f"the audit has a gap before write {later.seq}")
        for write in writes:
            if write.before is not None and _guarded(write):
                yield from (Violation("I6", process, f"write {write.seq} by {write.writer}: {text}") for text in _guard(write, names, ends))
            elif write.before is not None and write.after is not None and write.before != write.after:
                yield Violation("I6", process, f"write {write.seq} by {write.writer} changed more than a stranger may, without a new revision")
    yield from _followers(run, names)


def _guarded(write: ProcessWrite) -> bool:
    """What strangers may write leaves the revision as it is."""
    return write.after is None or (write.before is not None and write.after.revision != write.before.revision)


def _guard(write: ProcessWrite, names: dict[str, str], ends: dict[str, int]) -> Iterator[str]:
    before, after = write.before, write.after
    assert before is not None
    if after is not None:
        if after.token < before.token:
            yield f"the token fell from {before.token} to {after.token}"
        if after.revision != before.revision + 1:
            yield f"the revision went from {before.revision} to {after.revision}"
        if after.owner != before.owner and after.owner is not None:
            yield from _claim(write, before, after, names, ends)
    if before.owner is not None and write.writer != names.get(before.owner):
        yield from _takeover(before, after, write, ends)


def _claim(write: ProcessWrite, before: Standing, after: Standing, names: dict[str, str], ends: dict[str, int]) -> Iterator[str]:
    assert after.owner is not None
    if after.token == before.token:
        yield "it was claimed without a new token"
    if names.get(after.owner) != write.writer:
        yield f"it was claimed for {after.owner}, which is {names.get(after.owner)}"
    ended = ends.get(after.owner)
    if ended is not None and write.begun > ended + COMMITTED:
        yield f"{after.owner} claimed {write.begun - ended} microseconds after its end"


def _takeover(before: Standing, after: Standing | None, write: ProcessWrite, ends: dict[str, int]) -> Iterator[str]:
    """By another than its owner: the owner has ended, and with the token it had nothing more can be written."""
    assert before.owner is not None
    if before.owner not in ends or ends[before.owner] > write.at:
        yield f"{before.owner} has it and lives"
    if after is not None and after.token == before.token:
        yield "it was taken over without a new token"


def _followers(run: Run, names: dict[str, str]) -> Iterator[Violation]:
    """Rows of history and journal come with a guarded write, from who had the process."""
    written = {(row.process, row.transaction): row for row in run.processes if row.operation == INSERT or _guarded(row)}
    followers: list[HistoryWrite | JournalWrite] = [*run.history, *run.journal]
    for row in followers:
        if row.operation != INSERT:
            continue
        write = written.get((row.process, row.transaction))
        if write is None:
            yield Violation("I6", row.process, f"row {row.seq} by {row.writer} was written without a guarded write of the process")
        elif row.owner is not None and names.get(row.owner) != row.writer:
            yield Violation("I6", row.process, f"row {row.seq} was written by {row.writer} while {names.get(row.owner)} had the process")


# ------------------------------------------------------------------ I8


def timers(run: Run) -> Iterator[Violation]:
    claims = _timer_claims(run)
    for process, rows in by_process(row for row in run.timers if row.kind == "timer").items():
        removed = {(row.transaction, row.name): row for row in rows if row.operation != INSERT}
        armed = Counter(row.name for row in rows if row.operation == INSERT or (row.operation == UPDATE and row.due_before != row.due_after))
        for (transaction, name), at in claims.get(process, {}).items():
            row = removed.get((transaction, name))
            if row is None:
                yield Violation("I8", process, f"timer {name!r} was claimed in transaction {transaction}, its row stayed")
            elif row.due_before is not None and at < row.due_before:
                yield Violation("I8", process, f"timer {name!r} fired {row.due_before - at} microseconds early")
        fired = Counter(name for _, name in claims.get(process, {}))
        for name, times in fired.items():
            if times > armed[name]:
                yield Violation("I8", process, f"timer {name!r} was armed {armed[name]} times and fired {times} times")
    for process in claims.keys() - {row.process for row in run.timers}:
        yield Violation("I8", process, "a timer fired that was never armed")
    for one in run.stored:
        if one.status not in (RUNNING, FINALIZED, TERMINATED):
            for name in sorted(run.plan.timers_of(one.activity) - one.timers):
                yield Violation("I8", one.process, f"it rests at {one.activity!r} and the timer {name!r} is not set")


def _timer_claims(run: Run) -> dict[str, dict[tuple[int, str], int]]:
    """Process -> (transaction, timer) of each walk that a timer began -> when."""
    found: dict[str, dict[tuple[int, str], int]] = defaultdict(dict)
    for write in run.processes:
        before, after = write.before, write.after
        if before is not None and after is not None and after.trigger[0] == "Timer" and before.owner is None and after.walk != before.walk:
            found[write.process][write.transaction, after.trigger[1]] = write.at
    begun = {(write.process, write.after.walk) for write in run.processes if write.after is not None}
    for entry in run.history:
        if entry.kind == MOVED and entry.trigger[0] == "Timer" and (entry.process, entry.walk) not in begun:  # the walk had no actions
            found[entry.process][entry.transaction, entry.trigger[1]] = entry.at
    return found


# ------------------------------------------------------------------ I9


def recovery_is_bounded(run: Run) -> Iterator[Violation]:
    for write in run.processes:
        if write.after is not None and write.after.deaths > run.most_deaths:
            yield Violation("I9", write.process, f"sent back to work after {write.after.deaths} deaths in a row")
    yield from _poison(run)
    told = {(row.process, row.transaction) for row in run.history if row.kind in RECOVERY}
    decided = {(row.process, row.transaction) for row in run.decisions}
    for process, _ in sorted(decided - told):
        yield Violation("I9", process, "a decision without its row of history in the same transaction")
    for entry in run.history:
        if entry.kind == "recovered" and (entry.process, entry.transaction) not in decided:
            yield Violation("I9", entry.process, f"row {entry.number} tells of a decision that is not recorded with it")
    for decision in run.decisions:
        if not decision.reason:
            yield Violation("I9", decision.process, f"the decision {decision.decision} by {decision.decided_by} has no reason")
        if run.policies.get(decision.process) in SILENT and (decision.decision != "default" or not (decision.error or decision.decided_by == "poison")):
            yield Violation("I9", decision.process, f"its restorer gave no answer, and the decision is {decision.decision} ({decision.error!r})")
    yield from _passes(run)


def _poison(run: Run) -> Iterator[Violation]:
    status = {one.process: one.status for one in run.stored}
    for process, policy in run.policies.items():
        by = [row.decided_by for row in run.decisions if row.process == process]
        if policy == "poison" and process in status and (status[process] != TERMINATED or "poison" not in by):
            yield Violation("I9", process, f"poison ended with status {status[process]}, decided by {by}")


def _passes(run: Run) -> Iterator[Violation]:
    decided = Counter(row.recovery for row in run.decisions)
    for one in run.passes:
        left = one.owned - one.decided - one.skipped
        if one.ended and (left < 0 or (left > 0 and not run.lost_connections)):
            yield Violation("I9", "", f"pass {one.id[:8]}: {one.owned} owned, {one.decided} decided, {one.skipped} skipped")
        if one.ended and one.decided != decided[one.id]:
            yield Violation("I9", "", f"pass {one.id[:8]} says {one.decided} decided, {decided[one.id]} decisions are there")


# ------------------------------------------------------------------ I11, I12


def trouble_stays_where_it_is(run: Run) -> Iterator[Violation]:
    caused = {row.process for row in run.history if row.kind in (*BROKEN_OFF, "timer_missed")}
    for one in run.stored:
        if one.status in (TERMINATED, ERROR) and one.process not in caused:
            yield Violation("I11", one.process, f"it stands with status {one.status} at {one.activity!r}, and its history knows no cause")
    for decision in run.decisions:
        expected = ANSWERS.get(run.policies.get(decision.process, ""))
        if expected is None:
            continue
        if decision.decided_by == "ByPolicy" and decision.decision != expected:
            yield Violation("I11", decision.process, f"its restorer decides {expected}, and {decision.decision} was done")
        if decision.error.startswith("restorer ") and "no answer within" not in decision.error:
            yield Violation("I11", decision.process, f"its restorer answers, and the decision tells {decision.error!r}")


def nothing_is_left_over(run: Run) -> Iterator[Violation]:
    for text in run.unhandled:
        yield Violation("I12", "", text)
    gone = {write.id for write in run.servers if write.operation == DELETE}
    names = run.writers()
    for event in run.happened("left"):
        mine = [incarnation for incarnation, name in names.items() if name == event.facts["server"]]
        if mine and not gone.intersection(mine):
            yield Violation("I12", "", f"{event.facts['server']} took leave, and its row is there")
    for one in run.stored:
        reserved = sorted(name for name in one.timers if name.startswith("("))
        if one.status != RUNNING and reserved:
            yield Violation("I12", one.process, f"it rests, and its rows {reserved} are left")
    for name in run.leaks:
        yield Violation("I12", "", f"a value of a process stands in {name}")
    for text in run.connections:
        yield Violation("I12", "", f"a connection is left: {text}")


CHECKS: tuple[Check, ...] = (
    nothing_lost,
    history_is_a_path,
    journaled_once,
    journaled_is_not_started_again,
    effect_once,
    who_has_it_not_writes_it_not,
    once_per_key,
    timers,
    recovery_is_bounded,
    in_one_order,
    trouble_stays_where_it_is,
    nothing_is_left_over,
)
