"""An action that raises: the chain of errors, what history keeps, what a hook decides, what is never swallowed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from bench import WHO, Bench, engine_of, history, last, path_of, told
from test_actions import text

from workflow_runtime import ErrorDecision, Process, ProcessStatus, WorkflowRuntime, hookimpl
from workflow_runtime.errors import ActionFailed, Fenced, StoreUnavailable


class Trouble:
    """Answers workflow_error."""

    def __init__(self, decision: Any = None) -> None:
        self.decision, self.errors, self.processes = decision, list[BaseException](), list[Process]()

    @hookimpl
    def workflow_error(self, process: Process, error: BaseException) -> Any:
        self.errors.append(error)
        self.processes.append(process)
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision


class Listener:
    """Hears of every change."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    @hookimpl
    def process_status_changed(self, process: Process, old: ProcessStatus | None, new: ProcessStatus) -> None:
        self.heard.append(("status", old and str(old), str(new), process.revision))

    @hookimpl
    def process_activity_changed(self, process: Process, previous: str, current: str, transition: str | None) -> None:
        self.heard.append(("activity", previous, current, transition))

    @hookimpl
    def before_activity_execution(self, process: Process, activity: str) -> None:
        self.heard.append(("before", activity))


def raising(error: BaseException) -> Callable[[Any, Any], Any]:
    def act(ctx: Any, parameter: str | None) -> None:
        raise error

    return act


def failing(bench: Bench, scheme: str, error: type[BaseException] = ActionFailed, **given: Any) -> tuple[WorkflowRuntime, Process, BaseException]:
    runtime = bench(scheme, **given)
    process = runtime.create_instance("S")
    with pytest.raises(error) as caught:
        runtime.execute_command(process.id, "go", identity="ann")
    assert len(engine_of(runtime).live) == 0
    return runtime, runtime.get_process(process.id), caught.value


def test_the_caller_gets_action_failed_chained_to_the_original(bench: Bench) -> None:
    original = ValueError("no stock")
    _, process, error = failing(bench, text("Note", "Break"), actions={"Break": raising(original)})
    assert isinstance(error, ActionFailed)
    assert error.__cause__ is original
    assert (error.process_id, error.scheme_code, error.activity, error.action) == (process.id, "S", "Work", "Break")
    assert str(process.id) in str(error)
    assert "ValueError: no stock" in str(error)
    assert (process.status, process.activity, process.owner) == (ProcessStatus.ERROR, "Rest", None)
    assert process.walk is not None
    assert (process.walk.activity, process.walk.step) == ("Work", 1)


def test_type_message_and_traceback_are_kept(bench: Bench) -> None:
    runtime, process, _ = failing(bench, text("Fail"))
    info = process.last_error
    assert info is not None
    assert (info.type, info.message, info.activity, info.action) == ("ValueError", "broken on purpose", "Work", "Fail")
    assert "Traceback" in info.traceback
    assert "bench.py" in info.traceback
    entry = last(runtime, process.id)
    assert (entry.kind, entry.error, entry.trigger.name, entry.identity, entry.from_activity, entry.to_activity) == (
        "failed",
        info,
        "go",
        "ann",
        "Rest",
        "Rest",
    )


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("\udc80 \x00 \u202e"), "\udc80 \x00 \u202e"),
        (ValueError("x" * 1_000_000), "x" * 2_000),
        (ValueError(), ""),
        (Unprintable(), "<Unprintable that cannot be shown>"),
        (KeyError("name"), "'name'"),
    ],
    ids=["no text of a database", "long", "empty", "unprintable", "key"],
)
def test_any_message_is_kept_as_well_as_it_can_be(bench: Bench, error: Exception, message: str) -> None:
    _, process, _ = failing(bench, text("Break"), actions={"Break": raising(error)})
    assert process.last_error is not None
    assert (process.status, process.last_error.message) == (ProcessStatus.ERROR, message)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_reaches_the_host_and_the_process_is_broken_off(bench: Bench, error: type[BaseException]) -> None:
    trouble = Trouble(ErrorDecision.suppressed())
    runtime, process, _ = failing(bench, text("Note", "Break"), error, actions={"Break": raising(error())}, plugin=trouble)
    assert (process.status, process.activity) == (ProcessStatus.ERROR, "Rest")
    assert last(runtime, process.id).error.type == error.__name__  # type: ignore[union-attr]
    assert trouble.errors == []


