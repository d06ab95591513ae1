"""``runtime.aio`` has the awaitable twin of every verb, and they are twins."""

from __future__ import annotations

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bench import WHO, Bench
from test_actions import text

from workflow_runtime import ProcessStatus, WorkflowRuntime
from workflow_runtime.errors import CommandNotFound, Fenced, RuntimeNotStarted
from workflow_runtime.runtime.aio import Aio
from workflow_runtime.runtime.build import Builder

#: What is done before the start, and never waits.
BUILDING = {name for name in dir(Builder) if not name.startswith("_")}


def verbs(of: type) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_") and callable(getattr(of, name))}


def test_every_verb_has_a_twin_and_every_twin_a_verb() -> None:
    assert verbs(Aio) == verbs(WorkflowRuntime) - BUILDING - {"aio"}


@pytest.mark.parametrize("name", sorted(verbs(Aio)))
def test_twins_have_one_signature_and_one_docstring(name: str) -> None:
    verb, twin = getattr(WorkflowRuntime, name), getattr(Aio, name)
    assert inspect.signature(twin) == inspect.signature(verb)
    assert inspect.getdoc(twin) == inspect.getdoc(verb)
    assert inspect.getdoc(verb), f"{name} has no docstring"


def test_a_whole_life_awaited(bench: Bench) -> None:
    async def main() -> None:
        async with bench.built(text("Note")) as runtime:
            aio = runtime.aio
            process = await aio.create_instance("S", parameters={"a": 1})
            assert [command.name for command in await aio.get_available_commands(process.id)] == ["go", "out"]
            result = await aio.execute_command(process.id, "go")
            assert (result.process.activity, await aio.get_parameter(process.id, "a")) == ("Next", 1)
            assert await aio.get_process(process.id) == result.process
            await aio.set_activity(process.id, "Rest", **WHO)
            assert (await aio.cancel_process(process.id, **WHO)).status is ProcessStatus.TERMINATED
            assert [str(entry.kind) for entry in await aio.get_history(process.id)] == ["moved", "moved", "moved", "operated", "moved", "cancelled"]
            assert await aio.count_processes() == 1
        with pytest.raises(RuntimeNotStarted):
            await runtime.aio.get_process(process.id)

    asyncio.run(main())


def test_errors_are_those_of_the_verb(bench: Bench) -> None:
    async def main() -> None:
        async with bench.built(text("Note")) as runtime:
            process = await runtime.aio.create_instance("S")
            with pytest.raises(CommandNotFound) as caught:
                await runtime.aio.execute_command(process.id, "goo")
            assert caught.value.suggestion == "go"

    asyncio.run(main())


def test_the_loop_stays_free_and_many_run_at_once(bench: Bench) -> None:
    meeting = threading.Barrier(4)

    async def main() -> None:
        runtime = bench.built(text("Meet"), actions={"Meet": lambda ctx, parameter: meeting.wait(20)})
        async with runtime:
            processes = [await runtime.aio.create_instance("S") for _ in range(4)]
            results = await asyncio.gather(*(runtime.aio.execute_command(process.id, "go") for process in processes))
        assert {result.process.activity for result in results} == {"Next"}

    asyncio.run(main())


def test_a_cancelled_task_leaves_no_verb_half_way(bench: Bench) -> None:
    entered, gate = threading.Event(), threading.Event()

    def wait(ctx: Any, parameter: str | None) -> None:
        entered.set()
        assert gate.wait(20)

    async def main() -> None:
        async with bench.built(text("Wait"), actions={"Wait": wait}) as runtime:
            process = await runtime.aio.create_instance("S")
            task = asyncio.create_task(runtime.aio.execute_command(process.id, "go"))
            await asyncio.to_thread(entered.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            gate.set()
            while (await runtime.aio.get_process(process.id)).activity != "Next":
                await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(main(), 20))


# ------------------------------------------------------------------ nobody waits for ever


def test_more_verbs_than_any_pool_has_threads_may_wait_for_actions_that_await_verbs(bench: Bench) -> None:
    async def main() -> None:
        runtime = bench.built(text("Nest"), actions={"Nest": nest})
        async with runtime:
            processes = [await runtime.aio.create_instance("S") for _ in range(40)]
            results = await asyncio.wait_for(asyncio.gather(*(runtime.aio.execute_command(p.id, "go") for p in processes)), 30)
        assert {result.process.activity for result in results} == {"Next"}

    async def nest(ctx: Any, parameter: str | None) -> None:
        await bench.opened[0].aio.get_process(ctx.process_id)

    asyncio.run(main())


def test_a_shutdown_ends_the_wait_for_an_async_action_that_outlives_it(bench: Bench) -> None:
    begun = threading.Event()
    caught: list[BaseException] = []

    async def endless(ctx: Any, parameter: str | None) -> None:
        begun.set()
        await asyncio.Event().wait()

    runtime = bench(text("Endless"), actions={"Endless": endless}, shutdown_grace=0.1)
    process = runtime.create_instance("S")

    def give() -> None:
        try:
            runtime.execute_command(process.id, "go")
        except BaseException as error:
            caught.append(error)

    caller = threading.Thread(target=give)
    caller.start()
    assert begun.wait(10)
    runtime.shutdown()
    caller.join(10)
    assert not caller.is_alive()
    assert isinstance(caught[0], Fenced)
    again = bench(text("Endless"), actions={"Endless": endless})
    assert again.recover().owned in (0, 1)  # or the sweep was first
    assert again.get_process(process.id).status is ProcessStatus.ERROR


def test_a_verb_that_meets_the_end_of_the_runtime_says_so(bench: Bench) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(ctx: Any, parameter: str | None) -> bool:
        asked.set()
        return go_on.wait(10)

    scheme = text("Note").replace("to: Work, on: {command: go}", "to: Work, on: {command: go}, when: {action: Slow}")
    runtime = bench(scheme, conditions={"Slow": slow}, shutdown_grace=0.1)
    process = runtime.create_instance("S")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(runtime.execute_command, process.id, "go")
        assert asked.wait(10)
        runtime.shutdown()
        go_on.set()
        with pytest.raises(Fenced, match="shut down"):
            answer.result(10)
