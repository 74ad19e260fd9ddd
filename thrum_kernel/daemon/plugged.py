"""Plugins in the daemon: loaded before the cache is opened, at work once it is in step with the log, let go at its end.

Composed of what `plugins` gives; this file knows the rooms that plugins' things go to.

Source: DESIGN.md D6.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from thrum_kernel.api import (
    KERNEL_CALLER,
    AgentInfo,
    Authority,
    Belonging,
    Call,
    Caller,
    CallerFacts,
    Evidence,
    GuardedCall,
    IdentityFacts,
    Service,
    Wake,
    WorktreeChange,
)
from thrum_kernel.bus.call import under_way
from thrum_kernel.bus.dispatch import Dispatcher
from thrum_kernel.bus.standing import AmbiguousHere
from thrum_kernel.bus.topics import Topics
from thrum_kernel.cli import plugged as commands
from thrum_kernel.cli.app import Tree
from thrum_kernel.cli.command import Command
from thrum_kernel.clock import Clock
from thrum_kernel.commit import Committer
from thrum_kernel.daemon.kernel_door import KernelDoor
from thrum_kernel.daemon.opened import Opened
from thrum_kernel.daemon.projecting import ProjectionKeeper
from thrum_kernel.errors import IdentityAmbiguous, NotFound, PluginError, Refused
from thrum_kernel.events import Event, EventTypes
from thrum_kernel.plugins.claims import KERNEL
from thrum_kernel.plugins.context import Kernel
from thrum_kernel.plugins.cursors import Cursor, Ranges, dead_letters
from thrum_kernel.plugins.describing import PluginDetails, PluginRow, details, row
from thrum_kernel.plugins.feed import Feed, Log
from thrum_kernel.plugins.guarding import fired
from thrum_kernel.plugins.hooks import Bound, HookFailed
from thrum_kernel.plugins.host import PluginHost
from thrum_kernel.plugins.loader import Registry
from thrum_kernel.plugins.record import Plugin
from thrum_kernel.plugins.registering import DaemonRegistry
from thrum_kernel.plugins.supervisor import Supervisor
from thrum_kernel.projection import queries, schema
from thrum_kernel.projection.apply import Projector
from thrum_kernel.projection.db import Cache
from thrum_kernel.projection.spans import Spans
from thrum_kernel.projection.tables import LogLine
from thrum_kernel.projection.views import VIEWS
from thrum_kernel.store import ranges

_log = logging.getLogger(__name__)

WAKE_S = 600.0
"""So long a rung of the wake ladder may take that answered with a coroutine."""

DEGRADED = "plugin.degraded"
"""Topic: ``{plugin, distribution, hook, error}`` when a hook is switched off."""


class Plugged:
    """The plugins of one daemon.

    Args:
        rungs: of the wake ladder; changed in place.
        senders: reserved for the kernel.
    """

    def __init__(
        self,
        *,
        opened: Opened,
        clock: Clock,
        env: Mapping[str, str],
        types: EventTypes,
        message_types: frozenset[str],
        projector: Projector,
        cache: Cache,
        keeper: ProjectionKeeper,
        committer: Committer,
        dispatcher: Dispatcher,
        topics: Topics,
        supervisor: Supervisor,
        authorize: Callable[[Caller, Belonging, bool], Authority],
    ) -> None:
        self._opened = opened
        self._clock = clock
        self._types = types
        self._message_types = message_types
        self._cache = cache
        self._keeper = keeper
        self._committer = committer
        self._dispatcher = dispatcher
        self._topics = topics
        self._supervisor = supervisor
        self._tree: Tree | None = None
        self._rungs: list[Callable[[Wake], Awaitable[Evidence | None]]] = []
        self._feeds: dict[Plugin, Feed] = {}
        self._changing = asyncio.Lock()
        self._kernel: Kernel = KernelDoor(
            opened, committer, dispatcher, topics, keeper, types, self._tell_local, self._announce, authorize
        )
        self._ended = contextlib.ExitStack()
        self._registry: DaemonRegistry | None = None

        def make(host: PluginHost) -> Registry:
            self._registry = DaemonRegistry(
                host,
                types=types,
                rules=projector.projectors,
                add_commands=self._add_commands,
                methods=dispatcher,
                migrate_local=opened.local.migrate,
            )
            return self._registry

        self.host = PluginHost(
            settings=opened.settings,
            paths=opened.paths,
            clock=clock,
            env=env,
            make_registry=make,
            degraded=self._degraded,
            blocked=self._note_blocker,
        )
        keeper.rebuilt.append(self._cache_is_new)

    # --- life --------------------------------------------------------------------------------------------------------

    async def load(self, tree: Tree) -> None:
        """Load every plugin, and open the cache with their tables.

        Raises:
            PluginError: one failed and ``THRUM_PLUGINS_STRICT`` is set.
            OSError, sqlite3.Error: the cache cannot be opened.
        """
        self._tree = tree
        tree.absent = lambda word: commands.absent(self.host.plugins, word)
        tree.broken = self._command_broken
        self._reserve(tree)
        await self.host.load()
        self._follow_tables()
        self._cache.open(self.host.projected_tables)

    async def begin(self, rungs: list[Callable[[Wake], Awaitable[Evidence | None]]]) -> None:
        """Put them to work: everything they may touch is there."""
        self._rungs = rungs
        self._note_blocker("")  # one that was killed may have left its note
        self.host.watchdog.has_signals = True
        self._ended.callback(self.host.watchdog.interrupting())
        if self.host.loaded:
            self._ended.callback(self.host.watchdog.watch_tasks(asyncio.get_running_loop()))
        await asyncio.gather(*(self._begin(plugin) for plugin in list(self.host.loaded)))

    async def stop(self) -> None:
        """End their feeds; services end with the supervisor."""
        for plugin in list(self._feeds):
            await self._supervisor.stop(_feed_name(plugin))
        self._feeds.clear()
        self._committer.hearers.clear()

    def close(self) -> None:
        """Let go of all of them."""
        self._ended.close()
        self.host.close()

    @property
    def is_entangled(self) -> bool:
        """Whether work of a plugin goes on that cannot be ended: the process must not wait for it."""
        return bool(self._supervisor.left_behind) or any(
            task.get_name().partition(" ")[0] in {plugin.name for plugin in self.host.plugins}
            for task in asyncio.all_tasks()
            if not task.done()
        )

    # --- what the rooms ask ------------------------------------------------------------------------------------------

    async def identify(self, call: Call, error: IdentityAmbiguous) -> Caller | None:
        """`Dispatcher`'s question about a caller that several identities fit."""
        if not self.host.implements("thrum_identify"):
            return None
        known = error.caller if isinstance(error, AmbiguousHere) else Caller(kind="anonymous")
        facts = CallerFacts(call.method, error.candidates, known.pid, known.cwd)
        found = await self.host.identify(facts)
        if found is None:
            return None
        return replace(known, kind="agent", agent_id=found.agent_id, source="worktree", reason="")

    async def agent_facts(self, agent: AgentInfo) -> Mapping[str, Any]:
        """What plugins know of an agent."""
        return await self.host.agent_facts(agent)

    async def judge_identity(self, worktree: Path, facts: IdentityFacts) -> None:
        """Whether an identity file may be written; a warning goes to the call that wants it written.

        Raises:
            GuardFired: it may not.
        """
        verdict = await self.host.judge(
            GuardedCall(
                kind="identity",
                name=facts.name,
                caller=KERNEL_CALLER,
                params={"worktree": str(worktree)},
                identities=(facts,),
            )
        )
        call = under_way.get()
        if call is not None and verdict is not None and verdict.outcome == "warn":
            call.warnings.append(str(fired(verdict)))

    # --- for `plugin.*` ----------------------------------------------------------------------------------------------

    def rows(self) -> list[PluginRow]:
        """Every plugin."""
        return [row(plugin, self._service_troubles(plugin)) for plugin in self.host.plugins]

    def details(self, name: str) -> PluginDetails:
        """One of them. Raises NotFound."""
        plugin = self._named(name)
        letters = dead_letters(self._opened.local, plugin.name)
        return details(self.host, plugin, troubles=self._service_troubles(plugin), letters=letters)

    async def enable(self, name: str) -> tuple[PluginRow, list[str]]:
        """Load it, anew where its bytes are others, or call its switched off hooks again. Raises NotFound, Refused."""
        async with self._changing:
            settings = self._opened.settings
            if name in settings.plugins.disabled:
                settings.set(
                    "plugins.disabled", [other for other in settings.plugins.disabled if other != name]
                )
            plugin = self.host.named(name)
            if plugin is not None and plugin in self.host.loaded and self.host.is_outdated(plugin):
                self._check_not_required(plugin)
                await self._take_out(plugin, "it is loaded anew")
            elif plugin is not None and plugin in self.host.loaded:
                hooks = self.host.hooks.enable(plugin)
                if plugin in self._feeds:
                    self._feeds[plugin].look()
                await self._restart_services(plugin)
                return row(plugin, self._service_troubles(plugin)), hooks
            plugin = await self.host.load_again(name)
            if plugin is None:
                raise NotFound("plugin", name, hint="thrum plugin list")
            if plugin in self.host.loaded:
                await self._take_in(plugin)
            return row(plugin), []

    async def disable(self, name: str) -> PluginRow:
        """Take it out, now and at later starts; its data stay. Raises NotFound."""
        async with self._changing:
            plugin = self._named(name)
            self._check_not_required(plugin)
            disabled = self._opened.settings.plugins.disabled
            if name not in disabled:
                self._opened.settings.set("plugins.disabled", [*disabled, name])
            await self._take_out(plugin, "plugins.disabled in config.json")
            return row(plugin, self._service_troubles(plugin))

    def _check_not_required(self, plugin: Plugin) -> None:
        others = [
            other.name
            for other, loaded in self.host.loaded.items()
            if plugin.name in loaded.manifest.requires and other is not plugin
        ]
        if others:
            raise Refused(
                f"plugin {plugin.name} is required by {', '.join(others)}",
                hint=f"thrum plugin disable {others[0]}",
            )

    async def _take_out(self, plugin: Plugin, why: str) -> None:
        await self._end(plugin)
        self.host.unload(plugin, why)
        self._follow_rungs()

    async def rebuild(self, name: str) -> int:
        """Fill its tables anew; how many statements make them. Raises NotFound, Refused."""
        plugin = self._named(name)
        loaded = self.host.loaded.get(plugin)
        if loaded is None:
            raise Refused(f"plugin {name} is {plugin.state}: {plugin.error}", hint="thrum plugin list")
        assert self._registry is not None
        self._registry.projectors.forget_failures()
        await self._keeper.rebuild()
        return len(loaded.tables.projected)

    async def retry(self, name: str) -> tuple[int, int]:
        """Give it its dead letters again: taken, left. Raises NotFound, Refused."""
        plugin = self._named(name)
        feed = self._feeds.get(plugin)
        if feed is None:
            raise Refused(f"plugin {name} hears no events", hint=f"thrum plugin show {name}")
        return await feed.retry()

    # --- one plugin --------------------------------------------------------------------------------------------------

    async def _begin(self, plugin: Plugin) -> None:
        loaded = self.host.loaded[plugin]
        loaded.ctx.begin(self._kernel)
        plugin.state = "active"
        self._follow_rungs()
        await self._feed(plugin)
        starts = [
            self._supervisor.start(self._watched(plugin, service), owner=plugin.label)
            for service in self.host.services(plugin)
        ]
        await asyncio.gather(*starts)  # one that does not say that it is up holds up no other

    async def _take_in(self, plugin: Plugin) -> None:
        """A plugin came while the daemon runs."""
        self._follow_tables()
        if self._cache.expect(self.host.projected_tables):
            await self._keeper.rebuild()
        else:
            self._keeper.take_up_types()
        await self._begin(plugin)

    async def _end(self, plugin: Plugin) -> None:
        if self._feeds.pop(plugin, None) is not None:
            await self._supervisor.stop(_feed_name(plugin))
            self._follow_feeds()
        for service in self.host.services(plugin):
            await self._supervisor.stop(service.name)

    async def _restart_services(self, plugin: Plugin) -> None:
        for service in self.host.services(plugin):
            state = self._supervisor.states.get(service.name)
            if state is not None and state.state == "failed":
                await self._supervisor.stop(service.name)
                await self._supervisor.start(self._watched(plugin, service), owner=plugin.label)

    async def _feed(self, plugin: Plugin) -> None:
        bound = next((b for b in self.host.hooks.of("thrum_event_committed") if b.plugin is plugin), None)
        if bound is None:
            return
        assert plugin.manifest is not None
        feed = self._feeds[plugin] = Feed(
            bound,
            Cursor(self._opened.local, plugin.name),
            hooks=self.host.hooks,
            log=Log(self._counted, self._lines),
            types=self._types,
            clock=self._clock,
            history=plugin.manifest.history,
        )
        await feed.start()
        self._follow_feeds()
        await self._supervisor.start(Service(name=_feed_name(plugin), run=feed.run), owner=plugin.label)

    def _watched(self, plugin: Plugin, service: Service) -> Service:
        async def run(started: Callable[[], None]) -> None:
            work: Any = service.run(started)
            await self.host.watchdog.watched(plugin.label, f"service {service.name}", work)

        return replace(service, run=run)

    # --- keeping the rooms in step -----------------------------------------------------------------------------------

    def _reserve(self, tree: Tree) -> None:
        claims = self.host.claims
        claims.reserve("method", self._dispatcher.methods)
        claims.reserve("noun", [*tree.root.members, *tree.root.aliases])
        claims.reserve("section", [s.name for s in self._opened.settings.sections if not s.claimable])
        claims.reserve("event", [kind.name for kind in self._types])
        claims.reserve("sender", ("daemon", "thrum"))
        names = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
        with_kernel = sqlite3.connect(":memory:")
        try:
            with_kernel.executescript(schema.TABLES + VIEWS)
            claims.reserve("table", [name for (name,) in with_kernel.execute(names)])
        finally:
            with_kernel.close()
        claims.reserve("plugin", ("kernel", "plugins"), KERNEL)

    def _add_commands(self, manifest: Any, owner: str) -> Callable[[], None]:
        assert self._tree is not None
        return commands.add(self._tree.root, manifest, owner)

    def _command_broken(self, command: Command, error: PluginError) -> None:
        """A command cannot be imported: named with its plugin, and logged the first time."""
        subject = f"command {command.name}"
        for plugin in self.host.plugins:
            if plugin.label == command.owner:
                if plugin.troubles.get(subject) != str(error):
                    _log.error("%s", error)
                plugin.troubles[subject] = str(error)

    def _follow_tables(self) -> None:
        if self.host.projected_tables:
            assert self._registry is not None
            self._registry.projectors.permit([schema.TABLES, VIEWS, *self.host.projected_tables])

    def _follow_rungs(self) -> None:
        self._rungs[:] = [self._rung(bound) for bound in self.host.hooks.of("thrum_wake")]

    def _follow_feeds(self) -> None:
        self._committer.hearers[:] = [self._heard] if self._feeds else []

    def _heard(self, event: Event, writer: str, sequence: int) -> None:
        for feed in self._feeds.values():
            feed.heard(event, writer, sequence)

    async def _announce(self, change: WorktreeChange) -> Sequence[str]:
        return await self.host.worktree(change)

    def _tell_local(self, event: Event) -> None:
        self._topics.publish(event.type, msgspec.to_builtins(event))
        for feed in self._feeds.values():
            feed.told(event)

    def _cache_is_new(self) -> None:
        for loaded in self.host.loaded.values():
            loaded.ctx.forget_cache()
        for feed in self._feeds.values():
            feed.look()

    def _rung(self, bound: Bound) -> Callable[[Wake], Awaitable[Evidence | None]]:
        async def rung(wake: Wake) -> Evidence | None:
            if bound.off:
                return None

            def no_evidence(answer: Any) -> str:
                is_some = isinstance(answer, Evidence) and set(answer.message_ids) <= set(wake.message_ids)
                return "" if is_some else f"gave no evidence about this wake but {answer!r:.80}"

            try:
                found: Evidence | None = await self.host.hooks.ask(
                    bound, {"wake": wake}, no_evidence, later_s=WAKE_S
                )
            except HookFailed:
                return None
            return found

        return rung

    def _degraded(self, bound: Bound) -> None:
        self._topics.publish(
            DEGRADED,
            {
                "plugin": bound.plugin.name,
                "distribution": bound.plugin.source.distribution,
                "hook": bound.hook,
                "error": bound.off,
            },
        )

    def _note_blocker(self, text: str) -> None:
        """Keep who blocks the loop where a client that gets no answer can read it; nobody can be told on the loop."""
        note = self._opened.paths.blocked
        with contextlib.suppress(OSError):  # it is said in the log, too
            if text:
                note.write_text("".join(sign if sign.isprintable() else " " for sign in text))
            else:
                note.unlink(missing_ok=True)

    def _service_troubles(self, plugin: Plugin) -> dict[str, str]:
        names = [service.name for service in self.host.services(plugin)]
        if plugin in self._feeds:
            names.append(_feed_name(plugin))
        found = {}
        for name in names:
            state = self._supervisor.states.get(name)
            if state is not None and state.error:
                found[f"service {name}"] = f"{state.state}: {state.error}"
        for name in self._supervisor.left_behind:
            if name.startswith(f"{plugin.name}."):
                found[f"service {name}"] = "ignores its cancellation; left behind until the daemon ends"
        return found

    def _named(self, name: str) -> Plugin:
        plugin = self.host.named(name)
        if plugin is None:
            raise NotFound("plugin", name, hint="thrum plugin list")
        return plugin

    # --- the log, for feeds ------------------------------------------------------------------------------------------

    def _counted(self) -> dict[str, Spans]:
        """The places whose events count now: projected, not waiting, and not the second place of a message."""
        held: dict[str, list[int]] = {}
        for writer, sequence in self._cache.read(
            "SELECT w.writer, h.sequence FROM held h JOIN writer w ON w.id = h.writer"
            " UNION ALL SELECT w.writer, p.sequence FROM message_place p JOIN writer w ON w.id = p.writer"
        ):
            held.setdefault(writer, []).append(sequence)
        found = {}
        for writer, taken in queries.projected(self._cache).items():
            waiting = Spans.of(held.get(writer, ()))
            found[writer] = Spans([gap for first, last in taken for gap in waiting.missing(first, last)])
        return found

    def _lines(self, heard: Ranges, report: Callable[[object], None]) -> Iterator[Sequence[LogLine]]:
        writer, last = self._committer.durable
        return ranges.read_log(
            self._opened.tree,
            heard,
            message_types=self._message_types,
            until={writer: last} if writer else {},
            report=report,
        )


def _feed_name(plugin: Plugin) -> str:
    return f"{plugin.name}.events"
