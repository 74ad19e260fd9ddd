"""The terminal rung of the wake ladder: an agent's pane, our line in it, and the proof that it was shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from thrum_kernel.api import Evidence, PluginContext, RuntimePreset, Wake
from thrum_kernel.errors import ThrumError
from thrum_tmux.identities import identities
from thrum_tmux.pane import Look, Pane
from thrum_tmux.panes import Panes
from thrum_tmux.screen import patterns
from thrum_tmux.settings import Nudge
from thrum_tmux.wake import supervisors
from thrum_tmux.wake.evidence import Before, Transcripts
from thrum_tmux.wake.gate import Place
from thrum_tmux.wake.injection import MOOT, Injection, Timing, Typed
from thrum_tmux.wake.line import SHELL, line_of, newest
from thrum_tmux.wake.program import Program, running
from thrum_tmux.wake.storm import Breaker, Limits, Storm

MEANS: Final = "tmux"
RETRY_S: Final = 30.0
"""A pane that could not be typed into is looked at again after so many seconds, or as many as it was waited for."""
ABSENT_S: Final = 300.0
"""An agent whose runtime does not run is looked after so seldom: the next one is told of its mail when it starts."""
STEADY_S: Final = 0.2
"""A prompt box must stay the same for so long to be believed."""
_LOOK_S: Final = 0.5
"""Between two looks for proof while the pane shows nothing new."""
UNPROVEN: Final = "typed and entered, but nothing shows that it was seen"


class Waking:
    """Wakes agents by their panes; one for the plugin, ``ctx.shared(Waking)``.

    Attributes:
        breaker: what stops it.
    """

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx = ctx
        self._panes = ctx.shared(Panes)
        self.breaker = Breaker(monotonic=time.monotonic)

    async def wake(self, wake: Wake) -> Evidence | None:
        """One rung: what is proven, or None when the agent lives in no pane."""
        try:
            pane = await self._panes.of_agent(wake.agent_id)
            if pane is None:
                return None
            nudge: Nudge = self._ctx.settings.nudge
            storm = await self._storm(wake, nudge)
            if storm is None:
                return await self._typed(wake, pane, nudge)
            if storm.is_new:
                await self._warn(wake.agent_id, storm.why, nudge)
            return self._failed(wake, storm.why)
        except (ThrumError, patterns.PatternBroken) as error:
            return self._failed(wake, str(error), retry_s=RETRY_S)

    async def _storm(self, wake: Wake, nudge: Nudge) -> Storm | None:
        """Why the agent may not be woken; None when it may."""
        woken_for = self.breaker.woken_for(wake.agent_id)
        unread = await self._unnoticed(wake.agent_id, woken_for, "unread") if woken_for else []
        if len(unread) < len(woken_for):
            self.breaker.read(wake.agent_id)
        messages = list(zip(wake.message_ids, wake.senders, strict=True))
        return self.breaker.judge(wake.agent_id, messages, _limits(nudge))

    async def _typed(self, wake: Wake, pane: Pane, nudge: Nudge) -> Evidence:
        """Type the line, and wait for proof."""
        program = await self._program(await pane.look())
        preset = await self._preset(wake.agent_id, program)
        if preset is None:
            what = program.name or "nothing"
            return self._failed(wake, f"its runtime does not run in its pane, but {what}", retry_s=ABSENT_S)
        found = patterns.of(preset)
        if not found.knows_prompt:
            return self._failed(wake, f"nothing is known of the prompt of {preset.display_name}")
        transcripts = Transcripts(preset)
        before = await self._ctx.in_thread(transcripts.before, program, newest(wake))
        began = time.monotonic()
        injection = Injection(
            pane,
            line_of(wake, runtime=preset.name),
            place=Place(preset.name, preset.queues_input, max(0.0, nudge.chrome_quiet_seconds)),
            patterns=found,
            timing=_timing(nudge, preset),
            runtime_of=self._runtime_of,
            on_enter=lambda: self._record(wake.agent_id, Evidence("injected", MEANS, (newest(wake),))),
            typing=lambda: self._panes.typing(pane.id),
            busy_wait=lambda: (
                preset.hooks_supported and time.monotonic() - began < nudge.hook_deadline_seconds
            ),
            is_moot=lambda: self._is_noticed(wake.agent_id, wake.message_ids),
        )
        typed = await injection.run(max(0.0, nudge.dispatch_deadline_seconds))
        if typed.state != "submitted":
            return self._not_entered(wake, typed, nudge)
        return await self._proven(wake, pane, transcripts, before, nudge)

    def _not_entered(self, wake: Wake, typed: Typed, nudge: Nudge) -> Evidence:
        if typed.reason == MOOT:
            return Evidence("injected", MEANS, ())
        standing = "; our line stands in its prompt" if typed.state == "left" else ""
        return self._failed(wake, f"{typed.reason}{standing}", retry_s=_retry_s(nudge))

    # --- proof -------------------------------------------------------------------------------------------------------

    async def _proven(
        self, wake: Wake, pane: Pane, transcripts: Transcripts, before: Before, nudge: Nudge
    ) -> Evidence:
        """What shows that the line was given to the agent; only its newest message is in it."""
        shown = (newest(wake),)
        self.breaker.woken(wake.agent_id, newest(wake))
        end = time.monotonic() + nudge.evidence_seconds
        while True:
            if await self._is_noticed(wake.agent_id, shown):
                return Evidence("injected", MEANS, shown)
            program = await self._program(await pane.look())
            if transcripts.can_tell and await self._ctx.in_thread(
                transcripts.shows, program, shown[0], before
            ):
                return Evidence("seen", f"transcript:{program.runtime}", shown)
            remaining = end - time.monotonic()
            if remaining <= 0:
                return Evidence("failed", MEANS, shown, UNPROVEN)
            await pane.until_output(min(remaining, _LOOK_S))
            await asyncio.sleep(min(max(0.0, end - time.monotonic()), 0.05))  # a spinner writes without end

    async def _record(self, agent: str, evidence: Evidence) -> None:
        await self._ctx.call(
            "message.evidence",
            agent_id=agent,
            evidence={
                "fact": evidence.fact,
                "means": evidence.means,
                "message_ids": evidence.message_ids,
                "reason": evidence.reason,
            },
        )

    def _failed(self, wake: Wake, reason: str, *, retry_s: float | None = None) -> Evidence:
        return Evidence("failed", MEANS, wake.message_ids, reason, retry_s)

    # --- what is known -----------------------------------------------------------------------------------------------

    async def _program(self, look: Look) -> Program:
        return await running(self._ctx, look)

    async def _runtime_of(self, look: Look) -> str:
        return (await self._program(look)).runtime

    async def _preset(self, agent: str, program: Program) -> RuntimePreset | None:
        """The runtime that is to be typed into: the one that runs there; a shell only for an agent that is one."""
        name = program.runtime
        if name == SHELL and await self._own_runtime(agent) != SHELL:
            return None
        return next((preset for preset in self._ctx.presets() if preset.name == name), None)

    async def _own_runtime(self, agent: str) -> str:
        """What the agent was launched as."""
        found = await identities(self._ctx, name=agent)
        return next((each.runtime or each.preferred_runtime for each in found), "")

    async def _is_noticed(self, agent: str, message_ids: Sequence[str]) -> bool:
        """Whether *agent* has seen or read all of *message_ids*."""
        return not await self._unnoticed(agent, message_ids, "unseen")

    async def _unnoticed(self, agent: str, message_ids: Sequence[str], kind: str) -> list[str]:
        found = await self._ctx.call("message.unseen", agent_id=agent, message_ids=[*message_ids])
        ids: list[str] = found[kind]
        return ids

    async def _warn(self, agent: str, why: str, nudge: Nudge) -> None:
        minutes = nudge.storm_pause_seconds / 60
        text = (
            f"@{agent} is not woken any more for {minutes:g} minutes ({why.removeprefix('storm: ')}). "
            "Its messages are kept; find its session with thrum tmux status, and look at it with thrum tmux capture"
        )
        try:
            await supervisors.tell(self._ctx, text, about=agent)
        except ThrumError as error:
            self._ctx.log.warning("the supervisor could not be told that %s", error)


def _timing(nudge: Nudge, preset: RuntimePreset) -> Timing:
    quiet_s = max(0.0, nudge.chrome_quiet_seconds)
    return Timing(
        quiet_s=quiet_s,
        steady_s=min(STEADY_S, quiet_s) if quiet_s else STEADY_S,
        enter_delay_s=preset.enter_delay_s,
    )


def _limits(nudge: Nudge) -> Limits:
    return Limits(
        wakes=nudge.storm_wakes, per_minute=nudge.storm_per_minute, pause_s=nudge.storm_pause_seconds
    )


def _retry_s(nudge: Nudge) -> float:
    return max(0.1, min(RETRY_S, nudge.dispatch_deadline_seconds))
