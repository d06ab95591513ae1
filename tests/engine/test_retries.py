"""An action that raises is repeated: after waits that hold no thread, that survive restarts, and that a person may end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bench import NOW, WHO, Bench, engine_of, history, last, path_of
from retried import Flaky, call, retries, sent, text
from test_commits import costs
from test_failures import Listener, Trouble

from workflow_runtime import Process, ProcessStatus, RetryPolicy, Timer, WorkflowRuntime
from workflow_runtime.errors import ActionFailed, ProcessBusy
from workflow_runtime.testing.clock import FakeClock

S = ProcessStatus
FOUR = text(call("attempts: 5, delay: 1s, factor: 2"))


def later(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


def rows(runtime: WorkflowRuntime, process: Process) -> list[Timer]:
    """Reserved ones too, which the runtime's verbs do not show."""
    return list(engine_of(runtime).store.timers(process.id))


# ------------------------------------------------------------------ long waits


def test_a_command_that_runs_into_a_wait_was_executed_and_says_until_when(bench: Bench) -> None:
    runtime = bench(FOUR, actions={"Call": Flaky(4)})
    process = runtime.create_instance("S")
    result = runtime.execute_command(process.id, "go")
    assert (result.was_executed, result.waiting_until) == (True, later(1))
    waiting = runtime.get_process(process.id)
    assert (waiting.status, waiting.owner, waiting.activity, waiting.waiting_until, waiting.is_waiting) == (S.RUNNING, None, "Rest", later(1), True)
    assert (waiting.last_error and waiting.last_error.message, waiting.token) == ("no line", process.token + 2)
    (row,) = rows(runtime, process)
    assert (row.kind, row.due) == ("retry", later(1))
    with pytest.raises(ProcessBusy):
        runtime.execute_command(process.id, "go")


@pytest.mark.parametrize("restart", [False, True], ids=["one server", "a restart between any two"])
def test_four_failures_and_a_success_after_waits_that_grow(bench: Bench, restart: bool) -> None:
    flaky = Flaky(4)
    runtime, process = sent(bench, FOUR, flaky)
    for wait, attempts in ((1, 1), (2, 2), (4, 3), (8, 4)):
        assert (len(flaky.attempts), len(engine_of(runtime).live)) == (attempts, 0), "no thread is held"
        if restart:
            runtime.shutdown()
            runtime = bench(FOUR, actions={"Call": flaky})
        bench.clock.advance(wait - 0.001)
        assert len(flaky.attempts) == attempts, "never before its time"
        bench.clock.advance(0.001)
    done = runtime.get_process(process.id)
    assert (done.status, done.activity, done.waiting_until, done.last_error, done.walk) == (S.IDLED, "Next", None, None, None)
    assert (flaky.attempts, len(set(flaky.keys))) == ([1, 2, 3, 4, 5], 1)
    assert retries(runtime, process.id) == [
        f"no line: attempt {n} failed; the next follows at {later(at).isoformat()}" for n, at in ((1, 1), (2, 3), (3, 7), (4, 15))
    ]
    assert rows(runtime, process) == []


def test_what_fell_due_while_no_server_ran_goes_on_at_the_start(bench: Bench) -> None:
    flaky = Flaky(1)
    runtime, process = sent(bench, FOUR, flaky)
    runtime.shutdown()
    bench.clock.advance(3600)
    assert bench(FOUR, actions={"Call": flaky}).get_process(process.id).activity == "Next"
    assert flaky.attempts == [1, 2]


def test_cancelled_while_it_waits_it_is_terminated_at_once(bench: Bench) -> None:
    flaky = Flaky(4)
    runtime, process = sent(bench, FOUR, flaky)
    cancelled = runtime.cancel_process(process.id, **WHO)
    assert (cancelled.status, cancelled.waiting_until, rows(runtime, process)) == (S.TERMINATED, None, [])  # type: ignore[union-attr]
    bench.clock.advance(3600)
    assert flaky.attempts == [1]
    resumed = runtime.resume_process(process.id, **WHO)
    assert (flaky.attempts, resumed.waiting_until) == ([1, 1], bench.clock.now() + timedelta(seconds=1))  # type: ignore[union-attr]


