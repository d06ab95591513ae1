"""Whatever broke a process off: once the cause is mended a person lets it go on, and what was finished is not repeated."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench import WHO, Bench, engine_of, history, last
from orphanage import PAYING, SCHEME, SENDING, Answer, Orphanage
from retried import Flaky, call
from test_loops import LOOP, counting_to

from workflow_runtime import Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.core.process import Change, ChangeKind
from workflow_runtime.core.restoring import RestoreDecision
from workflow_runtime.errors import ActionFailed, LoopLimitExceeded, NotResumable, ProcessBusy

S = ProcessStatus

TEXT = """
scheme: S
commands: {go: {}, out: {}}
activities:
  A: {initial: true}
  B: {actions: [Before, {call}, After]}
  C: {}
transitions:
  - {from: A, to: B, on: {command: go}}
  - {from: B, to: C}
  - {from: C, to: A, on: {command: out}}
"""


class Work:
    """Three actions; the middle one does what the test says, and its attempts are kept."""

    def __init__(self, middle: Callable[[Any], object] | None = None) -> None:
        self.middle, self.did, self.attempts, self.keys = middle, list[str](), list[int](), set[str]()

    def __call__(self, name: str) -> Callable[[Any, str | None], None]:
        def act(ctx: Any, parameter: str | None) -> None:
            self.did.append(name)
            if name == "Call":
                self.attempts.append(ctx.attempt)
                self.keys.add(ctx.idempotency_key)
                if self.middle is not None:
                    self.middle(ctx)

        return act

    @property
    def actions(self) -> dict[str, Any]:
        return {name: self(name) for name in ("Before", "Call", "After")}


def break_down(ctx: Any) -> None:
    raise ConnectionError("no line")


def begun(bench: Bench, work: Work, action: str = "Call") -> tuple[WorkflowRuntime, Process]:
    runtime = bench(TEXT.replace("{call}", action), actions=work.actions)
    return runtime, runtime.create_instance("S")


def resumed(runtime: WorkflowRuntime, process: Process, work: Work) -> Process:
    work.middle = None
    return runtime.resume_process(process.id, **WHO)


def finished(runtime: WorkflowRuntime, process: Process, work: Work) -> None:
    """Arrived, with the first action done once and the second begun anew with the same effect key."""
    after = runtime.get_process(process.id)
    assert (after.activity, after.status, after.walk, after.last_error, after.deaths) == ("C", S.IDLED, None, None, 0)
    assert (work.did.count("Before"), work.did[-2:], work.attempts[-1], len(work.keys)) == (1, ["Call", "After"], 1, 1)
    assert [(row.actor, row.reason) for row in history(runtime, process.id) if row.kind == "operated"][-1] == ("olga", "test")


def test_after_an_action_that_raised(bench: Bench) -> None:
    work = Work(break_down)
    runtime, process = begun(bench, work)
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert runtime.get_process(process.id).status is S.ERROR
    resumed(runtime, process, work)
    finished(runtime, process, work)


def test_after_exhausted_attempts(bench: Bench) -> None:
    work = Work(break_down)
    runtime, process = begun(bench, work, call("attempts: 3, delay: 2s, factor: 1"))
    runtime.execute_command(process.id, "go")
    bench.clock.advance(2)
    bench.clock.advance(2)
    assert (work.attempts, runtime.get_process(process.id).status) == ([1, 2, 3], S.ERROR)
    resumed(runtime, process, work)
    finished(runtime, process, work)


def test_attempts_are_counted_anew_and_may_be_exhausted_again(bench: Bench) -> None:
    work = Work(break_down)
    runtime, process = begun(bench, work, call("attempts: 2, delay: 0"))
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    with pytest.raises(ActionFailed):
        runtime.resume_process(process.id, **WHO)
    assert (work.attempts, runtime.get_process(process.id).status) == ([1, 2, 1, 2], S.ERROR)


def test_after_it_was_cancelled_while_it_waited(bench: Bench) -> None:
    work = Work(break_down)
    runtime, process = begun(bench, work, call("attempts: 3, delay: 2s"))
    runtime.execute_command(process.id, "go")
    assert runtime.cancel_process(process.id, **WHO).status is S.TERMINATED
    resumed(runtime, process, work)
    finished(runtime, process, work)


def test_after_it_was_cancelled_in_running(bench: Bench) -> None:
    """At the boundary behind the middle action: that one is finished and is not repeated either."""
    runtimes = list[WorkflowRuntime]()
    work = Work(lambda ctx: runtimes[0].cancel_process(ctx.process_id, **WHO))
    runtime, process = begun(bench, work)
    runtimes.append(runtime)
    assert runtime.execute_command(process.id, "go").process.status is S.TERMINATED
    resumed(runtime, process, work)
    assert (runtime.get_process(process.id).activity, work.did) == ("C", ["Before", "Call", "After"])


def test_after_a_failure_that_was_cancelled_too(bench: Bench) -> None:
    work = Work(break_down)
    runtime, process = begun(bench, work)
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert runtime.cancel_process(process.id, **WHO).status is S.TERMINATED
    resumed(runtime, process, work)
    finished(runtime, process, work)


def test_after_the_loop_guard(bench: Bench) -> None:
    """There is no walk to go on with: the automatic transitions are tried again, and counted anew."""
    most = [99]
    runtime = bench(LOOP, actions={"Count": lambda ctx, parameter: counting_to(most[0])(ctx, parameter)}, max_automatic_steps=9)
    process = runtime.create_instance("Loop")
    with pytest.raises(LoopLimitExceeded):
        runtime.execute_command(process.id, "go")
    stopped = runtime.get_process(process.id)
    assert (stopped.status, stopped.walk, stopped.parameters["N"]) == (S.ERROR, None, 5)
    most[0] = 7
    after = runtime.resume_process(process.id, **WHO)
    assert (after.status, after.parameters["N"], after.last_error) == (S.IDLED, 7, None)


def test_after_an_outcome_that_is_not_known_a_person_must_choose_the_activity(bench: Bench) -> None:
    """To resume is refused by name; the same activity may be begun anew, which is new work with new effect keys."""
    work = Work(break_down)
    runtime, process = begun(bench, work, "{action: Call, effect: at_most_once}")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    with pytest.raises(NotResumable, match=f"process {process.id}: action 'Call' of activity 'B' .* outcome unknown"):
        runtime.resume_process(process.id, **WHO)
    work.middle = None
    assert runtime.set_activity(process.id, "B", **WHO).activity == "C"  # type: ignore[union-attr]
    assert (work.did, len(work.keys)) == (["Before", "Call", "Before", "Call", "After"], 2)


@pytest.mark.parametrize(("done", "did"), [(True, ["Before", "Call", "After"]), (False, ["Before", "Call", "Call", "After"])])
def test_after_an_outcome_that_can_be_asked_for(bench: Bench, done: bool, did: list[str]) -> None:
    work = Work(break_down)
    runtime = bench.built(TEXT.replace("{call}", "Call"), actions={name: act for name, act in work.actions.items() if name != "Call"})
    runtime.action("Call", effect="at_most_once", check_outcome=lambda ctx, parameter: done)(work("Call"))
    process = runtime.start().create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert (resumed(runtime, process, work).activity, work.did) == ("C", did)


# ------------------------------------------------------------------ what a dead server left


@pytest.mark.parametrize("way", [PAYING, SENDING], ids=["Error", "Terminated"])
def test_after_the_status_rule(tmp_path: Path, way: tuple[str, str]) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(way, step=1 if way == PAYING else 0)
        home.recover()
        assert home.status(one) is (S.ERROR if way == PAYING else S.TERMINATED)
        home.runtime.resume_process(one, **WHO)
        assert (home.stands(one), home.names_done) == ((S.IDLED, "Waiting"), ["Mail", "Send"] if way == PAYING else ["Send"])


def test_after_poison_deaths_begin_at_zero(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(PAYING, step=1, deaths=5, deaths_step="Paid#1")
        [decision] = home.recover().decisions
        assert (decision.decided_by, home.status(one)) == ("poison", S.TERMINATED)
        seen: list[int] = []
        home.act["Mail"] = lambda ctx: seen.append(home.runtime.get_process(one).deaths)
        home.runtime.resume_process(one, **WHO)
        assert (home.stands(one), seen, home.names_done) == ((S.IDLED, "Waiting"), [0], ["Mail", "Send"])


def test_a_resumed_process_may_be_lost_as_often_as_any_other_before_it_is_poison_again(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(PAYING, deaths=5, deaths_step="Paid#0")
        home.recover()
        client = WorkflowRuntime(home.url, clock=home.clock).as_client().start()
        client.resume_process(one, **WHO)
        waiting = client.get_process(one)
        client.shutdown()
        died = replace(waiting, owner="dead", token=waiting.token + 1, waiting_until=None)
        home.store.apply(Change(kind=ChangeKind.CLAIM, before=waiting, after=died, release=True))
        [decision] = home.recover().decisions
        assert (decision.decided_by, home.status(one)) == ("status rule", S.ERROR)


def test_after_a_scheme_that_could_not_be_read_was_mended(bench: Bench) -> None:
    """It waited; its version was damaged, which made it Error; the text is put back."""
    work = Work(break_down)
    runtime, process = begun(bench, work, call("attempts: 3, delay: 2s"))
    runtime.execute_command(process.id, "go")
    runtime.shutdown()
    path = bench.url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as database:
        ((text,),) = database.execute("SELECT text FROM wf_scheme").fetchall()
        database.execute("UPDATE wf_scheme SET text = 'scheme: ['")
    other = bench("scheme: Other\nactivities: {A: {initial: true}}", actions=work.actions)
    bench.clock.advance(5)
    assert (other.get_process(process.id).status, work.attempts) == (S.ERROR, [1])
    other.shutdown()
    with sqlite3.connect(path) as mended:
        mended.execute("UPDATE wf_scheme SET text = ? WHERE code = 'S'", (text,))
    for connection in (database, mended):
        connection.close()
    again = bench(actions=work.actions)
    resumed(again, process, work)
    finished(again, process, work)


# ------------------------------------------------------------------ by a client, which has no actions


OPEN = """
scheme: S
commands: {go: {}}
activities:
  A: {initial: true}
  D: {}
