"""Before a command: the guards are asked, and an identity whose runtime has ended may go to the caller's runtime.

Commands in the daemon pass here before they are parsed; those in process ask ``command.judge`` when they first reach
for the daemon. A command that no guard judges costs one look at the guards.

Source: DESIGN.md D6; spec/features.md §10; issue "Plugins".
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from thrum_kernel.api import Call, Caller, GuardedCall, IdentityFacts, Method, Verdict
from thrum_kernel.bus.standing import AmbiguousHere, StrangerHere
from thrum_kernel.errors import GuardFired, IdentityError, ThrumError

_log = logging.getLogger(__name__)

NOBODY: Final = Caller(kind="anonymous")
TAKE_OVER_THEMSELVES: Final = frozenset({"prime", "quickstart"})
"""Commands that register the caller's runtime, with checkpoints of their own."""


class JudgeParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Parameters of ``command.judge``.

    ``command`` is its words, ``args`` what follows them, ``tmux_pane`` the caller's ``TMUX_PANE``.
    """

    command: str
    args: list[str] = []
    tmux_pane: str = ""


class Judged(msgspec.Struct, kw_only=True):
    """The command may go on. ``warnings`` are what guards have to say, to be shown."""

    warnings: list[str] = []


class Judges(Protocol):
    """Who judges (`plugins.guarding.Guards`)."""

    @property
    def is_empty(self) -> bool: ...
    def wanted(self, call: GuardedCall) -> Sequence[Any]: ...
    async def enforce(self, call: GuardedCall) -> Verdict | None: ...


class Gate:
    """What every command passes.

    Args:
        guards: who judges.
        identities_in: the identity files of a worktree.
        take_over: gives an agent to the runtime of a caller that stands in its worktree.
    """

    def __init__(
        self,
        guards: Judges,
        *,
        identities_in: Callable[[Path], Sequence[IdentityFacts]],
        take_over: Callable[[str, Caller], Awaitable[object]],
    ) -> None:
        self._guards = guards
        self._identities_in = identities_in
        self._take_over = take_over

    def methods(self) -> Sequence[Method]:
        """``command.judge``."""
        return (
            Method(
                name="command.judge",
                params=JudgeParams,
                result=Judged,
                handler=self.judge,
                anonymous=True,
                while_projecting=True,
                transports=frozenset({"unix", "internal"}),
                summary="Whether guards let a command pass that runs in the caller's own process",
            ),
        )

    async def judge(self, call: Call, params: JudgeParams) -> Judged:
        """Let a command pass that the caller is about to run.

        Raises:
            GuardFired: a guard refuses.
        """
        if not self.concerns(params.command):
            return Judged()
        warnings = await self.before(
            params.command,
            args=params.args,
            tmux_pane=params.tmux_pane,
            caller=known_or_nobody(lambda: call.caller),
        )
        return Judged(warnings=warnings)

    def concerns(self, command: str) -> bool:
        """Whether anybody judges that command, e.g. ``agent list``."""
        if self._guards.is_empty:
            return False
        return bool(self._guards.wanted(GuardedCall(kind="command", name=command, caller=NOBODY)))

    async def before(self, command: str, *, args: Sequence[str], tmux_pane: str, caller: Caller) -> list[str]:
        """Ask about a command; what is to be told to whoever typed it.

        Raises:
            GuardFired: a guard refuses.
        """
        params = {"args": list(args), "repo": _option(args, "--repo"), "tmux_pane": tmux_pane}
        verdicts = [
            None if command in TAKE_OVER_THEMSELVES else await self._reclaim(command, caller, params),
            await self._guards.enforce(
                GuardedCall(
                    kind="command", name=command, caller=caller, params=params, force="--force" in args
                )
            ),
        ]
        return [warning(verdict) for verdict in verdicts if verdict is not None and verdict.outcome == "warn"]

    async def _reclaim(self, command: str, caller: Caller, params: Mapping[str, Any]) -> Verdict | None:
        """Where the identity's own process has ended: ask whether the caller's runtime may have it, and give it."""
        dead = self._dead_owner(caller)
        if dead is None:
            return None
        verdict = await self._guards.enforce(
            GuardedCall(
                kind="reclaim",
                name=dead.name,
                caller=caller,
                params={**params, "command": command},
            )
        )
        if verdict is None:
            return None
        try:
            await self._take_over(dead.name, caller)
        except ThrumError as error:  # the command goes on as before, and its own calls say what is wrong
            _log.warning("%s is not taken over by process %s: %s", dead.name, caller.runtime_pid, error)
        return verdict

    def _dead_owner(self, caller: Caller) -> IdentityFacts | None:
        is_newcomer = caller.kind == "agent" and caller.source == "worktree" and caller.runtime_pid
        if not is_newcomer or caller.worktree is None:
            return None
        if not self._guards.wanted(GuardedCall(kind="reclaim", name=caller.agent_id, caller=caller)):
            return None
        for identity in self._identities_in(caller.worktree):
            if identity.name == caller.agent_id and identity.pid and not identity.is_running:
                return identity
        return None


def known_or_nobody(caller: Callable[[], Caller]) -> Caller:
    """The caller, as an anonymous one where it cannot be told: what it asks for says so by itself."""
    try:
        return caller()
    except (AmbiguousHere, StrangerHere) as error:
        return error.caller
    except (GuardFired, IdentityError):
        return NOBODY


def warning(verdict: Verdict) -> str:
    """What a warning verdict tells, in the lines of an error."""
    return f"Warning: {GuardFired(verdict.guard, verdict.reason, facts=verdict.facts)}"


def _option(args: Sequence[str], name: str) -> str:
    """The value of an option that takes one, as it was given last; empty when it was not."""
    found = ""
    for place, word in enumerate(args):
        if word == "--":
            break
        if word == name and place + 1 < len(args):
            found = args[place + 1]
        elif word.startswith(f"{name}="):
            found = word.partition("=")[2]
    return found
