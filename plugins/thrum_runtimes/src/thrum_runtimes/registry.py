"""Every runtime known here: those of plugins, this one's first, changed and joined by a person's own."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from thrum_kernel.api import KitFile, RuntimePreset
from thrum_kernel.errors import FileDamaged, NotFound
from thrum_runtimes import kit
from thrum_runtimes.presets import BUILT_IN
from thrum_runtimes.user_file import Custom, UserRuntimes, check_name

ALL = "all"
"""What stands for every runtime where files are written."""

Origin = Literal["built-in", "plugin", "custom"]


class PresetView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A runtime as JSON shows it."""

    name: str
    display_name: str
    command: str
    mcp_supported: bool
    hooks_supported: bool
    instructions_file: str
    mcp_config_path: str
    setup_notes: str
    has_session_start_hook: bool = False


class Runtimes:
    """The runtimes by name.

    Args:
        declared: what plugins declare.
        user: the person's own.

    Raises:
        FileDamaged: a runtime of theirs has no command.
    """

    def __init__(self, declared: Sequence[RuntimePreset], user: UserRuntimes) -> None:
        built_in = {preset.name for preset in BUILT_IN}
        self._origins: dict[str, Origin] = {
            preset.name: "built-in" if preset.name in built_in else "plugin" for preset in declared
        }
        self._presets = {preset.name: preset for preset in declared}
        for name, custom in sorted(user.custom.items()):
            self._presets[name] = _customised(self._presets.get(name), name, custom, user.path)
            self._origins[name] = "custom"
        self.default = user.default

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, in the order in which they are listed."""
        return tuple(self._presets)

    @property
    def presets(self) -> tuple[RuntimePreset, ...]:
        """Every runtime, in the same order."""
        return tuple(self._presets.values())

    def get(self, name: str) -> RuntimePreset:
        """The runtime called *name*.

        Raises:
            UsageError: that is no name at all.
            NotFound: nobody knows it; the hint names the nearest.
        """
        found = self._presets.get(check_name(name))
        if found is None:
            raise unknown(name, self.names)
        return found

    def origin(self, name: str) -> Origin:
        """Where a runtime comes from."""
        return self._origins[name]

    def chosen(self, name: str) -> tuple[RuntimePreset, ...]:
        """The runtimes that ``--runtime NAME`` means: one, or every one for ``all``.

        Raises:
            UsageError, NotFound: as `get`.
        """
        return self.presets if name == ALL else (self.get(name),)


def unknown(name: str, names: Sequence[str]) -> NotFound:
    """What to raise when none of *names* is *name*."""
    near = difflib.get_close_matches(name, names, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return NotFound("runtime", name, message=f'unknown runtime "{name}"', hint=hint)


def view(preset: RuntimePreset) -> PresetView:
    """*preset* as JSON shows it."""
    shown = {name: getattr(preset, name) for name in PresetView.__struct_fields__}
    return PresetView(**shown)


def files_of(preset: RuntimePreset) -> tuple[KitFile, ...]:
    """What a repository needs for *preset*; for one that says nothing the start-up script and, where it has one in
    the repository, its instructions file."""
    if preset.files:
        return preset.files
    own = preset.instructions_file
    return (kit.startup(), kit.instructions(own)) if own and _is_inside(own) else (kit.startup(),)


def _is_inside(path: str) -> bool:
    return not path.startswith(("/", "~")) and ".." not in path.split("/")


def _customised(known: RuntimePreset | None, name: str, custom: Custom, path: Path) -> RuntimePreset:
    given: dict[str, Any] = custom.given()
    if known is not None:
        return dataclasses.replace(known, **given)
    if not given.get("command"):
        raise FileDamaged(path, f"custom_runtimes.{name}: command is missing")
    return RuntimePreset(**{"name": name, "display_name": name, **given})
