"""Execution timeouts: what stands in the walk, what is found wrong with one, and what becomes true when it has passed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from factories import NOW
from factories import walk as any_walk
from ruled import ERROR, SCHEME, after, executed

from workflow_runtime.core import expiring, operating, reading, waiting
from workflow_runtime.core.operating import Order
from workflow_runtime.core.problems import problems
from workflow_runtime.core.process import Change, ChangeKind, EntryKind, Process, ProcessStatus, Walk
from workflow_runtime.core.reading import Format
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import ActionRef, Activity, Timeout
from workflow_runtime.core.scheme_words import ReactionType
from workflow_runtime.errors import Problem, SchemeError

SOON = NOW + timedelta(seconds=30)
MINUTE = NOW + timedelta(seconds=60)


def bounded(kind: ReactionType = ReactionType.RETRY, *, target: str = "", retries: int = 2, actions: int = 1) -> Scheme:
    """The scheme of the rules, with an execution timeout of activity B."""
    timeout = Timeout(type=kind, timer="30s", target=target, retries=retries)
    implementation = tuple(ActionRef(name=f"take {number}") for number in range(actions))
    activities = [replace(a, implementation=implementation, execution_timeout=timeout) if a.name == "B" else a for a in SCHEME.activities]
    return replace(SCHEME, activities=tuple(activities))


def walk(**fields: Any) -> Walk:
    """One and the same."""
    return any_walk(id="w", **fields)


def under_way(scheme: Scheme | None = None, **fields: Any) -> Process:
    return executed(walk(**fields), scheme=scheme or bounded(), last_seq=6)


# ------------------------------------------------------------------ the deadline


def test_the_deadline_is_set_once() -> None:
    first = expiring.with_deadline(walk(), bounded(), NOW)
    assert first == replace(walk(), deadline=SOON)
    assert expiring.with_deadline(first, bounded(), SOON) == first


@pytest.mark.parametrize("scheme", [SCHEME, bounded(actions=0)], ids=["no timeout", "no actions"])
def test_without_actions_or_a_timeout_there_is_none(scheme: Scheme) -> None:
    assert (expiring.with_deadline(walk(), scheme, NOW), expiring.limit_of(under_way(scheme))) == (walk(), None)


def test_it_goes_with_the_change_that_stands_before_the_actions() -> None:
    process = under_way()
    change = Change(kind=ChangeKind.CLAIM, before=process, after=process, drop=("t",), release=True)
    assert expiring.bounded(change, NOW) == replace(change, after=replace(process, walk=replace(walk(), deadline=SOON)))


def test_who_is_handed_back_for_want_of_room_has_none_and_who_waits_keeps_it() -> None:
    process = under_way(deadline=SOON)
    assert after(waiting.postpone(process, MINUTE, now=NOW)).walk == walk()
    assert after(waiting.wait(process, MINUTE, now=NOW)).walk == process.walk
    assert after(waiting.release(process, now=NOW)).walk == process.walk
    left = waiting.postpone(process, MINUTE, now=NOW)
    assert (left.kind, after(left).owner, after(left).token, after(left).waiting_until) == (ChangeKind.WAIT, None, process.token + 1, MINUTE)


def test_a_person_who_resumes_begins_anew() -> None:
    process = under_way(deadline=SOON, timeouts=2, tries=2)
    assert process.walk is not None
    resumed = operating.resume(process, process.walk, Order("resume", "olga", "test"), now=NOW)
    assert (resumed.deadline, resumed.timeouts, resumed.tries) == (None, 0, 0)


# ------------------------------------------------------------------ when it has passed


@pytest.mark.parametrize("in_doubt", [False, True])
def test_giving_up_raises_the_token_and_nothing_is_lost(in_doubt: bool) -> None:
    process = under_way(deadline=SOON, step=1)
    change = expiring.give_up(process, ERROR, in_doubt=in_doubt, now=NOW)
    left = after(change)
    assert (change.kind, change.entries, left.token, left.owner, left.status) == (ChangeKind.ABANDON, (), process.token + 1, "me", ProcessStatus.RUNNING)
    assert (left.walk, left.last_error) == (walk(deadline=SOON, step=1, in_doubt=in_doubt), ERROR)


@pytest.mark.parametrize(("timeouts", "again"), [(0, True), (1, True), (2, False), (3, False)])
def test_it_is_repeated_so_often(timeouts: int, again: bool) -> None:
    assert expiring.repeats(under_way(timeouts=timeouts)) is again


def test_only_a_retry_repeats() -> None:
    assert not expiring.repeats(under_way(bounded(ReactionType.SET_ACTIVITY, target="C")))
    assert not expiring.repeats(under_way(SCHEME))


def test_once_more_is_told_and_counted_and_its_deadline_is_still_to_be_set() -> None:
    change = expiring.once_more(under_way(deadline=SOON, step=1, tries=3, actor="olga"), ERROR, server="me", now=NOW)
    process = after(change)
    assert process.walk == walk(step=1, tries=4, timeouts=1, actor="olga")
    (entry,) = change.entries
    assert (entry.kind, entry.seq, process.last_seq, entry.error, entry.actor) == (EntryKind.RETRY, 7, 7, ERROR, "olga")
    assert entry.reason == "the execution timeout repeats it, 1 of 2"


@pytest.mark.parametrize(
    ("kind", "target", "leads"),
    [(ReactionType.SET_ACTIVITY, "C", "C"), (ReactionType.SET_STATE, "Done", "End"), (ReactionType.SET_ACTIVITY, "gone", ""), (ReactionType.RETRY, "", "")],
)
def test_where_it_leads(kind: ReactionType, target: str, leads: str) -> None:
    assert expiring.target_of(under_way(bounded(kind, target=target))) == leads


# ------------------------------------------------------------------ what is wrong with one


YAML = """scheme: S
activities:
  A:
    initial: true
    final: true
    actions: [Do]
    execution_timeout: {after: %s, %s}
