"""Steps inside an action: done once per walk, found again by their name, never by another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from bench import WHO, Bench, engine_of
from retried import text as retried_text
from test_actions import text

from workflow_runtime import Process, WorkflowRuntime
from workflow_runtime.errors import ActionFailed, JournalMismatch, ParameterError

Body = Callable[[Any], Any]


class Retried:
    """An action that fails once after its body; ``calls`` and ``results`` over both attempts."""

    def __init__(self, body: Body, later: Body | None = None) -> None:
        self.bodies = [body, later or body]
        self.calls: list[Any] = []
        self.results: list[Any] = []

    def call(self, value: Any) -> Any:
        self.calls.append(value)
        return value

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        body = self.bodies[len(self.results)]
        self.results.append(None)
        self.results[-1] = body(ctx)
        if len(self.results) == 1:
            raise ValueError("after the steps")


def twice(bench: Bench, action: Any, **given: Any) -> tuple[WorkflowRuntime, Process]:
    """Fails, then is resumed."""
    runtime = bench(text("Act"), actions={"Act": action}, **given)
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    return runtime, runtime.resume_process(process.id, **WHO)


def test_a_resume_gets_the_stored_result_and_runs_nothing_again(bench: Bench) -> None:
    action = Retried(lambda ctx: [ctx.step("a", action.call, 1), ctx.step("b", action.call, {"x": Decimal("1.50")})])
    twice(bench, action)
    assert action.calls == [1, {"x": Decimal("1.50")}]
    assert action.results == [[1, {"x": Decimal("1.50")}]] * 2


def test_the_first_call_returns_what_later_ones_will(bench: Bench) -> None:
    action = Retried(lambda ctx: ctx.step("pair", lambda: (1, (2, 3))))
    twice(bench, action)
    assert action.results == [[1, [2, 3]]] * 2, "a tuple comes back as a list, on the first attempt too"


def test_steps_of_one_name_are_told_apart_by_their_occurrence(bench: Bench) -> None:
    action = Retried(lambda ctx: [ctx.step("mail", action.call, to) for to in ("ann", "bob", "ann")])
    twice(bench, action)
    assert action.calls == ["ann", "bob", "ann"]
    assert action.results[1] == ["ann", "bob", "ann"]


def test_code_may_change_between_two_attempts(bench: Bench) -> None:
    first: Body = lambda ctx: ctx.step("a", action.call, "a")  # noqa: E731
    later: Body = lambda ctx: [ctx.step("new", action.call, "new"), ctx.step("a", action.call, "a")]  # noqa: E731
    action = Retried(first, later)
    twice(bench, action)
    assert action.calls == ["a", "new"]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (lambda ctx, f: ctx.step("s", f, 1), lambda ctx, f: ctx.step("s", f, 2)),
        (lambda ctx, f: ctx.step("s", f, value=1), lambda ctx, f: ctx.step("s", f, value=2)),
        (lambda ctx, f: ctx.step("s", f, value=1, client=object()), lambda ctx, f: ctx.step("s", f, value=2, client=object())),
        (lambda ctx, f: ctx.step("s", f, Decimal("1.0")), lambda ctx, f: ctx.step("s", f, "1.0")),
    ],
    ids=["positional", "named", "beside what cannot be stored", "type"],
)
def test_other_arguments_are_a_mismatch(bench: Bench, first: Any, later: Any) -> None:
    def take(*args: Any, **named: Any) -> None:
        """Anything."""

    action = Retried(lambda ctx: first(ctx, take), lambda ctx: later(ctx, take))
    runtime = bench(text("Act"), actions={"Act": action})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    with pytest.raises(JournalMismatch, match="other arguments") as caught:
        runtime.resume_process(process.id, **WHO)
    error = caught.value
    assert (error.process_id, error.activity, error.action, error.step, error.occurrence) == (process.id, "Work", "Act", "s", 0)
    for word in (str(process.id), "'Work'", "'Act'", "'s'", error.journaled[:12], error.called[:12], "2030-01-01"):
        assert word in error.message
    assert error.journaled != error.called
    assert runtime.get_process(process.id).status.accepts_commands


def test_a_mismatch_says_what_the_arguments_are_and_not_their_values(bench: Bench) -> None:
    action = Retried(lambda ctx: ctx.step("s", len, "first"), lambda ctx: ctx.step("s", len, "secret"))
    runtime = bench(text("Act"), actions={"Act": action})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    with pytest.raises(JournalMismatch) as caught:
        runtime.resume_process(process.id, **WHO)
    assert "called with (str)" in caught.value.message
    assert "secret" not in caught.value.message


def test_arguments_of_any_name_reach_the_function(bench: Bench) -> None:
    got: list[Any] = []
    runtime = bench(text("Act"), actions={"Act": lambda ctx, parameter: ctx.step("s", lambda **named: got.append(named), name=1, function=2, self=3)})
    runtime.execute_command(runtime.create_instance("S").id, "go")
    assert got == [{"name": 1, "function": 2, "self": 3}]


def test_arguments_that_cannot_be_stored_count_by_their_type(bench: Bench) -> None:
    class Client:
        pass

    action = Retried(lambda ctx: ctx.step("s", lambda client: action.call(1), Client()))
    twice(bench, action)
    assert action.calls == [1]


@pytest.mark.parametrize("result", [object(), {1, 2}, float("nan"), lambda: 1, "\ud800"], ids=["object", "set", "nan", "function", "surrogate"])
def test_a_result_that_cannot_be_stored_is_refused(bench: Bench, result: Any) -> None:
    runtime = bench(text("Act"), actions={"Act": lambda ctx, parameter: ctx.step("s", lambda: result)})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed) as caught:
        runtime.execute_command(process.id, "go")
    error = caught.value.__cause__
    assert isinstance(error, ParameterError)
    assert error.step == "s"
    assert "'s'" in error.message
    assert journal(runtime, process.id) == []


MOMENT = datetime(2030, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
RESULTS = [Decimal("1.50"), MOMENT, date(2030, 2, 3), time(4, 5, 6, 7), timedelta(days=1, microseconds=1), UUID(int=7), b"\0\xff", None, True, 1.5, "ü"]


def test_results_of_every_type_come_back_with_their_type_however_they_nest(bench: Bench) -> None:
    nested = {"list": RESULTS, "deep": {"$": [{"each": each} for each in RESULTS]}}
    action = Retried(lambda ctx: ctx.step("s", lambda: nested))
    twice(bench, action)
    assert action.results == [nested, nested]
    for result in action.results:
        assert [type(each) for each in result["list"]] == [type(each) for each in RESULTS]


def test_results_are_private_copies(bench: Bench) -> None:
    kept: list[int] = [1]

    def change(ctx: Any) -> list[int]:
        given: list[int] = ctx.step("s", lambda: kept)
        given.append(2)
        return kept

    action = Retried(change)
    twice(bench, action)
    assert action.results == [[1], [1]]


@pytest.mark.parametrize("result", ["x" * 1024, "ü" * 512, [b"x" * 1000], {"a": ["b" * 100] * 12}], ids=["text", "UTF-8", "bytes", "nested"])
def test_a_result_that_is_too_large_is_refused_and_nothing_is_written(bench: Bench, result: Any) -> None:
    runtime = bench(text("Act"), actions={"Act": lambda ctx, parameter: ctx.step("s", lambda: result)}, max_value_bytes=1024)
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed) as caught:
        runtime.execute_command(process.id, "go")
    error = caught.value.__cause__
    assert isinstance(error, ParameterError)
    assert (error.code, error.step, error.limit) == ("too_large", "s", 1024)
    assert "return a reference" in error.message
    assert journal(runtime, process.id) == []


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, None, 5])
def test_a_bad_name_is_refused_before_the_function_runs(bench: Bench, name: Any) -> None:
    runtime = bench(text("Act"), actions={"Act": lambda ctx, parameter: ctx.step(name, bench.said.append, "ran", effect="at_most_once")})
    with pytest.raises(ActionFailed) as caught:
        runtime.execute_command(runtime.create_instance("S").id, "go")
    assert isinstance(caught.value.__cause__, ParameterError)
    assert bench.said == []


def journal(runtime: WorkflowRuntime, process_id: Any) -> list[tuple[str, str, str, int, str]]:
    walk = runtime.get_process(process_id).walk
    assert walk is not None
    return [(entry.activity, entry.action, entry.step, entry.occurrence, entry.result) for entry in engine_of(runtime).store.journal(process_id, walk.id)]


def test_rows_name_activity_and_action_and_carry_no_values_of_the_process(bench: Bench) -> None:
    def act(ctx: Any, parameter: str | None) -> None:
        ctx.parameters["a"] = 1
        ctx.step("s", lambda: 7)

    runtime = bench(text("Act", "Fail"), actions={"Act": act})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert journal(runtime, process.id) == [("Work", "Act", "s", 0, "7"), ("Work", "Act", "", 0, "null")]


def test_a_step_that_raises_has_no_row_and_runs_again(bench: Bench) -> None:
    calls: list[int] = []

    def flaky() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("no route")
        return "done"

    results: list[str] = []
    twice(bench, lambda ctx, parameter: results.append(ctx.step("s", flaky)))
    assert (len(calls), results) == (2, ["done"])


@pytest.mark.parametrize("again", ["retry: {attempts: 3, delay: 0}", "retry: {attempts: 3, delay: 60s}"], ids=["at once", "long waits"])
def test_a_retry_knows_the_steps_of_the_attempts_before_it(bench: Bench, again: str) -> None:
    calls: list[str] = []

    def act(ctx: Any, parameter: str | None) -> None:
        for number in range(ctx.attempt):
            ctx.step("s", calls.append, f"{number}")
        if ctx.attempt < 3:
            raise OSError("no route")

    runtime = bench(text(f"{{action: Act, {again}}}"), actions={"Act": act})
    process = runtime.execute_command(runtime.create_instance("S").id, "go").process
    for _ in range(2):
        bench.clock.advance(200)
    assert (calls, runtime.get_process(process.id).activity) == (["0", "1", "2"], "Next")


def test_a_handler_that_repeats_knows_them_too(bench: Bench) -> None:
    calls: list[int] = []

    def act(ctx: Any, parameter: str | None) -> None:
        ctx.step("s", calls.append, 1)
        if ctx.attempt < 3:
            raise OSError("no route")

    runtime = bench(retried_text("Act", activity=", on_error: [{retry: 5}]"), actions={"Act": act})
    assert (runtime.execute_command(runtime.create_instance("S").id, "go").process.activity, calls) == ("Next", [1])


def test_the_same_action_twice_in_an_activity_has_its_own_steps(bench: Bench) -> None:
    results: list[int] = []

    def act(ctx: Any, parameter: str | None) -> None:
        results.append(ctx.step("s", lambda: len(results)))

    runtime = bench(text("Act", "Act"), actions={"Act": act})
    runtime.execute_command(runtime.create_instance("S").id, "go")
    assert results == [0, 1]


def test_another_walk_has_its_own_steps(bench: Bench) -> None:
    results: list[int] = []
    runtime = bench(text("Act"), actions={"Act": lambda ctx, parameter: results.append(ctx.step("s", lambda: len(results)))})
    process = runtime.create_instance("S")
    runtime.execute_command(process.id, "go")
    runtime.set_activity(process.id, "Work", **WHO)
    assert results == [0, 1]


# ------------------------------------------------------------------ effect keys


def test_an_effect_key_is_that_of_the_step_while_it_runs(bench: Bench) -> None:
    keys: list[str] = []

    def act(ctx: Any, parameter: str | None) -> None:
        for _ in range(2):
            ctx.step("s", lambda: keys.append(ctx.idempotency_key))
        keys.append(ctx.idempotency_key)
        if len(keys) == 3:
            raise ValueError

    twice(bench, act)
    first, second, own, own_again = keys
    assert len({first, second, own}) == 3
    assert own == own_again
    assert all(len(key) == 49 and key.count("-") == 1 for key in keys)


# ------------------------------------------------------------------ async


def test_async_steps_are_stored_and_awaited_on_every_attempt(bench: Bench) -> None:
    calls: list[str] = []
    results: list[Any] = []

    async def fetch(what: str) -> str:
        await asyncio.sleep(0)
        calls.append(what)
        return what.upper()

    async def act(ctx: Any, parameter: str | None) -> None:
        named = await ctx.step("named", fetch, "a")
        wrapped = await ctx.step("wrapped", lambda: fetch("b"))
        half = await ctx.step("partial", partial(fetch, "c"))
        together = await asyncio.gather(*(ctx.step("many", fetch, str(number)) for number in range(5)))
        plain = ctx.step("plain", len, "four")
        results.append([named, wrapped, half, together, plain])
        if len(results) == 1:
            raise ValueError

    twice(bench, act)
    assert calls == ["a", "b", "c", *map(str, range(5))]
    assert results == [["A", "B", "C", [*map(str, range(5))], 4]] * 2
