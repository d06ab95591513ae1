"""A call that comes while the runtime shuts down is done before the server takes leave, or not begun at all."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from workflow_runtime import WorkflowRuntime
from workflow_runtime.engine.clockwork import Clockwork
from workflow_runtime.errors import RuntimeNotStarted

SCHEME = """\
scheme: Late
commands: {go: {}}
activities:
  A: {initial: true}
  B: {actions: [Act]}
transitions:
  - {from: A, to: B, on: {command: go}}
"""
THERE, LATE = UUID(int=1), UUID(int=2)


def test_nothing_begins_behind_the_last_look_at_work_in_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server would be gone before the first step boundary, and recovery would decide about what it had left."""
    url = f"sqlite:///{tmp_path}/workflow.db"
    runtime = WorkflowRuntime(url).with_schemes(SCHEME).with_actions({"Act": lambda ctx, parameter: None}).start()
    runtime.create_instance("Late", process_id=THERE)
    refused: list[str] = []
    stop = Clockwork.stop

    def stop_and_call(self: Clockwork) -> None:
        """Work in hand has ended, and the server has not taken leave yet."""
        stop(self)
        for call in (lambda: runtime.create_instance("Late", process_id=LATE), lambda: runtime.execute_command(THERE, "go")):
            with pytest.raises(RuntimeNotStarted, match="shutting down"):
                call()
            refused.append("refused")

    monkeypatch.setattr(Clockwork, "stop", stop_and_call)
    runtime.shutdown()
    assert refused == ["refused"] * 2
    with WorkflowRuntime(url).as_client() as client:
        assert [(process.id, process.activity, process.owner) for process in client.find_processes()] == [(THERE, "A", None)]
