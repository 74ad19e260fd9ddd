"""Plugins as ``plugin list``, ``plugin show`` and ``daemon status`` tell of them, with a daemon and without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from thrum_kernel.errors import FileDamaged
from thrum_kernel.plugins.cursors import DeadLetter
from thrum_kernel.plugins.host import PluginHost
from thrum_kernel.plugins.loader import Loaded
from thrum_kernel.plugins.record import Plugin
from thrum_kernel.settings.sections import plain


class PluginRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One plugin.

    ``state`` is active, failed, disabled, or the phase it has reached; ``phase`` where it failed; ``error`` why it is
    not active; ``troubles`` what is wrong with an active one, by hook, rule or service.
    """

    name: str
    distribution: str
    version: str = ""
    state: str
    phase: str = ""
    error: str = ""
    summary: str = ""
    capabilities: list[str] = []
    troubles: dict[str, str] = {}
    dead_letters: int = 0
    team: bool = False


class HookRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A hook that a plugin implements; ``off`` says why it is not called any more."""

    hook: str
    off: str = ""


class LetterRow(msgspec.Struct, kw_only=True):
    """An event that a plugin could not take."""

    event_id: str
    type: str
    error: str


class PluginDetails(PluginRow, kw_only=True, omit_defaults=True):
    """One plugin with everything it adds."""

    requires: list[str] = []
    hooks: list[HookRow] = []
    guards: list[str] = []
    methods: list[str] = []
    commands: list[str] = []
    events: list[str] = []
    senders: list[str] = []
    services: list[str] = []
    tables: list[str] = []
    settings: dict[str, Any] = {}
    letters: list[LetterRow] = []


def row(plugin: Plugin, troubles: dict[str, str] | None = None) -> PluginRow:
    """One plugin, with what is wrong with its services beside its own troubles."""
    return PluginRow(**_fields(plugin, troubles))


def details(
    host: PluginHost,
    plugin: Plugin,
    *,
    troubles: dict[str, str] | None = None,
    letters: Sequence[DeadLetter] = (),
) -> PluginDetails:
    """One plugin with everything it adds."""
    told = PluginDetails(**_fields(plugin, troubles))
    if plugin.manifest is not None:
        told.requires = list(plugin.manifest.requires)
        told.commands = [" ".join(command.words) for command in plugin.manifest.commands]
        told.senders = list(plugin.manifest.senders)
    loaded = host.loaded.get(plugin)
    if loaded is not None:
        bound = host.hooks.of_plugin(plugin)
        off = {entry.hook: entry.off for entry in bound}
        told.hooks = [HookRow(hook=name, off=off.get(name, "")) for name in loaded.hooks]
        told.guards = [scope for entry in bound for scope in host.guards.scope_of(entry)]
        told.methods = [method.name for method in loaded.added.get("thrum_methods", ())]
        told.events = [kind.name for kind in loaded.added.get("thrum_event_types", ())]
        told.services = [service.name for service in loaded.added.get("thrum_services", ())]
        told.tables = [_first_words(line) for line in loaded.tables.projected]
        told.tables += [_first_words(line) for step in loaded.tables.local for line in step.statements]
        told.settings = _settings(loaded)
    told.letters = [
        LetterRow(event_id=letter.event_id, type=letter.type, error=letter.error) for letter in letters
    ]
    return told


def _settings(loaded: Loaded) -> dict[str, Any]:
    """What holds for a plugin; nothing while that cannot be read, which its troubles tell."""
    try:
        settings = loaded.ctx.settings
    except FileDamaged:
        return {}
    found: dict[str, Any] = plain(settings) if settings is not None else {}
    return found


def _fields(plugin: Plugin, troubles: dict[str, str] | None) -> dict[str, Any]:
    manifest = plugin.manifest
    return {
        "name": plugin.name,
        "distribution": plugin.source.distribution,
        "version": plugin.source.version,
        "state": plugin.state,
        "phase": plugin.phase,
        "error": plugin.error,
        "summary": manifest.summary if manifest is not None else "",
        "capabilities": sorted(manifest.capabilities) if manifest is not None else [],
        "troubles": {**plugin.troubles, **(troubles or {})},
        "dead_letters": plugin.dead_letters,
        "team": plugin.source.path is not None,
    }


def _first_words(statement: str) -> str:
    return " ".join(statement.partition("(")[0].split())
