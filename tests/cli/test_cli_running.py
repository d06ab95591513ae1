"""How commands end: the exit codes, errors in words and as objects, closed pipes, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from wfr_calls import Shop, wfr

from workflow_runtime import errors
from workflow_runtime.cli import commands, running
from workflow_runtime.version import VERSION

WFR = [sys.executable, "-m", "workflow_runtime"]


def ending_with(monkeypatch: pytest.MonkeyPatch, end: Callable[[], object]) -> None:
    """A command ``end`` in the tree, which does just that."""
    command = click.Command("end", callback=end)
    monkeypatch.setitem(commands.wfr.commands, "end", command)


def raising(error: BaseException) -> Callable[[], object]:
    def end() -> object:
        raise error

    return end


def test_version_and_help_are_done(here: Path) -> None:
    assert wfr("--version") == wfr("--version")
    assert (wfr("--version").code, wfr("--version").out) == (0, f"wfr, version {VERSION}\n")
    assert wfr("process", "list", "-h").out == wfr("processes", "ls", "--help").out


def test_nothing_to_do_shows_help_as_usage(here: Path) -> None:
    assert wfr().code == 2
    assert wfr("process").code == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["proces", "list"], "did you mean 'process'?"),
        (["process", "lst"], "did you mean 'list'?"),
        (["process", "list", "--wher", "x"], "--where"),
        (["process", "show"], "Missing argument"),
        (["process", "list", "-o", "xml"], "is not one of"),
        (["--url", "sqlite:///x.db", "process", "list"], "--url belongs to the command; put it after the command: wfr NOUN VERB --url"),
        (["process", "-o", "json", "list"], "put it after the command: wfr process VERB -o"),
        (["--debug", "db", "check"], "put it after the command"),
        (["--colour", "process", "list"], "No such option"),
    ],
)
def test_usage(here: Path, line: list[str], said: str) -> None:
    refused = wfr(*line)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err


@pytest.mark.parametrize(
    ("given", "name"),
    [("processes", "process"), ("schemes", "scheme"), ("recoveries", "recovery"), ("timers", "timer"), ("servers", "server"), ("plugin", "plugins")],
)
def test_nouns_stand_in_the_plural_too(given: str, name: str) -> None:
    context = click.Context(commands.wfr)
    found = commands.wfr.get_command(context, given)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(("kind", "code"), [*((kind, code) for kind, code in running._CODES.items()), (errors.ProcessBusy, 1), (errors.StoreUnavailable, 1)])
def test_each_error_has_its_code(monkeypatch: pytest.MonkeyPatch, kind: type[errors.WorkflowError], code: int) -> None:
    ending_with(monkeypatch, raising(kind()))
    ended = wfr("end")
    assert ended.code == code
    assert ended.err.startswith(f"Error: {kind().message}")


def test_every_kind_of_not_found_ends_with_four() -> None:
    missing = {getattr(errors, name) for name in errors.__all__ if name.endswith("NotFound")}
    assert missing - set(running._CODES) == {errors.ActionNotFound}  # that is a server that lacks code, no wrong name


@pytest.mark.parametrize("code", [0, 1, 2, 4, 6])
def test_a_command_may_end_with_a_code(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    ending_with(monkeypatch, lambda: code)
    assert wfr("end").code == code


def test_an_unexpected_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ending_with(monkeypatch, raising(RuntimeError("nobody thought of this")))
    ended = wfr("end")
    assert ended.code == 1
    assert ended.err.splitlines() == ["Error: RuntimeError: nobody thought of this", "Next:  this is unexpected: --debug shows where it happened"]


def test_debug_shows_the_traceback(shop: Shop) -> None:
    assert "Traceback" not in wfr("process", "show", "dddddd").err
    assert "Traceback (most recent call last)" in wfr("process", "show", "dddddd", "--debug").err


def test_an_error_as_an_object(shop: Shop) -> None:
    problem = wfr("process", "show", "dddddd", "-o", "json").problem
    assert problem == {
        "type": "urn:workflow-runtime:error:ProcessNotFound",
        "title": "No process has this id; it may have been deleted.",
        "detail": "no process has an id that begins with 'dddddd'; it may have been deleted",
        "code": "ProcessNotFound",
        "hint": "wfr process list shows the ids",
        "process_id": "dddddd",
    }


def test_the_object_of_a_bad_scheme_lists_its_problems(here: Path) -> None:
    Path("bad.yaml").write_text("scheme: Bad\nactivities:\n  - {name: A, initial: true, actions: [Nobody]}\n")
    problem = wfr("process", "create", "Bad", "--schemes", "bad.yaml", "-o", "json").problem
    assert problem["code"] == "SchemeError"
    assert problem["title"] == "The scheme cannot be used; problems lists every finding with its place."
    assert problem["problems"]
    assert {"code", "message", "path", "line", "column", "severity", "suggestion"} == set(problem["problems"][0])


def test_the_code_of_an_error_of_ours_is_a_subcode(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = running.problem_object(errors.ParameterError("too long", code="too_large", limit=500, place=Path("order.json"), type="x"))
    assert (problem["code"], problem["subcode"], problem["limit"], problem["place"]) == ("ParameterError", "too_large", 500, "order.json")
    assert problem["type"] == "urn:workflow-runtime:error:ParameterError"


def test_titles_are_words_for_people() -> None:
    titles = [running.problem_object(getattr(errors, name)())["title"] for name in errors.__all__ if name.endswith("Error") and name != "SchemeError"]
    assert not [title for title in titles if "``" in title]
    assert running.problem_object(click.NoSuchOption("--x"))["title"] == running.problem_object(click.UsageError("x"))["title"]
    assert "internal" not in running.problem_object(click.UsageError("x"))["title"]
    assert running.problem_object(KeyError("x"))["title"] == "KeyError"


def test_usage_as_an_object(shop: Shop) -> None:
    assert wfr("process", "show", "aaaaaa", "-o", "json").problem["code"] == "UsageError"
    assert wfr("process", "show", "-o", "jsonl").problem["code"] == "MissingParameter"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--app", "nowhere:runtime"], "there is no module 'nowhere'"),
        (["--app", "shopapp:shop"], "is no WorkflowRuntime"),
        (["--app", "shopapp", "--url", "sqlite:///x.db"], "leave out --url"),
    ],
)
def test_an_application_that_is_none(shop: Shop, options: list[str], said: str) -> None:
    refused = wfr("process", "list", *options)
    assert refused.code == 2
    assert said in refused.err


def test_an_application_that_lacks_a_module_of_its_own_is_no_usage(here: Path) -> None:
    Path("lacking.py").write_text("import surely_not_installed_anywhere")
    failed = wfr("process", "list", "--app", "lacking")
    assert failed.code == 1
    assert "surely_not_installed_anywhere" in failed.err


def test_the_database_by_option_and_by_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert wfr("db", "check").code == 1
    assert wfr("db", "check", "--url", shop.url).code == 0
    monkeypatch.setenv("WORKFLOW_RUNTIME_URL", shop.url)
    assert wfr("db", "check").code == 0


# Processes of their own: what only the operating system can tell


def test_the_module_is_the_command(shop: Shop) -> None:
    ended = subprocess.run([*WFR, "process", "show", "dddddd"], cwd=shop.folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 4
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: no process has an id")


def test_a_closed_pipe_is_quiet(shop: Shop) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run([*WFR, "process", "list"], cwd=shop.folder, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_ctrl_c_ends_by_the_signal() -> None:
    """As a shell expects: the return code names the signal."""
    code = "import sys; from workflow_runtime.cli import commands, running; import click\ndef end(): raise KeyboardInterrupt\n"
    code += "commands.wfr.add_command(click.Command('end', callback=end)); sys.exit(running.run(['end']))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGINT
    assert b"Traceback" not in ended.stderr


def test_the_version_needs_no_database_and_no_yaml() -> None:
    code = "import sys; from workflow_runtime.cli.running import run; run(['--version']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert not {"sqlalchemy", "yaml", "alembic", "pydantic", "apscheduler", "rich", "transitions"} & set(loaded)
