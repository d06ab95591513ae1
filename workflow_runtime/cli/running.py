"""How a command line ends: every outcome becomes one of five exit codes and, where it failed, words on stderr.

====  ============================================================================================
code  meaning
====  ============================================================================================
0     done; a reader that closes the pipe early ends us quietly with 0 too
1     failed: an error of the runtime, a refused command, an unreachable database, a broken promise
2     usage, or a confirmation that nobody could give
4     what was named does not exist
6     partial: some of many failed
====  ============================================================================================

Ctrl-C ends the process by the signal, as a shell expects. There are no other codes; scripts that must tell
causes apart read ``code`` of the error object that ``-o json`` prints.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import click

from workflow_runtime.cli.naming import DONE, FAILED, NOT_FOUND, USAGE
from workflow_runtime.cli.options import Call
from workflow_runtime.errors import (
    ActionNotFound,
    ActivityNotFound,
    CommandInProgress,
    CommandNotFound,
    FilterError,
    PluginError,
    ProcessBusy,
    ProcessNotFound,
    SchemeNotFound,
    ServerAlreadyRunning,
    StateNotFound,
    StatusNotAllowed,
    TimerNotFound,
    WorkflowError,
)

_CODES: Mapping[type[WorkflowError], int] = {
    FilterError: USAGE,
    ActivityNotFound: NOT_FOUND,
    CommandNotFound: NOT_FOUND,
    ProcessNotFound: NOT_FOUND,
    SchemeNotFound: NOT_FOUND,
    StateNotFound: NOT_FOUND,
    TimerNotFound: NOT_FOUND,
}

#: What to type next; an error without a line here says it in its message.
_NEXT: Mapping[type[WorkflowError], str] = {
    ActionNotFound: "name your code with --app module:runtime, or its plugins with --plugins FOLDER",
    CommandInProgress: "repeat it with --wait SECONDS; wfr process show ID tells where the process stands",
    CommandNotFound: "wfr process commands ID lists what may be given now",
    FilterError: "wfr process list --help shows filters",
    PluginError: "--plugins takes a folder with one .py file per plugin, or a single such file",
    ProcessBusy: "wfr recovery plan tells whether its server is dead",
    ProcessNotFound: "wfr process list shows the ids",
    SchemeNotFound: "wfr scheme list shows the codes; --schemes FILE brings one along",
    ServerAlreadyRunning: "reading and operator verbs work beside it; what executes must be asked of that server, or after it was stopped; "
    "beside servers in multi mode say --multi",
    StatusNotAllowed: "wfr process show ID tells where it stands",
    TimerNotFound: "wfr timer list shows them",
}


def run(arguments: Sequence[str]) -> int:
    """One command line, without ending this process (except on Ctrl-C): the exit code."""
    from workflow_runtime.cli.commands import wfr

    call = Call()
    try:
        return _invoke(wfr, arguments, call)
    except (KeyboardInterrupt, click.Abort):
        return _die_of_interrupt()
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as error:
        return _failed(error, call)


def _invoke(group: click.Group, arguments: Sequence[str], call: Call) -> int:
    """click's ``main`` turns closed pipes and Ctrl-C into 1, so it is left out."""
    try:
        with group.make_context("wfr", list(arguments), obj=call) as context:
            code = group.invoke(context)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    sys.stdout.flush()
    return code if isinstance(code, int) else DONE


def _failed(error: Exception, call: Call) -> int:
    if isinstance(error, click.ClickException):
        return _refused(error, call)
    if call.debug:
        traceback.print_exception(error)
    if call.wants_json:
        _say(json.dumps(problem_object(error), ensure_ascii=False))
    else:
        _say(f"Error: {_what(error)}")
        if hint := _hint(error):
            _say(f"Next:  {hint}")
    return _CODES.get(type(error), FAILED) if isinstance(error, WorkflowError) else FAILED


def _refused(error: click.ClickException, call: Call) -> int:
    if call.wants_json:
        _say(json.dumps(problem_object(error), ensure_ascii=False))
    else:
        error.show(sys.stderr)
    return error.exit_code


def problem_object(error: Exception) -> dict[str, Any]:
    """RFC 9457. ``code`` is the name of the error's class, which is what scripts compare; the error's nouns follow.

    The code that some errors carry themselves, such as ``too_large``, is ``subcode``.
    """
    name = type(error).__name__
    detail = error.format_message() if isinstance(error, click.ClickException) else _what(error)
    problem = {"type": f"urn:workflow-runtime:error:{name}", "title": _title(error), "detail": detail, "code": name}
    if hint := _hint(error):
        problem["hint"] = hint
    return {**_nouns(error), **problem}


def _title(error: Exception) -> str:
    """What errors of this kind have in common; the docstrings of others are not written for our users."""
    if isinstance(error, WorkflowError):
        return (type(error).__doc__ or error.name).strip().splitlines()[0].replace("``", "")
    return "The command line cannot be used as it is written." if isinstance(error, click.ClickException) else type(error).__name__


def _nouns(error: Exception) -> dict[str, Any]:
    nouns = error.nouns if isinstance(error, WorkflowError) else {}
    return {"subcode" if noun == "code" else noun: _plain(value) for noun, value in nouns.items()}


def _plain(value: Any) -> Any:
    from workflow_runtime.core.plain import plain

    try:
        return plain(value)
    except WorkflowError:  # no value of ours: a path, for instance
        return str(value)


def _what(error: Exception) -> str:
    return error.message if isinstance(error, WorkflowError) else f"{type(error).__name__}: {error}"


def _hint(error: Exception) -> str:
    """Where the error itself has none: that of its cause, such as the ActionNotFound of a rule that failed."""
    if isinstance(error, WorkflowError):
        own = next((_NEXT[kind] for kind in type(error).__mro__ if kind in _NEXT), "")
        return own or (_hint(error.__cause__) if isinstance(error.__cause__, WorkflowError) else "")
    return "" if isinstance(error, click.ClickException | OSError) else "this is unexpected: --debug shows where it happened"


def _say(text: str) -> None:
    click.echo(text, err=True)


def _closed_pipe() -> int:
    """Whoever read us has seen enough. The interpreter must not complain either when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE


def _die_of_interrupt() -> int:
    sys.stdout.flush()
    _say("")
    if os.name != "posix":
        return FAILED
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    return FAILED  # not reached: the signal has ended us