def test_resumed_while_it_waits_it_begins_with_attempt_one_at_once(bench: Bench) -> None:
    flaky = Flaky(3)
    runtime, process = sent(bench, FOUR, flaky)
    bench.clock.advance(1)
    runtime.resume_process(process.id, **WHO)
    assert flaky.attempts == [1, 2, 1]
    assert [timer.due for timer in rows(runtime, process)] == [later(2)]
    bench.clock.advance(1)
    assert (runtime.get_process(process.id).activity, flaky.attempts) == ("Next", [1, 2, 1, 2])


@pytest.mark.parametrize(
    ("verb", "stands"),
    [
        (lambda runtime, one: runtime.set_activity(one, "Next", **WHO), "Next"),
        (lambda runtime, one: runtime.set_activity(one, "Next", execute=False, **WHO), "Next"),
        (lambda runtime, one: runtime.set_activity(one, "End", **WHO), "End"),
    ],
    ids=["entered", "only stands there", "final"],
)
def test_a_waiting_process_may_be_moved_on_and_does_not_come_back(bench: Bench, verb: Callable[[WorkflowRuntime, Any], Any], stands: str) -> None:
    flaky = Flaky(4)
    runtime, process = sent(bench, FOUR, flaky)
    verb(runtime, process.id)
    bench.clock.advance(3600)
    assert (runtime.get_process(process.id).activity, flaky.attempts, rows(runtime, process)) == (stands, [1], [])


def test_a_waiting_process_is_no_orphan_and_may_be_deleted(bench: Bench) -> None:
    runtime, process = sent(bench, FOUR, Flaky(4))
    assert runtime.plan_recovery().decisions == ()
    runtime.recover(wait=True)
    assert runtime.get_process(process.id).is_waiting
    runtime.delete_process(process.id, **WHO)
    assert rows(runtime, process) == []


def test_a_row_of_an_earlier_wait_takes_nothing_up(bench: Bench) -> None:
    flaky = Flaky(4)
    runtime, process = sent(bench, FOUR, flaky)
    (stale,) = rows(runtime, process)
    bench.clock.advance(1)
    assert runtime._parts.executor.fire(process.id, stale) is None
    assert flaky.attempts == [1, 2]


def test_a_request_to_cancel_stands_against_a_wait_too(bench: Bench) -> None:
    def cancelled_meanwhile(ctx: Any, parameter: str | None) -> None:
        runtime.cancel_process(ctx.process_id, **WHO)
        raise ConnectionError("no line")

    runtime = bench(FOUR, actions={"Call": cancelled_meanwhile})
    process = runtime.create_instance("S")
    runtime.execute_command(process.id, "go")
    assert (runtime.get_process(process.id).status, rows(runtime, process)) == (S.TERMINATED, [])
    assert [entry.kind for entry in history(runtime, process.id)][-1] == "cancelled"


# ------------------------------------------------------------------ the last attempt


def test_after_the_last_attempt_the_failure_takes_its_course(bench: Bench) -> None:
    trouble, flaky = Trouble(), Flaky(9)
    runtime, process = sent(bench, text(call("attempts: 2, delay: 5s")), flaky, plugin=trouble)
    assert trouble.errors == []
    bench.clock.advance(5)
    failed = runtime.get_process(process.id)
    assert (failed.status, failed.activity, failed.waiting_until, flaky.attempts) == (S.ERROR, "Rest", None, [1, 2])
    assert [type(error) for error in trouble.errors] == [ConnectionError]
    assert [str(entry.kind) for entry in history(runtime, process.id)] == ["moved", "retry", "failed"]


@pytest.mark.parametrize(
    ("retry", "attempts"),
    [
        ("attempts: 1", 1),
        ("attempts: 9, final: [OSError]", 1),
        ("attempts: 9, total: 0", 1),
        ("attempts: 3, delay: 0", 3),
        ("attempts: 9, delay: 0.5s, factor: 1, max_delay: 2s", 9),
    ],
)
def test_the_caller_hears_of_it_where_no_wait_was_written(bench: Bench, retry: str, attempts: int) -> None:
    flaky = Flaky(99)
    runtime = bench(text(call(retry)), actions={"Call": flaky})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed, match="ConnectionError: no line"):
        runtime.execute_command(process.id, "go")
    assert flaky.attempts == list(range(1, attempts + 1))
    assert (last(runtime, process.id).kind, len(retries(runtime, process.id))) == ("failed", attempts - 1)


