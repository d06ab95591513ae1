"""Execution timeouts of ``async def`` actions: they are cancelled, on whichever loop they run."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import Any

import pytest
from bench import Bench
from overdue import PATIENCE, none_left, text
from test_async_calls import running_loop

from workflow_runtime import ActionTimedOut
from workflow_runtime.engine.calling import Caller
from workflow_runtime.errors import EventLoopBlocked, Fenced


class Endless:
    """An action that awaits for ever, and tells how that ended; cancelled, it does what it is told to."""

    def __init__(self, step: bool = False) -> None:
        self.step = step
        self.begun, self.ended = SimpleQueue[Any](), SimpleQueue[Any]()

    async def __call__(self, ctx: Any, parameter: str | None) -> None:
        self.begun.put(asyncio.get_running_loop())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            self.ended.put(error if not self.step else self._tried(ctx))
            raise

    def _tried(self, ctx: Any) -> Any:
        try:
            return ctx.step("late", str)
        except Fenced as error:
            return error


@pytest.mark.parametrize("step", [False, True])
def test_on_the_loop_of_the_runtime(bench: Bench, step: bool) -> None:
    endless = Endless(step)
    runtime = bench(text(), actions={"Call": endless})
    process = runtime.create_instance("S")
    outcome = SimpleQueue[Any]()
    thread = threading.Thread(target=lambda: outcome.put(runtime.execute_command(process.id, "go")))
    thread.start()
    endless.begun.get(timeout=PATIENCE)
    bench.clock.advance(30)
    assert outcome.get(timeout=PATIENCE).process.activity == "Late"
    assert type(endless.ended.get(timeout=PATIENCE)) is (Fenced if step else asyncio.CancelledError)
    none_left(runtime)
    thread.join()


def test_on_the_loop_that_awaits_which_goes_on(bench: Bench) -> None:
    endless = Endless()

    async def main() -> None:
        async with bench.built(text("retry: 0"), actions={"Call": endless}) as runtime:
            process = await runtime.aio.create_instance("S")
            given = asyncio.create_task(runtime.aio.execute_command(process.id, "go"))
            assert await asyncio.to_thread(endless.begun.get, timeout=PATIENCE) is asyncio.get_running_loop()
            bench.clock.advance(30)
            with pytest.raises(ActionTimedOut):
                await given
            assert isinstance(await asyncio.to_thread(endless.ended.get, timeout=PATIENCE), asyncio.CancelledError)

    asyncio.run(main())


def test_a_synchronous_verb_on_the_loop_that_its_action_needs_is_refused_at_once(bench: Bench) -> None:
    """The action runs in a thread of its own, and the loop of the thread that waits for it is blocked all the same."""
    with running_loop() as loop, bench.built(text("retry: 0"), actions={"Call": Endless()}).with_event_loop(loop) as runtime:
        process = runtime.create_instance("S")

        async def on_the_loop() -> Exception | None:
            try:
                runtime.execute_command(process.id, "go")
            except Exception as error:
                return error
            return None

        error = asyncio.run_coroutine_threadsafe(on_the_loop(), loop).result(PATIENCE)
        assert error is not None
        assert isinstance(error.__cause__, EventLoopBlocked)


def test_what_is_awaited_behind_a_call_that_was_given_up_is_cancelled_too() -> None:
    caller, ended = Caller(), SimpleQueue[Any]()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            ended.put(error)
            raise

    with pytest.raises(BaseException) as caught:
        caller.wait(endless(), lambda stop: stop())
    assert type(caught.value).__name__ == "CancelledError"
    caller.close()
