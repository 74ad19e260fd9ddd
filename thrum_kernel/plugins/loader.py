"""Brings one plugin from its entry point to work, phase by phase, or back to nothing.

Found → gated → imported → configured → registered → migrated → active. Whatever fails names the phase, and takes back
everything the plugin had registered, last first. Code of the plugin runs in a thread of its own with a time limit.

Source: DESIGN.md D6.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final, Protocol, TypeVar

from pydantic import BaseModel

from thrum_kernel.api import (
    Check,
    Clock,
    EventType,
    InitStep,
    Method,
    Migration,
    PluginManifest,
    PluginPaths,
    Projector,
    RuntimePreset,
    Service,
    Tables,
)
from thrum_kernel.errors import ThrumError
from thrum_kernel.plugins import manifest as manifests
from thrum_kernel.plugins.bounded import Contained, Overrun, in_time
from thrum_kernel.plugins.claims import Claims, covers
from thrum_kernel.plugins.configuring import (
    BadSettings,
    Configured,
    configured,
    register,
    settings_class,
    wrong,
)
from thrum_kernel.plugins.context import Context
from thrum_kernel.plugins.discovery import Wishes
from thrum_kernel.plugins.hooks import Bound, told
from thrum_kernel.plugins.hookspecs import HOOKS
from thrum_kernel.plugins.implementing import Implementation, check_scope, implementations
from thrum_kernel.plugins.record import LoadFailed, Plugin, Source, State
from thrum_kernel.plugins.tables import check_tables
from thrum_kernel.plugins.watchdog import Watchdog
from thrum_kernel.settings.document import SettingsFile

_log = logging.getLogger(__name__)

T = TypeVar("T")
Undo = Callable[[], object]

IMPORT_LIMIT_S: Final = 15.0
"""So long the import of a plugin's module may take."""

_GIVES: Final[Mapping[str, type[Any]]] = {
    "thrum_event_types": EventType,
    "thrum_projectors": Projector,
    "thrum_methods": Method,
    "thrum_services": Service,
    "thrum_runtime_presets": RuntimePreset,
    "thrum_init_steps": InitStep,
    "thrum_checks": Check,
    "thrum_guard_scope": str,
}
"""What the items of a hook that adds are; `thrum_migrations` gives one `Tables`."""


@dataclass(slots=True)
class Loaded:
    """What a plugin declared.

    Attributes:
        hooks: its implementations, by hook.
        added: what its hooks that add returned, by hook.
        tables: its tables.
    """

    manifest: PluginManifest
    ctx: Context
    hooks: dict[str, Implementation]
    added: dict[str, list[Any]] = field(default_factory=dict)
    tables: Tables = field(default_factory=Tables)