def test_total_time_counts_from_the_first_failure(bench: Bench) -> None:
    flaky = Flaky(99)
    runtime, process = sent(bench, text(call("attempts: 99, delay: 4s, factor: 1, total: 10s")), flaky)
    for _ in range(5):
        bench.clock.advance(4)
    assert (flaky.attempts, runtime.get_process(process.id).status) == ([1, 2, 3], S.ERROR)


# ------------------------------------------------------------------ which policy


@pytest.mark.parametrize(
    ("scheme", "attempts"),
    [
        (text(call("attempts: 2, delay: 0"), activity=", retry: {attempts: 3, delay: 0}", head="retry: {attempts: 4, delay: 0}"), 2),
        (text("Call", activity=", retry: {attempts: 3, delay: 0}", head="retry: {attempts: 4, delay: 0}"), 3),
        (text("Call", head="retry: {attempts: 4, delay: 0}"), 4),
        (text("Call"), 5),
    ],
    ids=["action", "activity", "process", "registration"],
)
def test_the_nearest_policy_counts(bench: Bench, scheme: str, attempts: int) -> None:
    flaky = Flaky(99)
    runtime = bench.built(scheme)
    runtime.action("Call", retry=RetryPolicy(attempts=5, delay=0))(flaky)
    process = runtime.start().create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert len(flaky.attempts) == attempts


# ------------------------------------------------------------------ what is repeated and what is not


def test_finished_steps_and_actions_are_not_repeated(bench: Bench) -> None:
    made, told = list[str](), Listener()

    def act(ctx: Any, parameter: str | None) -> None:
        ctx.step("one", made.append, "one")
        if ctx.attempt < 3:
            raise ConnectionError("no line")

    runtime, process = sent(bench, text(call("attempts: 5, delay: 1s, factor: 0.5"), before="Note, "), act, plugin=told)
    for _ in range(3):
        bench.clock.advance(1)
    assert (runtime.get_process(process.id).activity, made, bench.said) == ("Next", ["one"], ["Work"])
    assert [heard for heard in told.heard if heard[0] == "before"] == [("before", "Work")]


@pytest.mark.parametrize("delay", ["0", "0.5s"])
def test_finished_steps_are_not_repeated_by_the_thread_that_made_them(bench: Bench, delay: str) -> None:
    made = list[int]()

    def make(number: int) -> int:
        made.append(number)
        return number

    def act(ctx: Any, parameter: str | None) -> None:
        assert [ctx.step("one", make, number) for number in range(ctx.attempt)] == list(range(ctx.attempt))
        if ctx.attempt < 3:
            raise ConnectionError("no line")

    runtime, process = sent(bench, text(call(f"attempts: 5, factor: 1, delay: {delay}")), act)
    assert (runtime.get_process(process.id).activity, made) == ("Next", [0, 1, 2])


def test_listeners_hear_once_that_the_actions_begin(bench: Bench) -> None:
    told = Listener()
    sent(bench, FOUR, Flaky(4), plugin=told)
    for wait in (1, 2, 4, 8):
        bench.clock.advance(wait)
    assert [heard for heard in told.heard if heard[0] == "before"] == [("before", "Work")]


def test_an_action_that_is_not_journaled_runs_again_and_each_counts_its_own_failures(bench: Bench) -> None:
    first, second = Flaky(1), Flaky(1)
    policy = "jitter: 0, attempts: 2, delay: 2s"
    scheme = text(f"{{action: First, journal: false, retry: {{{policy}}}}}, {{action: Call, retry: {{{policy}}}}}")
    runtime = bench(scheme, actions={"First": first, "Call": second})
    process = runtime.execute_command(runtime.create_instance("S").id, "go").process
    bench.clock.advance(2)
    assert (first.attempts, second.attempts) == ([1, 2], [1])
    bench.clock.advance(2)
    assert (first.attempts, second.attempts, runtime.get_process(process.id).activity) == ([1, 2, 2], [1, 2], "Next")


def test_the_next_action_and_the_next_walk_begin_with_attempt_one(bench: Bench) -> None:
    flaky, other = Flaky(1), Flaky()
    runtime = bench(text(call("attempts: 2, delay: 2s") + ", Other"), actions={"Call": flaky, "Other": other})
    process = runtime.execute_command(runtime.create_instance("S").id, "go").process
    bench.clock.advance(2)
    runtime.set_activity(process.id, "Work", **WHO)
    assert (flaky.attempts, other.attempts) == ([1, 2, 1], [1, 1])
    assert len(set(flaky.keys)) == 2


