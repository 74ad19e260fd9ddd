"""When each pane of a server last wrote something, as its control clients hear it.

Time stamps are written by the thread that reads and read by the loop; nothing else crosses between them for output, so
a pane that writes without end costs the loop nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

SHORTEST_S: Final = 0.005
"""Below this there is no waiting: the loop's timers count in milliseconds."""


_WHOLE_S: Final = 0.5
"""Two looks at a time in whole seconds differ by up to rounding; by more, something was written."""


class Activity:
    """Of all panes of one server.

    Args:
        monotonic: seconds that never go back.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: dict[str, float] = {}
        self._until: dict[str, float] = {}
        """Of panes that nobody hears: how far what we know of them goes."""
        self._paused: set[str] = set()
        self._awaited: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        self._lock = threading.Lock()
        """Of ``_awaited``, which both threads change; taken for output only while somebody waits for it."""

    # --- by the thread that reads ------------------------------------------------------------------------------------

    def wrote(self, pane: str) -> None:
        """A pane wrote something now."""
        self._last[pane] = self._monotonic()
        if pane in self._awaited:
            self._wake(pane)

    def paused(self, pane: str) -> None:
        """There is output that we do not get."""
        self._paused.add(pane)
        self.wrote(pane)

    def continued(self, pane: str) -> None:
        self.wrote(pane)
        self._paused.discard(pane)

    # --- by the loop -------------------------------------------------------------------------------------------------

    def began(self, pane: str, *, quiet_s: float) -> None:
        """We hear a pane from now on; it was quiet for *quiet_s* at the least, as tmux tells."""
        self._last[pane] = max(self._last.get(pane, 0.0), self._monotonic() - quiet_s)
        self._until.pop(pane, None)
        self._paused.discard(pane)

    def told(self, pane: str, *, quiet_s: float) -> None:
        """Nobody hears the pane, but just now it had been quiet for *quiet_s*; of what comes after nothing is known."""
        now = self._monotonic()
        before = self._last.get(pane)
        self._last[pane], self._until[pane] = now - quiet_s, now
        if before is not None and now - quiet_s - before > _WHOLE_S:
            self._wake(pane)

    def deaf(self, panes: Iterable[str]) -> None:
        """Nobody hears these panes any more."""
        for pane in panes:
            self._last.pop(pane, None)
            self._until.pop(pane, None)
            self._paused.discard(pane)

    def quiet_s(self, pane: str) -> float:
        """Seconds since the last output; 0 while it is paused or nobody hears it."""
        last = self._last.get(pane)
        if last is None or pane in self._paused:
            return 0.0
        return max(0.0, self._until.get(pane, self._monotonic()) - last)

    async def until_quiet(self, pane: str, seconds: float, *, deadline_s: float) -> bool:
        """Wait until the pane was quiet for *seconds*; False when that does not happen within *deadline_s*."""
        end = self._monotonic() + deadline_s
        while (missing := seconds - self.quiet_s(pane)) > 0:
            remaining = end - self._monotonic()
            if remaining <= 0:
                return False
            await asyncio.sleep(min(max(missing, SHORTEST_S), remaining))
        return True

    async def until_output(self, pane: str, *, deadline_s: float) -> bool:
        """Wait for the next output; False when there is none within *deadline_s*."""
        event = asyncio.Event()
        waiting = (asyncio.get_running_loop(), event)
        with self._lock:
            self._awaited.setdefault(pane, []).append(waiting)
        try:
            async with asyncio.timeout(deadline_s):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            self._forget(pane, waiting)
        return True

    def _wake(self, pane: str) -> None:
        with self._lock:
            waiting = self._awaited.pop(pane, [])
        for loop, event in waiting:
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits any more
                loop.call_soon_threadsafe(event.set)

    def _forget(self, pane: str, waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event]) -> None:
        with self._lock:
            others = [each for each in self._awaited.get(pane, ()) if each is not waiting]
            if others:
                self._awaited[pane] = others
            else:
                self._awaited.pop(pane, None)
