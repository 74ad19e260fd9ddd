"""What this plugin is; imports nothing but the surface for plugins and tables of our commands."""

from __future__ import annotations

from typing import Final

from thrum_kernel.api import API_LEVEL, PluginCommand, PluginManifest
from thrum_tmux.exec import command_table as exec_commands
from thrum_tmux.restart import command_table as restart_commands

_COMMANDS: Final = "thrum_tmux.commands"
_LOCAL: Final = "thrum_tmux.local_commands"

MANIFEST = PluginManifest(
    name="tmux",
    summary="Agents in tmux: sessions, panes, waking, restart",
    api=API_LEVEL,
    hooks="thrum_tmux.hooks",
    settings="thrum_tmux.settings:Settings",
    sections=("restart", "nudge"),
    senders=("system", "tmux:sessions", "tmux:wake"),
    capabilities=frozenset({"files", "keystrokes", "processes"}),
    nouns=("restart",),
    hints=("tmux create", "tmux quickstart"),
    commands=(
        *restart_commands.COMMANDS,
        *exec_commands.COMMANDS,
        PluginCommand(
            words=("tmux", "create"),
            target=f"{_COMMANDS}:create",
            help="Make a session for an agent of a worktree, and register the agent from inside it",
            in_daemon=True,
            aliases=("quickstart",),
        ),
        PluginCommand(
            words=("tmux", "start"),
            target=f"{_LOCAL}:start",
            help="Make a session for the agent of this worktree, start its runtime, and attach to it",
            local=True,
        ),
        PluginCommand(
            words=("tmux", "launch"),
            target=f"{_COMMANDS}:launch",
            help="Start a runtime in a session",
            in_daemon=True,
        ),
        PluginCommand(
            words=("tmux", "connect"),
            target=f"{_LOCAL}:connect",
            help="Attach this terminal to a session",
            local=True,
        ),
        PluginCommand(
            words=("tmux", "status"),
            target=f"{_COMMANDS}:status",
            help="Show the sessions of this project's agents",
            in_daemon=True,
            aliases=("list",),
        ),
        PluginCommand(
            words=("tmux", "kill"),
            target=f"{_COMMANDS}:kill",
            help="End a session and what runs in it; its agent stays registered",
            in_daemon=True,
        ),
        PluginCommand(
            words=("tmux", "send"),
            target=f"{_COMMANDS}:send",
            help="Type a text and Enter into a session",
            in_daemon=True,
        ),
        PluginCommand(
            words=("tmux", "capture"),
            target=f"{_COMMANDS}:capture",
            help="Print what a session's pane shows",
            in_daemon=True,
        ),
        PluginCommand(
            words=("tmux", "check-pane"),
            target=f"{_COMMANDS}:check_pane",
            help="Look at a session's pane and act on what it shows",
            in_daemon=True,
            hidden=True,
        ),
    ),
)
