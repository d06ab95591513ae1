"""The thread that ends calls that hang: when it looks, and when it is there at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from textwrap import dedent

import pytest
from bench import Bench, engine_of

from workflow_runtime.engine.presence import Presence
from workflow_runtime.engine.watchdog import Watchdog

NEVER = 3_600.0


def test_it_looks_again_and_again_whatever_a_look_comes_to() -> None:
    looks = threading.Semaphore(0)

    def sever() -> int:
        looks.release()
        raise OSError("broken on purpose")

    watchdog = Watchdog(sever, every=0.001)
    watchdog.start()
    for _ in range(3):
        assert looks.acquire(timeout=20)
    watchdog.stop()


def test_what_it_has_ended_is_told(caplog: pytest.LogCaptureFixture) -> None:
    left, done = [0, 2, 0], threading.Event()

    def sever() -> int:
        if len(left) == 1:
            done.set()
        return left.pop(0) if left else 0

    watchdog = Watchdog(sever, every=0.001)
    watchdog.start()
    assert done.wait(20)
    watchdog.stop()
    assert [record.getMessage() for record in caplog.records] == ["the database did not answer; calls that were ended: 2"]


def test_it_ends_at_once_and_as_often_as_it_is_told_to() -> None:
    watchdog = Watchdog(lambda: 0, every=NEVER)
    watchdog.start()
    watchdog.stop()
    assert not watchdog._thread.is_alive()
    watchdog.stop()


def test_it_may_be_told_from_within() -> None:
    stopped = threading.Event()

    def sever() -> int:
        watchdog.stop()
        stopped.set()
        return 0

    watchdog = Watchdog(sever, every=0.001)
    watchdog.start()
    assert stopped.wait(20)
    watchdog._thread.join(20)
    assert not watchdog._thread.is_alive()


@pytest.mark.parametrize("real_time", [True, False])
def test_behind_a_file_and_where_time_stands_still_there_is_none(bench: Bench, real_time: bool) -> None:
    presence = engine_of(bench(real_time=real_time)).presence
    assert isinstance(presence, Presence)
    assert presence._watchdog is None


START = f"""
import os, sys, threading
from workflow_runtime.engine.watchdog import Watchdog
Watchdog(lambda: 0, every={NEVER}).start()
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    """The script after START, in a process of its own."""
    return subprocess.run([sys.executable, "-W", "ignore", "-c", START + dedent(script)], capture_output=True, text=True, timeout=60, check=False)


def test_it_does_not_keep_the_host_from_leaving() -> None:
    ended = run("print('the end')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the end\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_none_and_leaves_quietly() -> None:
    ended = run("""
        if (child := os.fork()) == 0:
            sys.exit(threading.active_count())
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status))
    """)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")
