"""From a connection to a caller: the facts that the system gives, judged by the picture of what is registered.

Source: DESIGN.md D5; spec/decisions.md "Identity".
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path

import psutil

from thrum_kernel.agents.world import WorldKeeper
from thrum_kernel.api import Caller
from thrum_kernel.bus.peer import Peer, standing
from thrum_kernel.bus.tokens import Tokens
from thrum_kernel.cli.protocol import Request
from thrum_kernel.errors import IdentityAmbiguous, ShuttingDown
from thrum_kernel.identity import probe
from thrum_kernel.identity.facts import Facts
from thrum_kernel.identity.processes import RUNTIMES

_log = logging.getLogger(__name__)


class Callers:
    """Says who is at the other end of a connection.

    Args:
        runtimes: process name → runtime: the kernel's and those of presets; looked at each time.
        is_taken_away: whether files of ours were taken away under this daemon (``git clean -fdx``). Identity files
            may be among them, so whoever is nobody then is told to ask the next daemon, which has them again.
    """

    def __init__(
        self,
        world: WorldKeeper,
        tokens: Tokens,
        *,
        runtimes: Mapping[str, str] = RUNTIMES,
        is_taken_away: Callable[[], bool] = lambda: False,
    ) -> None:
        self._runtimes = runtimes
        self._world = world
        self._tokens = tokens
        self._is_taken_away = is_taken_away

    def of_peer(self, peer: Peer, claim: str) -> Caller:
        """The caller of a JSON-RPC request; *claim* is its ``caller_agent_id``.

        Raises:
            GuardFired, IdentityError: the claim contradicts the facts, or several identities fit.
            ShuttingDown: nobody is known here, for the files were taken away.
        """
        facts = self._facts(peer)
        try:
            return self._resolved(facts, claim, token_principal=peer.principal)
        except IdentityAmbiguous:
            # A request has no environment; its process has: commands in process mean the same as in the daemon.
            named = _name_of(facts)
            if not named:
                raise
            return self._resolved(facts, claim, named=named, token_principal=peer.principal)

    def of_command(self, peer: Peer, request: Request) -> Callable[[str], Caller]:
        """What tells the caller of a command, with the environment of its client, from the claim of each call.

        The system is asked once for the whole command. The function raises GuardFired, IdentityError and
        ShuttingDown as `of_peer`, and Refused when its token is no good.
        """
        env = request.env
        facts = functools.cache(lambda: self._facts(peer))

        def caller_of(claim: str) -> Caller:
            token = env.get("THRUM_TOKEN", "")
            principal = self._tokens.verify(token).principal if token else peer.principal
            caller = self._resolved(
                facts(),
                claim or env.get("THRUM_AGENT_ID", ""),
                named=env.get("THRUM_NAME", ""),
                token_principal=principal,
            )
            if caller.cwd is None and "cwd" in facts().failed and request.cwd:
                return replace(caller, cwd=Path(request.cwd))
            return caller

        return caller_of

    def facts_of(self, peer: Peer) -> Hashable | None:
        """What differs when who a peer is could differ: where its process stands, and what is registered."""
        found = standing(peer)
        return None if found is None else (self._world.version, found)

    def _facts(self, peer: Peer) -> Facts:
        return probe.facts(peer.pid, pidfd=peer.pidfd, names=self._runtimes)

    def _resolved(
        self, facts: Facts, claim: str, *, named: str = "", token_principal: str | None = None
    ) -> Caller:
        caller = self._world.resolve_peer(facts, claim, named=named, token_principal=token_principal)
        if not caller.is_known and self._is_taken_away():
            raise ShuttingDown
        if caller.asserted:
            for step in sorted(facts.failed):
                _log.warning("step=%s failed pid=%s: the claim %r is taken", step, facts.pid, caller.agent_id)
        return caller


def _name_of(facts: Facts) -> str:
    """``THRUM_NAME`` in the environment that a process was started with; empty when that cannot be read."""
    try:
        return str(psutil.Process(facts.pid).environ().get("THRUM_NAME", ""))
    except (psutil.Error, OSError, ValueError):
        return ""
