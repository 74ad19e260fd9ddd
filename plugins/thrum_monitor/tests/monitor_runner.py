"""A runner of the test's own, talked to as the daemon does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from monitor_house import PATIENCE_S
from thrum_monitor import frames
from thrum_monitor.frames import (
    Ended,
    Go,
    Launch,
    Lines,
    Matched,
    Order,
    Running,
    Show,
    Skipped,
    Waiting,
    Word,
)
from thrum_monitor.sessions import MARK

W = TypeVar("W", Waiting, Running, Matched, Skipped, Ended, Lines)


class Talk:
    """Made by ``with Talk(folder)``; the runner and all it started have ended when the block ends.

    Attributes:
        words: all that it said.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words: list[Word] = []
        self._heard = b""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "thrum_monitor.runner", str(self.folder), "3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        return self

    def __exit__(self, *error: object) -> None:
        self.hang_up()
        assert self.process.stdout is not None
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()

    def hang_up(self) -> None:
        """What happens when the daemon is gone."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def say(self, order: Order) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(frames.encode(order))

    def launch(self, *argv: str, run: str = "run_1", go: bool = True, **fields: Any) -> int:
        """Start a command; gives its process id."""
        env = {"PATH": os.environ["PATH"], MARK: run, **fields.pop("env", {})}
        defaults = {"monitor": "mon_1", "cwd": "/", "pattern": "FAIL", "bytes_a_second": 16 << 20}
        self.say(Launch(run=run, argv=list(argv), env=env, **{**defaults, **fields}))
        waiting = self.hear(Waiting, run)
        if go:
            self.say(Go(run=run))
        return waiting.pid

    def hear(self, kind: type[W], run: str = "run_1") -> W:
        """The first word of this kind about a run; waited for."""
        return self.until(
            lambda: next(
                (word for word in self.words if isinstance(word, kind) and getattr(word, "run", run) == run),
                None,
            ),
            what=f"{kind.__name__} of {run}",
        )

    def until(self, look: Callable[[], Any], *, what: str = "it") -> Any:
        """What *look* gives once it is true; the runner is listened to meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := look()):
            assert time.monotonic() < deadline, f"{what} did not come true; heard {self.words[-20:]}"
            self.listen()
        return found

    def listen(self, seconds: float = 0.02) -> None:
        """Hear what it says for a while."""
        assert self.process.stdout is not None
        data = self.process.stdout.read(1 << 20)
        if not data:
            time.sleep(seconds)
            return
        *lines, self._heard = (self._heard + data).split(b"\n")
        self.words += [frames.decode_word(line) for line in lines]

    def lines(self, limit: int = 100) -> list[str]:
        """The last output."""
        ask = len(self.words) + 1000
        self.say(Show(ask=ask, monitor="mon_1", limit=limit))
        answer = self.until(
            lambda: next((word for word in self.words if isinstance(word, Lines) and word.ask == ask), None)
        )
        return [text for _, text in answer.lines]

    def matched(self) -> int:
        """How many lines matched so far."""
        return sum(word.count for word in self.words if isinstance(word, Matched))
