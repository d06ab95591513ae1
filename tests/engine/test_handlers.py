"""Exception handlers of an activity: repeat, ignore, or lead elsewhere; for actions and for conditions."""

from __future__ import annotations

from typing import Any

import pytest
from bench import Bench, history, last, path_of
from retried import Flaky, call, retries
from test_commits import costs
from test_failures import Trouble

from workflow_runtime import Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.errors import ActionFailed, ConditionFailed

S = ProcessStatus


def text(handlers: str, *, action: str = "Call", when: str = ", when: '1 = 1'") -> str:
    """The command go leads to Work, which has the action and the handlers, and from there to Next."""
    return f"""
scheme: S
parameters: {{Value: {{type: int, purpose: persistence}}}}
commands: {{go: {{}}, out: {{}}}}
activities:
  Rest: {{initial: true}}
  Work: {{state: Working, actions: [Note, {action}, Note], on_error: [{handlers}]}}
  Next: {{}}
  Escalated: {{actions: [Note]}}
  Broken: {{state: Failed}}
  Failed: {{state: Failed, set_state: true}}
  End: {{final: true}}
transitions:
  - {{from: Rest, to: Work, on: {{command: go}}}}
  - {{from: Work, to: Next{when}}}
  - {{from: Work, to: Failed, otherwise: true}}
  - {{from: Next, to: End, on: {{command: out}}}}
  - {{from: Escalated, to: End, on: {{command: out}}}}
  - {{from: Failed, to: End, on: {{command: out}}}}
"""


def sent(bench: Bench, scheme: str, call: Any, **given: Any) -> tuple[WorkflowRuntime, Process]:
    runtime = bench(scheme, actions={"Call": call}, **given)
    process = runtime.create_instance("S")
    return runtime, runtime.execute_command(process.id, "go").process


def test_it_is_repeated_at_once_and_so_often(bench: Bench) -> None:
    flaky = Flaky(2)
    runtime, process = sent(bench, text("{retry: 2}"), flaky)
    assert (process.activity, process.last_error, flaky.attempts, bench.said) == ("Next", None, [1, 2, 3], ["Work", "Work"])
    assert retries(runtime, process.id) == [f"no line: attempt {n} failed; exception handler 1 repeats it at once" for n in (1, 2)]


def test_what_is_used_up_leaves_it_to_the_next_and_in_the_end_to_the_status_rule(bench: Bench) -> None:
    flaky, trouble = Flaky(9), Trouble()
    runtime = bench(text("{retry: 2}, {catch: KeyError, ignore: true}, {catch: OSError, retry: 1}"), actions={"Call": flaky}, plugin=trouble)
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert (flaky.attempts, len(trouble.errors), runtime.get_process(process.id).status) == ([1, 2, 3, 4], 1, S.ERROR)


def test_the_retry_policy_comes_first(bench: Bench) -> None:
    flaky = Flaky(3)
    runtime, process = sent(bench, text("{retry: 1}", action=call("attempts: 3, delay: 5s, factor: 1")), flaky)
    assert process.is_waiting
    bench.clock.advance(5)
    bench.clock.advance(5)
    assert (flaky.attempts, runtime.get_process(process.id).activity) == ([1, 2, 3, 4], "Next")


def test_what_is_ignored_counts_as_done_and_changes_nothing(bench: Bench) -> None:
    def act(ctx: Any, parameter: str | None) -> None:
        ctx.parameters["Value"] = 7
        raise KeyError("again")

    runtime = bench(text("{catch: [KeyError], ignore: true}"), actions={"Call": act})
    process = runtime.create_instance("S", parameters={"Value": 1})
    with costs(runtime) as cost:
        done = runtime.execute_command(process.id, "go").process
    assert (done.activity, dict(done.parameters), bench.said, cost.commits) == ("Next", {"Value": 1}, ["Work", "Work"], 4)
    (told,) = [entry for entry in history(runtime, process.id) if entry.kind == "failed"]
    assert (told.status, told.reason, told.error and told.error.message) == (S.RUNNING, "exception handler 1 ignores it", "'again'")


