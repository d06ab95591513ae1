"""Async actions, conditions and rules: on which loop they run, and what is refused instead of waiting for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from bench import Bench
from test_actions import text

from workflow_runtime import ProcessStatus, WorkflowRuntime
from workflow_runtime.engine.calling import Caller, calling_loop
from workflow_runtime.errors import ActionFailed, EventLoopBlocked

Loop = asyncio.AbstractEventLoop


@contextmanager
def running_loop() -> Iterator[Loop]:
    """A loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def noting(bench: Bench, loops: list[Loop], **given: Any) -> WorkflowRuntime:
    """A runtime with an action, a condition and a rule that are async and note their loop."""

    async def act(ctx: Any, parameter: str | None) -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())

    async def condition(ctx: Any, parameter: str | None) -> bool:
        loops.append(asyncio.get_running_loop())
        return True

    async def rule(process: Any, identity: str | None, parameter: str | None) -> bool:
        loops.append(asyncio.get_running_loop())
        return True

    scheme = text("Act").replace("to: Work, on: {command: go}", "to: Work, on: {command: go}, when: {action: Ask}, allow: [Somebody]")
    return bench.built(scheme, actions={"Act": act}, conditions={"Ask": condition}, rules={"Somebody": rule}, **given)


def go(runtime: WorkflowRuntime) -> ProcessStatus:
    process = runtime.create_instance("S")
    return runtime.execute_command(process.id, "go", identity="ann", check_restrictions=True).process.status


# ------------------------------------------------------------------ which loop


def test_a_synchronous_verb_brings_a_loop_of_the_runtimes_own(bench: Bench) -> None:
    loops: list[Loop] = []
    runtime = noting(bench, loops).start()
    assert go(runtime) is ProcessStatus.IDLED
    assert len(loops) == 3
    assert len(set(loops)) == 1
    runtime.shutdown()
    assert loops[0].is_closed()


def test_the_loop_that_was_given_is_used(bench: Bench) -> None:
    loops: list[Loop] = []
    with running_loop() as loop, noting(bench, loops).with_event_loop(loop) as runtime:
        assert go(runtime) is ProcessStatus.IDLED
        assert set(loops) == {loop}
        assert not loop.is_closed()


def test_an_awaited_verb_runs_them_on_the_loop_that_awaits(bench: Bench) -> None:
    loops: list[Loop] = []

    async def main() -> None:
        async with noting(bench, loops) as runtime:
            process = await runtime.aio.create_instance("S")
            result = await runtime.aio.execute_command(process.id, "go", identity="ann", check_restrictions=True)
            assert result.process.status is ProcessStatus.IDLED
            assert set(loops) == {asyncio.get_running_loop()}

    asyncio.run(main())
    assert len(loops) == 3


def test_a_synchronous_verb_behind_an_awaited_one_is_not_taken_for_awaited(bench: Bench) -> None:
    loops: list[Loop] = []

    async def main() -> None:
        async with noting(bench, loops) as runtime:
            process = await runtime.aio.create_instance("S")
            assert calling_loop.get() is None
            assert runtime.execute_command(process.id, "go", identity="ann").was_executed
            assert asyncio.get_running_loop() not in loops

    asyncio.run(main())


# ------------------------------------------------------------------ what would wait for itself


def test_a_synchronous_verb_on_the_loop_that_its_action_needs_is_refused(bench: Bench) -> None:
    loops: list[Loop] = []
    with running_loop() as loop, noting(bench, loops).with_event_loop(loop) as runtime:
        process = runtime.create_instance("S")

        async def on_the_loop() -> None:
            with pytest.raises(EventLoopBlocked, match=r"runtime\.aio"):
                runtime.execute_command(process.id, "go", identity="ann", check_restrictions=True)

        asyncio.run_coroutine_threadsafe(on_the_loop(), loop).result(20)
        assert runtime.get_process(process.id) == process
        assert loops == []


def test_an_async_action_that_gives_a_synchronous_command_is_told_so(bench: Bench) -> None:
    async def nested(ctx: Any, parameter: str | None) -> None:
        if not bench.said:
            bench.said.append("once")
            runtime.execute_command(runtime.create_instance("S").id, "go")

    runtime = bench(text("Nested"), actions={"Nested": nested})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed, match=r"runtime\.aio") as caught:
        runtime.execute_command(process.id, "go")
    assert isinstance(caught.value.__cause__, ActionFailed)
    assert isinstance(caught.value.__cause__.__cause__, EventLoopBlocked)


def test_an_async_action_may_await_other_verbs(bench: Bench) -> None:
    async def nested(ctx: Any, parameter: str | None) -> None:
        if not bench.said:
            bench.said.append("once")
            other = await runtime.aio.create_instance("S")
            await runtime.aio.execute_command(other.id, "go")

    runtime = bench(text("Nested"), actions={"Nested": nested})
    assert runtime.execute_command(runtime.create_instance("S").id, "go").process.activity == "Next"
    assert runtime.count_processes() == 2


# ------------------------------------------------------------------ what is raised


def raising(error: BaseException) -> Any:
    async def act(ctx: Any, parameter: str | None) -> None:
        await asyncio.sleep(0)
        raise error

    return act


def test_an_async_error_is_chained_like_any_other(bench: Bench) -> None:
    original = ValueError("late")
    runtime = bench(text("Break"), actions={"Break": raising(original)})
    with pytest.raises(ActionFailed) as caught:
        runtime.execute_command(runtime.create_instance("S").id, "go")
    assert caught.value.__cause__ is original


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_async_interruption_reaches_the_caller_and_the_loop_lives_on(bench: Bench, error: type[BaseException]) -> None:
    runtime = bench(text("Break"), actions={"Break": raising(error())})
    with ThreadPoolExecutor(1) as pool, pytest.raises(error):
        pool.submit(runtime.execute_command, runtime.create_instance("S").id, "go").result(20)
    with pytest.raises(error):
        runtime.execute_command(runtime.create_instance("S").id, "go")


def test_a_cancelled_task_of_an_action_is_its_failure(bench: Bench) -> None:
    runtime = bench(text("Break"), actions={"Break": raising(asyncio.CancelledError())})
    process = runtime.create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert runtime.get_process(process.id).status is ProcessStatus.ERROR


def test_a_closed_loop_is_an_error_and_not_a_wait(bench: Bench) -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    loops: list[Loop] = []
    runtime = noting(bench, loops).with_event_loop(loop).start()
    process = runtime.create_instance("S")
    with pytest.raises(Exception, match="closed"):
        runtime.execute_command(process.id, "go")
    assert loops == []


def test_a_caller_without_async_work_has_no_thread() -> None:
    before = set(threading.enumerate())  # of which some may end meanwhile: tests before this one have left them

    def begun() -> list[str]:
        return [thread.name for thread in set(threading.enumerate()) - before]

    caller = Caller()
    try:
        assert caller.call(len, "four") == 4
        assert begun() == []
        assert caller.call(asyncio.sleep, 0, "awaited") == "awaited"
        assert begun() == ["workflow-runtime-loop"]
    finally:
        caller.close()
    assert begun() == []
    caller.close()


def test_any_awaitable_is_awaited() -> None:
    class Promise:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return "kept"

    caller = Caller()
    assert caller.call(Promise) == "kept"
    caller.close()
