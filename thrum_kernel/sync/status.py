"""``sync.status`` and ``sync.force``: whether and how the log travels, told honestly.

Where nothing carries the log to a remote, a force publishes the journal into the files of this clone and says that it
goes no further, and why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from thrum_kernel.api import Call, Method
from thrum_kernel.clock import Clock, format_us, parse_us
from thrum_kernel.errors import ThrumError
from thrum_kernel.paths import Paths
from thrum_kernel.settings.core import Daemon, Sync
from thrum_kernel.store.scan import scan
from thrum_kernel.store.tree import Tree
from thrum_kernel.sync.loop import Travel
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.usage import Usage, mib, usage_of

State = Literal["local-only", "stopped", "error", "idle", "synced"]

FORCE_S = 8.0
"""How long a force waits for the end of the exchange; that goes on by itself."""


class SyncParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""

    caller_agent_id: str = ""


class DaemonLag(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far we are behind a daemon.

    ``name`` is what agents of it are called by behind the ``@``, its id where nobody registered there. ``newest`` is
    the timestamp of the newest published line that is here, ``lag_s`` how many seconds ago that was.
    """

    daemon_id: str
    name: str
    newest: str
    lag_s: int
    is_local: bool = False


class SyncStatus(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How the log travels. ``last_sync_at`` has seconds, and is empty before the first time.

    ``remote`` is the name of the git remote, ``problems`` what is wrong with files there. ``remedy`` is the command
    that would let a log travel that is held off. ``bytes``, ``files`` and ``commits`` are what the log takes up,
    ``usage`` the same in parts; ``warnings`` tells of a budget that is passed and of a history that may only grow,
    ``history_kept`` is the second of these alone.
    ``held`` are the names of what `sync.release` would let travel, ``held_back`` sentences about what is here and
    neither counts nor travels yet. ``daemons`` has everybody whose
    lines are here. ``retention_days`` is 0 where messages stay, ``purged_before`` the latest cutoff of the
    purges known so far.
    """

    running: bool
    last_sync_at: str
    sync_state: State
    local_only: bool
    bytes: int
    files: int
    commits: int
    usage: Usage
    daemons: list[DaemonLag]
    last_error: str | msgspec.UnsetType = msgspec.UNSET
    local_only_reason: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    remedy: str | msgspec.UnsetType = msgspec.UNSET
    remote: str | msgspec.UnsetType = msgspec.UNSET
    purged_before: str | msgspec.UnsetType = msgspec.UNSET
    history_kept: str | msgspec.UnsetType = msgspec.UNSET
    retention_days: int = 0
    problems: list[str] = []
    held_back: list[str] = []
    warnings: list[str] = []
    held: list[str] = []


class SyncForced(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a force came to.

    ``published`` events left the journal, ``received`` lines of other clones are new here, ``pushed`` tells whether
    something went to the remote; these hold for what ended while the caller waited. ``failed``: the exchange ended in
    ``last_error``; what is published stays and is tried again. ``remedy``: what to do about it, where something is.
    ``going_on``: it had not ended when the caller stopped waiting, so what ``sync_state`` and ``last_error`` say is from
    before.
    """

    triggered: bool
    last_sync_at: str
    sync_state: State
    local_only: bool
    local_only_reason: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    last_error: str | msgspec.UnsetType = msgspec.UNSET
    remote: str | msgspec.UnsetType = msgspec.UNSET
    published: int = 0
    received: int = 0
    pushed: bool = False
    failed: bool = False
    going_on: bool = False
    remedy: str | msgspec.UnsetType = msgspec.UNSET


class SyncReplaced(msgspec.Struct, kw_only=True):
    """The remote, and the branch there that is now what ours was; empty when ours was ours already."""

    remote: str
    kept_as: str


class SyncMethods:
    """The methods.

    Args:
        publisher: what publishes.
        travel: how the log travels.
        paths, tree: where the log lies.
        clock: for how long ago something was.
        daemon: our own id.
        settings: the section ``daemon`` of the configuration as it is now.
        names: how daemons are shown, by id, as far as the projection can be asked.
        held: names of what looks like a secret and does not travel.
        held_back: sentences about what the projection holds back.
        purged_before: the latest cutoff of the purges that were looked at, or empty.
        damaged: sentences about published files that are damaged here and could not be made good.
        force_s: how long a force waits.
    """

    def __init__(
        self,
        *,
        publisher: Publisher,
        travel: Travel,
        paths: Paths,
        tree: Tree,
        clock: Clock,
        daemon: str,
        settings: Callable[[], Daemon],
        names: Callable[[], Mapping[str, str]],
        held: Callable[[], Sequence[str]],
        held_back: Callable[[], Sequence[str]],
        purged_before: Callable[[], str],
        damaged: Callable[[], Sequence[str]] = lambda: (),
        force_s: float = FORCE_S,
    ) -> None:
        self._publisher = publisher
        self._travel = travel
        self._paths = paths
        self._tree = tree
        self._clock = clock
        self._daemon = daemon
        self._settings = settings
        self._names = names
        self._held = held
        self._kept_back = held_back
        self._purged_before = purged_before
        self._damaged = damaged
        self._force_s = force_s

    def methods(self) -> Sequence[Method]:
        """``sync.status``, ``sync.force``, ``sync.replace``."""
        return (
            Method(
                name="sync.status",
                params=SyncParams,
                result=SyncStatus,
                handler=self._status,
                anonymous=True,
                while_projecting=True,
                summary="Whether and how the log travels",
            ),
            Method(
                name="sync.force",
                params=SyncParams,
                result=SyncForced,
                handler=self._force,
                mutates=True,
                summary="Publish now, and exchange with the remote",
            ),
            Method(
                name="sync.replace",
                params=SyncParams,
                result=SyncReplaced,
                handler=self._replace,
                mutates=True,
                anonymous=True,
                transports=frozenset({"unix"}),
                summary="Make the remote's branch ours where an earlier Thrum wrote it; what it was stays beside it",
            ),
        )

    @property
    def state(self) -> State:
        """In one word."""
        if self._publisher.last_error or self._travel.last_error:
            return "error"
        if self._travel.reason:
            return "local-only"
        if not self._publisher.is_running or not self._travel.is_running:
            return "stopped"
        is_behind = self._publisher.has_waiting or self._travel.has_news or self._travel.last_us is None
        return "idle" if is_behind else "synced"

    async def usage(self) -> Usage:
        """What the log takes up now."""
        try:
            budget = self._settings().sync.budget_bytes
        except ThrumError:  # told elsewhere
            budget = Sync().budget_bytes
        commits = self._travel.commits
        return await asyncio.to_thread(usage_of, self._paths, commits=commits, budget_bytes=budget)

    async def warnings(self) -> list[str]:
        """What is worth knowing before it becomes a problem, a sentence each."""
        return self._warnings(await self.usage())

    async def _status(self, call: Call, params: SyncParams) -> SyncStatus:
        reason = self._travel.reason or msgspec.UNSET
        usage = await self.usage()
        return SyncStatus(
            running=self._publisher.is_running,
            last_sync_at=self._last_sync_at(),
            sync_state=self.state,
            local_only=bool(reason),
            bytes=usage.bytes,
            files=usage.files,
            commits=usage.commits,
            usage=usage,
            daemons=await asyncio.to_thread(self._lags, self._names()),
            last_error=self._last_error(),
            local_only_reason=reason,
            reason=reason,
            remedy=self._travel.remedy or msgspec.UNSET,
            remote=self._travel.remote or msgspec.UNSET,
            purged_before=self._purged_before() or msgspec.UNSET,
            history_kept=self._history_kept() or msgspec.UNSET,
            retention_days=self._retention_days(),
            problems=[*self._travel.problems, *self._damaged()],
            held_back=self._held_back(),
            warnings=self._warnings(usage),
            held=list(self._held()),
        )

    def _lags(self, names: Mapping[str, str]) -> list[DaemonLag]:
        """Everybody whose lines are here, those furthest behind first. In a thread."""
        newest: dict[str, str] = {}
        for unit in scan(self._tree).units:
            newest[unit.daemon] = max(newest.get(unit.daemon, ""), unit.header.end)
        found = [
            DaemonLag(
                daemon_id=daemon,
                name=names.get(daemon) or daemon,
                newest=stamp,
                lag_s=self._seconds_since(stamp),
                is_local=daemon == self._daemon,
            )
            for daemon, stamp in newest.items()
        ]
        return sorted(found, key=lambda lag: (lag.newest, lag.daemon_id))

    def _seconds_since(self, stamp: str) -> int:
        try:
            return max(0, (self._clock.now_us() - parse_us(stamp)) // 1_000_000)
        except ValueError:
            return 0

    def _held_back(self) -> list[str]:
        is_waiting = self._travel.has_news and self._publisher.last_cut_us is not None
        waiting = (
            ["something here is not on the remote yet"] if is_waiting and not self._travel.reason else []
        )
        return [*waiting, *self._kept_back()]

    def _warnings(self, usage: Usage) -> list[str]:
        found = []
        if usage.is_past_budget:
            found.append(
                f"the log takes up {mib(usage.bytes)}, more than daemon.sync.budget_mb allows "
                f"({mib(usage.budget_bytes)}): thrum sync gc, thrum purge --before 90d"
            )
        return [*found, *filter(None, [self._history_kept()])]

    def _history_kept(self) -> str:
        refusal, commits = self._travel.refusal, self._travel.commits
        if not refusal:
            return ""
        return f"the history of the branch grows ({commits} commits), for it may not begin anew: {refusal}"

    def _retention_days(self) -> int:
        try:
            return self._settings().retention_days
        except ThrumError:
            return 0

    async def _force(self, call: Call, params: SyncParams) -> SyncForced:
        received, pushes = self._travel.received, self._travel.pushes
        published = await self._publisher.cut_now()
        is_over, failure = await self._forced()
        reason = self._travel.reason or msgspec.UNSET
        return SyncForced(
            triggered=True,
            last_sync_at=self._last_sync_at(),
            sync_state=self.state,
            local_only=bool(reason),
            local_only_reason=reason,
            reason=reason,
            last_error=self._last_error(),
            remote=self._travel.remote or msgspec.UNSET,
            published=published,
            received=self._travel.received - received,
            pushed=self._travel.pushes > pushes,
            failed=failure is not None,
            going_on=not is_over,
            remedy=(failure and failure.hint) or msgspec.UNSET,
        )

    async def _forced(self) -> tuple[bool, ThrumError | None]:
        """Exchange, for as long as somebody waits; whether that is over, and why it failed."""
        try:
            async with asyncio.timeout(self._force_s):
                await self._travel.force()
        except TimeoutError:
            return False, None
        except ThrumError as error:
            return True, error
        return True, None

    async def _replace(self, call: Call, params: SyncParams) -> SyncReplaced:
        kept = await self._travel.replace()
        return SyncReplaced(remote=self._travel.remote, kept_as=kept)

    def _last_error(self) -> str | msgspec.UnsetType:
        return self._publisher.last_error or self._travel.last_error or msgspec.UNSET

    def _last_sync_at(self) -> str:
        is_local = bool(self._travel.reason)
        last_us = self._publisher.last_cut_us if is_local else self._travel.last_us
        return "" if last_us is None else f"{format_us(last_us)[:19]}Z"
