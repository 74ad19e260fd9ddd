"""``runtime list | show | set-default``: they need no daemon, and ask one that runs, for it has every plugin loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from thrum_kernel.api_commands import Run, presets, run_of
from thrum_kernel.errors import (
    DaemonError,
    MethodNotFound,
    NotInitialized,
    Refused,
    RemoteError,
)
from thrum_runtimes.registry import Runtimes, unknown, view
from thrum_runtimes.user_file import UserFile, check_name

_GROUPS = {"built-in": "Built-in runtimes", "plugin": "Runtimes of plugins", "custom": "Custom runtimes"}
_METHOD_NOT_FOUND = -32601


def list_runtimes(ctx: typer.Context) -> None:
    """List every runtime that thrum knows."""
    run = run_of(ctx)
    found = _listed(run)
    origins, default = found["origins"], found.get("default_runtime", "")
    run.out.json({key: found[key] for key in ("presets", "default_runtime") if key in found})
    for origin, heading in _GROUPS.items():
        group = [preset for preset in found["presets"] if origins[preset["name"]] == origin]
        if group:
            run.out.line(f"{heading}:")
        for preset in group:
            mark = "  (default)" if preset["name"] == default else ""
            run.out.line(f"  {preset['name']:<12} {preset['display_name']:<28} {_tags(preset)}{mark}")


def show_runtime(
    ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", help="For example claude.")]
) -> None:
    """Show one runtime."""
    run = run_of(ctx)
    found = _preset(run, name)
    run.out.json(found)
    run.out.line(f"{found['display_name']} ({found['name']})")
    facts = {
        "Command": found["command"],
        "Can do": _tags(found),
        "Instructions": found["instructions_file"],
        "MCP": found["mcp_config_path"],
        "Note": found["setup_notes"],
    }
    for label, value in facts.items():
        if value:
            run.out.line(f"  {label + ':':<14} {value}")
    run.out.line(f"  Files: thrum init --runtime {found['name']}")


def set_default(
    ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", help="For example codex.")]
) -> None:
    """Choose the runtime that is taken where none is named; noted in ~/.thrum/runtimes.json."""
    run = run_of(ctx)
    _preset(run, name)
    file = UserFile(_home(run))
    file.set_default(name)
    run.out.json({"default_runtime": name, "file": str(file.path)})
    run.out.line(f"✓ Default runtime: {name}")


def _preset(run: Run, name: str) -> dict[str, Any]:
    check_name(name)
    listed = _listed(run)["presets"]
    found = next((each for each in listed if each["name"] == name), None)
    if found is None:
        raise unknown(name, [each["name"] for each in listed])
    return dict(found)


def _listed(run: Run) -> dict[str, Any]:
    """The daemon's list; without one, or outside any repository, what is known here."""
    try:
        found: dict[str, Any] = run.call("runtime.list")
    except (DaemonError, MethodNotFound, NotInitialized):
        return _listed_here(run)
    except RemoteError as error:
        if error.rpc_code != _METHOD_NOT_FOUND:
            raise
        return _listed_here(run)
    return found


def _listed_here(run: Run) -> dict[str, Any]:
    runtimes = Runtimes(presets(run), UserFile(_home(run)).read())
    found: dict[str, Any] = {
        "presets": [msgspec.to_builtins(view(preset)) for preset in runtimes.presets],
        "origins": {name: runtimes.origin(name) for name in runtimes.names},
    }
    return found | ({"default_runtime": runtimes.default} if runtimes.default else {})


def _home(run: Run) -> Path:
    home = run.inv.env.get("HOME", "")
    if not home:
        raise Refused("HOME is not set", hint="your own runtimes are kept in ~/.thrum/runtimes.json")
    return Path(home)


def _tags(preset: dict[str, Any]) -> str:
    """What a runtime can do, as people read it."""
    tags = [
        label
        for key, label in (("mcp_supported", "MCP ✓"), ("hooks_supported", "Hooks ✓"))
        if preset.get(key)
    ]
    return " ".join(tags) or "CLI-only"
