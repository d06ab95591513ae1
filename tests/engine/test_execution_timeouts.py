"""An activity may bound how long its actions take: what still runs then is given up, and what is declared happens."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from bench import WHO, Bench, engine_of, history, last, path_of, told
from overdue import PATIENCE, Hanging, behind, later, none_left, overdue, text
from test_commits import costs
from test_failures import Listener, Trouble

from workflow_runtime import ActionTimedOut, ErrorDecision, Process, ProcessStatus
from workflow_runtime.core.process import Change, ChangeKind
from workflow_runtime.engine.deadlines import Call
from workflow_runtime.errors import ActionFailed, Fenced
from workflow_runtime.store.changes import Applied
from workflow_runtime.store.writes import Store

S = ProcessStatus


# ------------------------------------------------------------------ in time


def test_what_ends_in_time_is_as_without_it(bench: Bench) -> None:
    hanging = Hanging(0)
    runtime = bench(text(actions="Call, Note, Call"), actions={"Call": hanging})
    process = runtime.create_instance("S")
    done = runtime.execute_command(process.id, "go").process
    assert (done.activity, done.status, done.last_error, done.token) == ("Next", S.IDLED, None, process.token + 1)
    assert hanging.deadlines == [later(30), later(30)], "one moment for all actions of the activity"
    bench.clock.advance(3600)
    assert path_of(runtime, process.id) == ["Rest", "Work", "Next"]


def test_without_one_there_is_no_deadline(bench: Bench) -> None:
    hanging = Hanging(0)
    runtime = bench(text().replace(", execution_timeout: {after: 30s, set_activity: Late}", ""), actions={"Call": hanging})
    runtime.execute_command(runtime.create_instance("S").id, "go")
    assert hanging.deadlines == [None]


def test_one_that_never_fires_costs_nothing(bench: Bench) -> None:
    written = []
    for scheme in (text(actions="Note, Note"), text(actions="Note, Note").replace("execution_timeout", "idle_timeout")):
        runtime = bench(scheme)
        process = runtime.create_instance("S")
        with costs(runtime) as cost:
            runtime.execute_command(process.id, "go")
        written.append((cost.commits, cost.reads, cost.written))
        runtime.shutdown()
    assert written[0] == written[1]
    assert written[0][0] == 3


# ------------------------------------------------------------------ the reactions


@pytest.mark.parametrize("reaction", ["set_activity: Late", "set_state: Overdue"])
def test_the_process_is_led_elsewhere(bench: Bench, hanging: Hanging, reaction: str) -> None:
    trouble = Trouble()
    runtime = bench(text(reaction), actions={"Call": hanging}, plugin=trouble)
    process = runtime.create_instance("S")
    result = overdue(bench, runtime, process, hanging)
    assert (result.was_executed, result.process.activity, result.process.status, bench.said) == (True, "Late", S.IDLED, ["Late"])
    assert told(runtime, process.id) == [("moved", "Rest", "Idled"), ("failed", "Rest", "Running"), ("moved", "Late", "Idled")]
    failed, moved = history(runtime, process.id)[1:]
    assert failed.error is not None
    assert (failed.error.type, failed.error.activity, failed.error.action) == ("workflow_runtime.errors.ActionTimedOut", "Work", "Call")
    assert failed.error.message.endswith(f"action 'Call' of activity 'Work' still ran at the deadline of its activity, {later(30).isoformat()}")
    assert re.search(r"It stood here:.*overdue\.py", failed.error.traceback, re.DOTALL)
    assert (moved.reason, moved.transition, trouble.errors) == ("the execution timeout", "", [])


def test_never_before_the_deadline(bench: Bench, hanging: Hanging) -> None:
    runtime = bench(text(), actions={"Call": hanging})
    process = runtime.create_instance("S")
    with behind(hanging) as call:
        future = call(runtime.execute_command, process.id, "go")
        hanging.has_begun()
        bench.clock.advance(29.999)
        assert engine_of(runtime).deadlines.left_behind == 0
        hanging.let_go()
        assert future.result(PATIENCE).process.activity == "Next"


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_it_is_repeated_so_often_and_then_it_is_a_failure(bench: Bench, hanging: Hanging, retries: int) -> None:
    heard = Listener()
    runtime = bench(text(f"retry: {retries}", actions="Note, Call"), actions={"Call": hanging}, plugin=heard)
    process = runtime.create_instance("S")
    with pytest.raises(ActionTimedOut) as caught:
        overdue(bench, runtime, process, hanging, times=retries + 1)
    assert (caught.value.process_id, caught.value.activity, caught.value.action) == (process.id, "Work", "Call")
    assert caught.value.deadline == later(30 * (retries + 1))
    assert isinstance(caught.value, ActionFailed)
    failed = runtime.get_process(process.id)
    assert (failed.status, failed.activity, failed.last_error and failed.last_error.message) == (S.ERROR, "Rest", caught.value.message)
    assert hanging.attempts == list(range(1, retries + 2))
    assert hanging.deadlines == [later(30 * number) for number in range(1, retries + 2)], "each attempt has the whole time"
    assert (len(set(hanging.keys)), bench.said) == (1, ["Work"]), "what is finished is not repeated"
    assert [entry.reason for entry in history(runtime, process.id) if entry.kind == "retry"] == [
        f"the execution timeout repeats it, {number} of {retries}" for number in range(1, retries + 1)
    ]
    assert [said for said in heard.heard if said[0] == "before"] == [("before", "Work")]


def test_a_repeated_one_that_ends_in_time_is_done(bench: Bench) -> None:
    hanging = Hanging(1)
    runtime = bench(text("retry: 3"), actions={"Call": hanging})
    process = runtime.create_instance("S")
    with behind(hanging):
        assert overdue(bench, runtime, process, hanging).process.activity == "Next"
    assert (hanging.attempts, runtime.get_process(process.id).last_error) == ([1, 2], None)


def test_the_status_rule_says_terminated_where_nothing_leads_out(bench: Bench, hanging: Hanging) -> None:
    scheme = text("retry: 0").replace("Rest: {initial: true}", "Rest: {}").replace("Work: {", "Work: {initial: true, ")
    runtime = bench(scheme, actions={"Call": hanging})
    with behind(hanging) as call:
        future = call(runtime.create_instance, "S")
        hanging.has_begun()
        bench.clock.advance(30)
        with pytest.raises(ActionTimedOut):
            future.result(PATIENCE)
    (process,) = runtime.find_processes()
    assert (process.status, process.activity) == (S.TERMINATED, "")


def test_a_person_who_resumes_it_gives_it_the_whole_time_again(bench: Bench) -> None:
    hanging = Hanging(1)
    runtime = bench(text("retry: 0"), actions={"Call": hanging})
    process = runtime.create_instance("S")
    with behind(hanging):
        with pytest.raises(ActionTimedOut):
            overdue(bench, runtime, process, hanging)
        resumed = runtime.resume_process(process.id, **WHO)
    assert resumed.activity == "Next"  # type: ignore[union-attr]
    assert (hanging.attempts, hanging.deadlines) == ([1, 1], [later(30), later(60)])


@pytest.mark.parametrize("reaction", ["retry: 0", "set_activity: Late"])
def test_who_sends_the_request_again_gets_the_same_answer(bench: Bench, hanging: Hanging, reaction: str) -> None:
    runtime = bench(text(reaction), actions={"Call": hanging})
    process = runtime.create_instance("S")

    def go() -> tuple[str, Any]:
        try:
            return "done", runtime.execute_command(process.id, "go", idempotency_key="k").process.activity
        except ActionTimedOut as error:
            return "late", (error.message, error.deadline, error.activity, error.action)

    with behind(hanging) as call:
        future = call(go)
        hanging.has_begun()
        bench.clock.advance(30)
        first = future.result(PATIENCE)
    assert first[0] == ("done" if "Late" in reaction else "late")
    assert (go(), hanging.attempts) == (first, [1])


def test_all_actions_together_must_end_in_time(bench: Bench) -> None:
    def slow(ctx: Any, parameter: str | None) -> None:
        passed(bench, 20)

    runtime = bench(text(actions="Slow, Slow, Note"), actions={"Slow": slow})
    process = runtime.create_instance("S")
    assert runtime.execute_command(process.id, "go").process.activity == "Late"
    assert bench.said == ["Late"]
    failed = history(runtime, process.id)[1]
    assert failed.error is not None
    assert failed.error.message.endswith(f"action 'Note' of activity 'Work' had not begun at the deadline of its activity, {later(30).isoformat()}")


def passed(bench: Bench, seconds: float) -> None:
    """The clock has moved on, and nobody has looked at it yet."""
    bench.clock._now += timedelta(seconds=seconds)
    bench.clock._passed += timedelta(seconds=seconds)


# ------------------------------------------------------------------ handlers and the hook


def test_the_handlers_come_behind_the_last_repetition(bench: Bench, hanging: Hanging) -> None:
    handlers = ", on_error: [{retry: 5}, {ignore: true}, {catch: [TimeoutError], set_activity: Next}, {catch: [ActionTimedOut], set_activity: Late}]"
    runtime = bench(text("retry: 1", more=handlers), actions={"Call": hanging})
    process = runtime.create_instance("S")
    assert overdue(bench, runtime, process, hanging, times=2).process.activity == "Late"
    assert (last(runtime, process.id).reason, hanging.attempts) == ("exception handler 4", [1, 2])


def test_a_declared_way_goes_before_the_handlers(bench: Bench, hanging: Hanging) -> None:
    runtime = bench(text(more=", on_error: [{set_activity: Next}]"), actions={"Call": hanging})
    assert overdue(bench, runtime, runtime.create_instance("S"), hanging).process.activity == "Late"


def test_the_hook_is_asked_last(bench: Bench, hanging: Hanging) -> None:
    trouble = Trouble(ErrorDecision(activity="Late"))
    runtime = bench(text("retry: 0"), actions={"Call": hanging}, plugin=trouble)
    assert overdue(bench, runtime, runtime.create_instance("S"), hanging).process.activity == "Late"
    assert [type(error) for error in trouble.errors] == [ActionTimedOut]


# ------------------------------------------------------------------ what an abandoned action may still do


def test_the_token_is_raised_before_anything_else_happens(bench: Bench, hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    apply, written = Store.apply, list[tuple[ChangeKind, int]]()

    def noting(store: Store, change: Change, **how: Any) -> Applied:
        applied = apply(store, change, **how)
        assert change.after is not None
        written.append((change.kind, change.after.token))
        return applied

    runtime = bench(text(), actions={"Call": hanging})
    process = runtime.create_instance("S")
    monkeypatch.setattr(Store, "apply", noting)
    overdue(bench, runtime, process, hanging)
    first = process.token + 1
    assert written == [(ChangeKind.CLAIM, first), (ChangeKind.ABANDON, first + 1), (ChangeKind.ARRIVE, first + 1), (ChangeKind.ARRIVE, first + 1)]


def test_a_step_that_was_under_way_is_not_stored(bench: Bench) -> None:
    """It began before the action was given up, and ends behind it: the token that it began with decides."""
    inner, made = Hanging(), list[str]()

    def act(ctx: Any, parameter: str | None) -> None:
        try:
            ctx.step("long", inner, ctx, None)
        except Exception as error:
            made.append(f"{type(error).__name__}: {error}")
            raise

    runtime = bench(text("retry: 0"), actions={"Call": act})
    process = runtime.create_instance("S")
    with behind(inner):
        with pytest.raises(ActionTimedOut):
            overdue(bench, runtime, process, inner)
        before = runtime.get_process(process.id)
        inner.let_go()
        none_left(runtime)
    assert made == [
        f"Fenced: process {process.id} (S): action 'Call' of activity 'Work' was given up at its deadline; "
        "nothing more of it is stored, and no step of it begins"
    ]
    assert runtime.get_process(process.id) == before
    assert engine_of(runtime).store.journal(process.id, before.walk.id if before.walk else "") == ()


@pytest.mark.parametrize(
    "at_last",
    [
        lambda ctx: ctx.step("new", lambda: pytest.fail("begun")),
        lambda ctx: ctx.parameters.update(Late=True),
        lambda ctx: ctx.parameters.setdefault("Late", True),
        lambda ctx: ctx.parameters.__setitem__("Late", True),
    ],
    ids=["step", "update", "setdefault", "item"],
)
def test_it_is_told_that_it_was_given_up(bench: Bench, at_last: Callable[[Any], object]) -> None:
    hanging = Hanging(at_last=at_last)
    runtime = bench(text(), actions={"Call": hanging})
    process = runtime.create_instance("S")
    after = overdue(bench, runtime, process, hanging).process
    hanging.let_go()
    ended = hanging.ending()
    assert isinstance(ended, Fenced)
    assert (ended.process_id, ended.activity, ended.action) == (process.id, "Work", "Call")
    none_left(runtime)
    assert runtime.get_process(process.id) == after


@pytest.mark.parametrize("outcome", [lambda ctx: ctx.parameters.pop("a", None), lambda ctx: 1 / 0, lambda ctx: (_ for _ in ()).throw(SystemExit(3))])
def test_what_comes_of_it_is_dropped(bench: Bench, outcome: Callable[[Any], object]) -> None:
    hanging = Hanging(at_last=outcome)
    runtime = bench(text(), actions={"Call": hanging})
    after = overdue(bench, runtime, runtime.create_instance("S", parameters={"a": 1}), hanging).process
    hanging.let_go()
    none_left(runtime)
    assert runtime.get_process(after.id) == after


def test_one_that_had_not_begun_when_it_was_given_up_does_not_begin(bench: Bench) -> None:
    """What its parameter is made of comes from outside, and does not come."""
    hanging, called = Hanging(), list[str | None]()

    def outside(process: Process, name: str) -> Any:
        if name == "Rate":
            hanging(SimpleNamespace(attempt=1, idempotency_key="", deadline=None), None)
        return 5 if name == "Rate" else None

    runtime = bench(text(actions='{Call: "@Rate"}'), actions={"Call": lambda ctx, parameter: called.append(parameter)}, external=outside)
    process = runtime.create_instance("S")
    assert overdue(bench, runtime, process, hanging).process.activity == "Late"
    hanging.let_go()
    none_left(runtime)
    assert called == []


def test_finished_steps_are_not_repeated(bench: Bench) -> None:
    made, hanging = list[str](), Hanging(1)

    def act(ctx: Any, parameter: str | None) -> None:
        ctx.step("one", made.append, "one")
        hanging(ctx, parameter)

    runtime = bench(text("retry: 1"), actions={"Call": act})
    with behind(hanging):
        assert overdue(bench, runtime, runtime.create_instance("S"), hanging).process.activity == "Next"
    assert made == ["one"]


# ------------------------------------------------------------------ races


def test_what_has_ended_counts_however_late_it_was(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline has passed, and nobody has given it up yet: who waits has looked at the clock before it moved."""
    waits, wait = threading.Event(), Call.wait

    def waiting(call: Call[Any], seconds: float | None) -> None:
        waits.set()
        wait(call, seconds)

    monkeypatch.setattr(Call, "wait", waiting)
    hanging = Hanging(at_last=lambda ctx: ctx.parameters.update(Done=True))
    runtime = bench(text(), actions={"Call": hanging})
    process = runtime.create_instance("S")
    with behind(hanging) as call:
        future = call(runtime.execute_command, process.id, "go")
        hanging.has_begun()
        assert waits.wait(PATIENCE)
        passed(bench, 31)
        hanging.let_go()
        done = future.result(PATIENCE).process
    bench.clock.advance(0)
    assert (done.activity, dict(done.parameters)) == ("Next", {"Done": True})
    assert runtime.get_process(process.id) == done


