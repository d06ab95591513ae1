"""Memory stays flat: recovery and lists hold a page at a time, however many processes there are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from orphanage import SENDING, Orphanage

from workflow_runtime import WorkflowRuntime, hookimpl
from workflow_runtime.core.process import Process
from workflow_runtime.engine.desk import CROWD_PAGE as PAGE  # the larger one

FEW = 2 * PAGE  #: both are more than one page
TIMES = 3
FLAT = 1.25  #: so many times the processes may need at most so many times the memory


def peak(act: Callable[[], object]) -> int:
    """Bytes that Python held at most while it ran, above what it held before."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def fill(orphanage: Orphanage, number: int) -> None:
    for _ in range(0, number, PAGE):
        orphanage.store.apply_all([orphanage.birth(SENDING) for _ in range(min(PAGE, number))])


def recovered(runtime: WorkflowRuntime, number: int) -> None:
    report = runtime.recover()
    assert report is not None
    assert report.decided == number


def listed(runtime: WorkflowRuntime) -> int:
    """All pages, one after the other."""
    number, cursor = 0, None
    while True:
        page = runtime.find_processes(limit=100, after=cursor)
        number, cursor = number + len(page), page.next
        if cursor is None:
            return number


@pytest.fixture
def orphanage(tmp_path: Path) -> Iterator[Orphanage]:
    with Orphanage(tmp_path, auto_recover=False) as started:
        yield started


@pytest.mark.parametrize("few", [FEW, pytest.param(5 * FEW, marks=pytest.mark.slow)])
def test_recovery_holds_a_page_at_a_time(orphanage: Orphanage, few: int) -> None:
    peaks = []
    for number in (PAGE, few, few * TIMES):
        fill(orphanage, number)
        peaks.append(peak(lambda number=number: recovered(orphanage.runtime, number)))  # type: ignore[misc]
    assert peaks[2] <= peaks[1] * FLAT


@pytest.mark.slow
def test_a_list_holds_a_page_at_a_time(orphanage: Orphanage) -> None:
    peaks = []
    for number in (PAGE, FEW, FEW * TIMES):
        fill(orphanage, number)
        peaks.append(peak(lambda: listed(orphanage.runtime)))
    assert peaks[2] <= peaks[1] * FLAT


class Collector:
    """What it is told is kept: the proof that the tests above can fail."""

    def __init__(self) -> None:
        self.kept: list[Process] = []

    @hookimpl
    def process_recovered(self, process: Process) -> None:
        self.kept.append(process)


@pytest.mark.slow
def test_what_somebody_keeps_would_be_seen(tmp_path: Path) -> None:
    collector, peaks = Collector(), []
    orphanage = Orphanage(tmp_path, auto_recover=False)
    orphanage.runtime.with_plugin(collector)
    with orphanage:
        for number in (PAGE, FEW, FEW * TIMES):
            fill(orphanage, number)
            peaks.append(peak(lambda number=number: recovered(orphanage.runtime, number)))  # type: ignore[misc]
            collector.kept.clear()
    assert peaks[2] > peaks[1] * FLAT
