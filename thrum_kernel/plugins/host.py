"""All plugins of one process: loaded, asked, shown, and let go.

The daemon has one over itself (`Attached`); commands that need plugins without a daemon (``init``, ``doctor``,
``plugin check``) have one over nothing (`in_process`). Either asks hooks the same way: `collect` what was added,
`gather`, `first`, `strictest` for what is decided, and the typed methods below for each hook that the kernel calls.

Source: DESIGN.md D6.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thrum_kernel.api import (
    AgentInfo,
    Caller,
    CallerFacts,
    Check,
    Clock,
    GuardedCall,
    Hint,
    InitStep,
    Moment,
    PluginContext,
    PrimeSection,
    RuntimePreset,
    Service,
    Verdict,
    WorktreeChange,
)
from thrum_kernel.errors import PluginError, ThrumError
from thrum_kernel.identity.processes import RUNTIMES
from thrum_kernel.paths import Paths
from thrum_kernel.plugins import discovery, team
from thrum_kernel.plugins.claims import Claims, covers, matches
from thrum_kernel.plugins.context import plugin_paths
from thrum_kernel.plugins.discovery import Wishes
from thrum_kernel.plugins.guarding import Guards
from thrum_kernel.plugins.hooks import Bound, HookFailed, Hooks, Unfit
from thrum_kernel.plugins.loader import Ground, Loaded, Loader, Registry, in_order, unload
from thrum_kernel.plugins.record import Plugin, Source
from thrum_kernel.plugins.watchdog import Watchdog
from thrum_kernel.settings.document import SettingsFile

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contribution:
    """One thing that a plugin added.

    Attributes:
        plugin: its name.
        distribution: what it came with.
        ctx: its context, for functions of *value* that want one.
        value: the thing itself.
    """

    plugin: str
    distribution: str
    ctx: PluginContext
    value: Any


class PluginHost:
    """The plugins of this process. Belongs to one event loop.

    Args:
        registry: where what they add goes.
        blocked: told in one line which plugin keeps the loop from everybody else, and with nothing when that is over;
            in a thread of its own.
        env: the environment that decides about loading.
        path: folders to find distributions in, instead of ``sys.path``.

    Attributes:
        plugins: everything that was found, by name.
        presets: runtimes by name.
        process_names: process name → runtime, the kernel's and those of presets; changed in place.
        guards: who judges what.
    """

    def __init__(
        self,
        *,
        settings: SettingsFile,
        paths: Paths,
        clock: Clock,
        env: Mapping[str, str],
        make_registry: Callable[[PluginHost], Registry],
        degraded: Callable[[Bound], None] = lambda bound: None,
        blocked: Callable[[str], None] = lambda text: None,
        path: list[str] | None = None,
    ) -> None:
        self.settings = settings
        self.paths = paths
        self.plugins: list[Plugin] = []
        self.presets: dict[str, RuntimePreset] = {}
        self.process_names: dict[str, str] = dict(RUNTIMES)
        self.watchdog = Watchdog(self._note_blocker, interrupt_s=self.hook_timeout_s)
        self.hooks = Hooks(timeout_s=self.hook_timeout_s, watchdog=self.watchdog, degraded=degraded)
        self.guards = Guards(self.hooks, messaging_guards=self._messaging_guards)
        self.claims = Claims()
        self.loaded: dict[Plugin, Loaded] = {}
        self._blocked = blocked
        self._env = env
        self._path = path
        self._clock = clock
        self._registry = make_registry(self)

    # --- loading -----------------------------------------------------------------------------------------------------

    def find(self) -> list[Source]:
        """Every plugin that is installed, and those of the team that the configuration names."""
        return [*discovery.installed(self._path), *self._team()]

    async def load(self, sources: Sequence[Source] | None = None) -> None:
        """Load them all; each that fails is left out and says why.

        Raises:
            PluginError: one failed and ``THRUM_PLUGINS_STRICT`` is set.
        """
        wishes = self._wishes()
        loader = Loader(self._ground(wishes))
        self.plugins = [Plugin(source) for source in (self.find() if sources is None else sources)]
        for plugin in self.plugins:
            await loader.gate(plugin)
        ordered, refused = in_order([plugin for plugin in self.plugins if plugin.state == "gated"])
        for plugin, why in refused.items():
            loader.fail(plugin, "gated", why)
        for plugin in ordered:
            await self._load_one(loader, plugin)
        self.plugins.sort(key=lambda plugin: (plugin.name, plugin.source.distribution))
        if wishes.strict:
            for plugin in self.plugins:
                if plugin.state == "failed":
                    raise PluginError(plugin.label, f"{plugin.phase}: {plugin.error}")

    async def load_again(self, name: str) -> Plugin | None:
        """Find and load one plugin that is not loaded now; None when there is none of that name."""
        wishes = self._wishes()
        loader = Loader(self._ground(wishes))
        source = next((source for source in self.find() if source.name == name), None)
        if source is None:
            return None
        plugin = Plugin(source)
        for before in self.plugins:
            while before.name == name and before.kept:
                before.kept.pop()()
        self.plugins = [other for other in self.plugins if other.name != name]
        self.plugins.append(plugin)
        self.plugins.sort(key=lambda plugin: (plugin.name, plugin.source.distribution))
        await loader.gate(plugin)
        if plugin.state == "gated":
            await self._load_one(loader, plugin)
        return plugin

    def is_outdated(self, plugin: Plugin) -> bool:
        """Whether a loaded plugin of the team has other bytes by now, which are trusted."""
        trust = team.Trust(self.paths.sync)
        return plugin.source.path is not None and team.is_outdated(self.paths.repo, trust, plugin.name)

    def unload(self, plugin: Plugin, why: str) -> None:
        """Take a plugin out; everything that it had registered goes."""
        self.loaded.pop(plugin, None)
        unload(plugin)
        plugin.troubles.clear()
        plugin.state, plugin.error = "disabled", why

    def close(self) -> None:
        """Let go of every plugin."""
        for plugin in reversed(self.plugins):
            unload(plugin)
        self.loaded.clear()
        self.watchdog.close()

    def named(self, name: str) -> Plugin | None:
        """A plugin by its name; the loaded one where there are several."""
        found = [plugin for plugin in self.plugins if plugin.name == name]
        return next((plugin for plugin in found if plugin in self.loaded), found[0] if found else None)

    def why_absent(self, method: str) -> str:
        """Why the plugin that has a method in its namespace does not give it; empty when none is there."""
        for plugin in self.plugins:
            if plugin.manifest is not None:
                is_its = covers(plugin.manifest, "method", method)
            else:
                is_its = method.startswith(f"{plugin.name}.")
            if is_its and plugin not in self.loaded:
                return f"plugin {plugin.label} is {plugin.state}: {plugin.error}"
        return ""

    @property
    def projected_tables(self) -> list[str]:
        """The statements that make the cache's tables of all loaded plugins."""
        return [line for loaded in self.loaded.values() for line in loaded.tables.projected]

    @property
    def senders(self) -> list[str]:
        """Every claimed sender name."""
        return self.claims.names("sender")

    def claims_sender(self, name: str) -> bool:
        """Whether a plugin writes under *name* and hears what is sent to it."""
        manifests = (loaded.manifest for loaded in self.loaded.values())
        return any(matches(claim, name) for each in manifests if not each.no_reply for claim in each.senders)

    def services(self, plugin: Plugin) -> list[Service]:
        """What a plugin runs in the background."""
        return self._added(plugin, "thrum_services")

    # --- asking ------------------------------------------------------------------------------------------------------

    def collect(self, hook: str) -> list[Contribution]:
        """Everything that plugins added by a hook, in the order they were loaded."""
        return [
            Contribution(loaded.manifest.name, plugin.source.distribution, loaded.ctx, value)
            for plugin, loaded in self.loaded.items()
            for value in loaded.added.get(hook, ())
        ]

    async def gather(self, hook: str, **arguments: Any) -> list[Any]:
        """What every plugin answers that answers at all, in order."""
        return [answer for _, answer in await self.hooks.gather(hook, **arguments)]

    async def first(self, hook: str, **arguments: Any) -> Any:
        """The first answer that is not None."""
        return await self.hooks.first(hook, **arguments)

    async def strictest(self, hook: str, *, call: GuardedCall) -> Verdict | None:
        """The strictest verdict of all guards; `hook` is ``thrum_guard``."""
        assert hook == "thrum_guard"
        return await self.guards.judge(call)

    async def judge(self, call: GuardedCall) -> Verdict | None:
        """`strictest`, for what goes on unless it is denied: a warning is returned to be told.

        Raises:
            GuardFired: it is denied.
        """
        return await self.guards.enforce(call)

    async def identify(self, facts: CallerFacts) -> Caller | None:
        """Who it is that several identities fit."""

        def no_candidate(answer: Any) -> str:
            is_one = isinstance(answer, Caller) and answer.agent_id in facts.candidates
            return "" if is_one else f"gave {answer!r:.80}, none of {', '.join(facts.candidates)}"

        found: Caller | None = await self.hooks.first("thrum_identify", unfit=no_candidate, facts=facts)
        return found

    def has_hints(self, command: str) -> bool:
        """Whether any plugin is asked for hints around *command*."""
        return bool(self._hinting(command))

    async def hints(self, moment: Moment) -> list[Hint]:
        """Hints for a moment, warnings first."""
        asked = self._hinting(moment.command)
        answers = await self.hooks.gather("thrum_hints", unfit=_none_of(Hint), only=asked, moment=moment)
        return sorted(
            (hint for _, hints in answers for hint in hints), key=lambda hint: hint.severity != "warn"
        )

    def _hinting(self, command: str) -> list[Bound]:
        manifests = ((bound, bound.plugin.manifest) for bound in self.hooks.of("thrum_hints"))
        return [
            bound
            for bound, manifest in manifests
            if manifest is not None and (not manifest.hints or command in manifest.hints)
        ]

    async def worktree(self, change: WorktreeChange) -> list[str]:
        """Tell every plugin of a worktree; what went wrong, a line for each plugin that could not do its part."""
        failed: list[str] = []
        for bound in self.hooks.of("thrum_worktree"):
            if bound.off:
                failed.append(f"plugin {bound.plugin.label} was not told: {bound.off}")
                continue
            try:
                await self.hooks.ask(bound, {"change": change})
            except HookFailed as failure:
                failed.append(f"plugin {bound.plugin.label}: {failure}")
        return failed

    async def preamble(self, agent: AgentInfo) -> str | None:
        """The role text of an agent; None leaves it to the kernel."""
        found: str | None = await self.hooks.first("thrum_preamble", unfit=_not_a(str), agent=agent)
        return found

    async def prime(self, agent: AgentInfo) -> list[PrimeSection]:
        """Sections of the briefing, by order; of two with one key the earlier plugin's."""
        sections: dict[str, PrimeSection] = {}
        answers = await self.hooks.gather("thrum_prime", unfit=_none_of(PrimeSection), agent=agent)
        for section in (section for _, given in answers for section in given):
            if section.key in sections:
                _log.warning("two plugins give the section %s of the briefing; the first counts", section.key)
            sections.setdefault(section.key, section)
        return sorted(sections.values(), key=lambda section: section.order)

    async def agent_facts(self, agent: AgentInfo) -> dict[str, Any]:
        """What plugins know of an agent; a field that two give is the earlier's."""
        merged: dict[str, Any] = {}
        answers = await self.hooks.gather("thrum_agent_facts", unfit=_not_a(Mapping), agent=agent)
        for _, answer in answers:
            for name, value in answer.items():
                merged.setdefault(str(name), value)
        return merged

    def implements(self, hook: str) -> bool:
        """Whether any plugin is asked for *hook*: spares preparing what nobody wants."""
        return bool(self.hooks.of(hook))

    @property
    def init_steps(self) -> list[InitStep]:
        """Steps of ``init`` by order."""
        return sorted(
            (found.value for found in self.collect("thrum_init_steps")), key=lambda step: step.order
        )

    @property
    def checks(self) -> list[tuple[PluginContext, Check]]:
        """What doctor looks at, each with the context it wants."""
        return [(found.ctx, found.value) for found in self.collect("thrum_checks")]

    def hook_timeout_s(self) -> float:
        """How long a hook may take now."""
        try:
            return float(self.settings.plugins.hook_timeout)
        except ThrumError:  # a damaged configuration is told by what needs it
            return 5.0

    # --- its own -----------------------------------------------------------------------------------------------------

    async def _load_one(self, loader: Loader, plugin: Plugin) -> None:
        assert plugin.manifest is not None
        for name in plugin.manifest.requires:
            needed = self.named(name)
            if needed is None or needed not in self.loaded:
                state = "is not installed" if needed is None else f"is {needed.state}"
                loader.fail(plugin, "gated", f"it requires the plugin {name}, which {state}")
                return
        loaded = await loader.load(plugin)
        if loaded is not None:
            self.loaded[plugin] = loaded

    def _ground(self, wishes: Wishes) -> Ground:
        return Ground(
            settings=self.settings,
            clock=self._clock,
            claims=self.claims,
            registry=self._registry,
            watchdog=self.watchdog,
            wishes=wishes,
            limit_s=self.hook_timeout_s,
            paths_of=lambda name: plugin_paths(self.paths, name),
            presets=lambda: tuple(self.presets.values()),
        )

    def _wishes(self) -> Wishes:
        try:
            disabled = self.settings.plugins.disabled
        except ThrumError:
            disabled = []
        return Wishes.of(self._env, disabled)

    def _team(self) -> list[Source]:
        try:
            names = self.settings.plugins.team
        except ThrumError:
            names = []
        return team.sources(self.paths.repo, team.Trust(self.paths.sync), names)

    def _messaging_guards(self) -> list[str]:
        try:
            return self.settings.plugins.messaging_guards
        except ThrumError:
            return []

    def _added(self, plugin: Plugin, hook: str) -> list[Any]:
        loaded = self.loaded.get(plugin)
        return list(loaded.added.get(hook, ())) if loaded is not None else []

    def _note_blocker(self, label: str, text: str) -> None:
        self._blocked(f"plugin {label} {text}" if label else "")
        for plugin in self.plugins:
            if plugin.label == label:
                plugin.troubles["blocks the loop"] = text


def _not_a(kind: type[Any]) -> Unfit:
    def unfit(answer: Any) -> str:
        return "" if isinstance(answer, kind) else f"gave no {kind.__name__} but {answer!r:.80}"

    return unfit


def _none_of(kind: type[Any]) -> Unfit:
    """For hooks that give a sequence."""

    def unfit(answer: Any) -> str:
        if isinstance(answer, Sequence) and all(isinstance(item, kind) for item in answer):
            return ""
        return f"gave no sequence of {kind.__name__} but {answer!r:.80}"

    return unfit
