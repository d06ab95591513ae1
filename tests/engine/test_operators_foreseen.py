"""A dry run: of each process what would become of it, or what would refuse it, and nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from bench import WHO, Bench
from factories import server as server_row
from retried import Flaky, call

from workflow_runtime import OperationReport, Process, ProcessFilter, ProcessStatus, WorkflowError, WorkflowRuntime
from workflow_runtime.errors import ActionFailed, ActivityNotFound, NotResumable, ParameterError, ProcessBusy, ProcessNotFound, StaleRevision

TEXT = """
scheme: S
parameters: {N: {type: int, purpose: persistence}}
timers: {late: {interval: 1h}}
commands: {go: {}, end: {}}
activities:
  A: {initial: true, state: Open, set_state: true}
  B: {state: Busy, set_state: true, actions: [Note, CALL]}
  C: {}
  D: {}
  End: {final: true}
transitions:
  - {from: A, to: B, on: {command: go}}
  - {from: B, to: C}
  - {from: C, to: A, when: "1 = 2"}
  - {from: D, to: A, on: {timer: late}}
  - {from: A, to: End, on: {command: end}}
"""
ANYWHERE = ", on any server that executes its scheme"


def made(bench: Bench, flaky: Any = None, action: str = "Call") -> tuple[WorkflowRuntime, Process]:
    runtime = bench(TEXT.replace("CALL", action), actions={"Call": flaky or Flaky()})
    return runtime, runtime.create_instance("S")


def failed(bench: Bench, action: str = "Call") -> tuple[WorkflowRuntime, Process]:
    runtime, process = made(bench, Flaky(9), action)
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    return runtime, runtime.get_process(process.id)


Verb = Callable[..., Any]
VERBS: dict[str, Verb] = {
    "set_activity": lambda runtime, target, **more: runtime.set_activity(target, "B", **more, **WHO),
    "stand": lambda runtime, target, **more: runtime.set_activity(target, "B", execute=False, **more, **WHO),
    "set_state": lambda runtime, target, **more: runtime.set_state(target, "Busy", **more, **WHO),
    "resume": lambda runtime, target, **more: runtime.resume_process(target, **more, **WHO),
    "cancel": lambda runtime, target, **more: runtime.cancel_process(target, **more, **WHO),
    "delete": lambda runtime, target, **more: runtime.delete_process(target, **more, **WHO),
}
EVERYTHING = ProcessFilter(scheme_code="S")


def planned(runtime: WorkflowRuntime, one: UUID, verb: str) -> str:
    """By id and by filter the words are the same, and nothing is changed."""
    before, number = runtime.get_process(one), len(runtime.get_history(one))
    of_one: OperationReport = VERBS[verb](runtime, one, dry_run=True)
    of_all: OperationReport = VERBS[verb](runtime, EVERYTHING, dry_run=True)
    assert (of_one.dry_run, of_one.matched, of_one.done, of_one.requested, dict(of_one.failed)) == (True, (one,), (), (), {})
    assert of_all == of_one
    assert (runtime.get_process(one), len(runtime.get_history(one))) == (before, number)
    return of_one.planned[one]


# ------------------------------------------------------------------ what would become of it


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("set_activity", "enters 'B' with its actions 'Note', 'Call'"),
        ("set_state", "enters 'B' with its actions 'Note', 'Call'"),
        ("stand", "stands at 'B', Idled; no action runs and no transition is taken"),
        ("resume", "becomes Idled; no automatic transition leads out of 'A'"),
        ("cancel", "is Terminated at once, from Idled; it stands at 'A'"),
        ("delete", "is deleted with its timers and its journal; its history stays"),
    ],
)
def test_at_rest(bench: Bench, verb: str, words: str) -> None:
    runtime, process = made(bench)
    assert planned(runtime, process.id, verb) == words
    VERBS[verb](runtime, process.id)


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("set_activity", "enters 'B' with its actions 'Note', 'Call'; its walk to 'B' is given up"),
        ("resume", "goes on to 'B' with its action 'Call' (2 of 2), as attempt 1"),
        ("cancel", "is Terminated at once, from Error; it stands at 'A'"),
    ],
)
def test_with_a_walk_that_failed(bench: Bench, verb: str, words: str) -> None:
    runtime, process = failed(bench)
    assert planned(runtime, process.id, verb) == words


def test_a_client_says_that_others_will_do_it(bench: Bench) -> None:
    _, process = failed(bench)
    client = bench(client=True)
    assert planned(client, process.id, "resume") == f"goes on to 'B' with its action 'Call' (2 of 2), as attempt 1{ANYWHERE}"
    assert planned(client, process.id, "set_activity") == f"enters 'B' with its actions 'Note', 'Call'{ANYWHERE}; its walk to 'B' is given up"
    assert planned(client, process.id, "stand").startswith("stands at 'B', Idled")


def test_while_it_waits(bench: Bench) -> None:
    runtime, process = made(bench, Flaky(9), call("attempts: 9, delay: 9s"))
    runtime.execute_command(process.id, "go")
    assert planned(runtime, process.id, "cancel") == "is Terminated at once, while it waits; it stands at 'A'"
    assert planned(runtime, process.id, "resume").startswith("goes on to 'B' with its action 'Call' (2 of 2)")


@pytest.mark.parametrize(
    ("stands", "words"),
    [
        ("C", "tries the automatic transitions out of 'C'; where none can be taken it becomes Idled"),
        ("D", "becomes Idled; no automatic transition leads out of 'D'"),
        ("End", "becomes Finalized; it stands at the final activity 'End'"),
    ],
)
def test_resume_without_a_walk(bench: Bench, stands: str, words: str) -> None:
    runtime, process = made(bench)
    runtime.set_activity(process.id, stands, execute=False, **WHO)
    runtime.cancel_process(process.id, **WHO)
    assert planned(runtime, process.id, "resume") == words
    assert runtime.resume_process(process.id, **WHO).status == ("Finalized" if stands == "End" else "Idled")


def test_a_walk_whose_actions_are_all_done_arrives(bench: Bench) -> None:
    runtimes = list[WorkflowRuntime]()

    def cancel(ctx: Any, parameter: str | None) -> None:
        runtimes[0].cancel_process(ctx.process_id, **WHO)
        ctx.parameters["N"] = 1

    runtime, process = made(bench, cancel)
    runtimes.append(runtime)
    assert runtime.execute_command(process.id, "go").process.status is ProcessStatus.TERMINATED
    assert runtime.get_process(process.id).activity == "C"
    assert planned(runtime, process.id, "resume").startswith("tries the automatic transitions out of 'C'")


# ------------------------------------------------------------------ while a server executes it


def test_of_a_process_under_way_cancel_says_when_and_the_others_who_has_it(bench: Bench) -> None:
    said: dict[str, Any] = {}

    def look(ctx: Any, parameter: str | None) -> None:
        for name, verb in VERBS.items():
            try:
                said[name] = verb(client, ctx.process_id, dry_run=True)
            except WorkflowError as error:
                said[name] = error
            said[f"all: {name}"] = verb(client, EVERYTHING, dry_run=True)

    runtime = bench.built(TEXT.replace("CALL", "Call"), actions={"Call": look}).as_single_server("eu-1").start()
    client = bench(client=True)
    process = runtime.create_instance("S")
    runtime.execute_command(process.id, "go")
    words = "is Terminated at its next step boundary; server eu-1 executes it on the way to 'B'"
    assert said.pop("cancel").planned == said.pop("all: cancel").planned == {process.id: words}
    for name in ("set_activity", "stand", "set_state", "resume", "delete"):
        assert isinstance(said[name], ProcessBusy)
        assert dict(said[f"all: {name}"].failed) == {process.id: f"ProcessBusy: {said[name].message}"}
    assert runtime.get_process(process.id).activity == "C", "a dry run asks for nothing"


@pytest.mark.parametrize("known", [True, False], ids=["declared dead", "without a row"])
def test_of_a_process_whose_server_is_gone_cancel_says_that_recovery_does_it(bench: Bench, known: bool) -> None:
    runtime, process = made(bench)
    store = runtime._parts.engine.store
    if known:
        store.register(server_row("gone", name="eu-2", last_beat_at=process.created_at))
        store.declare_dead("gone", beat=0)
    with store.dialect.write() as transaction:
        transaction.driver.execute("UPDATE wf_process SET status = 1, owner = 'gone'")
    client = bench(client=True)
    name = "eu-2" if known else "gone"
    assert planned(client, process.id, "cancel") == f"is Terminated by the next recovery, which asks nobody: its server {name} is gone"


# ------------------------------------------------------------------ what would refuse it


def test_one_id_is_refused_as_the_deed_would_be(bench: Bench) -> None:
    runtime, process = failed(bench, "{action: Call, resumable: false}")
    cases: list[tuple[type[WorkflowError], Callable[..., Any]]] = [
        (NotResumable, lambda **more: runtime.resume_process(process.id, **more, **WHO)),
        (ActivityNotFound, lambda **more: runtime.set_activity(process.id, "Bee", **more, **WHO)),
        (ParameterError, lambda **more: runtime.set_activity(process.id, "B", parameters={"N": "no number"}, **more, **WHO)),
        (StaleRevision, lambda **more: runtime.delete_process(process.id, expected_revision=1_000, **more, **WHO)),
        (StaleRevision, lambda **more: runtime.set_state(process.id, "Busy", expected_revision=1_000, **more, **WHO)),
        (ProcessNotFound, lambda **more: runtime.cancel_process(uuid4(), **more, **WHO)),
    ]
    for kind, verb in cases:
        with pytest.raises(kind) as dry:
            verb(dry_run=True)
        with pytest.raises(kind) as real:
            verb()
        assert dry.value.nouns.keys() == real.value.nouns.keys()
    assert runtime.get_process(process.id) == process


def test_of_many_each_refusal_is_told_with_its_reason(bench: Bench) -> None:
    runtime, process = failed(bench, "{action: Call, resumable: false}")
    resting = runtime.create_instance("S")
    report = runtime.resume_process(EVERYTHING, dry_run=True, **WHO)
    assert (set(report.matched), set(report.planned), set(report.failed)) == ({process.id, resting.id}, {resting.id}, {process.id})
    told = report.failed[process.id]
    for word in ("NotResumable: ", str(process.id), "'Call'", "'B'", "set_activity"):
        assert word in told
    real = runtime.resume_process(EVERYTHING, **WHO)
    assert (real.done, dict(real.failed)) == ((resting.id,), dict(report.failed))


def test_a_row_that_cannot_be_read_is_refused_by_name_and_stops_nobody(bench: Bench) -> None:
    runtime, resting = made(bench)
    broken, nameless = runtime.create_instance("S"), runtime.create_instance("S")
    with sqlite3.connect(bench.url.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE wf_process SET parameters = '[' WHERE id = ?", (str(broken.id),))
        database.execute("UPDATE wf_process SET id = 'no id' WHERE id = ?", (str(nameless.id),))
    database.close()
    for dry_run in (True, False):
        report = runtime.cancel_process(EVERYTHING, dry_run=dry_run, **WHO)
        assert set(report.matched) == {resting.id, broken.id, "no id"}
        assert {one: told.partition(":")[0] for one, told in report.failed.items()} == {broken.id: "RowUnreadable", "no id": "ParameterError"}
        assert (set(report.planned), set(report.done)) == (({resting.id}, set()) if dry_run else (set(), {resting.id}))


def test_a_server_that_lacks_the_actions_says_so(bench: Bench) -> None:
    _, process = failed(bench)
    bench.opened[0].shutdown()
    other = bench()
    report = other.set_activity(EVERYTHING, "B", dry_run=True, **WHO)
    assert report.failed[process.id].startswith("ActionNotFound: this server has no 'Call'")  # type: ignore[union-attr]


# ------------------------------------------------------------------ filters


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_a_filter(bench: Bench, verb: str) -> None:
    runtime, first = made(bench)
    second = runtime.create_instance("S")
    report = VERBS[verb](runtime, ProcessFilter(scheme_code="S", status=ProcessStatus.IDLED))
    assert (set(report.matched), set(report.done), dict(report.failed), report.dry_run) == ({first.id, second.id}, {first.id, second.id}, {}, False)
    for one in (first, second):
        rows = list(runtime.get_history(one.id))
        assert ("olga", "test") in [(row.actor, row.reason) for row in rows]


def test_what_has_changed_since_it_was_found_is_left_alone(bench: Bench) -> None:
    """A filter means what it found: of the second process the action of the first makes another."""
    runtimes = list[WorkflowRuntime]()

    def end_the_other(ctx: Any, parameter: str | None) -> None:
        if runtimes[0].get_process(first.id).status is ProcessStatus.IDLED:
            runtimes[0].execute_command(first.id, "end")

    runtime, first = made(bench, end_the_other)
    runtimes.append(runtime)
    bench.clock.advance(1)
    second = runtime.create_instance("S")
    report = runtime.set_activity(ProcessFilter(activity="A"), "B", **WHO)
    assert isinstance(report, OperationReport)
    assert (report.matched, report.done, set(report.failed)) == ((second.id, first.id), (second.id,), {first.id})
    assert report.failed[first.id].startswith("StaleRevision: ")
    assert runtime.get_process(first.id).status is ProcessStatus.FINALIZED


def test_a_revision_is_that_of_one_process(bench: Bench) -> None:
    runtime, _ = made(bench)
    with pytest.raises(ParameterError, match="expected_revision"):
        runtime.cancel_process(EVERYTHING, expected_revision=1, **WHO)  # type: ignore[call-overload]


def test_a_cancel_of_many_tells_the_requested_from_the_done(bench: Bench) -> None:
    reports = list[OperationReport]()

    def cancel_all(ctx: Any, parameter: str | None) -> None:
        reports.append(client.cancel_process(EVERYTHING, **WHO))

    runtime, running = made(bench, cancel_all)
    resting, client = runtime.create_instance("S"), bench(client=True)
    runtime.execute_command(running.id, "go")
    assert (reports[0].done, reports[0].requested) == ((resting.id,), (running.id,))
    assert runtime.get_process(running.id).status is ProcessStatus.TERMINATED
