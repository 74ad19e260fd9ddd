"""A plugin's settings as sections of config.json, by the door that the kernel's own sections take.

The fields of its settings class that are called like a section the manifest claims are those sections; the others are
the keys of the section called like the plugin.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from thrum_kernel.api import PluginManifest
from thrum_kernel.errors import FileDamaged, UsageError
from thrum_kernel.plugins.record import LoadFailed
from thrum_kernel.settings.document import SettingsFile
from thrum_kernel.settings.sections import UNKNOWN, Section, mistakes


@dataclass(frozen=True, slots=True)
class Configured:
    """The sections of one plugin.

    Attributes:
        model: its settings class; None when it has no settings.
        sections: what it registers.
        claimed: which of them are fields of the class.
    """

    model: type[BaseModel] | None
    sections: tuple[Section, ...] = ()
    claimed: frozenset[str] = frozenset()


def settings_class(manifest: PluginManifest) -> type[BaseModel] | None:
    """The class that the manifest names; imports its module.

    Raises:
        LoadFailed: it is no pydantic model.
    """
    if not manifest.settings:
        return None
    module, _, name = manifest.settings.partition(":")
    found = getattr(importlib.import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise LoadFailed(f"settings {manifest.settings} is no pydantic model")
    return found


def configured(manifest: PluginManifest, model: type[BaseModel] | None) -> Configured:
    """The sections that a plugin's settings make.

    Raises:
        LoadFailed: a claimed section is no field of it, a field has no default, or what is overlaid has no keys.
    """
    if model is None:
        if manifest.sections:
            raise LoadFailed(
                f"sections {', '.join(manifest.sections)} are claimed, but there are no settings"
            )
        return Configured(None)
    fields = model.model_fields
    missing = [name for name in manifest.sections if name not in fields]
    if missing:
        raise LoadFailed(f"claimed section {missing[0]} is no field of {manifest.settings}")
    try:
        defaults = model()
    except ValidationError as error:
        raise LoadFailed(f"every setting needs a default: {' '.join(str(error).split())}") from error
    sections = [
        _section(manifest, name, fields[name].annotation, getattr(defaults, name))
        for name in manifest.sections
    ]
    rest: dict[str, Any] = {
        name: (info.annotation, info) for name, info in fields.items() if name not in manifest.sections
    }
    if rest:
        sections.append(_section(manifest, manifest.name, _own(model, rest, bool(manifest.sections)), None))
    if manifest.overlay:
        if not sections[0].is_object:
            raise LoadFailed(f"section {sections[0].name} has no keys: {manifest.overlay} cannot overlay it")
        sections[0] = dataclasses.replace(sections[0], overlay=manifest.overlay)
    return Configured(model, tuple(sections), frozenset(manifest.sections))


class BadSettings(LoadFailed):
    """What is written for a plugin cannot be used.

    Attributes:
        undo: takes its sections back: they stay registered meanwhile, so that each mistake is shown with its key and
            can be mended with ``config set``.
    """

    def __init__(self, text: str, undo: list[Callable[[], None]]) -> None:
        super().__init__(text)
        self.undo = undo


def register(settings: SettingsFile, found: Configured) -> list[Callable[[], None]]:
    """Put the sections into the registry; gives what takes them back.

    Raises:
        LoadFailed: one belongs to somebody else.
    """
    undo: list[Callable[[], None]] = []
    try:
        for section in found.sections:
            before = settings.sections.get(section.name)
            settings.register_section(section)
            undo.append(_undo(settings, section, before))
    except UsageError as error:
        _take_back(undo)
        raise LoadFailed(str(error)) from error
    return undo


def wrong(settings: SettingsFile, found: Configured) -> str:
    """What keeps the values of these sections from being used, with files and keys; empty when nothing does."""
    try:
        document = settings.current()
    except FileDamaged as error:
        return str(error)
    overlays = [str(document.damaged[each.name]) for each in found.sections if each.name in document.damaged]
    keys = [
        f"{key}: {text}"
        for section in found.sections
        if section.name in document.raw
        for key, text in mistakes(section, document.raw[section.name])
        if text != UNKNOWN
    ]
    in_file = [f"bad settings in config.json: {'; '.join(keys)}"] if keys else []
    return "; ".join([*in_file, *overlays])


def values(settings: SettingsFile, found: Configured, name: str) -> Any:
    """A plugin's settings as they are now.

    Raises:
        FileDamaged: what is written cannot be used; names the file, and every key that is wrong.
    """
    if found.model is None:
        return None
    document = settings.current()
    given: dict[str, Any] = {}
    for section in found.sections:
        value = document.get(section.name).value
        given.update({section.name: value} if section.name in found.claimed else value)
    return found.model.model_validate(given)


def _section(manifest: PluginManifest, name: str, annotation: Any, default: Any) -> Section:
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    model = _open(annotation) if is_model else annotation
    return Section(name=name, model=model, default=default, owner=manifest.name)


def _open(model: type[BaseModel]) -> type[BaseModel]:
    """The same model, telling keys it does not know instead of dropping or refusing them."""
    return type(
        model.__name__, (model,), {"model_config": ConfigDict(extra="allow"), "__doc__": model.__doc__}
    )


def _own(model: type[BaseModel], rest: dict[str, Any], is_part: bool) -> type[BaseModel]:
    if not is_part:
        return model
    made: type[BaseModel] = create_model(model.__name__, **rest)
    made.__doc__ = model.__doc__
    return made


def _undo(settings: SettingsFile, section: Section, before: Section | None) -> Callable[[], None]:
    def take_back() -> None:
        settings.remove_section(section.name, owner=section.owner)
        if before is not None:
            settings.register_section(before)

    return take_back


def _take_back(undo: list[Callable[[], None]]) -> None:
    while undo:
        undo.pop()()
