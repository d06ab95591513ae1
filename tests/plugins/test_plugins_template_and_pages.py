"""The restorer template and the code of the two how-to pages run as written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from interrupted import interrupted, process

from workflow_runtime.catalogue import Catalogue, Level, gather
from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.core.restoring import DecisionKind
from workflow_runtime.hooks import ErrorDecision
from workflow_runtime.plugin_loading import Plugins, find

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "plugins" / "_restorer_template.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "plugins"
    place.mkdir(mode=0o755)
    return place


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "howto" / page).read_text(), re.MULTILINE | re.DOTALL)


def loaded(folder: Path) -> tuple[Plugins, Catalogue]:
    plugins = Plugins()
    plugins.add_folder(folder)
    assert [record.error for record in plugins.report()] == [""]
    return plugins, gather(plugins.sources())


def test_the_loader_leaves_the_template_alone() -> None:
    assert TEMPLATE.is_file()
    assert "_restorer_template" not in {found.name for found in find(TEMPLATE.parent, trusted=True)}


def test_a_copy_of_the_template_works(folder: Path) -> None:
    shutil.copyfile(TEMPLATE, folder / "mine.py")
    _, catalogue = loaded(folder)
    (entry,) = catalogue.restorers
    assert (entry.name, entry.version) == ("MyRestorer", "1")
    assert entry.restorer.need_custom_restore("Order", ProcessStatus.TERMINATED)
    assert not entry.restorer.need_custom_restore("Order", ProcessStatus.ERROR)
    kinds = [entry.restorer.get_custom_restore_decision(one).kind for one in (interrupted(), interrupted(interrupted=None))]
    assert kinds == [DecisionKind.RESUME, DecisionKind.RERUN]


def test_the_page_on_restorers_runs(folder: Path) -> None:
    restorer, hook, shipped = blocks("write-a-restorer.md")
    (folder / "orders.py").write_text(restorer + hook)
    _, catalogue = loaded(folder)
    (entry,) = catalogue.restorers
    assert (entry.name, entry.version) == ("OrderRestorer", "1")
    paying = interrupted()
    object.__setattr__(paying, "parameters", FrozenDict({"OrderId": 7}))
    decision = entry.restorer.get_custom_restore_decision(paying)
    assert (decision.kind, dict(decision.evidence)) == (DecisionKind.RESUME, {"order": 7})
    jump = entry.restorer.get_custom_restore_decision(interrupted(interrupted=None))
    assert (jump.kind, jump.activity, dict(jump.persistent)) == (DecisionKind.JUMP, "Review", {"WasInterrupted": True})
    names: dict[str, Any] = {}
    exec(shipped, names)
    assert [one.name for one in names["restorers"]] == ["Resume(Order)", "JumpTo(Invoice, Refund)"]


def test_the_page_on_plugins_runs(folder: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("write-a-plugin.md")
    (folder / "invoices.py").write_text(block)
    plugins, catalogue = loaded(folder)
    assert (catalogue.action("SendInvoice").origin, plugins.report()[0].level) == (plugins.report()[0].origin, Level.FOLDER)
    ctx = SimpleNamespace(parameters={"Customer": "Ann", "Total": 1500}, step=lambda name, run, *args: run(*args))
    catalogue.action("SendInvoice").function(ctx, "post")
    assert ctx.parameters["Sent"] is True
    assert capsys.readouterr().out == "invoice to Ann by post\n"
    assert [catalogue.condition("IsLarge").function(ctx, limit) for limit in (None, "2000")] == [True, False]
    assert plugins.ask_error(process(), ConnectionError()) == ErrorDecision.set_activity("CallAccounting")
    assert plugins.ask_error(process(), ValueError()) is None
    with caplog.at_level("INFO"):
        plugins.notify("process_status_changed", process=process(), old=None, new=ProcessStatus.IDLED)
    assert caplog.messages == [f"{process().id} is Idled now"]
