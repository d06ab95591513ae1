"""The tree of commands: ``wfr NOUN VERB``."""

from __future__ import annotations

import click

from workflow_runtime.cli import operate
from workflow_runtime.cli.db import db
from workflow_runtime.cli.demo import demo
from workflow_runtime.cli.naming import Nouns
from workflow_runtime.cli.options import examples
from workflow_runtime.cli.plugins import plugins
from workflow_runtime.cli.recovery import recovery
from workflow_runtime.cli.scheme import scheme
from workflow_runtime.cli.server import server
from workflow_runtime.cli.timer import timer
from workflow_runtime.cli.transfer import export, import_
from workflow_runtime.version import VERSION

__all__ = ["wfr"]

EPILOG = examples("wfr demo", "wfr process list --where status=Error", "wfr recovery plan --url sqlite:///shop.db")


@click.group("wfr", cls=Nouns, epilog=EPILOG, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="wfr")
def wfr() -> None:
    """Look at and run durable workflows.

    Reading and operator verbs work beside a server, and on the database of a system that is down. Nouns may stand in
    the plural; ls, get and rm are list, show and delete.
    """


for noun in (demo, scheme, operate.process, recovery, timer, server, db, export, import_, plugins):
    wfr.add_command(noun)
