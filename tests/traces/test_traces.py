"""Golden traces: each sample scheme driven to each of its final activities, from XML and from YAML alike.

``WF_REWRITE=1`` writes the files anew; what they say is then to be read and judged by a person.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime import Process, Registry, WorkflowRuntime
from workflow_runtime.testing.clock import FakeClock
from workflow_runtime.testing.trace import trace

HERE = Path(__file__).parent
SCHEMES = HERE.parents[1] / "schemes"
START = datetime(2030, 1, 1, 6, tzinfo=UTC)  #: a Tuesday

Step = tuple[Any, ...] | timedelta


@dataclass(frozen=True)
class Story:
    """Created with these values, then commands (name, identity, inputs) and spans of time."""

    stem: str
    final: str
    steps: tuple[Step, ...]
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.stem}-{self.final}"


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def days(number: float) -> timedelta:
    return timedelta(days=number)


def told(what: str) -> tuple[Any, ...]:
    return ({"note": what},)


STORIES = [
    Story("vacation_request", "Approved", (("StartSigning", "ann", {"Comment": "sea"}), ("Approve", "mia")), {"Days": 5, "Author": "ann"}),
    Story(
        "vacation_request",
        "Rejected",
        (
            ("StartSigning", "ann"),
            ("Reject", "mia", {"Comment": "too long"}),
            ("StartSigning", "ann"),
            ("Approve", "mia"),
            days(2),
            ("Reject", "bert", {"Comment": "no"}),
        ),
        {"Days": 20, "Author": "ann"},
    ),
    Story("vacation_request", "Withdrawn", (("StartSigning", "ann"), hours(1), ("Withdraw", "ann")), {"Author": "ann"}),
    Story("vacation_request", "Approved by silence", (("StartSigning", "ann"), days(3), days(2), days(2), ("Approve", "bert")), {"Author": "ann"}),
    Story(
        "document_approval",
        "Published",
        (
            ("Submit", "ann"),
            ("Approve", "lara", {"note": "fine"}),
            ("SendBack", "carl", *told("which year?")),
            ("Resubmit", "ann"),
            ("Approve", "carl"),
            ("Approve", "dora"),
        ),
        {"Title": "Budget", "Amount": "12.50", "Author": "ann"},
    ),
    Story("document_approval", "Rejected", (("Submit", "ann"), ("Approve", "lara"), ("Reject", "dora", *told("no"))), {"Author": "ann"}),
    Story(
        "document_approval",
        "Rejected after six rounds",
        (("Submit", "ann"), *([("SendBack", "lara", *told("again")), ("Resubmit", "ann")] * 5), ("SendBack", "lara", *told("enough"))),
        {"Author": "ann"},
    ),
    Story("document_approval", "Withdrawn", (("Submit", "ann"), ("SendBack", "lara", *told("again")), days(14)), {"Author": "ann"}),
    Story("order", "Done", (), {"Amount": "99.90"}),
    Story(
        "order", "Done after a declined payment", (("Approve", "cleo"), hours(1), ("RetryPayment", None)), {"Amount": "5000", "Clerks": ["cleo"], "Declines": 1}
    ),
    Story("order", "Cancelled", (days(2),), {"Amount": "5000"}),
    Story("order", "Cancelled after a declined payment", (days(1), days(2)), {"Amount": "10", "Declines": 9}),
    Story(
        "content_publishing",
        "Veröffentlicht",
        (("Zur Prüfung geben", "otto"), timedelta(seconds=10), timedelta(seconds=10), ("Freigeben", "chris"), days(1)),
        {"seo:Titel": "Äpfel", "Polls": 2, "Sperrfrist": "2030-01-02T00:00:00Z"},
    ),
    Story(
        "content_publishing",
        "Verworfen",
        (("Zur Prüfung geben", "otto"), ("Freigeben", "chris"), ("Erneut rendern", "otto"), ("Verwerfen", "chris")),
        {"Länge": 30_000, "Broken": True},
    ),
    Story(
        "incident_escalation",
        "Closed",
        (
            timedelta(minutes=15),
            timedelta(minutes=15),
            timedelta(minutes=15),
            ("Acknowledge", "olga"),
            hours(2.25),
            ("Resolve", "olga", {"cause": "disk"}),
            ("Reopen", "olga"),
            days(3),
            ("Resolve", "lea", {"cause": "disk again"}),
            days(7),
        ),
        {"Summary": "shop is down"},
    ),
    Story("incident_escalation", "FalseAlarm", (("Acknowledge", "olga"), ("FalseAlarm", "lea")), {"Severity": 1}),
]

ROLES = {
    "manager": {"mia"},
    "big boss": {"bert"},
    "lawyer": {"lara"},
    "accountant": {"carl"},
    "director": {"dora"},
    "Autor": {"otto"},
    "Chefredaktion": {"chris"},
    "on-call": {"olga"},
    "lead": {"lea"},
}

host = Registry()


def has_role(process: Process, identity: str | None, parameter: str | None) -> bool:
    return identity in ROLES.get(parameter or "", ())


host.add_rule("Manager", has_role)
host.add_rule("CheckRole", has_role)


@host.rule("IsAuthor")
def is_author(process: Process, identity: str | None, parameter: str | None) -> bool:
    return identity == process.parameters.get("Author")


@host.action("CountRound")
def count_round(ctx: Any, parameter: str | None) -> None:
    ctx.parameters["Rounds"] += 1


@host.action("ChargePayment")
def charge(ctx: Any, parameter: str | None) -> None:
    declines = ctx.parameters.get("Declines", 0)
    ctx.parameters["PaymentDeclined"] = declines > 0
    ctx.parameters["Declines"] = max(declines - 1, 0)


for name in ("NotifyManager", "PublishDocument", "ShipOrder", "render:start", "notify: desk", "PageTeam", "TellOwners", "TellManagement"):

    @host.action(name)
    def write_down(ctx: Any, parameter: str | None, name: str = name) -> None:
        """What it was told is kept, so that the trace shows it."""
        ctx.parameters["Told"] = [*ctx.parameters.get("Told", []), name if parameter is None else f"{name}: {parameter}"]


@host.condition("render:ready")
def is_ready(ctx: Any, parameter: str | None) -> bool:
    patience = timedelta(seconds=10 * ctx.parameters.get("Polls", 0))
    return ctx.process.activity_since >= START + patience and not is_broken(ctx, parameter)


@host.condition("render:failed")
def is_broken(ctx: Any, parameter: str | None) -> bool:
    return bool(ctx.parameters.get("Broken"))


@pytest.fixture(scope="module", params=["yaml", "xml"])
def runtime(request: pytest.FixtureRequest) -> Iterator[WorkflowRuntime]:
    built = WorkflowRuntime("sqlite:///:memory:", clock=FakeClock(START)).with_registry(host)
    built.with_schemes(*sorted(SCHEMES.glob(f"*.{request.param}")))
    with built:
        yield built


def clock_of(runtime: WorkflowRuntime) -> FakeClock:
    clock = runtime._clock
    assert isinstance(clock, FakeClock)
    return clock


def lived(runtime: WorkflowRuntime, story: Story) -> str:
    clock_of(runtime).set(START)
    code = next(code for code in runtime.get_scheme_codes() if code.lower() == story.stem.replace("_", ""))
    process = runtime.create_instance(code, parameters=story.values, identity=story.values.get("Author"))
    for step in story.steps:
        if isinstance(step, timedelta):
            clock_of(runtime).advance(step)
        else:
            command, identity, *given = step
            result = runtime.execute_command(
                process.id, command, identity=identity, parameters=given[0] if given else None, check_restrictions=identity is not None
            )
            assert result.was_executed, f"{command}: {result.reason}\n{trace(runtime, process.id)}"
    return trace(runtime, process.id)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_each_story_is_told_as_it_was(runtime: WorkflowRuntime, story: Story) -> None:
    path, found = HERE / f"{story}.txt".replace(" ", "_"), lived(runtime, story)
    assert f"\nends Finalized at {story.final.split(' ')[0]}\n" in found
    if os.environ.get("WF_REWRITE"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8"), "if this is right, write it anew with WF_REWRITE=1"


def test_every_final_activity_of_every_scheme_has_its_story(runtime: WorkflowRuntime) -> None:
    told_of = {(story.stem.replace("_", ""), story.final.split(" ")[0]) for story in STORIES}
    finals = {(code.lower(), activity.name) for code in runtime.get_scheme_codes() for activity in runtime.get_scheme(code).activities if activity.is_final}
    assert finals == told_of


def test_there_is_no_trace_without_its_story() -> None:
    assert {path.name for path in HERE.glob("*.txt")} == {f"{story}.txt".replace(" ", "_") for story in STORIES}
