"""What is done with a connection from outside, by the file number of its socket."""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from typing import Any


def has_input(number: int) -> bool:
    """Whether something has come that nobody has read."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()  # for any number; ``select`` ends at 1,023
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


def sever(number: int | None) -> None:
    """End a connection: who waits for an answer on it gets an error at once. From any thread."""
    if number is None or number < 0:
        return
    with suppress(OSError), socket.socket(fileno=os.dup(number)) as end:
        end.shutdown(socket.SHUT_RDWR)


def close(driver: Any) -> None:
    """Close a connection of a driver, whatever state it is in."""
    with suppress(Exception):  # it is broken, which is why it is closed
        driver.close()
