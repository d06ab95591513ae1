"""A program that runs the scripts of crash_scheme.py, each in a process of its own, and tells how it ended.

It imports once and forks for each line of standard input; the answer is ``{"status"}``: an exit code, or the negative
number of the signal that killed it. A line is ``{"script", "folder", "policy", "phase", "point"}``, or for a program of
crash_programs.py ``{"program", "url", "folder", "phase", "point"}``, with ``"receiver"``, the port of one of payments.py, or none.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from crash_programs import Programmed, read
from crash_scheme import SCRIPTS, Trade
from payments import Payments

from workflow_runtime.testing.crash import VARIABLE, CrashingRuntime


def run(job: dict[str, Any]) -> None:
    folder = Path(job["folder"])
    if job["point"]:
        os.environ[VARIABLE] = job["point"]
    if "program" in job:
        book = Payments(job["receiver"], job["phase"]) if "receiver" in job else None
        with Programmed(folder, job["phase"], read(job["program"]), job["url"], crashing=True, book=book) as programmed:
            programmed.runtime.recover(wait=True)
            programmed.drive()
            runtime = programmed.runtime
    else:
        with Trade(folder, job["phase"], job["policy"], crashing=True) as server:
            SCRIPTS[job["script"]](server)
            runtime = server.runtime
    assert isinstance(runtime, CrashingRuntime)
    assert runtime.crash_points is not None
    (folder / "passed.json").write_text(json.dumps(runtime.crash_points.passed))


def warm_up() -> None:
    """What every child would have to compile and cache anew."""
    with tempfile.TemporaryDirectory() as folder, Trade(Path(folder), "warm") as server:
        SCRIPTS["life"](server)


def main() -> None:
    warm_up()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                run(json.loads(line))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
