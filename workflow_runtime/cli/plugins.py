"""``wfr plugins``: what was found, from where, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from workflow_runtime.cli.naming import Nouns
from workflow_runtime.cli.options import Call, add_common, verb
from workflow_runtime.cli.output import Table

if TYPE_CHECKING:
    from workflow_runtime.plugin_loading import PluginRecord

_PLUGINS = Table(
    {
        "plugin": lambda p: p.name,
        "from": lambda p: p.file or p.origin,
        "version": lambda p: p.version,
        "hooks": lambda p: ", ".join(p.hooks),
        "state": lambda p: _state(p),
    },
    id=lambda p: p.name,
    empty="no plugins",
)


@click.group("plugins", cls=Nouns, invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List plugins; alone it is the same as wfr plugins list."""
    if context.invoked_subcommand is None:
        _list(context.obj)


@verb(plugins, "list", "wfr plugins list", "wfr plugins list --plugins plugins/ -o json")
def list_(call: Call) -> None:
    """List plugins in the order in which they are asked, with the file and the error of each. Needs no database."""
    _list(call)


def _list(call: Call) -> None:
    _PLUGINS.show(call.runtime().inspect_plugins(), call.output)


def _state(record: PluginRecord) -> str:
    if record.error:
        return f"broken: {record.error}"
    return f"left out: {record.left_out}" if record.left_out else "in use"


add_common(plugins)
