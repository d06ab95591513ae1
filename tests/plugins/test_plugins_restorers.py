"""The restorers that come with the package: whom they want, what they decide, what reason they give."""

from __future__ import annotations

from typing import Any

import pytest
from interrupted import interrupted

from workflow_runtime.catalogue import Source, gather
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.core.restoring import DecisionKind
from workflow_runtime.plugins.restorers import VERDICTS, Delete, JumpTo, Rerun, Resume

ALL = [Rerun, Resume, Delete, lambda **choice: JumpTo("Failed", **choice)]


def wanted(restorer: Any) -> set[tuple[str, str]]:
    return {(scheme, status.value) for scheme in ("Order", "Refund") for status in VERDICTS if restorer.need_custom_restore(scheme, status)}


@pytest.mark.parametrize("make", ALL)
def test_without_a_choice_every_process_is_wanted(make: Any) -> None:
    assert wanted(make()) == {("Order", "Error"), ("Order", "Terminated"), ("Refund", "Error"), ("Refund", "Terminated")}


@pytest.mark.parametrize("make", ALL)
def test_schemes_and_statuses_narrow_the_choice(make: Any) -> None:
    assert wanted(make(schemes="Order")) == {("Order", "Error"), ("Order", "Terminated")}
    assert wanted(make(schemes=["Refund", "Other"], statuses="Terminated")) == {("Refund", "Terminated")}
    assert wanted(make(statuses=[ProcessStatus.ERROR])) == {("Order", "Error"), ("Refund", "Error")}
    assert wanted(make(schemes=[])) == wanted(make(statuses=())) == set()


@pytest.mark.parametrize("status", ["Idled", ProcessStatus.RUNNING, "terminated"])
def test_a_status_that_the_rule_never_answers_is_refused(status: str) -> None:
    with pytest.raises(ValueError, match="is no preliminary status; expected 'Error' or 'Terminated'"):
        Rerun(statuses=status)


@pytest.mark.parametrize(
    ("restorer", "kind", "activity", "reason"),
    [
        (Rerun(), DecisionKind.RERUN, "", "server eu-1 stopped in action Charge of activity Paid; Begin is run again"),
        (JumpTo("Failed"), DecisionKind.JUMP, "Failed", "server eu-1 stopped in action Charge of activity Paid; it goes on in Failed"),
        (Delete(), DecisionKind.DELETE, "", "server eu-1 stopped in action Charge of activity Paid; it is not worth keeping"),
        (Resume(), DecisionKind.RESUME, "", "server eu-1 stopped in action Charge of activity Paid; 1 finished step will not be repeated"),
    ],
)
def test_each_decides_with_a_reason(restorer: Any, kind: DecisionKind, activity: str, reason: str) -> None:
    decision = restorer.get_custom_restore_decision(interrupted())
    assert (decision.kind, decision.activity, decision.reason) == (kind, activity, reason)


def test_the_reason_says_what_is_not_known() -> None:
    decision = Resume().get_custom_restore_decision(interrupted(interrupted=None, server=None, finished_steps=()))
    assert decision.reason == "an unknown server stopped between two walks; 0 finished steps will not be repeated"
    without_action = interrupted(interrupted=interrupted().interrupted._replace(action=""))  # type: ignore[union-attr]
    assert Delete().get_custom_restore_decision(without_action).reason.startswith("server eu-1 stopped in activity Paid;")


def test_history_shows_what_a_restorer_was_made_for() -> None:
    restorers = (Rerun(schemes=["b", "a"]), JumpTo("Failed"))
    assert [entry.name for entry in gather([Source(restorers=restorers)]).restorers] == ["Rerun(a, b)", "JumpTo()"]
    assert repr(restorers[0]) == "Rerun(a, b)"
