"""What this plugin is; imports nothing but the surface for plugins."""

from __future__ import annotations

from thrum_kernel.api import API_LEVEL, PluginCommand, PluginManifest

MANIFEST = PluginManifest(
    name="monitor",
    summary="Monitors: watch a command's output, and send what matches to the agent that can act",
    api=API_LEVEL,
    hooks="thrum_monitor.hooks",
    settings="thrum_monitor.settings:Settings",
    capabilities=frozenset({"files", "processes"}),
    tables=("monitors",),
    senders=("monitor:*",),
    no_reply=True,
    commands=(
        PluginCommand(
            words=("monitor", "start"),
            target="thrum_monitor.start_command:start",
            help="Start a command whose output is watched",
            local=True,
            aliases=("add",),
        ),
        PluginCommand(
            words=("monitor", "list"),
            target="thrum_monitor.commands:list_monitors",
            help="List the monitors that run",
            in_daemon=True,
        ),
        PluginCommand(
            words=("monitor", "show"),
            target="thrum_monitor.commands:show",
            help="Show a monitor, its state and its last lines of output",
            in_daemon=True,
        ),
        PluginCommand(
            words=("monitor", "stop"),
            target="thrum_monitor.commands:stop",
            help="End a monitor's command and keep the monitor",
            in_daemon=True,
        ),
        PluginCommand(
            words=("monitor", "restart"),
            target="thrum_monitor.commands:restart",
            help="Start a monitor's command anew",
            in_daemon=True,
        ),
        PluginCommand(
            words=("monitor", "logs"),
            target="thrum_monitor.commands:logs",
            help="Show the last output of a monitor, or what matched",
            in_daemon=True,
        ),
        PluginCommand(
            words=("monitor", "delete"),
            target="thrum_monitor.commands:delete",
            help="End a monitor and forget it",
            in_daemon=True,
        ),
    ),
)
