"""The front door: building, starting, and every verb."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Self

from workflow_runtime.runtime.aio import Aio
from workflow_runtime.runtime.transfers import Transfers

__all__ = ["WorkflowRuntime"]


class WorkflowRuntime(Transfers):
    """A durable state-machine runtime over one database.

    Build it with ``with_*`` and ``as_*``, register callables, then ``with runtime:`` (or ``async with``). Every
    verb is synchronous and thread-safe; ``runtime.aio`` has the awaitable twins.
    """

    @cached_property
    def aio(self) -> Aio:
        """The awaitable twin of every verb."""
        return Aio(self)

    async def __aenter__(self) -> Self:
        await self.aio.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        await self.aio.shutdown()
