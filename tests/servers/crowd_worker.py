"""One server of the crowd, in a process of its own: ``python crowd_worker.py NAME URL EFFECTS WORKERS``.

Says ``ready`` when it has begun. When its standard input ends it leaves in good order and says how many claims it has
lost to other servers. EFFECTS is the URL of a schema that the engine knows nothing of: the action Append writes there,
over connections of its own.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from workflow_runtime import WorkflowRuntime
from workflow_runtime.core.process import Change
from workflow_runtime.store.writes import Outcome, Store

SCHEME = """
scheme: Crowd
recovery: resume
timers: {t: {interval: 1h}}
activities: {A: {initial: true}, Quiet: {final: true}}
transitions:
  - {from: A, to: Quiet, on: {timer: t}}
"""
LOUD = SCHEME.replace("Crowd", "Loud").replace("Quiet: {final: true}", "Quiet: {final: true, actions: [Append]}")

_effects = sa.MetaData()
#: every call that came, and each key once
calls = sa.Table("calls", _effects, sa.Column("key", sa.Text), sa.Column("process", sa.Text), sa.Column("server", sa.Text))
effects = sa.Table("effects", _effects, sa.Column("key", sa.Text, primary_key=True), sa.Column("process", sa.Text))


class Receiver:
    """What an action calls: it deduplicates on the key."""

    def __init__(self, url: str, server: str) -> None:
        self._engine, self._server = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool), server
        self._mine = threading.local()

    def __call__(self, ctx: Any, parameter: str | None) -> None:
        from sqlalchemy.dialects.postgresql import insert

        if not hasattr(self._mine, "connection"):
            self._mine.connection = self._engine.connect()
        said = {"key": ctx.idempotency_key, "process": str(ctx.process.id)}
        self._mine.connection.execute(sa.insert(calls).values(**said, server=self._server))
        self._mine.connection.execute(insert(effects).values(**said).on_conflict_do_nothing())


def lost_claims() -> list[Change]:
    """From now on, of every runtime in this process."""
    lost: list[Change] = []
    apply: Any = Store.apply
    apply_all: Any = Store.apply_all

    def noting(store: Store, change: Change, *given: Any, **named: Any) -> Any:
        applied = apply(store, change, *given, **named)
        if applied.outcome is Outcome.LOST:
            lost.append(change)
        return applied

    def noting_all(store: Store, batch: Sequence[Change], *given: Any, **named: Any) -> Any:
        found = apply_all(store, batch, *given, **named)
        lost.extend(change for change, applied in zip(batch, found, strict=True) if applied.outcome is Outcome.LOST)
        return found

    Store.apply = noting  # type: ignore[method-assign]
    Store.apply_all = noting_all  # type: ignore[method-assign]
    return lost


def main() -> None:
    name, url, effects_url, workers = sys.argv[1:]
    runtime = WorkflowRuntime(url).with_schemes(SCHEME).with_schemes(LOUD).with_actions({"Append": Receiver(effects_url, name)})
    lost = lost_claims()
    with runtime.with_settings(workers=int(workers)).as_multi_server(name):
        print("ready", flush=True)
        sys.stdin.read()
    print(len(lost), flush=True)


if __name__ == "__main__":
    main()
