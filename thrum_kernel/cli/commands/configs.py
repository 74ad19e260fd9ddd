"""``config show|set`` and ``single-agent-mode``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from thrum_kernel.cli.command import Group, command, group, run_of
from thrum_kernel.cli.commands.view import show
from thrum_kernel.cli.render import text_of
from thrum_kernel.cli.texts.settings import config_lines
from thrum_kernel.errors import UsageError

_FILE = "config.json"
_MODE_KEY = "daemon.single_agent_mode"
_ON = ("true", "on", "1", "yes", "enabled")
_OFF = ("false", "off", "0", "no", "disabled")


def register(root: Group) -> None:
    """Add these commands."""
    configs = group(root, "config", help="The configuration in .thrum/config.json")
    command(configs, "show", offline=True)(show_config)
    command(configs, "set", offline=True)(set_config)
    command(root, "single-agent-mode", offline=True)(single_agent_mode)


def show_config(ctx: typer.Context) -> None:
    """Show what holds, and where each value comes from."""
    run = run_of(ctx)
    overriding = {name: value for name, value in run.inv.env.items() if name.startswith("THRUM_")}
    shown = run.call("config.show", **({"env": overriding} if overriding else {}))
    show(run, shown, config_lines(shown))


def set_config(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="For example worktrees.base_path.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="JSON, or plain text.")],
) -> None:
    """Change one value; it holds from the next command on."""
    run = run_of(ctx)
    if not all(key.split(".")):
        raise UsageError(f'invalid key "{key}"', hint="keys look like daemon.log_level")
    done = run.call("config.set", key=key, value=_value(value))
    lines = [_set_line(key, value, done)]
    if done.get("restart"):
        lines.append("  Takes effect after: thrum daemon restart")
    show(run, done, lines)


def single_agent_mode(
    ctx: typer.Context,
    wanted: Annotated[
        str | None, typer.Argument(metavar="[true|false|on|off]", help="Without it: show.")
    ] = None,
) -> None:
    """Show or switch single-agent mode: no messaging section in the briefing, hooks silent about mail."""
    run = run_of(ctx)
    if wanted is None:
        setting = run.call("config.show").get("daemon", {}).get("single_agent_mode", False)
        is_on = bool(setting.get("value") if isinstance(setting, dict) else setting)
    else:
        is_on = _switch(wanted)
        run.call("config.set", key=_MODE_KEY, value=is_on)
        run.call("config.set", key=f"{_MODE_KEY}_by_hand", value=is_on)
    state = "enabled" if is_on else "disabled (multi-agent)"
    show(run, {"single_agent_mode": is_on}, [f"single-agent mode: {state}"])


def _switch(word: str) -> bool:
    lowered = word.lower()
    if lowered in _ON:
        return True
    if lowered in _OFF:
        return False
    raise UsageError(f'invalid value "{word}": must be true, false, on or off')


def _set_line(key: str, value: str, done: dict[str, Any]) -> str:
    """What became of the value; one that is written may not be the one that holds."""
    source, holds = done.get("source", _FILE), _said(done.get("value", value))
    if source in (_FILE, "default"):
        return f"✓ {key} = {holds}"
    return f"✓ {key} is set in {_FILE}; {source} ranks above it: {holds}"


def _value(text: str) -> Any:
    """*text* as JSON where it is a number, a truth value, a list or an object; else the text itself."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if value is None else value


def _said(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else text_of(value)
