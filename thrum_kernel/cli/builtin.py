"""Commands that speak about the tree itself: help and completion."""

from __future__ import annotations

from typing import Annotated

import typer

from thrum_kernel.cli import completion
from thrum_kernel.cli.app import HelpWanted
from thrum_kernel.cli.command import Group, Run, command, run_of
from thrum_kernel.errors import ThrumError

Words = Annotated[list[str] | None, typer.Argument(metavar="[COMMAND]...")]


def register(root: Group) -> None:
    """Add ``help``, ``completion`` and what the shells' scripts ask."""
    command(root, "help", local=True, offline=True)(show_help)
    command(root, "completion", local=True, offline=True)(show_script)
    command(root, "__complete", offline=True, hidden=True)(complete)


def show_help(ctx: typer.Context, words: Words = None) -> None:
    """Help about any command."""
    tree = run_of(ctx).tree
    tree.find(words or ())  # what is not there has no help
    raise HelpWanted(tree.help_of(tree.find([*(words or ()), "--help"])))


def show_script(
    ctx: typer.Context, shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish|powershell")]
) -> None:
    """Print the completion script of a shell; its first lines say how to use it."""
    run_of(ctx).out.line(completion.script(shell).rstrip("\n"))


def complete(
    ctx: typer.Context,
    words: Words = None,
    is_next: Annotated[bool, typer.Option("--next", help="The last word is finished.")] = False,
) -> None:
    """Print the words that may come last, each with what it is for."""
    run = run_of(ctx)
    typed = [*(words or ()), *[""] * is_next]
    for word, text in completion.candidates(run.tree, typed, lambda: _agents(run)):
        run.out.line(f"{word}\t{text}" if text else word)


def _agents(run: Run) -> list[completion.Candidate]:
    try:
        agents = run.call("agent.list")["agents"]
    except ThrumError:  # there is nothing to complete with, and nobody to tell
        return []
    return [(f"@{agent['agent_id']}", str(agent.get("role", ""))) for agent in agents]