@pytest.mark.parametrize(
    ("handler", "stands", "said"),
    [("set_activity: Escalated", "Escalated", ["Work", "Escalated"]), ("set_state: Failed", "Failed", ["Work"])],
)
def test_it_leads_elsewhere_and_the_caller_hears_nothing(bench: Bench, handler: str, stands: str, said: list[str]) -> None:
    trouble = Trouble()
    runtime, process = sent(bench, text(f"{{catch: [ConnectionError], {handler}}}"), Flaky(9), plugin=trouble)
    assert (process.activity, process.status, bench.said, trouble.errors) == (stands, S.IDLED, said, [])
    failed, entered = history(runtime, process.id)[1:]
    assert (failed.kind, failed.from_activity, failed.error and failed.error.type) == ("failed", "Rest", "ConnectionError")
    assert (entered.from_activity, entered.to_activity, entered.reason) == ("Rest", stands, "exception handler 1")


def test_another_exception_is_not_its_business(bench: Bench) -> None:
    runtime = bench(text("{catch: [KeyError, TimeoutError], set_activity: Escalated}"), actions={"Call": Flaky(9)})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert (last(runtime, process.id).kind, path_of(runtime, process.id)) == ("failed", ["Rest"])


def test_a_handler_that_leads_back_does_not_go_round_for_ever(bench: Bench) -> None:
    flaky = Flaky(99)
    runtime = bench(text("{set_activity: Work}"), actions={"Call": flaky}, max_automatic_steps=3)
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert (len(flaky.attempts), runtime.get_process(process.id).status) == (4, S.ERROR)


def test_a_person_who_cancels_ends_the_repetitions(bench: Bench) -> None:
    def act(ctx: Any, parameter: str | None) -> None:
        calls.append(ctx.attempt)
        runtime.cancel_process(ctx.process_id, actor="olga", reason="test")
        raise KeyError("again")

    calls = list[int]()
    runtime = bench(text("{retry: 9}"), actions={"Call": act})
    process = runtime.create_instance("S")
    runtime.execute_command(process.id, "go")
    assert (calls, runtime.get_process(process.id).status) == ([1], S.TERMINATED)


# ------------------------------------------------------------------ conditions

WHEN = ", when: {action: Ask}"


class Asked:
    """A condition that raises so many times, and then holds."""

    def __init__(self, failures: int) -> None:
        self.failures, self.calls = failures, 0

    def __call__(self, ctx: Any, parameter: str | None) -> bool:
        self.calls += 1
        if self.calls <= self.failures:
            raise TimeoutError("no answer")
        return True


@pytest.mark.parametrize(
    ("handlers", "when", "failures", "stands", "calls"),
    [
        ("{retry: 2}", WHEN, 2, "Next", 3),
        ("{retry: 2}, {ignore: true}", WHEN, 9, "Failed", 3),
        ("{catch: TimeoutError, ignore: true}", WHEN, 9, "Failed", 1),
        ("{catch: TimeoutError, ignore: true}", ", when: {action: Ask, not: true}", 9, "Failed", 1),
        ("{retry: 1}, {set_activity: Escalated}", WHEN, 9, "Escalated", 2),
        ("{set_state: Failed}", WHEN, 9, "Failed", 1),
    ],
)
def test_a_condition_that_raises(bench: Bench, handlers: str, when: str, failures: int, stands: str, calls: int) -> None:
    asked = Asked(failures)
    _, process = sent(bench, text(handlers, when=when), Flaky(), conditions={"Ask": asked})
    assert (process.activity, process.status, asked.calls) == (stands, S.IDLED, calls)


def test_a_condition_that_no_handler_knows_breaks_it_off(bench: Bench) -> None:
    runtime = bench(text("{catch: KeyError, ignore: true}", when=WHEN), actions={"Call": Flaky()}, conditions={"Ask": Asked(9)})
    process = runtime.create_instance("S")
    with pytest.raises(ConditionFailed):
        runtime.execute_command(process.id, "go")
    assert runtime.get_process(process.id).activity == "Work"


def test_a_condition_of_a_command_may_be_handled_where_the_process_rests(bench: Bench) -> None:
    scheme = text("").replace("Rest: {initial: true}", "Rest: {initial: true, on_error: [{set_activity: Escalated}]}")
    scheme = scheme.replace("on: {command: go}", "on: {command: go}, when: {action: Ask}")
    _, process = sent(bench, scheme, Flaky(), conditions={"Ask": Asked(9)})
    assert (process.activity, process.status) == ("Escalated", S.IDLED)
