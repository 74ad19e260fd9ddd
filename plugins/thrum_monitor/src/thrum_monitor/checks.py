"""What ``thrum doctor`` looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Any, Final

from thrum_kernel.api import Check, Finding, PluginContext
from thrum_kernel.client import SocketApi
from thrum_kernel.errors import ThrumError
from thrum_monitor.env_files import EnvFiles

SUBJECT: Final = "monitors"


def checks(ctx: PluginContext) -> Sequence[Check]:
    """All of them."""
    return (Check(subject=SUBJECT, look=look),)


def look(ctx: PluginContext) -> list[Finding]:
    """What is wrong, or one line that nothing is."""
    found = [*_readable(ctx)]
    try:
        monitors = _monitors(ctx)
    except ThrumError:
        return found or [Finding(SUBJECT, "ok", "the daemon does not run, so no monitor does")]
    found += [finding for monitor in monitors for finding in _of(monitor)]
    running = sum(monitor["status"] == "running" for monitor in monitors)
    return found or [Finding(SUBJECT, "ok", f"{running} running")]


def _readable(ctx: PluginContext) -> Iterator[Finding]:
    for path in EnvFiles(ctx.paths.durable).open_to_others():
        yield Finding(SUBJECT, "error", f"{path} can be read by others", f"chmod go-rwx {quote(str(path))}")


def _monitors(ctx: PluginContext) -> list[dict[str, Any]]:
    api = SocketApi(ctx.paths.thrum / "var" / "thrum.sock")
    try:
        found: list[dict[str, Any]] = api.call("monitor.list", include_all=True)
        return found
    finally:
        api.close()


def _of(monitor: dict[str, Any]) -> Iterator[Finding]:
    name = monitor["name"]
    if monitor["status"] == "dead":
        text = f"{name} is dead: {monitor.get('reason', '')}"
        yield Finding(SUBJECT, "error", text, f"thrum monitor restart {name}")
    if monitor.get("undelivered") and monitor.get("problem"):
        text = f"{monitor['undelivered']} alarms of {name} cannot be delivered: {monitor['problem']}"
        yield Finding(SUBJECT, "error", text, "thrum team --all")
    elif monitor.get("rerouted_to"):
        text = f"{name}: {monitor['target']} is gone, {monitor['rerouted_to']} gets its alarms"
        yield Finding(SUBJECT, "warning", text, f"thrum monitor show {name}")
