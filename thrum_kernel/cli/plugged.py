"""Commands of plugins in the tree: told by manifests, imported when they are first run.

The daemon's tree gets them as its plugins are loaded; a process of its own reads the manifests of what is installed
(`whole_tree`). Unless a plugin says that a command may run in the daemon, it runs in the caller's process.

Source: DESIGN.md D4, D6.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from thrum_kernel import paths
from thrum_kernel.api import InitOption, PluginCommand, PluginManifest
from thrum_kernel.cli.app import Tree, kernel_tree
from thrum_kernel.cli.command import Command, Group, group
from thrum_kernel.errors import PluginError, ThrumError, UsageError
from thrum_kernel.plugins import discovery, team
from thrum_kernel.plugins.catalogue import provider_of_command
from thrum_kernel.plugins.loader import in_order, light
from thrum_kernel.plugins.record import Plugin, Source

_log = logging.getLogger(__name__)


def add(root: Group, manifest: PluginManifest, owner: str) -> Callable[[], None]:
    """Put a plugin's commands into the tree; the result takes them out again.

    Raises:
        UsageError: a word is taken; nothing was added.
    """
    undo: list[Callable[[], None]] = []

    def remove() -> None:
        while undo:
            undo.pop()()

    try:
        for command in manifest.commands:
            _add_one(root, manifest, command, owner, undo)
    except UsageError:
        remove()
        raise
    return remove


def whole_tree(env: Mapping[str, str], cwd: Path, argv: Iterable[str] = ()) -> Tree:
    """The kernel's commands and those of every plugin that can be loaded for the project at *cwd*.

    What is wrong with a plugin is not told here: ``thrum plugin list`` does.
    """
    tree = kernel_tree()
    plugins = asyncio.run(light(_sources(env, cwd, list(argv)), _wishes(env, cwd, list(argv))))
    ordered, _ = in_order([plugin for plugin in plugins if plugin.state == "gated"])
    for plugin in ordered:
        assert plugin.manifest is not None
        try:
            add(tree.root, plugin.manifest, plugin.label)
        except UsageError as error:
            _log.debug("plugin %s: %s", plugin.label, error)
    _let_steps_add_options(tree, env, cwd, argv)
    tree.absent = lambda word: absent(plugins, word)
    return tree


def _let_steps_add_options(tree: Tree, env: Mapping[str, str], cwd: Path, argv: Iterable[str]) -> None:
    """Let ``init`` take what steps of plugins add; they are loaded when its words are first parsed."""
    init = tree.root.find("init")
    if isinstance(init, Command):
        init.more = lambda: _options_of_steps(env, cwd, list(argv))


def _options_of_steps(env: Mapping[str, str], cwd: Path, argv: list[str]) -> list[InitOption]:
    from thrum_kernel.plugins import in_process
    from thrum_kernel.settings.document import SettingsFile

    repo = argv[argv.index("--repo") + 1] if "--repo" in argv[:-1] else None
    try:
        where = paths.plan(cwd, repo=repo, env=env, without_git=True)
        with in_process.host(where, SettingsFile(where.config), env=env) as plugins:
            return [option for step in plugins.init_steps for option in step.options]
    except PluginError:
        raise
    except ThrumError:
        return []  # where nothing can be set up: `init` says why


def absent(plugins: Iterable[Plugin], word: str) -> str:
    """Why there is no command *word*: its plugin failed, is disabled or not installed; empty when nobody knows it."""
    for plugin in plugins:
        manifest = plugin.manifest
        nouns = {plugin.name, plugin.name.replace("_", "-"), *(manifest.nouns if manifest else ())}
        if word in {noun.partition(" ")[0] for noun in nouns}:
            is_off = plugin.state in ("failed", "disabled")
            return f"plugin {plugin.label} is {plugin.state}: {plugin.error}" if is_off else ""
    distribution = provider_of_command(word)
    return f"install {distribution} from where this thrum came from" if distribution else ""


def _add_one(
    root: Group, manifest: PluginManifest, command: PluginCommand, owner: str, undo: list[Callable[[], None]]
) -> None:
    parent = root
    for number, word in enumerate(command.words[:-1]):
        is_new = not isinstance(parent.members.get(word), Group)
        inner = group(parent, word, help=manifest.summary if number == 0 else "")
        if is_new:
            undo.append(_remover(parent, inner))
        parent = inner
    entry = Command(
        command.words[-1],
        command.target,
        help=command.help,
        local=command.local or not command.in_daemon,
        offline=command.offline,
        hidden=command.hidden,
        aliases=command.aliases,
        owner=owner,
    )
    parent.add(entry)
    undo.append(_remover(parent, entry))


def _remover(parent: Group, entry: Command | Group) -> Callable[[], None]:
    def remove() -> None:
        found = parent.members.get(entry.name)
        if found is entry and not (isinstance(entry, Group) and entry.members):
            parent.remove(entry.name)
            if isinstance(entry, Group) and entry.own is not None:
                parent.add(entry.own)  # a command that was there before words came below it
        elif isinstance(found, Group) and found.own is entry:
            found.own = None

    return remove


def _wishes(env: Mapping[str, str], cwd: Path, argv: list[str]) -> discovery.Wishes:
    return discovery.Wishes.of(env, _configured(env, cwd, argv)[0])


def _sources(env: Mapping[str, str], cwd: Path, argv: list[str]) -> list[Source]:
    return [*discovery.installed(), *_configured(env, cwd, argv)[1]]


def _configured(env: Mapping[str, str], cwd: Path, argv: list[str]) -> tuple[list[str], list[Source]]:
    """What the project's configuration disables and adds; nothing where there is no project."""
    from thrum_kernel.settings.document import SettingsFile

    repo = argv[argv.index("--repo") + 1] if "--repo" in argv[:-1] else None
    try:
        where = paths.find(cwd, repo=repo, env=env)
        plugins = SettingsFile(where.config).plugins
    except ThrumError:
        return [], []
    return plugins.disabled, team.sources(where.repo, team.Trust(where.sync), plugins.team)
