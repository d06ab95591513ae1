"""Idempotency keys: which are taken, what tells two requests apart, and answers that come back as they were."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from factories import NOW, arrival, claim, creation, deletion, entry, process, walk
from hypothesis import given
from hypothesis import strategies as st

from workflow_runtime import errors
from workflow_runtime.core import keys, rules, settling
from workflow_runtime.core.evolving import evolve
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.keys import Answer, Key
from workflow_runtime.core.process import Change, ChangeKind, EntryKind, Process, ProcessStatus, Trigger, TriggerKind
from workflow_runtime.errors import ActionFailed, CommandNotAllowed, CommandNotFound, ParameterError, ProcessBusy, StaleRevision, WorkflowError

ID = uuid4()
KEY = Key("scope", "k-1", "d" * 64)
NOBODY = (None, None)


@pytest.mark.parametrize("name", ["a", "A b", "é" * 127, "x" * 255, "{order: 7}", " ", "'; --"])
def test_what_can_be_a_key(name: str) -> None:
    assert keys.checked(name) == name


@pytest.mark.parametrize("name", ["", "x" * 12_000, "x" * 256, "é" * 128, "a\nb", "a\0", "\x7f", "a\u2028", "\ud800", None, 7, b"k", ["k"]], ids=repr)
def test_what_cannot(name: object) -> None:
    with pytest.raises(ParameterError, match="expected a text of 1 to 255 bytes") as caught:
        keys.checked(name)
    assert caught.value.code == "bad_key"


@pytest.mark.parametrize("seconds", [0, 0.0, 1.5, 86_400])
def test_how_long_may_be_waited(seconds: float) -> None:
    assert keys.checked_wait(seconds) == seconds


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 86_401, True, "1", None])
def test_how_long_may_not(seconds: object) -> None:
    with pytest.raises(ParameterError) as caught:
        keys.checked_wait(seconds)
    assert caught.value.code == "bad_wait"


def test_equal_requests_have_equal_digests_and_other_ones_do_not() -> None:
    def command(**fields: Any) -> Key:
        usual: dict[str, Any] = {"name": "k", "process_id": ID, "command": "pay", "given": {"a": 1, "b": Decimal(2)}, "people": ("ann", None)}
        return keys.of_command(**usual | fields)

    assert command() == command(given={"b": Decimal(2), "a": 1})
    others = [
        command(command="refund"),
        command(given={"a": 1}),
        command(given={"a": 1, "b": 2}),
        command(people=("bob", None)),
        command(people=("ann", "bob")),
        command(people=(None, "ann")),
        keys.of_creation("k", str(ID), "pay", {"a": 1, "b": Decimal(2)}, ("ann", None)),
    ]
    assert len({command().digest, *(other.digest for other in others)}) == len(others) + 1


def test_the_scope_is_the_process_or_the_tenant() -> None:
    assert keys.of_command("k", ID, "pay", {}, NOBODY).scope == str(ID)
    assert [keys.of_creation("k", tenant, "Order", {}, NOBODY).scope for tenant in (None, "north")] == ["", "north"]


def test_values_that_cannot_be_stored_have_no_digest() -> None:
    with pytest.raises(ParameterError):
        keys.of_command("k", ID, "pay", {"a": object()}, NOBODY)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ANSWERS = st.builds(
    Answer,
    process_id=st.none() | st.uuids(),
    executed=st.booleans(),
    reason=TEXT,
    status=TEXT,
    activity=TEXT,
    revision=st.integers(0, 2**63 - 1),
    deleted=st.booleans(),
    error=TEXT,
    message=TEXT,
    nouns=st.dictionaries(TEXT, st.none() | st.uuids() | TEXT, max_size=3).map(FrozenDict),
)


@given(ANSWERS)
def test_answers_come_back_as_they_were(answer: Answer) -> None:
    assert keys.of_text(keys.to_text(answer)) == answer


def test_texts_of_users_that_no_database_takes_are_marked_and_cut() -> None:
    stored = keys.of_text(keys.to_text(Answer(message="a\0\ud800" + "b" * 9_000)))
    assert stored.message.startswith("a�?b")
    assert len(stored.message) == keys.LONGEST_TEXT


def test_what_a_newer_version_has_added_is_left_out() -> None:
    assert keys.of_text('{"executed":true,"colour":"red"}') == Answer(executed=True)


@pytest.mark.parametrize("text", ["[]", "1", '{"nouns":[]}', "{"])
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        keys.of_text(text)
    assert caught.value.code == "unreadable"


def test_an_error_comes_back_with_its_nouns() -> None:
    first = ActionFailed("it broke", process_id=ID, action="Pay", place=object())
    again = keys.error_of(keys.of_text(keys.to_text(keys.failed(first))))
    assert (type(again), again.message, again.nouns) == (ActionFailed, "it broke", {"process_id": ID, "action": "Pay"})


@pytest.mark.parametrize("kind", [error for name in errors.__all__ if isinstance(error := getattr(errors, name), type) and issubclass(error, WorkflowError)])
def test_every_error_of_ours_comes_back_as_itself(kind: type[WorkflowError]) -> None:
    assert type(keys.error_of(keys.of_text(keys.to_text(keys.failed(kind("no")))))) is kind


@pytest.mark.parametrize("name", ["NotOurs", "annotations", "Problem", "WorkflowError"])
def test_an_unknown_error_comes_as_one_of_the_root(name: str) -> None:
    assert type(keys.error_of(Answer(error=name, message="m"))) is WorkflowError


def test_a_foreign_error_is_named() -> None:
    again = keys.error_of(keys.failed(KeyError("x")))
    assert (again.name, again.message) == ("ExecutionError", "the process broke off: KeyError: 'x'")


@pytest.mark.parametrize(
    ("error", "definite"),
    [(ParameterError("x"), True), (CommandNotAllowed("x"), True), (ProcessBusy("x"), False), (StaleRevision("x"), False), (CommandNotFound("x"), False)],
    ids=lambda value: getattr(value, "name", value),
)
def test_which_refusals_are_definite(error: WorkflowError, definite: bool) -> None:
    assert keys.is_definite(error) is definite


# ------------------------------------------------------------------ what opens and what settles a key


def running(**fields: Any) -> Process:
    return process(status=ProcessStatus.RUNNING, owner="me", walk=walk(key=KEY), last_seq=1, **fields)


def test_a_claim_opens_and_an_arrival_at_rest_settles() -> None:
    rest = process()
    begun = rules.begin(rest, walk(key=KEY), owner="me", now=NOW)
    assert (begun.opens, settling.settles(begun)) == (KEY, None)
    ended = arrival(begun.result)
    assert (ended.opens, settling.settles(ended)) == (None, KEY)
    both = begun.then(replace_after(ended, begun))
    assert (both.opens, settling.settles(both)) == (KEY, KEY)


def replace_after(ended: Change, begun: Change) -> Change:
    assert ended.after is not None
    return Change(kind=ended.kind, before=begun.after, after=ended.after, entries=ended.entries)


def test_the_next_walk_of_a_run_opens_nothing_and_settles_nothing() -> None:
    before = running()
    assert before.walk is not None
    following = rules.walk_after(before.walk, "C", Trigger(TriggerKind.AUTO), walk_id="w2", now=NOW)
    change = rules.begin(evolve(before, walk=None), following, owner="me", now=NOW)
    change = Change(kind=ChangeKind.ARRIVE, before=before, after=change.after, opens=change.opens)
    assert (change.opens, settling.settles(change)) == (None, None)


def test_what_waits_is_open_and_what_is_taken_up_again_is_not_opened_anew() -> None:
    waiting = evolve(running(), owner=None)
    again = rules.begin(waiting, waiting.walk, owner="me", now=NOW)  # type: ignore[arg-type]
    assert (again.opens, settling.settles(again)) == (None, None)


def test_another_run_in_its_place_settles_it() -> None:
    waiting = evolve(running(), owner=None)
    change = rules.begin(waiting, walk(), owner="me", now=NOW)
    assert (change.opens, settling.settles(change)) == (None, KEY)


def test_a_walk_that_is_kept_keeps_no_key() -> None:
    broken = rules.at_rest(running(), ProcessStatus.ERROR, NOW)
    assert broken.walk is not None
    assert broken.walk.key is None


def test_no_key_opens_and_settles_nothing() -> None:
    change = claim(process())
    assert (change.opens, settling.settles(change), settling.settles(arrival(change.result)), settling.settles(deletion(process()))) == (None, None, None, None)


def test_the_answer_of_a_run_that_came_to_rest() -> None:
    change = arrival(running(revision=7))
    answer = settling.answer_of(change)
    assert answer == Answer(process_id=change.result.id, executed=True, status="Idled", activity="B", revision=8)


def ended(kind: EntryKind, verb: str, *, status: ProcessStatus = ProcessStatus.ERROR) -> Change:
    before = running()
    told = entry(before, kind=kind, trigger=Trigger(TriggerKind.OPERATOR, verb), actor="olga", reason="why")
    return Change(kind=ChangeKind.FAIL, before=before, after=rules.at_rest(before, status, NOW), entries=(told,))


def test_the_answer_of_a_run_that_failed_is_its_error() -> None:
    failing = ended(EntryKind.FAILED, "")
    change = Change(kind=failing.kind, before=failing.before, after=failing.after, failure=keys.failed(ActionFailed("it broke")))
    answer = settling.answer_of(change)
    assert (answer.error, answer.message, answer.status, answer.executed) == ("ActionFailed", "it broke", "Error", True)


@pytest.mark.parametrize(
    ("kind", "verb", "words"),
    [
        (EntryKind.RECOVERED, "default", "its server is gone and recovery decided default: why"),
        (EntryKind.OPERATED, "set_activity", "olga gave it up for set_activity: why"),
    ],
)
def test_the_answer_of_a_run_that_others_ended_tells_why(kind: EntryKind, verb: str, words: str) -> None:
    answer = settling.answer_of(ended(kind, verb))
    assert answer.error == "ExecutionError"
    assert answer.message.endswith(words)


def test_a_run_that_was_cancelled_or_resumed_was_executed() -> None:
    cancelled = settling.answer_of(ended(EntryKind.CANCELLED, "cancel", status=ProcessStatus.TERMINATED))
    resumed = settling.answer_of(ended(EntryKind.OPERATED, "resume", status=ProcessStatus.IDLED))
    assert [(answer.error, answer.executed, answer.reason) for answer in (cancelled, resumed)] == [("", True, "")] * 2


def test_the_answer_of_a_run_whose_process_was_deleted() -> None:
    before = running()
    answer = settling.answer_of(deletion(before, entries=(entry(before, reason="why"),)))
    assert (answer.deleted, answer.reason, answer.process_id) == (True, "why", before.id)


def test_a_creation_opens_its_key() -> None:
    change = creation(running(), opens=KEY)
    assert (change.opens, settling.settles(change)) == (KEY, None)
