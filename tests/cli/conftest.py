"""A shop in its own folder: a database with three orders, and the module of its application."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "store"))

import databases
import pytest
from wfr_calls import APP, DECLINED, DELIVERED, ORDER, RESTING, Shop

from workflow_runtime import ActionFailed, WorkflowRuntime


@pytest.fixture(scope="session")
def postgresql() -> Iterator[databases.Places]:
    places = databases.postgres()
    yield places
    places.close()


@pytest.fixture(scope="session")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database is made once and copied for each test."""
    path = tmp_path_factory.mktemp("stocked") / "workflow.db"
    runtime = WorkflowRuntime(f"sqlite:///{path}").with_schemes(ORDER)

    @runtime.action("ChargePayment")
    def charge(ctx: object, amount: str) -> None:
        if amount == "13":
            raise ValueError("thirteen is declined")

    runtime.with_actions({"ShipOrder": lambda ctx, parameter: None})
    with runtime:
        runtime.create_instance("Order", process_id=RESTING, parameters={"Amount": 5_000, "Clerks": ["anna"]}, identity="alice")
        runtime.create_instance("Order", process_id=DELIVERED, parameters={"Amount": 5})
        with pytest.raises(ActionFailed):
            runtime.create_instance("Order", process_id=DECLINED, parameters={"Amount": 13})
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to stand in; nothing of the environment speaks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORKFLOW_RUNTIME_URL", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("shopapp", None)


@pytest.fixture
def shop(here: Path, stocked: Path) -> Shop:
    """Commands find the database where they look by default, and the application as ``--app shopapp:runtime``."""
    shutil.copy(stocked, here / "workflow.db")
    (here / "shopapp.py").write_text(APP)
    return Shop(here)
