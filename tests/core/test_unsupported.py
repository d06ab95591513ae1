"""What this release reads and does not execute: refused by name and place, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from little_schemes import HERE, clock, only, scheme, sound, way

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.problems import Names, problems, unsupported
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import (
    ActionRef,
    Activity,
    CodeAction,
    Comment,
    ExceptionHandler,
    Fork,
    Localization,
    Recovery,
    RetryPolicy,
    Timeout,
)
from workflow_runtime.core.scheme_words import CodeActionType, Effect, LocalizeType, ReactionType, RecoveryKind, TimerType
from workflow_runtime.core.unsupported import NOT_EXECUTED

TIMEOUT = Timeout(type=ReactionType.RETRY, timer="30s", place=HERE)
HANDLER = ExceptionHandler(order=1, type=ReactionType.IGNORE, exceptions=("*",), place=HERE)
CUSTOM = FrozenDict({"__customtype": "SendEmail"})


def charge(**more: Any) -> Scheme:
    return sound(Activity(name="Charge", place=HERE, **more))


def action(**more: Any) -> Scheme:
    return sound(Activity(name="Charge", implementation=(ActionRef(name="take", place=HERE, **more),)))


CASES = [
    (sound(way("Start", "End", "split", fork=Fork(), place=HERE)), "a fork of transition 'split'"),
    (charge(inline="credit_check"), "inlining of activity 'Charge'"),
    (sound(way("Start", "End", "passed", inlined_final_activity="Passed", place=HERE)), "InlinedFinalActivityName of transition 'passed'"),
    (charge(annotations=CUSTOM), "the custom type without a plugin of activity 'Charge'"),
    (sound(clock("late", "2wd 3wh", place=HERE)), "an interval in working time of timer 'late'"),
    (sound(calendar="Bavaria", place=HERE), "the working calendar of scheme 'Little'"),
]


@pytest.mark.parametrize(("made", "start"), CASES, ids=[start for _, start in CASES])
def test_each_thing_is_refused_by_name_and_place(made: Scheme, start: str) -> None:
    (problem,) = unsupported(made)
    assert problem.message.startswith(f"{start} can be read, but this release does not execute it; ")
    assert (problem.code, problem.severity, problem.line, problem.column) == ("not_supported", "error", *HERE)


@pytest.mark.parametrize("made", [made for made, _ in CASES], ids=[start for _, start in CASES])
def test_it_is_not_called_a_mistake(made: Scheme) -> None:
    assert [problem.code for problem in problems(made) if problem.severity == "error"] == []


def test_every_row_has_a_case() -> None:
    assert {row.what for row in NOT_EXECUTED} == {next(row.what for row in NOT_EXECUTED if start.startswith(row.what)) for _, start in CASES}


HARMLESS = [
    sound(),
    charge(pre_execution=(ActionRef(name="forecast", effect=Effect.AT_MOST_ONCE),)),
    charge(designer=FrozenDict({"X": "1", "Flavour": "new"}), extra=FrozenDict({"Shade": "blue"}), provenance=FrozenDict({"WasInlined": "true"})),
    charge(disable_persist_state=True, disable_persist_transition_history=True, disable_persist_parameters=True),
    charge(annotations=FrozenDict({"Subject": "Done"}), recovery=Recovery(kind=RecoveryKind.RESUME)),
    action(effect=Effect.AT_MOST_ONCE, journal=False, resumable=False, retry=RetryPolicy()),
    charge(execution_timeout=TIMEOUT),
    charge(retry=RetryPolicy(), handlers=(HANDLER,), idle_timeout=Timeout(type=ReactionType.SET_ACTIVITY, timer="2d", target="End")),
    sound(retry=RetryPolicy()),
    sound(log_enabled=True, tags=("money",), can_be_inlined=True, recovery=Recovery(kind=RecoveryKind.ERROR)),
    sound(comments=(Comment(name="hint", value="Ask finance"),)),
    sound(localization=(Localization(type=LocalizeType.STATE, object_name="Draft", culture="de", value="Entwurf"),)),
    sound(code_actions=(CodeAction(name="mail", type=CodeActionType.ACTION, source="return;"),)),
    sound(clock("a", "1d 12h"), clock("b", "0"), clock("c", "-1"), clock("d", "nonsense"), clock("e", "09:00:00", TimerType.TIME)),
]


@pytest.mark.parametrize("made", HARMLESS)
def test_what_no_run_depends_on_is_no_obstacle(made: Scheme) -> None:
    assert unsupported(made) == ()


def test_a_custom_activity_whose_type_a_plugin_registers() -> None:
    assert unsupported(charge(annotations=CUSTOM), Names(activities=frozenset({"SendEmail"}))) == ()


def test_a_custom_activity_with_a_near_type() -> None:
    (problem,) = unsupported(charge(annotations=CUSTOM), Names(activities=frozenset({"SendMail"})))
    assert problem.suggestion == "SendMail"


def test_all_of_it_is_told_at_once() -> None:
    charge = Activity(name="Charge", annotations=CUSTOM, inline="more")
    found = unsupported(scheme(charge, way("Charge", "Charge", "split", fork=Fork()), calendar="Bavaria", path="pay.xml"))
    assert len(found) == 4
    assert {problem.path for problem in found} == {"pay.xml"}
    assert only([found[0]], "not_supported").line == 0
