"""The plugins of one runtime: objects, entry points, built-in ones; switches; listeners and their isolation."""

from __future__ import annotations

import logging
import types
from pathlib import Path
from typing import Any

import pytest

from workflow_runtime.catalogue import Level, gather
from workflow_runtime.errors import PluginError
from workflow_runtime.hooks import ErrorDecision, hookimpl
from workflow_runtime.plugin_loading import PluginRecord, Plugins

NOBODY: Any = None  #: stands for a process where none is looked at


class Registers:
    """Registers what it is given, under one hook."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def register_actions(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Answers:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def workflow_error(self, error: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Hears:
    def __init__(self, name: str, heard: list[str], error: Exception | None = None) -> None:
        self.name, self.heard, self.error = name, heard, error

    @hookimpl
    def runtime_started(self) -> None:
        self.heard.append(self.name)
        if self.error:
            raise self.error


def given(*objects: Any, **switches: Any) -> Plugins:
    plugins = Plugins(**switches)
    for one in objects:
        plugins.add_object(one)
    return plugins


def test_objects_are_named_and_told_apart() -> None:
    plugins = given(Registers({}), Registers({}), Answers(None))
    plugins.add_object(Registers({}), "mails")
    assert [(record.name, record.level, record.origin) for record in plugins.report()] == [
        (name, Level.RUNTIME, f"given to the runtime: {name}") for name in ("Registers", "Registers#2", "Answers", "mails")
    ]


def test_a_module_is_a_plugin_too() -> None:
    module = types.ModuleType("mails")
    module.runtime_started = hookimpl(lambda runtime: None)  # type: ignore[attr-defined]
    assert given(module).report() == [PluginRecord(name="mails", origin="given to the runtime: mails", level=Level.RUNTIME, hooks=("runtime_started",))]


class Misspelt:
    @hookimpl
    def runtime_startet(self, runtime: Any) -> None: ...


class WrongArgument:
    @hookimpl
    def runtime_started(self, process: Any) -> None: ...


class Asynchronous:
    @hookimpl
    async def runtime_started(self, runtime: Any) -> None: ...


class Optional:
    @hookimpl(optionalhook=True)
    def of_a_later_release(self, runtime: Any) -> None: ...


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (Misspelt(), "there is no hook 'runtime_startet'; did you mean 'runtime_started'"),
        (WrongArgument(), "the plugin 'WrongArgument' cannot be used: .*process"),
        (Asynchronous(), "the hook 'runtime_started' is async, but hooks are called synchronously"),
        (Registers, r"Registers is a class; expected an object: Registers\(\.\.\.\)"),
        (object(), "has no hook; mark its functions with @hookimpl"),
    ],
)
def test_an_object_that_does_not_fit_raises_and_is_gone(plugin: Any, message: str) -> None:
    plugins = given()
    with pytest.raises(PluginError, match=message):
        plugins.add_object(plugin)
    assert plugins.report() == []
    plugins.notify("runtime_started", runtime=None)


def test_an_optional_hook_may_be_unknown() -> None:
    assert given(Optional()).report()[0].error == ""


def test_the_same_object_twice_is_told() -> None:
    plugin = Registers({})
    plugins = given(plugin)
    with pytest.raises(PluginError, match="already registered"):
        plugins.add_object(plugin)
    assert len(plugins.sources()) == 1


def test_a_bad_answer_of_a_named_plugin_raises() -> None:
    with pytest.raises(PluginError, match=r"the plugin 'Registers' cannot be used: register_actions\(\) returned 5; expected a mapping"):
        given(Registers(5)).sources()
    with pytest.raises(PluginError, match="the plugin 'Registers' cannot be used: ConnectionError: no directory"):
        given(Registers(ConnectionError("no directory"))).sources()


def test_a_bad_answer_of_a_found_plugin_is_reported(tmp_path: Path) -> None:
    text = "from workflow_runtime.hooks import hookimpl\n@hookimpl\ndef register_actions():\n    return {'Mail': 1 / 0}\n"
    tmp_path.chmod(0o755)
    (tmp_path / "broken.py").write_text(text + "@hookimpl\ndef runtime_started():\n    raise SystemExit('still in use')\n")
    plugins = given(Registers({"Mail": lambda ctx, parameter: None}))
    plugins.add_folder(tmp_path)
    assert len(plugins.sources()) == 1
    assert plugins.report()[1].error == f"ZeroDivisionError: division by zero ({(tmp_path / 'broken.py').resolve()}:4)"
    plugins.notify("runtime_started", runtime=None)


def test_gathering_hooks_may_answer_none() -> None:
    (source,) = given(Registers(None)).sources()
    assert gather([source]).actions == {}


def test_listeners_are_isolated_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    plugins = given(Hears("a", heard), Hears("b", heard, ValueError("deaf")), Hears("c", heard))
    with caplog.at_level(logging.ERROR):
        plugins.notify("runtime_started", runtime=None)
    assert heard == ["a", "b", "c"]
    (logged,) = caplog.records
    assert logged.getMessage() == "the plugin 'given to the runtime: Hears#2' raised in runtime_started"
    assert logged.exc_info is not None


def test_leaving_the_interpreter_from_a_listener_is_not_swallowed() -> None:
    with pytest.raises(SystemExit):
        given(Hears("a", [], SystemExit(3))).notify("runtime_started", runtime=None)  # type: ignore[arg-type]


def test_wrappers_are_never_called() -> None:
    class Wraps:
        @hookimpl(wrapper=True)
        def runtime_started(self) -> Any:
            raise AssertionError("a wrapper is no listener")
            yield

        @hookimpl(wrapper=True)
        def register_actions(self) -> Any:
            raise AssertionError("a wrapper registers nothing")
            yield

        @hookimpl(wrapper=True)
        def workflow_error(self) -> Any:
            raise AssertionError("a wrapper decides nothing")
            yield

    heard: list[str] = []
    plugins = given(Wraps(), Hears("a", heard))
    plugins.notify("runtime_started", runtime=None)
    assert heard == ["a"]
    assert plugins.ask_error(NOBODY, ValueError()) is None
    assert gather(plugins.sources()).actions == {}


def test_the_order_is_that_of_precedence_and_tryfirst_goes_before_it(tmp_path: Path) -> None:
    heard: list[str] = []

    class First(Hears):
        @hookimpl(tryfirst=True)
        def runtime_started(self) -> None:
            self.heard.append(self.name)

    tmp_path.chmod(0o755)
    (tmp_path / "file.py").write_text("from workflow_runtime.hooks import hookimpl\n@hookimpl\ndef runtime_started(runtime):\n    runtime.append('folder')\n")
    plugins = Plugins()
    plugins.add_folder(tmp_path)
    for listener in (Hears("a", heard), First("first", heard), Hears("b", heard)):
        plugins.add_object(listener)
    plugins.notify("runtime_started", runtime=heard)
    assert heard == ["first", "a", "b", "folder"]


def test_the_first_decision_about_an_error_counts() -> None:
    first, second = ErrorDecision.set_activity("Failed"), ErrorDecision.suppressed()
    assert given(Answers(None), Answers(first), Answers(second)).ask_error(NOBODY, ValueError()) is first
    assert given(Answers(None)).ask_error(NOBODY, ValueError()) is None
    assert given().ask_error(NOBODY, ValueError()) is None


@pytest.mark.parametrize("nonsense", ["Failed", True, ErrorDecision, RuntimeError("confused")])
def test_no_decision_is_logged_and_passed_over(nonsense: Any, caplog: pytest.LogCaptureFixture) -> None:
    decision = ErrorDecision.suppressed()
    assert given(Answers(nonsense), Answers(decision)).ask_error(NOBODY, ValueError()) is decision
    assert ["given to the runtime: Answers" in record.getMessage() for record in caplog.records] == [True]


def distribution(place: Path, name: str, entry_points: str) -> None:
    info = place / f"{name}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[workflow_runtime]\n{entry_points}\n")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two distributions: one with a good and two broken entry points, one with the same good name again."""
    text = "from workflow_runtime.hooks import hookimpl\n@hookimpl\ndef register_actions():\n    return {'Mail': mail}\ndef mail(ctx, parameter): ...\n"
    (tmp_path / "wr_mails_for_tests.py").write_text(text)
    (tmp_path / "wr_broken_for_tests.py").write_text("raise RuntimeError('no key')\n")
    distribution(tmp_path, "acme", "mails = wr_mails_for_tests\nbroken = wr_broken_for_tests\nlost = wr_nowhere_for_tests:plugin")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_entry_points_load_and_a_broken_one_stops_nobody(installed: Path) -> None:
    plugins = Plugins()
    plugins.add_entry_points()
    records = {record.name: record for record in plugins.report() if "acme" in record.origin}
    assert records["mails"].origin == "entry point mails = wr_mails_for_tests of acme 1.5"
    assert (records["mails"].version, records["mails"].hooks, records["mails"].error) == ("1.5", ("register_actions",), "")
    assert records["broken"].error.startswith("RuntimeError: no key")
    assert records["lost"].error == "ModuleNotFoundError: No module named 'wr_nowhere_for_tests'"
    assert gather(plugins.sources()).action("Mail").origin == records["mails"].origin


