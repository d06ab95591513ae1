"""A small workshop: runtimes on real SQLite files, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from workflow_runtime import WorkflowRuntime
from workflow_runtime.core.process import HistoryEntry, Process
from workflow_runtime.engine.engine import Engine
from workflow_runtime.testing.clock import FakeClock

NOW = datetime(2030, 1, 1, tzinfo=UTC)  #: a Tuesday
WHO: dict[str, Any] = {"actor": "olga", "reason": "test"}


class Bench:
    """``bench(text, ...)`` starts a runtime; all are shut down at the end.

    Every runtime has the action Note, which appends its parameter to ``said``, and Fail, which raises ValueError.
    """

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'workflow.db'}"
        self.clock = FakeClock(NOW)
        self.said: list[str] = []
        self.opened: list[WorkflowRuntime] = []

    def __call__(self, *texts: str | Path, **given: Any) -> WorkflowRuntime:
        """Started."""
        return self.built(*texts, **given).start()

    def built(
        self,
        *texts: str | Path,
        actions: Mapping[str, Any] | None = None,
        conditions: Mapping[str, Any] | None = None,
        rules: Mapping[str, Any] | None = None,
        plugin: object = None,
        external: Callable[[Process, str], Any] | None = None,
        client: bool = False,
        real_time: bool = False,
        **settings: Any,
    ) -> WorkflowRuntime:
        """Ready to start; ``real_time``: with the clock of the machine, and so with threads."""
        runtime = WorkflowRuntime(self.url, clock=None if real_time else self.clock)
        for text in texts:
            runtime.with_schemes(text)
        runtime.with_actions({"Note": self.note, "Fail": fail, **(actions or {})}).with_conditions(conditions or {}).with_rules(rules or {})
        if plugin is not None:
            runtime.with_plugin(plugin)
        if external is not None:
            runtime.with_external_parameters(external)
        runtime.with_settings(**{"sqlite_synchronous": "NORMAL", "shutdown_grace": 5.0, **settings})
        self.opened.append(runtime.as_client() if client else runtime)
        return runtime

    def note(self, ctx: Any, parameter: str | None) -> None:
        self.said.append(parameter or ctx.activity)

    def close(self) -> None:
        for runtime in self.opened:
            runtime.shutdown()


def fail(ctx: Any, parameter: str | None) -> None:
    raise ValueError(parameter or "broken on purpose")


@contextmanager
def workshop(folder: Path) -> Iterator[Bench]:
    bench = Bench(folder)
    try:
        yield bench
    finally:
        bench.close()


def engine_of(runtime: WorkflowRuntime) -> Engine:
    return runtime._parts.engine


def history(runtime: WorkflowRuntime, process_id: UUID) -> list[HistoryEntry]:
    return list(runtime.get_history(process_id))


def last(runtime: WorkflowRuntime, process_id: UUID) -> HistoryEntry:
    return history(runtime, process_id)[-1]


def path_of(runtime: WorkflowRuntime, process_id: UUID) -> list[str]:
    """The activities the process has entered, in order."""
    return [entry.to_activity for entry in history(runtime, process_id) if entry.kind == "moved"]


def told(runtime: WorkflowRuntime, process_id: UUID) -> list[tuple[str, str, str]]:
    """Kind, activity and status of every history row."""
    return [(str(entry.kind), entry.to_activity, str(entry.status)) for entry in history(runtime, process_id)]
