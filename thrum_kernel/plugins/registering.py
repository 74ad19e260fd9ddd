"""Where the things go that plugins add: the tables of a running daemon, or nowhere but the books.

Source: DESIGN.md D6.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from thrum_kernel.api import EventType, Method, Migration, PluginManifest, Projector, RuntimePreset
from thrum_kernel.errors import PluginError, ThrumError
from thrum_kernel.events import EventTypes
from thrum_kernel.plugins.hooks import Bound, told
from thrum_kernel.plugins.host import PluginHost
from thrum_kernel.plugins.loader import Undo
from thrum_kernel.plugins.projecting import PluginProjectors
from thrum_kernel.plugins.record import LoadFailed, Plugin
from thrum_kernel.plugins.tables import owner_of

_log = logging.getLogger(__name__)


class Methods(Protocol):
    """What of `bus.dispatch.Dispatcher` is needed."""

    @property
    def methods(self) -> Mapping[str, Method]: ...
    def add(self, method: Method) -> None: ...
    def remove(self, name: str) -> None: ...


class Commands(Protocol):
    """The command tree: adds a plugin's commands without importing them, and takes them back."""

    def add(self, manifest: PluginManifest, owner: str) -> Callable[[], None]: ...


def no_commands(manifest: PluginManifest, owner: str) -> Callable[[], None]:
    """Adds no commands: the tree of this process has them already."""
    return lambda: None


class Books:
    """`loader.Registry` of a process without daemon: everything is checked as the daemon would, nothing is served.

    Args:
        types: event types, the kernel's at first.
        rules: projectors by payload type, changed in place.
        add_commands: see `Commands.add`.
    """

    def __init__(
        self,
        host: PluginHost,
        *,
        types: EventTypes,
        rules: dict[type[Any], Callable[..., object]],
        add_commands: Callable[[PluginManifest, str], Callable[[], None]] = no_commands,
    ) -> None:
        self._host = host
        self.types = types
        self.projectors = PluginProjectors(rules, types, has_signals=lambda: host.watchdog.has_signals)
        self._add_commands = add_commands
        self._names: set[str] = set()

    def event_type(self, plugin: Plugin, event_type: EventType) -> Undo:
        if event_type.shard != "events":  # where a line lies must not depend on which plugins are there
            raise LoadFailed(f"event type {event_type.name}: shard must be events")
        try:
            self.types.add(event_type)
        except (ValueError, AttributeError) as error:
            raise LoadFailed(f"event type {event_type.name}: {error}") from error
        return lambda: self.types.remove(event_type.name)

    def projector(self, plugin: Plugin, manifest: PluginManifest, projector: Projector) -> Undo:
        return self.projectors.add(plugin, owner_of(manifest), projector)

    def method(self, plugin: Plugin, method: Method) -> Undo:
        if method.name in self._names:
            raise LoadFailed(f"method {method.name} is already registered")
        self._names.add(method.name)
        return lambda: self._names.discard(method.name)

    def preset(self, plugin: Plugin, preset: RuntimePreset) -> Undo:
        presets, names = self._host.presets, self._host.process_names
        if preset.name in presets:
            raise LoadFailed(f'runtime preset "{preset.name}" is already there')
        presets[preset.name] = preset
        new = [name for name in preset.processes if name not in names]
        names.update(dict.fromkeys(new, preset.name))

        def remove() -> None:
            del presets[preset.name]
            for name in new:
                del names[name]

        return remove

    def commands(self, plugin: Plugin, manifest: PluginManifest) -> Undo:
        try:
            return self._add_commands(manifest, plugin.label)
        except ThrumError as error:
            raise LoadFailed(str(error)) from error

    def hook(self, bound: Bound, scope: list[str]) -> Undo:
        undo = [self._host.hooks.add(bound)]
        if bound.hook == "thrum_guard":
            undo.append(self._host.guards.add(bound, scope))

        def remove() -> None:
            for take_back in undo:
                take_back()

        return remove

    async def migrate(self, steps: Sequence[Migration]) -> None:
        """Nothing: the daemon will."""


class DaemonRegistry(Books):
    """`loader.Registry` of the daemon.

    Args:
        methods: its dispatcher.
        migrate_local: brings ``local.db`` up to date; blocking.
        rungs: of the wake ladder; changed in place.
    """

    def __init__(
        self,
        host: PluginHost,
        *,
        types: EventTypes,
        rules: dict[type[Any], Callable[..., object]],
        add_commands: Callable[[PluginManifest, str], Callable[[], None]],
        methods: Methods,
        migrate_local: Callable[[Sequence[Migration]], object],
    ) -> None:
        super().__init__(host, types=types, rules=rules, add_commands=add_commands)
        self._methods = methods
        self._migrate_local = migrate_local

    def method(self, plugin: Plugin, method: Method) -> Undo:
        served = dataclasses.replace(method, handler=isolated_handler(self._host, plugin, method))
        try:
            self._methods.add(served)
        except (ValueError, TypeError, AttributeError) as error:
            raise LoadFailed(f"method {method.name}: {error}") from error
        return lambda: self._methods.remove(method.name)

    async def migrate(self, steps: Sequence[Migration]) -> None:
        if steps:
            await asyncio.to_thread(self._migrate_local, steps)


def isolated_handler(host: PluginHost, plugin: Plugin, method: Method) -> Callable[[Any, Any], Any]:
    """The handler of a plugin's method: what it raises unforeseen is logged once and told as the plugin's failure."""
    handler, name = method.handler, method.name

    def failed(error: BaseException) -> PluginError:
        text = told(error)
        plugin.troubles[name] = text
        _log.error("plugin %s: method %s failed: %s", plugin.label, name, text)
        return PluginError(plugin.label, f"{name}: {text}")

    if inspect.iscoroutinefunction(handler):

        async def answer(call: Any, params: Any) -> Any:
            try:
                return await host.watchdog.watched(plugin.label, name, handler(call, params))
            except ThrumError:
                raise
            except Exception as error:
                raise failed(error) from error

        return answer

    def answer_now(call: Any, params: Any) -> Any:
        try:
            with host.watchdog.step(plugin.label, name):
                return handler(call, params)
        except ThrumError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise failed(error) from error

    return answer_now