def test_what_was_given_up_does_not_count_however_soon_it_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who moved the clock has decided; before the thread that waits can act on it, the action returns."""
    hanging = Hanging(at_last=lambda ctx: ctx.parameters.pop("a"))
    runtime = bench(text(), actions={"Call": hanging})
    process, deadlines = runtime.create_instance("S", parameters={"a": 1}), engine_of(runtime).deadlines
    wait, seen = deadlines._wait, list[int]()

    def late(call: Any, due: float) -> None:
        wait(call, due)
        hanging.let_go()
        hanging.ending()
        none_left(runtime)
        seen.append(deadlines.left_behind)

    monkeypatch.setattr(deadlines, "_wait", late)
    after = overdue(bench, runtime, process, hanging).process
    assert (after.activity, dict(after.parameters), seen) == ("Late", {"a": 1}, [0])


def test_a_cancel_goes_before_the_reaction(bench: Bench, hanging: Hanging) -> None:
    runtime = bench(text("retry: 9"), actions={"Call": hanging})
    process = runtime.create_instance("S")
    with behind(hanging) as call:
        future = call(runtime.execute_command, process.id, "go")
        hanging.has_begun()
        assert runtime.cancel_process(process.id, **WHO).status is S.RUNNING  # type: ignore[union-attr]
        bench.clock.advance(30)
        assert future.result(PATIENCE).process.status is S.TERMINATED
    assert (hanging.attempts, last(runtime, process.id).kind) == ([1], "cancelled")


def test_an_interruption_of_who_waits_gives_it_up_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = Hanging(at_last=lambda ctx: ctx.step("late", str))
    runtime = bench(text("retry: 9"), actions={"Call": hanging})
    process = runtime.create_instance("S")

    def interrupted(call: Any, due: float) -> None:
        hanging.has_begun()
        raise KeyboardInterrupt

    monkeypatch.setattr(engine_of(runtime).deadlines, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runtime.execute_command(process.id, "go")
    failed = runtime.get_process(process.id)
    assert (failed.status, failed.last_error and failed.last_error.type, failed.token) == (S.ERROR, "KeyboardInterrupt", process.token + 2)
    hanging.let_go()
    assert isinstance(hanging.ending(), Fenced)
    none_left(runtime)


# ------------------------------------------------------------------ what it costs


@pytest.mark.parametrize(("reaction", "times", "commits"), [("set_activity: Late", 1, 4), ("retry: 0", 1, 3), ("retry: 2", 2, 2 + 2 * 2)])
def test_giving_up_is_one_commit_and_a_repetition_another(bench: Bench, monkeypatch: pytest.MonkeyPatch, reaction: str, times: int, commits: int) -> None:
    """The claim, each time that it is given up, each repetition, and what ends the walk."""
    hanging = Hanging(2)
    runtime = bench(text(reaction), actions={"Call": hanging})
    process, apply, kinds = runtime.create_instance("S"), Store.apply, list[ChangeKind]()
    monkeypatch.setattr(Store, "apply", lambda store, change, **how: (kinds.append(change.kind), apply(store, change, **how))[1])
    with behind(hanging) as call:
        future = call(runtime.execute_command, process.id, "go")
        for _ in range(times):
            hanging.has_begun()
            bench.clock.advance(30)
        assert (future.exception(PATIENCE) is None) == (reaction != "retry: 0")
    assert (len(kinds), kinds.count(ChangeKind.ABANDON)) == (commits, times)
