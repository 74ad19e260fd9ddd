"""What a plugin is, light enough to be read by every command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pluggy

from thrum_kernel.api.commands import PluginCommand

API_LEVEL: Final = 1
"""What a manifest asks for with ``api``; raised when this package changes incompatibly."""


hookimpl: Final = pluggy.HookimplMarker("thrum")
"""Marks a function of a plugin's hooks module as an implementation of the hook it is named after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginManifest:
    """What a plugin is, told by a module that imports nothing but this one.

    The entry point of group ``thrum.plugins`` names it: ``guards = "thrum_guards.plugin:MANIFEST"``.

    Attributes:
        name: ``[a-z][a-z0-9_]*``; the plugin's namespace: by default it may add methods ``<name>.*``, commands below
            the word *name*, a settings section *name*, tables ``<name>_*`` and events ``<name>.*``.
        summary: one line.
        api: the `API_LEVEL` it was written for.
        hooks: dotted path of the module with its hooks; empty when it only has commands.
        settings: ``module:Class`` of its settings, a pydantic model; empty when it has none. A field called like a
            name in *sections* is that section of config.json; the other fields are the keys of section *name*.
        requires: names of plugins that must be active before it.
        capabilities: what it does to the world beside answering: ``files``, ``processes``, ``network``,
            ``keystrokes``; shown to whoever enables it.
        commands: see `PluginCommand`.
        methods, nouns, sections, tables, senders, events: names claimed beyond the default namespace, exactly;
            *senders* and *methods* may end in ``*``.
        no_reply: nothing hears what is sent to its *senders*: whoever writes or replies to one is refused.
        overlay: name of a file in ``.thrum/var`` with values for this machine alone, which rank above config.json: keys
            of the first of *sections*, or of section *name*, with or without the section's name around them. One that
            cannot be understood is an error, never passed over.
        hints: the commands around which `thrum_hints` is asked, e.g. ``prime``; empty: every command, which costs each
            of them a little.
        history: its cursor over committed events starts at the beginning of the log, not at now.
    """

    name: str
    summary: str
    api: int
    hooks: str = ""
    settings: str = ""
    requires: tuple[str, ...] = ()
    capabilities: frozenset[str] = frozenset()
    commands: tuple[PluginCommand, ...] = ()
    methods: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    no_reply: bool = False
    overlay: str = ""
    hints: tuple[str, ...] = ()
    history: bool = False
