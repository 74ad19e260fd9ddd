"""Guards: who judges what, the strictest verdict, and failing closed.

A guard that fails or hangs denies the call and, from then on, everything in its scope, at once and uncalled, until it
is enabled again; only the commands with which one does that are warned of it and go on. Kernel messaging is judged only
by plugins that ``plugins.messaging_guards`` names.

Source: DESIGN.md D6.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from thrum_kernel.api import GuardedCall, IdentityFacts, Verdict
from thrum_kernel.bus.call import Call
from thrum_kernel.bus.standing import standing
from thrum_kernel.errors import GuardFired
from thrum_kernel.plugins.hooks import Bound, HookFailed, Hooks

_log = logging.getLogger(__name__)

MESSAGING_METHODS: Final = ("message.", "thread.", "group.")
MESSAGING_COMMANDS: Final = frozenset(
    {
        "send",
        "reply",
        "inbox",
        "sent",
        "wait",
        "search",
        "message",
        "thread",
        "group",
        "read",
    }
)
"""First words of the commands that kernel messaging is made of."""

MENDING: Final = frozenset({"config", "daemon", "doctor", "help", "plugin", "version"})
"""First words of the commands with which a guard that failed is looked at and mended: it warns, and they go on."""

_RANK: Final = {"allow": 0, "warn": 1, "deny": 2}


@dataclass(frozen=True, slots=True, eq=False)
class Guard:
    """A guard with what it judges.

    Attributes:
        exact: methods, kinds and ``command:<words>``.
        every_command: it judges them all.
    """

    bound: Bound
    exact: frozenset[str]
    every_command: bool

    def judges(self, call: GuardedCall) -> bool:
        """Whether *call* is in its scope."""
        if call.kind == "method":
            return call.name in self.exact
        if call.kind == "command":
            return self.every_command or f"command:{call.name}" in self.exact
        return call.kind in self.exact


class Guards:
    """All guards, asked together.

    Args:
        messaging_guards: plugins that may judge kernel messaging; asked each time.

    Attributes:
        identities_in: the identity files of a worktree, for calls that somebody judges; none where there is no daemon.
    """

    def __init__(self, hooks: Hooks, *, messaging_guards: Callable[[], Collection[str]]) -> None:
        self.identities_in: Callable[[Path], tuple[IdentityFacts, ...]] = lambda worktree: ()
        self._hooks = hooks
        self._messaging_guards = messaging_guards
        self._guards: list[Guard] = []

    def add(self, bound: Bound, scope: list[str]) -> Callable[[], None]:
        """Ask this one, too; the result takes it back."""
        guard = Guard(bound, frozenset(scope), "command:*" in scope)
        self._guards.append(guard)
        return lambda: self._guards.remove(guard)

    def scope_of(self, bound: Bound) -> list[str]:
        """What a guard judges, sorted."""
        return sorted(name for guard in self._guards if guard.bound is bound for name in guard.exact)

    def judge_method(self, name: str) -> bool:
        """Whether any guard may judge a method: others are no slower for there being guards."""
        return any(name in guard.exact for guard in self._guards)

    @property
    def is_empty(self) -> bool:
        """Whether there is no guard at all."""
        return not self._guards

    def wanted(self, call: GuardedCall) -> list[Guard]:
        """Who judges *call*."""
        found = [guard for guard in self._guards if guard.judges(call)]
        if found and is_messaging(call):
            named = self._messaging_guards()
            found = [guard for guard in found if guard.bound.plugin.name in named]
        return found

    async def judge(self, call: GuardedCall) -> Verdict | None:
        """The strictest verdict; None when no guard has anything to say."""
        guards = self.wanted(call)
        if not guards:
            return None
        if not call.identities and call.caller.worktree is not None:
            call = dataclasses.replace(call, identities=self.identities_in(call.caller.worktree))
        verdicts = await asyncio.gather(*(self._ask(guard, call) for guard in guards))
        given = [verdict for verdict in verdicts if verdict is not None]
        return max(given, key=lambda verdict: _RANK[verdict.outcome], default=None)

    async def enforce(self, call: GuardedCall) -> Verdict | None:
        """`judge`, for what goes on unless it is denied.

        Raises:
            GuardFired: it is.
        """
        verdict = await self.judge(call)
        if verdict is not None and verdict.outcome == "deny":
            raise fired(verdict)
        if verdict is not None and verdict.outcome == "warn":
            _log.warning("guard %s warns: %s (%s %s)", verdict.guard, verdict.reason, call.kind, call.name)
        return verdict

    async def method(self, call: Call, params: Any) -> None:
        """The dispatcher's question before a mutating method; calls of the kernel and of plugins are not judged.

        Raises:
            GuardFired: it is denied.
        """
        asked = GuardedCall(kind="method", name=call.method, caller=standing(call))
        if asked.caller.kind == "kernel" or not self.wanted(asked):
            return
        plain = msgspec.to_builtins(params)
        verdict = await self.enforce(dataclasses.replace(asked, params=plain, force=bool(plain.get("force"))))
        if verdict is not None and verdict.outcome == "warn":
            call.warnings.append(str(fired(verdict)))

    async def _ask(self, guard: Guard, call: GuardedCall) -> Verdict | None:
        bound = guard.bound
        if bound.off:
            return self._closed(guard, bound.off, call)
        try:
            answer = await self._hooks.ask(bound, {"call": call}, _no_verdict)
        except HookFailed as failure:
            self._hooks.switch_off(bound, f"{failure}; it denies what it judges")
            return self._closed(guard, str(failure), call)
        verdict: Verdict | None = answer
        if verdict is not None and not verdict.guard:
            verdict = dataclasses.replace(verdict, guard=bound.plugin.name)
        return verdict

    def _closed(self, guard: Guard, why: str, call: GuardedCall) -> Verdict:
        plugin = guard.bound.plugin
        is_mending = call.kind == "command" and call.name.partition(" ")[0] in MENDING
        return Verdict(
            outcome="warn" if is_mending else "deny",
            guard=plugin.name,
            reason="guard_failed",
            facts={"plugin": plugin.label, "failure": why, "refused": f"{call.kind} {call.name}"},
            hint=f"mend it, then: thrum plugin enable {plugin.name} (or: thrum plugin disable {plugin.name})",
        )


def fired(verdict: Verdict) -> GuardFired:
    """The error that a denying verdict is told as."""
    return GuardFired(verdict.guard, verdict.reason, facts=verdict.facts, hint=verdict.hint)


def is_messaging(call: GuardedCall) -> bool:
    """Whether *call* is kernel messaging."""
    if call.kind == "method":
        return call.name.startswith(MESSAGING_METHODS)
    return call.kind == "command" and call.name.partition(" ")[0] in MESSAGING_COMMANDS


def _no_verdict(answer: Any) -> str:
    is_one = isinstance(answer, Verdict) and answer.outcome in _RANK
    return "" if is_one else f"gave no Verdict but {answer!r:.80}"
