"""Where a step may be called: in the action, its threads and its tasks, while it runs; not inside another step, and not behind its end."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest
from bench import WHO, Bench, engine_of
from test_actions import text
from test_steps import journal

from workflow_runtime.core import recovering
from workflow_runtime.errors import ActionFailed, Fenced, OutcomeUnknown, ParameterError

# ------------------------------------------------------------------ steps inside steps


def refused(bench: Bench, act: Any) -> ParameterError:
    runtime = bench(text("Act"), actions={"Act": act})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed) as caught:
        runtime.execute_command(process.id, "go")
    assert journal(runtime, process.id) == []
    assert bench.said == []
    assert isinstance(caught.value.__cause__, ParameterError)
    return caught.value.__cause__


def test_a_step_inside_a_step_is_refused_before_it_runs(bench: Bench) -> None:
    error = refused(bench, lambda ctx, parameter: ctx.step("outer", lambda: ctx.step("inner", bench.said.append, "ran")))
    assert (error.code, error.step) == ("nested_step", "inner")
    assert "inside step 'outer'" in error.message


def test_so_is_one_inside_an_awaited_step_and_in_tasks_of_it(bench: Bench) -> None:
    async def inner(ctx: Any) -> None:
        await asyncio.sleep(0)
        ctx.step("inner", bench.said.append, "ran")

    async def outer(ctx: Any) -> None:
        await asyncio.gather(inner(ctx))

    async def act(ctx: Any, parameter: str | None) -> None:
        await ctx.step("outer", outer, ctx)

    assert refused(bench, act).code == "nested_step"


def test_a_step_may_move_another_process_which_has_steps_of_its_own(bench: Bench) -> None:
    def act(ctx: Any, parameter: str | None) -> None:
        ctx.step("s", move, str(ctx.process_id)) if ctx.process_id == first.id else ctx.step("s", bench.said.append, ctx.idempotency_key)

    def move(_: str) -> bool:
        return runtime.execute_command(second.id, "go").was_executed

    runtime = bench(text("Act"), actions={"Act": act})
    first, second = runtime.create_instance("S"), runtime.create_instance("S")
    runtime.execute_command(first.id, "go")
    assert [runtime.get_process(one.id).activity for one in (first, second)] == ["Next", "Next"]
    assert len(bench.said) == 1


# ------------------------------------------------------------------ threads of an action


def test_steps_from_several_threads_of_an_action_are_all_journaled(bench: Bench) -> None:
    def act(ctx: Any, parameter: str | None) -> None:
        threads = [threading.Thread(target=ctx.step, args=(f"s{number}", lambda: 1)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        raise ValueError

    runtime = bench(text("Act"), actions={"Act": act})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert {step for _, _, step, _, _ in journal(runtime, process.id)} == {f"s{number}" for number in range(8)}


def test_a_thread_that_an_action_left_behind_writes_nothing_more(bench: Bench) -> None:
    go, outcome = threading.Event(), list[BaseException]()
    left: list[threading.Thread] = []

    def behind(ctx: Any) -> None:
        assert go.wait(20)
        for effect in ("at_least_once", "at_most_once"):
            try:
                ctx.step("late", bench.said.append, "ran", effect=effect)
            except Fenced as error:
                outcome.append(error)

    def act(ctx: Any, parameter: str | None) -> None:
        left.append(threading.Thread(target=behind, args=(ctx,)))
        left[0].start()

    runtime = bench(text("Act"), actions={"Act": act})
    process = runtime.execute_command(runtime.create_instance("S").id, "go").process
    go.set()
    left[0].join(20)
    assert ["has ended" in str(error) and "'late'" in str(error) for error in outcome] == [True, True]
    assert (runtime.get_process(process.id), bench.said) == (process, [])


def test_a_step_that_was_under_way_when_its_action_ended_is_not_journaled(bench: Bench) -> None:
    begun, go, outcome = threading.Event(), threading.Event(), list[BaseException]()
    left: list[threading.Thread] = []

    def slow() -> None:
        begun.set()
        assert go.wait(20)

    def behind(ctx: Any) -> None:
        try:
            ctx.step("slow", slow)
        except Fenced as error:
            outcome.append(error)

    def act(ctx: Any, parameter: str | None) -> None:
        left.append(threading.Thread(target=behind, args=(ctx,)))
        left[0].start()
        assert begun.wait(20)

    runtime = bench(text("Act"), actions={"Act": act})
    process = runtime.execute_command(runtime.create_instance("S").id, "go").process
    go.set()
    left[0].join(20)
    assert len(outcome) == 1
    assert runtime.get_process(process.id) == process


def test_a_task_that_an_action_left_behind_starts_nothing_more(bench: Bench) -> None:
    go, outcome = threading.Event(), list[BaseException]()
    tasks: list[asyncio.Task[None]] = []
    over = threading.Event()

    async def behind(ctx: Any) -> None:
        await asyncio.to_thread(go.wait, 20)
        try:
            ctx.step("late", bench.said.append, "ran")
        except Fenced as error:
            outcome.append(error)
        over.set()

    async def act(ctx: Any, parameter: str | None) -> None:
        tasks.append(asyncio.create_task(behind(ctx)))

    runtime = bench(text("Act"), actions={"Act": act})
    runtime.execute_command(runtime.create_instance("S").id, "go")
    go.set()
    assert over.wait(20)
    assert (len(outcome), bench.said) == (1, [])


def test_after_a_row_that_was_refused_no_step_is_started(bench: Bench) -> None:
    """Another server has the process: whatever the action makes of the error, no other effect follows."""

    def act(ctx: Any, parameter: str | None) -> None:
        found = store.load(ctx.process_id)
        assert found is not None
        store.apply(recovering.adopt(found, owner="other", now=bench.clock.now()))
        for name in ("one", "two"):
            with suppress(Fenced):
                ctx.step(name, bench.said.append, name)

    runtime = bench(text("Act"), actions={"Act": act})
    store = engine_of(runtime).store
    with pytest.raises(Fenced):
        runtime.execute_command(runtime.create_instance("S").id, "go")
    assert bench.said == ["one"]


# ------------------------------------------------------------------ several at once


def test_steps_that_run_at_once_have_intents_and_results_of_their_own(bench: Bench) -> None:
    sent: list[str] = []
    meet = asyncio.Barrier(3)

    async def send(to: str) -> str:
        await meet.wait()  # all three are under way
        sent.append(to)
        return to.upper()

    async def act(ctx: Any, parameter: str | None) -> None:
        ctx.parameters["Sent"] = await asyncio.gather(*(ctx.step("mail", send, to, effect="at_most_once") for to in ("ann", "bob", "cid")))
        if ctx.attempt == 1:
            raise ValueError("behind the steps")

    runtime = bench(text("{action: Act, retry: {attempts: 2, delay: 0}}"), actions={"Act": act})
    done = runtime.execute_command(runtime.create_instance("S").id, "go").process
    assert done.parameters["Sent"] == ["ANN", "BOB", "CID"]
    assert sorted(sent) == ["ann", "bob", "cid"]


def test_one_of_several_at_once_may_fail(bench: Bench) -> None:
    """The others are journaled, and only that one is in doubt."""
    sent: list[str] = []

    async def send(to: str) -> str:
        sent.append(to)
        if to == "bob":
            raise ConnectionError("no line")
        return to

    async def act(ctx: Any, parameter: str | None) -> None:
        results = await asyncio.gather(*(ctx.step(to, send, to, effect="at_most_once") for to in ("ann", "bob", "cid")), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    runtime = bench(text("Act"), actions={"Act": act})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed, match="step 'bob'"):
        runtime.execute_command(process.id, "go")
    with pytest.raises(OutcomeUnknown, match="step 'bob'"):
        runtime.resume_process(process.id, **WHO)
    assert sent == ["ann", "bob", "cid"]


def test_the_key_of_a_step_reaches_threads_of_asyncio_and_not_those_made_by_hand(bench: Bench) -> None:
    keys: dict[str, str] = {}

    async def send(ctx: Any) -> None:
        keys["step"] = ctx.idempotency_key
        keys["to_thread"] = await asyncio.to_thread(lambda: ctx.idempotency_key)
        thread = threading.Thread(target=lambda: keys.update(by_hand=ctx.idempotency_key))
        thread.start()
        thread.join(20)

    async def act(ctx: Any, parameter: str | None) -> None:
        keys["action"] = ctx.idempotency_key
        await ctx.step("send", send, ctx)

    runtime = bench(text("Act"), actions={"Act": act})
    runtime.execute_command(runtime.create_instance("S").id, "go")
    assert keys["to_thread"] == keys["step"] != keys["action"]
    assert keys["by_hand"] == keys["action"]
