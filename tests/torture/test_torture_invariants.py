"""The checker itself: a small run that is right, and for each invariant the same run with one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from counts import Counts, count, late_sends, late_writes, takeovers
from evidence import (
    DELETE,
    INSERT,
    UPDATE,
    Arrival,
    Call,
    DecisionWrite,
    Edge,
    Effect,
    Event,
    HistoryWrite,
    JournalWrite,
    KeyRow,
    Pass,
    Place,
    Plan,
    ProcessWrite,
    Refusal,
    Run,
    ServerWrite,
    Standing,
    Stored,
    TimerWrite,
    Told,
)
from invariants import CHECKS, check

P, OTHER = "process", "other process"
A, B, DEAD = "incarnation a", "incarnation b", "incarnation of the dead"
NAMES = {A: "server a", B: "server b", DEAD: "server d"}
RUNNING, IDLED, FINALIZED, TERMINATED = 1, 2, 3, 4
PLAN = Plan(
    initial="New",
    finals=frozenset({"Done"}),
    activities={"New": (), "Paid": ("Pay", "Book"), "Done": ()},
    edges=frozenset({Edge("pay", "New", "Paid", ("Timer", "soon")), Edge("end", "Paid", "Done", ("Auto", ""))}),
    sends=frozenset({("Pay", "send"), ("Book", "")}),
)
BIRTH, PAY = "walk 1", "walk 2"
CREATED = "create 1"  #: the key of the creation


class Script:
    """Writes a run down as the triggers would, one transaction after the other; ``at`` and ``seq`` count in thousands."""

    def __init__(self) -> None:
        events = [Event(0, "started", {"server": name, "pid": number}) for number, name in enumerate(NAMES.values())]
        servers = [ServerWrite(number, INSERT, one, number, False, NAMES[one], number) for number, one in enumerate(NAMES)]
        self.run = Run(plan=PLAN, events=events, servers=servers, most_deaths=2)
        self.now = 1_000_000_000
        self._standing: Standing | None = None
        self._rows = 0

    def at(self) -> int:
        self.now += 1000
        return self.now

    def process(self, writer: str, after: Standing | None) -> None:
        before, at = self._standing, self.at()
        operation = INSERT if before is None else DELETE if after is None else UPDATE
        self._standing = after
        self.run.processes.append(ProcessWrite(at, P, operation, before, after, NAMES[writer], at, at, at))

    def history(self, writer: str, kind: str, source: str, target: str, *, trigger: tuple[str, str], transition: str = "", walk: str = "") -> None:
        owner, token = (self._standing.owner, self._standing.token) if self._standing else (None, None)
        self._rows, now = self._rows + 1, self.now
        row = HistoryWrite(
            now, P, INSERT, self._rows, kind, source, target, transition, trigger, RUNNING, walk, writer, owner, token, NAMES[writer], now, now, now
        )
        self.run.history.append(row)

    def journal(self, writer: str, place: Place, rank: int) -> None:
        assert self._standing is not None
        self.run.journal.append(JournalWrite(self.now, P, INSERT, place, rank, self._standing.owner, self._standing.token, NAMES[writer], self.now, self.now))

    def timer(self, writer: str, before: int | None, after: int | None) -> None:
        operation = INSERT if before is None else DELETE if after is None else UPDATE
        self.run.timers.append(TimerWrite(self.now, P, operation, "timer", "soon", before, after, NAMES[writer], self.now, self.now))

    def sent(self, writer: str, place: Place, token: int) -> None:
        key = f"key of {place}"
        number = len(self.run.arrivals) + 1
        self.run.arrivals.append(Arrival(number, key, P, place, NAMES[writer], writer, token, self.at()))
        if key not in {effect.key for effect in self.run.effects}:
            self.run.effects.append(Effect(key, self.now))


SEND, BOOK = Place(PAY, "Paid", "Pay", "send"), Place(PAY, "Paid", "Book")


def good() -> Run:
    """A process is created by A; its timer is fired by D, which dies in the middle; B takes over, decides, and finishes."""
    script = Script()
    script.process(A, Standing(None, 7, 1, IDLED, "New"))
    script.history(A, "moved", "", "New", trigger=("Initializing", ""), walk=BIRTH)
    script.timer(A, None, script.now + 500)
    claimed = Standing(DEAD, 8, 2, RUNNING, "New", walk=PAY, trigger=("Timer", "soon"))
    script.process(DEAD, claimed)
    script.timer(DEAD, script.now - 500, None)
    script.sent(DEAD, SEND, 8)
    script.process(DEAD, claimed._replace(revision=3))
    script.journal(DEAD, SEND, 0)
    script.run.servers.append(ServerWrite(script.at(), UPDATE, DEAD, 2, True, NAMES[B], script.now))
    script.process(B, claimed._replace(owner=B, token=9, revision=4))
    decided = claimed._replace(owner=B, token=9, revision=5, deaths=1)
    script.process(B, decided)
    script.history(B, "recovered", "New", "New", trigger=("Recovery", "resume"), walk=PAY)
    script.run.decisions.append(DecisionWrite(script.now, P, "pass", "resume", "ByPolicy", "asked for", RUNNING, "", DEAD, NAMES[B], script.now, script.now))
    script.sent(DEAD, BOOK, 8)  # what the zombie had in hand goes out
    script.process(B, decided._replace(revision=6, step=1))
    script.journal(B, Place(PAY, "Paid", "Pay"), 0)
    script.sent(B, BOOK, 9)
    script.process(B, Standing(None, 9, 7, FINALIZED, "Done"))
    script.journal(B, BOOK, 1)
    script.history(B, "moved", "New", "Paid", trigger=("Timer", "soon"), transition="pay", walk=PAY)
    script.history(B, "moved", "Paid", "Done", trigger=("Auto", ""), transition="end", walk="walk 3")
    run = script.run
    run.created, run.policies = frozenset({P}), {P: "resume"}
    run.stored = [Stored(P, FINALIZED, "Done", None)]
    run.passes = [Pass("pass", 1, 1, 0, True)]
    run.history[0] = run.history[0]._replace(key=CREATED)
    run.keys = [KeyRow("", CREATED, P, True, executed=True), KeyRow(P, "close", P, True)]
    run.calls = [
        Call(P, "create", CREATED, 10, Told(20, executed=True, status="Idled", activity="New", revision=1)),
        Call(P, "create", CREATED, 15),  # its server died
        Call(P, "create", CREATED, 30, Told(40, executed=True, status="Running", activity="New", revision=4)),
        Call(P, "read", "", 35, Told(60, status="Running", activity="New", revision=3)),
        Call(P, "command", "close", 70, Told(75, error="ProcessBusy")),
        Call(P, "command", "close", 80, Told(90, status="Finalized", activity="Done", revision=7)),
        Call(P, "command", "close", 91, Told(99, replayed=True, status="Finalized", activity="Done", revision=7)),
    ]
    run.refusals = [Refusal(NAMES[DEAD], "guard", "step", P, DEAD, 8, 0), Refusal(NAMES[B], "guard", "verdict", P, DEAD, 8, 0)]
    run.events += [Event(1, "killed", {"server": NAMES[DEAD]}), Event(2, "cut", {"outcome": "landed"})]
    return run


def test_a_run_that_is_right() -> None:
    assert check(good()) == []


def edit(rows: list[Any], number: int, **changes: Any) -> None:
    rows[number] = rows[number]._replace(**changes)


def standing(run: Run, number: int, **changes: Any) -> None:
    """Another standing behind a write, and before the next one."""
    after = run.processes[number].after
    assert after is not None
    edit(run.processes, number, after=after._replace(**changes))
    if 0 <= number < len(run.processes) - 1:
        edit(run.processes, number + 1, before=after._replace(**changes))


def again(rows: list[Any], number: int, **changes: Any) -> None:
    rows.append(rows[number]._replace(**changes))


def fire_again(run: Run) -> None:
    """A second walk of the same timer, whose row was there a second time and nobody knows from where."""
    run.timers.append(run.timers[1]._replace(transaction=-2))
    run.processes.append(run.processes[1]._replace(seq=run.processes[-1].seq + 1, before=run.processes[-1].after, transaction=-2))
    standing(run, -1, walk="walk 9")


def left_over(run: Run, *, connections_lost: bool) -> None:
    """A pass that says that it owned more than it decided."""
    edit(run.passes, 0, owned=2)
    run.events[:] = [event for event in run.events if connections_lost or event.kind != "cut"]


def tell(run: Run, number: int, **changes: Any) -> None:
    """Another answer to a call."""
    told = run.calls[number].told
    assert told is not None
    edit(run.calls, number, told=told._replace(**changes))


def execute_twice(run: Run) -> None:
    edit(run.keys, 1, executed=True)
    for number in (5, 6):
        tell(run, number, executed=True, replayed=False)


def break_off_without_cause(run: Run) -> None:
    edit(run.history, 1, kind="operated")
    edit(run.stored, 0, status=TERMINATED)


#: what is wrong -> the invariant that says so, in which words, and how the run was made wrong
WRONG: dict[str, tuple[str, str, Callable[[Run], Any]]] = {
    "a created process is not there": ("I1", "0 rows and no tombstone", lambda run: run.stored.clear()),
    "a process is there twice": ("I1", "2 rows and no tombstone", lambda run: again(run.stored, 0)),
    "it is still Running": ("I1", "still Running, owner None", lambda run: edit(run.stored, 0, status=RUNNING)),
    "it is still owned": ("I1", "still Running, owner incarnation", lambda run: edit(run.stored, 0, owner=DEAD)),
    "a timer is overdue": ("I1", "are overdue", lambda run: edit(run.stored, 0, overdue=frozenset({"soon"}))),
    "deleted by nobody": ("I1", "deleted without a decision", lambda run: edit(run.history, 0, kind="deleted")),
    "a row of history is missing": ("I2", "the rows are numbered", lambda run: run.history.pop(1)),
    "a row begins elsewhere": ("I2", "but it stood at", lambda run: edit(run.history, 2, source="Done")),
    "a row takes no transition of the scheme": ("I2", "no transition Paid -> Done", lambda run: edit(run.history, 3, transition="pay")),
    "it leaves a final activity": ("I2", "leaves the final activity", lambda run: edit(run.history, 2, source="Done", target="Paid")),
    "it begins elsewhere": ("I2", "row 1 begins at", lambda run: edit(run.history, 0, target="Paid")),
    "an operator's activity is none": (
        "I2",
        "which the scheme does not have",
        lambda run: edit(run.history, 2, trigger=("Operator", "set_activity"), target="Nowhere"),
    ),
    "it stands elsewhere than history says": ("I2", "history ends at", lambda run: edit(run.stored, 0, activity="Paid")),
    "history was changed": ("I2", "a row of history was changed", lambda run: again(run.history, 0, operation=UPDATE)),
    "history is dated ahead": ("I2", "after it was written", lambda run: edit(run.history, 0, dated=run.history[0].at + 1_000_000)),
    "a step is journaled twice": ("I3", "was journaled 2 times", lambda run: again(run.journal, 0)),
    "actions out of order": ("I3", "in the order [0, -1]", lambda run: edit(run.journal, 2, rank=-1)),
    "a journal row by itself": ("I3", "outside of a guarded write", lambda run: edit(run.journal, 0, transaction=-1)),
    "a journal row was changed": ("I3", "the journal row of", lambda run: again(run.journal, 0, operation=UPDATE)),
    "a journaled step is started again": ("I4", "which had it", lambda run: again(run.arrivals, 0, at=run.processes[4].at + 1, token=9)),
    "a key is applied twice": ("I5", "was applied 2 times", lambda run: again(run.effects, 0)),
    "one place, two keys": ("I5", "was sent with the keys", lambda run: edit(run.arrivals, 1, key="another")),
    "one key, two places": ("I5", "means", lambda run: edit(run.arrivals, 2, key=run.arrivals[0].key)),
    "journaled and never applied": ("I5", "was never applied", lambda run: run.effects.pop(0)),
    "applied and not journaled": ("I5", "its walk did not break off", lambda run: run.journal.pop(0)),
    "the audit has a gap": ("I6", "the audit has a gap", lambda run: run.processes.pop(2)),
    "the token falls": ("I6", "the token fell", lambda run: standing(run, 4, token=8)),
    "a revision is left out": ("I6", "the revision went", lambda run: standing(run, 2, revision=9)),
    "a claim without a new token": ("I6", "it was claimed without a new token", lambda run: standing(run, 1, token=7)),
    "a claim for another": ("I6", "it was claimed for", lambda run: standing(run, 1, owner=B)),
    "a claim after its death": ("I6", "after its end", lambda run: edit(run.processes, 1, begun=run.servers[-1].at + 1_000_000)),
    "a write by who has it not": ("I6", "has it and lives", lambda run: edit(run.processes, 4, writer=NAMES[DEAD])),
    "a takeover from the living": ("I6", "has it and lives", lambda run: run.servers.pop()),
    "a takeover before the death": ("I6", "has it and lives", lambda run: edit(run.servers, -1, at=run.processes[3].at + 1)),
    "a takeover without a new token": ("I6", "it was taken over without a new token", lambda run: standing(run, 3, token=8)),
    "a stranger changes more than it may": ("I6", "more than a stranger may", lambda run: standing(run, 2, revision=2, token=9)),
    "a journal row by who has it not": ("I6", "while server b had the process", lambda run: edit(run.journal, 1, writer=NAMES[DEAD])),
    "a history row by itself": ("I6", "without a guarded write of the process", lambda run: edit(run.history, 1, transaction=-1)),
    "a key has two rows": ("I7", "has 2 rows", lambda run: again(run.keys, 0)),
    "a key that nobody sent": ("I7", "that nobody sent", lambda run: run.keys.append(KeyRow(P, "stray", P, True))),
    "two senders are told differently": ("I7", "were told", lambda run: tell(run, 2, error="ActionFailed", executed=False)),
    "told, and there is no row": ("I7", "and it has no row", lambda run: run.keys.pop(1)),
    "told otherwise than stored": ("I7", "stored is (True, '')", lambda run: edit(run.keys, 1, executed=True)),
    "executed for two of its senders": ("I7", "for several of its senders", lambda run: execute_twice(run)),
    "an answer is still open": ("I7", "is still open", lambda run: edit(run.keys, 0, is_settled=False)),
    "one key, two effects": ("I7", "took its transition 2 times", lambda run: again(run.history, 0)),
    "executed, and no history": ("I7", "no row of history names it", lambda run: edit(run.history, 0, key=None)),
    "refused, and in history": ("I7", "was refused, and history names it", lambda run: edit(run.history, 3, key="close")),
    "history names a key without a row": ("I7", "which has no row", lambda run: edit(run.history, 0, key="another")),
    "an older revision is read": (
        "I10",
        "was told of revision 1 after somebody was told of 7",
        lambda run: tell(run, 6, revision=1, activity="New", status="Idled"),
    ),
    "one revision, two standings": ("I10", "revision 7 was", lambda run: tell(run, 6, activity="Paid")),
    "executed after the end": ("I10", "was executed after the end", lambda run: tell(run, 6, executed=True, replayed=False)),
    "broken off without a cause": ("I11", "its history knows no cause", lambda run: break_off_without_cause(run)),
    "its restorer is not obeyed": ("I11", "and default was done", lambda run: edit(run.decisions, 0, decision="default")),
    "another's trouble is told of it": ("I11", "its restorer answers", lambda run: edit(run.decisions, 0, error="restorer ByPolicy: RuntimeError: broken")),
    "a timer fires early": ("I8", "early", lambda run: edit(run.timers, 1, due_before=run.processes[1].at + 1)),
    "a timer fires and stays": ("I8", "its row stayed", lambda run: run.timers.pop(1)),
    "a timer fires twice": ("I8", "fired 2 times", lambda run: fire_again(run)),
    "a timer fires that was never armed": ("I8", "never armed", lambda run: run.timers.clear()),
    "a timer is lost": ("I8", "is not set", lambda run: edit(run.stored, 0, status=IDLED, activity="New")),
    "too many deaths": ("I9", "deaths in a row", lambda run: standing(run, 4, deaths=3)),
    "poison goes on": ("I9", "poison ended with status 3", lambda run: run.__setattr__("policies", {P: "poison"})),
    "a decision without history": ("I9", "without its row of history", lambda run: edit(run.history, 1, kind="operated")),
    "history without a decision": ("I9", "not recorded with it", lambda run: run.decisions.clear()),
    "a decision without a reason": ("I9", "has no reason", lambda run: edit(run.decisions, 0, reason="")),
    "a broken restorer is obeyed": ("I9", "its restorer gave no answer", lambda run: run.__setattr__("policies", {P: "garbage"})),
    "owned and not decided": ("I9", "2 owned, 1 decided", lambda run: left_over(run, connections_lost=False)),
    "decided and not recorded": ("I9", "says 2 decided", lambda run: edit(run.passes, 0, owned=2, decided=2)),
    "a thread died": ("I12", "KeyError: 1", lambda run: run.unhandled.append("KeyError: 1")),
    "a row of who took leave": ("I12", "took leave, and its row is there", lambda run: run.events.append(Event(3, "left", {"server": NAMES[A]}))),
    "a reserved row at rest": ("I12", "are left", lambda run: edit(run.stored, 0, timers=frozenset({"(retry)"}))),
    "a value in a log": ("I12", "stands in torture-1.log", lambda run: run.leaks.append("torture-1.log")),
    "a connection is left": ("I12", "a connection is left", lambda run: run.connections.append("wf-1 torture-1")),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_found(wrong: str) -> None:
    invariant, words, spoil = WRONG[wrong]
    run = good()
    spoil(run)
    assert any(violation.invariant == invariant and words in violation.text for violation in check(run)), check(run)


def test_every_invariant_is_tripped_by_something() -> None:
    assert {invariant for invariant, _, _ in WRONG.values()} == {f"I{number}" for number in range(1, 13)}
    assert len(CHECKS) == 12


def test_what_overlaps_may_be_told_in_either_order_and_what_was_lost_binds_nobody() -> None:
    run = good()
    run.calls.insert(0, Call(P, "read", "", 85, Told(95, status="Running", activity="New", revision=6)))  # while the command was under way
    run.calls.append(Call(P, "command", "close", 100))
    assert check(run) == []


def test_a_restorer_that_was_too_slow_counts_as_silent() -> None:
    run = good()
    edit(run.decisions, 0, decision="default", decided_by="ByPolicy, then status rule", error="restorer ByPolicy: TimeoutError: no answer within 0.5 s")
    assert check(run) == []


def test_where_connections_were_lost_a_pass_may_leave_something_to_the_next() -> None:
    run = good()
    left_over(run, connections_lost=True)
    assert check(run) == []


def test_a_cancel_request_is_no_write_of_a_stranger() -> None:
    """What strangers may write leaves the standing and the revision as they are."""
    run = good()
    run.processes.insert(3, run.processes[2]._replace(before=run.processes[2].after, writer="operator", transaction=-3))
    assert check(run) == []


def test_what_happened_is_counted() -> None:
    run = good()
    counts = count(run)
    assert counts == Counts(
        created=1, in_flight=1, killed=1, recovered=1, refused=1, late=1, late_sends=1, repeated=1, landed=1, fired=1, policies={"resume": 1}
    )
    assert [(one.process, one.owner, one.token) for one in takeovers(run)] == [(P, DEAD, 8)]
    assert [run.arrivals[number - 1].place for number in late_sends(run)] == [BOOK]


def test_a_late_write_is_found() -> None:
    run = good()
    assert late_writes(run, NAMES[DEAD]) == []
    edit(run.processes, 5, writer=NAMES[DEAD])
    assert late_writes(run, NAMES[DEAD]) == [run.processes[5]]


def test_a_run_in_which_too_little_happened_is_refused() -> None:
    demand = Counts(created=1, killed=1, late=1, landed=1, missed=1, policies={"resume": 1, "hang": 1})
    empty = count(Run(plan=PLAN))
    assert empty.lacking(demand) == [
        "created: 0 of 1",
        "killed: 0 of 1",
        "late: 0 of 1",
        "landed: 0 of 1",
        "missed: 0 of 1",
        "policy resume: 0 of 1",
        "policy hang: 0 of 1",
    ]
    assert count(good()).lacking(demand) == ["missed: 0 of 1", "policy hang: 0 of 1"]
    assert replace(count(good()), missed=1, policies={"resume": 1, "hang": 1}).lacking(demand) == []
