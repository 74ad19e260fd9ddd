"""What this plugin is; imports nothing but the surface for plugins and tables of our commands."""

from __future__ import annotations

from thrum_kernel.api import API_LEVEL, PluginCommand, PluginManifest
from thrum_tmux.exec import command_table as exec_commands
from thrum_tmux.restart import command_table as restart_commands

MANIFEST = PluginManifest(
    name="tmux",
    summary="Agents in tmux: sessions, panes, waking, restart",
    api=API_LEVEL,
    hooks="thrum_tmux.hooks",
    settings="thrum_tmux.settings:Settings",
    sections=("restart", "nudge"),
    capabilities=frozenset({"files", "keystrokes", "processes"}),
    nouns=("restart",),
    commands=(
        *restart_commands.COMMANDS,
        *exec_commands.COMMANDS,
        PluginCommand(
            words=("tmux", "status"),
            target="thrum_tmux.commands:status",
            help="Show the sessions of this project's agents",
            in_daemon=True,
            aliases=("list",),
        ),
    ),
)
