"""What this plugin is; imports nothing but the surface for plugins."""

from __future__ import annotations

from thrum_kernel.api import API_LEVEL, PluginCommand, PluginManifest

MANIFEST = PluginManifest(
    name="worktrees",
    summary="A git worktree for each agent: made, wired, listed, and taken away without losing work",
    api=API_LEVEL,
    hooks="thrum_worktrees.hooks",
    settings="thrum_worktrees.settings:Settings",
    capabilities=frozenset({"files", "processes"}),
    nouns=("worktree",),
    sections=("worktrees",),
    senders=("worktrees:teardown",),
    no_reply=True,
    commands=(
        PluginCommand(
            words=("worktree", "create"),
            target="thrum_worktrees.commands:create",
            help="Make a worktree, and let an agent move in",
            in_daemon=True,
            aliases=("setup",),
        ),
        PluginCommand(
            words=("worktree", "teardown"),
            target="thrum_worktrees.commands:teardown",
            help="Take a worktree away, with the agent in it; refused while work would be lost",
            in_daemon=True,
        ),
        PluginCommand(
            words=("worktree", "list"),
            target="thrum_worktrees.commands:list_worktrees",
            help="List the worktrees of this repository and who lives there",
            in_daemon=True,
        ),
    ),
)
