"""Waiting for what other threads and processes do, without sleeping for a guessed time."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 0.005  #: seconds between two looks


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Returns as soon as the condition is true; AssertionError when it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(PAUSE)
