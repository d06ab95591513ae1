"""Values that the tests of the shipped plugins start from."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import Process, ProcessStatus
from workflow_runtime.core.restoring import FinishedStep, InterruptedProcess, Interruption, Server
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, ParameterSpec

AT = datetime(2031, 5, 1, tzinfo=UTC)
ID = UUID(int=7)
SCHEME = Scheme(
    code="Order",
    activities=(Activity(name="Begin", is_initial=True), Activity(name="Paid")),
    parameters=(ParameterSpec(name="Note", type="string"), ParameterSpec(name="Due", type="datetime"), ParameterSpec(name="Price", type="decimal")),
)
SERVER = Server(id="a1", name="eu-1", host="h", pid=1, version="1", mode="multi", started_at=AT, last_beat_at=AT, lease_until=AT)


def process(**parameters: Any) -> Process:
    return Process(
        id=ID,
        scheme_code="Order",
        scheme_version=SCHEME.version,
        activity="Begin",
        status=ProcessStatus.RUNNING,
        parameters=FrozenDict(parameters),
        root_id=ID,
        created_at=AT,
        updated_at=AT,
        status_since=AT,
        activity_since=AT,
        token=1,
        scheme=SCHEME,
    )


def interrupted(**evidence: Any) -> InterruptedProcess:
    """An Order that a server left in its action Charge, after one finished step."""
    known: dict[str, Any] = {
        "preliminary_status": ProcessStatus.TERMINATED,
        "interrupted": Interruption("pay", "Paid", "Charge", 1),
        "finished_steps": (FinishedStep("Paid", "Reserve", "", AT),),
        "server": SERVER,
    }
    return InterruptedProcess.of(process(), **known | evidence)


def context(**parameters: Any) -> Any:
    """What an action sees, as far as the basic actions look at it."""
    return SimpleNamespace(process=process(**parameters), parameters=dict(parameters))
