"""The deadline of an activity stands in the walk: waits, restarts and other servers do not move it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bench import NOW, WHO, Bench, engine_of, history, last, path_of
from orphanage import PAYING, SCHEME, START, Answer, Orphanage
from overdue import PATIENCE, Hanging, behind, later, none_left, overdue, text
from retried import Flaky, call
from waiting import until

from workflow_runtime import ProcessStatus, WorkflowRuntime
from workflow_runtime.core.restoring import RestoreDecision
from workflow_runtime.errors import ActionTimedOut, NotResumable, OutcomeUnknown
from workflow_runtime.testing.clock import FakeClock

S = ProcessStatus
HALF = timedelta(seconds=15)
BOUNDED = SCHEME.replace("[Charge, Mail]}", "[Charge, Mail], execution_timeout: {after: 30s, set_activity: Waiting}}")


# ------------------------------------------------------------------ waits of a retry policy


def test_a_long_wait_counts_and_ends_at_the_deadline(bench: Bench) -> None:
    flaky = Flaky(9)
    runtime = bench(text(actions=call("attempts: 9, delay: 20s")), actions={"Call": flaky})
    process = runtime.execute_command(runtime.create_instance("S").id, "go").process
    assert process.waiting_until == later(20)
    bench.clock.advance(20)
    waiting = runtime.get_process(process.id)
    assert (flaky.attempts, waiting.waiting_until) == ([1, 2], later(30)), "not 20 + 40 s: what is to happen then happens then"
    bench.clock.advance(9.999)
    assert runtime.get_process(process.id) == waiting
    bench.clock.advance(0.001)
    assert (runtime.get_process(process.id).activity, flaky.attempts) == ("Late", [1, 2])
    reasons = [entry.reason for entry in history(runtime, process.id) if entry.kind == "retry"]
    assert reasons == [
        f"attempt 1 failed; the next follows at {later(20).isoformat()}",
        f"attempt 2 failed; the deadline comes before the next, at {later(30).isoformat()}",
    ]


def test_a_short_rest_of_the_time_is_waited_for_too(bench: Bench) -> None:
    flaky = Flaky(9)
    runtime = bench(text(after="500ms", actions=call("attempts: 9, delay: 20s")), actions={"Call": flaky})
    assert runtime.execute_command(runtime.create_instance("S").id, "go").process.activity == "Late"
    assert flaky.attempts == [1]


def test_with_the_clock_of_the_machine_too(bench: Bench) -> None:
    flaky = Flaky(9)
    runtime = bench(text(after="50ms", actions=call("attempts: 9, delay: 900ms, factor: 1")), actions={"Call": flaky}, real_time=True)
    assert runtime.execute_command(runtime.create_instance("S").id, "go").process.activity == "Late"
    assert len(flaky.attempts) <= 1, "a machine that is very busy may not come to begin it"


def test_the_attempts_of_the_policy_go_on_behind_a_deadline(bench: Bench) -> None:
    flaky = Flaky(9)
    runtime = bench(text("retry: 1", actions=call("attempts: 3, delay: 20s, factor: 1")), actions={"Call": flaky})
    process = runtime.execute_command(runtime.create_instance("S").id, "go").process
    bench.clock.advance(20)
    assert flaky.attempts == [1, 2]
    bench.clock.advance(10)
    assert flaky.attempts == [1, 2, 4], "the third did not come to begin"
    assert (runtime.get_process(process.id).status, last(runtime, process.id).kind) == (S.ERROR, "failed")


def test_who_resumes_what_waits_gives_it_the_whole_time(bench: Bench) -> None:
    flaky = Flaky(2)
    runtime = bench(text(actions=call("attempts: 9, delay: 20s, factor: 1")), actions={"Call": flaky})
    process = runtime.execute_command(runtime.create_instance("S").id, "go").process
    bench.clock.advance(19)
    runtime.resume_process(process.id, **WHO)
    assert runtime.get_process(process.id).waiting_until == later(39)
    bench.clock.advance(20)
    assert (runtime.get_process(process.id).activity, flaky.attempts) == ("Next", [1, 1, 2])


# ------------------------------------------------------------------ restarts, recovery, other servers


def test_a_shutdown_between_two_actions_does_not_move_it(bench: Bench) -> None:
    def leave(ctx: Any, parameter: str | None) -> None:
        engine_of(runtime).draining = True

    hanging = Hanging(0)
    runtime = bench(text(actions="Leave, Call"), actions={"Leave": leave, "Call": hanging})
    process = runtime.execute_command(runtime.create_instance("S").id, "go").process
    assert process.is_waiting
    engine_of(runtime).draining = False
    runtime.shutdown()
    bench.clock.advance(29)
    runtime = bench(text(actions="Leave, Call"), actions={"Leave": leave, "Call": hanging})
    assert (runtime.get_process(process.id).activity, hanging.deadlines) == ("Next", [later(30)])


@pytest.mark.parametrize(("past", "stands", "done"), [(True, "Waiting", []), (False, "Waiting", ["Mail", "Send"])])
def test_a_resumed_walk_has_the_deadline_that_it_had(tmp_path: Path, past: bool, stands: str, done: list[str]) -> None:
    seen = list[Any]()
    with Orphanage(tmp_path, Answer(RestoreDecision.resume()), scheme=BOUNDED) as home:
        home.act["Mail"] = lambda ctx: seen.append(ctx.deadline)
        deadline = START - HALF if past else START + HALF
        one = home.orphan(PAYING, step=1, walk={"deadline": deadline})
        home.recover()
        assert (home.stands(one), home.names_done) == ((S.IDLED, stands), done)
        assert seen == ([] if past else [deadline])
        assert [entry.reason for entry in home.runtime.get_history(one) if entry.to_activity == "Waiting"] == (["the execution timeout"] if past else [None])


@pytest.mark.parametrize("decision", [RestoreDecision.run_from_new_activity("Paid"), RestoreDecision.resume()], ids=str)
def test_recovery_sets_the_deadline_of_what_it_begins_in_its_own_commit(tmp_path: Path, decision: RestoreDecision) -> None:
    """Of a walk of which none was known too."""
    seen = list[Any]()
    with Orphanage(tmp_path, Answer(decision), scheme=BOUNDED) as home:
        home.act["Charge"] = lambda ctx: seen.append((ctx.deadline, home.runtime.get_process(ctx.process_id).walk.deadline))
        home.orphan(PAYING)
        home.recover()
    assert seen == [(START + 2 * HALF, START + 2 * HALF)]


def test_the_status_rule_of_recovery_takes_no_reaction(tmp_path: Path) -> None:
    with Orphanage(tmp_path, scheme=BOUNDED) as home:
        one = home.orphan(PAYING, step=1, walk={"deadline": START - HALF})
        home.recover()
        assert (home.stands(one), home.names_done) == ((S.ERROR, "New"), [])
        assert home.runtime.resume_process(one, **WHO).activity == "Waiting"  # type: ignore[union-attr]
        assert home.names_done == ["Mail", "Send"], "a person begins with the whole time"


def test_another_server_goes_on_with_the_same_deadline(shared_database: str) -> None:
    clock, flaky, waits = FakeClock(NOW), Flaky(9), call("attempts: 9, delay: 20s, factor: 1")

    def server(name: str, action: Any = flaky) -> WorkflowRuntime:
        runtime = WorkflowRuntime(shared_database, clock=clock).as_multi_server(name).with_schemes(text("retry: 1", actions=waits))
        return runtime.with_actions({"Call": action, "Note": action}).with_settings(workers=2, shutdown_grace=5, lease=600).start()

    first = server("first")
    process = first.execute_command(first.create_instance("S").id, "go").process
    first.shutdown()
    clock.advance(20)
    second = server("second")
    waiting = second.get_process(process.id)
    assert (waiting.waiting_until, flaky.attempts) == (later(30), [1, 2])
    second.shutdown()
    hanging = Hanging()
    third = server("third", hanging)
    with behind(hanging) as run:
        moved = run(clock.advance, 10)
        ctx = hanging.has_begun()
        assert (ctx.deadline, ctx.attempt) == (later(60), 4)
        token = third.get_process(process.id).token
        clock.advance(30)
        moved.result(PATIENCE)
        failed = third.get_process(process.id)
        assert (failed.status, failed.activity, failed.token) == (S.ERROR, "Rest", token + 1)
        assert failed.last_error is not None
        assert failed.last_error.type == "workflow_runtime.errors.ActionTimedOut"
        hanging.let_go()
        none_left(third)
    assert third.get_process(process.id) == failed
    third.shutdown()


# ------------------------------------------------------------------ at most once


ONCE = "{action: Call, effect: at_most_once}"


class Check:
    """``check_outcome``."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.keys, self.deadlines = answer, list[str](), list[Any]()

    def __call__(self, ctx: Any, parameter: str | None) -> Any:
        self.keys.append(ctx.idempotency_key)
        self.deadlines.append(ctx.deadline)
        return self.answer


