"""Calling ``wfr`` in this process: one command line in, the exit code and both streams out."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from workflow_runtime import WorkflowRuntime
from workflow_runtime.cli.running import run

ORDER = str(Path(__file__).parents[2] / "schemes" / "order.yaml")

#: What a user's module looks like; its database is the one of the environment.
APP = f"""
from workflow_runtime import WorkflowRuntime

runtime = WorkflowRuntime().with_schemes({ORDER!r}).as_single_server("shop")


@runtime.action("ChargePayment")
def charge(ctx, amount):
    if ctx.parameters["Amount"] == 13:
        raise ValueError("thirteen is declined")


@runtime.action("ShipOrder")
def ship(ctx, parameter):
    ...
"""


RESTING = UUID("aaaaaaaa-0000-4000-8000-000000000001")  #: Idled at Review: it is too large to pass by itself
DELIVERED = UUID("bbbbbbbb-0000-4000-8000-000000000002")  #: Finalized at Done
DECLINED = UUID("aaaaaabb-0000-4000-8000-000000000003")  #: Error at Review: its payment failed


@dataclass(frozen=True)
class Shop:
    folder: Path
    resting: str = str(RESTING)
    delivered: str = str(DELIVERED)
    declined: str = str(DECLINED)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'workflow.db'}"

    def client(self) -> WorkflowRuntime:
        return WorkflowRuntime(self.url).as_client()

    def status(self, process_id: str) -> str:
        with self.client() as runtime:
            return str(runtime.get_process(process_id).status.value)


class Terminal(io.StringIO):
    """Somebody sits there."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        return json.loads(self.err)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def wfr(*arguments: str, stdin: io.StringIO | str = "") -> Answer:
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(stdin) if isinstance(stdin, str) else stdin
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
    finally:
        sys.stdin = before
    return Answer(code, out.getvalue(), err.getvalue())


def dump(path: Path) -> bytes:
    """Every row of every table."""
    connection = sqlite3.connect(path)
    try:
        return "\n".join(connection.iterdump()).encode()
    finally:
        connection.close()