transitions:
  - {from: A, to: D, on: {command: go}}
  - {from: D, to: A, when: {action: Open}}
"""


@pytest.mark.parametrize(("opened", "stands", "kinds"), [(True, "A", ["operated", "moved"]), (False, "D", ["operated"])])
def test_a_client_leaves_the_conditions_to_a_server(bench: Bench, opened: bool, stands: str, kinds: list[str]) -> None:
    runtime = bench(OPEN, conditions={"Open": lambda ctx, parameter: opened})
    process = runtime.create_instance("S")
    runtime.set_activity(process.id, "D", execute=False, **WHO)
    runtime.cancel_process(process.id, **WHO)
    number = len(history(runtime, process.id))
    client = bench(client=True)
    left = client.resume_process(process.id, **WHO)
    assert (left.status, left.is_waiting, left.walk, last(client, process.id).actor) == (S.RUNNING, True, None, "olga")
    assert client.plan_recovery().decisions == (), "what waits for a server is no orphan"
    bench.clock.advance(1)
    after = runtime.get_process(process.id)
    assert (after.status, after.activity, after.waiting_until) == (S.IDLED, stands, None)
    assert ([str(row.kind) for row in history(runtime, process.id)][number:], engine_of(runtime).store.timers(process.id)) == (kinds, ())


def test_a_condition_that_raises_there_breaks_the_process_off_by_the_status_rule(bench: Bench) -> None:
    runtime = bench(OPEN, conditions={"Open": lambda ctx, parameter: bool(1 / 0)})
    process = runtime.create_instance("S")
    runtime.set_activity(process.id, "D", execute=False, **WHO)
    bench(client=True).resume_process(process.id, **WHO)
    bench.clock.advance(1)
    after = runtime.get_process(process.id)
    assert (after.status, after.waiting_until, engine_of(runtime).store.timers(process.id)) == (S.TERMINATED, None, ())
    assert "division" in last(runtime, process.id).error.message  # type: ignore[union-attr]


def test_where_nothing_leads_on_the_client_settles_it_itself(bench: Bench) -> None:
    runtime, process = begun(bench, Work())
    runtime.cancel_process(process.id, **WHO)
    after = bench(client=True).resume_process(process.id, **WHO)
    assert (after.status, last(runtime, process.id).actor, last(runtime, process.id).server) == (S.IDLED, "olga", None)


@pytest.mark.parametrize("verb", ["resume", "resume twice"])
@pytest.mark.parametrize("where", ["scheme", "registration"])
def test_what_is_not_resumable_is_refused_though_a_client_knows_no_actions(bench: Bench, where: str, verb: str) -> None:
    """Declared in the scheme the client refuses it; in code, the server that takes it up does: nothing runs in either case."""
    work = Work(break_down)
    runtime = bench.built(TEXT.replace("{call}", "{action: Call, resumable: false}" if where == "scheme" else "Call"))
    runtime.with_actions({name: act for name, act in work.actions.items() if name != "Call"})
    runtime.action("Call", resumable=where == "scheme")(work("Call"))
    process = runtime.start().create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    work.middle, client = None, bench(client=True)
    expected = f"process {process.id}: action 'Call' of activity 'B' is not resumable"
    if where == "scheme":
        with pytest.raises(NotResumable, match=expected):
            client.resume_process(process.id, **WHO)
    else:
        client.resume_process(process.id, **WHO)
        if verb == "resume twice":  # while it waits for a server, which knows
            with pytest.raises(NotResumable, match=expected):
                runtime.resume_process(process.id, **WHO)
        bench.clock.advance(1)
    after = runtime.get_process(process.id)
    assert (after.status, after.activity, after.is_waiting, work.did) == (S.ERROR, "A", False, ["Before", "Call"])
    assert after.last_error is not None
    if where == "registration":
        assert after.last_error.message.startswith(expected)
        assert (last(runtime, process.id).kind, last(runtime, process.id).actor, after.last_error.action) == ("failed", "olga", "Call")
        assert engine_of(runtime).store.timers(process.id) == ()


def test_what_waits_for_its_next_attempt_may_go_on_at_once_even_so(bench: Bench) -> None:
    """It would go on by itself: the attempt before has ended, and how is known."""
    flaky = Flaky(1)
    work = Work()
    runtime = bench.built(TEXT.replace("{call}", call("attempts: 3, delay: 9s", resumable="false")))
    runtime.with_actions({**work.actions, "Call": flaky})
    process = runtime.start().create_instance("S")
    runtime.execute_command(process.id, "go")
    bench(client=True).resume_process(process.id, **WHO)
    bench.clock.advance(1)
    assert (runtime.get_process(process.id).activity, flaky.attempts) == ("C", [1, 1])


def test_recovery_refuses_it_too_by_name(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RestoreDecision.resume()), scheme=SCHEME.replace("[Charge, Mail]", "[{action: Charge, resumable: false}, Mail]")) as home:
        one = home.orphan(PAYING)
        [decision] = home.recover().decisions
        assert (home.status(one), home.names_done) == (S.ERROR, [])
        for word in (str(one), "'Paid'", "'Charge'", "not resumable"):
            assert word in decision.error


def test_while_it_runs_again_it_is_the_servers_and_nobody_else_resumes_it(bench: Bench) -> None:
    inside, ready = threading.Event(), threading.Event()
    work = Work(break_down)
    runtime, process = begun(bench, work)
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")

    def hold(ctx: Any) -> None:
        inside.set()
        assert ready.wait(10)

    work.middle = hold
    thread = threading.Thread(target=runtime.resume_process, args=(process.id,), kwargs=WHO)
    thread.start()
    assert inside.wait(10)
    with pytest.raises(ProcessBusy):
        runtime.resume_process(process.id, **WHO)
    ready.set()
    thread.join(10)
    assert runtime.get_process(process.id).activity == "C"
