"""What this plugin is; imports nothing but the surface for plugins."""

from __future__ import annotations

from thrum_kernel.api import API_LEVEL, PluginCommand, PluginManifest

MANIFEST = PluginManifest(
    name="roles",
    summary="Role templates: what an agent does first, how it reports, what it does not touch",
    api=API_LEVEL,
    hooks="thrum_roles.hooks",
    settings="thrum_roles.settings:Settings",
    capabilities=frozenset({"files"}),
    hints=("prime",),
    sections=("role_config",),
    commands=(
        PluginCommand(
            words=("roles", "list"),
            target="thrum_roles.commands:list_roles",
            help="List the role templates of this repository and the agents they are for",
            offline=True,
            in_daemon=True,
        ),
        PluginCommand(
            words=("roles", "deploy"),
            target="thrum_roles.commands:deploy",
            help="Write the preambles of agents anew from their role templates",
            in_daemon=True,
        ),
        PluginCommand(
            words=("roles", "refresh"),
            target="thrum_roles.commands:refresh",
            help="Write the role templates anew from the saved answers",
            in_daemon=True,
        ),
        PluginCommand(
            words=("roles", "save-config"),
            target="thrum_roles.commands:save_config",
            help="Save the answers about roles that come as JSON on standard input",
            in_daemon=True,
        ),
        PluginCommand(
            words=("roles", "templates", "print"),
            target="thrum_roles.commands:print_template",
            help="Print a template that comes with thrum",
            offline=True,
            in_daemon=True,
        ),
    ),
)
