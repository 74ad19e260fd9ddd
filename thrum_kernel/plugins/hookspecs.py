"""The hooks: what a plugin may add, decide and hear. These docstrings are their reference.

A hook has one **colour**. What a plugin *adds* is a plain function, called once when it is loaded; it returns data.
What a plugin *decides or hears* is ``async def``, called whenever the moment comes. A plugin's function may leave out
arguments it does not need, and is marked::

    from thrum_kernel.api import Hint, Moment, PluginContext, hookimpl

    @hookimpl
    async def thrum_hints(ctx: PluginContext, moment: Moment) -> list[Hint]: ...

``ctx`` is the plugin's own `api.PluginContext`. While a plugin is being loaded (every hook that adds) its ``name``,
``settings``, ``log``, ``clock`` and ``paths`` may be used; the rest only from then on.

Every call is isolated. One that raises is logged once with the plugin and its distribution, and the others go on.
One that takes longer than ``plugins.hook_timeout`` (seconds, 5) is cancelled and counts as failed. A hook that
adds something fails its plugin: it is not loaded, everything it had registered is taken back, and `thrum plugin list`
says why. Of the others, one that fails five times in a row is switched off until the daemon starts anew or ``thrum plugin enable
NAME``, and one that keeps the loop for longer than ``plugins.hook_timeout`` at once, for nobody is served meanwhile;
``plugin.degraded`` is then published. A guard that fails refuses what it judges: see `thrum_guard`.

The modes of results: **collect** what every plugin returned, put together · **all** nothing is returned · **first**
plugins are asked in order, the first answer that is not None counts · **strictest** all are asked, ``deny`` beats
``warn`` beats ``allow`` · **ladder** rungs are tried in order, one after a deadline each, until one has evidence ·
**merged** one mapping of all fields; a field that two plugins give belongs to the earlier · **ordered** collected and
sorted by ``order``.

Plugins are asked in the order they were loaded (required ones before those that require them, else by name);
``@hookimpl(tryfirst=True)`` and ``trylast=True`` move one to either end.

Source: DESIGN.md D6.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

import pluggy

from thrum_kernel.api import (
    AgentInfo,
    Caller,
    CallerFacts,
    Check,
    EventType,
    Evidence,
    GuardedCall,
    Hint,
    InitStep,
    Method,
    Moment,
    PluginContext,
    PrimeSection,
    Projector,
    RuntimePreset,
    Service,
    Tables,
    Verdict,
    Wake,
    WorktreeChange,
)

Colour = Literal["adds", "decides"]
Mode = Literal["collect", "all", "first", "strictest", "ladder", "merged", "ordered"]

hookspec = pluggy.HookspecMarker("thrum")

# --- what a plugin adds: sync, once, when it is loaded ---------------------------------------------------------------


@hookspec
def thrum_event_types(ctx: PluginContext) -> Sequence[EventType]:  # type: ignore[empty-body]
    """The kinds of events that the plugin writes into the log.

    Called first of all hooks, by the loader. The payload of each is a ``msgspec.Struct`` below
    `thrum_kernel.api.Event` whose tag is the type's name; the name lies in the plugin's namespace (``<name>.*``, or
    claimed in the manifest's ``events``). Other clones keep events of a type they do not know byte for byte, and
    project them when the plugin comes. ``scope="local"`` never enters the journal: it is only told to plugins and
    subscribers of this daemon.

    A failure fails the plugin.
    """


@hookspec
def thrum_migrations(ctx: PluginContext) -> Tables:  # type: ignore[empty-body]
    """The plugin's own tables: ``projected`` ones in the cache, ``local`` ones on this machine.

    Called after `thrum_event_types`, by the loader. Tables are called ``<name>_*`` or as claimed in ``tables``;
    indexes, views and triggers of theirs too. A projected table can always be rebuilt from the log: change its
    statement freely, the cache is then rebuilt. Local tables change by adding a `api.Migration` at the end, whose
    name starts with ``<name>.``; they are never dropped, also not when the plugin is gone.

    A failure, or a statement that fails or touches anything but the plugin's own tables, fails the plugin; local steps
    of this start are undone.
    """


@hookspec
def thrum_projectors(ctx: PluginContext) -> Sequence[Projector]:  # type: ignore[empty-body]
    """Rules that fill the projected tables.

    Called after `thrum_migrations`, by the loader. Each rule gets a connection on which it may read everything and
    write the plugin's own projected tables, and a decoded event of its type, the plugin's own or any of the kernel.
    It runs in the transaction of the event, live and on every rebuild (then in another thread), and must be pure: the
    same events in any order, any number of times, give the same tables.

    A rule that fails costs the plugin that row: what it wrote for this event is undone, the event itself counts, and
    the plugin is shown as incomplete until ``thrum plugin rebuild NAME``.
    """


@hookspec
def thrum_methods(ctx: PluginContext) -> Sequence[Method]:  # type: ignore[empty-body]
    """JSON-RPC methods.

    Called after `thrum_projectors`, by the loader. Names lie in the plugin's namespace or are claimed in ``methods``.
    Parameters are a ``msgspec.Struct`` with ``kw_only`` and ``forbid_unknown_fields``. A handler that is no
    coroutine runs on the loop and must not block. What it raises as `ThrumError` is told to the caller; anything else
    is logged, and told as a `PluginError` that names the plugin.

    A failure of the hook fails the plugin.
    """


@hookspec
def thrum_services(ctx: PluginContext) -> Sequence[Service]:  # type: ignore[empty-body]
    """Work in the background.

    Called after `thrum_methods`, by the loader; the services start when everything else runs, names lie below
    ``<name>.``. One that ends with an error is started again after 1, 2, 4 … 60 s and given up after five failures in
    ten minutes; one that ignores its cancellation is left behind after its stop time, and named. None of this touches
    another service.
    """


@hookspec
def thrum_runtime_presets(ctx: PluginContext) -> Sequence[RuntimePreset]:  # type: ignore[empty-body]
    """Runtimes as data: how they are started, told apart, read and fed.

    Called after `thrum_services`, by the loader, and in process by commands that need no daemon. The names of their
    processes join those by which the kernel knows a caller's runtime; a name the kernel has already stays as it is.

    A failure fails the plugin; of two presets with one name the plugin loaded later fails.
    """


@hookspec
def thrum_init_steps(ctx: PluginContext) -> Sequence[InitStep]:  # type: ignore[empty-body]
    """Steps of ``thrum init``, with the options and questions they add.

    Called after `thrum_runtime_presets`, by the loader. ``thrum init`` loads the plugins in its own process, where
    there is no daemon: the steps run there, blocking, with those of the kernel by their ``order``. Everything they
    write goes through the plan, so that ``--dry-run`` lists it and Ctrl-C takes it back.

    A failure fails the plugin; a step that fails takes ``init`` back to where it began.
    """


@hookspec
def thrum_checks(ctx: PluginContext) -> Sequence[Check]:  # type: ignore[empty-body]
    """What ``thrum doctor`` looks at for the plugin, each with the command that mends it.

    Called after `thrum_init_steps`, by the loader. ``thrum doctor`` loads the plugins in its own process; ``look`` runs
    in a thread and may block for ``plugins.hook_timeout``. One that raises is shown as an error of the plugin.

    A failure of the hook fails the plugin.
    """


@hookspec
def thrum_guard_scope(ctx: PluginContext) -> Sequence[str]:  # type: ignore[empty-body]
    """What the plugin's `thrum_guard` judges; a guard without it is refused.

    Called last of what a plugin adds, by the loader. Each entry is one of

    - the exact name of a mutating method, e.g. ``agent.register``,
    - ``command:<words>``, e.g. ``command:tmux create``; ``command:*`` is every command,
    - ``identity``, ``reclaim``, ``bootstrap`` or ``prime``: the other kinds of `api.GuardedCall`.

    Exactly these are denied while the guard fails. Kernel messaging (methods ``message.*``, ``thread.*``,
    ``group.*`` and the commands made of them, also as part of ``command:*``) is judged only by plugins that
    ``plugins.messaging_guards`` in config.json names.
    """


# --- who calls, and may they? ----------------------------------------------------------------------------------------


@hookspec(firstresult=True)
async def thrum_identify(ctx: PluginContext, facts: CallerFacts) -> Caller | None:
    """Who is calling, where the kernel's order leaves several identities.

    Called by the dispatcher for a request whose caller the operating system does not tell apart, before any guard. The
    answer must name one of ``facts.candidates``; anything else is dropped and logged. None leaves it to the next.

    Fails open: the caller stays ambiguous, and is told so.
    """


@hookspec
async def thrum_guard(ctx: PluginContext, call: GuardedCall) -> Verdict | None:
    """Whether something may happen; None has nothing to say.

    Called for everything that `thrum_guard_scope` lists: before a mutating method (after the kernel refused forged
    claims and anonymous callers, and not for calls of plugins), before a command, before an identity file is written,
    before an identity of a dead process is taken over, before ``init`` or a daemon's start (there in process, with
    ``ctx.name``, ``settings``, ``log``, ``clock`` and ``paths`` only), before a briefing is given.

    Fails **closed**: one that raises or hangs denies this call and from then on everything in its scope, at once and
    uncalled, until ``thrum plugin enable NAME`` or the next start. The refusal names the plugin.
    """


# --- committed events, deliveries ------------------------------------------------------------------------------------


@hookspec
async def thrum_event_committed(ctx: PluginContext, event: Any) -> None:
    """An event counts now: it is durable and projected, written here or synced.

    Called by the plugin's feed, one event after the other, **at least once**, over restarts: what the plugin has heard
    is kept as a durable cursor. It starts with what comes after the plugin was first loaded, or at the beginning of the
    log if the manifest says ``history``. An event that was held back (its author came later) is told when it counts.

    ``ctx.write`` called from here moves the cursor in the same transaction: do what must not be lost first, then all
    writes of this event in one ``ctx.write``, and it is done exactly once. Use the ``event_id`` as request id of what
    you send.

    A failure is retried, after three the event goes to the plugin's dead letters (``thrum plugin show NAME``, again
    with ``thrum plugin retry NAME``) and the feed goes on. Five failures in a row switch the hook off; the cursor
    stays, so nothing is missed later.
    """


@hookspec
async def thrum_wake(
    ctx: PluginContext, wake: Wake
) -> Evidence | Coroutine[Any, Any, Evidence | None] | None:
    """One rung of waking a recipient: try to get it noticed.

    Called by messaging for an agent of this daemon that has unseen messages; after each rung it waits for them to be
    seen before it tries the next one. Answers what is *proven*: ``injected``, ``seen`` … for exactly the ids it is
    true of, ``failed`` with the reason, or None when this rung does not apply to that agent. Never answer ``seen``
    because something was sent. A rung that has to wait, for a terminal to be quiet or for proof, answers at once with
    a coroutine that gives the evidence; that may take ten minutes. What it proves on the way it tells by
    ``message.evidence``; a failure that may soon be none says in ``Evidence.retry_s`` when to try again.

    Fails open: the next rung is tried.
    """


# --- worktrees -------------------------------------------------------------------------------------------------------


@hookspec
async def thrum_worktree(ctx: PluginContext, change: WorktreeChange) -> None:
    """A worktree was prepared, or is about to go.

    Called by whichever plugin makes and removes worktrees (`PluginContext.announce`), and for ``thrum setup PATH``, one
    plugin after the other. ``prepared`` comes when the worktree is there and shares our ``.thrum``, before an agent is
    registered in it, and again whenever it is wired anew: what was done already is then left alone. ``going`` comes
    when nothing in it would be lost and before anything is taken away: end what runs there. The worktree is looked at
    once more afterwards, and stays when something was written into it.

    Fails open: whoever made the change is told a line, and it goes on.
    """


# --- around commands -------------------------------------------------------------------------------------------------


@hookspec
async def thrum_hints(ctx: PluginContext, moment: Moment) -> Sequence[Hint]:  # type: ignore[empty-body]
    """Hints with stable codes, before a command does anything and after it succeeded.

    Called by the daemon around the commands that the manifest's ``hints`` names (none: around every command), for a
    command that runs in its caller's process too. A ``warn`` hint *before* stops the command, unless it
    says ``allow_force`` and ``--force`` was given.

    Fails open: there is no hint.
    """


# --- the briefing ----------------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
async def thrum_preamble(ctx: PluginContext, agent: AgentInfo) -> str | None:
    """The role text of an agent, as Markdown without front matter.

    Called by ``thrum prime`` and when a preamble is made; None leaves it to the next plugin, and at last to the
    kernel's default.

    Fails open.
    """


@hookspec
async def thrum_prime(ctx: PluginContext, agent: AgentInfo) -> Sequence[PrimeSection]:  # type: ignore[empty-body]
    """Sections of the briefing that ``thrum prime`` gives.

    Called on every prime; the sections of all plugins and of the kernel are shown by ascending ``order``. A key that
    the kernel or an earlier plugin has is dropped and logged.

    Fails open: the section is missing.
    """


@hookspec
async def thrum_agent_facts(ctx: PluginContext, agent: AgentInfo) -> Mapping[str, Any]:  # type: ignore[empty-body]
    """Fields about an agent for ``team``, ``overview`` and ``ping``, plain values by name.

    Called for each agent shown, all at once; keep it to what is known without waiting. A field that the kernel or an
    earlier plugin gives is dropped.

    Fails open: the fields are missing.
    """


@dataclass(frozen=True, slots=True)
class Hook:
    """How a hook is called.

    Attributes:
        name: its name.
        colour: ``adds``: sync, once, at load. ``decides``: async, at its moment.
        mode: what becomes of several results; see the head of this module.
    """

    name: str
    colour: Colour
    mode: Mode


HOOKS: Final[Mapping[str, Hook]] = MappingProxyType(
    {
        hook.name: hook
        for hook in (
            Hook("thrum_event_types", "adds", "collect"),
            Hook("thrum_migrations", "adds", "collect"),
            Hook("thrum_projectors", "adds", "collect"),
            Hook("thrum_methods", "adds", "collect"),
            Hook("thrum_services", "adds", "collect"),
            Hook("thrum_runtime_presets", "adds", "collect"),
            Hook("thrum_init_steps", "adds", "ordered"),
            Hook("thrum_checks", "adds", "collect"),
            Hook("thrum_guard_scope", "adds", "collect"),
            Hook("thrum_identify", "decides", "first"),
            Hook("thrum_guard", "decides", "strictest"),
            Hook("thrum_event_committed", "decides", "all"),
            Hook("thrum_wake", "decides", "ladder"),
            Hook("thrum_worktree", "decides", "all"),
            Hook("thrum_hints", "decides", "collect"),
            Hook("thrum_preamble", "decides", "first"),
            Hook("thrum_prime", "decides", "ordered"),
            Hook("thrum_agent_facts", "decides", "merged"),
        )
    }
)
"""Every hook in the order of this module, which is the order of the calls at load."""

GUARD_KINDS: Final = frozenset({"identity", "reclaim", "bootstrap", "prime"})
"""Words of `thrum_guard_scope` that stand for a whole kind."""