def test_built_in_plugins_come_through_the_same_door() -> None:
    plugins = Plugins()
    plugins.add_builtin()
    assert {record.name for record in plugins.report()} >= {"basic_actions", "restorers", "roles"}
    assert {record.level for record in plugins.report()} == {Level.BUILT_IN}
    assert [record.error for record in plugins.report() if record.error] == []
    catalogue = gather(plugins.sources())
    assert catalogue.names().actions >= {"SetParameter", "RemoveParameter"}
    assert catalogue.action("SetParameter").origin == "built in: basic_actions"
    assert catalogue.restorers == (), "a file that only offers classes decides nothing"


@pytest.mark.parametrize(
    ("switches", "used"),
    [
        ({}, {"a", "b", "roles"}),
        ({"block": "a, roles"}, {"b"}),
        ({"block": ["b"]}, {"a", "roles"}),
        ({"allow": "b"}, {"b", "roles"}),
        ({"allow": ""}, {"roles"}),
        ({"allow": {"a", "b"}, "block": {"a"}}, {"b", "roles"}),
    ],
)
def test_switches_leave_out_what_was_found(tmp_path: Path, switches: dict[str, Any], used: set[str]) -> None:
    tmp_path.chmod(0o755)
    for name in "ab":
        (tmp_path / f"{name}.py").write_text("")
    plugins = Plugins(**switches)
    plugins.add_folder(tmp_path)
    plugins.add_builtin()
    assert {record.name for record in plugins.report() if not record.left_out} & {"a", "b", "roles"} == used


def test_what_is_left_out_is_not_executed_and_says_why(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "leaves.py").write_text("raise SystemExit('it ran')")
    plugins = Plugins(block="leaves")
    plugins.add_folder(tmp_path)
    assert [(record.left_out, record.error) for record in plugins.report()] == [("WORKFLOW_RUNTIME_PLUGINS_BLOCK names it", "")]
    assert plugins.sources() == []


def test_what_the_host_names_obeys_no_switch() -> None:
    assert len(given(Registers({}), allow="", block="Registers").sources()) == 1