def test_a_creation_that_runs_into_a_wait_is_running_and_goes_on(bench: Bench) -> None:
    runtime = bench(
        text("Note")
        .replace("Rest: {initial: true}", "Rest: {initial: true, actions: [Call]}\n")
        .replace("scheme: S", "scheme: S\nretry: {delay: 3s, jitter: 0}"),
        actions={"Call": Flaky(1)},
    )
    process = runtime.create_instance("S")
    assert (process.status, process.waiting_until, process.activity) == (S.RUNNING, later(3), "")
    bench.clock.advance(3)
    assert path_of(runtime, process.id) == ["Rest"]


# ------------------------------------------------------------------ what it costs


@pytest.mark.parametrize(("retry", "commits"), [("attempts: 2, delay: 2s", 2), ("attempts: 2, delay: 0.5s", 0), ("attempts: 2, delay: 0", 0)])
def test_a_long_wait_costs_two_commits_and_a_short_one_none(bench: Bench, retry: str, commits: int) -> None:
    runtime = bench(text(call(retry)), actions={"Call": Flaky(1)}, workers=1)
    process = runtime.create_instance("S")
    with costs(runtime) as cost:
        if runtime.execute_command(process.id, "go").waiting_until is not None:
            (waiting,) = rows(runtime, process)
            bench.clock._now += timedelta(seconds=2)  # without a poll: the take-up is to be counted in this thread
            assert runtime._parts.executor.fire(process.id, waiting) is not None
    assert (runtime.get_process(process.id).activity, cost.commits) == ("Next", 2 + commits)


# ------------------------------------------------------------------ short waits, in the worker


class Held(Flaky):
    """Tells when its first attempt has failed."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__(failures)
        self.begun = threading.Event()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        self.begun.set()
        super().__call__(ctx, parameter)


ALMOST = text(call("attempts: 99, delay: 0.9s, factor: 1"))


def under_way(bench: Bench, held: Held) -> tuple[WorkflowRuntime, Any, threading.Thread]:
    """A process in its first short wait, on the machine's clock."""
    runtime = bench(ALMOST, actions={"Call": held}, real_time=True)
    process = runtime.create_instance("S")
    thread = threading.Thread(target=runtime.execute_command, args=(process.id, "go"))
    thread.start()
    assert held.begun.wait(10)
    return runtime, process, thread


def test_a_short_wait_ends_when_somebody_cancels(bench: Bench) -> None:
    held = Held(99)
    runtime, process, thread = under_way(bench, held)
    runtime.cancel_process(process.id, **WHO)
    thread.join(10)
    assert runtime.get_process(process.id).status is S.TERMINATED
    assert held.attempts == [1], "none was begun that could have been left out"


def test_a_short_wait_ends_when_the_server_shuts_down_and_becomes_a_row(bench: Bench) -> None:
    held = Held(1)
    runtime, process, thread = under_way(bench, held)
    runtime.shutdown()
    thread.join(10)
    again = bench(ALMOST, actions={"Call": held}, client=True)
    left = again.get_process(process.id)
    assert (left.status, left.owner, left.is_waiting, held.attempts) == (S.RUNNING, None, True, [1])
    assert [timer.kind for timer in rows(again, process)] == ["retry"]


# ------------------------------------------------------------------ several servers


def test_any_server_makes_the_next_attempt(shared_database: str) -> None:
    clock, flaky = FakeClock(NOW), Flaky(4)

    def server(name: str) -> WorkflowRuntime:
        runtime = WorkflowRuntime(shared_database, clock=clock).as_multi_server(name).with_schemes(FOUR).with_actions({"Call": flaky})
        return runtime.with_settings(workers=2, shutdown_grace=5, lease=60).start()  # nobody beats while the clock is moved

    runtime = server("first")
    process = runtime.execute_command(runtime.create_instance("S").id, "go").process
    for number, wait in enumerate((1, 2, 4, 8)):
        runtime.shutdown()
        runtime = server(f"server {number}")
        clock.advance(wait)
        assert len(flaky.attempts) == number + 2
    done, told = runtime.get_process(process.id), history(runtime, process.id)
    runtime.shutdown()
    assert (done.activity, done.status, flaky.attempts, len({entry.server for entry in told})) == ("Next", S.IDLED, [1, 2, 3, 4, 5], 5)
