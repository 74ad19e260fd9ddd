"""``monitor start``: runs in the caller's own process, for only there is the PATH by which the program is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from thrum_kernel.api_commands import Pending, run_of, seconds
from thrum_kernel.errors import UsageError


def start(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- COMMAND [ARG]…",
            help="The program and its arguments; there is no shell.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="What it is called; its messages come from monitor:NAME.")
    ] = "",
    match: Annotated[
        str, typer.Option("--match", metavar="PATTERN", help="RE2 pattern, tried on each line.")
    ] = "",
    to: Annotated[str, typer.Option("--to", metavar="@AGENT", help="Who gets the lines that match.")] = "",
    cwd: Annotated[str, typer.Option("--cwd", metavar="PATH", help="Where it runs (default: here).")] = "",
    debounce: Annotated[
        str,
        typer.Option(
            "--debounce", metavar="DURATION", help="After a match, count further ones for so long (min 30s)."
        ),
    ] = "60s",
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            metavar="NAME[=VALUE]",
            help="A variable for it, never shown; without VALUE your own. Repeatable.",
        ),
    ] = None,
    schedule: Annotated[
        str,
        typer.Option("--schedule", metavar="CRON", help="Run it at these moments: five fields, local time."),
    ] = "",
    timeout: Annotated[
        str,
        typer.Option("--timeout", metavar="DURATION", help="How long a scheduled run may take (default 1h)."),
    ] = "",
) -> Pending:
    """Start a command, and send each line of its output that matches to an agent."""
    run = run_of(ctx)
    for flag, value in (("--name", name), ("--match", match), ("--to", to)):
        if not value:
            raise UsageError(f"{flag} is missing", hint="thrum monitor start --help")
    for word in (*(command or ()), name, match, to, cwd, schedule, *(env or ())):
        _check_text(word)
    params = {
        "name": name,
        "argv": list(command or ()),
        "match": match,
        "target": to,
        "cwd": str(run.inv.cwd / cwd),
        "env": _variables(env or (), run.inv.env),
        "debounce_seconds": seconds(debounce, flag="--debounce"),
        "schedule": schedule,
        "timeout_seconds": seconds(timeout, flag="--timeout") if timeout else 0,
        "path": run.inv.env.get("PATH", ""),
    }

    def finish(done: dict[str, Any]) -> None:
        run.out.json(done)
        run.out.line(f"Started monitor {done['id']}")

    return Pending("monitor.start", params, finish)


def _check_text(word: str) -> None:
    """Refuse what cannot be passed on, and kept, as text."""
    try:
        word.encode()
    except UnicodeEncodeError:
        shown = word.encode(errors="surrogateescape")
        raise UsageError(f"{shown!r} is no UTF-8", hint="put the command into a script") from None


def _variables(given: Sequence[str], own: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator and name not in own:
            raise UsageError(f"--env {name}: you have no such variable", hint="write it --env NAME=VALUE")
        found[name] = value if separator else own[name]
    return found
