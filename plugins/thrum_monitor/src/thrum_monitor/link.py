"""The daemon's end of the talk with the runner."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from thrum_kernel.api import PluginContext
from thrum_kernel.errors import ThrumError
from thrum_monitor import frames
from thrum_monitor.frames import Lines, Order, Ping, Pong, Show, Word

_LONGEST_WORD: Final = 8 << 20
_ANSWER_S: Final = 5.0
MARGIN_S: Final = 3.0
"""How long the runner may take to end itself, after the grace of the commands."""
BEAT_S: Final = 10.0
BEATS: Final = 3
"""After so many pings without a word it is taken for dead; one alone may be the daemon's own sleep."""


class RunnerLost(ThrumError):
    """The runner ended by itself; every command goes with it, and is started again with the next one."""


class Link:
    """A running runner.

    Args:
        folder: where it keeps the last output of each monitor.
        grace_s: how long commands may take to end when the daemon does.
        hear: told every word but answers.
        beat_s: how long between two pings.
    """

    def __init__(
        self,
        ctx: PluginContext,
        folder: Path,
        *,
        grace_s: float,
        hear: Callable[[Word], None],
        beat_s: float = BEAT_S,
    ) -> None:
        self._ctx = ctx
        self._folder = folder
        self._grace_s = grace_s
        self._hear = hear
        self._beat_s = beat_s
        self._words = 0
        self._why = ""
        self._asks = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Lines]] = {}
        self._process: asyncio.subprocess.Process | None = None

    async def open(self) -> int:
        """Start it; gives its process id."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "thrum_monitor.runner",
            str(self._folder),
            str(self._grace_s),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,
            limit=_LONGEST_WORD,
        )
        return self._process.pid

    def say(self, order: Order) -> None:
        """Give an order; it is lost when the runner is."""
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(frames.encode(order))

    async def listen(self) -> None:
        """Pass on every word, until the runner is gone.

        Raises:
            RunnerLost: it is.
        """
        beat = asyncio.create_task(self._beat(), name="monitor runner")
        try:
            await self._listen()
        finally:
            beat.cancel()

    def give_up(self, why: str) -> None:
        """Kill a runner that does nothing any more; `listen` raises RunnerLost with *why*."""
        if self._process is not None and self._process.returncode is None:
            self._why = why
            self._process.kill()

    async def _beat(self) -> None:
        """Ask again and again whether it is there: one that is stopped, or stuck, does not end by itself."""
        silent = 0
        while silent < BEATS:
            words = self._words
            self.say(Ping())
            await asyncio.sleep(self._beat_s)
            silent = 0 if self._words != words else silent + 1
        self.give_up(f"it gave no answer for {silent * self._beat_s:g} s")

    async def _listen(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        while line := await self._process.stdout.readline():
            word = frames.decode_word(line)
            self._words += 1
            if isinstance(word, Pong):
                continue
            if isinstance(word, Lines):
                answer = self._answers.pop(word.ask, None)
                if answer is not None and not answer.done():
                    answer.set_result(word)
            else:
                self._hear(word)
        assert self._process.stderr is not None
        told = (await self._process.stderr.read()).decode(errors="replace").strip()
        why = self._why or told.rpartition(chr(10))[2] or "no reason told"
        raise RunnerLost(f"the process that runs the monitors ended: {why}")

    async def output(self, monitor: str, limit: int) -> list[tuple[int, str]]:
        """The last lines of a monitor's output, oldest first.

        Raises:
            RunnerLost: it does not answer.
        """
        ask = next(self._asks)
        answer = self._answers[ask] = asyncio.get_running_loop().create_future()
        self.say(Show(ask=ask, monitor=monitor, limit=limit))
        try:
            async with asyncio.timeout(_ANSWER_S):
                told: Lines = await answer
        except TimeoutError:
            raise RunnerLost("the process that runs the monitors does not answer") from None
        finally:
            self._answers.pop(ask, None)
        return told.lines

    async def close(self) -> None:
        """Let it end every command and itself; it is killed when it takes too long."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(self._grace_s + MARGIN_S):
                await self._drained(process)
        except TimeoutError:
            self._ctx.log.error("the process that runs the monitors does not end; killed")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _drained(self, process: asyncio.subprocess.Process) -> None:
        """Its last words are nobody's, but its pipes must not fill up."""
        streams = (process.stdout, process.stderr)
        await asyncio.gather(*(stream.read() for stream in streams if stream is not None))
        await process.wait()
