"""``runtime.aio``: the awaitable twin of every verb.

A verb runs in a thread of its own, so the event loop stays free; ``async def`` actions, conditions and rules run
on the loop that awaits. No pool of threads stands between: a verb may wait for an action that awaits another verb.
Cancelling the task does not interrupt a verb half way: it is finished in the background.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Concatenate, ParamSpec, TypeVar

from workflow_runtime.engine.calling import calling_loop
from workflow_runtime.runtime.operators import Operators
from workflow_runtime.runtime.transfers import Transfers

P = ParamSpec("P")
R = TypeVar("R")


def _twin(verb: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Aio, P], Coroutine[Any, Any, R]]:
    async def awaitable(self: Aio, /, *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        context = contextvars.copy_context()
        context.run(calling_loop.set, loop)
        work = functools.partial(context.run, verb, self._runtime, *args, **kwargs)
        threading.Thread(target=_work, args=(work, loop, answer), name=f"workflow-runtime-aio-{verb.__name__}", daemon=True).start()
        return await asyncio.shield(answer)

    functools.update_wrapper(awaitable, verb)
    return awaitable


def _work(work: Callable[[], R], loop: asyncio.AbstractEventLoop, answer: asyncio.Future[R]) -> None:
    try:
        give = functools.partial(_give, answer, answer.set_result, work())
    except BaseException as error:
        give = functools.partial(_give, answer, answer.set_exception, error)
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(give)


def _give(answer: asyncio.Future[R], give: Callable[[Any], None], outcome: Any) -> None:
    if not answer.done():
        give(outcome)


class Aio:
    """Signatures, answers and errors are those of the synchronous verbs."""

    def __init__(self, runtime: Transfers) -> None:
        self._runtime = runtime

    start = _twin(Operators.start)
    shutdown = _twin(Operators.shutdown)
    add_scheme = _twin(Operators.add_scheme)
    create_instance = _twin(Operators.create_instance)
    create_instances = _twin(Operators.create_instances)
    get_available_commands = _twin(Operators.get_available_commands)
    execute_command = _twin(Operators.execute_command)
    get_process = _twin(Operators.get_process)
    find_processes = _twin(Operators.find_processes)
    count_processes = _twin(Operators.count_processes)
    find_matches = _twin(Operators.find_matches)
    find_ids = _twin(Operators.find_ids)
    get_history = _twin(Operators.get_history)
    get_timers = _twin(Operators.get_timers)
    find_timers = _twin(Operators.find_timers)
    get_parameters = _twin(Operators.get_parameters)
    get_parameter = _twin(Operators.get_parameter)
    get_available_states = _twin(Operators.get_available_states)
    get_scheme = _twin(Operators.get_scheme)
    get_scheme_codes = _twin(Operators.get_scheme_codes)
    get_missing_names = _twin(Operators.get_missing_names)
    get_servers = _twin(Operators.get_servers)
    get_time = _twin(Operators.get_time)
    get_plugins = _twin(Operators.get_plugins)
    upgrade_database = _twin(Operators.upgrade_database)
    check_scheme = _twin(Operators.check_scheme)
    inspect_plugins = _twin(Operators.inspect_plugins)
    plan_recovery = _twin(Operators.plan_recovery)
    recover = _twin(Operators.recover)
    get_recoveries = _twin(Operators.get_recoveries)
    set_activity = _twin(Operators.set_activity)
    set_state = _twin(Operators.set_state)
    resume_process = _twin(Operators.resume_process)
    cancel_process = _twin(Operators.cancel_process)
    delete_process = _twin(Operators.delete_process)
    set_timer = _twin(Operators.set_timer)
    fire_timer = _twin(Operators.fire_timer)
    set_parameter = _twin(Operators.set_parameter)
    backup_database = _twin(Transfers.backup_database)
    export_processes = _twin(Transfers.export_processes)
    import_processes = _twin(Transfers.import_processes)
    renew_database = _twin(Transfers.renew_database)
