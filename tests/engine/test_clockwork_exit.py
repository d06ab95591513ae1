"""How a process ends that has a clockwork: quietly, soon, and whatever is still running keeps its beat."""

from __future__ import annotations

import os
import subprocess
import sys
from subprocess import CompletedProcess
from textwrap import dedent

import pytest

START = """
import logging, os, sys, threading
from workflow_runtime.engine.clock import SystemClock
from workflow_runtime.engine.clockwork import Clockwork
from workflow_runtime.settings import Settings

logging.basicConfig(level=logging.INFO)
beats, polled = threading.Semaphore(0), threading.Event()
clockwork = Clockwork(
    beat=beats.release,
    sweep=lambda: None,
    poll=polled.set,
    settings=Settings(beat=0.01, lease=1, sweep=0.01, poll=0.01, shutdown_grace=0.2),
    clock=SystemClock(),
    now=SystemClock().now,
    on_trouble=lambda job, error: print("trouble", job, error, file=sys.stderr),
)
"""


def run(script: str) -> CompletedProcess[str]:
    """The script after START, in a process of its own."""
    return subprocess.run([sys.executable, "-W", "error", "-c", START + dedent(script)], capture_output=True, text=True, timeout=60, check=False)


def assert_quiet(ended: CompletedProcess[str]) -> None:
    assert ended.stderr == ""
    assert ended.returncode == 0


def test_leaving_without_a_stop_is_quiet() -> None:
    assert_quiet(
        run("""
            clockwork.start()
            for _ in range(5):
                assert beats.acquire(timeout=30)
        """)
    )


def test_leaving_right_after_the_start_is_quiet() -> None:
    assert_quiet(run("clockwork.start()"))


def test_leaving_by_an_error_shows_that_error_alone() -> None:
    ended = run("""
        clockwork.start()
        assert polled.wait(30)
        sys.exit("that is enough")
    """)
    assert ended.stderr == "that is enough\n"
    assert ended.returncode == 1


def test_a_job_that_hangs_does_not_keep_the_process_alive() -> None:
    assert_quiet(
        run("""
            inside = threading.Event()
            def hangs():
                inside.set()
                threading.Event().wait()
            clock = SystemClock()
            clockwork = Clockwork(beat=hangs, sweep=hangs, poll=hangs, settings=Settings(shutdown_grace=0.1), clock=clock, now=clock.now, on_trouble=print)
            clockwork.start()
            assert inside.wait(30)
        """)
    )


def test_the_beat_outlives_the_main_thread() -> None:
    """A step in flight in another thread still needs the lease, when the main thread has nothing left to do."""
    ended = run("""
        clockwork.start()
        def works_on():
            threading.main_thread().join(30)
            while beats.acquire(blocking=False):
                pass
            for _ in range(5):
                assert beats.acquire(timeout=30)
            print("five beats")
        threading.Thread(target=works_on).start()
    """)
    assert_quiet(ended)
    assert ended.stdout == "five beats\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_quietly_and_can_start_anew() -> None:
    ended = run("""
        import warnings
        warnings.simplefilter("ignore")  # of a fork with threads: that is what this is about
        clockwork.start()
        assert polled.wait(30)
        with clockwork._gate:  # as another thread may hold it at the moment of the fork
            child = os.fork()
        if child == 0:
            clockwork.stop()
            polled.clear()
            clockwork.start()
            assert polled.wait(30)
            print("the child polls", flush=True)
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        print("the child left with", status)
    """)
    assert_quiet(ended)
    assert ended.stdout == "the child polls\nthe child left with 0\n"
