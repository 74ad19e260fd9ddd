"""What a plugin is given: `api.PluginContext` over the kernel's own doors, every use in the plugin's name."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from thrum_kernel.api import (
    Authority,
    Belonging,
    Caller,
    Clock,
    PluginContext,
    PluginManifest,
    PluginPaths,
    Process,
    RuntimePreset,
    WorktreeChange,
)
from thrum_kernel.errors import DaemonNotRunning, FileDamaged, Projecting, UsageError
from thrum_kernel.identity import probe
from thrum_kernel.paths import Paths
from thrum_kernel.plugins.bounded import in_time
from thrum_kernel.plugins.claims import covers, matches
from thrum_kernel.plugins.configuring import Configured, values
from thrum_kernel.plugins.confined import Owns, Reader, confined
from thrum_kernel.plugins.hooks import told
from thrum_kernel.plugins.record import Plugin
from thrum_kernel.plugins.tables import owner_of
from thrum_kernel.plugins.watchdog import Watchdog
from thrum_kernel.settings.document import SettingsFile

T = TypeVar("T")


class Kernel(Protocol):
    """What a context needs of a running daemon."""

    async def call(self, caller: Caller, method: str, params: dict[str, Any], request_id: str) -> Any: ...
    async def commit(self, event_type: str, fields: dict[str, Any]) -> str: ...
    async def announce(self, change: WorktreeChange) -> Sequence[str]: ...
    async def authorize(self, caller: Caller, thing: Belonging, *, force: bool) -> Authority: ...
    def publish(self, topic: str, payload: Any) -> int: ...
    def subscribe(self, topic: str, callback: Callable[[Any], None]) -> Callable[[], None]: ...
    async def write(self, fn: Callable[[sqlite3.Connection], Any]) -> Any: ...
    def reader(self, owns: Owns, *, local: bool) -> Reader: ...
    @property
    def projecting(self) -> int | None:
        """How much of the cache is there, percent; None when all of it."""
        ...


@dataclass(slots=True)
class Delivery:
    """An event on its way to a plugin: the first write of its handler moves the cursor along.

    Attributes:
        advance: does so, in the transaction it is given.
        is_done: it was moved.
    """

    advance: Callable[[sqlite3.Connection], None]
    done: Callable[[], None]
    is_done: bool = False


delivery: contextvars.ContextVar[Delivery | None] = contextvars.ContextVar("plugin_delivery", default=None)


@dataclass(slots=True)
class Belongings:
    """What a context holds open, given back when its plugin goes."""

    readers: dict[bool, Reader] = field(default_factory=dict)
    ends: list[Callable[[], None]] = field(default_factory=list)


class Context:
    """`api.PluginContext` of one plugin.

    Args:
        kernel: the running daemon; None where there is none (in process, while it is being loaded).
        never_stale: settings that cannot be used are an error at once, not what held before.
    """

    def __init__(
        self,
        plugin: Plugin,
        manifest: PluginManifest,
        *,
        settings: SettingsFile,
        configured: Configured,
        clock: Clock,
        paths: PluginPaths,
        watchdog: Watchdog,
        presets: Callable[[], Sequence[RuntimePreset]] = tuple,
        never_stale: bool = False,
    ) -> None:
        self._plugin = plugin
        self._manifest = manifest
        self._settings = settings
        self._configured = configured
        self._known: tuple[object, Any] = (None, None)
        self._clock = clock
        self._paths = paths
        self._watchdog = watchdog
        self._presets = presets
        self._never_stale = never_stale
        self._kernel: Kernel | None = None
        self._owns = owner_of(manifest)
        self._held = Belongings()
        self._shared: dict[Callable[[PluginContext], Any], Any] = {}
        self._log = logging.getLogger(f"thrum.plugins.{manifest.name}")

    # --- what there always is ----------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._manifest.name

    @property
    def settings(self) -> Any:
        try:
            document = self._settings.current()
            if self._known[0] is not document:
                self._known = (document, values(self._settings, self._configured, self.name))
        except FileDamaged as error:
            self._plugin.troubles["settings"] = str(error)
            if self._known[0] is None or self._never_stale:
                raise
            # What held before holds until it is mended.
            return self._known[1]
        self._plugin.troubles.pop("settings", None)
        return self._known[1]

    @property
    def log(self) -> logging.Logger:
        return self._log

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def paths(self) -> PluginPaths:
        return self._paths

    def presets(self) -> Sequence[RuntimePreset]:
        return self._presets()

    def process(self, pid: int) -> Process | None:
        return probe.process(pid)

    def shared(self, make: Callable[[PluginContext], T], /) -> T:
        if make not in self._shared:
            self._shared[make] = make(self)
        made: T = self._shared[make]
        return made

    async def in_thread(self, fn: Callable[..., Any], *args: Any) -> Any:
        # Not the loop's own pool: the kernel works there, and a plugin may hang.
        return await in_time(lambda: fn(*args), None, what=self.name)

    # --- the running daemon ------------------------------------------------------------------------------------------

    async def emit(self, event_type: str, /, **fields: Any) -> str:
        if not covers(self._manifest, "event", event_type):
            raise UsageError(f"plugin {self.name} cannot emit {event_type}: it is not one of its event types")
        return await self._there.commit(event_type, fields)

    async def send(
        self, content: str, *, to: str | Sequence[str], sender: str, request_id: str = "", **params: Any
    ) -> str:
        if not any(matches(claim, sender) for claim in self._manifest.senders):
            raise UsageError(
                f"plugin {self.name} cannot send as {sender}: its manifest does not claim that sender"
            )
        to = [to] if isinstance(to, str) else list(to)
        sent = await self._there.call(
            Caller(kind="kernel", agent_id=sender, source="kernel"),
            "message.send",
            {"content": content, "to": to, **params},
            f"{self.name}:{request_id}" if request_id else "",
        )
        return str(sent["message_id"])

    async def call(self, method: str, /, **params: Any) -> Any:
        if method == "message.send":
            raise UsageError("a plugin sends with ctx.send, under one of its senders")
        caller = Caller(kind="kernel", agent_id="daemon", source="kernel", reason=f"plugin {self.name}")
        return await self._there.call(caller, method, params, "")

    async def announce(self, change: WorktreeChange) -> Sequence[str]:
        return await self._there.announce(change)

    async def authorize(self, caller: Caller, thing: Belonging, *, force: bool = False) -> Authority:
        return await self._there.authorize(caller, thing, force=force)

    def publish(self, topic: str, payload: Any) -> int:
        return self._there.publish(f"{self.name}.{topic}", payload)

    def subscribe(self, topic: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        def heard(payload: Any) -> None:
            with self.isolated(f"subscriber of {topic}"):
                callback(payload)

        end = self._there.subscribe(topic, heard)
        self._held.ends.append(end)
        return end

    async def write(self, fn: Callable[[sqlite3.Connection], Any]) -> Any:
        under_way = delivery.get()
        if under_way is None or under_way.is_done:
            return await self._there.write(lambda db: confined(db, self._owns, fn))

        def write_and_advance(db: sqlite3.Connection) -> Any:
            result = confined(db, self._owns, fn)
            under_way.advance(db)
            return result

        result = await self._there.write(write_and_advance)
        under_way.is_done = True
        under_way.done()
        return result

    def read(self, sql: str, params: Sequence[Any] = (), *, local: bool = False) -> list[tuple[Any, ...]]:
        kernel = self._there
        if not local and kernel.projecting is not None:
            raise Projecting(kernel.projecting)
        reader = self._held.readers.get(local)
        if reader is None:
            reader = self._held.readers[local] = kernel.reader(self._owns, local=local)
        return reader.read(sql, params)

    # --- for the machinery -------------------------------------------------------------------------------------------

    def begin(self, kernel: Kernel) -> None:
        """From now on everything may be used."""
        self._kernel = kernel

    def forget_cache(self) -> None:
        """The cache is another file now."""
        if False in self._held.readers:
            self._held.readers[False].close()

    def end(self) -> None:
        """Give back what is held; from now on only what there always is may be used."""
        self._kernel = None
        while self._held.ends:
            self._held.ends.pop()()
        for reader in self._held.readers.values():
            reader.close()
        self._held.readers.clear()

    @contextlib.contextmanager
    def isolated(self, what: str) -> Iterator[None]:
        """Run code of the plugin on the loop: watched, and what it raises stops here, named."""
        try:
            with self._watchdog.step(self._plugin.label, what):
                yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - isolates plugins
            text = told(error)
            if self._plugin.troubles.get(what) != text:
                logging.getLogger(__name__).error("plugin %s: %s failed: %s", self._plugin.label, what, text)
            self._plugin.troubles[what] = text

    @property
    def _there(self) -> Kernel:
        if self._kernel is None:
            raise DaemonNotRunning
        return self._kernel


def plugin_paths(paths: Paths, name: str) -> PluginPaths:
    """The folders of one plugin."""
    state = paths.thrum / "var" / "plugins" / name
    return PluginPaths(
        worktree=paths.worktree,
        repo=paths.repo,
        thrum=paths.thrum,
        state=state,
        durable=paths.sync / "plugins" / name,
    )
