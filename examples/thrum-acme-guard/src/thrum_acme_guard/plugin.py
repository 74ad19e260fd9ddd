"""What this plugin is; imports nothing but the surface for plugins."""

from __future__ import annotations

from thrum_kernel.api import API_LEVEL, PluginManifest

MANIFEST = PluginManifest(
    name="acme_guard",
    summary="Members of a team write to each other only",
    api=API_LEVEL,
    hooks="thrum_acme_guard.hooks",
    settings="thrum_acme_guard.settings:Settings",
    hints=("team",),
)
