"""An action that takes very long is told of once, and left to run."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from bench import Bench
from retried import text

from workflow_runtime import ProcessStatus


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "durable point" in record.getMessage()]


def test_each_stretch_without_a_durable_point_is_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    told = list[int]()

    def slow(ctx: Any, parameter: str | None) -> None:
        for seconds in (59, 1, 100):
            bench.clock.advance(seconds)
            told.append(len(warned(caplog)))
        ctx.step("one", bench.clock.advance, 1)
        for seconds in (59, 1, 100):
            bench.clock.advance(seconds)
            told.append(len(warned(caplog)))

    with caplog.at_level(logging.WARNING):
        runtime = bench(text("Slow"), actions={"Slow": slow})
        process = runtime.create_instance("S")
        done = runtime.execute_command(process.id, "go").process
        bench.clock.advance(1000)
    assert told == [0, 1, 1, 1, 2, 2]
    assert (done.status, done.activity) == (ProcessStatus.IDLED, "Next")
    first = warned(caplog)[0]
    assert first == f"process {process.id}: action 'Slow' of activity 'Work' has run for 60 s without a durable point; it is left to run"
    assert len(warned(caplog)) == 2, "nothing runs any more"


def test_the_time_is_a_setting(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def slow(ctx: Any, parameter: str | None) -> None:
        bench.clock.advance(5)
        raise ValueError("too late")

    runtime = bench(text("{action: Slow, retry: {attempts: 2, delay: 0}}"), actions={"Slow": slow}, progress_warning=5)
    process = runtime.create_instance("S")
    with pytest.raises(Exception, match="too late"), caplog.at_level(logging.WARNING):
        runtime.execute_command(process.id, "go")
    assert len(warned(caplog)) == 2, "each attempt is a stretch of its own"
