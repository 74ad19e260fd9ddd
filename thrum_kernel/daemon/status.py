"""``health``, ``daemon.status`` and ``daemon.adopt``: the daemon about itself.

Source: spec/kernel.md §4.4, §8.3; issue "Kernel", "Daemon".
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from thrum_kernel import __version__
from thrum_kernel.api import Method
from thrum_kernel.bus.call import Call
from thrum_kernel.clock import Clock
from thrum_kernel.errors import Refused
from thrum_kernel.plugins.describing import PluginRow

BUILD = "python"


class NoParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""

    caller_agent_id: str = ""


class Health(msgspec.Struct, kw_only=True, omit_defaults=True):
    """That the daemon answers, and what it is.

    ``sync_state`` is one of local-only, stopped, error, idle, synced, or ``projecting N %``; ``identity`` has the
    keys of config.json's block.
    """

    status: str
    uptime_ms: int
    version: str
    repo_id: str
    sync_state: str
    local_only: bool
    local_only_reason: str | msgspec.UnsetType = msgspec.UNSET
    identity: dict[str, str] = {}


class ServiceInfo(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    state: str
    error: str = ""
    restarts: int = 0


class DaemonStatus(Health, kw_only=True, omit_defaults=True):
    """What `daemon status` shows: health, and what the daemon holds.

    ``counts`` has messages, agents and sessions, and is empty while projecting; ``waits`` is how many ``wait`` are
    pending; ``ws_port`` is 0 without WebSocket; ``warnings`` are sentences.
    """

    pid: int
    repo_path: str
    sync_path: str
    socket: str
    ws_port: int
    connections: int
    waits: int
    counts: dict[str, int]
    plugins: list[PluginRow]
    services: list[ServiceInfo]
    warnings: list[str]


class AdoptParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``new``: take a new identity instead of the one that was found."""

    new: bool = False
    caller_agent_id: str = ""


class AdoptResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The identity that holds from the next start on."""

    daemon_id: str
    restart: bool = False


class StatusMethods:
    """The methods.

    Args:
        identity: config.json's block.
        sync: sync_state, and why the log stays here (empty when it travels).
        facts: everything else of `DaemonStatus`, by field.
        sync_warnings: what there is to warn of about the size of the log; takes a look at the disk.
        adopt: decides about an identity that was found; its id and whether a restart is needed.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        identity: Callable[[], Mapping[str, str]],
        sync: Callable[[], tuple[str, str]],
        facts: Callable[[], dict[str, Any]],
        sync_warnings: Callable[[], Awaitable[list[str]]],
        adopt: Callable[[bool], tuple[str, bool]],
    ) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._identity = identity
        self._sync = sync
        self._facts = facts
        self._sync_warnings = sync_warnings
        self._adopt = adopt

    def methods(self) -> Sequence[Method]:
        """``health``, ``daemon.status``, ``daemon.adopt``."""
        return (
            Method(
                name="health",
                params=NoParams,
                result=Health,
                handler=self.health,
                anonymous=True,
                while_projecting=True,
                summary="That the daemon answers, and what it is",
            ),
            Method(
                name="daemon.status",
                params=NoParams,
                result=DaemonStatus,
                handler=self.status,
                anonymous=True,
                while_projecting=True,
                summary="Health, counts, plugins, services and warnings",
            ),
            Method(
                name="daemon.adopt",
                params=AdoptParams,
                result=AdoptResult,
                handler=self.adopt,
                mutates=True,
                transports=frozenset({"unix"}),
                while_projecting=True,
                summary="Decide about the identity of a log that came from another machine",
            ),
        )

    def health(self, call: Call, params: NoParams) -> Health:
        return Health(**self._health())

    async def status(self, call: Call, params: NoParams) -> DaemonStatus:
        warnings = await self._sync_warnings()
        facts = self._facts()
        facts["warnings"] = [*facts["warnings"], *(f"sync: {warning}" for warning in warnings)]
        return DaemonStatus(**self._health(), pid=os.getpid(), **facts)

    def adopt(self, call: Call, params: AdoptParams) -> AdoptResult:
        """Decide; a person's or an agent's own choice, never a plugin's."""
        if call.caller.kind == "anonymous":
            raise Refused("only somebody registered here may decide which daemon this is")
        daemon_id, restart = self._adopt(params.new)
        return AdoptResult(daemon_id=daemon_id, restart=restart)

    def _health(self) -> dict[str, Any]:
        state, reason = self._sync()
        identity = dict(self._identity())
        return {
            "status": "ok",
            "uptime_ms": int((self._clock.monotonic() - self._started) * 1000),
            "version": f"{__version__}+{BUILD}",
            "repo_id": identity.get("repo_name", ""),
            "sync_state": state,
            "local_only": bool(reason),
            "local_only_reason": reason or msgspec.UNSET,
            "identity": identity,
        }
