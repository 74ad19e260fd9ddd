"""What this plugin is; imports nothing but the surface for plugins."""

from __future__ import annotations

from thrum_kernel.api import API_LEVEL, PluginManifest

MANIFEST = PluginManifest(
    name="guards",
    summary="Identity guards: eight checkpoints, each strict, warn or off",
    api=API_LEVEL,
    hooks="thrum_guards.hooks",
    settings="thrum_guards.settings:Settings",
    sections=("identity_guard",),
    overlay="guard-daemon.json",
)
