"""Hints around commands: what the kernel and plugins have to say before one does anything and after it succeeded.

A hint has a code that stays. A ``warn`` hint before a command stops it, unless it may be forced and ``--force`` was
given; ``info`` only tells. Nothing is asked around commands that nobody has hints for.

Source: spec/features.md §12.3; issue "Plugins".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from thrum_kernel.api import Call, Caller, Hint, HintOption, Method, Moment
from thrum_kernel.briefing.hooks import BriefingHooks
from thrum_kernel.briefing.wording import length
from thrum_kernel.errors import GuardFired, IdentityError

STALE_US: Final = 30 * 60 * 1_000_000

KernelHint = Callable[[Moment], Sequence[Hint]]
"""The kernel's own hints at a moment; runs on the loop and must not block."""


@dataclass(frozen=True, slots=True)
class Code:
    """A code that scripts may rely on.

    Attributes:
        code: ``<command>.<what>``.
        severity: of the hint.
        meaning: when it is given.
        can_force: ``--force`` gets past it; only for ``warn`` before a command.
        owner: the plugin that gives it; empty for the kernel.
    """

    code: str
    severity: Literal["warn", "info"]
    meaning: str
    can_force: bool = False
    owner: str = ""


CODES: Final = (
    Code("agent.register.next-session", "info", "after `agent register`: a session is still to be begun"),
    Code(
        "send.recipient-stale",
        "info",
        "before `send`: a recipient of this machine was not seen for 30 minutes",
    ),
    Code(
        "identity.name-ignored", "info", "beside any command: `THRUM_NAME` names no identity of this worktree"
    ),
    Code(
        "init.next-migrate",
        "info",
        "after `init`: messages of an earlier Thrum are here and were not brought over",
    ),
    Code(
        "sync.held-back",
        "warn",
        "with `--json`, after `send`, `reply` and `message edit`: it looks like a secret and stays on this machine",
    ),
    Code("init.next-quickstart", "info", "after `init`: nobody is registered in this worktree yet"),
    Code(
        "daemon.unit.install", "info", "after `daemon unit`: where the unit goes, and how it is switched on"
    ),
    Code(
        "runtime.warn",
        "warn",
        "with `--json`: what would be a line `Warning: …`; one that begins with a code of its own has that",
    ),
    Code("tmux.create.session-exists", "warn", "before: a session of that name is alive", True, "tmux"),
    Code("tmux.create.not-a-worktree", "warn", "before: the folder is no git worktree", owner="tmux"),
    Code("tmux.create.identity-exists-alive", "warn", "before: a live agent has that worktree", owner="tmux"),
    Code("tmux.create.identity-exists-stale", "warn", "before: an identity was left there", True, "tmux"),
    Code("tmux.create.next-launch", "info", "after: the runtime is still to be launched", owner="tmux"),
    Code("tmux.create.identity-replaced", "info", "after: a stale identity was replaced", owner="tmux"),
    Code("snapshot.save.no-jsonl", "warn", "the runtime keeps no transcript", owner="tmux"),
    Code("snapshot.save.no-pid", "warn", "the agent's runtime is not known", owner="tmux"),
    Code("snapshot.save.extract-failed", "warn", "the transcript cannot be read", owner="tmux"),
    Code("snapshot.save.jsonl-not-found", "warn", "the transcript is not where it should be", owner="tmux"),
    Code("roles.config.migration", "warn", "at `prime`: templates without saved answers", owner="roles"),
    Code(
        "roles.config.schema-bump",
        "warn",
        "at `prime`: the saved answers are of an older kind",
        owner="roles",
    ),
    Code("roles.config.body-diff", "warn", "at `prime`: the shipped template has changed", owner="roles"),
)
"""Every code of the kernel and of the plugins that come with it."""


class AskParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The moment of a command that runs in its caller's own process, as `api.Moment`."""

    command: str
    phase: Literal["before", "after"]
    params: dict[str, Any] = {}
    result: Any = None
    force: bool = False
    caller_agent_id: str = ""


class Asked(msgspec.Struct, kw_only=True):
    """What there is to say."""

    hints: list[Hint]


class Hints:
    """Whoever has hints, asked together.

    Args:
        hooks: what plugins say.
        kernel: the kernel's own, by command.
    """

    def __init__(
        self,
        *,
        hooks: BriefingHooks,
        kernel: Mapping[str, KernelHint],
    ) -> None:
        self._hooks = hooks
        self._kernel = kernel

    def methods(self) -> Sequence[Method]:
        """``hints.ask``."""
        return (
            Method(
                name="hints.ask",
                params=AskParams,
                result=Asked,
                handler=self.ask,
                anonymous=True,
                while_projecting=True,
                transports=frozenset({"unix", "internal"}),
                summary="Hints before or after a command that runs in its caller's process",
            ),
        )

    def concern(self, command: str) -> bool:
        """Whether somebody may have hints around *command*."""
        return command in self._kernel or self._hooks.has_hints(command)

    async def gather(self, moment: Moment) -> list[Hint]:
        """All hints at a moment, the kernel's first."""
        own = self._kernel.get(moment.command)
        hints = list(own(moment)) if own is not None and moment.phase == "before" else []
        if self._hooks.has_hints(moment.command):
            hints += await self._hooks.hints(moment)
        return hints

    async def ask(self, call: Call, params: AskParams) -> Asked:
        """The same for a command outside."""
        if not self.concern(params.command):
            return Asked(hints=[])
        try:
            caller = call.caller
        except (GuardFired, IdentityError):  # the command itself will be told
            caller = Caller(kind="anonymous")
        moment = Moment(
            command=params.command,
            phase=params.phase,
            caller=caller,
            params=params.params,
            result=params.result,
            force=params.force,
        )
        return Asked(hints=await self.gather(moment))


def stale_recipients(last_seen_us: Callable[[str], int | None], now_us: Callable[[], int]) -> KernelHint:
    """``send.recipient-stale``.

    Args:
        last_seen_us: when an agent of this machine was last heard of, 0 for never; None when no such agent lives here.
        now_us: the present.
    """

    def hints(moment: Moment) -> list[Hint]:
        if moment.caller.kind == "anonymous":  # nobody sends without a name: nothing will wait
            return []
        names = [str(name).removeprefix("@") for name in moment.params.get("to") or ()]
        found = [(name, last_seen_us(name)) for name in dict.fromkeys(names)]
        return [
            _stale(name, now_us() - seen if seen else None)
            for name, seen in found
            if seen is not None and now_us() - seen > STALE_US
        ]

    return hints


def _stale(name: str, age_us: int | None) -> Hint:
    seen = "was never seen" if age_us is None else f"was not seen for {length(age_us)}"
    return Hint(
        code="send.recipient-stale",
        severity="info",
        message=f"@{name} {seen}: the message waits until it looks",
        options=(
            HintOption(label="who is here", cmd="thrum team"),
            HintOption(label="how far it came", cmd=f"thrum sent --to @{name}"),
        ),
    )
