"""What a call of a step means: which row is its own, what its digest says, what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from factories import NOW, process, walk

from workflow_runtime.core import stepping
from workflow_runtime.core.stepping import Call, Journal
from workflow_runtime.core.values import Limits
from workflow_runtime.errors import JournalMismatch, ParameterError

WALK = walk()


def call(*arguments: Any, name: str = "pay", occurrence: int = 0, index: int = 0, **named: Any) -> Call:
    return stepping.call_of(WALK, "Charge", index, name, occurrence, arguments, named)


def test_a_call_finds_its_own_row_only() -> None:
    own = call(7).finished('"receipt"', NOW, awaited=False)
    journal = Journal([own])
    assert journal.of(process(), call(7)) == own
    for other in (call(7, name="mail"), call(7, occurrence=1), call(7, index=1)):
        assert journal.of(process(), other) is None


def test_a_result_stands_above_its_intent_whatever_their_order() -> None:
    intent, finished = call(7).intent(3, NOW), call(7).finished("1", NOW, awaited=False)
    for rows in ([intent, finished], [finished, intent]):
        assert Journal(rows).of(process(), call(7)) == finished
    assert Journal([intent]).of(process(), call(7)) == intent


def test_an_intent_tells_the_claim_under_which_it_was_made() -> None:
    """So that after a lost answer the row of who took the walk over at the same moment is not taken for one's own."""
    assert call(7).intent(3, NOW) == call(7).intent(3, NOW) != call(7).intent(4, NOW)


@pytest.mark.parametrize("awaited", [True, False])
def test_whether_it_was_awaited_is_kept_and_is_no_mismatch(awaited: bool) -> None:
    row = Journal([call(7).finished("1", NOW, awaited=awaited)]).of(process(), call(7))
    assert row is not None
    assert (row.digest == call(7).awaited_digest) is awaited


@pytest.mark.parametrize("intent", [True, False])
@pytest.mark.parametrize("other", [call(8), call(7, 7), call(amount=7), call("7"), call(Decimal(7)), call()], ids=lambda one: one.shape)
def test_other_arguments_are_a_mismatch_that_names_what_was_and_what_is(other: Call, intent: bool) -> None:
    first = call(7)
    journal = Journal([first.intent(3, NOW) if intent else first.finished("1", NOW, awaited=False)])
    subject = process()
    with pytest.raises(JournalMismatch) as caught:
        journal.of(subject, other)
    for word in (str(subject.id), "'pay'", "'Charge'", repr(WALK.activity), NOW.isoformat(), first.digest[:12], other.shape, other.digest[:12]):
        assert word in caught.value.message
    assert (caught.value.journaled, caught.value.called) == (first.digest, other.digest)


def test_arguments_that_cannot_be_stored_count_by_their_type() -> None:
    assert call(object(), 7).digest == call(object(), 7).digest != call(object(), 8).digest
    assert call(object()).digest != call({1}).digest


def test_equal_arguments_have_equal_digests_in_any_order_of_names() -> None:
    assert call(7, a=1, b=UUID(int=1)).digest == call(7, b=UUID(int=1), a=1).digest


def test_an_effect_key_is_made_of_walk_activity_action_step_and_occurrence() -> None:
    keys = [stepping.effect_key(WALK, action, index, step, occurrence) for action in "AB" for index in (0, 1) for step in ("", "s") for occurrence in (0, 1)]
    assert len(set(keys)) == len(keys)
    assert stepping.effect_key(WALK, "A", 0, "s", 1) == stepping.effect_key(WALK, "A", 0, "s", 1)


@pytest.mark.parametrize("result", [object(), {1}, float("inf")], ids=["object", "set", "infinity"])
def test_a_result_that_cannot_be_stored_names_its_step(result: Any) -> None:
    with pytest.raises(ParameterError, match="the result of step 'pay'") as caught:
        stepping.stored_form(call(), result)
    assert caught.value.step == "pay"


def test_a_result_may_have_as_many_bytes_as_any_value() -> None:
    limits = Limits(value_bytes=100)
    assert len(stepping.stored_form(call(), "ü" * 49, limits).encode()) == 100
    with pytest.raises(ParameterError) as caught:
        stepping.stored_form(call(), "ü" * 50, limits)
    assert (caught.value.code, caught.value.limit) == ("too_large", 100)
