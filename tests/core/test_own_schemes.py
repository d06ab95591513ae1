"""The sample schemes: two spellings of one meaning, without a problem, drawn in their README as they are."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger

from workflow_runtime.core.expression import compile_expression
from workflow_runtime.core.problems import Names, problems, unsupported
from workflow_runtime.core.reading import Format, read, write
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_words import Classifier, ConditionType, Missed, TimerType, TriggerType
from workflow_runtime.errors import Problem

FOLDER = Path(__file__).parents[2] / "schemes"

#: Rules that come with the runtime.
SHIPPED = frozenset({"IdentityInParameter"})

#: What the host has to register for each scheme, no more and no less.
REGISTERED = {
    "vacation_request": Names(actions=frozenset({"NotifyManager"}), rules=frozenset({"Manager"})),
    "document_approval": Names(actions=frozenset({"CountRound", "PublishDocument"}), rules=frozenset({"IsAuthor", "CheckRole"})),
    "order": Names(actions=frozenset({"ChargePayment", "ShipOrder"})),
    "content_publishing": Names(
        actions=frozenset({"render:start", "notify: desk"}),
        conditions=frozenset({"render:ready", "render:failed"}),
        rules=frozenset({"CheckRole"}),
    ),
    "incident_escalation": Names(actions=frozenset({"PageTeam", "TellOwners", "TellManagement"}), rules=frozenset({"CheckRole"})),
}
each_scheme = pytest.mark.parametrize("stem", REGISTERED)
each_form = pytest.mark.parametrize("suffix", ["yaml", "xml"])


@cache
def loaded(stem: str, suffix: str = "yaml") -> Scheme:
    path = FOLDER / f"{stem}.{suffix}"
    report: list[Problem] = []
    scheme = read(path.read_bytes(), path=path.name, report=report)
    assert report == []
    return scheme


def registered(stem: str) -> Names:
    return replace(REGISTERED[stem], rules=REGISTERED[stem].rules | SHIPPED)


def cron(expression: str, zone: str, after: datetime) -> datetime | None:
    found: datetime | None = CronTrigger.from_crontab(expression, timezone=ZoneInfo(zone)).get_next_fire_time(None, after)
    return found


def test_every_scheme_exists_in_both_forms() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == {f"{stem}.yaml" for stem in REGISTERED}
    assert {path.name for path in FOLDER.glob("*.xml")} == {f"{stem}.xml" for stem in REGISTERED}


@each_scheme
def test_both_forms_mean_the_same(stem: str) -> None:
    assert loaded(stem, "xml") == loaded(stem)
    assert loaded(stem, "xml").version == loaded(stem).version


@each_scheme
@pytest.mark.parametrize("form", Format)
def test_each_survives_being_written(stem: str, form: Format) -> None:
    assert read(write(loaded(stem), form), format=form) == loaded(stem)


@each_scheme
@each_form
def test_nothing_is_wrong_with_it(stem: str, suffix: str) -> None:
    assert [str(problem) for problem in problems(loaded(stem, suffix), registered(stem), cron=cron)] == []
    assert unsupported(loaded(stem, suffix), registered(stem)) == ()


@each_scheme
def test_no_registered_name_is_left_over(stem: str) -> None:
    missing = [problem.code for problem in problems(loaded(stem), Names(rules=SHIPPED))]
    names = REGISTERED[stem]
    expected = ["unknown_action"] * len(names.actions) + ["unknown_condition"] * len(names.conditions) + ["unknown_rule"] * len(names.rules)
    assert sorted(missing) == expected


@each_scheme
def test_the_code_says_what_the_file_is_called(stem: str) -> None:
    assert re.sub(r"(?<!^)(?=[A-Z])", "_", loaded(stem).code).lower() == stem


# Ways through


def paths_to_final(scheme: Scheme) -> dict[str, tuple[str, ...]]:
    """A shortest way to each final activity, by breadth."""
    ways: dict[str, tuple[str, ...]] = {scheme.initial_activity: ()}
    waiting = [scheme.initial_activity]
    for here in waiting:
        for transition in scheme.leaving(here):
            if transition.target not in ways:
                ways[transition.target] = (*ways[here], transition.name)
                waiting.append(transition.target)
    return {activity.name: ways[activity.name] for activity in scheme.activities if activity.is_final}


@each_scheme
def test_two_final_activities_have_ways_of_their_own(stem: str) -> None:
    paths = paths_to_final(loaded(stem))
    assert len(paths) >= 2
    assert len(set(paths.values())) == len(paths)


@each_scheme
def test_every_activity_has_a_place_of_its_own_on_the_canvas(stem: str) -> None:
    places = [(float(a.designer["X"]), float(a.designer["Y"])) for a in loaded(stem).activities]
    assert len(set(places)) == len(places)


# What each of them is there to show


def test_the_vacation_program_runs_as_written() -> None:
    scheme = loaded("vacation_request")
    (start,) = [t for t in scheme.leaving(scheme.initial_activity) if t.trigger.name == "StartSigning"]
    target, command = scheme.activity(start.target), scheme.command("StartSigning")
    assert target is not None
    assert command is not None
    assert start.is_unconditional
    assert start.restrictions == ()  # alice may send it, with nothing but the rule Manager registered
    assert target.state == "ManagerSigning"
    assert [(given.name, given.required) for given in command.inputs] == [("Comment", False)]


@pytest.mark.parametrize(("days", "alone"), [(3, True), (10, True), (11, False)])
def test_the_manager_signs_short_vacations_alone(days: int, alone: bool) -> None:
    (approve,) = [t for t in loaded("vacation_request").leaving("ManagerSigning") if t.target == "Approved"]
    assert compile_expression(approve.conditions[0].expression).evaluate_bool({"Days": days}.__getitem__) is alone


def test_rework_returns_to_each_reviewer_who_may_send_back() -> None:
    scheme = loaded("document_approval")
    senders = {t.source for t in scheme.transitions if t.trigger.name == "SendBack" and t.classifier is Classifier.REVERSE}
    returns = {t.target for t in scheme.leaving("Rework") if t.trigger.name == "Resubmit"}
    assert senders == returns == {"LegalReview", "FinanceReview", "DirectorReview"}
    for transition in scheme.leaving("Rework"):
        if transition.trigger.name == "Resubmit" and not transition.is_otherwise:
            state = getattr(scheme.activity(transition.target), "state", "")
            assert f"'{state}'" in transition.conditions[0].expression


def test_an_order_leaves_recovery_to_a_restorer() -> None:
    scheme = loaded("order")
    actions = {activity.name: [action.name for action in activity.implementation] for activity in scheme.activities if activity.implementation}
    assert actions == {"Charge": ["ChargePayment"], "Ship": ["ShipOrder"]}
    assert scheme.recovery is None
    assert all(a.recovery is None and all(action.recovery is None for action in a.implementation) for a in scheme.activities)


def test_content_is_polled_by_the_production_idiom() -> None:
    scheme = loaded("content_publishing")
    leaving = scheme.leaving("Rendern: läuft")
    automatic = [t for t in leaving if t.trigger.type is TriggerType.AUTO]
    timed = [t for t in leaving if t not in automatic]
    assert [condition.type for t in automatic for condition in t.conditions] == [ConditionType.ACTION] * 2
    assert [(t.trigger.type, t.target, t.is_otherwise) for t in timed] == [(TriggerType.TIMER, "Rendern: läuft", True)]
    assert not all(name.isascii() for name in (a.name for a in scheme.activities))


def test_the_incident_clock_is_kept_from_level_to_level() -> None:
    scheme = loaded("incident_escalation")
    kept, morning = scheme.timer("resolve_by"), scheme.timer("every_morning")
    assert kept is not None
    assert morning is not None
    assert kept.keep_if_set
    levels = [t.source for t in scheme.transitions if t.trigger.name == "resolve_by"]
    assert levels == ["Level1", "Level2", "Level3", "Investigating"]
    assert (morning.type, morning.time_zone, morning.missed, morning.late_after) == (TimerType.CRON, "Europe/Berlin", Missed.SKIP, 3600.0)


# The README


def drawn(code: str) -> tuple[set[str], list[tuple[str, str]]]:
    """The names and the arrows of one diagram; ``[*]`` stands for begin and end."""
    section = (FOLDER / "README.md").read_text(encoding="utf-8").split(f"## {code} ")[1].split("```")[1]
    called = {alias: name for name, alias in re.findall(r'state "([^"]+)" as (\w+)', section)}
    arrows = [(called.get(one, one), called.get(two, two)) for one, two in re.findall(r"^ +(\S+) --> (\S+)", section, re.MULTILINE)]
    return {name for arrow in arrows for name in arrow} - {"[*]"}, arrows


@each_scheme
def test_the_readme_draws_the_scheme_as_it_is(stem: str) -> None:
    scheme = loaded(stem)
    names, arrows = drawn(scheme.code)
    ends = [(activity.name, "[*]") for activity in scheme.activities if activity.is_final]
    assert names == {activity.name for activity in scheme.activities}
    assert arrows == [("[*]", scheme.initial_activity), *((t.source, t.target) for t in scheme.transitions), *ends]


@each_scheme
def test_the_readme_names_what_to_register(stem: str) -> None:
    section = (FOLDER / "README.md").read_text(encoding="utf-8").split(f"## {loaded(stem).code} ")[1].split("```")[0]
    names = REGISTERED[stem]
    assert names.actions | names.conditions | names.rules <= set(re.findall(r"`([^`]+)`", section.split("Register:")[1]))
