"""The runtime Acme Coder, as data: this file and one entry point are the whole plugin."""

from __future__ import annotations

from collections.abc import Sequence

from thrum_kernel.api import API_LEVEL, KitFile, PluginContext, PluginManifest, RuntimePreset, hookimpl

MANIFEST = PluginManifest(
    name="acme_runtime",
    summary="The runtime Acme Coder",
    api=API_LEVEL,
    hooks="thrum_acme_runtime",
)

ACME = RuntimePreset(
    name="acme",
    display_name="Acme Coder",
    command="acme-coder --interactive",
    processes=("acme-coder",),
    hooks_supported=True,
    instructions_file="ACME.md",
    setup_notes="runs .acme/start.sh when a session starts",
    markers=(".acme/",),
    environment=("ACME_SESSION",),
    binaries=(("acme-coder", ("Acme Coder",)),),
    files=(
        KitFile(
            path=".acme/start.sh",
            content="#!/bin/sh\n# Written by thrum for {{.AgentName}} ({{.AgentRole}}).\nexec thrum prime\n",
            managed=True,
            executable=True,
        ),
    ),
)


@hookimpl
def thrum_runtime_presets(ctx: PluginContext) -> Sequence[RuntimePreset]:
    """The one preset."""
    return [ACME]
