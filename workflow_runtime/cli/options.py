"""What every command takes: the database or the application, schemes and plugins, the form of the output.

=============  ===========================================================================
option         means
=============  ===========================================================================
--url          the database; without it WORKFLOW_RUNTIME_URL, else sqlite:///workflow.db
--app          module:runtime, a runtime built by your code, with its actions and database
--schemes      files or folders of schemes that a server adds
--plugins      folders, or single files, of plugins
-o, --output   table (words for people), json, jsonl (one object per line), ids
--debug        the traceback of an error
=============  ===========================================================================
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from workflow_runtime.runtime import WorkflowRuntime

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=click.Command)


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    IDS = "ids"


@dataclass(slots=True)
class Call:
    """What the options of one call said. ``main`` reads it too, when something fails."""

    url: str | None = None
    app: str | None = None
    schemes: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    output: Output = Output.TABLE
    debug: bool = False

    @property
    def wants_json(self) -> bool:
        return self.output in (Output.JSON, Output.JSONL)

    @property
    def has_names(self) -> bool:
        """Whether this call brings actions, conditions and rules of its own."""
        return self.app is not None or bool(self.plugins)

    def client(self) -> WorkflowRuntime:
        """For reading and operator verbs: works beside a server, and where there is none."""
        return self.runtime().as_client()

    def server(self, *, recover: bool = False, multi: bool = False) -> WorkflowRuntime:
        """For what executes. Unless told it leaves alone what dead servers left: their own server may know better.

        ``multi``: as one of several servers, whatever the application has said.
        """
        runtime = self.runtime().as_multi_server() if multi else self.runtime()
        return runtime if recover else runtime.with_settings(auto_recover=False)

    def runtime(self) -> WorkflowRuntime:
        """Not started, in the mode of the application, else as single server."""
        runtime = self._of_app(self.app) if self.app else self._new()
        for folder in self.plugins:
            runtime.with_plugins_folder(folder)
        return runtime.with_schemes(*self.schemes)

    def _new(self) -> WorkflowRuntime:
        from workflow_runtime.runtime import WorkflowRuntime

        return WorkflowRuntime(self.url)

    def _of_app(self, app: str) -> WorkflowRuntime:
        from workflow_runtime.runtime import WorkflowRuntime

        if self.url:
            raise click.UsageError("--app brings its own database; leave out --url")
        module, _, name = app.partition(":")
        runtime = getattr(_module(module), name or "runtime", None)
        if not isinstance(runtime, WorkflowRuntime):
            raise click.UsageError(f"{app!r} is no WorkflowRuntime; --app expects module:name of a runtime that was built and not started")
        return runtime


def _module(name: str) -> Any:
    """The operator names code to run, as for any server; the current folder comes first on the path."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise click.UsageError(f"there is no module {error.name!r} here; --app expects module:runtime") from error


def _noted(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Into the call, not into the arguments of the command. Eager, so that -o json holds for usage errors too."""
    if value and parameter.name:
        setattr(ctx.ensure_object(Call), parameter.name, Output(value) if parameter.name == "output" else value)


def _option(*names: str, **more: Any) -> click.Option:
    return click.Option(names, callback=_noted, expose_value=False, is_eager=True, **more)


_COMMON = (
    _option("--url", metavar="URL", help="The database; else WORKFLOW_RUNTIME_URL, else sqlite:///workflow.db."),
    _option("--app", metavar="MODULE:NAME", help="A runtime built by your code, with its actions and its database."),
    _option("--schemes", multiple=True, metavar="PATH", help="A file or folder of schemes that a server adds. Repeatable."),
    _option("--plugins", multiple=True, metavar="PATH", help="A folder of plugins. Repeatable."),
    _option("-o", "--output", type=click.Choice([form.value for form in Output]), help="The form of the output; table by default."),
    _option("--debug", is_flag=True, help="Show the traceback of an error."),
)

BESIDE = click.option("--multi", is_flag=True, help="Run beside other servers, as one of several over one database.")  #: of what starts a server for one deed

COMMON_NAMES = frozenset(name for option in _COMMON for name in option.opts)


def examples(*lines: str) -> str:
    """The end of a help text."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def verb(group: click.Group, name: str, *lines: str) -> Callable[[F], click.Command]:
    """One command of a noun, with the common options after its own; ``lines`` are the examples that end its help."""

    def register(function: F) -> click.Command:
        command = group.command(name, epilog=examples(*lines))(click.pass_obj(function))
        return add_common(command)

    return register


def add_common(command: C) -> C:
    command.params.extend(_COMMON)
    return command