def once(bench: Bench, reaction: str, hanging: Hanging, check: Check | None = None, actions: str = ONCE) -> WorkflowRuntime:
    runtime = bench.built(text(reaction, actions=actions))
    runtime.action("Call", check_outcome=check)(hanging)
    return runtime.start()


@pytest.mark.parametrize("check", [None, Check(None), Check(False)], ids=["no check", "it cannot tell", "not done so far"])
def test_what_is_to_be_done_at_most_once_is_not_begun_again(bench: Bench, hanging: Hanging, check: Check | None) -> None:
    """Not even where it is not done: it may still be done by the thread that was left behind."""
    runtime = once(bench, "retry: 5", hanging, check)
    process = runtime.create_instance("S")
    with pytest.raises(OutcomeUnknown, match="outcome unknown"):
        overdue(bench, runtime, process, hanging)
    failed = runtime.get_process(process.id)
    assert (failed.status, failed.last_error and failed.last_error.type) == (S.ERROR, "workflow_runtime.errors.OutcomeUnknown")
    assert (hanging.attempts, check.keys if check else hanging.keys) == ([1], hanging.keys)
    if check is None:
        with pytest.raises(NotResumable, match="outcome unknown"):
            runtime.resume_process(process.id, **WHO)
    assert hanging.attempts == [1]


