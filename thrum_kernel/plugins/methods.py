"""``plugin.*``: what there is, and what can be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from thrum_kernel.api import Call, Method
from thrum_kernel.plugins.describing import PluginDetails, PluginRow


class NoParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""

    caller_agent_id: str = ""


class Named(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which plugin."""

    name: str
    caller_agent_id: str = ""


class Listed(msgspec.Struct, kw_only=True):
    """Every plugin by name."""

    plugins: list[PluginRow]


class Enabled(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A plugin after it was enabled or disabled; ``hooks`` are those that are called again."""

    plugin: PluginRow
    hooks: list[str] = []


class Rebuilt(msgspec.Struct, kw_only=True):
    """The tables of all plugins were filled anew from the log."""

    name: str
    tables: int


class Retried(msgspec.Struct, kw_only=True):
    """How many dead letters the plugin took, and how many are left."""

    name: str
    taken: int
    left: int


class Plugged(Protocol):
    """The daemon's plugins, as far as the methods use them."""

    def rows(self) -> list[PluginRow]: ...
    def details(self, name: str) -> PluginDetails: ...
    async def enable(self, name: str) -> tuple[PluginRow, list[str]]: ...
    async def disable(self, name: str) -> PluginRow: ...
    async def rebuild(self, name: str) -> int: ...
    async def retry(self, name: str) -> tuple[int, int]: ...


class PluginMethods:
    """The handlers."""

    def __init__(self, plugged: Plugged) -> None:
        self._plugged = plugged

    def methods(self) -> Sequence[Method]:
        """``plugin.list``, ``show``, ``enable``, ``disable``, ``rebuild``, ``retry``."""
        return (
            Method(
                name="plugin.list",
                params=NoParams,
                result=Listed,
                handler=self.list_all,
                summary="Every plugin with its state and what is wrong with it",
                anonymous=True,
                while_projecting=True,
            ),
            Method(
                name="plugin.show",
                params=Named,
                result=PluginDetails,
                handler=self.show,
                summary="One plugin with everything it adds, and its dead letters",
                anonymous=True,
            ),
            Method(
                name="plugin.enable",
                params=Named,
                result=Enabled,
                handler=self.enable,
                summary="Load a plugin, or call its switched off hooks again",
                mutates=True,
                transports=frozenset({"unix", "internal"}),
            ),
            Method(
                name="plugin.disable",
                params=Named,
                result=Enabled,
                handler=self.disable,
                summary="Take a plugin out, now and at later starts",
                mutates=True,
                transports=frozenset({"unix", "internal"}),
            ),
            Method(
                name="plugin.rebuild",
                params=Named,
                result=Rebuilt,
                handler=self.rebuild,
                summary="Fill a plugin's tables anew from the log",
                mutates=True,
                long_poll=True,
                transports=frozenset({"unix", "internal"}),
            ),
            Method(
                name="plugin.retry",
                params=Named,
                result=Retried,
                handler=self.retry,
                summary="Give a plugin its dead letters again",
                mutates=True,
                long_poll=True,
            ),
        )

    def list_all(self, call: Call, params: NoParams) -> Listed:
        return Listed(plugins=self._plugged.rows())

    def show(self, call: Call, params: Named) -> PluginDetails:
        """Raises NotFound: there is no such plugin."""
        return self._plugged.details(params.name)

    async def enable(self, call: Call, params: Named) -> Enabled:
        """Raises NotFound."""
        plugin, hooks = await self._plugged.enable(params.name)
        return Enabled(plugin=plugin, hooks=hooks)

    async def disable(self, call: Call, params: Named) -> Enabled:
        """Raises NotFound."""
        return Enabled(plugin=await self._plugged.disable(params.name))

    async def rebuild(self, call: Call, params: Named) -> Rebuilt:
        """Raises NotFound, Refused."""
        return Rebuilt(name=params.name, tables=await self._plugged.rebuild(params.name))

    async def retry(self, call: Call, params: Named) -> Retried:
        """Raises NotFound, Refused."""
        taken, left = await self._plugged.retry(params.name)
        return Retried(name=params.name, taken=taken, left=left)
