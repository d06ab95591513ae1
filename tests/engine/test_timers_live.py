"""Timers as they fire, with a clock that the test moves: never early, each once, none forgotten."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bench import NOW, WHO, Bench, engine_of, history, last, path_of, told
from timed import DAY, HOUR, dues, text
from waiting import until

from workflow_runtime import ProcessStatus, WorkflowRuntime, hookimpl
from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.errors import ActionFailed, ExecutionError, Fenced

S = ProcessStatus


# ------------------------------------------------------------------ every type, and never early


@pytest.mark.parametrize(
    ("timer", "values", "due"),
    [
        ("{interval: 1d 12h}", {}, DAY + 12 * HOUR),
        ("{interval: 1mm}", {}, 31 * DAY),
        ('{time: "18:30:00"}', {}, 18.5 * HOUR),
        ('{date: "2030-01-03"}', {}, 2 * DAY),
        ('{at: "2030-01-02 09:00:00"}', {}, 33 * HOUR),
        ('{at: "01/02/2030 09:00:00"}', {}, 33 * HOUR),
        ('{expression: "@When"}', {"When": "2030-01-01T05:00:00Z"}, 5 * HOUR),
        ('{expression: "AddHours(@When, 1)"}', {"When": "2030-01-01T05:00:00Z"}, 6 * HOUR),
        ('{cron: "0 9 * * 1-5", time_zone: Europe/Berlin}', {}, 8 * HOUR),
        ('{interval: "-1"}', {"TimerValue_t": "2h"}, 2 * HOUR),
        ("{interval: 1h}", {"TimerValue_t": "2030-01-04"}, 3 * DAY),
        ("{interval: 1h}", {"TimerValue_t": 1_500}, timedelta(seconds=1.5)),
    ],
)
def test_each_type_fires_at_its_time_and_not_a_microsecond_before(bench: Bench, timer: str, values: dict[str, Any], due: timedelta) -> None:
    head = "parameters: {When: {type: datetime, purpose: persistence}}"
    runtime = bench(text(timer, head=head))
    process = runtime.create_instance("S", parameters=values)
    assert dues(runtime, process) == {"t": due}
    bench.clock.advance(due - timedelta(microseconds=1))
    assert runtime.get_process(process.id).activity == "A"
    bench.clock.advance(timedelta(microseconds=1))
    after, entry = runtime.get_process(process.id), last(runtime, process.id)
    assert (after.activity, after.status, runtime.get_timers(process.id)) == ("B", S.IDLED, [])
    assert (entry.trigger, entry.at) == (("Timer", "t"), NOW + due)


def test_a_moment_that_is_past_when_it_is_armed_fires_at_once(bench: Bench) -> None:
    runtime = bench(text('{at: "2029-12-31 09:00:00"}'))
    process = runtime.create_instance("S")
    bench.clock.advance(0)
    assert runtime.get_process(process.id).activity == "B"


def test_an_expression_without_a_value_is_never(bench: Bench) -> None:
    runtime = bench(text('{expression: "@When"}', head='parameters: {When: {type: "optional[datetime]", purpose: persistence}}'))
    assert runtime.get_timers(runtime.create_instance("S").id) == []


def test_a_value_that_cannot_be_read_fails_the_arrival(bench: Bench) -> None:
    runtime = bench(text("{interval: 1h}"))
    with pytest.raises(ExecutionError, match=r"timer.*'A'") as caught:
        runtime.create_instance("S", parameters={"TimerValue_t": "soon"})
    assert runtime.get_process(caught.value.process_id).status is S.TERMINATED


class Translator:
    """Custom values; breaks where it is told to."""

    @hookimpl
    def register_timer_values(self) -> Any:
        def translate(process: Any, value: str) -> str | None:
            if value == "broken":
                raise LookupError("no calendar")
            return "2h" if value == "after lunch" else None

        return {"t": translate}


def test_a_custom_value_is_translated(bench: Bench) -> None:
    runtime = bench(text("{interval: 1h}"), plugin=Translator())
    assert dues(runtime, runtime.create_instance("S", parameters={"TimerValue_t": "after lunch"})) == {"t": 2 * HOUR}
    with pytest.raises(ExecutionError, match="no calendar") as caught:
        runtime.create_instance("S", parameters={"TimerValue_t": "broken"})
    assert runtime.get_process(caught.value.process_id).status is S.TERMINATED


# ------------------------------------------------------------------ armed, dropped, armed anew


def test_a_timer_goes_with_its_activity(bench: Bench) -> None:
    runtime = bench(text("{interval: 1h}", "{from: A, to: B, on: {timer: t}}", "{from: A, to: C, on: {command: go}}"))
    process = runtime.create_instance("S")
    runtime.execute_command(process.id, "go")
    assert runtime.get_timers(process.id) == []
    bench.clock.advance(DAY)
    assert runtime.get_process(process.id).activity == "C"


@pytest.mark.parametrize(("keep", "due"), [("", 90), (", keep_if_set: true", 60)])
def test_entering_an_activity_again_restarts_its_timers_unless_they_are_kept(bench: Bench, keep: str, due: int) -> None:
    runtime = bench(text(f"{{interval: 1h{keep}}}", "{from: A, to: B, on: {timer: t}}", "{from: A, to: A, on: {command: go}}"))
    process = runtime.create_instance("S")
    bench.clock.advance(HOUR / 2)
    runtime.execute_command(process.id, "go")
    assert dues(runtime, process) == {"t": timedelta(minutes=due)}


def test_a_kept_timer_lives_as_long_as_each_next_activity_has_it(bench: Bench) -> None:
    ways = ["{from: A, to: End, on: {timer: t}}", "{from: B, to: End, on: {timer: t}}", "{from: A, to: B, on: {command: go}}"]
    ways += ["{from: B, to: C, on: {command: go}}", "{from: C, to: A, on: {command: go}}"]
    runtime = bench(text("{interval: 3h, keep_if_set: true}", *ways))
    process = runtime.create_instance("S")
    seen = []
    for _ in range(3):
        bench.clock.advance(HOUR / 2)
        runtime.execute_command(process.id, "go")
        seen.append(dues(runtime, process))
    assert seen == [{"t": 3 * HOUR}, {}, {"t": 4.5 * HOUR}]


def test_a_value_set_inside_an_action_counts_from_the_next_arming(bench: Bench) -> None:
    def sooner(ctx: Any, parameter: str | None) -> None:
        ctx.parameters["TimerValue_t"] = timedelta(minutes=5)

    scheme = text("{interval: 1h}", "{from: A, to: B, on: {command: go}}", "{from: B, to: C, on: {timer: t}}", b="{actions: [Sooner]}")
    runtime = bench(scheme, actions={"Sooner": sooner})
    process = runtime.create_instance("S")
    runtime.execute_command(process.id, "go")
    assert dues(runtime, process) == {"t": timedelta(minutes=5)}


# ------------------------------------------------------------------ idioms


def test_an_escalation_goes_on_by_itself(bench: Bench) -> None:
    ways = ("{from: A, to: B, on: {timer: t}}", "{from: B, to: C, on: {timer: t}}", "{from: C, to: C, on: {timer: t}}")
    runtime = bench(text("{interval: 15m}", *ways))
    process = runtime.create_instance("S")
    for _ in range(4):
        bench.clock.advance(timedelta(minutes=15))
    assert path_of(runtime, process.id) == ["A", "B", "C", "C", "C"]
    assert [(entry.at - NOW) / timedelta(minutes=15) for entry in history(runtime, process.id)] == [0, 1, 2, 3, 4]


def test_polling_asks_on_each_entry_and_rests_between(bench: Bench) -> None:
    answers = [False, False, True]

    def ready(ctx: Any, parameter: str | None) -> bool:
        return answers.pop(0)

    ways = ("{from: A, to: B, when: {action: Ready}}", "{from: A, to: A, on: {timer: t}, otherwise: true}")
    runtime = bench(text("{interval: 10s}", *ways), conditions={"Ready": ready})
    process = runtime.create_instance("S")
    assert runtime.get_process(process.id).status is S.IDLED
    bench.clock.advance(10)
    bench.clock.advance(10)
    assert path_of(runtime, process.id) == ["A", "A", "A", "B"]
    assert answers == []


# ------------------------------------------------------------------ not now, not at all


def test_a_timer_that_is_due_while_its_process_runs_fires_at_once_after_it_rests(bench: Bench) -> None:
    def long(ctx: Any, parameter: str | None) -> None:
        bench.clock.advance(2 * HOUR)
        raise ValueError("and in vain")

    ways = ("{from: A, to: C, on: {timer: t}}", "{from: A, to: B, on: {command: go}}")
    runtime = bench(text("{interval: 1h}", *ways, b="{actions: [Long]}"), actions={"Long": long})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert told(runtime, process.id) == [("moved", "A", "Idled"), ("failed", "A", "Error"), ("moved", "C", "Idled")]
    assert last(runtime, process.id).at == NOW + 2 * HOUR


def test_a_timer_that_cannot_be_taken_is_told_and_armed_again(bench: Bench) -> None:
    runtime = bench(text("{interval: 1h}", '{from: A, to: B, on: {timer: t}, when: "1 = 2"}'))
    process = runtime.create_instance("S")
    bench.clock.advance(1.5 * HOUR)
    assert told(runtime, process.id)[-1] == ("not_applicable", "A", "Idled")
    assert dues(runtime, process) == {"t": 2.5 * HOUR}


@pytest.mark.parametrize(("out", "status", "kind"), [(True, "Idled", "not_applicable"), (False, "Terminated", "timer_missed")])
def test_a_moment_that_cannot_be_taken_is_gone(bench: Bench, out: bool, status: str, kind: str) -> None:
    scheme = text('{at: "2030-01-01 01:00:00"}', '{from: A, to: B, on: {timer: t}, when: "1 = 2"}')
    runtime = bench(scheme if out else scheme.replace("  - {from: A, to: End, on: {command: out}}\n", ""))
    process = runtime.create_instance("S")
    bench.clock.advance(HOUR)
    entry = last(runtime, process.id)
    assert (entry.kind, entry.status, entry.reason) == (kind, status, None if out else "timer missed")
    assert runtime.get_timers(process.id) == []


def test_a_timer_whose_condition_raises_waits_for_its_next_time(bench: Bench) -> None:
    asked: list[datetime] = []

    def broken(ctx: Any, parameter: str | None) -> bool:
        asked.append(bench.clock.now())
        raise ValueError("no service")

    runtime = bench(text("{interval: 1h}", "{from: A, to: B, on: {timer: t}, when: {action: Broken}}"), conditions={"Broken": broken})
    process = runtime.create_instance("S")
    for _ in range(3):
        bench.clock.advance(HOUR)
    assert [moment - NOW for moment in asked] == [HOUR, 2 * HOUR, 3 * HOUR]
    assert told(runtime, process.id)[1:] == [("failed", "A", "Error")] * 3
    assert last(runtime, process.id).trigger == ("Timer", "t")
    assert dues(runtime, process) == {"t": 4 * HOUR}


def test_a_timer_whose_action_fails_is_armed_again_and_fires_from_error(bench: Bench) -> None:
    runtime = bench(text("{interval: 1h}", "{from: A, to: B, on: {timer: t}}", b="{actions: [Fail]}"))
    process = runtime.create_instance("S")
    bench.clock.advance(HOUR)
    assert (told(runtime, process.id)[-1], dues(runtime, process)) == (("failed", "A", "Error"), {"t": 2 * HOUR})
    bench.clock.advance(HOUR)
    assert [entry.kind for entry in history(runtime, process.id)] == ["moved", "failed", "failed"]


def test_a_moment_whose_action_fails_does_not_come_again(bench: Bench) -> None:
    scheme = text('{at: "2030-01-01 01:00:00"}', "{from: A, to: B, on: {timer: t}}", b="{actions: [Fail]}")
    runtime = bench(scheme.replace("  - {from: A, to: End, on: {command: out}}\n", ""))
    process = runtime.create_instance("S")
    bench.clock.advance(HOUR)
    assert (told(runtime, process.id)[-1], runtime.get_timers(process.id)) == (("failed", "A", "Terminated"), [])


def test_a_row_that_was_armed_anew_since_it_was_read_does_not_fire(bench: Bench) -> None:
    runtime = bench(text("{interval: 1h}", "{from: A, to: B, on: {timer: t}}", "{from: A, to: A, on: {command: go}}"))
    process = runtime.create_instance("S")
    (stale,) = runtime.get_timers(process.id)
    bench.clock.advance(HOUR / 2)
    runtime.execute_command(process.id, "go")
    assert runtime._parts.executor.fire(process.id, stale) is None
    assert path_of(runtime, process.id) == ["A", "A"]
    assert dues(runtime, process) == {"t": 1.5 * HOUR}


@pytest.mark.parametrize("status", [S.TERMINATED, S.FINALIZED])
def test_only_idled_and_error_processes_take_timers(bench: Bench, status: ProcessStatus) -> None:
    runtime = bench(text("{interval: 1h}"))
    process = runtime.create_instance("S")
    (row,) = runtime.get_timers(process.id)
    if status is S.TERMINATED:
        runtime.cancel_process(process.id, **WHO)
    else:
        runtime.execute_command(process.id, "out")
    bench.clock.advance(DAY)
    assert runtime._parts.executor.fire(process.id, row) is None
    assert runtime.get_process(process.id).status is status


# ------------------------------------------------------------------ downtime


def after_downtime(bench: Bench, scheme: str, down: timedelta) -> tuple[WorkflowRuntime, Any]:
    runtime = bench(scheme)
    process = runtime.create_instance("S")
    runtime.shutdown()
    bench.clock.advance(down)
    return runtime.start(), process


SELF = "{from: A, to: A, on: {timer: t}}"


def test_an_overdue_timer_fires_once_however_long_nobody_was_there(bench: Bench) -> None:
    runtime, process = after_downtime(bench, text("{interval: 1h}", SELF), 10 * HOUR + HOUR / 2)
    assert path_of(runtime, process.id) == ["A", "A"]
    assert dues(runtime, process) == {"t": 11.5 * HOUR}


def test_a_cron_timer_that_wants_every_missed_time_gets_each(bench: Bench) -> None:
    runtime, process = after_downtime(bench, text('{cron: "0 * * * *", missed: fire_all}', SELF), 5.5 * HOUR)
    assert path_of(runtime, process.id) == ["A"] * 6
    assert dues(runtime, process) == {"t": 6 * HOUR}


@pytest.mark.parametrize(("down", "fires"), [(HOUR + timedelta(minutes=10), True), (HOUR + timedelta(minutes=11), False)])
def test_a_late_firing_is_skipped_where_that_is_wanted(bench: Bench, down: timedelta, fires: bool) -> None:
    runtime, process = after_downtime(bench, text("{interval: 1h, missed: skip, late_after: 10m}", SELF), down)
    assert told(runtime, process.id)[-1][0] == ("moved" if fires else "timer_skipped")
    assert dues(runtime, process) == {"t": down + HOUR}


def test_a_skipped_moment_that_was_the_last_exit_is_missed(bench: Bench) -> None:
    scheme = text('{at: "2030-01-01 01:00:00", missed: skip}').replace("  - {from: A, to: End, on: {command: out}}\n", "")
    runtime, process = after_downtime(bench, scheme, DAY)
    assert told(runtime, process.id)[-1] == ("timer_missed", "A", "Terminated")


# ------------------------------------------------------------------ many


def test_a_thousand_due_at_once_fire_once_each(bench: Bench) -> None:
    runtime = bench(text("{interval: 1h}", "{from: A, to: End, on: {timer: t}}"))
    number = 1_000
    for _ in range(number):
        runtime.create_instance("S")
    bench.clock.advance(HOUR)
    assert runtime.count_processes(ProcessFilter(status=S.FINALIZED)) == number
    with engine_of(runtime).store.dialect.read() as transaction:
        fired = transaction.driver.execute("SELECT process_id, count(*) FROM wf_history WHERE trigger_kind = 'Timer' GROUP BY process_id").fetchall()
    assert (len(fired), {count for _, count in fired}) == (number, {1})


def test_of_two_overdue_timers_of_one_process_the_earlier_leads(bench: Bench) -> None:
    """Both are read at once and there are eight workers: the later one would overtake while the earlier is still being decided."""
    overtaken = threading.Event()

    def slow(ctx: Any, parameter: str | None) -> bool:
        overtaken.wait(0.3)  # the time in which the other would be asked
        return True

    def quick(ctx: Any, parameter: str | None) -> bool:
        overtaken.set()
        return True

    scheme = text("{interval: 1h}", "{from: A, to: B, on: {timer: t}, when: {action: Slow}}", "{from: A, to: C, on: {timer: u}, when: {action: Quick}}")
    runtime = bench(scheme.replace("timers:\n", "timers:\n  u: {interval: 2h}\n"), conditions={"Slow": slow, "Quick": quick})
    process = runtime.create_instance("S")
    bench.clock.advance(3 * HOUR)
    assert path_of(runtime, process.id) == ["A", "B"]
    assert not overtaken.is_set()


def test_a_process_that_cannot_be_fired_here_does_not_stop_the_others(bench: Bench) -> None:
    """Its scheme names an action that this server lacks."""
    runtime = bench(text("{interval: 1h}", b="{actions: [Rare]}"), actions={"Rare": lambda ctx, parameter: None})
    rare = runtime.create_instance("S")
    runtime.shutdown()
    other = bench(text("{interval: 1h}").replace("scheme: S", "scheme: T"))
    common = other.create_instance("T")
    bench.clock.advance(2 * HOUR)
    assert (other.get_process(common.id).activity, other.get_process(rare.id).activity) == ("B", "A")
    other.shutdown()
    runtime.start()
    assert runtime.get_process(rare.id).activity == "B"


def test_work_that_nobody_waits_for_nudges_the_loop_without_waiting_for_itself(bench: Bench) -> None:
    """A recovered process comes to rest in a worker, where a moment that is past awaits it."""
    lost: list[str] = []

    def lose(ctx: Any, parameter: str | None) -> None:
        if not lost:
            lost.append("me")
            with engine_of(runtime).store.dialect.write() as transaction:
                transaction.driver.execute("UPDATE wf_process SET owner = 'gone', token = token + 1")

    scheme = text('{at: "2029-12-31 09:00:00"}', "{from: A, to: B, on: {command: go}}", "{from: B, to: C, on: {timer: t}}", b="{actions: [Lose]}")
    runtime = bench(scheme.replace("scheme: S", "scheme: S\nrecovery: resume"), actions={"Lose": lose}, workers=1)
    process = runtime.create_instance("S")
    with pytest.raises(Fenced):
        runtime.execute_command(process.id, "go")
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(runtime.recover, wait=True).result(20)
    assert report is not None
    assert report.by_decision == {"resume": 1}
    until(lambda: runtime.get_process(process.id).activity == "C")


def test_the_zone_of_the_runtime_counts_where_a_timer_names_none(bench: Bench) -> None:
    runtime = bench(text('{time: "18:30:00"}'), time_zone="America/New_York")
    (timer,) = runtime.get_timers(runtime.create_instance("S").id)
    assert timer.due == datetime(2030, 1, 1, 23, 30, tzinfo=UTC)