def test_an_action_that_fails_at_creation_leaves_the_process(bench: Bench) -> None:
    scheme = text("Note").replace("Rest: {initial: true, ", "Rest: {initial: true, actions: [Fail], ")
    runtime = bench(scheme)
    with pytest.raises(ActionFailed) as caught:
        runtime.create_instance("S", parameters={"a": 1})
    process = runtime.get_process(caught.value.process_id)
    assert (process.status, process.activity, process.state, dict(process.parameters)) == (ProcessStatus.TERMINATED, "", "", {"a": 1})
    assert told(runtime, process.id) == [("failed", "", "Terminated")]


def test_an_error_of_another_process_is_the_failure_of_this_action(bench: Bench) -> None:
    other: list[Any] = []

    def nested(ctx: Any, parameter: str | None) -> None:
        if not other:
            other.append(bench.opened[0].create_instance("S"))
            bench.opened[0].execute_command(other[0].id, "go")
        raise ValueError("the other")

    runtime, process, error = failing(bench, text("Nested"), actions={"Nested": nested})
    assert isinstance(error, ActionFailed)
    assert error.process_id == process.id
    assert isinstance(error.__cause__, ActionFailed)
    assert error.__cause__.process_id == other[0].id
    assert [runtime.get_process(one).status for one in (process.id, other[0].id)] == [ProcessStatus.ERROR] * 2


def test_a_store_error_that_is_not_of_this_process_is_the_failure_of_this_action(bench: Bench) -> None:
    for error in (Fenced(process_id="another"), StoreUnavailable("the archive is away")):
        bench.opened.clear()
        _, process, caught = failing(bench, text("Break"), actions={"Break": raising(error)})
        assert caught.__cause__ is error
        assert process.status is ProcessStatus.ERROR
        bench.close()


# ------------------------------------------------------------------ the hook


def test_the_hook_may_choose_an_activity_and_nobody_hears_of_the_error(bench: Bench) -> None:
    trouble = Trouble(ErrorDecision.set_activity("Next"))
    runtime = bench(text("Note", "Fail", then="[Look]"), actions={"Look": lambda ctx, parameter: bench.said.append(ctx.parameters["Comment"])}, plugin=trouble)
    process = runtime.create_instance("S")
    result = runtime.execute_command(process.id, "go", identity="ann", parameters={"Comment": "sea"})
    assert (result.was_executed, result.process.activity, result.process.status, result.process.last_error) == (True, "Next", ProcessStatus.IDLED, None)
    assert bench.said == ["Work", "sea"]
    assert [type(error) for error in trouble.errors] == [ValueError]
    assert trouble.processes[0].activity == "Rest"
    failed, moved = history(runtime, process.id)[1:]
    assert (failed.kind, failed.status, failed.error.message) == ("failed", "Running", "broken on purpose")  # type: ignore[union-attr]
    assert (moved.to_activity, moved.reason, moved.identity, moved.transition) == ("Next", "workflow_error", "ann", "")


def test_the_hook_may_keep_the_error_from_the_caller(bench: Bench) -> None:
    runtime = bench(text("Fail"), plugin=Trouble(ErrorDecision.suppressed()))
    process = runtime.create_instance("S")
    assert runtime.execute_command(process.id, "go").process.status is ProcessStatus.ERROR
    assert last(runtime, process.id).kind == "failed"


@pytest.mark.parametrize("answer", [None, "nonsense", ValueError("the hook is broken"), ErrorDecision.set_activity("nowhere")], ids=str)
def test_no_answer_or_nonsense_is_the_status_rule(bench: Bench, answer: Any) -> None:
    _, process, _ = failing(bench, text("Fail"), plugin=Trouble(answer))
    assert process.status is ProcessStatus.ERROR


def test_an_activity_that_fails_too_is_not_entered_for_ever(bench: Bench) -> None:
    trouble = Trouble(ErrorDecision.set_activity("Work"))
    _, process, _ = failing(bench, text("Fail"), plugin=trouble, max_automatic_steps=5)
    assert (process.status, process.activity) == (ProcessStatus.ERROR, "Rest")
    assert len(trouble.errors) == 6


# ------------------------------------------------------------------ fenced


def taken_over(bench: Bench) -> Callable[[Any, Any], Any]:
    """Another server takes the process over while the action runs."""

    def act(ctx: Any, parameter: str | None) -> None:
        with engine_of(bench.opened[0]).store.dialect.write() as transaction:
            transaction.driver.execute("UPDATE wf_process SET owner = 'another', token = token + 1")
        if parameter:
            try:
                ctx.step("mail", bench.said.append, "sent")
            except Fenced:
                bench.said.append("swallowed")
        if parameter == "raise":
            raise ValueError("and raised")

    return act


