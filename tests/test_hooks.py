"""Every hook: its documentation, its arguments, and what a plugin that implements it gets and gives."""

from __future__ import annotations

import inspect
import pickle
import re
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.catalogue import gather
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.core.restoring import IProcessRestorer
from workflow_runtime.hooks import ErrorDecision, HookSpecs, hookimpl
from workflow_runtime.plugin_loading import Plugins

DOCS = Path(__file__).parents[1] / "docs" / "reference" / "hooks.md"
SPECS = {name: spec for name, spec in vars(HookSpecs).items() if not name.startswith("_")}
GATHERING = {name for name in SPECS if name.startswith("register_")}
EVENTS = SPECS.keys() - GATHERING - {"workflow_error"}


class StartAgain(IProcessRestorer):
    pass


def notify_manager(ctx: Any, parameter: str | None) -> None:
    pass


def is_manager(process: Any, identity: Any, parameter: Any) -> bool:
    return bool(identity == "bob")


class EveryHook:
    """Implements all there are; what it hears it writes down."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.restorer = StartAgain()

    @hookimpl
    def register_actions(self) -> Any:
        return {"NotifyManager": notify_manager}

    @hookimpl
    def register_conditions(self) -> Any:
        return {"IsLarge": lambda ctx, parameter: True}

    @hookimpl
    def register_rules(self) -> Any:
        return {"Manager": (is_manager, lambda process, parameter: ["bob"])}

    @hookimpl
    def register_process_restorers(self) -> Any:
        return (self.restorer,)

    @hookimpl
    def register_external_parameters(self) -> Any:
        return lambda process, name: {"Vat": 19}[name]

    @hookimpl
    def register_timer_values(self) -> Any:
        return lambda process, timer, value: "1d" if value == "tomorrow" else None

    @hookimpl
    def process_status_changed(self, process: Any, old: Any, new: Any) -> None:
        self.heard.append(("process_status_changed", process, old, new))

    @hookimpl
    def process_activity_changed(self, process: Any, previous: Any, current: Any, transition: Any) -> None:
        self.heard.append(("process_activity_changed", process, previous, current, transition))

    @hookimpl
    def before_activity_execution(self, process: Any, activity: Any) -> None:
        self.heard.append(("before_activity_execution", process, activity))

    @hookimpl
    def process_recovered(self, process: Any, decision: Any) -> None:
        self.heard.append(("process_recovered", process, decision))

    @hookimpl
    def runtime_started(self, runtime: Any) -> None:
        self.heard.append(("runtime_started", runtime))

    @hookimpl
    def runtime_stopping(self, runtime: Any) -> None:
        self.heard.append(("runtime_stopping", runtime))

    @hookimpl
    def workflow_error(self, process: Any, error: Any) -> Any:
        return ErrorDecision.set_activity(f"{process}: {error}")


@pytest.fixture
def plugin() -> EveryHook:
    return EveryHook()


@pytest.fixture
def plugins(plugin: EveryHook) -> Plugins:
    plugins = Plugins()
    plugins.add_object(plugin)
    return plugins


def arguments(hook: str) -> list[str]:
    return [name for name in inspect.signature(SPECS[hook]).parameters if name != "self"]


def test_the_tests_know_every_hook() -> None:
    assert {name for name in vars(EveryHook) if name in SPECS} == SPECS.keys()


def test_every_hook_has_a_heading_with_its_arguments() -> None:
    headings = re.findall(r"^### (\w+)\((.*)\)$", DOCS.read_text(), re.MULTILINE)
    assert {hook: [name for name in names.split(", ") if name] for hook, names in headings} == {hook: arguments(hook) for hook in SPECS}
    assert len(headings) == len(SPECS)


@pytest.mark.parametrize("hook", SPECS)
def test_every_hook_states_its_contract_in_code_and_page(hook: str) -> None:
    assert (SPECS[hook].__doc__ or "").strip()
    section = DOCS.read_text().split(f"### {hook}(")[1].split("\n#")[0]
    assert len(section.split()) > 12


def test_gathering_hooks_fill_the_catalogue(plugins: Plugins, plugin: EveryHook) -> None:
    catalogue = gather(plugins.sources())
    assert catalogue.action("NotifyManager").function is notify_manager
    assert catalogue.condition("IsLarge").function(None, None) is True
    rule = catalogue.rule("Manager")
    assert rule.check is is_manager
    assert rule.identities is not None
    assert rule.identities(None, None) == ["bob"]
    assert [entry.restorer for entry in catalogue.restorers] == [plugin.restorer]
    assert catalogue.external(None, "Vat") == 19  # type: ignore[arg-type]
    assert catalogue.timer_value(None, "remind", "tomorrow") == "1d"  # type: ignore[arg-type]


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_a_listener_hears_an_event_with_its_arguments(event: str, plugins: Plugins, plugin: EveryHook) -> None:
    told = {name: f"the {name}" for name in arguments(event)}
    plugins.notify(event, **told)
    assert plugin.heard == [(event, *told.values())]


def test_a_listener_takes_only_the_arguments_it_wants() -> None:
    class Short:
        heard: list[Any] = []  # noqa: RUF012 - one test, one list

        @hookimpl
        def process_status_changed(self, new: Any) -> None:
            self.heard.append(new)

    plugins = Plugins()
    plugins.add_object(Short())
    plugins.notify("process_status_changed", process=None, old=None, new=ProcessStatus.IDLED)
    assert Short.heard == [ProcessStatus.IDLED]


def test_workflow_error_gets_process_and_error_and_decides(plugins: Plugins) -> None:
    assert plugins.ask_error("the process", OSError("no route")) == ErrorDecision(activity="the process: no route")  # type: ignore[arg-type]


def test_an_error_decision_is_a_value() -> None:
    assert ErrorDecision() == ErrorDecision(activity=None, suppress=False)
    assert ErrorDecision.suppressed() == ErrorDecision(activity=None, suppress=True)
    decision = ErrorDecision.set_activity("Failed")
    assert pickle.loads(pickle.dumps(decision)) == decision
    with pytest.raises(FrozenInstanceError):
        decision.suppress = False  # type: ignore[misc]
