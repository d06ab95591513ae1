"""A scheme version that cannot be read: its processes are shown, cancelled and deleted, and hide no others."""

from __future__ import annotations

import sqlite3
from typing import Any
from uuid import UUID

import pytest
from bench import WHO, Bench, history

from workflow_runtime import Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.errors import SchemeError, SchemeNotFound

TEXT = """
scheme: {code}
commands: {{go: {{}}}}
activities: {{A: {{initial: true, set_state: true, state: Open}}, B: {{}}}}
transitions: [{{from: A, to: B, on: {{command: go}}, when: "1 = 1"}}]
"""

DAMAGES = [
    "UPDATE wf_scheme SET text = 'scheme: [' WHERE code = 'Bad'",
    """UPDATE wf_scheme SET text = replace(text, '1 = 1', '1 = = 1') WHERE code = 'Bad'""",
    "UPDATE wf_scheme SET format = 'stone' WHERE code = 'Bad'",
    "DELETE FROM wf_scheme WHERE code = 'Bad'",
]


def damaged(bench: Bench, statement: str, **given: Any) -> tuple[WorkflowRuntime, Process, Process]:
    """Started anew after somebody has damaged the scheme of the second process."""
    first = bench(TEXT.format(code="Good"), TEXT.format(code="Bad"))
    good, bad = first.create_instance("Good"), first.create_instance("Bad")
    first.shutdown()
    damage(bench, statement)
    return bench(**given) if given else bench(TEXT.format(code="Good")), good, bad


def damage(bench: Bench, statement: str, *values: Any) -> None:
    with sqlite3.connect(bench.url.removeprefix("sqlite:///")) as database:
        database.execute(statement, values)
        assert database.total_changes == 1
    database.close()


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize("statement", DAMAGES)
def test_its_processes_are_shown_without_it_and_hide_no_others(bench: Bench, statement: str, client: bool) -> None:
    runtime, good, bad = damaged(bench, statement, **{"client": True} if client else {})
    page = runtime.find_processes()
    assert {process.id: process.scheme is None for process in page} == {good.id: False, bad.id: True}
    assert page.unreadable == ()
    shown = runtime.get_process(bad.id)
    assert (shown, shown.scheme, runtime.get_parameters(bad.id)) == (bad, None, {})


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize("statement", DAMAGES)
def test_its_processes_can_be_cancelled_and_deleted(bench: Bench, statement: str, client: bool) -> None:
    runtime, _, bad = damaged(bench, statement, **{"client": True} if client else {})
    assert runtime.cancel_process(bad.id, **WHO).status is ProcessStatus.TERMINATED
    assert runtime.delete_process(bad.id, **WHO).id == bad.id
    assert [(row.kind, row.actor) for row in history(runtime, bad.id)[1:]] == [("cancelled", "olga"), ("deleted", "olga")]
    assert runtime.count_processes() == 1


def what_needs_it(runtime: WorkflowRuntime, one: UUID) -> list[Any]:
    return [
        lambda: runtime.execute_command(one, "go"),
        lambda: runtime.get_available_commands(one),
        lambda: runtime.get_available_states(one),
        lambda: runtime.set_activity(one, "A", **WHO),
        lambda: runtime.set_state(one, "Open", **WHO),
        lambda: runtime.resume_process(one, **WHO),
        lambda: runtime.set_parameter(one, "x", 1, **WHO),
    ]


@pytest.mark.parametrize("statement", DAMAGES)
def test_what_needs_the_scheme_says_that_it_cannot_be_read(bench: Bench, statement: str) -> None:
    runtime, _, bad = damaged(bench, statement)
    for call in what_needs_it(runtime, bad.id):
        with pytest.raises((SchemeError, SchemeNotFound)):
            call()
    assert runtime.get_process(bad.id) == bad


def test_rows_that_cannot_be_read_are_named_on_their_page(bench: Bench) -> None:
    runtime = bench(TEXT.format(code="Good"))
    good, bad = runtime.create_instance("Good"), runtime.create_instance("Good")
    damage(bench, "UPDATE wf_process SET parameters = '{' WHERE id = ?", str(bad.id))
    page = runtime.find_processes()
    assert (list(page), page.unreadable) == ([good], (str(bad.id),))
