"""The receiver of side effects: a program of its own with a ledger of its own, that applies each key once.

It speaks JSON lines over a socket. ``{"key", "process", "place", "owner", "token", "server"}`` is a request;
``{"control": ...}`` comes from the supervisor:

==========================  ============================================================================
control                     what it does
==========================  ============================================================================
hold, step                  requests of this step are applied and get no answer yet
release                     all of them are answered, a few milliseconds apart, and no more are held
held                        how many wait
chaos, seed, lost, late     from now on this share of answers is lost (after the effect) or comes late
==========================  ============================================================================

``arrival`` takes every request, ``effect`` the first one of each key. The ledger is a SQLite file: it is no part of
the database under test and outlives its restarts.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from evidence import Arrival, Effect, Place

PACE = 0.005  #: seconds between two answers of a release: the servers wake one after the other, as in life
LATE = 0.05  #: seconds
_NOTE = """
INSERT INTO arrival (key, process, walk, activity, action, step, occurrence, server, owner, token, at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_TABLES = """
CREATE TABLE arrival (number INTEGER PRIMARY KEY, key, process, walk, activity, action, step, occurrence, server, owner, token, at);
CREATE TABLE effect (key PRIMARY KEY, at);
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
"""


class Receiver:
    def __init__(self, path: Path) -> None:
        self._ledger = sqlite3.connect(path, isolation_level=None)
        self._ledger.executescript(_TABLES)
        self._step: str | None = None  #: held
        self._held: list[asyncio.Event] = []
        self._seed, self._lost, self._late = 0, 0.0, 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                told = json.loads(line)
                answer = await self._control(told) if "control" in told else await self._request(told)
                if answer is None:
                    break
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:  # a server that was killed
            pass
        except asyncio.CancelledError:  # the end of this program
            return
        finally:
            writer.close()

    async def _request(self, told: dict[str, Any]) -> dict[str, Any] | None:
        """None: the answer is lost."""
        before = self._apply(told)
        if told["place"][3] == self._step:
            event = asyncio.Event()
            self._held.append(event)
            await event.wait()
        chance = random.Random(f"{self._seed} {told['key']} {before}").random()
        if chance < self._lost and not before:
            return None
        if chance > 1 - self._late:
            await asyncio.sleep(LATE)
        return {"applied": not before}

    def _apply(self, told: dict[str, Any]) -> int:
        """How many requests with this key there were before."""
        now = time.time_ns() // 1000
        (before,) = self._ledger.execute("SELECT count(*) FROM arrival WHERE key = ?", (told["key"],)).fetchone()
        row = (told["key"], told["process"], *told["place"], told["server"], told["owner"], told["token"], now)
        self._ledger.execute("BEGIN")
        self._ledger.execute(_NOTE, row)
        self._ledger.execute("INSERT OR IGNORE INTO effect VALUES (?, ?)", (told["key"], now))
        self._ledger.execute("COMMIT")
        return int(before)

    async def _control(self, told: dict[str, Any]) -> dict[str, Any]:
        match told["control"]:
            case "hold":
                self._step = told["step"]
            case "release":
                held, self._step, self._held = self._held, None, []
                for event in held:
                    event.set()
                    await asyncio.sleep(PACE)
            case "chaos":
                self._seed, self._lost, self._late = told["seed"], told["lost"], told["late"]
        return {"held": len(self._held)}


def read(path: Path) -> tuple[list[Arrival], list[Effect]]:
    """The ledger: every request, and every effect."""
    ledger = sqlite3.connect(path)
    names = "number, key, process, walk, activity, action, step, occurrence, server, owner, token, at"
    rows = ledger.execute(f"SELECT {names} FROM arrival ORDER BY number").fetchall()
    effects = [Effect(*row) for row in ledger.execute("SELECT key, at FROM effect ORDER BY at")]
    ledger.close()
    return [_arrival(*row) for row in rows], effects


def _arrival(number: int, key: str, process: str, *row: Any) -> Arrival:
    return Arrival(number, key, process, Place(*row[:5]), *row[5:])


async def main(path: Path) -> None:
    receiver = Receiver(path)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, backlog=512)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)  # its end is ours
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
