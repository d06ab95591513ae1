"""Processes that all stand in the middle of the same activity, because the receiver holds its answers back."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future
from typing import Any

from programs import Gone, Server
from supervisor import LOOK, Supervisor
from waiting import until

STEP = "check"  #: where they are held: two steps of the same action are journaled then

AT_ONCE = 24  #: creations under way at a time: each takes a connection, of which a database has so many


def held_in_flight(run: Supervisor, servers: list[Server], policies: list[str]) -> None:
    """One process per policy, spread over the servers, each with its second activity begun and a step of it sent."""
    run.tell_receiver("hold", step=STEP)
    futures: dict[int, Future[dict[str, Any]]] = {}
    pause = threading.Event()

    def all_held() -> bool:
        pause.wait(LOOK)
        held = run.tell_receiver("held")
        for number, policy in enumerate(policies, 1):
            begins = number not in futures and len(futures) < held + AT_ONCE
            if begins or (number in futures and _came_to_nothing(futures[number])):
                futures[number] = run.create(servers[number % len(servers)], number, policy)
        return held == len(policies)

    until(all_held, 60)
    in_hand = run.count("SELECT count(*) FROM wf_process WHERE status = 1 AND owner IS NOT NULL")
    assert in_hand == len(policies)


def _came_to_nothing(future: Future[dict[str, Any]]) -> bool:
    """A server whose database takes no more connections says so, and has created nothing."""
    try:
        return future.done() and future.result().get("error") == "StoreUnavailable"
    except Gone:
        return False


def closing(run: Supervisor) -> None:
    """Gives the last command wherever a process waits for it."""
    for (process,) in run.rows("SELECT id FROM wf_process WHERE status = 2 AND activity IN ('Ready', 'Held')"):
        random.Random(process).choice(run.serving()).ask("command", process=process, name="close", key=f"close {process}")