class Registry(Protocol):
    """Where what a plugin adds goes; each gives what takes it back and raises LoadFailed."""

    def event_type(self, plugin: Plugin, event_type: EventType) -> Undo: ...
    def projector(self, plugin: Plugin, manifest: PluginManifest, projector: Projector) -> Undo: ...
    def method(self, plugin: Plugin, method: Method) -> Undo: ...
    def preset(self, plugin: Plugin, preset: RuntimePreset) -> Undo: ...
    def commands(self, plugin: Plugin, manifest: PluginManifest) -> Undo: ...
    def hook(self, bound: Bound, scope: list[str]) -> Undo: ...
    async def migrate(self, steps: Sequence[Migration]) -> None: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What loading needs.

    Attributes:
        limit_s: how long a hook may take.
        paths_of: the folders of a plugin.
        presets: every runtime that is declared.
    """

    settings: SettingsFile
    clock: Clock
    claims: Claims
    registry: Registry
    watchdog: Watchdog
    wishes: Wishes
    limit_s: Callable[[], float]
    paths_of: Callable[[str], PluginPaths]
    presets: Callable[[], Sequence[RuntimePreset]]


class Loader:
    """Loads plugins, one after the other."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def gate(self, plugin: Plugin) -> None:
        """Read the manifest; afterwards the plugin is gated, disabled or failed."""
        await self._phase(plugin, "gated", lambda: gated(plugin, self._ground.wishes))

    def fail(self, plugin: Plugin, phase: State, why: str) -> None:
        """A plugin cannot be loaded: take back everything and say so, once."""
        unload(plugin)
        plugin.state, plugin.phase, plugin.error = "failed", phase, why
        _log.error("plugin %s failed (%s): %s", plugin.label, phase, why)

    async def load(self, plugin: Plugin) -> Loaded | None:
        """Bring a gated plugin as far as *migrated*; what it declared, or None when it failed."""
        manifest = plugin.manifest
        assert manifest is not None
        found: list[Any] = []

        async def imported() -> None:
            plugin.undo.append(self._ground.claims.claim(manifest, plugin.label))
            found.extend(await _contained("the import", lambda: _import(manifest), IMPORT_LIMIT_S))

        async def configure() -> None:
            module, model = found
            hooks = implementations(module) if module is not None else {}
            found.append(self._configure(plugin, manifest, model, hooks))

        async def declare() -> None:
            await self._declare(plugin, found[2])

        async def migrate() -> None:
            check_tables(manifest, found[2].tables)
            await self._ground.registry.migrate(found[2].tables.local)

        for phase, work in (
            ("imported", imported),
            ("configured", configure),
            ("registered", declare),
            ("migrated", migrate),
        ):
            if not await self._phase(plugin, phase, work):  # type: ignore[arg-type]
                return None
        loaded: Loaded = found[2]
        return loaded

    async def _phase(self, plugin: Plugin, phase: State, work: Callable[[], Awaitable[None]]) -> bool:
        try:
            await work()
        except LoadFailed as error:
            self.fail(plugin, phase, str(error))
            if isinstance(error, BadSettings):
                plugin.kept += error.undo
        except (ThrumError, ValueError) as error:
            hint = f" ({error.hint})" if isinstance(error, ThrumError) and error.hint else ""
            self.fail(plugin, phase, f"{error}{hint}")
        except Exception as error:  # noqa: BLE001 - isolates the daemon from a plugin
            self.fail(plugin, phase, told(error))
        else:
            if plugin.state != "disabled":
                plugin.state = phase
            return True
        return False

    def _configure(
        self,
        plugin: Plugin,
        manifest: PluginManifest,
        model: type[BaseModel] | None,
        hooks: dict[str, Implementation],
    ) -> Loaded:
        ground = self._ground
        sections = configured(manifest, model)
        guards = "thrum_guard" in hooks
        self._settle(plugin, sections, is_guard=guards)
        ctx = Context(
            plugin,
            manifest,
            settings=ground.settings,
            configured=sections,
            clock=ground.clock,
            paths=ground.paths_of(manifest.name),
            watchdog=ground.watchdog,
            presets=ground.presets,
            never_stale=guards,
        )
        plugin.undo.append(ctx.end)
        return Loaded(manifest, ctx, hooks)

    def _settle(self, plugin: Plugin, sections: Configured, *, is_guard: bool) -> None:
        """Register the sections of a plugin. Values that cannot be used fail it; a guard stays, to refuse what it judges
        rather than be gone.

        Raises:
            LoadFailed: a section belongs to somebody else.
            BadSettings: the values cannot be used.
        """
        undo = register(self._ground.settings, sections)
        why = wrong(self._ground.settings, sections)
        if why and not is_guard:
            raise BadSettings(f"{why} (mend it, then: thrum plugin enable {plugin.name})", undo)
        plugin.undo += undo
        if why:
            plugin.troubles["settings"] = why
            _log.error("plugin %s: %s; it denies what it judges", plugin.label, why)

    async def _declare(self, plugin: Plugin, loaded: Loaded) -> None:
        """Call every hook that adds and register what it gives, in the order of the hooks."""
        registry, manifest = self._ground.registry, loaded.manifest
        plugin.undo.append(registry.commands(plugin, manifest))
        for name, hook in HOOKS.items():
            if hook.colour != "adds" or name not in loaded.hooks:
                continue
            given = await self._ask(loaded, name)
            if name == "thrum_migrations":
                loaded.tables = given
                continue
            loaded.added[name] = given
            for item in given:
                self._register(plugin, manifest, name, item)
        scope = check_scope(loaded.added.get("thrum_guard_scope", []))
        for name, implementation in loaded.hooks.items():
            if HOOKS[name].colour == "decides":
                plugin.undo.append(registry.hook(Bound(plugin, loaded.ctx, implementation), scope))

    async def _ask(self, loaded: Loaded, name: str) -> Any:
        implementation = loaded.hooks[name]
        arguments = dict.fromkeys(implementation.arguments, loaded.ctx)
        given = await _contained(name, lambda: implementation.function(**arguments), self._ground.limit_s())
        if name == "thrum_migrations":
            if not isinstance(given, Tables):
                raise LoadFailed(f"{name} gave no Tables but {type(given).__name__}")
            return given
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise LoadFailed(f"{name} gave no sequence but {type(given).__name__}")
        for item in given:
            if not isinstance(item, _GIVES[name]):
                raise LoadFailed(f"{name} gave {type(item).__name__}, not {_GIVES[name].__name__}")
        return list(given)

    def _register(self, plugin: Plugin, manifest: PluginManifest, hook: str, item: Any) -> None:
        registry = self._ground.registry
        if hook == "thrum_event_types":
            _own(manifest, "event", item.name, "event type")
            plugin.undo.append(registry.event_type(plugin, item))
        elif hook == "thrum_projectors":
            plugin.undo.append(registry.projector(plugin, manifest, item))
        elif hook == "thrum_methods":
            _own(manifest, "method", item.name, "method")
            plugin.undo.append(registry.method(plugin, item))
        elif hook == "thrum_services" and not item.name.startswith(f"{manifest.name}."):
            raise LoadFailed(f'service {item.name} must be called "{manifest.name}.…"')
        elif hook == "thrum_runtime_presets":
            plugin.undo.append(registry.preset(plugin, item))


