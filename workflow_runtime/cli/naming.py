"""How commands are named and helped: nouns in singular or plural, aliases, the exit codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from workflow_runtime.cli.options import COMMON_NAMES

F = TypeVar("F", bound=Callable[..., Any])

DONE, FAILED, USAGE, NOT_FOUND, PARTIAL = 0, 1, 2, 4, 6

ALIASES = {"ls": "list", "get": "show", "rm": "delete", "plugin": "plugins"}


class Nouns(click.Group):
    """A group that also knows plurals and aliases, and names what may have been meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name not in COMMON_NAMES:
                raise
            where = "wfr NOUN VERB" if ctx.parent is None else f"wfr {ctx.info_name} VERB"
            raise click.UsageError(f"{error.option_name} belongs to the command; put it after the command: {where} {error.option_name} ...", ctx) from error

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return next((self.commands[name] for name in _spellings(cmd_name) if name in self.commands), None)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from workflow_runtime.core.nearness import did_you_mean

            ctx.fail(f"there is no command {args[0]!r}{did_you_mean(args[0], self.commands)}")
        name, command, rest = super().resolve_command(ctx, args)
        return command.name if command else name, command, rest


def _spellings(name: str) -> list[str]:
    singular = [name.removesuffix(ending) + put for ending, put in (("ies", "y"), ("es", ""), ("s", "")) if name.endswith(ending)]
    return [name, ALIASES.get(name, name), *singular]


def noun(name: str, help: str) -> Nouns:
    """One noun of ``wfr NOUN VERB``; alone it shows its help."""
    return Nouns(name, help=help, no_args_is_help=True)