@pytest.mark.parametrize(("answer", "comes_to"), [(None, S.ERROR), (False, S.ERROR), (True, S.IDLED), ("none", S.ERROR)])
def test_a_step_at_most_once_is_not_begun_again_either(bench: Bench, hanging: Hanging, answer: Any, comes_to: ProcessStatus) -> None:
    """Its action is; and of what the thread that was left behind still does with the step only the check may say that it is done."""
    asked, begun = [], []

    def check() -> Any:
        asked.append(answer)
        return answer

    def act(ctx: Any, _parameter: str | None) -> None:
        begun.append(ctx.attempt)
        ctx.step("pay", lambda: hanging(ctx, None), effect="at_most_once", check_outcome=None if answer == "none" else check)

    runtime = bench(text("retry: 5"), actions={"Call": act})
    process = runtime.create_instance("S")
    with nullcontext() if comes_to is S.IDLED else pytest.raises(OutcomeUnknown, match="step 'pay'"):
        overdue(bench, runtime, process, hanging)
    assert runtime.get_process(process.id).status is comes_to
    assert (begun, len(hanging.attempts), asked) == ([1, 2], 1, [] if answer == "none" else [answer])


def test_what_its_check_knows_as_done_is_done(bench: Bench, hanging: Hanging) -> None:
    check = Check(True)
    runtime = once(bench, "retry: 5", hanging, check)
    process = runtime.create_instance("S")
    assert overdue(bench, runtime, process, hanging).process.activity == "Next"
    assert (hanging.attempts, check.keys, check.deadlines) == ([1], hanging.keys, [None])


@pytest.mark.parametrize("check", [None, Check(None), Check(False)], ids=["no check", "it cannot tell", "not done so far"])
def test_a_declared_way_out_repeats_nothing_and_is_taken(bench: Bench, hanging: Hanging, check: Check | None) -> None:
    runtime = once(bench, "set_activity: Late", hanging, check)
    assert overdue(bench, runtime, runtime.create_instance("S"), hanging).process.activity == "Late"
    assert hanging.attempts == [1]


def test_one_that_had_not_begun_may_be_repeated(bench: Bench) -> None:
    def slow(ctx: Any, parameter: str | None) -> None:
        bench.clock._now += timedelta(seconds=31)
        bench.clock._passed += timedelta(seconds=31)

    hanging = Hanging(0)
    runtime = bench(text("retry: 1", actions=f"Slow, {ONCE}"), actions={"Slow": slow, "Call": hanging})
    assert runtime.execute_command(runtime.create_instance("S").id, "go").process.activity == "Next"
    assert (hanging.attempts, hanging.deadlines) == ([2], [later(61)])


def test_another_action_that_was_given_up_puts_it_in_no_doubt(bench: Bench) -> None:
    hanging, flaky = Hanging(1), Flaky()
    actions = "{action: Call, journal: false}, {action: Pay, effect: at_most_once}"
    runtime = bench(text("retry: 1", actions=actions), actions={"Call": hanging, "Pay": flaky})
    with behind(hanging):
        assert overdue(bench, runtime, runtime.create_instance("S"), hanging).process.activity == "Next"
    assert len(flaky.attempts) == 1