def unload(plugin: Plugin) -> None:
    """Take back everything that a plugin registered, last first; what cannot be is told."""
    while plugin.undo:
        undo = plugin.undo.pop()
        try:
            undo()
        except Exception as error:  # noqa: BLE001 - the rest is to be taken back, too
            _log.error("plugin %s: taking back failed: %s", plugin.label, told(error))


def in_order(plugins: Sequence[Plugin]) -> tuple[list[Plugin], dict[Plugin, str]]:
    """Gated plugins in the order to load them, required ones first, else by name; and why others cannot be."""
    by_name: dict[str, Plugin] = {}
    refused: dict[Plugin, str] = {}
    for plugin in sorted(plugins, key=lambda plugin: (plugin.name, plugin.source.distribution)):
        if plugin.name in by_name:
            refused[plugin] = (
                f'plugin "{plugin.name}" of {plugin.label} is already claimed by {by_name[plugin.name].label}'
            )
        else:
            by_name[plugin.name] = plugin
    ordered: list[Plugin] = []
    waiting = dict(by_name)
    while waiting:
        ready = [
            plugin for plugin in waiting.values() if not any(name in waiting for name in _requires(plugin))
        ]
        if not ready:
            refused.update({plugin: _cycle_told(plugin, waiting) for plugin in waiting.values()})
            break
        for plugin in ready:
            del waiting[plugin.name]
        ordered += ready
    return ordered, refused


def _requires(plugin: Plugin) -> tuple[str, ...]:
    return plugin.manifest.requires if plugin.manifest is not None else ()


def _cycle_told(plugin: Plugin, waiting: Mapping[str, Plugin]) -> str:
    path = [plugin.name]
    while True:
        following = next((name for name in _requires(waiting[path[-1]]) if name in waiting), None)
        if following is None or following in path:
            return f"plugins require each other: {' → '.join([*path, following or plugin.name])}"
        path.append(following)


def _import(manifest: PluginManifest) -> tuple[ModuleType | None, type[BaseModel] | None]:
    module = importlib.import_module(manifest.hooks) if manifest.hooks else None
    return module, settings_class(manifest)


async def _contained(what: str, work: Callable[[], T], limit_s: float) -> T:
    """Code of a plugin.

    Raises:
        LoadFailed: it failed in any way.
    """
    try:
        return await in_time(work, limit_s, what=what)
    except LoadFailed:
        raise
    except (Overrun, Contained) as error:
        raise LoadFailed(f"{what}: {error}") from error
    except Exception as error:
        raise LoadFailed(f"{what}: {told(error)}") from error


def _own(manifest: PluginManifest, kind: Any, name: str, what: str) -> None:
    if not covers(manifest, kind, name):
        raise LoadFailed(f'{what} {name} lies outside "{manifest.name}" and is not claimed in the manifest')


async def light(sources: Sequence[Source], wishes: Wishes) -> list[Plugin]:
    """Plugins as far as *gated*: their manifests, with nothing else of them imported; none is logged or raises."""
    plugins = [Plugin(source) for source in sources]
    for plugin in plugins:
        try:
            await gated(plugin, wishes)
        except LoadFailed as error:
            plugin.state, plugin.phase, plugin.error = "failed", "gated", str(error)
    return plugins


async def gated(plugin: Plugin, wishes: Wishes) -> None:
    """Read the manifest of a plugin unless it is disabled.

    Raises:
        LoadFailed: it is not good for this kernel.
    """
    source = plugin.source
    if not wishes.autoload:
        plugin.state, plugin.error = "disabled", "THRUM_PLUGINS_AUTOLOAD=0"
    elif source.name in wishes.disabled:
        plugin.state, plugin.error = "disabled", wishes.disabled[source.name]
    else:
        value = await _contained("its manifest", source.read, IMPORT_LIMIT_S)
        plugin.manifest = manifests.checked(value, name=source.name)
        manifests.gate(plugin.manifest)
        plugin.state = "gated"
