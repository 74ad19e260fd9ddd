"""Agents that say they work and whose terminal shows nothing: asked to go on, ever more rarely, and not for ever.

What is sent is a message like any other, so it is typed under the same conditions as every wake. Source:
spec/features.md §3.5, §15 item 47.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError
from thrum_tmux.identities import identities
from thrum_tmux.panes import Panes
from thrum_tmux.screen import patterns
from thrum_tmux.screen.reading import read
from thrum_tmux.settings import Nudge
from thrum_tmux.wake.supervisors import SENDER

WORKING: Final = "working"
_SHORTEST_S: Final = 1.0
_OFF_S: Final = 60.0
"""How often a setting that says never is read again."""


@dataclass(slots=True)
class Asked:
    """How often an agent was asked.

    Attributes:
        times: since it last went on by itself.
        at: when last, by a clock that never goes back.
    """

    times: int = 0
    at: float = 0.0

    def due_s(self, idle_s: float) -> float:
        """Seconds of silence after which it is asked again."""
        return idle_s * 2.0**self.times

    def went_on(self, quiet_since: float, idle_s: float) -> bool:
        """Whether its terminal showed something for longer than the question and its answer take."""
        return self.times > 0 and quiet_since - self.at > idle_s / 2


@dataclass(slots=True)
class Silence:
    """Watches the agents of this daemon.

    Attributes:
        monotonic: seconds that never go back.
    """

    ctx: PluginContext
    monotonic: Callable[[], float] = time.monotonic
    _asked: dict[str, Asked] = field(default_factory=dict)

    async def watch(self, started: Callable[[], None]) -> None:
        """Ask whenever it is due, until cancelled."""
        started()
        while True:
            wait_s = await self.look()
            await asyncio.sleep(wait_s)

    async def look(self) -> float:
        """Ask whoever is due; gives the seconds until somebody may be."""
        try:
            nudge: Nudge = self.ctx.settings.nudge
            if not nudge.working_idle_seconds or not nudge.working_idle_times:
                return _OFF_S
            working = {each.name for each in await identities(self.ctx) if each.agent_status == WORKING}
        except ThrumError as error:
            self.ctx.log.warning("who works is not known: %s", error)
            return _OFF_S
        for name in self._asked.keys() - working:
            del self._asked[name]
        waits = [await self._agent(name, nudge) for name in sorted(working)]
        return max(_SHORTEST_S, min([nudge.working_idle_seconds, *waits]))

    async def _agent(self, name: str, nudge: Nudge) -> float:
        """Ask one agent if it is due; gives the seconds until it may be."""
        try:
            pane = await self.ctx.shared(Panes).of_agent(name)
            if pane is None:
                return nudge.working_idle_seconds
            quiet_s, now = pane.quiet_s(), self.monotonic()
            asked = self._asked.setdefault(name, Asked())
            if asked.went_on(now - quiet_s, nudge.working_idle_seconds):
                asked.times = 0
            due_s = asked.due_s(nudge.working_idle_seconds)
            if asked.times >= nudge.working_idle_times:
                return nudge.working_idle_seconds
            if quiet_s < due_s:
                return due_s - quiet_s
            look = await pane.look()
            if self._asks_itself(look.lines, look.cursor, look.size[0]):
                return nudge.working_idle_seconds
            await self.ctx.send(_text(quiet_s), to=f"@{name}", sender=SENDER)
            asked.times, asked.at = asked.times + 1, now
        except ThrumError as error:
            self.ctx.log.warning("@%s, who says it works, was not asked why it is silent: %s", name, error)
        return nudge.working_idle_seconds

    def _asks_itself(self, lines: tuple[str, ...], cursor: tuple[int, int], columns: int) -> bool:
        """Whether a dialog of any runtime is on the screen: it waits for a person, not for us."""
        for preset in self.ctx.presets():
            try:
                if read(lines, cursor, patterns.of(preset), columns=columns).owner == "dialog":
                    return True
            except patterns.PatternBroken as error:
                self.ctx.log.warning("%s", error)
        return False


def _text(quiet_s: float) -> str:
    minutes = max(1, round(quiet_s / 60))
    return (
        f"Your status is working, but your terminal has shown nothing for {minutes} min. Go on with your task, or tell"
        " how you stand: thrum agent set-status idle, or blocked."
    )
