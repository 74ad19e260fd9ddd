"""All that a plugin may touch."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from thrum_kernel.api.callers import Caller, Process
from thrum_kernel.api.clocks import Clock
from thrum_kernel.api.runtimes import RuntimePreset

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PluginPaths:
    """Where a plugin may look and write.

    Attributes:
        worktree: root of the worktree that a command was called in; in the daemon, the one it was started in, so ask
            a call for its caller's.
        repo: the folder that holds the shared ``.thrum``.
        thrum: the shared ``.thrum``.
        state: a folder of the plugin's own below ``.thrum/var``, made when first used; it can be lost at any time.
        durable: a folder of the plugin's own beside the log, made when first used; it outlives ``git clean -fdx`` and
            stays when the plugin is removed.
    """

    worktree: Path
    repo: Path
    thrum: Path
    state: Path
    durable: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeChange:
    """A worktree that was prepared for an agent, or that is about to go.

    Attributes:
        kind: ``prepared``: it is there and shares our ``.thrum``; ``going``: it is removed when everybody was told.
        path: its root, resolved.
        branch: what is checked out there; empty when its HEAD is detached.
        agents: names of the agents that live in it, sorted; of one that is prepared, also the one it is made for.
        runtime: name of the runtime that shall live there; empty when none was named.
        wants_hooks: hook settings and scripts of runtimes belong into it (``worktrees.thrum_enabled``).
    """

    kind: Literal["prepared", "going"]
    path: Path
    branch: str = ""
    agents: tuple[str, ...] = ()
    runtime: str = ""
    wants_hooks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """Something that somebody wants to end or to begin anew, and whose it is.

    Attributes:
        what: as people call it, e.g. ``worktree auth`` or ``session "auth"``.
        owners: names of the agents that live in it.
        made_by: the agent that made it; empty: a person did, or nobody knows.
        worktree: the worktree it is, or stands in; None when in none.
    """

    what: str
    owners: tuple[str, ...] = ()
    made_by: str = ""
    worktree: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Why somebody may do it.

    Attributes:
        reason: it is their ``own``; they ``made`` it; they are a ``person``, or a ``supervisor``; the ``kernel`` or a plugin
            asks; or they were not asked for a reason, since it was ``forced``.
        tell: names of the agents who must be told that it was forced, sorted; empty otherwise.
    """

    reason: Literal["own", "made", "person", "supervisor", "kernel", "forced"]
    tell: tuple[str, ...] = ()


class PluginContext(Protocol):
    """All of Thrum that a plugin may touch. Every use is attributed to the plugin."""

    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> Any:
        """Its settings as they are now, an instance of the class that its manifest names.

        While what is written cannot be used, those that held before; for a plugin that guards there are none then.

        Raises:
            FileDamaged: there are none; names the file, and every key that is wrong.
        """
        ...

    @property
    def log(self) -> logging.Logger: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def paths(self) -> PluginPaths: ...

    async def emit(self, event_type: str, /, **fields: Any) -> str:
        """Commit an event of one of its own types; gives its event id once it is durable and projected."""
        ...

    async def send(
        self, content: str, *, to: str | Sequence[str], sender: str, request_id: str = "", **params: Any
    ) -> str:
        """Send a message as one of its claimed *senders*; gives its id. *request_id* makes a retry harmless."""
        ...

    async def call(self, method: str, /, **params: Any) -> Any:
        """The result of any method, as the plugin itself."""
        ...

    async def announce(self, change: WorktreeChange) -> Sequence[str]:
        """Tell every plugin of a worktree (`thrum_worktree`), one after the other; what went wrong, a line a plugin."""
        ...

    async def authorize(self, caller: Caller, thing: Belonging, *, force: bool = False) -> Authority:
        """Why *caller* may end *thing* or begin it anew.

        Its owners may, whoever made it, a person, and supervisors (``permission_supervisors`` of config.json, by default
        whoever has the role ``coordinator``); with *force* everybody who is somebody here.

        Raises:
            NotYours: the caller is none of them, and there is no *force*.
            AnonymousCaller: nobody knows who or where the caller is.
        """
        ...

    def publish(self, topic: str, payload: Any) -> int:
        """Push to everybody who subscribed to ``<name>.<topic>``; how many that were."""
        ...

    def subscribe(self, topic: str, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call *callback* for everything published to *topic* from now on; gives what ends that."""
        ...

    async def write(self, fn: Callable[[sqlite3.Connection], Any]) -> Any:
        """Run *fn* on its local tables in one durable transaction."""
        ...

    def read(self, sql: str, params: Sequence[Any] = (), *, local: bool = False) -> list[tuple[Any, ...]]:
        """Rows of a query on the cache (its projected tables, the kernel's views), or on its local tables."""
        ...

    async def in_thread(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Run blocking work off the loop."""
        ...

    def presets(self) -> Sequence[RuntimePreset]:
        """Every runtime that the active plugins declare, in the order in which they were activated."""
        ...

    def shared(self, make: Callable[[PluginContext], T], /) -> T:
        """What *make* gives for this context: made the first time, the same object for every hook afterwards.

        For what a plugin's methods, services and hooks have in common, so that it needs no state of its modules.
        """
        ...

    def process(self, pid: int) -> Process | None:
        """The process with this id, as it is now; None when there is none, or only a zombie.

        `Process.key` tells it from another that gets the same id later: keep both to find it again.
        """
        ...
