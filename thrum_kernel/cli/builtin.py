"""Commands that speak about the tree itself: help and completion."""

from __future__ import annotations

from typing import Annotated

import typer

from thrum_kernel.cli.app import HelpWanted
from thrum_kernel.cli.command import Group, command, run_of


def register(root: Group) -> None:
    """Add ``help``."""

    @command(root, "help", local=True, offline=True)
    def show_help(
        ctx: typer.Context, words: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND]...")] = None
    ) -> None:
        """Help about any command."""
        tree = run_of(ctx).tree
        raise HelpWanted(tree.help_of(tree.find([*(words or ()), "--help"])))
