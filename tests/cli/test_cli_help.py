"""One line about each command and group in the help of the group above."""

from __future__ import annotations

import typer

from thrum_kernel.cli.command import Group, command, group
from thrum_kernel.cli.help import summary


def nothing(ctx: typer.Context) -> None:
    """Do nothing. At all."""


def test_a_group_without_a_line_of_its_own_tells_what_it_does_or_what_it_holds() -> None:
    root = Group("")
    holding = group(root, "snapshot")
    command(holding, "save")(nothing)
    command(holding, "check")(nothing)
    command(holding, "secret", hidden=True)(nothing)
    assert summary(holding) == "check | save"

    command(root, "snapshot")(nothing)
    assert summary(holding) == "Do nothing. At all"
    holding.help = "Snapshots."
    assert summary(holding) == "Snapshots"
