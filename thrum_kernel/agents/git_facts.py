"""What git says about the worktrees that agents stand in, asked no more often than needed.

Looking at a worktree costs several git processes. An answer is kept for a few seconds and given again as long as
HEAD and the index are the files they were; twenty agents in one worktree cost one look.

Source: spec/kernel.md §6.8, §10.4 (#64).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from thrum_kernel import gitdir
from thrum_kernel.clock import Clock
from thrum_kernel.errors import ThrumError

_log = logging.getLogger(__name__)

W = TypeVar("W")
Stamp = tuple[tuple[int, int, int], ...]

AT_ONCE: Final = 4
"""How many worktrees are looked at together."""


@dataclass(slots=True)
class _Kept(Generic[W]):
    state: W
    stamp: Stamp
    taken: float


class GitFacts(Generic[W]):
    """States of worktrees, cached.

    Args:
        look: the state of a worktree, blocking; raises OSError or ThrumError when there is none to be had.
        clock: for the age of an answer.
    """

    def __init__(self, look: Callable[[Path], W], *, clock: Clock) -> None:
        self._look = look
        self._clock = clock
        self._kept: dict[Path, _Kept[W]] = {}
        self._running: dict[Path, asyncio.Task[W | None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def state(self, worktree: Path, *, max_age_s: float) -> W | None:
        """The state of *worktree*, at most *max_age_s* old; None when it cannot be told."""
        kept = self._kept.get(worktree)
        if kept is not None and self._clock.monotonic() - kept.taken <= max_age_s:
            stamp = await asyncio.to_thread(_stamp, worktree)
            if stamp == kept.stamp:
                return kept.state
        return await asyncio.shield(self._renewed(worktree))

    async def soon(self, worktree: Path, *, fresh_s: float, kept_s: float) -> W | None:
        """The state of *worktree* without waiting where one of the last *kept_s* is kept and nothing was committed.

        One that is older than *fresh_s* is renewed behind the answer, for whoever asks next.
        """
        kept = self._kept.get(worktree)
        age_s = self._clock.monotonic() - kept.taken if kept is not None else math.inf
        if kept is None or age_s > kept_s or await asyncio.to_thread(_stamp, worktree) != kept.stamp:
            return await asyncio.shield(self._renewed(worktree))
        if age_s > fresh_s:
            self._renewed(worktree)
        return kept.state

    async def states(self, worktrees: Iterable[Path], *, max_age_s: float) -> dict[Path, W]:
        """The states of several worktrees, without those that cannot be told."""
        asked = list(dict.fromkeys(worktrees))
        found = await asyncio.gather(*(self.state(path, max_age_s=max_age_s) for path in asked))
        return {path: state for path, state in zip(asked, found, strict=True) if state is not None}

    def forget(self, worktree: Path) -> None:
        """Drop what is kept of a worktree that is gone."""
        self._kept.pop(worktree, None)

    def _renewed(self, worktree: Path) -> asyncio.Task[W | None]:
        """The look at *worktree* that is under way, or a new one."""
        task = self._running.get(worktree)
        if task is None:
            task = asyncio.create_task(self._ask(worktree), name=f"git state of {worktree.name}")
            self._running[worktree] = task
            task.add_done_callback(lambda _: self._running.pop(worktree, None))
        return task

    async def _ask(self, worktree: Path) -> W | None:
        async with self._slots:
            started = self._clock.monotonic()
            try:
                stamp, state = await asyncio.to_thread(lambda: (_stamp(worktree), self._look(worktree)))
            except (OSError, ThrumError) as error:
                _log.info("no git state of %s: %s", worktree, error)
                self._kept.pop(worktree, None)
                return None
        self._kept[worktree] = _Kept(state, stamp, started)
        return state


def _stamp(worktree: Path) -> Stamp:
    """Identity and times of HEAD and index; empty outside git."""
    try:
        place = gitdir.locate(worktree)
    except (OSError, ThrumError):
        return ()
    if place is None:
        return ()
    found = []
    for name in ("HEAD", "index"):
        try:
            status = (place.git_dir / name).stat()
        except OSError:
            continue
        found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)