# ------------------------------------------------------------------ threads that are left behind


def test_with_too_many_left_behind_the_next_waits_for_room(bench: Bench) -> None:
    first, second = Hanging(), Hanging(0)
    actions: dict[str, Callable[..., Any]] = {"Call": lambda ctx, parameter: (first if ctx.parameters.get("First") else second)(ctx, parameter)}
    runtime = bench(text(), actions=actions, max_abandoned_actions=1, poll=5)
    one, other = runtime.create_instance("S", parameters={"First": True}), runtime.create_instance("S")
    with behind(first):
        assert overdue(bench, runtime, one, first).process.activity == "Late"
        waits = runtime.execute_command(other.id, "go")
        assert (waits.was_executed, waits.waiting_until, waits.process.is_waiting, second.attempts) == (True, later(35), True, [])
        bench.clock.advance(5)
        assert runtime.get_process(other.id).waiting_until == later(40), "still no room"
        assert runtime.plan_recovery().decisions == ()
        first.let_go()
        none_left(runtime)
        bench.clock.advance(5)
    assert (runtime.get_process(other.id).activity, second.deadlines) == ("Next", [later(70)]), "its time begins when it does"
    assert path_of(runtime, other.id) == ["Rest", "Work", "Next"]


def test_what_has_no_deadline_needs_no_room(bench: Bench) -> None:
    hanging = Hanging()
    runtime = bench(text() + "  - {from: Rest, to: Late, on: {command: out}}\n", actions={"Call": hanging}, max_abandoned_actions=1)
    with behind(hanging):
        overdue(bench, runtime, runtime.create_instance("S"), hanging)
        assert runtime.execute_command(runtime.create_instance("S").id, "out").process.activity == "Late"


def test_no_worker_is_held_by_what_hangs(bench: Bench) -> None:
    """One worker, on the machine's clock: what timers began hangs for ever, and the next one fires all the same."""
    hanging = Hanging()
    scheme = text(after="50ms").replace("commands: {go", "timers: {soon: {interval: 10ms}}\ncommands: {go")
    scheme += "  - {from: Rest, to: Work, on: {timer: soon}}\n"
    runtime = bench(scheme, actions={"Call": hanging}, workers=1, real_time=True)
    with behind(hanging):
        ids = [runtime.create_instance("S").id for _ in range(3)]
        until(lambda: [runtime.get_process(one).activity for one in ids] == ["Late"] * 3, PATIENCE)
        assert engine_of(runtime).deadlines.left_behind == len(hanging.attempts)


def test_a_shutdown_does_not_wait_for_what_was_given_up(bench: Bench) -> None:
    hanging = Hanging(at_last=lambda ctx: ctx.step("late", str))
    runtime = bench(text(), actions={"Call": hanging})
    overdue(bench, runtime, runtime.create_instance("S"), hanging)
    runtime.shutdown()
    hanging.let_go()
    assert type(hanging.ending()).__name__ == "Fenced"


def test_the_walk_of_a_timeout_keeps_the_values_of_its_run(bench: Bench, hanging: Hanging) -> None:
    seen = list[Any]()
    scheme = text().replace("actions: [Note]}", "actions: [Look]}")
    runtime = bench(scheme, actions={"Call": hanging, "Look": lambda ctx, parameter: seen.append((ctx.command, ctx.identity, dict(ctx.parameters)))})
    process = runtime.create_instance("S")
    with behind(hanging) as run:
        future = run(runtime.execute_command, process.id, "go", identity="ann", parameters={"Why": "x"})
        hanging.has_begun()
        bench.clock.advance(30)
        future.result(PATIENCE)
    assert seen == [("go", "ann", {"Why": "x"})]


def test_a_row_of_a_timeout_reads_back(bench: Bench, hanging: Hanging) -> None:
    """What is told of a process whose action hangs."""
    runtime = bench(text("retry: 1"), actions={"Call": hanging})
    process = runtime.create_instance("S")
    with behind(hanging) as run:
        future = run(runtime.execute_command, process.id, "go")
        for number in (0, 1):
            hanging.has_begun()
            walk = runtime.get_process(process.id).walk
            assert walk is not None
            assert (walk.deadline, walk.timeouts, walk.tries) == (later(30 * (number + 1)), number, number)
            bench.clock.advance(30)
        with pytest.raises(ActionTimedOut):
            future.result(PATIENCE)
