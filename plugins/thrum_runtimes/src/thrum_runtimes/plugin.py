"""What this plugin is; imports nothing but the surface for plugins."""

from __future__ import annotations

from thrum_kernel.api import API_LEVEL, PluginCommand, PluginManifest

MANIFEST = PluginManifest(
    name="runtimes",
    summary="AI coding runtimes as data: detection, hook files, skills, transcripts, delivery evidence",
    api=API_LEVEL,
    hooks="thrum_runtimes.hooks",
    capabilities=frozenset({"files", "processes"}),
    nouns=("runtime",),
    methods=("runtime.*",),
    commands=(
        PluginCommand(
            words=("runtime", "list"),
            target="thrum_runtimes.commands:list_runtimes",
            help="List every runtime that thrum knows",
            offline=True,
        ),
        PluginCommand(
            words=("runtime", "show"),
            target="thrum_runtimes.commands:show_runtime",
            help="Show one runtime",
            offline=True,
        ),
        PluginCommand(
            words=("runtime", "set-default"),
            target="thrum_runtimes.commands:set_default",
            help="Choose the runtime that is taken where none is named",
            offline=True,
        ),
        PluginCommand(
            words=("runtime", "hook"),
            target="thrum_runtimes.hook_command:hook",
            help="What a runtime's hook script runs: tells of mail, and takes evidence",
            offline=True,
            in_daemon=True,
            hidden=True,
        ),
    ),
)