@pytest.mark.parametrize("parameter", ["", "swallow", "raise"])
def test_who_was_taken_over_writes_nothing_more(bench: Bench, parameter: str) -> None:
    trouble = Trouble(ErrorDecision.suppressed())
    runtime = bench(text(f"{{Take: '{parameter}'}}" if parameter else "Take", "Note"), actions={"Take": taken_over(bench)}, plugin=trouble)
    process = runtime.create_instance("S")
    with pytest.raises(Fenced):
        runtime.execute_command(process.id, "go")
    stored = runtime.get_process(process.id)
    assert (stored.status, stored.owner, stored.activity) == (ProcessStatus.RUNNING, "another", "Rest")
    assert bench.said == (["sent", "swallowed"] if parameter else [])
    assert (trouble.errors, path_of(runtime, process.id)) == ([], ["Rest"])


# ------------------------------------------------------------------ listeners


def test_listeners_hear_what_was_committed_and_its_revision(bench: Bench) -> None:
    listener = Listener()
    runtime = bench(text("Note"), plugin=listener)
    process = runtime.create_instance("S")
    assert listener.heard == [("activity", "", "Rest", None), ("status", None, "Idled", 1)]
    listener.heard.clear()
    runtime.execute_command(process.id, "go")
    assert listener.heard == [
        ("status", "Idled", "Running", 2),
        ("before", "Work"),
        ("activity", "Rest", "Work", "Rest_Work_1"),
        ("activity", "Work", "Next", "Work_Next_1"),
        ("status", "Running", "Idled", 3),
    ]


def test_a_listener_that_raises_breaks_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Listener):
        @hookimpl
        def process_activity_changed(self, process: Process, previous: str, current: str, transition: str | None) -> None:
            raise ValueError("deaf")

    runtime = bench(text("Note"), plugin=Broken())
    assert runtime.execute_command(runtime.create_instance("S").id, "go").process.activity == "Next"
    assert "process_activity_changed" in caplog.text


class Interrupting:
    """Ctrl-C arrives while the listeners hear of a status."""

    def __init__(self, at: ProcessStatus) -> None:
        self.at = at

    @hookimpl
    def process_status_changed(self, process: Process, old: ProcessStatus | None, new: ProcessStatus) -> None:
        if new is self.at and old is not None:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("scheme", "command", "at", "becomes"),
    [
        (text("Note"), "out", ProcessStatus.FINALIZED, ProcessStatus.FINALIZED),
        (text("Note"), "go", ProcessStatus.IDLED, ProcessStatus.IDLED),
        (text("Note"), "go", ProcessStatus.RUNNING, ProcessStatus.ERROR),
    ],
)
def test_an_interruption_after_the_last_commit_leaves_the_process_at_rest(
    bench: Bench, scheme: str, command: str, at: ProcessStatus, becomes: ProcessStatus
) -> None:
    runtime = bench(scheme, plugin=Interrupting(at))
    process = runtime.create_instance("S")
    with pytest.raises(KeyboardInterrupt):
        runtime.execute_command(process.id, command)
    stored = runtime.get_process(process.id)
    assert (stored.status, stored.owner) == (becomes, None)
    assert (last(runtime, process.id).kind == "failed") is (becomes is ProcessStatus.ERROR)


def test_an_alarm_clock_that_cannot_be_set_breaks_nothing_off(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    scheme = text("Note", head="timers: {late: {interval: 1h}}") + "  - {from: Next, to: End, on: {timer: late}}\n"
    runtime = bench(scheme)
    process = runtime.create_instance("S")

    def broken(when: datetime) -> None:
        raise RuntimeError("no more threads")

    engine_of(runtime).wake_at = broken
    assert runtime.execute_command(process.id, "go").process.status is ProcessStatus.IDLED
    assert (runtime.get_process(process.id).status, last(runtime, process.id).kind) == (ProcessStatus.IDLED, "moved")
    assert "no more threads" in caplog.text


def test_resumed_by_a_person_who_stands_in_the_failure_too(bench: Bench) -> None:
    runtime, process, _ = failing(bench, text("Fail"))
    with pytest.raises(ActionFailed):
        runtime.resume_process(process.id, **WHO)
    entry = last(runtime, process.id)
    assert (entry.kind, entry.actor, entry.reason) == ("failed", "olga", "test")
