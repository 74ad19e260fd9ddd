"""What this plugin is; imports nothing but the surface for plugins."""

from __future__ import annotations

from thrum_kernel.api import API_LEVEL, PluginCommand, PluginManifest

MANIFEST = PluginManifest(
    name="tmux",
    summary="Agents in tmux: sessions, panes, waking, restart",
    api=API_LEVEL,
    hooks="thrum_tmux.hooks",
    settings="thrum_tmux.settings:Settings",
    sections=("restart", "nudge"),
    capabilities=frozenset({"files", "keystrokes", "processes"}),
    commands=(
        PluginCommand(
            words=("tmux", "status"),
            target="thrum_tmux.commands:status",
            help="Show the sessions of this project's agents",
            in_daemon=True,
            aliases=("list",),
        ),
    ),
)
