"""An activity may bound how long a process stands in it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bench import NOW, WHO, Bench, engine_of, last, path_of
from test_commits import costs

from workflow_runtime import ProcessStatus
from workflow_runtime.errors import ActionFailed, SchemeError

S = ProcessStatus


def text(reaction: str = "set_activity: Late", *, after: str = "2h", head: str = "") -> str:
    return f"""
scheme: S
{head}
commands: {{go: {{}}, fail: {{}}, out: {{}}}}
activities:
  Rest: {{initial: true, idle_timeout: {{after: {after}, {reaction}}}}}
  Late: {{state: Overdue, actions: [Note]}}
  Broken: {{actions: [Fail]}}
  End: {{final: true, idle_timeout: {{after: {after}, {reaction}}}}}
transitions:
  - {{from: Rest, to: Rest, on: {{command: go}}}}
  - {{from: Rest, to: Broken, on: {{command: fail}}}}
  - {{from: Rest, to: End, on: {{command: out}}}}
  - {{from: Late, to: End, on: {{command: out}}}}
  - {{from: Broken, to: End, on: {{command: out}}}}
"""


@pytest.mark.parametrize("reaction", ["set_activity: Late", "set_state: Overdue"])
def test_who_stands_too_long_is_led_elsewhere(bench: Bench, reaction: str) -> None:
    runtime = bench(text(reaction))
    process = runtime.create_instance("S")
    (row,) = runtime.get_timers(process.id)
    assert (row.name, row.due) == ("idle timeout", NOW + timedelta(hours=2))
    bench.clock.advance(2 * 3600 - 1)
    assert runtime.get_process(process.id).activity == "Rest"
    bench.clock.advance(1)
    assert (runtime.get_process(process.id).activity, runtime.get_process(process.id).status, bench.said) == ("Late", S.IDLED, ["Late"])
    moved = last(runtime, process.id)
    assert (moved.trigger.kind, moved.trigger.name, moved.transition, moved.from_activity) == ("Timer", "idle timeout", "", "Rest")
    assert runtime.get_timers(process.id) == []


def test_it_counts_from_the_last_arrival(bench: Bench) -> None:
    runtime = bench(text())
    process = runtime.create_instance("S")
    bench.clock.advance(3600)
    runtime.execute_command(process.id, "go")
    assert [timer.due for timer in runtime.get_timers(process.id)] == [NOW + timedelta(hours=3)]
    runtime.execute_command(process.id, "out")
    assert runtime.get_timers(process.id) == [], "what is final is not opened again by time"
    bench.clock.advance(86_400)
    assert path_of(runtime, process.id) == ["Rest", "Rest", "End"]


def test_it_survives_a_restart_and_a_failure(bench: Bench) -> None:
    runtime = bench(text())
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "fail")
    assert runtime.get_process(process.id).status is S.ERROR
    runtime.shutdown()
    bench.clock.advance(7200)
    assert bench(text()).get_process(process.id).activity == "Late"


def test_it_costs_the_claim_and_the_arrival(bench: Bench) -> None:
    runtime = bench(text("set_activity: End"))
    process = runtime.create_instance("S")
    (row,) = engine_of(runtime).store.timers(process.id)
    with costs(runtime) as cost:
        runtime.fire_timer(process.id, "idle timeout", **WHO)
    assert (cost.commits, runtime.get_process(process.id).status, row.value) == (1, S.FINALIZED, "2h")


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (text("retry: 3"), "the idle timeout of activity 'Rest' is of type Retry; expected SetActivity or SetState"),
        (text(after="soon"), "the idle timeout of activity 'Rest': "),
        (text(after="0"), "is no time at all"),
        (text(after="2wd"), "the idle timeout of activity 'Rest': "),
        (text("set_activity: Nowhere"), "names the activity 'Nowhere', which the scheme does not declare"),
        (text(head='timers: {"idle timeout": {interval: 1h}}'), "the name 'idle timeout' is that of idle timeouts of activities"),
    ],
)
def test_one_that_cannot_be_kept_is_refused(bench: Bench, scheme: str, said: str) -> None:
    with pytest.raises(SchemeError) as caught:
        bench(scheme)
    assert said in str(caught.value)
