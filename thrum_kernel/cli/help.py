"""Help texts: a command's own by Typer, in plain lines; a group's list of commands; the options of every command."""

from __future__ import annotations

import inspect
from typing import Any

from thrum_kernel.cli.command import Command, Group

GLOBAL_OPTIONS_HELP = """\
Global options:
  --json         Print exactly one JSON value
  --quiet        No hints
  --verbose      More detail
  --role TEXT    Role of the identity, instead of the file's
  --module TEXT  Module of the identity, instead of the file's
  -h, --help     Show help"""


def command_help(parser: Any, ctx: Any) -> str:
    """The help of one command."""
    return f"{parser.get_help(ctx).rstrip()}\n\n{GLOBAL_OPTIONS_HELP}"


def group_help(path: str, group: Group, *, own: str = "") -> str:
    """The commands below one word; before them *own*, the help of what the word does by itself."""
    usage = f"Usage: {path} COMMAND [ARGS]..."
    parts = [own.rstrip()] if own else []
    parts += [usage, f"  {group.help}"] if group.help else [usage]
    rows = [(name, summary(entry)) for name, entry in sorted(group.members.items()) if not entry.hidden]
    width = max((len(name) for name, _ in rows), default=0)
    parts.append("\n".join(["Commands:", *(f"  {name:<{width}}  {text}".rstrip() for name, text in rows)]))
    parts.append(GLOBAL_OPTIONS_HELP + ("" if group.name else "\n  -v, --version  Show the version"))
    parts.append(f'Use "{path} COMMAND --help" for more about a command.')
    return "\n\n".join(parts)


def summary(entry: Command | Group) -> str:
    """One line about a command or group; a group of a plugin that says nothing names its commands."""
    text = entry.help
    if not text and not isinstance(entry, Command):
        if entry.own is not None:
            return summary(entry.own)
        text = " | ".join(name for name, member in sorted(entry.members.items()) if not member.hidden)
    if not text and isinstance(entry, Command) and callable(entry.function):
        text = inspect.getdoc(entry.function) or ""
    return text.strip().partition("\n")[0].rstrip(".")