"""
XML = """<Process Name="S"><Activities>
  <Activity Name="A" IsInitial="true" IsFinal="true"><Implementation><ActionRef Order="1" NameRef="Do" /></Implementation>
    <ExecutionTimeout Timer="%s" %s />
</Activity></Activities></Process>"""
PLACES = {YAML: (7, 5), XML: (3, 5)}


def found(text: str) -> list[Problem]:
    try:
        return list(problems(reading.read(text, code="S")))
    except SchemeError as error:
        return list(error.problems)


@pytest.mark.parametrize(
    ("after", "yaml", "xml", "code", "said"),
    [
        ("soon", "retry: 1", 'Type="Retry"', "bad_interval", "the execution timeout of activity 'A': the timer value 'soon' is no interval"),
        ("0", "retry: 1", 'Type="Retry"', "bad_interval", "is no time at all"),
        ("2wd", "retry: 1", 'Type="Retry"', "not_supported", "counts working time"),
        ("30s", "set_activity: B", 'Type="SetActivity" NameForSet="B"', "unknown_activity", "names the activity 'B'"),
        ("30s", "set_state: B", 'Type="SetState" NameForSet="B"', "unknown_state", "names the state 'B'"),
        ("30s", "set_activity: ''", 'Type="SetActivity"', "bad_name", "found an empty name"),
    ],
)
def test_each_fault_is_told_with_its_place_in_both_forms(after: str, yaml: str, xml: str, code: str, said: str) -> None:
    for form, reaction in ((YAML, yaml), (XML, xml)):
        [problem] = found(form % (after, reaction))
        assert (problem.code, problem.severity, problem.line, problem.column) == (code, "error", *PLACES[form])
        assert said in problem.message


def test_it_cannot_be_ignored() -> None:
    [problem] = [each for each in found(XML % ("30s", 'Type="Ignore"')) if each.code == "bad_value" and "Type" in each.message]
    assert (problem.line, problem.message) == (3, "found 'Ignore' in the attribute Type, expected SetActivity, SetState, Retry")
    assert [each.code for each in found(YAML % ("30s", "ignore: true"))] == ["bad_value", "unknown_key"]
    made = Activity(name="B", implementation=(ActionRef(name="take"),), execution_timeout=Timeout(type=ReactionType.IGNORE, timer="30s"))
    [problem] = [each for each in problems(replace(SCHEME, activities=(*SCHEME.activities[:1], made, *SCHEME.activities[2:]))) if each.code == "bad_value"]
    assert problem.message == "the execution timeout of activity 'B' is of type Ignore; expected SetActivity or SetState or Retry"


def test_one_that_bounds_nothing_is_a_warning() -> None:
    [problem] = found((YAML % ("30s", "retry: 1")).replace("    actions: [Do]\n", ""))
    assert (problem.code, problem.severity, problem.line) == ("unused_timeout", "warning", 6)


@pytest.mark.parametrize(
    ("yaml", "xml"),
    [
        ("retry: 3", 'Type="Retry" RetryCount="3"'),
        ("retry: 0", 'Type="Retry" RetryCount="0"'),
        ("set_state: Done", 'Type="SetState" NameForSet="Done"'),
        ("set_activity: A", 'Type="SetActivity" NameForSet="A"'),
    ],
)
def test_both_forms_say_the_same_and_come_back(yaml: str, xml: str) -> None:
    one, other = reading.read(YAML % ("30s", yaml)), reading.read(XML % ("30s", xml))
    assert one == other
    for form in Format:
        assert reading.read(reading.write(one, form), format=form) == one
