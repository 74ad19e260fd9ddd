"""Whether a manifest is good: everything that is wrong with it, at once.

Source: DESIGN.md D6; spec/decisions.md "Plugins and names".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from thrum_kernel.api import API_LEVEL, PluginCommand, PluginManifest
from thrum_kernel.plugins.record import LoadFailed

CAPABILITIES: Final = frozenset({"files", "processes", "network", "keystrokes"})

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TARGET: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_WORD: Final = re.compile(r"[a-z][a-z0-9-]*")
_FILE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*\.json")
_TABLE: Final = re.compile(r"[a-z][a-z0-9_]*")
_METHOD: Final = re.compile(r"[a-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_-]*)*(\.\*)?")
_EVENT: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_SENDER: Final = re.compile(r"(system|supervisor_[a-z0-9_*-]+|[a-z][a-z0-9_-]*:(\*|[\w.*-]+))")
"""Senders that every clone projects, whether it has the plugin or not: see `projection.apply.is_sender`."""


def checked(value: Any, *, name: str) -> PluginManifest:
    """*value* as the manifest of the plugin that the entry point calls *name*.

    Raises:
        LoadFailed: it is none; names everything that is wrong.
    """
    if not isinstance(value, PluginManifest):
        raise LoadFailed(f"its entry point gives no PluginManifest but {type(value).__name__}")
    problems = list(mistakes(value))
    if value.name != name:
        problems.append(f'it is called "{value.name}", its entry point "{name}"')
    if problems:
        raise LoadFailed("bad manifest: " + "; ".join(problems))
    return value


def gate(manifest: PluginManifest) -> None:
    """Refuse a plugin written for another level of the api.

    Raises:
        LoadFailed: it is.
    """
    if manifest.api != API_LEVEL:
        newer = "upgrade thrum" if manifest.api > API_LEVEL else "it needs a version for this thrum"
        raise LoadFailed(f"it is written for api level {manifest.api}, this thrum has {API_LEVEL}: {newer}")


def mistakes(manifest: PluginManifest) -> Iterator[str]:
    """What is wrong with a manifest, a sentence each."""
    if not isinstance(manifest.api, int) or isinstance(manifest.api, bool):
        yield f"api {manifest.api!r} is no number"
    if not _fits(_NAME, manifest.name):
        yield f"name {manifest.name!r} must be lower-case letters, digits and _"
    if not isinstance(manifest.summary, str) or not manifest.summary.strip() or "\n" in manifest.summary:
        yield "summary must be one line"
    if manifest.hooks and not _fits(_DOTTED, manifest.hooks):
        yield f"hooks {manifest.hooks!r} is no dotted path"
    if manifest.settings and not _fits(_TARGET, manifest.settings):
        yield f"settings {manifest.settings!r} must be module:Class"
    if manifest.overlay and not _fits(_FILE, manifest.overlay):
        yield f"overlay {manifest.overlay!r} must be the name of a .json file"
    if manifest.overlay and not manifest.settings:
        yield "there is an overlay, but there are no settings"
    if not manifest.hooks and not manifest.commands:
        yield "it has neither hooks nor commands"
    unknown = sorted(set(manifest.capabilities) - CAPABILITIES)
    if unknown:
        yield f"unknown capabilities {', '.join(map(str, unknown))} (there are {', '.join(sorted(CAPABILITIES))})"
    yield from _names(manifest)
    for command in manifest.commands:
        yield from _command(manifest, command)


def owns_command(manifest: PluginManifest, words: tuple[str, ...]) -> bool:
    """Whether a command lies below the plugin's name, or below words that it claims."""
    claimed = {manifest.name, manifest.name.replace("_", "-"), *manifest.nouns}
    return any(" ".join(words[:number]) in claimed for number in range(1, len(words) + 1))


def _names(manifest: PluginManifest) -> Iterator[str]:
    claims: tuple[tuple[str, Any, re.Pattern[str]], ...] = (  # a plugin may give anything
        ("requires", manifest.requires, _NAME),
        ("methods", manifest.methods, _METHOD),
        ("sections", manifest.sections, _NAME),
        ("tables", manifest.tables, _TABLE),
        ("senders", manifest.senders, _SENDER),
        ("events", manifest.events, _EVENT),
    )
    for field, names, pattern in claims:
        if isinstance(names, str):
            yield f"{field} must be a tuple of names, not {names!r}"
            continue
        for name in names:
            if not _fits(pattern, name):
                yield f"{field}: {name!r} is no valid name"
    for noun in manifest.nouns:
        if not isinstance(noun, str) or not all(_fits(_WORD, word) for word in noun.split(" ")):
            yield f"nouns: {noun!r} is no valid name"


def _command(manifest: PluginManifest, command: Any) -> Iterator[str]:
    if not isinstance(command, PluginCommand):
        yield f"commands: {command!r} is no PluginCommand"
        return
    shown = " ".join(map(str, command.words)) or "(no words)"
    if not command.words or not all(_fits(_WORD, word) for word in (*command.words, *command.aliases)):
        yield f'command "{shown}": words are lower-case letters, digits and -'
    elif not owns_command(manifest, command.words):
        yield f'command "{shown}" lies neither below "{manifest.name}" nor below a claimed noun'
    if not _fits(_TARGET, command.target):
        yield f'command "{shown}": target {command.target!r} must be module:function'
    if not command.help.strip():
        yield f'command "{shown}" has no help'
    if command.in_daemon and command.local:
        yield f'command "{shown}" cannot be in_daemon and also local'


def _fits(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
