"""Output, as it comes, to matching lines: of any length, in any bytes, in memory that does not grow with it.

A line longer than the pattern's piece is looked at in pieces that overlap; it counts once. Output beyond the budgets is
thrown away unseen, up to the end of its line, and counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from thrum_monitor.matching import Pattern
from thrum_monitor.runner.budget import Budget
from thrum_monitor.runner.excerpt import excerpt

OVERLAP: Final = 512
SHOWN: Final = 2
TIME_SHARE: Final = 0.25
TIME_SAVED_S: Final = 1.0
"""How much of a processor the search in one monitor's output may take, and for how long more than that."""
SAVED_S: Final = 2.0
"""For how long output may come faster than the budget in a row."""


class LineReader:
    """What one run prints.

    Args:
        shown: gives what is told of a line that matched at a byte.
        stopwatch: seconds of processor time, by which searching is measured.

    Attributes:
        count: lines that matched since `take` was called.
        skipped: bytes that were thrown away unseen since.
    """

    def __init__(
        self,
        pattern: Pattern,
        *,
        bytes_a_second: int,
        now: float,
        shown: Callable[[bytes, int], str] = excerpt,
        stopwatch: Callable[[], float] = time.process_time,
    ) -> None:
        self._pattern = pattern
        self._shown = shown
        self._stopwatch = stopwatch
        self._bytes = Budget(bytes_a_second, bytes_a_second * SAVED_S, now=now)
        self._time = Budget(TIME_SHARE, TIME_SAVED_S, now=now)
        self._rest = b""
        self._before = b""
        self._is_inside = False
        self._is_told = False
        self._is_lost = False
        self._lines: list[str] = []
        self.count = 0
        self.skipped = 0

    def has_budget(self, now: float) -> bool:
        """Whether output that comes now is looked at."""
        return self._bytes.has(now) and self._time.has(now)

    def feed(self, data: bytes, now: float) -> None:
        """Look at output, or throw it away."""
        if not self.has_budget(now):
            self._throw(data)
            return
        self._bytes.take(len(data))
        if self._is_lost:
            end = data.find(b"\n") + 1
            self.skipped += end or len(data)
            self._is_lost = not end
            data = data[end:] if end else b""
        started = self._stopwatch()
        self._look(data)
        self._time.take(self._stopwatch() - started)

    def end(self) -> None:
        """There is no more: the last line may lack its end."""
        rest, self._rest = self._rest, b""
        if rest or self._is_inside:
            self._finish(rest)

    def take(self) -> tuple[int, list[str], int]:
        """What matched since the last time, the first lines of it, and what was thrown away."""
        taken = self.count, self._lines, self.skipped
        self.count, self._lines, self.skipped = 0, [], 0
        return taken

    def _throw(self, data: bytes) -> None:
        self.skipped += len(data) + len(self._rest)
        self._rest = self._before = b""
        self._is_inside = self._is_told = False
        self._is_lost = not data.endswith(b"\n")

    def _look(self, data: bytes) -> None:
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        block, self._rest = data[:end], data[end:]
        if block and self._is_inside:
            line, _, block = block.partition(b"\n")
            self._finish(line)
        if b"\r\n" in block:
            block = block.replace(b"\r\n", b"\n")
        self._search(block)
        while len(self._rest) > self._pattern.piece:
            self._look_inside(self._rest[: self._pattern.piece])
            self._rest = self._rest[self._pattern.piece :]

    def _search(self, block: bytes) -> None:
        """Whole lines, in parts that the pattern can take at once."""
        most = self._pattern.piece
        while block:
            end = len(block) if len(block) <= most else block.rfind(b"\n", 0, most) + 1
            if not end:
                line, _, block = block.partition(b"\n")
                self._finish(line)
                continue
            part, block = block[:end], block[end:]
            for start, stop, at in self._pattern.lines(part):
                self._hit(part[start:stop], at - start)

    def _finish(self, line: bytes) -> None:
        """The end of a long line, or a line alone."""
        while len(line) > self._pattern.piece:
            self._look_inside(line[: self._pattern.piece])
            line = line[self._pattern.piece :]
        self._look_inside(line.removesuffix(b"\r"))
        self._is_inside = self._is_told = False
        self._before = b""

    def _look_inside(self, piece: bytes) -> None:
        """A piece of a long line. One byte more than none before it keeps ``^`` from matching within the line."""
        text = self._before + piece
        at = -1 if self._is_told else self._pattern.search(text, 1 if self._before else 0)
        if at >= 0:
            self._hit(text, at)
            self._is_told = True
        self._is_inside = True
        self._before = text[-OVERLAP:]

    def _hit(self, line: bytes, at: int) -> None:
        self.count += 1
        if len(self._lines) < SHOWN:
            self._lines.append(self._shown(line, at))
