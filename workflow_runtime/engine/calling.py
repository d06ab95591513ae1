"""Calls what users have written: synchronous or ``async def``, on the right loop.

A coroutine runs on the loop of the ``runtime.aio`` call it belongs to, else on the loop given with
``with_event_loop``, else on a loop of the runtime's own in a background thread. A loop whose own thread waits for the
call is refused: it would wait for ever.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from workflow_runtime.errors import EventLoopBlocked

#: the loop on which the present ``runtime.aio`` verb was awaited
calling_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("calling_loop", default=None)

#: the loops whose threads wait for the present call, where it was handed to another thread
_held_up: ContextVar[frozenset[asyncio.AbstractEventLoop]] = ContextVar("held_up", default=frozenset())

CANCEL_SECONDS = 2.0  #: how long the end waits for coroutines that were cancelled


OnGiveUp = Callable[[Callable[[], object]], None]


def never(stop: Callable[[], object]) -> None:
    """Nobody gives the call up."""


class Caller:
    """One per runtime. Thread-safe."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._given = loop
        self._own: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def call(self, function: Callable[..., Any], *arguments: Any, on_give_up: OnGiveUp = never) -> Any:
        """The result of ``function(*arguments)``, awaited if it is awaitable; what it raises passes through.

        ``on_give_up`` is told how to cancel what is awaited.
        """
        result = function(*arguments)
        return self.wait(result, on_give_up) if inspect.isawaitable(result) else result

    def wait(self, awaitable: Awaitable[Any], on_give_up: OnGiveUp = never) -> Any:
        loop = calling_loop.get() or self._given or self._background()
        if loop is _running_loop() or loop in _held_up.get():
            _drop(awaitable)
            raise EventLoopBlocked()
        outcome = _outcome(awaitable)
        try:
            future = asyncio.run_coroutine_threadsafe(outcome, loop)
        except RuntimeError:  # the loop is closed
            outcome.close()
            _drop(awaitable)
            raise
        on_give_up(future.cancel)
        try:
            result, fatal = future.result()
        except BaseException:
            future.cancel()  # interrupted here: nobody waits for it any more
            raise
        if fatal is not None:
            raise fatal
        return result

    def close(self) -> None:
        """Ends the background loop; the next coroutine would start another. What still runs on it is cancelled,

        so that nobody waits for ever. A coroutine that does not heed it keeps its daemon thread.
        """
        with self._lock:
            loop, thread, self._own, self._thread = self._own, self._thread, None, None
        if loop is None or thread is None:
            return
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(_cancel_the_others(), loop).result(CANCEL_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CANCEL_SECONDS)
        if not thread.is_alive():
            loop.close()

    def _background(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._own is None:
                self._own = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._own.run_forever, name="workflow-runtime-loop", daemon=True)
                self._thread.start()
            return self._own


def hold_up() -> None:
    """What is called in the present context is waited for by this thread, and with it by the loop that it runs."""
    if (loop := _running_loop()) is not None:
        _held_up.set(_held_up.get() | {loop})


async def _cancel_the_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=CANCEL_SECONDS / 2)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _outcome(awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """Raised inside a task these two would end the loop, and the thread that waits would wait for ever."""
    try:
        return await awaitable, None
    except (KeyboardInterrupt, SystemExit) as fatal:
        return None, fatal


def _drop(awaitable: Awaitable[Any]) -> None:
    if inspect.iscoroutine(awaitable):
        awaitable.close()
